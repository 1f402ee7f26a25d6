"""A teacher of one's own: checked and stored by the data check, then teaching students."""

from decimal import Decimal
from typing import Any

import torch

from detnas.records.requests import TeacherFiles
from detnas.records.results import DetectorResult, Outcome, PrepareResult
from detnas.records.settings import Distillation
from detnas.store.durable_files import sha256_of
from tests.trainer.conftest import Workplace, training
from tests.trainer.foreign.teachers import NECK, cascade, faster, hybrid, write_teacher

PLAIN = Distillation(localization="Plain", bn_weight=Decimal(0))


def _prepared(workplace: Workplace, model: dict[str, Any], **files: Any) -> PrepareResult:
    config, weights = write_teacher(workplace.root, model)
    named = TeacherFiles(config=str(config), weights=str(weights), **files)
    return workplace.succeed(workplace.prepare_request("local/a/prepare", teacher=named))


def test_students_learn_under_a_hybrid_cascade_and_inherit_the_adaptor(
    workplace: Workplace,
) -> None:
    prepared = _prepared(workplace, hybrid())
    assert prepared.outcome is Outcome.SUCCEEDED
    files = [workplace.root / name for name in ("teacher.py", "teacher.pth")]
    assert prepared.teacher == tuple(map(sha256_of, files))
    for file in files:
        file.unlink()  # the stored copy teaches
    base: DetectorResult = workplace.succeed(workplace.base_request("local/a/base"))
    teaching = {"external": prepared.external_teacher, "distillation": PLAIN}
    one = workplace.succeed(
        workplace.student_request("local/a/trials/0001", parent_weights=base.weights, **teaching)
    )
    assert one.outcome is Outcome.SUCCEEDED
    assert {name for name in one.final_loss if "distill" in name} == {
        "loss_distill_feature", "loss_distill_classification", "loss_distill_localization",
    }  # fmt: skip
    assert all(torch.isfinite(torch.tensor(value)) for value in one.final_loss.values())
    name = "adaptor.convolution.weight"
    adaptor = workplace.weights(one)[name]
    assert tuple(adaptor.shape) == (NECK, 8, 3, 3)
    assert not any(
        "roi_head.bbox_head.0" in name or "semantic" in name for name in workplace.weights(one)
    )

    again = {"parent_weights": one.weights, **teaching}
    slow = training(1, learning_rate=Decimal("0.000000001"))
    inherits = workplace.student_request("local/a/trials/0002", training=slow, **again)
    kept = workplace.weights(workplace.succeed(inherits))[name]
    assert torch.allclose(kept, adaptor, atol=1e-5)
    fresh = workplace.student_request("local/a/finetune", training=slow, new_adaptor=True, **again)
    assert not torch.allclose(workplace.weights(workplace.succeed(fresh))[name], adaptor, atol=0.01)


def test_teacher_without_boxes_of_each_class_is_refused_before_the_search_if_they_are_compared(
    workplace: Workplace,
) -> None:
    result = _prepared(workplace, cascade(), class_aware=True)
    assert result.outcome is Outcome.INVALID
    assert "set distillation.localization to Plain" in result.message


def test_teacher_that_cannot_be_used_ends_the_data_check(workplace: Workplace) -> None:
    model = faster()
    model["roi_head"]["type"] = "GridRoIHead"
    _, weights = write_teacher(workplace.root, faster())
    config = workplace.root / "grid.py"
    config.write_text(f"model = {model!r}\n")
    named = TeacherFiles(config=str(config), weights=str(weights))
    result = workplace.succeed(workplace.prepare_request("local/a/prepare", teacher=named))
    assert result.outcome is Outcome.INVALID
    assert "teachers.external.config: model.roi_head.type: GridRoIHead" in result.message
