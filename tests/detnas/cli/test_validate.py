"""`detnas validate`: a good manifest is completed, a bad one and missing data are explained."""

from zipfile import ZipFile

import pytest
import yaml

from detnas.cli import main

MANIFEST = {
    "apiVersion": "detnas.dev/v1alpha1",
    "kind": "DetNASSearch",
    "metadata": {"name": "r50"},
    "spec": {
        "base": {"model": "faster-rcnn-r50-fpn", "train": {}},
        "dataset": {"source": {"directory": "data"}, "train": "train.json", "val": "val.json"},
    },
}


@pytest.fixture
def manifest(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    for name in ("train.json", "val.json"):
        (data / name).write_text("{}")
    path = tmp_path / "search.yaml"
    path.write_text(yaml.safe_dump(MANIFEST))
    return path


def _run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr("sys.argv", ["detnas", "validate", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        main()
    return int(caught.value.code or 0), *capsys.readouterr()


def test_the_completed_manifest_is_a_manifest_again(manifest, monkeypatch, capsys):
    code, out, _ = _run(monkeypatch, capsys, manifest, "-o", "yaml")
    assert code == 0
    assert yaml.safe_load(out)["spec"]["search"]["topK"] == 5
    manifest.write_text(out)
    assert _run(monkeypatch, capsys, manifest)[0] == 0


def test_a_typing_error_is_named_with_the_field_meant(manifest, monkeypatch, capsys):
    manifest.write_text(manifest.read_text().replace("train.json", "train.json\n    valu: x"))
    code, _, err = _run(monkeypatch, capsys, manifest)
    assert code == 2
    assert "spec.dataset.valu: unknown field, given as 'x'; did you mean val?" in err


def test_brackets_in_a_path_are_text(manifest, monkeypatch, capsys):
    folder = manifest.parent / "["
    folder.mkdir()
    odd = (folder / "red].yaml").absolute()
    (folder / "data").symlink_to(manifest.parent / "data")
    odd.write_text(manifest.read_text())
    code, out, _ = _run(monkeypatch, capsys, odd)
    assert code == 0
    assert f"{odd} is valid" in out, "a name is never broken"


def test_weights_of_the_base_that_are_missing_or_no_checkpoint_are_named(
    manifest, monkeypatch, capsys
):
    weights = manifest.parent / "base.pth"
    manifest.write_text(manifest.read_text().replace("train: {}", "weights: base.pth"))
    code, _, err = _run(monkeypatch, capsys, manifest)
    assert code == 2
    assert f"spec.base.weights: {weights} does not exist" in err
    weights.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    code, _, err = _run(monkeypatch, capsys, manifest)
    assert code == 2
    assert f"spec.base.weights: {weights} is a pointer of Git LFS" in err
    assert "git lfs pull" in err
    with ZipFile(weights, "w") as archive:
        archive.writestr("base/data.pkl", b"")
    assert _run(monkeypatch, capsys, manifest)[0] == 0


@pytest.mark.parametrize("source", ["directory: data", "s3: s3://nosuch/data"])
def test_weights_at_a_url_are_refused(manifest, source, monkeypatch, capsys):
    text = manifest.read_text().replace("directory: data", source)
    manifest.write_text(text.replace("train: {}", "weights: https://example.com/r50.pth"))
    code, _, err = _run(monkeypatch, capsys, manifest)
    assert code == 2
    assert "spec.base.weights: a https:// address is not supported; download the check" in err


@pytest.mark.parametrize("name", ["train.json", "val.json"])
def test_a_missing_annotation_file_is_named(manifest, name, monkeypatch, capsys):
    (manifest.parent / "data" / name).unlink()
    code, _, err = _run(monkeypatch, capsys, manifest)
    assert code == 2
    assert f"spec.dataset.{name.removesuffix('.json')}" in err
    assert name in err


def test_a_manifest_for_a_cluster_is_valid_here_but_does_not_run(manifest, monkeypatch, capsys):
    manifest.write_text(manifest.read_text().replace("directory: data", "s3: s3://data/coco"))
    assert _run(monkeypatch, capsys, manifest)[0] == 0

    monkeypatch.chdir(manifest.parent)
    monkeypatch.setattr("sys.argv", ["detnas", "run", str(manifest)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "spec.dataset.source.directory: missing" in capsys.readouterr().err
    assert not (manifest.parent / "runs").exists()


@pytest.mark.parametrize("form", ["table", "json"])
def test_what_is_not_looked_at_is_named(manifest, form, monkeypatch, capsys):
    given = yaml.safe_load(manifest.read_text())
    given["spec"]["base"]["weights"] = "base.pth"  # in the data set, as a pod sees it
    given["spec"]["dataset"]["source"] = {"s3": "s3://nosuch/data"}
    given["spec"]["teachers"] = {"pool": "s3://nosuch/local/pools/0123"}
    given["spec"]["warmStart"] = {"from": "nosuch"}
    manifest.write_text(yaml.safe_dump(given))
    code, out, err = _run(monkeypatch, capsys, manifest, "-o", form)
    assert code == 0
    assert "not checked" not in out, "the output is the manifest"
    assert err.splitlines() == [
        "not checked: spec.dataset.source.s3, whether s3://nosuch/data is there",
        "not checked: spec.base.weights, whether base.pth is there",
        "not checked: spec.teachers.pool, whether s3://nosuch/local/pools/0123 is there",
        "not checked: spec.warmStart.from, whether nosuch is there",
    ]


def test_of_a_volume_the_claim_is_named_and_of_a_folder_nothing(manifest, monkeypatch, capsys):
    assert _run(monkeypatch, capsys, manifest)[2] == ""
    source = "persistentVolumeClaim: {claimName: coco, path: '2017'}"
    manifest.write_text(manifest.read_text().replace("directory: data", source))
    said = _run(monkeypatch, capsys, manifest)[2]
    assert "spec.dataset.source.persistentVolumeClaim, whether claim coco with 2017" in said
