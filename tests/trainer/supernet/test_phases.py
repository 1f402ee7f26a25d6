"""The phases of integrated progressive shrinking, as the train loop sees them."""

import pytest
import torch

from detnas.errors import UserError
from detnas.records.requests import PoolPhaseRequest
from detnas.records.settings import DataLocation, Distillation, Resolution, Training
from detnas.teachers import TeacherSpace
from detnas_trainer.distillation import Adaptor, Distiller, teaching
from detnas_trainer.supernet import build_phase
from detnas_trainer.supernet.importance import sort_channels
from detnas_trainer.supernet.phases import ShrinkingPhase
from detnas_trainer.supernet.sampling import subnet_at
from detnas_trainer.supernet.teacher import reset_statistics


@pytest.fixture
def request_of(supernet):
    """A phase's request, with any field replaced."""

    def make(**fields):
        fields = {"full_space": supernet.space, "space": supernet.space, "phase": 1, **fields}
        return PoolPhaseRequest(
            key="local/pools/abc/phase",
            seed=4,
            data=DataLocation(root="/data", train="train.json", val="val.json"),
            classes=tuple("abc"),
            detector=supernet.detector_shape,
            resolutions=(Resolution(width=64, height=64),),
            training=Training(epochs=1, learning_rate="0.01", batch_size=2),
            supernet=supernet.shape,
            **fields,
        )

    return make


@pytest.fixture
def weights(supernet):
    return {name: tensor.clone() for name, tensor in supernet.detector.state_dict().items()}


@pytest.fixture
def largest_only(supernet):
    space = supernet.space
    return TeacherSpace(
        min_depths=space.max_depths, max_depths=space.max_depths, widths=space.widths[-1:]
    )


def _seeded(call):
    torch.manual_seed(7)
    return call()


def _total(losses):
    values = (v for name, v in losses.items() if "loss" in name)
    return sum(sum(value) if isinstance(value, list) else value for value in values)


def test_phase_0_is_plain_training_of_the_largest_network(supernet, request_of, batch):
    phase = _seeded(lambda: build_phase(request_of(phase=0), None, None))
    assert phase.module.training
    assert {n: t.shape for n, t in phase.module.state_dict().items()} == {
        n: t.shape for n, t in supernet.detector.state_dict().items()
    }
    ours = _seeded(lambda: phase.loss(0, *batch))
    plain = _seeded(lambda: phase.module.loss(*batch))
    assert ours.keys() == plain.keys()
    assert torch.equal(_total(ours), _total(plain))


@pytest.mark.parametrize(("zero", "scale"), [(True, 0), (False, 1)])
def test_supernet_begins_with_the_residual_branches_that_were_asked_for(request_of, zero, scale):
    phase = build_phase(request_of(phase=0, zero_init_residual=zero), None, None)
    blocks = [block for layer in phase.module.backbone.layers for block in layer]
    assert all(getattr(one, f"bn{one.layers}").weight.eq(scale).all() for one in blocks)


def test_shrinking_step_distils_the_drawn_subnet_from_the_supernet(
    supernet, request_of, weights, batch
):
    request = request_of(sort_channels=False)
    phase = build_phase(request, weights, weights)
    subnet = subnet_at(request.seed, 2, request.space)
    static = supernet.static(subnet).train()
    neck = supernet.shape.neck_width(subnet)
    adaptor = Adaptor(neck, 12)
    whole = phase.module.adaptor.convolution
    adaptor.convolution.load_state_dict({"weight": whole.weight[:, :neck], "bias": whole.bias})
    distiller = Distiller(static, supernet.detector.eval(), Distillation(), adaptor)
    ours = _seeded(lambda: phase.loss(2, *batch))
    expected = _seeded(lambda: distiller.loss(*batch))
    assert ours.keys() == expected.keys()
    assert any(name.startswith("loss_distill") for name in ours)
    for name, value in expected.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-5, atol=1e-6, msg=name)


def test_step_trains_the_supernet_and_nothing_of_the_teacher(request_of, weights, batch):
    given = {name: tensor.clone() for name, tensor in weights.items()}
    phase = build_phase(request_of(sort_channels=False), weights, weights)
    optimizer = torch.optim.SGD(phase.module.parameters(), lr=0.01)
    before = {name: tensor.clone() for name, tensor in phase.module.state_dict().items()}
    first = _seeded(lambda: phase.loss(0, *batch))
    _total(first).backward()
    optimizer.step()
    after = phase.module.state_dict()
    for name in ("backbone.conv1.weight", "neck.fpn_convs.0.conv.weight"):
        assert not torch.equal(after[name], before[name])
    assert not torch.equal(
        after["adaptor.convolution.weight"], before["adaptor.convolution.weight"]
    )
    assert all(torch.equal(weights[name], tensor) for name, tensor in given.items())
    assert not any("teacher" in name for name in after)


def test_teacher_has_the_memory_format_of_its_device(request_of, weights, batch, monkeypatch):
    request = request_of(sort_channels=False)
    phase = build_phase(request, weights, weights)
    expected = _seeded(lambda: phase.loss(0, *batch))
    monkeypatch.setattr(teaching, "fastest_format", lambda _: torch.channels_last)
    phase = build_phase(request, weights, weights)
    weight = _teacher(phase).backbone.layer1[0].conv1.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    for name, value in _seeded(lambda: phase.loss(0, *batch)).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-5, msg=name)


def test_draws_depend_on_the_iteration_alone(request_of, weights, batch):
    first, second = (build_phase(request_of(), weights, weights) for _ in range(2))
    first.loss(0, *batch)
    assert torch.equal(
        _total(_seeded(lambda: first.loss(5, *batch))),
        _total(_seeded(lambda: second.loss(5, *batch))),
    )


@pytest.mark.parametrize("phase", [1, 2])
def test_sorted_student_and_teacher_correspond_channel_by_channel(
    supernet, request_of, weights, largest_only, batch, phase
):
    """The largest subnet, untrained, and its teacher are one network: their features agree."""
    architecture = supernet.shape.architecture(supernet.space.largest)
    previous = weights if phase == 1 else sort_channels(weights, architecture)
    built = build_phase(request_of(phase=phase, space=largest_only), previous, weights)
    built.module.eval()
    losses = built.loss(0, *batch)
    for name in ("loss_distill_feature", "loss_distill_localization"):
        torch.testing.assert_close(losses[name], torch.tensor(0.0), rtol=0, atol=1e-5)
    stem = "backbone.conv1.weight"
    assert not torch.equal(built.module.state_dict()[stem], weights[stem])


def test_adaptor_is_handed_to_the_next_phase(request_of, weights):
    first = build_phase(request_of(), weights, weights).module.state_dict()
    first["adaptor.convolution.weight"] += 1
    second = build_phase(request_of(phase=2), first, weights).module.state_dict()
    assert second.keys() == first.keys()
    assert all(torch.equal(second[name], first[name]) for name in first)


def test_without_feature_distillation_there_is_no_adaptor(request_of, weights, batch):
    request = request_of(distillation=Distillation(features="None"))
    phase = build_phase(request, weights, weights)
    assert not any(name.startswith("adaptor") for name in phase.module.state_dict())
    assert "loss_distill_feature" not in phase.loss(0, *batch)


@pytest.mark.parametrize(
    ("given", "field"), [((None, {}), "previous"), (({}, None), "supernetWeights")]
)
def test_shrinking_phase_without_weights_is_refused(request_of, given, field):
    with pytest.raises(UserError, match=f"{field} is missing for phase 1"):
        build_phase(request_of(), *given)


def test_batches_are_normalised(request_of, weights, batches):
    data = build_phase(request_of(), weights, weights).preprocess(batches(0)[0])
    assert data["inputs"].shape == (2, 3, 64, 64)
    assert data["inputs"].dtype == torch.float32


def _teacher(phase):
    assert isinstance(phase, ShrinkingPhase)
    return phase._distiller.teacher


def test_teacher_of_a_phase_has_statistics_of_the_given_images(
    supernet, request_of, weights, batches
):
    request = request_of(own_statistics=True, sort_channels=False)
    teacher = _teacher(build_phase(request, weights, weights, batches(0)))
    expected = supernet.static(supernet.space.largest)
    inputs = [expected.data_preprocessor(batch)["inputs"] for batch in batches(0)]
    reset_statistics(expected, inputs, expected.backbone)
    found, wanted = teacher.state_dict(), expected.state_dict()
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert not torch.equal(found["backbone.bn1.running_mean"], weights["backbone.bn1.running_mean"])


def test_teacher_of_a_phase_of_an_earlier_version_keeps_its_statistics(request_of, weights):
    request = request_of(sort_channels=False)
    teacher = _teacher(build_phase(request, weights, weights)).state_dict()
    assert all(torch.equal(teacher[name], weights[name]) for name in teacher)
