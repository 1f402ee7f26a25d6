"""Data sets that cannot be used: one clear error, and once it is fixed the search continues."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.commands import read_json, run, run_until
from tests.e2e.data_sets import (
    digits_manifest,
    edit_json,
    make_digits,
    write_json,
    write_manifest,
)
from tests.e2e.search_folder import SearchFolder

Document = dict[str, Any]


@pytest.fixture
def search(tmp_path: Path) -> SearchFolder:
    """A search on a few images that has not begun."""
    make_digits(tmp_path, canvases=4)
    manifest = digits_manifest()
    manifest["spec"]["dataset"]["source"]["directory"] = "digits"
    return SearchFolder(write_manifest(tmp_path, manifest), tmp_path / "store")


def crowds_only(document: Document) -> None:
    for box in document["annotations"]:
        box["iscrowd"] = 1


def with_another_class(document: Document) -> None:
    document["categories"][2]["name"] = "zebra"


def no_json(data: Path) -> None:
    (data / "train.json").write_text('{"images": [')


def no_boxes(data: Path) -> None:
    edit_json(data / "val.json", crowds_only)


def other_classes(data: Path) -> None:
    edit_json(data / "val.json", with_another_class)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (no_json, ("train.json is no JSON", "give a COCO annotation file")),
        (no_boxes, ("val.json holds no box that can be learnt", "annotate some objects")),
        (other_classes, ("different categories", "zebra", "the same list of ids and names")),
    ],
)
def test_run_with_wrong_annotations_ends_with_the_reason(
    search: SearchFolder, spoil: Callable[[Path], None], said: tuple[str, ...]
) -> None:
    spoil(search.manifest.parent / "digits")
    done = run("run", search.manifest, "--store", search.store)
    assert done.returncode == 1
    assert "error: preparing the data failed" in done.stderr
    for words in said:
        assert words in " ".join(done.stderr.split())
    assert "Traceback" not in done.stdout + done.stderr
    assert not (search.path / "base").exists()
    status = read_json("status", search.path)
    assert status["phase"] == "Failed"
    assert said[0] in status["problem"]


def test_run_names_broken_images_and_continues_once_restored(
    search: SearchFolder, tmp_path: Path
) -> None:
    images = sorted((tmp_path / "digits" / "images" / "train").iterdir())
    missing, cut = images[0].read_bytes(), images[1].read_bytes()
    images[0].unlink()
    images[1].write_bytes(cut[: len(cut) // 2])
    done = run("run", search.manifest, "--store", search.store)
    assert done.returncode == 1
    assert "2 annotated images cannot be used" in done.stderr
    assert f"{images[0]}: missing" in done.stderr
    assert f"{images[1]}: cannot be read" in done.stderr

    images[0].write_bytes(missing)
    images[1].write_bytes(cut)
    output = run_until(
        lambda: any(search.store.glob("*/searches/*/base/attempts")),
        *("run", search.manifest, "--store", search.store),
        log=tmp_path / "again.txt",
    )
    assert search.record("prepare/result.json")["outcome"] == "Succeeded"
    assert "the same command continues from here" in " ".join(output.split())


def test_validate_refuses_absent_annotations(search: SearchFolder) -> None:
    (search.manifest.parent / "digits" / "val.json").unlink()
    done = run("validate", search.manifest)
    assert done.returncode == 2
    assert "spec.dataset.val" in done.stderr
    assert "give a COCO JSON file" in " ".join(done.stderr.split())


def test_run_of_a_misspelt_manifest_creates_nothing(search: SearchFolder) -> None:
    manifest = digits_manifest()
    manifest["spec"]["search"]["trails"] = manifest["spec"]["search"].pop("trials")
    write_json(search.manifest, manifest)
    done = run("run", search.manifest, "--store", search.store)
    assert done.returncode == 2
    assert "spec.search.trails" in done.stderr
    assert not search.store.exists()
