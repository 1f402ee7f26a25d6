"""Files named by content and proved by digest; records that are written once."""

import hashlib
import multiprocessing
from pathlib import Path

import pytest

from detnas.records.artifacts import Artifact
from detnas.schema import Schema
from detnas.store import Store
from detnas.store.artifacts import (
    create_record,
    fetch_artifact,
    load_record,
    publish_file,
    put_record,
    replace_record,
)
from detnas.store.cache import ArtifactCache
from detnas.store.errors import (
    AlreadyExists,
    CorruptArtifact,
    CorruptRecord,
    NotFound,
    VersionConflict,
)
from detnas.store.record_format import decode_record, encode_record


class Measured(Schema):
    """A record."""

    map_at_best: float
    notes: dict[str, str] = {}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights"
    path.write_bytes(bytes(range(256)) * 100)
    return path


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_publish_file_names_the_object_by_its_content(
    store: Store, weights: Path, cache: Path
) -> None:
    artifact = publish_file(store, "local/trials/0001", weights, "safetensors")
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert artifact == Artifact(
        key=f"local/trials/0001/{digest}.safetensors", size=25_600, sha256=digest
    )
    fetched = fetch_artifact(store, artifact, cache)
    assert fetched.read_bytes() == weights.read_bytes()
    assert fetched.suffix == ".safetensors"


def test_publish_file_stores_equal_files_once(
    directory_store: Store, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = publish_file(directory_store, "a", weights, "bin")
    monkeypatch.delattr(type(directory_store), "upload_file")
    assert publish_file(directory_store, "a", weights, "bin") == artifact


def test_publish_file_replaces_a_truncated_object(
    directory_store: Store, weights: Path, cache: Path
) -> None:
    artifact = publish_file(directory_store, "a", weights, "bin")
    directory_store.put(artifact.key, b"cut")
    publish_file(directory_store, "a", weights, "bin")
    assert fetch_artifact(directory_store, artifact, cache).read_bytes() == weights.read_bytes()


def test_fetch_artifact_keeps_the_file_in_the_cache(
    store: Store, weights: Path, cache: Path
) -> None:
    artifact = publish_file(store, "a", weights, "bin")
    first = fetch_artifact(store, artifact, cache)
    store.delete(artifact.key)
    assert fetch_artifact(store, artifact, cache) == first


def test_fetch_artifact_refuses_damage_and_caches_nothing(
    store: Store, weights: Path, cache: Path
) -> None:
    artifact = publish_file(store, "a", weights, "bin")
    whole = weights.read_bytes()
    altered = whole[:-1] + b"!"
    for damaged, says in ((whole[:-1], "25600 bytes wanted, 25599"), (altered, artifact.sha256)):
        store.put(artifact.key, damaged)
        with pytest.raises(CorruptArtifact, match=f"{artifact.key} is damaged.*{says}"):
            fetch_artifact(store, artifact, cache)
    store.put(artifact.key, whole)
    assert fetch_artifact(store, artifact, cache).read_bytes() == whole


def test_fetch_artifact_replaces_a_damaged_cached_file(
    directory_store: Store, weights: Path, cache: Path
) -> None:
    artifact = publish_file(directory_store, "a", weights, "bin")
    kept = fetch_artifact(directory_store, artifact, cache)
    kept.write_bytes(weights.read_bytes()[:-1] + b"!")
    assert fetch_artifact(directory_store, artifact, cache).read_bytes() == weights.read_bytes()


def test_fetch_artifact_raises_not_found_for_a_missing_object(store: Store, cache: Path) -> None:
    missing = Artifact(key="a/b.bin", size=1, sha256="0" * 64)
    with pytest.raises(NotFound, match=r"a/b\.bin"):
        fetch_artifact(store, missing, cache)


def test_fetch_artifact_by_concurrent_processes_succeeds(
    store: Store, weights: Path, cache: Path
) -> None:
    artifact = publish_file(store, "a", weights, "bin")
    fork = multiprocessing.get_context("fork")

    def fetch_and_compare() -> None:
        assert fetch_artifact(store, artifact, cache).read_bytes() == weights.read_bytes()

    processes = [fork.Process(target=fetch_and_compare) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4


def test_cache_folder_follows_the_environment(
    directory_store: Store, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DETNAS_CACHE", str(tmp_path / "chosen"))
    artifact = publish_file(directory_store, "a", weights, "bin")
    assert fetch_artifact(directory_store, artifact).parent == tmp_path / "chosen"
    monkeypatch.delenv("DETNAS_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    fetched = fetch_artifact(directory_store, artifact)
    assert fetched.parent == tmp_path / "home" / ".cache" / "detnas"


def test_cache_drops_the_least_recently_used(
    directory_store: Store, tmp_path: Path, cache: Path
) -> None:
    now = 1_000_000.0
    kept = ArtifactCache(cache, largest=250, clock=lambda: now)

    def fetch(content: str) -> None:
        source = tmp_path / "source"
        source.write_text(content * 100)
        kept.fetch(directory_store, publish_file(directory_store, "a", source, "bin"))

    def contents() -> str:
        return "".join(sorted(path.read_text()[0] for path in cache.glob("*.bin")))

    for content in "aba":
        fetch(content)
        now += 60
    now += 24 * 3600
    fetch("c")
    assert contents() == "ac"
    fetch("d")
    assert contents() == "cd"
    fetch("e")  # more than the cache should hold, but jobs may still read all of them
    assert contents() == "cde"


def test_record_is_loaded_as_it_was_written(store: Store) -> None:
    record = Measured(map_at_best=0.1 + 0.2, notes={"b": "é", "a": "1"})
    assert load_record(store, "result.json", Measured) is None
    create_record(store, "result.json", record)
    create_record(store, "result.json", record)
    assert load_record(store, "result.json", Measured) == record
    with pytest.raises(AlreadyExists):
        create_record(store, "result.json", Measured(map_at_best=1))
    put_record(store, "progress.json", Measured(map_at_best=0.5))
    put_record(store, "progress.json", Measured(map_at_best=0.6))
    assert load_record(store, "progress.json", Measured) == Measured(map_at_best=0.6)


def test_equal_records_have_equal_bytes() -> None:
    one = encode_record(Measured(map_at_best=0.5, notes={"b": "é", "a": "1"}))
    other = encode_record(Measured(notes={"a": "1", "b": "é"}, map_at_best=0.5))
    assert one == other
    assert b'"mapAtBest": 0.5' in one


def test_replace_record_succeeds_once_per_version(store: Store) -> None:
    create_record(store, "claim.json", Measured(map_at_best=0))
    stored = store.get("claim.json")
    assert stored is not None
    replace_record(store, "claim.json", Measured(map_at_best=1), stored.version)
    with pytest.raises(VersionConflict):
        replace_record(store, "claim.json", Measured(map_at_best=2), stored.version)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"mapAtBest": "high"}', b'{"other": 1}'])
def test_load_record_refuses_a_damaged_record(directory_store: Store, data: bytes) -> None:
    directory_store.put("result.json", data)
    with pytest.raises(CorruptRecord, match=r"result\.json is no Measured"):
        load_record(directory_store, "result.json", Measured)


def test_decode_record_counts_very_many_wrong_fields() -> None:
    class Parts(Schema):
        parts: tuple[int, ...]

    for count, said in ((1000, "parts.0: "), (1001, "1001 of its fields are wrong")):
        with pytest.raises(CorruptRecord, match=f"memory://x is no Parts: {said}"):
            decode_record(b'{"parts": [' + b",".join([b'"x"'] * count) + b"]}", "memory://x", Parts)
