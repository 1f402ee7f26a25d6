"""Inside `subnet` the supernet is the subnet, and gradients reach the supernet's parameters."""

import pytest
import torch

from detnas.errors import UserError
from detnas.teachers import SupernetShape
from detnas_trainer.supernet.elastic import ElasticDetector
from detnas_trainer.supernet.sampling import subnet_at
from detnas_trainer.supernet.slicing import extract


def _flat(losses):
    return {
        f"{name}.{number}": value
        for name, values in losses.items()
        for number, value in enumerate(values if isinstance(values, list) else [values])
    }


def _total(losses):
    return sum(value for name, value in _flat(losses).items() if "loss" in name)


def _seeded(call):
    torch.manual_seed(7)
    return call()


def _assert_close(mine, theirs):
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        torch.testing.assert_close(value, theirs[name], rtol=1e-6, atol=1e-6, msg=name)


@pytest.mark.parametrize("draw", range(3))
def test_subnets_training_loss_is_its_static_detectors(supernet, batch, draw):
    teacher = subnet_at(3, draw, supernet.space)
    static = supernet.static(teacher).train()
    supernet.detector.train()
    mine = _seeded(lambda: supernet.elastic.loss(teacher, *batch))
    _assert_close(_flat(mine), _flat(_seeded(lambda: static.loss(*batch))))


def test_subnets_gradients_are_its_static_detectors(supernet, batch, mixed):
    static = supernet.static(mixed).train()
    supernet.detector.train()
    _total(_seeded(lambda: supernet.elastic.loss(mixed, *batch))).backward()
    _total(_seeded(lambda: static.loss(*batch))).backward()
    whole = {name: p.grad for name, p in supernet.detector.named_parameters()}
    for name, parameter in static.named_parameters():
        corner = whole[name][tuple(slice(size) for size in parameter.shape)]
        torch.testing.assert_close(corner, parameter.grad, rtol=1e-5, atol=1e-6, msg=name)


def test_unused_channels_get_no_gradient(supernet, batch, mixed):
    supernet.detector.train()
    _total(supernet.elastic.loss(mixed, *batch)).backward()
    used = extract(supernet.detector.state_dict(), supernet.shape, supernet.space, mixed)
    for name, parameter in supernet.detector.named_parameters():
        if name not in used:
            assert parameter.grad is None, name
            continue
        corner = tuple(slice(size) for size in used[name].shape)
        rest = parameter.grad.clone()
        rest[corner] = 0
        assert not rest.any(), name
    assert supernet.detector.backbone.conv1.weight.grad.any()


def test_backward_may_follow_inside_or_after(supernet, batch, mixed):
    supernet.detector.train()
    elastic = supernet.elastic
    with elastic.subnet(mixed) as detector:
        _total(_seeded(lambda: detector.loss(*batch))).backward()
    inside = [p.grad for p in supernet.detector.parameters()]
    supernet.detector.zero_grad(set_to_none=True)
    _total(_seeded(lambda: elastic.loss(mixed, *batch))).backward()
    for parameter, gradient in zip(supernet.detector.parameters(), inside, strict=True):
        assert (gradient is None) == (parameter.grad is None)
        assert gradient is None or torch.equal(gradient, parameter.grad)


def test_subnets_detections_are_its_static_detectors(supernet, batch, mixed):
    static = supernet.static(mixed).eval()
    supernet.detector.eval()
    with torch.no_grad(), supernet.elastic.subnet(mixed) as detector:
        mine = detector.predict(*batch)
    with torch.no_grad():
        theirs = static.predict(*batch)
    for ours, expected in zip(mine, theirs, strict=True):
        assert len(expected.pred_instances) > 0
        torch.testing.assert_close(ours.pred_instances.bboxes, expected.pred_instances.bboxes)
        torch.testing.assert_close(ours.pred_instances.scores, expected.pred_instances.scores)


def test_largest_subnet_is_the_supernet_bit_for_bit(supernet, batch):
    supernet.detector.train()
    plain = _seeded(lambda: supernet.detector.loss(*batch))
    mine = _seeded(lambda: supernet.elastic.loss(supernet.space.largest, *batch))
    for name, value in _flat(plain).items():
        assert torch.equal(value, _flat(mine)[name]), name


def test_inside_the_state_dict_is_the_extracted_one_and_after_it_the_supernets(supernet, mixed):
    before = supernet.detector.state_dict()
    parameters = dict(supernet.detector.named_parameters())
    own = extract(before, supernet.shape, supernet.space, mixed)
    with supernet.elastic.subnet(mixed) as detector:
        inside = detector.state_dict()
    assert inside.keys() == own.keys()
    assert all(torch.equal(inside[name], own[name]) for name in own)
    assert supernet.detector.state_dict().keys() == before.keys()
    after = dict(supernet.detector.named_parameters())
    assert all(after[name] is parameter for name, parameter in parameters.items())
    assert supernet.detector.roi_head.bbox_roi_extractor.out_channels == 12


def test_error_inside_brings_the_supernet_back(supernet, mixed):
    before = dict(supernet.detector.named_parameters())
    elastic = supernet.elastic
    with pytest.raises(KeyError), elastic.subnet(mixed):
        raise KeyError
    assert all(p is before[name] for name, p in supernet.detector.named_parameters())
    with elastic.subnet(mixed):
        pass


def test_subnets_are_not_nested(supernet, mixed):
    elastic = supernet.elastic
    with (
        elastic.subnet(mixed),
        pytest.raises(RuntimeError, match="active already"),
        elastic.subnet(supernet.space.smallest),
    ):
        pass


def test_subnets_step_leaves_the_supernets_statistics_alone(supernet, batch, mixed):
    supernet.detector.train()
    before = {name: b.clone() for name, b in supernet.detector.named_buffers()}
    supernet.elastic.loss(mixed, *batch)
    for name, buffer in supernet.detector.named_buffers():
        assert torch.equal(buffer, before[name]), name
    supernet.elastic.loss(supernet.space.largest, *batch)
    mean = supernet.detector.backbone.bn1.running_mean
    assert not torch.equal(mean, before["backbone.bn1.running_mean"])


def test_shortcut_of_equal_widths_runs_without_its_projection(basic_supernet, batch, mixed):
    """At stem 1.0 and stage 1 at 0.5 both have 8 channels, so the static detector has none."""
    equal = mixed.model_copy(update={"widths": (mixed.widths[2], *mixed.widths[1:])})
    static = basic_supernet.static(equal).train()
    assert static.backbone.layer1[0].downsample is None
    basic_supernet.detector.train()
    mine = _seeded(lambda: basic_supernet.elastic.loss(equal, *batch))
    _assert_close(_flat(mine), _flat(_seeded(lambda: static.loss(*batch))))
    assert basic_supernet.detector.backbone.layer1[0].downsample is not None


def test_detector_of_another_shape_is_refused(basic_supernet):
    shape = SupernetShape(**{**basic_supernet.shape.model_dump(), "neck": 16})
    with pytest.raises(UserError, match=r"rpn_conv\.weight has channels \(12, 12\).*\(16, 16\)"):
        ElasticDetector(basic_supernet.detector, shape, basic_supernet.space)


def test_batch_norms_may_be_exchanged_before_the_first_step(supernet, mixed):
    elastic = supernet.elastic
    torch.nn.SyncBatchNorm.convert_sync_batchnorm(supernet.detector)
    own = extract(supernet.detector.state_dict(), supernet.shape, supernet.space, mixed)
    with elastic.subnet(mixed) as detector:
        inside = detector.state_dict()
    assert {n: t.shape for n, t in inside.items()} == {n: t.shape for n, t in own.items()}
