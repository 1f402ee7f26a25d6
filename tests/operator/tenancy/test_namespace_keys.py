"""Keys with the policy that docs/operator.md gives do all that a namespace needs, and no more."""

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from detnas.cli.app import app
from detnas.store import Store
from detnas.store.errors import AlreadyExists, StoreRefused, VersionConflict, WrongCredentials
from detnas.store.s3 import S3Store
from tests.cluster.played_pod import PlayedPod
from tests.cluster.pod_process import environment_of
from tests.cluster.pods import Script
from tests.cluster.pretended_trainer import PretendedTrainer
from tests.cluster.scripts import succeeds
from tests.operator.harness.fixtures import MakeHarness
from tests.seaweed import BUCKET, S3Server, running_server

DOCUMENT = Path(__file__).parents[3] / "docs" / "operator.md"
PREFIX = "detnas"
IN_PARTS = (16 << 20) + 1
"""Bytes that boto3 uploads in parts."""


def documented_policy(namespace: str) -> dict[str, Any]:
    """The policy of the documentation, for this namespace instead of `team-a`."""
    section = DOCUMENT.read_text(encoding="utf-8").partition("## What a namespace needs")[2]
    found = re.search(r"```json\n(.*?)```", section, re.DOTALL)
    assert found
    assert f"{BUCKET}/{PREFIX}/team-a/" in found[1]
    policy: dict[str, Any] = json.loads(found[1].replace("team-a", namespace))
    return policy


@contextmanager
def serving(folder: Path, *namespaces: str) -> Iterator[S3Server]:
    policies = {name: documented_policy(name) for name in namespaces}
    with running_server(folder, policies) as server:
        yield server


def opened(server: S3Server, prefix: str = PREFIX) -> S3Store:
    return S3Store(server.bucket, prefix, server.client)


def changes(store: Store, key: str, path: Path) -> None:
    store.put_if_absent(key, b"1")
    with pytest.raises(AlreadyExists):
        store.put_if_absent(key, b"2")
    stored = store.get(key)
    assert stored is not None
    store.put_if_match(key, b"3", stored.version)
    with pytest.raises(VersionConflict):
        store.put_if_match(key, b"4", stored.version)
    store.put(key, b"5")
    assert store.size(key) == 1
    store.copy(key, f"{key}-copy")
    store.delete(f"{key}-copy")


def moves(store: Store, key: str, path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(IN_PARTS)
    store.upload_file(key, path)
    store.download_file(key, path.with_name("back"))
    assert path.with_name("back").stat().st_size == IN_PARTS


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with serving(tmp_path_factory.mktemp("restricted"), "team-a") as running:
        yield running


@pytest.fixture
def mine(server: S3Server) -> S3Store:
    return opened(server.seen_by("team-a"))


@pytest.fixture
def whole(server: S3Server) -> S3Store:
    return opened(server)


def test_documented_policy_allows_all_of_a_jobs_work_in_its_namespace(
    mine: S3Store, tmp_path: Path
) -> None:
    folder = "team-a/searches/one-01234567/trials/0001"
    assert mine.get(f"{folder}/result.json") is None  # and not "access denied"
    assert mine.size(f"{folder}/result.json") is None
    assert list(mine.list(f"{folder}/attempts/")) == []
    changes(mine, f"{folder}/attempts/1/progress.json", tmp_path / "file")
    moves(mine, f"{folder}/weights.safetensors", tmp_path / "file")
    assert list(mine.list("team-a/")) == [
        f"{folder}/attempts/1/progress.json",
        f"{folder}/weights.safetensors",
    ]
    assert list(mine.folders("team-a/searches/")) == ["one-01234567"]
    assert mine.delete_some("team-a/") == 2


def test_documented_policy_allows_the_probe_of_a_root_in_the_namespaces_folder(
    server: S3Server,
) -> None:
    opened(server.seen_by("team-a"), f"{PREFIX}/team-a/of-2026").probe()


OTHERS: dict[str, Callable[[Store, str, Path], object]] = {
    "get": lambda store, key, _: store.get(key),
    "size": lambda store, key, _: store.size(key),
    "put": lambda store, key, _: store.put(key, b"x"),
    "put_if_absent": lambda store, key, _: store.put_if_absent(f"{key}-2", b"x"),
    "put_if_match": lambda store, key, _: store.put_if_match(key, b"x", '"0"'),
    "list": lambda store, key, _: list(store.list(f"{key.rpartition('/')[0]}/")),
    "folders": lambda store, key, _: list(store.folders(f"{key.split('/')[0]}/")),
    "copy from": lambda store, key, _: store.copy(key, "team-a/copied"),
    "copy to": lambda store, key, _: store.copy("team-a/own", key),
    "delete": lambda store, key, _: store.delete(key),
    "upload": moves,
    "download": lambda store, key, path: store.download_file(key, path),
}


@pytest.mark.parametrize("verb", OTHERS)
@pytest.mark.parametrize("folder", ["team-b", "team-ab", "shared/pools", ".detnas"])
def test_documented_policy_refuses_every_verb_outside_the_namespace(
    mine: S3Store, whole: S3Store, folder: str, verb: str, tmp_path: Path
) -> None:
    key = f"{folder}/searches/secret"
    whole.put("team-a/own", b"mine")
    whole.put(key, b"theirs")
    with pytest.raises(WrongCredentials):
        OTHERS[verb](mine, key, tmp_path / "file")
    assert list(whole.list(f"{folder}/")) == ([key] if folder != ".detnas" else [])
    stored = whole.get(key)
    assert stored is not None
    assert stored.data == b"theirs"
    assert whole.get("team-a/copied") is None


def test_documented_policy_refuses_to_list_the_namespaces(mine: S3Store, whole: S3Store) -> None:
    whole.put("team-b/secret", b"theirs")
    for attempt in (
        lambda: list(mine.folders("")),
        lambda: list(mine.list("")),
        mine.probe,
        lambda: mine.put("secret", b"x"),
    ):
        with pytest.raises(WrongCredentials):
            attempt()
    doomed = {"Objects": [{"Key": f"{PREFIX}/team-b/secret"}]}
    mine._connected().delete_objects(Bucket=BUCKET, Delete=doomed)
    with pytest.raises(StoreRefused):
        mine.delete_some("team-b/")
    assert whole.get("team-b/secret") is not None


def trains_with_the_pods_keys(server: S3Server) -> Script:
    """Pretend a job with the keys that the pod's environment has, and no others."""

    async def script(pod: PlayedPod) -> None:
        found = await environment_of(pod)
        access, secret = found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"]
        seen = replace(server, access_key=access, secret_key=secret)
        await succeeds(work=PretendedTrainer(seen))(pod)

    return script


def chart_values(server: S3Server, spaces: tuple[str, ...]) -> dict[str, Any]:
    def keys(seen: S3Server) -> dict[str, str]:
        return {"accessKeyId": seen.access_key, "secretAccessKey": seen.secret_key}

    return {
        "storage": {
            "endpoint": server.endpoint,
            "allowed": [f"s3://{server.bucket}/{PREFIX}"],
            "credentials": keys(server),
        },
        "namespaces": [{"name": space, "s3": keys(server.seen_by(space))} for space in spaces],
    }


def detnas(monkeypatch: pytest.MonkeyPatch, server: S3Server, *words: str) -> str:
    """What the command line prints to a person with these keys."""
    with monkeypatch.context() as patch:
        for name, value in server.environment().items():
            patch.setenv(name, value)
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        said = CliRunner().invoke(app, words)
    assert said.exit_code == 0, (said.output, said.exception)
    return said.stdout


@pytest.mark.slow
def test_documented_policy_suffices_for_entire_searches(
    make_harness: MakeHarness,
    namespaces: Callable[[], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, other = spaces = namespaces(), namespaces()
    with serving(tmp_path / "s3", *spaces) as server:
        harness = make_harness(list(spaces), values=chart_values(server, spaces), server=server)
        harness.play(lambda _: trains_with_the_pods_keys(server))
        harness.operator.start()
        own_root = {"storage": {"uri": f"s3://{server.bucket}/{PREFIX}/{other}/of-2026"}}
        searches = [
            harness.begin("same", namespace=one),
            harness.begin("same", own_root, namespace=other),
        ]
        for search in searches:
            status = search.until_phase("Succeeded").status
            seen = server.seen_by(search.namespace)
            root = status["folder"].partition(f"/{search.namespace}/searches/")[0]
            words = ("--store", root, "--namespace", search.namespace, "-o", "json")
            (pool,) = json.loads(detnas(monkeypatch, seen, "pools", "list", *words))["pools"]
            assert [user["search"] for user in pool["users"]] == [status["folder"]]
            assert "Succeeded" in detnas(monkeypatch, seen, "status", status["folder"])
        folder = searches[1].status["folder"]
        assert folder.startswith(f"{own_root['storage']['uri']}/{other}/")
