"""`detnas validate`: a good manifest is completed, a bad one and missing data are explained."""

import json
from zipfile import ZipFile

import pytest
import yaml

from detnas import __version__
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


def annotations(images, side=100):
    """Content of a file with an object in every image of 800x800."""
    return {
        "images": [{"id": n, "width": 800, "height": 800} for n in range(images)],
        "annotations": [{"image_id": n, "bbox": [0, 0, side, side]} for n in range(images)],
    }


@pytest.fixture
def manifest(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    for name in ("train.json", "val.json"):
        (data / name).write_text(json.dumps(annotations(10_000)))
    path = tmp_path / "search.yaml"
    path.write_text(yaml.safe_dump(MANIFEST))
    return path


def _run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr("sys.argv", ["detnas", "validate", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        main()
    return int(caught.value.code or 0), *capsys.readouterr()


def test_validate_prints_a_manifest_that_is_valid_again(manifest, monkeypatch, capsys):
    code, out, _ = _run(monkeypatch, capsys, manifest, "-o", "yaml")
    assert code == 0
    assert yaml.safe_load(out)["spec"]["search"]["topK"] == 5
    manifest.write_text(out)
    assert _run(monkeypatch, capsys, manifest)[0] == 0


def test_validate_names_the_field_that_was_meant(manifest, monkeypatch, capsys):
    manifest.write_text(manifest.read_text().replace("train.json", "train.json\n    valu: x"))
    code, _, err = _run(monkeypatch, capsys, manifest)
    assert code == 2
    assert "spec.dataset.valu: unknown field, given as 'x'; did you mean val?" in err


def test_validate_prints_brackets_in_a_path_as_text(manifest, monkeypatch, capsys):
    folder = manifest.parent / "["
    folder.mkdir()
    odd = (folder / "red].yaml").absolute()
    (folder / "data").symlink_to(manifest.parent / "data")
    odd.write_text(manifest.read_text())
    code, out, _ = _run(monkeypatch, capsys, odd)
    assert code == 0
    assert f"{odd} is valid" in out, "a name is never broken"


def test_validate_names_missing_or_wrong_base_weights(manifest, monkeypatch, capsys):
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


def test_validate_names_missing_backbone_weights(manifest, monkeypatch, capsys):
    text = manifest.read_text().replace("train: {}", "backboneWeights: r50.pth\n    train: {}")
    manifest.write_text(text)
    code, _, err = _run(monkeypatch, capsys, manifest)
    assert code == 2
    assert f"spec.base.backboneWeights: {manifest.parent / 'r50.pth'} does not exist" in err


@pytest.mark.parametrize("source", ["directory: data", "s3: s3://nosuch/data"])
def test_validate_refuses_weights_at_a_url(manifest, source, monkeypatch, capsys):
    text = manifest.read_text().replace("directory: data", source)
    manifest.write_text(text.replace("train: {}", "weights: https://example.com/r50.pth"))
    code, _, err = _run(monkeypatch, capsys, manifest)
    assert code == 2
    assert "spec.base.weights: https:// addresses are not supported; download the check" in err


@pytest.mark.parametrize("name", ["train.json", "val.json"])
def test_validate_names_a_missing_annotation_file(manifest, name, monkeypatch, capsys):
    (manifest.parent / "data" / name).unlink()
    code, _, err = _run(monkeypatch, capsys, manifest)
    assert code == 2
    assert f"spec.dataset.{name.removesuffix('.json')}" in err
    assert name in err


def test_manifest_for_a_cluster_is_valid_but_does_not_run_here(manifest, monkeypatch, capsys):
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
def test_validate_names_what_it_does_not_check(manifest, form, monkeypatch, capsys):
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


def test_validate_names_an_unchecked_claim_but_no_folder(manifest, monkeypatch, capsys):
    assert _run(monkeypatch, capsys, manifest)[2] == ""
    source = "persistentVolumeClaim: {claimName: coco, path: '2017'}"
    manifest.write_text(manifest.read_text().replace("directory: data", source))
    said = _run(monkeypatch, capsys, manifest)[2]
    assert "spec.dataset.source.persistentVolumeClaim, whether claim coco with 2017" in said


@pytest.mark.parametrize("form", ["table", "json"])
def test_validate_warns_if_manifest_does_not_fit_data(manifest, form, monkeypatch, capsys):
    for name, content in (("train", annotations(150, side=10)), ("val", annotations(40))):
        (manifest.parent / "data" / f"{name}.json").write_text(json.dumps(content))
    code, out, err = _run(monkeypatch, capsys, manifest, "-o", form)
    assert code == 0, "a warning refuses nothing"
    assert "warning" not in out, "the output is the manifest"
    lines = err.splitlines()
    assert all(line.startswith("warning: spec.") for line in lines)
    for said in (
        "spec.base.train.warmupIterations: 500, but the whole training of the base has 225 steps",
        "spec.teachers.warmupIterations: 500, but the whole training of phase 1 of the pool has",
        "spec.evaluation: 3 epochs of 150 images in batches of 4 are 113 steps a trial",
        "spec.detector.anchorScale: the smallest anchor, 8 × 4 = 32 pixels, is larger than every",
        "spec.dataset.val: 40 images can tell mAP only to about ±7.9 points",
    ):
        assert sum(said in line for line in lines) == 1, said


BROKEN = {
    "no json": b"{",
    "another text encoding": "{}".encode("utf-16")[:3],
    "a list": b"[]",
    "no images": b"{}",
    "images that are none": b'{"images": [1], "annotations": [2]}',
    "sizes as text": b'{"images": [{"id": 1, "width": "8", "height": "8"}]}',
    "no size": b'{"images": [{"id": 1, "width": 0, "height": 8}]}',
    "an unknown image": b'{"images": [], "annotations": [{"image_id": 3, "bbox": [1, 1, 1, 1]}]}',
    "a box of text": b'{"images": [{"id": 1, "width": 8, "height": 8}], '
    b'"annotations": [{"image_id": 1, "bbox": ["1", "1", "1", "1"]}]}',
    "a huge number": b'{"images": [{"id": 1, "width": 8, "height": 8}], '
    b'"annotations": [{"image_id": 1, "bbox": [0, 0, 1%s, 1]}]}' % (b"0" * 400),
    "nested too deep": b"[" * 100_000,
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_validate_accepts_a_broken_annotation_file(manifest, content, monkeypatch, capsys):
    path = manifest.parent / "data" / "train.json"
    path.write_bytes(content)
    code, out, err = _run(monkeypatch, capsys, manifest)
    assert code == 0
    assert "is valid" in out
    (line,) = err.splitlines()
    assert line.startswith("not checked: spec.dataset.train, whether the manifest fits it")
    assert str(path) in line


def test_validate_reads_annotations_with_a_byte_order_mark(manifest, monkeypatch, capsys):
    path = manifest.parent / "data" / "train.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert _run(monkeypatch, capsys, manifest)[2] == ""


def test_validate_refuses_gpus_that_cannot_share_a_batch(manifest, monkeypatch, capsys):
    content = yaml.safe_load(manifest.read_text())
    content["spec"]["evaluation"] = {"gpus": 4, "batchSize": 6}
    manifest.write_text(yaml.safe_dump(content))
    code, _, err = _run(monkeypatch, capsys, manifest)
    assert code == 2
    assert "spec.evaluation.gpus: a batch of 6 images cannot be shared out equally over 4" in err


@pytest.mark.parametrize(
    ("jobs", "warned"),
    [
        ({}, "spec.dataset.source names only a folder"),
        ({"priorityClassName": "system-node-critical"}, "spec.jobs.priorityClassName: system-node"),
        ({"pool": {"priorityClassName": "system-x"}}, "spec.jobs.pool.priorityClassName: system-x"),
        (
            {"resources": {"extended": {"nvidia.com/gpu": "1"}}},
            "spec.jobs.resources.extended: nvidia.com/gpu is refused",
        ),
    ],
)
def test_validate_warns_of_what_a_cluster_refuses(manifest, jobs, warned, monkeypatch, capsys):
    document = yaml.safe_load(manifest.read_text())
    document["spec"]["jobs"] = jobs
    manifest.write_text(yaml.safe_dump(document))
    code, _, err = _run(monkeypatch, capsys, manifest)
    assert code == 0
    assert f"warning: {warned}" in err


def test_validate_warns_of_no_cluster_for_one_machine(manifest, monkeypatch, capsys):
    assert "cluster" not in _run(monkeypatch, capsys, manifest)[2]


def test_version_option_prints_the_version(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["detnas", "--version"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert not caught.value.code
    assert capsys.readouterr().out == f"detnas {__version__}\n"
