"""The pool, evaluate and finetune jobs, one after the other as a search runs them."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import torch

from detnas.actions import AddLayer, ChannelPruning, LayerPruning, Rearrange
from detnas.architecture import Architecture, parse
from detnas.cost import detector_cost
from detnas.records.requests import Pool, RepeatedChannelPruning
from detnas.records.results import DetectorResult, Outcome
from detnas.records.settings import Distillation
from detnas.teachers import Teacher
from detnas_trainer.distillation import Distiller
from detnas_trainer.jobs.verbs import teacher as teacher_job
from tests.trainer.conftest import SHAPE, SPACE, Workplace, training


@pytest.fixture
def base(workplace: Workplace) -> DetectorResult:
    return workplace.succeed(workplace.base_request("local/a/base"))


def _evaluated(workplace: Workplace, key: str, **changes: Any) -> DetectorResult:
    return workplace.succeed(workplace.student_request(key, **changes))


@pytest.mark.slow
def test_student_learns_under_a_teacher_of_a_trained_pool(
    workplace: Workplace, base: DetectorResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    largest_only = SPACE.model_copy(
        update={"min_depths": SPACE.max_depths, "widths": SPACE.widths[-1:]}
    )
    first = workplace.pool_request("local/pools/p/phase-0", phase=0, space=largest_only)
    supernet = workplace.succeed(first)
    assert [subnet.name for subnet in supernet.subnets] == ["largest"]

    artifacts = {"previous": supernet.weights, "supernet_weights": supernet.weights}
    shrunk = workplace.succeed(
        workplace.pool_request("local/pools/p/phase-1", phase=1, **artifacts)
    )
    assert [subnet.name for subnet in shrunk.subnets] == [
        "largest", "smallest", "random 1", "random 2", "random 3",
    ]  # fmt: skip
    assert [len(subnet.scores) for subnet in shrunk.subnets] == [2, 1, 1, 1, 1]
    assert shrunk.iterations == 3

    pool = Pool(supernet=SHAPE, space=SPACE, weights=shrunk.weights, bn_images=4, seed=5)
    teaching = {"pool": pool, "teacher": SPACE.largest, "parent_weights": base.weights}
    one = _evaluated(workplace, "local/a/trials/0001", action=AddLayer(stage=1), **teaching)
    assert one.outcome is Outcome.SUCCEEDED
    assert one.architecture is not None
    assert one.architecture.depths == (1, 2, 1, 1)
    assert [(b.place.stage, b.place.block, b.age) for b in one.added] == [(1, 1, 0)]
    assert "loss_distill_feature" in one.final_loss
    adaptor = workplace.weights(one)["adaptor.convolution.weight"]
    assert tuple(adaptor.shape) == (12, 8, 3, 3)

    # The teacher is not computed again, and the adaptor is inherited under every teacher.
    monkeypatch.setattr(teacher_job, "extract_teacher", None)
    inherits = {**teaching, "parent": one.architecture, "parent_weights": one.weights}
    two = _evaluated(
        workplace, "local/a/trials/0002", parent_added=one.added, training=training(0), **inherits
    )
    assert two.outcome is Outcome.SUCCEEDED
    assert [block.age for block in two.added] == [1]
    assert torch.equal(workplace.weights(two)["adaptor.convolution.weight"], adaptor)
    three = _evaluated(workplace, "local/a/trials/0003", **inherits)
    assert three.outcome is Outcome.SUCCEEDED
    assert three.seconds["teacher"] >= 0


def test_add_layer_with_0_epochs_keeps_the_parents_scores(workplace: Workplace) -> None:
    learns = training(60, learning_rate="0.02")
    base = workplace.succeed(workplace.base_request("local/a/base", training=learns))
    assert min(score.map for score in base.scores) > 0.02  # there is something to lose
    result = _evaluated(
        workplace,
        "local/a/trials/0001",
        action=AddLayer(stage=2),
        parent_weights=base.weights,
        training=training(0),
    )
    assert result.architecture is not None
    assert result.architecture.depths == (1, 1, 2, 1)
    assert [s.map for s in result.scores] == pytest.approx([s.map for s in base.scores], abs=1e-6)
    assert result.iterations == 0


def test_student_without_a_teacher_learns_plainly(
    workplace: Workplace, base: DetectorResult
) -> None:
    plain = {"kind": "Finetune", "distillation": Distillation(bn_weight=Decimal(0))}
    result = _evaluated(workplace, "local/a/finetune", parent_weights=base.weights, **plain)
    assert result.architecture == workplace.common["architecture"]
    assert result.iterations == 3
    assert set(result.final_loss) == {
        "loss", "loss_cls", "loss_bbox", "acc", "loss_rpn_cls", "loss_rpn_bbox",
    }  # fmt: skip
    assert workplace.weights(result).keys() == workplace.weights(base).keys()


@pytest.mark.parametrize("action", [None, ChannelPruning()], ids=["no action", "pruned"])
def test_student_that_inherits_nothing_starts_from_its_seed_alone(
    workplace: Workplace, base: DetectorResult, action: ChannelPruning | None
) -> None:
    changes = {"action": action, "inherit": False, "training": training(0)}
    found = {}
    for name, weights, seed in (("a", base, 1), ("b", base, 1), ("c", base, 2)):
        key = f"local/a/trials/{name}"
        result = _evaluated(workplace, key, parent_weights=weights.weights, seed=seed, **changes)
        assert result.outcome is Outcome.SUCCEEDED
        found[name] = (result.architecture, workplace.weights(result)["backbone.conv1.weight"])
    inherited = workplace.weights(base)["backbone.conv1.weight"]
    assert found["a"][1].shape[1:] == inherited.shape[1:]
    assert not torch.equal(found["a"][1], inherited[: len(found["a"][1])])
    assert torch.equal(found["a"][1], found["b"][1])
    assert not torch.equal(found["a"][1], found["c"][1])
    result = _evaluated(
        workplace,
        "local/a/trials/ones",
        parent_weights=base.weights,
        zero_init_residual=False,
        **changes,
    )
    last, others = "backbone.layer1.0.bn2.weight", workplace.weights(result)
    assert others[last].eq(1).all()
    # What is pruned follows from the parent's weights.
    pruned = found["a"][0] != workplace.common["architecture"]
    assert pruned == (action is not None)
    assert found["a"][0] == found["c"][0]


def test_drawn_teachers_change_from_step_to_step(
    workplace: Workplace, base: DetectorResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    supernet = workplace.succeed(
        workplace.pool_request("local/pools/p/phase-0", phase=0, training=training(0))
    )
    pool = Pool(supernet=SHAPE, space=SPACE, weights=supernet.weights, bn_images=4, seed=5)
    taught = []
    loss = Distiller.loss

    def noting(distiller: Distiller, *arguments: Any) -> Any:
        taught.append(id(distiller.teacher))
        return loss(distiller, *arguments)

    monkeypatch.setattr(Distiller, "loss", noting)
    result = _evaluated(
        workplace,
        "local/a/trials/0001",
        parent_weights=base.weights,
        pool=pool,
        teacher=SPACE.largest,
        draws_teachers=True,
        training=training(3),
    )
    assert result.outcome is Outcome.SUCCEEDED
    assert "loss_distill_feature" in result.final_loss
    assert len(set(taught)) > 2
    assert len(taught) == result.iterations


def test_repeated_pruning_ends_at_the_flops_asked_for(
    workplace: Workplace, base: DetectorResult
) -> None:
    common = workplace.common
    size = common["resolutions"][0]

    def flops(architecture: Architecture) -> int:
        classes = len(common["classes"])
        return detector_cost(architecture, common["detector"], classes, size).flops

    whole = flops(common["architecture"])
    pruning = RepeatedChannelPruning(
        step=ChannelPruning(fraction=Decimal("0.02"), minimum_channels=2),
        flops=int(whole * 0.9),
        resolution=size,
    )
    result = _evaluated(
        workplace, "local/a/finetune", kind="Finetune", parent_weights=base.weights, action=pruning
    )
    assert result.architecture is not None
    assert 0.87 * whole < flops(result.architecture) <= 0.9 * whole
    assert result.architecture.depths == common["architecture"].depths
    assert "GFLOPs" in result.notes[0]
    assert result.iterations == 3


def test_repeated_pruning_that_cannot_reach_its_flops_is_invalid(
    workplace: Workplace, base: DetectorResult
) -> None:
    size = workplace.common["resolutions"][0]
    pruning = RepeatedChannelPruning(step=ChannelPruning(), flops=1, resolution=size)
    result = _evaluated(workplace, "local/a/f", parent_weights=base.weights, action=pruning)
    assert result.outcome is Outcome.INVALID
    assert "1e-09 GFLOPs cannot be reached" in result.message
    assert "no convolution can lose a channel" in result.message


OUTSIDE = Teacher(depths=(1, 3, 1, 1), widths=SPACE.largest.widths)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"action": LayerPruning()}, "layer pruning"),
        ({"action": Rearrange(source=0, target=1)}, "stage 1 has one block"),
        ({"parent": parse("[(8, 8)], [(8, 8)], [(8, 8)], [(8, 8)]", stem=8)}, "do not fit"),
        ({"teacher": SPACE.largest}, "no pool"),
        ({"teacher": OUTSIDE, "pool": None}, "not in the pool's space"),
    ],
)
def test_impossible_candidate_is_invalid(
    workplace: Workplace, base: DetectorResult, changes: dict[str, Any], named: str
) -> None:
    if "pool" in changes:
        pool = Pool(supernet=SHAPE, space=SPACE, weights=base.weights, bn_images=4)
        changes = {**changes, "pool": pool}
    result = _evaluated(workplace, "local/a/t", parent_weights=base.weights, **changes)
    assert result.outcome is Outcome.INVALID
    assert named in result.message
    assert not result.files


def test_altered_weights_are_refused_without_a_result(
    workplace: Workplace, base: DetectorResult, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(workplace.root / "store" / base.weights.key)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    request = workplace.student_request("local/a/t", parent_weights=base.weights)
    assert workplace.run(request) == 1
    printed = capsys.readouterr().err
    assert "is damaged" in printed
    assert "Traceback" not in printed
    assert not workplace.has_result("local/a/t")
