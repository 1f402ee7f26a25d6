"""Local runs with supplied inputs: a warm start, a trained pool."""

from pathlib import Path

import pytest

from tests.cluster.searches import PHASES
from tests.detnas.searches.local_run import LocalSearch


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> LocalSearch:
    folder = tmp_path_factory.mktemp("supplied")
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


def test_run_with_a_warm_start_continues_its_numbers(first: LocalSearch) -> None:
    second = beside(first, "second", warmStart={"from": "first"})
    second.run()
    assert ran(second) == ["prepare", "0003", "0004", "best"]
    assert [proposal["index"] for proposal in second.proposals()][-2:] == [3, 4]


def test_run_with_a_supplied_pool_trains_none(first: LocalSearch) -> None:
    (pool,) = (first.root / "local" / "pools").iterdir()
    teachers = {"pool": pool.as_uri(), "phases": PHASES, "seed": 3}
    third = beside(first, "third", teachers=teachers)
    third.run()
    assert "phase-0" not in ran(third)
    assert list((first.root / "local" / "pools").iterdir()) == [pool]


def test_run_with_a_missing_source_is_refused(first: LocalSearch) -> None:
    alone = beside(first, "alone", warmStart={"from": "nobody"})
    output = alone.run(exit_code=1)
    assert "spec.warmStart.from is nobody, and no search of that name is in" in output
    assert alone.starts() == []
