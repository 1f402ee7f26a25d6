"""`detnas run` of searches that are given something: another search, or a trained pool."""

from pathlib import Path

import pytest

from tests.cluster.searches import PHASES
from tests.detnas.searches.local_run import LocalSearch


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> LocalSearch:
    folder = tmp_path_factory.mktemp("given")
    search = LocalSearch(folder / "first", "first", store=str(folder / "store"))
    search.write(trials=3)
    search.run()
    return search


def beside(first: LocalSearch, name: str, **spec: object) -> LocalSearch:
    """Another search of the same store."""
    search = LocalSearch(first.folder.parent / name, name, spec, store=first.store)
    search.write(trials=2, seed=9)
    return search


def ran(search: LocalSearch) -> list[str]:
    return [Path(key).name for key, _ in search.starts()]


def test_it_goes_on_from_another_search(first: LocalSearch) -> None:
    second = beside(first, "second", warmStart={"from": "first"})
    second.run()
    assert ran(second) == ["prepare", "0003", "0004", "best"]
    assert [proposal["index"] for proposal in second.proposals()][-2:] == [3, 4]


def test_it_uses_the_pool_it_names(first: LocalSearch) -> None:
    (pool,) = (first.root / "local" / "pools").iterdir()
    teachers = {"pool": pool.as_uri(), "phases": PHASES, "seed": 3}
    third = beside(first, "third", teachers=teachers)
    third.run()
    assert "phase-0" not in ran(third)
    assert list((first.root / "local" / "pools").iterdir()) == [pool]


def test_what_is_not_there_is_said(first: LocalSearch) -> None:
    alone = beside(first, "alone", warmStart={"from": "nobody"})
    said = alone.run(exit_code=1)
    assert "spec.warmStart.from is nobody, and no search of that name is in" in said
    assert alone.starts() == []
