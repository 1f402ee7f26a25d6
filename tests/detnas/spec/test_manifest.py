"""A manifest: the paper's defaults, and a table of wrong ones with what the user is told."""

from decimal import Decimal

import pytest
import yaml

from detnas.architecture import encode
from detnas.cli import main
from detnas.spec import ManifestError, load_manifest, read_manifest
from tests.detnas.spec.manifests import MINIMAL, changed
from tests.detnas.spec.valid_manifests import VALID
from tests.detnas.spec.wrong_manifests import WRONG


def test_manifest_defaults_are_the_papers():
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


def test_manifest_keeps_labels_and_annotations():
    for field in ("labels", "annotations"):
        manifest = changed(f"metadata.{field}", {"team": "vision"})
        metadata = read_manifest(manifest, "test").metadata
        assert getattr(metadata, field) == {"team": "vision"}


def test_model_names_give_the_well_known_backbones():
    manifest = changed("spec.base.model", "faster-rcnn-r101-fpn")
    architecture = read_manifest(manifest, "test").spec.base.resolve()
    assert architecture.depths == (3, 4, 23, 3)
    assert encode(architecture).startswith("[(64, 64, 256)-(64, 64, 256)")


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_wrong_field_is_named_with_what_is_right(wrong, tmp_path, monkeypatch, capsys):
    path = tmp_path / "search.yaml"
    path.write_text(yaml.safe_dump(wrong.manifest))
    monkeypatch.setattr("sys.argv", ["detnas", "validate", str(path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    problems = capsys.readouterr().err.splitlines()[1:]
    assert any(wrong.field in line and wrong.said.lower() in line.lower() for line in problems), (
        problems
    )


@pytest.mark.parametrize("manifest", VALID.values(), ids=VALID.keys())
def test_valid_manifest_is_completed_idempotently(manifest, tmp_path):
    completed = read_manifest(manifest, "test")
    path = tmp_path / "search.json"
    path.write_text(completed.model_dump_json(by_alias=True, exclude_none=True))
    assert load_manifest(path) == completed


@pytest.mark.parametrize(
    ("path", "meant"), [("spec.serach", "search"), ("spec.search.topk", "topK")]
)
def test_unknown_field_names_the_closest_one(path, meant):
    with pytest.raises(ManifestError, match=f"did you mean {meant}"):
        read_manifest(changed(path, 3), "test")


@pytest.mark.parametrize(
    ("field", "value", "right"),
    [("apiVersion", "detnas.dev/v2", "detnas.dev/v1alpha1"), ("kind", "Search", "DetNASSearch")],
)
def test_document_of_another_kind_is_refused(field, value, right):
    with pytest.raises(ManifestError, match=f"{field}: .*{right}"):
        read_manifest(changed(field, value), "test")


def test_namespace_must_be_a_label():
    with pytest.raises(ManifestError, match="metadata.namespace: 'Team' is wrong; lower-case"):
        read_manifest(changed("metadata.namespace", "Team"), "test")


def test_fraction_as_number_is_shown_as_string():
    with pytest.raises(ManifestError, match='write it as a string: "0.00004"'):
        read_manifest(changed("spec.search.alpha", 4e-5), "test")


def test_integer_may_be_written_with_a_point():
    assert read_manifest(changed("spec.search.trials", 3.0), "test").spec.search.trials == 3


def test_field_without_value_is_left_out():
    for section in ("storage", "teachers", "search"):
        assert read_manifest(changed(f"spec.{section}", None), "test") == read_manifest(
            MINIMAL, "test"
        )


def test_encoding_error_names_the_position():
    manifest = changed("spec.base", {"architecture": "[(64, 64)", "train": {}})
    with pytest.raises(ManifestError, match="position 9"):
        read_manifest(manifest, "test")


def test_all_problems_are_reported_together():
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
        ("kind: A\nkind: B", "occurs twice"),
        ("? [kind]\n: A", "a key is a word"),
        ("!!python/object:os.system {}", "no valid YAML"),
    ],
)
def test_file_that_is_no_manifest_is_refused(tmp_path, text, said):
    path = tmp_path / "search.yaml"
    path.write_text(text)
    with pytest.raises(ManifestError, match=said):
        load_manifest(path)


def test_missing_manifest_file_is_named(tmp_path):
    with pytest.raises(ManifestError, match=r"nothing\.yaml"):
        load_manifest(tmp_path / "nothing.yaml")
