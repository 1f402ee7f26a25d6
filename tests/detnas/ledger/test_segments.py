"""Segments of a hundred trials, and the entries that wait for one."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from detnas.ledger.segments import SEGMENT, Segment, UnsegmentedEntries, pack
from tests.detnas.trials import proposal, searched, succeeded

ENTRIES = dict(searched(40, parallelism=4).entries)
numbers = st.lists(st.sampled_from(sorted(ENTRIES)), unique=True)


@given(st.sets(st.sampled_from(range(SEGMENT)), max_size=3))
def test_pack_returns_a_segment_once_all_its_trials_finished(missing: set[int]) -> None:
    entries = {i: ENTRY_OF[i] for i in range(150) if i not in missing}
    segment = pack(0, entries)
    assert (segment is None) == bool(missing)
    assert pack(1, entries) is None
    if segment:
        assert [entry.index for entry in segment.entries] == list(range(SEGMENT))
        assert Segment.model_validate_json(segment.model_dump_json(by_alias=True)) == segment


ENTRY_OF = {index: succeeded(proposal(index), 0.3, 0.4) for index in range(150)}


def test_segment_refuses_other_trials() -> None:
    with pytest.raises(ValidationError, match="entries of segment 1 are not the trials 100 to 199"):
        Segment(number=1, entries=tuple(ENTRY_OF[index] for index in range(100)))


@given(numbers, numbers, numbers)
def test_unsegmented_entries_are_a_mapping(
    first: list[int], more: list[int], gone: list[int]
) -> None:
    entries = UnsegmentedEntries.of(ENTRIES[index] for index in first)
    for index in more:
        entries = entries.with_entry(ENTRIES[index])
    assert dict(entries) == {index: ENTRIES[index] for index in {*first, *more}}
    assert dict(entries.without(gone)) == {
        index: ENTRIES[index] for index in {*first, *more} - {*gone}
    }


def test_unsegmented_entries_take_little_memory() -> None:
    entries = searched(100).entries
    hundred = UnsegmentedEntries.of(entries[index] for index in range(100))
    assert sum(map(sys.getsizeof, hundred._packed.values())) < 100_000
    with pytest.raises(KeyError):
        hundred[100]
