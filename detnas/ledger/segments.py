"""The ledger's segments: finished trials, 100 to an object, written once.

Segment n holds trials 100n to 100n + 99 and is written when the last of them has finished, so its
content follows from the trials alone: two writers write the same bytes.
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated

from pydantic import FailFast, model_validator

from detnas.ledger.entry import LedgerEntry
from detnas.schema import Count, Schema

SEGMENT = 100
"""Trials of one segment."""


class Segment(Schema):
    """A hundred finished trials, in the order of their numbers."""

    number: Count
    entries: Annotated[tuple[LedgerEntry, ...], FailFast()]

    @model_validator(mode="after")
    def _has_its_trials(self) -> "Segment":
        expected = segment_indices(self.number)
        if [entry.index for entry in self.entries] != list(expected):
            raise ValueError(
                f"entries of segment {self.number} are not the trials {expected.start} to "
                f"{expected.stop - 1}, each once and in order"
            )
        return self


def segment_indices(number: int) -> range:
    """Numbers of the trials that a segment holds."""
    return range(number * SEGMENT, (number + 1) * SEGMENT)


def segment_of(index: int) -> int:
    """Number of the segment that a trial belongs to."""
    return index // SEGMENT


def pack(number: int, entries: Mapping[int, LedgerEntry]) -> Segment | None:
    """The segment of this number, or None while one of its trials has not finished.

    Args:
        number: of the segment, from 0.
        entries: finished trials by number.
    """
    indices = segment_indices(number)
    if any(index not in entries for index in indices):
        return None
    return Segment(number=number, entries=tuple(entries[index] for index in indices))


class UnsegmentedEntries(Mapping[int, LedgerEntry]):
    """Finished trials that are in no segment yet, by number; immutable.

    Kept as compressed JSON, a twentieth of the objects' size: an operator has up to a hundred of
    every search, and few are read before their segment is written.
    """

    __slots__ = ("_packed",)

    def __init__(self, entries: Iterable[LedgerEntry] = ()) -> None:
        self._packed = {entry.index: _packed(entry) for entry in entries}

    def __getitem__(self, index: int) -> LedgerEntry:
        return LedgerEntry.model_validate_json(zlib.decompress(self._packed[index]))

    def __contains__(self, index: object) -> bool:
        return index in self._packed

    def __iter__(self) -> Iterator[int]:
        return iter(self._packed)

    def __len__(self) -> int:
        return len(self._packed)

    def with_entry(self, entry: LedgerEntry) -> "UnsegmentedEntries":
        """These entries and one more."""
        return self._of({**self._packed, entry.index: _packed(entry)})

    def without(self, indices: Iterable[int]) -> "UnsegmentedEntries":
        """The entries of all other trials."""
        gone = frozenset(indices)
        return self._of({i: packed for i, packed in self._packed.items() if i not in gone})

    @classmethod
    def _of(cls, packed: dict[int, bytes]) -> "UnsegmentedEntries":
        made = cls()
        made._packed = packed
        return made


def _packed(entry: LedgerEntry) -> bytes:
    return zlib.compress(entry.model_dump_json().encode())
