"""Entries come out as they went in, whatever was added and taken, and take little."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detnas.ledger.loose import LooseEntries
from tests.detnas.trials import searched

ENTRIES = dict(searched(40, parallelism=4).entries)
numbers = st.lists(st.sampled_from(sorted(ENTRIES)), unique=True)


@given(numbers, numbers, numbers)
def test_it_is_a_mapping(first: list[int], more: list[int], gone: list[int]) -> None:
    loose = LooseEntries(ENTRIES[index] for index in first)
    for index in more:
        loose = loose.with_entry(ENTRIES[index])
    left = loose.without(gone)
    assert dict(loose) == {index: ENTRIES[index] for index in {*first, *more}}
    assert dict(LooseEntries.unpacked(loose.packed)) == dict(loose)
    assert dict(left) == {index: ENTRIES[index] for index in {*first, *more} - {*gone}}


def test_a_hundred_take_little() -> None:
    entries = searched(100).entries
    hundred = LooseEntries(entries[index] for index in range(100))
    kept = sum(map(sys.getsizeof, hundred._packed.values())) + sys.getsizeof(hundred._packed)
    assert kept < 100_000
    with pytest.raises(KeyError):
        hundred[100]


def test_what_is_compressed_well_fills_no_memory_after_others_took_all_that_is_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = LooseEntries(ENTRIES[index] for index in (0, 1)).packed
    allowed = len(ENTRIES[0].model_dump_json().encode())
    monkeypatch.setattr("detnas.ledger.loose._MOST_TEXT", allowed)
    assert list(LooseEntries.unpacked([first])) == [0]
    with pytest.raises(ValueError, match="more than"):
        LooseEntries.unpacked([first, second])
