"""The fine-tuning of an upgraded student under a hybrid cascade, and its export."""

import json
from decimal import Decimal

from detnas.architecture import Family, parse
from detnas.records.requests import DetectorUpgrade, TeacherFiles
from detnas.records.results import Outcome
from detnas.records.settings import Distillation, HeadKind
from tests.trainer.conftest import Workplace, training
from tests.trainer.foreign.teachers import hybrid, write_teacher

STUDENT = parse("[(8, 8, 16)], [(8, 8, 16)], [(8, 8, 16)], [(8, 8, 24)]", Family.BOTTLENECK, 8)
UPGRADE = DetectorUpgrade(deformable=(2, 3, 4), cascade=True)
PLAIN = Distillation(localization="Plain", bn_weight=Decimal(0))


def test_upgraded_student_is_taught_stage_by_stage_and_exported_for_stock_mmdet(
    workplace: Workplace,
) -> None:
    config, weights = write_teacher(workplace.root, hybrid())
    files = TeacherFiles(config=str(config), weights=str(weights))
    prepared = workplace.succeed(workplace.prepare_request("local/a/prepare", teacher=files))
    base = workplace.succeed(workplace.base_request("local/a/base", architecture=STUDENT))
    tuned = workplace.succeed(
        workplace.student_request(
            "local/a/finetune",
            kind="Finetune",
            parent=STUDENT,
            parent_weights=base.weights,
            external=prepared.external_teacher,
            new_adaptor=True,
            distillation=PLAIN,
            upgrade=UPGRADE,
            training=training(2),
        )
    )
    assert tuned.outcome is Outcome.SUCCEEDED
    assert tuned.architecture.deformable == (2, 3, 4)
    assert tuned.shape.head is HeadKind.CASCADE
    assert tuned.is_upgraded
    kinds = ("feature", "classification", "localization")
    assert {name for name in tuned.final_loss if "distill" in name} == {
        f"s{stage}.loss_distill_{kind}" for stage in range(3) for kind in kinds
    }
    state = workplace.weights(tuned)
    assert state["backbone.layer3.0.conv2.conv_offset.weight"].abs().sum() > 0

    at = tuned.scores[-1]
    request = workplace.export_request(
        "local/a/export",
        detector=tuned.shape,
        weights=tuned.weights,
        resolution=at.resolution,
        expected_map=at.map,
        base_detector=workplace.common["detector"],
        base_weights=base.weights,
        base_resolution=at.resolution,
    ).model_copy(update={"architecture": tuned.architecture, "base": STUDENT})
    exported = workplace.succeed(request)
    assert exported.outcome is Outcome.SUCCEEDED
    assert exported.map == tuned.scores[-1].map
    stored = workplace.store.get(f"{request.key}/architecture.json")
    assert stored is not None
    assert json.loads(stored.data)["architecture"]["deformable"] == [2, 3, 4]
