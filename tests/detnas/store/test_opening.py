"""Which URIs name a store, and what the others are told."""

import pickle
from pathlib import Path

import pytest

from detnas.errors import UserError
from detnas.store import open_store
from detnas.store.errors import InvalidKey, StoreRefused


@pytest.mark.parametrize(
    ("uri", "root"),
    [
        ("file:///data/x", "file:///data/x"),
        ("file:///data/x/", "file:///data/x"),
        ("file://localhost/data/x", "file:///data/x"),
        ("file:///data/a%20b", "file:///data/a%20b"),
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/", "s3://bucket"),
        ("s3://bucket/a/b/", "s3://bucket/a/b"),
    ],
)
def test_open_store_reads_uris(uri: str, root: str) -> None:
    assert open_store(uri).uri == root


@pytest.mark.parametrize(
    "uri",
    [
        "", "runs", "/data/x", "http://host/x", "file:x", "file://host/x", "file:///", "file://~/x",
        "file:///a/../b", "s3://", "s3:///x", "s3://bucket/a/../b",
        "s3://bucket/a?x=1", "S4://bucket",
    ],
)  # fmt: skip
def test_open_store_refuses_other_uris(uri: str) -> None:
    with pytest.raises(UserError) as raised:
        open_store(uri)
    assert uri in str(raised.value)
    assert raised.value.remedy


def test_credentials_in_a_uri_are_refused_and_not_repeated() -> None:
    with pytest.raises(UserError, match=r"s3://…@bucket/x.*AWS_\* variables") as raised:
        open_store("s3://key:secret@bucket/x")
    assert "secret" not in str(raised.value)


def test_open_store_of_a_path_names_its_uri() -> None:
    with pytest.raises(UserError, match=Path.cwd().as_uri() + "/runs"):
        open_store("runs")


def test_folder_is_made_on_the_first_write(tmp_path: Path) -> None:
    store = open_store((tmp_path / "a" / "b").as_uri())
    assert store.get("x") is None
    assert list(store.list("")) == []
    store.delete("x")
    assert not (tmp_path / "a").exists()
    store.put("x", b"1")
    assert (tmp_path / "a" / "b" / "x").read_bytes() == b"1"


def test_key_that_is_both_object_and_folder_is_refused(tmp_path: Path) -> None:
    store = open_store(tmp_path.as_uri())
    store.put("a", b"1")
    store.put("b/c", b"1")
    for key in ("a/b", "b"):
        with pytest.raises(StoreRefused, match="an object or a folder"):
            store.put(key, b"2")
    with pytest.raises(StoreRefused, match="an object or a folder"):
        store.put_if_absent("a/b", b"2")


def test_store_errors_can_be_pickled() -> None:
    error = InvalidKey("store key '..' is not allowed", "a key is a relative path")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
