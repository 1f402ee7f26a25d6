"""The ledger's segments: finished trials, 100 to an object, written once.

Segment n holds trials 100n to 100n + 99 and is written when the last of them ended, so its content
follows from the trials alone: two writers write the same bytes.
"""

from collections.abc import Mapping
from typing import Annotated

from pydantic import FailFast, model_validator

from detnas.ledger.entry import LedgerEntry
from detnas.schema import Count, Schema

SEGMENT = 100


class Segment(Schema):
    """A hundred finished trials, in the order of their numbers."""

    number: Count
    entries: Annotated[tuple[LedgerEntry, ...], FailFast()]

    @model_validator(mode="after")
    def _whole(self) -> "Segment":
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


def pack(number: int, entries: Mapping[int, LedgerEntry]) -> Segment | None:
    """The segment of this number, or None while one of its trials has not ended.

    Args:
        number: of the segment, from 0.
        entries: finished trials by number.
    """
    indices = segment_indices(number)
    if any(index not in entries for index in indices):
        return None
    return Segment(number=number, entries=tuple(entries[index] for index in indices))
