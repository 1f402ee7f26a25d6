"""A manifest: the paper's defaults, and a table of wrong ones with what the user is told."""

import copy
from decimal import Decimal
from typing import Any

import pytest
import yaml

from detnas.architecture import encode
from detnas.spec import ManifestError, load_manifest, read_manifest

MINIMAL: dict[str, Any] = {
    "apiVersion": "detnas.dev/v1alpha1",
    "kind": "DetNASSearch",
    "metadata": {"name": "r50"},
    "spec": {
        "base": {"model": "faster-rcnn-r50-fpn", "train": {"epochs": 24}},
        "dataset": {
            "source": {"directory": "coco"},
            "train": "annotations/instances_train2017.json",
            "val": "annotations/instances_val2017.json",
        },
    },
}


def changed(path: str, value: object) -> dict:
    """MINIMAL with one field set; a value of ... removes it."""
    manifest = copy.deepcopy(MINIMAL)
    *parents, last = path.split(".")
    target = manifest
    for part in parents:
        target = target.setdefault(part, {})
    if value is ...:
        del target[last]
    else:
        target[last] = value
    return manifest


def test_every_default_is_the_papers():
    spec = read_manifest(MINIMAL, "test").spec
    assert [str(r) for r in spec.resolutions] == ["512x512", "800x600", "1080x720", "1333x800"]
    assert str(spec.base_resolution) == "1333x800"
    search = spec.search
    assert (search.trials, search.top_k, search.warmup_trials) == (100, 5, 5)
    assert (search.alpha, search.beta) == (Decimal("0.4"), Decimal("0.8"))
    evaluation = spec.evaluation
    assert (evaluation.epochs, evaluation.batch_size) == (3, 4)
    assert (evaluation.learning_rate, evaluation.schedule) == (Decimal("0.01"), "Cosine")
    phases = spec.teachers.phases
    assert [(p.epochs, str(p.learning_rate)) for p in phases] == [
        (48, "0.12"),
        (24, "0.04"),
        (36, "0.04"),
    ]
    assert spec.teachers.batch_size == 64
    assert spec.teachers.space.count(len(spec.resolutions)) == 769_824
    assert spec.teachers.phase_space(0).count() == 1
    first = spec.teachers.phase_space(1)
    assert (first.min_depths, first.widths) == ((3, 4, 12, 3), (Decimal("1.25"), Decimal("1.5")))
    assert spec.teachers.phase_space(2) == spec.teachers.space
    assert spec.distillation.bn_weight == Decimal("0.00001")
    assert spec.teachers.distillation.bn_weight == 0


def test_labels_and_annotations_are_carried():
    for field in ("labels", "annotations"):
        manifest = changed(f"metadata.{field}", {"team": "vision"})
        metadata = read_manifest(manifest, "test").metadata
        assert getattr(metadata, field) == {"team": "vision"}


def test_models_are_the_well_known_backbones():
    manifest = changed("spec.base.model", "faster-rcnn-r101-fpn")
    architecture = read_manifest(manifest, "test").spec.base.resolve()
    assert architecture.depths == (3, 4, 23, 3)
    assert encode(architecture).startswith("[(64, 64, 256)-(64, 64, 256)")


WRONG = {
    "another api version": ("apiVersion", "detnas.dev/v2", "apiVersion", "detnas.dev/v1alpha1"),
    "another kind": ("kind", "Search", "kind", "DetNASSearch"),
    "no name": ("metadata.name", ..., "metadata.name", "required"),
    "a name in capitals": ("metadata.name", "R50", "metadata.name", "'R50' is wrong; lower-case"),
    "a name too long": ("metadata.name", "a" * 49, "metadata.name", "at most 48"),
    "a typing error": ("spec.serach", {}, "spec.serach", "did you mean search?"),
    "an unknown inner field": ("spec.search.topk", 3, "spec.search.topk", "did you mean topK?"),
    "no base": ("spec.base", ..., "spec.base", "required"),
    "neither model nor encoding": ("spec.base.model", ..., "spec.base", "model or architecture"),
    "an unknown model": ("spec.base.model", "r50", "spec.base.model", "faster-rcnn-r50-fpn"),
    "nothing to train from": ("spec.base.train", ..., "spec.base", "weights"),
    "no epochs": ("spec.base.train.epochs", 0, "spec.base.train.epochs", "greater than or equal"),
    "no data set": ("spec.dataset", ..., "spec.dataset", "required"),
    "empty path": ("spec.dataset.train", "", "spec.dataset.train", "at least 1 character"),
    "flip above one": ("spec.dataset.horizontalFlip", "1.5", "horizontalFlip", "less than or"),
    "no resolution": ("spec.resolutions", [], "spec.resolutions", "at least 1"),
    "a resolution in words": ("spec.resolutions", ["big"], "spec.resolutions[0]", "1333x800"),
    "a resolution of zero": ("spec.resolutions", ["0x9"], "spec.resolutions[0]", "1333x800"),
    "the same resolution twice": ("spec.resolutions", ["8x8", "8x8"], "spec", "8x8 is listed"),
    "three depths": ("spec.teachers.depths", {"min": [2, 2, 2]}, "depths.min", "required"),
    "depths upside down": ("spec.teachers.depths", {"min": [9, 9, 9, 9]}, "teachers", "maxDepths"),
    "widths falling": ("spec.teachers.widths", ["1.5", "1.0"], "teachers", "rising order"),
    "a phase outside": (
        "spec.teachers.phases",
        [{"epochs": 1, "learningRate": "1"}, {"epochs": 1, "learningRate": "1", "widths": ["2"]}],
        "spec.teachers",
        "phases[1]",
    ),
    "no trials": ("spec.search.trials", 0, "spec.search.trials", "greater than or equal to 1"),
    "trials as text": ("spec.search.trials", "3", "spec.search.trials", "valid integer"),
    "trials as truth": ("spec.search.trials", True, "spec.search.trials", "valid integer"),
    "a label that is no text": ("metadata.labels", {"team": 1}, "metadata.labels", "string"),
    "half a trial": ("spec.search.trials", 2.5, "spec.search.trials", "integer"),
    "an unknown strategy": ("spec.search.strategy", "Random", "spec.search.strategy", "'Joint'"),
    "pruning everything": (
        "spec.search.actions.channelFraction",
        "1",
        "spec.search.actions.channelFraction",
        "less than 1",
    ),
    "a learning rate of zero": ("spec.evaluation.learningRate", "0", "learningRate", "greater"),
    "a learning rate in words": ("spec.evaluation.learningRate", "fast", "learningRate", "'fast'"),
    "an unknown schedule": ("spec.evaluation.schedule", "Linear", "schedule", "'Cosine'"),
    "a folder for an address": ("spec.storage", {"uri": "/d"}, "storage.uri", "file:///folder"),
    "a resolution as numbers": ("spec.resolutions", [[8, 8]], "resolutions[0]", "WIDTHxHEIGHT"),
    "another file system": ("spec.storage", {"uri": "gs://b"}, "spec.storage.uri", "s3://"),
}


@pytest.mark.parametrize(("path", "value", "field", "said"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_field_is_named_with_its_value_and_what_would_be_right(path, value, field, said):
    with pytest.raises(ManifestError) as caught:
        read_manifest(changed(path, value), "search.yaml")
    assert any(field in p.path and said in p.message for p in caught.value.problems), caught.value


def test_an_encoding_error_names_the_position():
    manifest = changed("spec.base", {"architecture": "[(64, 64)", "train": {}})
    with pytest.raises(ManifestError, match="position 9"):
        read_manifest(manifest, "test")


def test_every_problem_is_reported_at_once():
    manifest = changed("spec.search.trials", 0)
    manifest["spec"]["search"]["topK"] = 0
    with pytest.raises(ManifestError) as caught:
        read_manifest(manifest, "test")
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "no valid YAML"),
        ("- 1", "list found"),
        ("", "0 documents"),
        ("a: 1\n---\nb: 2", "2 documents"),
        ("kind: A\nkind: B", "stands twice"),
        ("? [kind]\n: A", "a key is a word"),
        ("!!python/object:os.system {}", "no valid YAML"),
    ],
)
def test_a_file_that_is_no_manifest_is_refused(tmp_path, text, said):
    path = tmp_path / "search.yaml"
    path.write_text(text)
    with pytest.raises(ManifestError, match=said):
        load_manifest(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ManifestError, match=r"nothing\.yaml"):
        load_manifest(tmp_path / "nothing.yaml")


def test_yaml_round_trip(tmp_path):
    path = tmp_path / "search.yaml"
    path.write_text(yaml.safe_dump(MINIMAL))
    manifest = load_manifest(path)
    path.write_text(manifest.model_dump_json(by_alias=True, exclude_none=True))
    assert load_manifest(path) == manifest
