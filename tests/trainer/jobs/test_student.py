"""The pool, evaluate and finetune jobs, one after the other as a search runs them."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import torch

from detnas.actions import AddLayer, LayerPruning, Rearrange
from detnas.architecture import Family, parse
from detnas.records.requests import Pool, PoolPhaseRequest, StudentRequest
from detnas.records.results import DetectorResult, Outcome, PoolPhaseResult
from detnas.records.settings import Distillation
from detnas.store.artifacts import fetch_artifact, load_record
from detnas.teachers import SupernetShape, Teacher, TeacherSpace
from detnas_trainer import jobs
from detnas_trainer.jobs import teacher as teacher_job
from detnas_trainer.weights import load_weights
from tests.trainer.conftest import Workplace, training

SHAPE = SupernetShape(
    family=Family.BASIC, stem=6, inner=(8, 8, 8, 8), outputs=(8, 12, 12, 16), neck=8
)
SPACE = TeacherSpace(
    min_depths=(1, 1, 1, 1),
    max_depths=(1, 2, 1, 1),
    widths=(Decimal("1.0"), Decimal("1.5")),
)


def _pool_request(workplace: Workplace, phase: int, **changes: Any) -> PoolPhaseRequest:
    common = {name: v for name, v in workplace.common.items() if name != "architecture"}
    fields: dict[str, Any] = {
        "key": f"local/pools/p/phase-{phase}",
        "phase": phase,
        "supernet": SHAPE,
        "full_space": SPACE,
        "space": SPACE,
        "training": training(1),
        "bn_images": 4,
    }
    return PoolPhaseRequest(**{**common, **fields, **changes})


def _student_request(workplace: Workplace, key: str, **changes: Any) -> StudentRequest:
    common = {name: v for name, v in workplace.common.items() if name != "architecture"}
    fields: dict[str, Any] = {
        "parent": workplace.common["architecture"],
        "training": training(1),
        **common,
        **changes,
    }
    return StudentRequest(key=key, **fields)


def _state(workplace: Workplace, result: DetectorResult) -> dict[str, torch.Tensor]:
    return load_weights(fetch_artifact(workplace.store, result.weights)).state


@pytest.fixture
def base(workplace: Workplace) -> DetectorResult:
    key = "local/a/base"
    assert jobs.run("base", workplace.put(workplace.base_request(key))) == 0
    return workplace.result(key, DetectorResult)


def _run_student(workplace: Workplace, key: str, **changes: Any) -> DetectorResult:
    request = _student_request(workplace, key, **changes)
    jobs.run("evaluate", workplace.put(request))
    return workplace.result(key, DetectorResult)


@pytest.mark.slow
def test_a_pool_then_a_student_under_one_of_its_teachers(
    workplace: Workplace, base: DetectorResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    largest_only = SPACE.model_copy(
        update={"min_depths": SPACE.max_depths, "widths": SPACE.widths[-1:]}
    )
    first = _pool_request(workplace, 0, space=largest_only)
    assert jobs.run("pool", workplace.put(first)) == 0
    supernet = workplace.result(first.key, PoolPhaseResult)
    assert [subnet.name for subnet in supernet.subnets] == ["largest"]

    artifacts = {"previous": supernet.weights, "supernet_weights": supernet.weights}
    last = _pool_request(workplace, 1, **artifacts)
    assert jobs.run("pool", workplace.put(last)) == 0
    shrunk = workplace.result(last.key, PoolPhaseResult)
    assert [subnet.name for subnet in shrunk.subnets] == [
        "largest", "smallest", "random 1", "random 2", "random 3",
    ]  # fmt: skip
    assert [len(subnet.scores) for subnet in shrunk.subnets] == [2, 1, 1, 1, 1]
    assert shrunk.iterations == 3

    pool = Pool(supernet=SHAPE, space=SPACE, weights=shrunk.weights, bn_images=4, seed=5)
    teaching = {"pool": pool, "teacher": SPACE.largest, "parent_weights": base.weights}
    one = _run_student(workplace, "local/a/trials/0001", action=AddLayer(stage=1), **teaching)
    assert one.outcome is Outcome.SUCCEEDED
    assert one.architecture is not None
    assert one.architecture.depths == (1, 2, 1, 1)
    assert [(b.place.stage, b.place.block, b.age) for b in one.added] == [(1, 1, 0)]
    assert "loss_distill_feature" in one.final_loss
    adaptor = _state(workplace, one)["adaptor.convolution.weight"]
    assert tuple(adaptor.shape) == (12, 8, 3, 3)

    # The teacher is not computed again, and the adaptor is inherited whoever teaches.
    monkeypatch.setattr(teacher_job, "extract_teacher", None)
    inherits = {**teaching, "parent": one.architecture, "parent_weights": one.weights}
    two = _run_student(
        workplace, "local/a/trials/0002", parent_added=one.added, training=training(0), **inherits
    )
    assert two.outcome is Outcome.SUCCEEDED
    assert [block.age for block in two.added] == [1]
    assert torch.equal(_state(workplace, two)["adaptor.convolution.weight"], adaptor)
    three = _run_student(workplace, "local/a/trials/0003", **inherits)
    assert three.outcome is Outcome.SUCCEEDED
    assert three.seconds["teacher"] >= 0


def test_add_layer_with_0_epochs_keeps_the_parents_scores(workplace: Workplace) -> None:
    learns = training(30, learning_rate="0.02")
    request = workplace.base_request("local/a/base", training=learns)
    assert jobs.run("base", workplace.put(request)) == 0
    base = workplace.result(request.key, DetectorResult)
    assert min(score.map for score in base.scores) > 0.02  # there is something to lose
    result = _run_student(
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


def test_without_a_teacher_a_student_learns_plainly(
    workplace: Workplace, base: DetectorResult
) -> None:
    request = _student_request(
        workplace,
        "local/a/finetune",
        kind="Finetune",
        parent_weights=base.weights,
        distillation=Distillation(bn_weight=Decimal(0)),
    )
    assert jobs.run("finetune", workplace.put(request)) == 0
    result = workplace.result(request.key, DetectorResult)
    assert result.architecture == workplace.common["architecture"]
    assert result.iterations == 3
    assert set(result.final_loss) == {
        "loss", "loss_cls", "loss_bbox", "acc", "loss_rpn_cls", "loss_rpn_bbox",
    }  # fmt: skip
    assert _state(workplace, result).keys() == _state(workplace, base).keys()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"action": LayerPruning()}, "layer pruning"),
        ({"action": Rearrange(source=0, target=1)}, "stage 1 has one block"),
        ({"parent": parse("[(8, 8)], [(8, 8)], [(8, 8)], [(8, 8)]", stem=8)}, "do not fit"),
        ({"teacher": SPACE.largest}, "no pool"),
    ],
)
def test_an_impossible_candidate_is_invalid(
    workplace: Workplace, base: DetectorResult, changes: dict[str, Any], named: str
) -> None:
    result = _run_student(workplace, "local/a/t", parent_weights=base.weights, **changes)
    assert result.outcome is Outcome.INVALID
    assert named in result.message
    assert not result.files


def test_a_teacher_outside_the_pool_is_invalid(workplace: Workplace, base: DetectorResult) -> None:
    pool = Pool(supernet=SHAPE, space=SPACE, weights=base.weights, bn_images=4)
    outside = Teacher(depths=(1, 3, 1, 1), widths=SPACE.largest.widths)
    result = _run_student(
        workplace, "local/a/t", parent_weights=base.weights, pool=pool, teacher=outside
    )
    assert result.outcome is Outcome.INVALID
    assert "not in the pool's space" in result.message


def test_weights_that_were_altered_are_refused_and_nothing_is_written(
    workplace: Workplace, base: DetectorResult, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(workplace.root / "store" / base.weights.key)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    request = _student_request(workplace, "local/a/t", parent_weights=base.weights)
    assert jobs.run("evaluate", workplace.put(request)) == 1
    printed = capsys.readouterr().err
    assert "is damaged" in printed
    assert "Traceback" not in printed
    assert load_record(workplace.store, "local/a/t/result.json", DetectorResult) is None
