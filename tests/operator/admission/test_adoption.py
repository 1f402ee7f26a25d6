"""Whether a new resource continues with earlier data: by its spec, and by its annotation."""

from pathlib import Path
from typing import Any

import pytest

from detnas.lifecycle.blocked import BlockedError
from detnas.lifecycle.record import SearchRecord
from detnas.plan.requests import SearchRequests
from detnas.records import keys
from detnas.store import Store, open_store
from detnas.store.artifacts import create_record
from detnas_operator.admission.admission import parse
from detnas_operator.admission.adoption import choose_folder
from detnas_operator.cluster.labels import ADOPT
from detnas_operator.cluster.searches import SearchView
from tests.cluster.searches import manifest

OLD = "team-a/searches/one-88abe34b"
OWN = "team-a/searches/one-01234567"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path.as_uri())


def resource(adopt: str = "", **search: Any) -> SearchView:
    found = manifest("one", **search)
    annotations = {"annotations": {ADOPT: adopt}} if adopt else {}
    metadata = {"name": "one", "namespace": "team-a", "uid": "01234567-89ab", **annotations}
    return SearchView({**found, "metadata": metadata})


def leave(store: Store, folder: str = OLD, trials: int = 2, **search: Any) -> None:
    """Leave the data of an earlier search."""
    asked = parse(resource(**search))
    requests = SearchRequests(manifest=asked, search=folder, folder=None, pools="team-a")
    record = SearchRecord(
        uid=folder[-8:], folder="", data=requests.data, manifest=asked, versions={}
    )
    create_record(store, keys.search_record_key(folder), record)
    for trial in range(trials):
        store.put(f"{folder}/trials/{trial:04}/result.json", b"{}")


def chosen(store: Store, search: SearchView) -> str:
    return choose_folder(search, parse(search), store)


def asks(store: Store, search: SearchView) -> str:
    """What a person is asked."""
    with pytest.raises(BlockedError) as error:
        chosen(store, search)
    assert error.value.code == "EarlierData"
    return str(error.value)


def test_choose_folder_adopts_a_search_with_the_same_spec(store: Store) -> None:
    leave(store)
    assert chosen(store, resource("one-88abe34b")) == OLD
    assert chosen(store, resource(f"{store.uri}/{OLD}")) == OLD
    assert chosen(store, resource("none")) == OWN


def test_choose_folder_adopts_despite_changeable_fields(store: Store) -> None:
    leave(store, trials=2)
    assert chosen(store, resource("one-88abe34b", trials=50, parallelism=3)) == OLD


def test_choose_folder_refuses_a_search_with_another_spec(store: Store) -> None:
    leave(store, seed=1)
    said = asks(store, resource("one-88abe34b", seed=2))
    assert "spec.search.seed (1 there, 2 here)" in said
    assert said.count(" there, ") == 1
    assert f"{ADOPT}=none to begin from scratch" in said


NEWER = "team-a/searches/one-11111111"
DAMAGED = {"cut": b'{"uid": "88ab', "no record": b"[]", "of a later format": b'{"format": 999}'}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_choose_folder_names_an_unreadable_record_and_asks(store: Store, content: bytes) -> None:
    leave(store, NEWER)
    store.put(keys.search_record_key(NEWER), content)
    said = asks(store, resource())
    assert f"{store.uri}/{NEWER} (2 finished trials; whether its manifest requests the same" in said
    assert (
        f"kubectl annotate detnas one --namespace team-a {ADOPT}=none to begin from scratch" in said
    )
    assert f"set {ADOPT}=none" in asks(store, resource("one-11111111"))
    assert chosen(store, resource("none")) == OWN

    leave(store)
    assert f"{ADOPT}=one-88abe34b to continue with it, or {ADOPT}=none" in asks(store, resource())


def test_choose_folder_ignores_an_unreadable_record_without_trials(store: Store) -> None:
    leave(store, trials=0)
    store.put(keys.search_record_key(OLD), b"{")
    assert chosen(store, resource()) == OWN


def test_choose_folder_shows_the_entire_command_for_many_folders(store: Store) -> None:
    for number in range(20):
        leave(store, f"team-a/searches/one-{number:08x}", trials=1)
    said = asks(store, resource())
    assert said.endswith(" and 15 more")
    assert said.index(f"{ADOPT}=none to begin from scratch") < said.index(store.uri)
