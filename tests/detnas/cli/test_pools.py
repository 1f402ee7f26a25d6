"""`detnas pools`: what a user sees of the pools of a store, and which may be deleted."""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from detnas.cli.app import app
from detnas.errors import UserError
from detnas.lifecycle.pools import deletion as pool_deletion
from detnas.lifecycle.pools.deletion import delete_pool
from detnas.lifecycle.pools.lease import LeaseRecord, PoolLease
from detnas.lifecycle.pools.listing import list_pools, pool_users
from detnas.lifecycle.record import StoredSearch
from detnas.plan.stages import Phase
from detnas.records import keys
from detnas.records.progress import Progress
from detnas.records.results import PrepareResult
from detnas.records.verbs import Verb
from detnas.store import Store, open_store
from detnas.store.artifacts import load_record
from detnas.store.directory import DirectoryStore
from detnas.store.errors import WrongCredentials
from detnas.store.record_format import encode_record
from tests.detnas.searches.in_process import Scheduler, tiny
from tests.seaweed import S3Server

TEACHERS = {"teachers": {"phases": [{"epochs": 2, "learningRate": "0.1"}]}}


@pytest.fixture
def scheduler(tmp_path: Path) -> Scheduler:
    return Scheduler(tmp_path)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store((tmp_path / "store").as_uri())


@pytest.fixture(params=["directory", "s3"])
def either_store(request: pytest.FixtureRequest) -> Store:
    if request.param == "directory":
        found: Store = request.getfixturevalue("store")
        return found
    server = request.getfixturevalue("s3_environment")
    return open_store(f"s3://{server.bucket}/{uuid.uuid4().hex}")


def detnas(store: Store, *words: str, answer: str = "") -> Result:
    return CliRunner().invoke(app, ["pools", *words, "--store", store.uri], input=answer)


def listed(store: Store, *words: str) -> list[dict[str, object]]:
    said = detnas(store, "list", "-o", "json", *words)
    assert said.exit_code == 0, said.output
    found: list[dict[str, object]] = json.loads(said.stdout)["pools"]
    return found


def digest(store: Store) -> str:
    (pool,) = list_pools(store)
    return pool.digest


def hold(store: Store, holder: str, age: timedelta, *, released: bool = False) -> None:
    lease = LeaseRecord(holder=holder, heartbeat=datetime.now(UTC) - age, released=released)
    store.put(f"local/pools/{digest(store)}/claim.json", encode_record(lease))


def test_pools_list_shows_every_pool(either_store: Store, scheduler: Scheduler) -> None:
    one, two = tiny(either_store, "one", trials=1), tiny(either_store, "two", seed=8)
    scheduler.run(one)
    scheduler.prepare(two)
    scheduler.run(tiny(either_store, "other", TEACHERS, trials=1))
    by_phases = {pool["phases"]: pool for pool in listed(either_store)}
    assert sorted(map(str, by_phases)) == ["1", "2"]
    shared = by_phases[2]
    objects = list(either_store.list(f"local/pools/{shared['digest']}/"))
    assert shared["objects"] == len(objects)
    assert shared["bytes"] == sum(either_store.size(key) or 0 for key in objects) > 4000
    assert shared["uri"] == f"{either_store.uri}/local/pools/{shared['digest']}"
    users = shared["users"]
    assert isinstance(users, list)
    assert [(user["search"], user["phase"]) for user in users] == [
        (one.uri, "Succeeded"),
        (two.uri, "TrainingTeachers"),
    ]
    hold_line = LeaseRecord(
        holder="two on a machine", heartbeat=datetime.now(UTC) - timedelta(hours=3)
    )
    either_store.put(f"local/pools/{shared['digest']}/claim.json", encode_record(hold_line))
    table = detnas(either_store, "list").stdout
    assert "3h" in "".join(table.split())
    assert listed(either_store, "-n", "elsewhere") == []
    assert "no pool" in detnas(either_store, "list", "-n", "elsewhere").stdout


def test_pools_delete_removes_an_unused_pool(either_store: Store, scheduler: Scheduler) -> None:
    scheduler.run(tiny(either_store, "one", trials=1))
    ended = detnas(either_store, "delete", digest(either_store), "--yes")
    assert ended.exit_code == 0, ended.output
    assert "no more trials" in ended.output
    assert list(either_store.list("local/pools/")) == []
    assert listed(either_store) == []


def test_pools_delete_asks_for_confirmation(store: Store, scheduler: Scheduler) -> None:
    scheduler.run(tiny(store, "one", trials=1))
    before = list(store.list("local/pools/"))
    assert detnas(store, "delete", digest(store), answer="n\n").exit_code == 1
    assert list(store.list("local/pools/")) == before
    uri = f"{store.uri}/local/pools/{digest(store)}"
    assert detnas(store, "delete", uri, answer="y\n").exit_code == 0
    assert list(store.list("local/pools/")) == []


def refused(store: Store, *words: str) -> str:
    before = {key: store.get(key) for key in store.list("local/pools/")}
    ended = detnas(store, "delete", *(words or (digest(store),)), "--yes")
    assert isinstance(ended.exception, UserError), ended.output
    assert {key: store.get(key) for key in store.list("local/pools/")} == before
    return str(ended.exception)


def test_pools_delete_refuses_a_used_pool(store: Store, scheduler: Scheduler) -> None:
    two = tiny(store, "two", seed=8)
    scheduler.run(tiny(store, "one", trials=1))
    scheduler.prepare(two)
    said = refused(store)
    assert "in use by search two in namespace local (TrainingTeachers" in said
    assert said.endswith(f"\n  rm -r {two.uri.removeprefix('file://')}")
    assert "kubectl" not in said, "no cluster knows of it"
    scheduler.run(two)
    assert detnas(store, "delete", digest(store), "--yes").exit_code == 0


def move_to_cluster(search: StoredSearch) -> None:
    """Let its record be what an operator writes."""
    key = keys.search_record_key(search.requests.search)
    stored = search.store.get(key)
    assert stored is not None
    record = json.loads(stored.data)
    record["folder"] = ""
    claim = {"persistentVolumeClaim": {"claimName": "data"}}
    record["manifest"]["spec"]["dataset"]["source"] = claim
    search.store.put(key, json.dumps(record).encode())


def test_pools_delete_names_all_users_with_commands(
    s3_environment: S3Server, scheduler: Scheduler
) -> None:
    store = open_store(f"s3://{s3_environment.bucket}/{uuid.uuid4().hex}")
    scheduler.run(tiny(store, "one", trials=1))
    for name in ("two", "three"):
        scheduler.prepare(search := tiny(store, name, seed=len(name)))
        move_to_cluster(search)
    said = refused(store)
    for user in list_pools(store)[0].users[1:]:
        assert f"search {user.name} in namespace local (TrainingTeachers" in said
        assert f"\n  kubectl delete detnas {user.name} --namespace local " in said
        assert f"\n  aws s3 rm --recursive {user.search}/" in said
    assert said.count("aws s3 rm") == 2


@pytest.mark.parametrize("terminal", [{}, {"FORCE_COLOR": "1"}])
def test_pools_list_never_breaks_names(
    store: Store, scheduler: Scheduler, terminal: dict[str, str]
) -> None:
    long = tiny(store, "a-search-whose-name-is-as-long-as-names-may-be-x", trials=1)
    scheduler.run(long)
    hold(store, "a search with a long name on a machine with a long name", timedelta(hours=3))
    said = CliRunner(env={"COLUMNS": "60", **terminal}).invoke(
        app, ["pools", "list", "--store", store.uri]
    )
    (line,) = said.stdout.splitlines()[1:]
    for name in (digest(store), long.uri.rpartition("/")[2], "on a machine with a long name"):
        assert name in line


def test_pools_list_shows_the_age_of_a_folder(store: Store, scheduler: Scheduler) -> None:
    scheduler.prepare(two := tiny(store, "two"))
    key = keys.result_key(keys.prepare_folder(two.requests.search))
    result = load_record(store, key, PrepareResult)
    assert result is not None
    old = result.model_copy(update={"finished": datetime.now(UTC) - timedelta(days=3)})
    store.put(key, encode_record(old))
    scheduler.run(tiny(store, "one", trials=1))
    assert "(TrainingTeachers, last heard 3d ago)" in detnas(store, "list").stdout
    said = Progress(activity="training", updated=datetime.now(UTC) - timedelta(hours=5))
    attempt = keys.attempt_folder(keys.base_folder(two.requests.search), 1)
    store.put(f"{attempt}/progress.json", encode_record(said))
    assert "(TrainingTeachers, last heard 5h ago)" in detnas(store, "list").stdout


def test_pools_delete_refuses_a_pool_named_by_a_search(store: Store, scheduler: Scheduler) -> None:
    scheduler.run(tiny(store, "one", trials=1))
    phases = [{"epochs": 1, "learningRate": "0.1"}, {"epochs": 1, "learningRate": "0.05"}]
    pool = {"pool": f"{store.uri}/local/pools/{digest(store)}", "phases": phases, "seed": 4}
    two = tiny(store, "two", {"teachers": pool})
    assert two.uri.removeprefix("file://") in refused(store)


def test_pools_delete_refuses_a_pool_in_training(store: Store, scheduler: Scheduler) -> None:
    scheduler.run(tiny(store, "one", trials=1))
    hold(store, "a search on a machine", timedelta(seconds=40))
    assert "being trained by a search on a machine" in refused(store)
    hold(store, "a search on a machine", -timedelta(minutes=3))  # its clock is ahead of ours
    assert "being trained by" in refused(store)
    hold(store, "a search on a machine", timedelta(seconds=40), released=True)
    assert detnas(store, "delete", digest(store), "--yes").exit_code == 0


def test_pools_delete_ignores_an_expired_lease(store: Store, scheduler: Scheduler) -> None:
    scheduler.run(tiny(store, "one", trials=1))
    hold(store, "a search on a machine", timedelta(minutes=11))
    assert detnas(store, "delete", digest(store), "--yes").exit_code == 0


@pytest.mark.parametrize("trained_by", ["a search on a machine", None])
def test_pools_delete_leaves_a_search_that_starts_meanwhile_its_pool(
    store: Store, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch, trained_by: str | None
) -> None:
    scheduler.run(tiny(store, "one", trials=1))
    if trained_by:
        hold(store, trained_by, timedelta(minutes=11))
    pool, two = list_pools(store)[0], tiny(store, "two", seed=8)
    key = keys.pool_lease_key(pool.key)

    def after_another_began(*asked: Any) -> Any:
        scheduler.prepare(two)
        taken = load_record(store, key, LeaseRecord)
        assert taken is not None
        assert taken.holder.startswith("detnas pools delete")
        return pool_users(*asked)

    monkeypatch.setattr(pool_deletion, "pool_users", after_another_began)
    with pytest.raises(UserError, match="in use by search two"):
        delete_pool(store, pool)
    assert PoolLease(store, key, "a search on a machine").was_last_held() is bool(trained_by)
    assert PoolLease(store, key, "two").hold()


def test_pools_delete_of_an_unknown_pool_exits_2(store: Store, scheduler: Scheduler) -> None:
    scheduler.run(tiny(store, "one", trials=1))
    assert f"detnas pools list --store {store.uri}" in refused(store, "0123")


def test_pools_need_keys_of_one_namespace_only(
    store: Store, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such keys may not list what lies beside the namespace's folder."""
    scheduler.run(tiny(store, "one", trials=1))
    scheduler.prepare(tiny(store, "two", seed=8))
    name, folders = digest(store), DirectoryStore.folders

    def refused(self: DirectoryStore, prefix: str) -> Iterator[str]:
        if not prefix.startswith("local/"):
            raise WrongCredentials("access denied", "check the keys")
        return folders(self, prefix)

    monkeypatch.setattr(DirectoryStore, "folders", refused)
    assert [pool["digest"] for pool in listed(store, "-n", "local")] == [name]
    for words in (["list"], ["list", "-n", "shared"], ["delete", name, "--yes"]):
        assert "for with --namespace" in str(detnas(store, *words).exception)
    in_use = detnas(store, "delete", name, "-n", "local", "--yes").exception
    assert "in use by search two in namespace local" in str(in_use)


def test_pools_help_explains_access_to_a_cluster() -> None:
    said = CliRunner().invoke(app, ["pools", "--help"]).stdout
    for word in ("--store", "status.teachers.pool", "AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL"):
        assert word in said


class Died(BaseException):
    """The process died at this write."""


@pytest.mark.parametrize("then", ["delete", "train"])
def test_pools_delete_can_be_repeated_after_any_crash(
    store: Store, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    scheduler.run(tiny(store, "one", trials=1))
    whole = len(list(store.list("local/pools/")))
    for deletions in range(whole):
        left = [deletions]
        real = store.delete

        def dying(key: str, left: list[int] = left, real: object = real) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise Died
            assert callable(real)
            real(key)

        pool = list_pools(store)[0]
        with monkeypatch.context() as patch:
            patch.setattr(store, "delete", dying)
            with pytest.raises(Died):
                delete_pool(store, pool)
        if then == "delete":
            assert detnas(store, "delete", digest(store), "--yes").exit_code == 0
            assert list(store.list("local/pools/")) == []
        scheduler.done.clear()
        state = scheduler.run(tiny(store, f"again-{deletions}", trials=1))
        assert scheduler.ran(Verb.EVALUATE) == [0]
        assert (state.final_stages is not None, len(state.pool)) == (True, 2)
        for phase in state.pool:
            assert store.size(phase.weights.key) == phase.weights.size
    assert {user.phase for user in list_pools(store)[0].users} == {Phase.SUCCEEDED}
