"""Records that a tenant's jobs may have written: believed as little as what a stranger says."""

import base64
import json
import tracemalloc
import uuid
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from detnas.errors import UserError
from detnas.ledger.entry import ledger_entry
from detnas.ledger.segments import SEGMENT, UnsegmentedEntries, segment_of
from detnas.ledger.snapshot import SNAPSHOT_VERSION, load_snapshot, write_snapshot
from detnas.ledger.summary import Summary, fold
from detnas.lifecycle.attempts import read_attempts
from detnas.lifecycle.blocked import BlockedError
from detnas.lifecycle.record import StoredSearch
from detnas.lifecycle.warm_start.source import find_source
from detnas.plan.requests import SearchRequests
from detnas.records import keys
from detnas.records.progress import Progress
from detnas.records.results import Outcome
from detnas.spec.base import Model, model_architecture
from detnas.spec.loading import read_manifest
from detnas.spec.search import MAX_RANDOM_PARENTS
from detnas.store.artifacts import load_record
from detnas.store.errors import CorruptRecord, StoreError, StoreRefused, StoreUnavailable
from detnas.store.s3 import ReadLimits, S3Store
from detnas_operator.tenant_store.confined_store import ConfinedStore
from detnas_operator.tenant_store.stores import Stores
from detnas_operator.tenant_store.time_limit import at_most
from tests.cluster.searches import manifest
from tests.detnas.trials import BASE, failed, proposal, result
from tests.seaweed import S3Server

MINE, THEIRS = "mine/searches/one-01234567", "theirs/searches/one-89abcdef"


@pytest.fixture
def whole(s3_environment: S3Server) -> S3Store:
    return S3Store(s3_environment.bucket, f"records/{uuid.uuid4().hex}")


@pytest.fixture
def mine(whole: S3Store) -> ConfinedStore:
    whole.put(f"{THEIRS}/secret", b"theirs")
    whole.put(f"{MINE}/own", b"mine")
    return Stores(shared_pools=False).open(whole.uri, "mine")


VERBS: dict[str, Callable[[ConfinedStore, str, Path], object]] = {
    "get": lambda store, key, _: store.get(key),
    "put": lambda store, key, _: store.put(key, b"x"),
    "put_if_absent": lambda store, key, _: store.put_if_absent(key, b"x"),
    "put_if_match": lambda store, key, _: store.put_if_match(key, b"x", '"0"'),
    "list": lambda store, key, _: list(store.list(f"{key}/")),
    "folders": lambda store, key, _: list(store.folders(f"{key}/")),
    "copy from": lambda store, key, _: store.copy(key, f"{MINE}/copied"),
    "copy to": lambda store, key, _: store.copy(f"{MINE}/own", key),
    "delete": lambda store, key, _: store.delete(key),
    "delete_some": lambda store, key, _: store.delete_some(f"{key}/"),
    "size": lambda store, key, _: store.size(key),
    "upload_file": lambda store, key, path: store.upload_file(key, path),
    "download_file": lambda store, key, path: store.download_file(key, path),
}
ASTRAY = (
    f"{THEIRS}/secret",
    f"{MINE}/../../../{THEIRS}/secret",
    "mine/secret",
    "mine-too/searches/one/secret",
    ".detnas/probe",
    "shared/pools/00/claim.json",
    "/etc/passwd",
    "",
)


@pytest.mark.parametrize("verb", VERBS)
def test_confined_store_refuses_keys_outside_the_namespaces_folders(
    mine: ConfinedStore, whole: S3Store, tmp_path: Path, verb: str
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x")
    before = list(whole.list(""))
    for key in ASTRAY:
        with pytest.raises(StoreError):
            VERBS[verb](mine, key, file)
    assert list(whole.list("")) == before
    assert whole.get(f"{THEIRS}/secret").data == b"theirs"  # type: ignore[union-attr]
    assert file.read_bytes() == b"x"


def test_confined_store_serves_the_namespaces_own_folders(
    mine: ConfinedStore, tmp_path: Path
) -> None:
    assert mine.get(f"{MINE}/own").data == b"mine"  # type: ignore[union-attr]
    mine.put_if_absent("mine/pools/00/claim.json", b"{}")
    assert list(mine.list("mine/pools/")) == ["mine/pools/00/claim.json"]
    assert list(mine.folders("mine/searches/")) == ["one-01234567"]
    mine.copy(f"{MINE}/own", f"{MINE}/again")
    mine.download_file(f"{MINE}/again", tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == b"mine"
    assert mine.delete_some(f"{MINE}/") == 2
    assert mine.delete_some(f"{MINE}/") == 0
    with pytest.raises(StoreRefused, match="not this search's"):
        mine.get("theirs/pools/00/claim.json")


def test_confined_store_serves_shared_pools_and_nothing_else_that_is_shared(whole: S3Store) -> None:
    whole.put(f"{THEIRS}/secret", b"theirs")
    store = Stores(shared_pools=True).open(whole.uri, "mine")
    store.put("shared/pools/00/claim.json", b"{}")
    for key in (f"{THEIRS}/secret", "shared/searches/one/search.json"):
        with pytest.raises(StoreRefused):
            store.get(key)


def test_confined_store_is_unavailable_once_the_passs_time_is_used_up(mine: ConfinedStore) -> None:
    with at_most(-1), pytest.raises(StoreUnavailable, match="complete pass"):
        mine.get(f"{MINE}/own")
    assert mine.get(f"{MINE}/own")


def test_confined_store_refuses_records_that_are_too_large(
    mine: ConfinedStore, whole: S3Store
) -> None:
    key = keys.result_key(f"{MINE}/base")
    whole.put(key, b" " * (5 << 20))
    with pytest.raises(CorruptRecord, match="5242880 bytes"):
        mine.get(key)
    for key in (keys.ledger_segment(MINE, 0), keys.ledger_snapshot(MINE)):
        whole.put(key, b" " * (3 << 20))  # a hundred trials may have more than one
        assert mine.get(key)
        whole.put(key, b" " * (5 << 20))
        with pytest.raises(CorruptRecord, match="5242880 bytes"):
            mine.get(key)


def test_confined_store_serves_the_snapshot_of_the_largest_random_search(
    mine: ConfinedStore,
) -> None:
    """Of an R101, with a segment's trials that are not in one yet."""
    deep = model_architecture(Model.R101)
    parents = [
        ledger_entry(proposal(index), result(index, architecture=deep), BASE)
        for index in range(MAX_RANDOM_PARENTS + SEGMENT)
    ]
    summary = fold(Summary(top_k=MAX_RANDOM_PARENTS), parents)
    assert len(summary.top) == MAX_RANDOM_PARENTS
    segments = frozenset(range(MAX_RANDOM_PARENTS // SEGMENT))
    others = UnsegmentedEntries.of(e for e in parents if segment_of(e.index) not in segments)
    write_snapshot(mine, MINE, summary, segments, others)
    assert load_snapshot(mine, MINE, MAX_RANDOM_PARENTS) is not None


@pytest.mark.parametrize("value", [b"[]", b"{}", b"1"])
def test_confined_store_refuses_records_of_too_many_values(
    mine: ConfinedStore, whole: S3Store, value: bytes
) -> None:
    """A reader of JSON makes hundreds of bytes of three."""
    few, many = (b"[" + b",".join([value] * count) + b"]" for count in (4_000, 60_001))
    for key in (keys.result_key(f"{MINE}/base"), keys.ledger_snapshot(MINE)):
        whole.put(key, few)
        assert mine.get(key)
        whole.put(key, many)
        with pytest.raises(CorruptRecord, match="values; what is read here has at most"):
            mine.get(key)
    assert load_snapshot(mine, MINE, 2) is None


def test_store_refuses_to_list_too_many_objects(whole: S3Store) -> None:
    for number in range(5):
        whole.put(f"{MINE}/attempts/{number}/x", b"")
    bucket, _, prefix = whole.uri.removeprefix("s3://").partition("/")
    few = S3Store(bucket, prefix, limits=ReadLimits(listed=4))
    with pytest.raises(StoreRefused, match="more than 4 objects"):
        few.list(f"{MINE}/")
    assert len(list(few.list(f"{MINE}/attempts/1/"))) == 1
    with pytest.raises(StoreRefused, match="more than 4 folders"):
        few.folders(f"{MINE}/attempts/")
    assert list(few.folders(f"{MINE}/")) == ["attempts"]


@pytest.mark.parametrize(
    "content",
    [
        b"{" * 200_000,
        b"[" * 200_000 + b"]" * 200_000,
        b"\xff\xfe",
        b"",
        b"null",
        b'{"activity": "x", "updated": "2026-11-22T00:00:00Z", "done": 1e400}',
        b'{"activity": "x", "updated": "2026-11-22T00:00:00Z", "done": -1}',
    ],
)
def test_malformed_progress_counts_as_none(
    mine: ConfinedStore, whole: S3Store, content: bytes
) -> None:
    key = f"{keys.attempt_folder(f'{MINE}/base', 1)}/progress.json"
    whole.put(key, content)
    attempts = read_attempts(mine, f"{MINE}/base")
    assert (attempts.number, attempts.progress) == (1, None)
    with pytest.raises(CorruptRecord):
        load_record(mine, key, Progress)


def entry(index: int) -> dict[str, object]:
    return failed(proposal(index), Outcome.INVALID).model_dump(mode="json", by_alias=True)


PACKED = base64.b64encode(zlib.compress(b"{}")).decode()
POINT = {"index": 0, "resolution": "8x8", "map": 0.5, "flops": 1, "h": 0.5}


def snapshot(**fields: object) -> bytes:
    """Of a segment and a trial that is missing, but for some fields of it and of its summary."""
    record: dict[str, object] = {"folding": SNAPSHOT_VERSION, "segments": [0], "unsegmented": {}}
    summary: dict[str, object] = {
        "topK": 2, "nextIndex": 101, "missing": [100], "lostTrials": [],
        "outcomes": {}, "top": [], "front": [], "failures": [], "tried": [],
        "lastSuccess": -1, "milliseconds": 0, "durations": [],
    }  # fmt: skip
    for name, value in fields.items():
        (record if name in record else summary)[name] = value
    return json.dumps({**record, "summary": summary}).encode()


@pytest.mark.parametrize(
    "fields",
    [
        {"folding": SNAPSHOT_VERSION - 1},
        {"folding": SNAPSHOT_VERSION + 1},
        {"segments": [2**40], "nextIndex": 0},
        {"segments": [2**40]},
        {"segments": [], "nextIndex": 2**50},
        {"segments": [1], "nextIndex": 101},
        {"segments": [0, 1], "nextIndex": 201},
        {"segments": [0, 2, 2], "nextIndex": 301},
        {"missing": [1]},
        {"missing": [100, 100]},
        {"durations": [[101, 5]]},
        {"durations": [[3, 5], [3, 6]]},
        {"durations": [[number, 5] for number in range(10)]},
        {"missing": []},
        {"missing": list(range(100, 10_101)), "nextIndex": 10_101},
        {"lostTrials": [2**50]},
        {"lostTrials": [101]},
        {"lostTrials": [1, 1]},
        {"tried": [[None, "no number"]]},
        {"tried": [[None, -1]]},
        {"tried": [[-1, 7]]},
        {"tried": [[None, 7]] * 2},
        {"top": [entry(0), entry(0)]},
        {"top": [entry(0), entry(1), entry(100)]},
        {"failures": [entry(100), entry(100)]},
        {"failures": [entry(index) for index in range(6)]},
        {"front": [POINT, POINT]},
        {"unsegmented": {"101": "abcde"}, "nextIndex": 102},
        {"unsegmented": {"-1": PACKED}, "nextIndex": 102},
        {"unsegmented": {"101": PACKED}, "nextIndex": 103},
        {"unsegmented": {"5": PACKED}, "nextIndex": 102},
        {"unsegmented": {str(i): PACKED for i in range(101, 1102)}, "nextIndex": 1102},
        {"inherited": 102},
        {"lastSuccess": 101},
    ],
)
def test_implausible_snapshot_counts_as_absent(whole: S3Store, fields: dict[str, object]) -> None:
    key = keys.ledger_snapshot(MINE)
    whole.put(key, snapshot())
    assert load_snapshot(whole, MINE, 2) is not None
    whole.put(key, snapshot(**fields))
    assert load_snapshot(whole, MINE, 2) is None


def test_plausible_snapshot_is_loaded(whole: S3Store) -> None:
    """Each of what is refused above, as a search has it."""
    fields = {
        "nextIndex": 301,
        "segments": [0, 2],
        "unsegmented": {"101": PACKED},
        "missing": [100, *range(102, 200), 300],
        "lostTrials": [1, 7],
        "top": [entry(0), entry(100)],
        "failures": [entry(0), entry(100)],
        "front": [POINT, {**POINT, "resolution": "9x9"}],
        "tried": [[None, 7], [3, 7]],
        "inherited": 1,
    }
    whole.put(keys.ledger_snapshot(MINE), snapshot(**fields))
    found = load_snapshot(whole, MINE, 2)
    assert found is not None
    assert (found.segments, list(found.unsegmented)) == (frozenset({0, 2}), [101])
    assert found.summary.tried == {(None, 7), (3, 7)}
    assert [len(some) for some in (found.summary.top, found.summary.failures)] == [2, 2]


@pytest.mark.parametrize(
    "record",
    [
        b"no compressed record",
        zlib.compress(b"{}"),
        zlib.compress(json.dumps(entry(7)).encode()),
        zlib.compress(json.dumps({**entry(101), "outcome": "Unknown"}).encode()),
        zlib.compress(json.dumps(entry(101)).encode() + b" " * (1 << 30)),
    ],
)
def test_unreadable_trial_of_a_snapshot_is_refused_and_takes_no_memory(record: bytes) -> None:
    entries = UnsegmentedEntries({101: record})
    tracemalloc.start()
    with pytest.raises(CorruptRecord, match=r"trial 101 in the ledger's snapshot .*folded.json"):
        entries[101]
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()


def test_fold_refuses_a_trial_number_far_beyond_all_others() -> None:
    summary = fold(Summary(top_k=2), [failed(proposal(0), Outcome.INVALID)])
    ended = failed(proposal(1), Outcome.INVALID)
    far = ended.model_copy(update={"proposal": proposal(10**15)})
    with pytest.raises(UserError, match="numbered in order"):
        fold(summary, [far])


@pytest.mark.parametrize(
    "source",
    [
        "s3://others/root/mine/searches/one-01234567",
        "file:///etc/root/mine/searches/one-01234567",
        f"s3://experiments/else/{THEIRS}",
        f"WHOLE/{THEIRS}",
    ],
)
def test_warm_start_source_in_a_record_leads_to_no_other_tenant(
    mine: ConfinedStore, source: str
) -> None:
    document = manifest("two")
    document["metadata"]["namespace"] = "mine"
    requests = SearchRequests(read_manifest(document, "two"), "mine/searches/two-1", folder=None)
    search = StoredSearch(mine, requests)
    with pytest.raises((BlockedError, StoreRefused)) as refusal:
        find_source(search, source.replace("WHOLE", mine.uri), lambda _: None)
    assert "not in this search's store" in str(refusal.value) or (
        "not this search's to use" in str(refusal.value)
    )
