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
from detnas.store.errors import CorruptRecord
from detnas.store.record_format import decode_record, encode_record

SEGMENT = 100
"""Trials of one segment."""

_MAX_ENTRY_BYTES = 1 << 20
"""Of an entry's JSON; a message of 4,000 characters is its longest part."""


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

    Kept as compressed JSON, a twentieth of the objects' size, and stored like that in the snapshot:
    an operator has up to a hundred of every search, and few are read before their segment is
    written. An entry is therefore checked when it is read.

    Args:
        packed: each trial's compressed record, by number.
    """

    __slots__ = ("_packed",)

    def __init__(self, packed: Mapping[int, bytes] | None = None) -> None:
        self._packed = dict(packed or {})

    @classmethod
    def of(cls, entries: Iterable[LedgerEntry]) -> "UnsegmentedEntries":
        """Pack entries."""
        return cls({entry.index: _packed(entry) for entry in entries})

    @property
    def packed(self) -> Mapping[int, bytes]:
        """Each trial's compressed record, by number."""
        return self._packed

    def __getitem__(self, index: int) -> LedgerEntry:
        """The entry of a trial.

        Raises:
            KeyError: the trial is not among them.
            CorruptRecord: the snapshot that it was read from holds no entry of that trial.
        """
        return _unpacked(index, self._packed[index])

    def __contains__(self, index: object) -> bool:
        return index in self._packed

    def __iter__(self) -> Iterator[int]:
        return iter(self._packed)

    def __len__(self) -> int:
        return len(self._packed)

    def with_entry(self, entry: LedgerEntry) -> "UnsegmentedEntries":
        """These entries and one more."""
        return UnsegmentedEntries({**self._packed, entry.index: _packed(entry)})

    def without(self, indices: Iterable[int]) -> "UnsegmentedEntries":
        """The entries of all other trials."""
        gone = frozenset(indices)
        return UnsegmentedEntries({i: one for i, one in self._packed.items() if i not in gone})


def _packed(entry: LedgerEntry) -> bytes:
    return zlib.compress(encode_record(entry))


def _unpacked(index: int, packed: bytes) -> LedgerEntry:
    place = f"trial {index} in the ledger's snapshot"
    decompressor = zlib.decompressobj()
    try:
        record = decompressor.decompress(packed, _MAX_ENTRY_BYTES)
        entry = decode_record(record, place, LedgerEntry)
    except (zlib.error, CorruptRecord) as error:
        raise _unreadable(place, str(error)) from error
    if not decompressor.eof:
        raise _unreadable(place, f"it is cut, or has more than {_MAX_ENTRY_BYTES} bytes")
    if entry.index != index:
        raise _unreadable(place, f"it is the entry of trial {entry.index}")
    return entry


def _unreadable(place: str, problem: str) -> CorruptRecord:
    return CorruptRecord(
        f"{place} is not readable: {problem}",
        "delete the object ledger/folded.json in the search's folder: it is a cache, which is "
        "written again from the results of the trials",
    )
