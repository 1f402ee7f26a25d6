"""Selection by estimates (`search.selection: Shrunk`)."""

from dataclasses import replace

import pytest

from detnas.records.proposal import Proposal
from detnas.spec.search import Search, Selection
from tests.detnas.search.landscape import LANDSCAPES, KnownSearch, compare, walk

SHRUNK = Search(selection=Selection.SHRUNK, trials=60, patience=60)


@pytest.mark.parametrize("landscape", LANDSCAPES)
def test_shrunk_search_finds_better_students_in_noise(landscape: str) -> None:
    found = compare(LANDSCAPES[landscape], noise=0.04, seeds=range(40), trials=60)
    assert found.difference > 2 * found.error
    assert found.difference > 0.003


def test_shrunk_search_without_noise_is_the_observed_one() -> None:
    searches = [
        KnownSearch(SHRUNK.model_copy(update={"selection": one}), walk, 0.0, 0).run()
        for one in Selection
    ]
    ours, theirs = (
        [entry.proposal.model_copy(update={"prior": None}) for entry in one.entries.values()]
        for one in searches
    )
    assert ours == theirs


def test_observed_search_records_no_prior() -> None:
    search = KnownSearch(Search(trials=20), walk, 0.03, 0).run()
    assert all(entry.proposal.prior is None for entry in search.entries.values())
    assert not search.summary.changes


def test_trial_records_what_was_known_of_its_parent() -> None:
    search = KnownSearch(SHRUNK, walk, 0.03, 0).run()
    first = search.entries[0].proposal.prior
    assert first is not None
    assert [one.error for one in first.parent] == [0.03, 0.03], "of the base"
    for entry in search.entries.values():
        prior, parent = entry.proposal.prior, entry.proposal.parent
        assert prior is not None
        if parent is None:
            continue
        estimates = [score.estimate for score in search.entries[parent].scores]
        assert [(one.map, one.error) for one in prior.parent] == [
            (one.map, one.error) for one in estimates if one is not None
        ]


def test_results_without_errors_are_selected_as_measured() -> None:
    search = KnownSearch(SHRUNK, walk, 0.03, 0)
    search.base = replace(
        search.base,
        scores=tuple(s.model_copy(update={"map_error": None}) for s in search.base.scores),
    )
    found = search.next()
    assert isinstance(found, Proposal)
    assert found.prior is not None
    assert found.prior.parent == ()
