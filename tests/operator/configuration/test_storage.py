"""No spelling of a URI leads a search out of its own places."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from detnas.reasons import Reason
from detnas_operator.configuration.storage import (
    S3Location,
    StorageSettings,
    pool_key,
    search_key,
    store_root,
)

ALLOWED = StorageSettings(
    allowed=("s3://bucket/prefix", "s3://whole"), default="s3://bucket/prefix/"
)
NO_DEFAULT = StorageSettings(allowed=("s3://bucket/prefix",))
ROOT = "s3://bucket/prefix"


@pytest.mark.parametrize(
    ("uri", "root"),
    [
        (None, "s3://bucket/prefix"),
        ("", "s3://bucket/prefix"),
        ("s3://bucket/prefix", "s3://bucket/prefix"),
        ("s3://bucket/prefix/", "s3://bucket/prefix"),
        ("s3://bucket/prefix/team-a", "s3://bucket/prefix/team-a"),
        ("s3://bucket/prefix/team-a/of/2026/", "s3://bucket/prefix/team-a/of/2026"),
        ("s3://whole", "s3://whole"),
        ("s3://whole/", "s3://whole"),
        ("s3://whole/team-a/deep/down", "s3://whole/team-a/deep/down"),
    ],
)
def test_store_root_has_one_spelling_at_or_below_an_allowed_root(
    uri: str | None, root: str
) -> None:
    assert store_root(uri, ALLOWED, "team-a") == root


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("s3://bucket", "StorageForbidden"),
        ("s3://bucket/prefixx", "StorageForbidden"),
        ("s3://bucket/pre", "StorageForbidden"),
        ("s3://bucket/Prefix", "StorageForbidden"),
        ("s3://Bucket/prefix", "StorageForbidden"),
        ("s3://bucket2/prefix", "StorageForbidden"),
        ("s3://wholesale", "StorageForbidden"),
        ("s3://bucket/prefix/../other", "StorageInvalid"),
        ("s3://bucket/prefix/..", "StorageInvalid"),
        ("s3://bucket/prefix/./a", "StorageInvalid"),
        ("s3://bucket/prefix//a", "StorageInvalid"),
        ("s3://bucket//prefix", "StorageInvalid"),
        ("s3://bucket/prefix/%2e%2e/other", "StorageInvalid"),
        ("s3://bucket/pre\tfix", "StorageInvalid"),
        ("s3://bucket/prefix\n", "StorageInvalid"),
        ("s3://bucket/prefix\\..\\other", "StorageInvalid"),
        ("s3://bucket/prefix?versionId=1", "StorageInvalid"),
        ("s3://bucket/prefix#a", "StorageInvalid"),
        ("s3://key:secret@bucket/prefix", "StorageInvalid"),
        ("s3://bucket:8333/prefix", "StorageInvalid"),
        ("S3://bucket/prefix", "StorageInvalid"),
        ("s3:///bucket/prefix", "StorageInvalid"),
        ("s3://", "StorageInvalid"),
        ("file:///srv/detnas", "StorageInvalid"),
        ("https://bucket.s3.amazonaws.com/prefix", "StorageInvalid"),
        ("bucket/prefix", "StorageInvalid"),
    ],
)
def test_store_root_refuses_any_other_uri(uri: str, reason: str) -> None:
    refused = store_root(uri, ALLOWED, "team-a")
    assert isinstance(refused, Reason)
    assert refused.code == reason
    assert refused.message.startswith("spec.storage.uri: ")
    assert "s3://bucket/prefix" in refused.message
    assert "secret" not in refused.message


def test_store_root_without_a_default_must_be_named() -> None:
    refused = store_root(None, NO_DEFAULT, "team-a")
    assert isinstance(refused, Reason)
    assert refused.code == "StorageMissing"
    assert "s3://bucket/prefix" in refused.message


@pytest.mark.parametrize(
    ("uri", "namespace"),
    [
        ("s3://bucket/prefix/team-b", "team-a"),
        ("s3://bucket/prefix/team-b/team-a", "team-a"),
        ("s3://bucket/prefix/team-b/deep/down", "team-a"),
        ("s3://bucket/prefix/experiments", "team-a"),  # a namespace of tomorrow, perhaps
        ("s3://bucket/prefix/team", "team-a"),
        ("s3://bucket/prefix/team-a2", "team-a"),
        ("s3://bucket/prefix/Team-a", "team-a"),
        ("s3://whole/team-b", "team-a"),
    ],
)
def test_store_root_refuses_folders_of_other_namespaces(uri: str, namespace: str) -> None:
    refused = store_root(uri, ALLOWED, namespace)
    assert isinstance(refused, Reason)
    assert refused.code == "StorageForbidden"
    assert f"name s3://bucket/prefix or s3://whole; or a folder {namespace} " in refused.message
    assert refused.message.endswith("in a new search (delete this one and apply it again)")


@pytest.mark.parametrize(
    ("uri", "namespace"),
    [
        ("s3://bucket/prefix/team-a/searches/r18-0123abcd", "team-a"),
        ("s3://bucket/prefix/team-a/pools", "team-a"),
        ("s3://bucket/prefix/team-b/pools", "team-a"),
        ("s3://bucket/prefix/searches", "searches"),
        ("s3://bucket/prefix/pools/deep", "pools"),
    ],
)
def test_store_root_refuses_folders_of_a_searchs_data(uri: str, namespace: str) -> None:
    refused = store_root(uri, ALLOWED, namespace)
    assert isinstance(refused, Reason)
    assert refused.code == "StorageForbidden"


def test_store_root_accepts_the_default_by_name() -> None:
    below = StorageSettings(allowed=("s3://bucket/prefix",), default="s3://bucket/prefix/2026")
    assert store_root(None, below, "team-a") == "s3://bucket/prefix/2026"
    assert store_root("s3://bucket/prefix/2026", below, "team-a") == "s3://bucket/prefix/2026"
    assert store_root("s3://bucket/prefix/2026/team-a", below, "team-a") == (
        "s3://bucket/prefix/2026/team-a"
    )
    assert isinstance(store_root("s3://bucket/prefix/2025", below, "team-a"), Reason)


def test_store_root_accepts_a_namespace_named_searches() -> None:
    assert store_root(None, ALLOWED, "searches") == ROOT


@pytest.mark.parametrize(
    ("uri", "shared", "key"),
    [
        (f"{ROOT}/team-a/pools/3f", False, "team-a/pools/3f"),
        (f"{ROOT}/team-a/pools/3f/", False, "team-a/pools/3f"),
        (f"{ROOT}/team-a/pools/3f", True, "team-a/pools/3f"),
        (f"{ROOT}/shared/pools/3f", True, "shared/pools/3f"),
        (f"{ROOT}/shared/pools/3f", False, None),
        (f"{ROOT}/team-b/pools/3f", False, None),
        (f"{ROOT}/team-b/pools/3f", True, None),
        (f"{ROOT}/team-a/pools", False, None),
        (f"{ROOT}/team-a/pools/3f/phase-0", False, None),
        (f"{ROOT}/team-a/searches/3f", False, None),
        (f"{ROOT}/team-a/pools/../../team-b/pools/3f", False, None),
        ("s3://bucket/prefixx/team-a/pools/3f", False, None),
        ("s3://other/prefix/team-a/pools/3f", False, None),
        ("file:///prefix/team-a/pools/3f", False, None),
    ],
)
def test_pool_key_is_of_the_namespace_or_shared(uri: str, shared: bool, key: str | None) -> None:
    found = pool_key(uri, ROOT, "team-a", shared=shared)
    if key is not None:
        assert found == key
        return
    assert isinstance(found, Reason)
    assert found.code in ("PoolForbidden", "PoolInvalid")
    assert found.message.startswith("spec.teachers.pool: ")


def test_search_key_is_of_the_namespace() -> None:
    own = search_key(f"{ROOT}/team-a/searches/r18-0123abcd", ROOT, "team-a")
    assert own == "team-a/searches/r18-0123abcd"
    refused = search_key(f"{ROOT}/team-b/searches/r18-0123abcd", ROOT, "team-a")
    assert isinstance(refused, Reason)
    assert refused.code == "WarmStartForbidden"
    assert f"{ROOT}/team-a/searches/NAME" in refused.message


PIECES = some.sampled_from(
    ["team-a", "b", "prefix", "prefixx", "pools", "..", ".", "", "%2e", "\\", " ", "?"]
)


@given(some.sampled_from(["s3://bucket/", "s3://bucket", "s3://", "file:///"]), some.lists(PIECES))
def test_store_root_of_any_uri_stays_in_the_root_or_the_namespaces_folder(
    start: str, pieces: list[str]
) -> None:
    found = store_root(start + "/".join(pieces), NO_DEFAULT, "team-a")
    if isinstance(found, str):
        assert found == ROOT or f"{found}/".startswith(f"{ROOT}/team-a/")
        assert not {"", ".", "..", "pools"} & set(found.removeprefix("s3://").split("/"))
        assert S3Location.parse(found).uri == found
