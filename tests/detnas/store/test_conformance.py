"""What every store promises, checked on a folder and on a real S3 server."""

from collections.abc import Callable
from pathlib import Path

import pytest

from detnas.store import Store, open_store
from detnas.store.errors import AlreadyExists, InvalidKey, NotFound, VersionConflict
from tests.stored import content


def test_absent_objects_are_none_or_not_found(store: Store, tmp_path: Path) -> None:
    store.put("a/b", b"1")
    for key in ("nothing", "a", "a/b/c", "a/c"):
        assert store.get(key) is None
        assert store.size(key) is None
        with pytest.raises(NotFound, match=f"{store.uri}/{key}"):
            store.download_file(key, tmp_path / "got")
    assert not (tmp_path / "got").exists()
    store.delete("nothing")
    store.delete("a/c")
    assert list(store.list("a/")) == ["a/b"]


@pytest.mark.parametrize("data", [b"", b"\x00\xff" * 100, b"x" * 9_000_000])
def test_get_returns_the_bytes_that_were_put(store: Store, data: bytes) -> None:
    store.put("folder/name.bin", data)
    stored = store.get("folder/name.bin")
    assert stored is not None
    assert stored.data == data
    assert store.size("folder/name.bin") == len(data)
    again = open_store(store.uri).get("folder/name.bin")
    assert again == stored


def test_put_replaces_an_object(store: Store) -> None:
    store.put("progress.json", b"a longer first text")
    store.put("progress.json", b"second")
    assert content(store, "progress.json") == b"second"


def test_put_if_absent_keeps_the_first_object(store: Store) -> None:
    store.put_if_absent("a/result.json", b"first")
    store.put_if_absent("a/result.json", b"first")  # its answer was lost: success
    with pytest.raises(AlreadyExists, match=f"{store.uri}/a/result.json"):
        store.put_if_absent("a/result.json", b"other")
    assert content(store, "a/result.json") == b"first"


def test_put_if_match_replaces_the_read_version_only(store: Store) -> None:
    version = put_and_read(store, "claim.json", b"one")
    store.put_if_match("claim.json", b"two", version)
    store.put_if_match("claim.json", b"two", version)  # its answer was lost: success
    with pytest.raises(VersionConflict, match="claim.json"):
        store.put_if_match("claim.json", b"three", version)
    assert content(store, "claim.json") == b"two"


def test_folders_yields_names_without_their_objects(store: Store) -> None:
    for key in ("b/x/1", "b/x/2", "b/a/deep/3", "b/file", "c/4", "b-c/5"):
        store.put(key, b"")
    assert list(store.folders("b/")) == ["a", "x"]
    assert list(store.folders("")) == ["b", "b-c", "c"]
    assert list(store.folders("nothing/")) == []


def test_copy_survives_deletion_of_the_original(store: Store) -> None:
    store.put("one/weights file", b"w" * 9_000_000)
    store.copy("one/weights file", "two/weights")
    store.delete("one/weights file")
    assert content(store, "two/weights") == b"w" * 9_000_000
    with pytest.raises(NotFound, match="one/weights file"):
        store.copy("one/weights file", "three")
    assert store.size("three") is None


def test_put_if_match_of_a_deleted_object_conflicts(store: Store) -> None:
    version = put_and_read(store, "claim.json", b"one")
    store.delete("claim.json")
    with pytest.raises(VersionConflict):
        store.put_if_match("claim.json", b"two", version)
    assert store.get("claim.json") is None


def test_list_is_sorted_and_below_the_folder_only(store: Store) -> None:
    keys = ["a-b", "a/b/1", "a/b/10", "a/b/2/x", "a/bc", "a.json", "b", "é/ü ö+%.txt"]
    for key in reversed(keys):
        store.put(key, key.encode())
    store.probe()  # what a store keeps for itself is not listed
    assert list(store.list("")) == sorted(keys)
    assert list(store.list("a/b/")) == ["a/b/1", "a/b/10", "a/b/2/x"]
    assert list(store.list("nothing/")) == []
    assert list(store.list("b/")) == []
    assert all(content(store, key) == key.encode() for key in keys)


def test_delete_removes_one_object(store: Store) -> None:
    store.put("a/b/c", b"1")
    store.put("a/d", b"2")
    store.delete("a/b/c")
    assert store.get("a/b/c") is None
    assert list(store.list("")) == ["a/d"]
    store.put_if_absent("a/b/c", b"new")
    assert content(store, "a/b/c") == b"new"


@pytest.mark.parametrize("size", [0, 1000, 20 << 20])
def test_uploaded_file_is_downloaded_unchanged(store: Store, tmp_path: Path, size: int) -> None:
    block = bytes(range(256)) * 4
    origin = tmp_path / "weights.safetensors"
    origin.write_bytes(block * (size // len(block)) + b"end")
    store.upload_file("w/weights.safetensors", origin)
    assert store.size("w/weights.safetensors") == origin.stat().st_size
    target = tmp_path / "new folder" / "got"
    target.parent.mkdir()
    target.write_bytes(b"what was there before")
    store.download_file("w/weights.safetensors", target)
    assert target.read_bytes() == origin.read_bytes()
    assert [path.name for path in target.parent.iterdir()] == ["got"]


def test_upload_of_a_missing_file_raises_not_found(store: Store, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="missing.bin"):
        store.upload_file("a/b", tmp_path / "missing.bin")
    assert store.get("a/b") is None


REFUSED_KEYS = ["", "/a", "a/", "a//b", "../a", "a/../b", "a/..", "./a", "a\\b", "a\nb", "a\0"]
TOO_LONG_KEYS = ["x" * 256, "y/" * 500 + "y"]


def test_invalid_keys_are_refused_by_every_verb(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"1")
    verbs: list[Callable[[str], object]] = [
        store.get,
        store.delete,
        store.size,
        lambda key: store.put(key, b""),
        lambda key: store.put_if_absent(key, b""),
        lambda key: store.put_if_match(key, b"", "0"),
        lambda key: store.upload_file(key, tmp_path / "file"),
        lambda key: store.download_file(key, tmp_path / "got"),
    ]
    for key in REFUSED_KEYS + TOO_LONG_KEYS:
        for verb in verbs:
            with pytest.raises(InvalidKey, match="store key"):
                verb(key)
    for prefix in ("/", "a", "../", "a/../", "//"):
        with pytest.raises(InvalidKey):
            list(store.list(prefix))
    assert list(store.list("")) == []


def test_stores_below_one_another_share_objects(store: Store) -> None:
    open_store(f"{store.uri}/local").put("searches/a/search.json", b"{}")
    assert content(store, "local/searches/a/search.json") == b"{}"


def test_probe_accepts_and_leaves_what_is_there(store: Store) -> None:
    store.put("a", b"1")
    store.probe()
    store.probe()
    assert list(store.list("")) == ["a"]


def put_and_read(store: Store, key: str, data: bytes) -> str:
    store.put(key, data)
    stored = store.get(key)
    assert stored is not None
    return stored.version
