"""Warnings where a manifest does not fit its data: each below and above its threshold."""

from typing import Any

import pytest

from detnas.plan.advice import FEW_STEPS, fit_warnings, map_error
from detnas.plan.dataset import SplitFacts, largest_objects, split_facts
from tests.detnas.searches.results import ENCODING, requests

LONG = {"epochs": 100, "batchSize": 4, "warmupIterations": 0}
"""Of a hundred images: 2500 steps."""

PHASES = [{"epochs": 100, "learningRate": "0.1"}, {"epochs": 40, "learningRate": "0.05"}]
FITTING: dict[str, Any] = {
    "base": {"architecture": ENCODING, "stem": 16, "train": LONG},
    "teachers": {"phases": PHASES, "batchSize": 4, "warmupIterations": 0},
    "evaluation": LONG,
    "finetune": LONG,
}
OBJECTS = {(100, 100): 80.0}
ENOUGH = SplitFacts(1000)


def warnings(
    spec: dict[str, Any], train: SplitFacts | None = None, val: SplitFacts | None = ENOUGH
) -> tuple[str, ...]:
    """Return the warnings of a manifest that fits a hundred images, with some sections replaced."""
    spec = {**FITTING, **spec}
    return fit_warnings(requests(**spec).prepare(), train or SplitFacts(100, OBJECTS), val)


def changed(section: str, **fields: Any) -> dict[str, Any]:
    if section == "base":
        return {"base": {**FITTING["base"], "train": {**LONG, **fields}}}
    return {section: {**FITTING[section], **fields}}


def test_fit_warnings_of_a_fitting_manifest_are_empty() -> None:
    assert warnings({}) == ()


@pytest.mark.parametrize(
    ("section", "field", "steps"),
    [
        ("base", "spec.base.train", 2500),
        ("teachers", "spec.teachers", 1000),  # the shorter phase
        ("evaluation", "spec.evaluation", 2500),
        ("finetune", "spec.finetune", 2500),
    ],
)
def test_fit_warnings_name_a_warmup_as_long_as_its_training(
    section: str, field: str, steps: int
) -> None:
    assert warnings(changed(section, warmupIterations=steps - 1)) == ()
    (found,) = warnings(changed(section, warmupIterations=steps))
    assert found.startswith(f"{field}.warmupIterations: {steps}, ")
    assert f"has {steps} steps" in found
    assert f"lower it to {steps // 10}" in found


@pytest.mark.parametrize(
    ("section", "field"),
    [
        ("base", "spec.base.train"),
        ("teachers", "spec.teachers"),
        ("evaluation", "spec.evaluation"),
        ("finetune", "spec.finetune"),
    ],
)
def test_fit_warnings_name_a_batch_larger_than_the_dataset_once(section: str, field: str) -> None:
    fields = {"epochs": 1000} if section != "teachers" else {}
    assert warnings(changed(section, batchSize=100, **fields)) == ()
    (found,) = warnings(changed(section, batchSize=101, **fields))
    assert found.startswith(f"{field}.batchSize: a batch of 101 is larger than")
    assert "100 images" in found


def test_fit_warnings_name_a_trial_of_few_steps_with_their_number() -> None:
    assert warnings(changed("evaluation", epochs=8)) == ()
    (found,) = warnings(changed("evaluation", epochs=3, batchSize=8), SplitFacts(150, OBJECTS))
    assert found.startswith("spec.evaluation: 3 epochs of 150 images in batches of 8 are 57 steps")
    few = changed("evaluation", epochs=1, batchSize=1)
    assert warnings(few, SplitFacts(FEW_STEPS, OBJECTS)) == ()
    assert len(warnings(few, SplitFacts(FEW_STEPS - 1, OBJECTS))) == 1


def test_fit_warnings_name_the_bases_schedule_for_full_trials_of_few_steps() -> None:
    full = {**changed("base", epochs=3), **changed("evaluation", mode="Full")}
    assert any(
        found.startswith("spec.base.train: 3 epochs of") and "steps a trial" in found
        for found in warnings(full)
    )


def test_fit_warnings_accept_a_trial_without_training() -> None:
    assert warnings(changed("evaluation", epochs=0)) == ()


def test_fit_warnings_name_few_validation_images_with_the_error() -> None:
    assert warnings({}, val=SplitFacts(200)) == ()
    (found,) = warnings({}, val=SplitFacts(199))
    assert found.startswith("spec.dataset.val: 199 images can tell mAP only to about ±3.5 points")
    assert map_error(100) == pytest.approx(0.05)
    assert "±7.9 points" in warnings({}, val=SplitFacts(40))[0]


@pytest.mark.parametrize(("side", "warned"), [(25.0, False), (24.9, True)])
def test_fit_warnings_name_anchors_larger_than_every_object(side: float, warned: bool) -> None:
    # At 128x96 an image of 100x100 is scaled by 0.96: by its shorter side.
    facts = SplitFacts(100, {(100, 100): side, (200, 100): 3.0})
    found = warnings({"detector": {"anchorScale": 6}}, facts)
    assert len(found) == warned
    if warned:
        assert "6 × 4 = 24 pixels" in found[0]
        assert "the largest has 23.9 pixels at 128x96; lower it to 5" in found[0]


def test_fit_warnings_scale_images_in_both_orientations_alike() -> None:
    landscape, portrait = (SplitFacts(100, {size: 10.0}) for size in ((200, 100), (100, 200)))
    anchors = {"detector": {"anchorScale": 100}}
    assert warnings(anchors, landscape) == warnings(anchors, portrait) != ()


def test_fit_warnings_without_facts_are_empty() -> None:
    spec = {"detector": {"anchorScale": 1000}, "evaluation": {"epochs": 1}}
    request = requests(**spec).prepare()
    assert fit_warnings(request, None, None) == ()
    assert len(fit_warnings(request, None, SplitFacts(3))) == 1
    before = request.model_copy(update={"trainings": (), "anchor_scale": None})
    assert fit_warnings(before, SplitFacts(1, {(9, 9): 1.0}), ENOUGH) == ()


@pytest.mark.parametrize(
    "spec",
    [
        {"teachers": {"pool": "s3://b/local/pools/0123", "warmupIterations": 9999}},
        {
            "base": {"architecture": ENCODING, "stem": 16, "train": {"warmupIterations": 9999}},
            "warmStart": {"from": "another"},
        },
    ],
)
def test_fit_warnings_ignore_trainings_of_supplied_inputs(spec: dict[str, Any]) -> None:
    assert warnings(spec) == ()


def test_facts_are_counted_from_a_coco_file() -> None:
    def box(image: int, width: int, height: int, crowd: int = 0) -> dict[str, Any]:
        return {"image_id": image, "bbox": [0, 0, width, height], "iscrowd": crowd}

    images = [
        {"id": 7, "width": 100, "height": 50},
        {"id": 8, "width": 100, "height": 50},
        {"id": 9, "width": 30, "height": 30},
    ]
    boxes = [box(7, 4, 9), box(8, 2, 8), box(7, 99, 49, crowd=1)]
    assert split_facts({"images": images, "annotations": boxes}) == SplitFacts(3, {(100, 50): 6.0})
    with pytest.raises(ValueError, match="height"):
        largest_objects([{"id": 1, "width": 3, "height": 0}], ())
