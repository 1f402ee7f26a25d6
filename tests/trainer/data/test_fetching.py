"""Data sets that lie in a store, real S3 among them."""

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from detnas.own_data.coco_json import DataError
from detnas.records.settings import DataLocation
from detnas.store import Store, open_store
from detnas.store.durable_files import sha256_of
from detnas_trainer.data.fetching import DataFetcher, folder_of, is_in_store
from tests.seaweed import S3Server
from tests.trainer.conftest import edit_json


@pytest.fixture
def remote(own_data: DataLocation) -> Store:
    """A store that holds the tiny data set."""
    return open_store(Path(own_data.root).as_uri())


def _fetch(
    store: Store,
    location: DataLocation,
    folder: Path,
    watch: Callable[[int, int], None] = lambda done, total: None,
    **digests: str,
) -> list[str]:
    return DataFetcher(store, location, folder, watch).fetch(("train", "val"), digests)  # type: ignore[arg-type]


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_only_a_uri_is_in_a_store(own_data: DataLocation, tmp_path: Path) -> None:
    assert not is_in_store(own_data)
    there = own_data.model_copy(update={"root": "s3://data/coco"})
    assert is_in_store(there)
    same = there.model_copy(update={"root": "s3://data/coco/"})
    other = there.model_copy(update={"root": "s3://data/voc"})
    assert folder_of(there, tmp_path) == folder_of(same, tmp_path) != folder_of(other, tmp_path)


def test_fetch_brings_exactly_the_annotated_images(
    remote: Store, own_data: DataLocation, tmp_path: Path
) -> None:
    (Path(own_data.root) / "train" / "private.png").write_bytes(b"not listed")
    told: list[tuple[int, int]] = []
    here = tmp_path / "here"
    missing = _fetch(remote, own_data, here, lambda done, total: told.append((done, total)))
    assert missing == []
    expected = _files(Path(own_data.root))
    del expected["train/private.png"]
    assert _files(here) == expected
    assert told[-1] == (5, 5)


def test_fetch_from_a_real_server_replaces_damaged_and_names_missing_images(
    s3_environment: S3Server, own_data: DataLocation, tmp_path: Path
) -> None:
    store = open_store(f"s3://{s3_environment.bucket}/fetching")
    for name, content in _files(Path(own_data.root)).items():
        store.put(name, content)
    here = tmp_path / "here"
    assert _fetch(store, own_data, here) == []
    assert _files(here) == _files(Path(own_data.root))
    store.delete("train/1.png")
    (here / "val" / "0.png").write_bytes(b"cut short")
    assert _fetch(store, own_data, here) == ["train/1.png"]
    assert (here / "val" / "0.png").read_bytes() == store.get("val/0.png").data  # type: ignore[union-attr]
    assert not (here / "train" / "1.png").exists()


@pytest.mark.parametrize("composed", [True, False])
def test_accented_names_are_fetched_in_either_unicode_form(
    own_data: DataLocation, tmp_path: Path, remote: Store, composed: bool
) -> None:
    listed, stored = "\u00e9.png", "e\u0301.png"
    if not composed:
        listed, stored = stored, listed
    path = Path(own_data.root) / "train.json"
    edit_json(path, lambda document: document["images"][0].update(file_name=listed))
    folder = Path(own_data.root) / "train"
    (folder / "0.png").rename(folder / stored)
    here = tmp_path / "here"
    for _ in range(2):
        assert _fetch(remote, own_data, here) == []
        assert (here / "train" / listed).read_bytes() == (folder / stored).read_bytes()


def test_fetch_leaves_too_deeply_nested_annotations_to_the_reader(
    own_data: DataLocation, tmp_path: Path, remote: Store
) -> None:
    (Path(own_data.root) / "train.json").write_text("[" * 100_000)
    assert _fetch(remote, own_data, tmp_path / "here") == []


def test_stopped_fetch_continues_where_it_was(
    remote: Store, own_data: DataLocation, tmp_path: Path
) -> None:
    class StopError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done:
            raise StopError

    here = tmp_path / "here"
    with pytest.raises(StopError):
        _fetch(remote, own_data, here, stop)
    images = list(here.glob("*/*.png"))
    assert images
    for path in images:
        path.write_bytes(b"x" * path.stat().st_size)  # to be recognised: the size is kept
    assert _fetch(remote, own_data, here) == []
    assert all(path.read_bytes()[:1] == b"x" for path in images)
    assert len(list(here.glob("*/*.png"))) == 5


def test_fetch_keeps_annotations_of_a_known_digest_only(
    remote: Store, own_data: DataLocation, tmp_path: Path
) -> None:
    here = tmp_path / "here"
    train = Path(own_data.root) / "train.json"
    before = sha256_of(train)
    _fetch(remote, own_data, here)
    train.write_text(train.read_text().replace('"iscrowd": 0', '"iscrowd": 1'))  # the same size
    _fetch(remote, own_data, here, train=before)
    assert sha256_of(here / "train.json") == before
    _fetch(remote, own_data, here)
    assert sha256_of(here / "train.json") == sha256_of(train) != before


@pytest.mark.parametrize(
    "name", ["../../outside.png", "/etc/passwd", "a/../../b.png", "a\\b.png", "a//b.png", "b\n.png"]
)
def test_names_that_leave_the_folder_are_refused_before_any_image_is_fetched(
    remote: Store, own_data: DataLocation, tmp_path: Path, name: str
) -> None:
    path = Path(own_data.root) / "val.json"
    edit_json(path, lambda document: document["images"][-1].update(file_name=name))
    here = tmp_path / "deep" / "here"
    with pytest.raises(DataError, match="val: file_name .* of val.json is not allowed"):
        _fetch(remote, own_data, here)
    assert sorted(_files(tmp_path / "deep")) == ["here/train.json", "here/val.json"]


@pytest.mark.parametrize(
    "changes", [{"train": "../train.json"}, {"train": "/train.json"}, {"train_images": "../x"}]
)
def test_location_outside_the_root_is_refused(
    remote: Store, own_data: DataLocation, tmp_path: Path, changes: dict[str, str]
) -> None:
    with pytest.raises(DataError, match="train: .* is not allowed"):
        _fetch(remote, own_data.model_copy(update=changes), tmp_path / "here")


def test_missing_annotations_are_named_by_their_uri(
    remote: Store, own_data: DataLocation, tmp_path: Path
) -> None:
    (Path(own_data.root) / "val.json").unlink()
    with pytest.raises(DataError, match=f"val: {remote.uri}/val.json does not exist"):
        _fetch(remote, own_data, tmp_path / "here")


def test_fetch_leaves_other_files_to_the_reader(
    remote: Store, own_data: DataLocation, tmp_path: Path
) -> None:
    (Path(own_data.root) / "val.json").write_text("[]")
    shutil.rmtree(Path(own_data.root) / "val")
    assert _fetch(remote, own_data, tmp_path / "here") == []
    assert len(list((tmp_path / "here").glob("*/*.png"))) == 3


@pytest.mark.parametrize("verb", ["size", "get"])
def test_fetch_from_a_hanging_store_can_be_stopped(
    remote: Store,
    own_data: DataLocation,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    verb: str,
) -> None:
    answer = threading.Event()
    monkeypatch.setattr(remote, verb, lambda key: answer.wait(60))
    looks = iter(range(3))

    def stop(done: int, total: int) -> None:
        next(looks)

    asked = time.monotonic()
    with pytest.raises(StopIteration):
        _fetch(remote, own_data, tmp_path / "here", stop)
    answer.set()
    assert time.monotonic() - asked < 30
