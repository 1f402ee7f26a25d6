"""Records that a tenant's jobs may have written: believed as little as what a stranger says."""

import base64
import json
import uuid
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from detnas.errors import UserError
from detnas.ledger.loose import LooseEntries
from detnas.ledger.snapshot import Snapshot, load_snapshot
from detnas.ledger.summary import Summary, fold
from detnas.lifecycle.attempts import read_attempts
from detnas.lifecycle.blocked import BlockedError
from detnas.lifecycle.record import StoredSearch
from detnas.lifecycle.warm_start.source import find_source
from detnas.plan.requests import SearchRequests
from detnas.records import keys
from detnas.records.progress import Progress
from detnas.records.results import Outcome
from detnas.spec.loading import read_manifest
from detnas.store.artifacts import load_record
from detnas.store.errors import CorruptRecord, StoreError, StoreRefused, StoreUnavailable
from detnas.store.s3 import Limits, S3Store
from detnas_operator.tenant_store.confined_store import ConfinedStore
from detnas_operator.tenant_store.stores import Stores
from detnas_operator.tenant_store.time_limit import at_most
from tests.cluster.searches import manifest
from tests.detnas.trials import failed, proposal
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
def test_no_verb_leaves_the_namespaces_folders(
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


def test_its_own_folders_are_served(mine: ConfinedStore, tmp_path: Path) -> None:
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


def test_shared_pools_are_shared_and_nothing_else(whole: S3Store) -> None:
    whole.put(f"{THEIRS}/secret", b"theirs")
    store = Stores(shared_pools=True).open(whole.uri, "mine")
    store.put("shared/pools/00/claim.json", b"{}")
    for key in (f"{THEIRS}/secret", "shared/searches/one/search.json"):
        with pytest.raises(StoreRefused):
            store.get(key)


def test_a_pass_that_has_had_its_time_asks_nothing_more(mine: ConfinedStore) -> None:
    with at_most(-1), pytest.raises(StoreUnavailable, match="whole pass"):
        mine.get(f"{MINE}/own")
    assert mine.get(f"{MINE}/own")


def test_an_object_of_any_size_is_not_read(mine: ConfinedStore, whole: S3Store) -> None:
    key = keys.result_key(f"{MINE}/base")
    whole.put(key, b" " * (5 << 20))
    with pytest.raises(CorruptRecord, match="5242880 bytes"):
        mine.get(key)
    segment = keys.ledger_segment(MINE, 0)
    whole.put(segment, b" " * (3 << 20))  # a hundred trials may have more than one
    assert mine.get(segment)
    whole.put(segment, b" " * (5 << 20))
    with pytest.raises(CorruptRecord, match="5242880 bytes"):
        mine.get(segment)
    whole.put(keys.folded_ledger(MINE), b" " * (11 << 20))
    assert mine.get(keys.folded_ledger(MINE))


@pytest.mark.parametrize("value", [b"[]", b"{}", b"1"])
def test_an_object_of_any_number_of_values_is_not_read(
    mine: ConfinedStore, whole: S3Store, value: bytes
) -> None:
    """A reader of JSON makes hundreds of bytes of three."""
    few, many = (b"[" + b",".join([value] * count) + b"]" for count in (4_000, 60_001))
    for key in (keys.result_key(f"{MINE}/base"), keys.folded_ledger(MINE)):
        whole.put(key, few)
        assert mine.get(key)
        whole.put(key, many)
        with pytest.raises(CorruptRecord, match="values; what is read here has at most"):
            mine.get(key)
    assert load_snapshot(mine, MINE, 2) == Snapshot(Summary(2))


def test_any_number_of_objects_is_not_listed(whole: S3Store) -> None:
    for number in range(5):
        whole.put(f"{MINE}/attempts/{number}/x", b"")
    bucket, _, prefix = whole.uri.removeprefix("s3://").partition("/")
    few = S3Store(bucket, prefix, limits=Limits(listed=4))
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
def test_progress_that_is_none_stops_nobody(
    mine: ConfinedStore, whole: S3Store, content: bytes
) -> None:
    key = f"{keys.attempt_folder(f'{MINE}/base', 1)}/progress.json"
    whole.put(key, content)
    attempts = read_attempts(mine, f"{MINE}/base")
    assert (attempts.number, attempts.progress) == (1, None)
    with pytest.raises(CorruptRecord):
        load_record(mine, key, Progress)


ENTRY = failed(proposal(0), Outcome.INVALID).model_dump(mode="json", by_alias=True)
LATEST = {**ENTRY, "proposal": {**ENTRY["proposal"], "index": 100}}
POINT = {"index": 0, "resolution": "8x8", "map": 0.5, "flops": 1}
LOOSE = LooseEntries([failed(proposal(101), Outcome.INVALID)]).packed
BOMB = base64.b64encode(
    zlib.compress(json.dumps({**LATEST, "message": " " * (33 << 20)}).encode())
).decode()


def folded(**fields: object) -> bytes:
    record = {
        "folding": 4, "segments": 1, "loose": [], "topK": 2, "nextIndex": 101, "missing": [100],
        "lostTrials": [],
        "outcomes": {}, "top": [], "front": [], "failures": [], "evaluated": [],
        "lastSuccess": -1, "milliseconds": 0, "durations": [],
    }  # fmt: skip
    return json.dumps({**record, **fields}).encode()


@pytest.mark.parametrize(
    "fields",
    [
        {"segments": 2**40, "nextIndex": 0},
        {"segments": 0, "nextIndex": 2**50},
        {"missing": [1]},
        {"missing": [100, 100]},
        {"durations": [[101, 5]]},
        {"durations": [[3, 5], [3, 6]]},
        {"durations": [[number, 5] for number in range(10)]},
        {"missing": []},
        {"lostTrials": [2**50]},
        {"lostTrials": [101]},
        {"evaluated": [{"parent": None, "fingerprints": "not in Base64"}]},
        {"evaluated": [{"parent": None, "fingerprints": "AAAA"}]},
        {"evaluated": [{"parent": None, "fingerprints": "/" * 32}]},
        {"evaluated": [{"parent": None, "fingerprints": ""}] * 2},
        {"top": [ENTRY, ENTRY]},
        {"top": [ENTRY, {**ENTRY, "proposal": {**ENTRY["proposal"], "index": 1}}, LATEST]},
        {"failures": [LATEST, LATEST]},
        {"failures": [{**ENTRY, "proposal": {**ENTRY["proposal"], "index": i}} for i in range(6)]},
        {"front": [POINT, POINT]},
        {"lostTrials": [1, 1]},
        {"missing": list(range(100, 1101)), "nextIndex": 1101},
        {"loose": ["not in Base64"]},
        {"loose": [base64.b64encode(b"not compressed").decode()]},
        {"loose": [LOOSE[0][:-8]]},
        {"loose": [LOOSE[0], LOOSE[0]], "nextIndex": 102},
        {"loose": [BOMB], "nextIndex": 102},
        {"later": [1], "nextIndex": 201},
        {"later": [2, 2], "nextIndex": 301},
        {"later": [2**50]},
        {"inherited": 102},
        {"lastSuccess": 101},
    ],
)
def test_a_summary_that_no_segments_give_is_not_there(
    whole: S3Store, fields: dict[str, object]
) -> None:
    key = keys.folded_ledger(MINE)
    whole.put(key, folded())
    assert load_snapshot(whole, MINE, 2).segments == 1
    whole.put(key, folded(**fields))
    assert load_snapshot(whole, MINE, 2) == Snapshot(Summary(2))


def test_a_summary_may_have_what_a_search_has(whole: S3Store) -> None:
    """Each of what is refused above, as a search has it."""
    fields = {
        "nextIndex": 301,
        "loose": LOOSE,
        "later": [2],
        "missing": [100, *range(102, 200), 300],
        "lostTrials": [1, 7],
        "top": [ENTRY, LATEST],
        "failures": [ENTRY, LATEST],
        "front": [POINT, {**POINT, "resolution": "9x9"}],
        "evaluated": [{"parent": None, "fingerprints": "AAAAAAAAAAE="}],
        "inherited": 1,
    }
    whole.put(keys.folded_ledger(MINE), folded(**fields))
    found = load_snapshot(whole, MINE, 2)
    assert (found.segments, found.later, list(found.loose)) == (1, frozenset({2}), [101])
    assert list(found.summary.evaluated[None]) == [1]
    assert [len(some) for some in (found.summary.top, found.summary.failures)] == [2, 2]


def test_a_trial_far_beyond_all_others_is_not_counted_up_to() -> None:
    summary = fold(Summary(2), [failed(proposal(0), Outcome.INVALID)])
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
def test_a_record_leads_to_no_other_tenants_search(mine: ConfinedStore, source: str) -> None:
    document = manifest("two")
    document["metadata"]["namespace"] = "mine"
    requests = SearchRequests(read_manifest(document, "two"), "mine/searches/two-1", folder=None)
    search = StoredSearch(mine, requests)
    with pytest.raises((BlockedError, StoreRefused)) as refusal:
        find_source(search, source.replace("WHOLE", mine.uri), lambda _: None)
    assert "not in this search's store" in str(refusal.value) or (
        "not this search's to use" in str(refusal.value)
    )
