"""The manifests of the ablations: each comparison varies one field, and all share a pool."""

from pathlib import Path
from typing import Any

import pytest

from detnas.plan.digests import pool_digest
from detnas.spec import load_manifest
from detnas.spec.manifest import SearchSpec

FOLDER = Path(__file__).parents[2] / "examples" / "ablations"
FILES = sorted(FOLDER.glob("*.yaml"))


def _spec(name: str) -> SearchSpec:
    return load_manifest(FOLDER / f"{name}.yaml").spec


def _fields(value: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {path: value}
    found: dict[str, Any] = {}
    for name, part in value.items():
        found |= _fields(part, f"{path}.{name}" if path else name)
    return found


def _differing(one: str, other: str) -> set[str]:
    left, right = (
        _fields(_spec(name).model_dump(mode="json", by_alias=True)) for name in (one, other)
    )
    return {path for path in left.keys() | right.keys() if left.get(path) != right.get(path)}


def test_manifests_share_one_pool() -> None:
    assert len({pool_digest(load_manifest(path).spec, "data") for path in FILES}) == 1


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_manifest_is_named_like_its_file(path: Path) -> None:
    assert load_manifest(path).metadata.name == path.stem


@pytest.mark.parametrize(
    ("one", "other", "field"),
    [
        ("kd-features", "kd-whole-maps", "distillation.features"),
        ("kd-features", "kd-anchor-mask", "distillation.features"),
        ("kd-features", "kd-gaussian-mask", "distillation.features"),
        ("kd-all", "kd-predictions", "distillation.features"),
        ("kd-predictions", "kd-classes", "distillation.localization"),
        ("kd-predictions", "kd-class-aware-boxes", "distillation.classificationWeight"),
        ("kd-class-aware-boxes", "kd-plain-boxes", "distillation.localization"),
        ("teacher-fixed", "teacher-per-iteration", "teachers.choice"),
    ],
)
def test_comparison_varies_one_field(one: str, other: str, field: str) -> None:
    assert _differing(one, other) == {field}


def test_full_training_has_the_epochs_of_all_iterative_trials() -> None:
    iterative, full = _spec("teacher-fixed"), _spec("training-full")
    epochs = iterative.search.trials * iterative.trial_training.epochs
    assert full.search.trials * full.trial_training.epochs == epochs


def test_distilled_student_is_trained_as_the_base_that_it_is_compared_with() -> None:
    spec = _spec("kd-all")
    assert spec.base.train is not None
    assert spec.trial_training == spec.base.train.training
    assert not spec.evaluation.inherit
