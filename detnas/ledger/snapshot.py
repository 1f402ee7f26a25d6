"""The summary's cache in the store, so that a restart does not read every trial again.

It is derived from the segments and the results of trials alone, so it may be missing or out of
date: what it lacks is read from those.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Literal

from pydantic import Base64Bytes, Field, model_validator

from detnas.ledger.segments import UnsegmentedEntries, segment_indices, segment_of
from detnas.ledger.summary import Numbers, Summary
from detnas.records import keys
from detnas.schema import Count, Schema
from detnas.spec.search import MAX_TRIALS
from detnas.store import Store
from detnas.store.artifacts import load_record, put_record
from detnas.store.errors import CorruptRecord

SNAPSHOT_VERSION: Literal[7] = 7
"""Incremented whenever the same trials give another summary, or its stored form changes."""

MAX_UNSEGMENTED_TRIALS = 1000
"""If there are more, as with hundreds of concurrent trials, a restart reads them one by one."""


class Snapshot(Schema):
    """Some of a search's finished trials.

    Attributes:
        folding: `SNAPSHOT_VERSION` of the version that wrote it; others ignore it.
        segments: numbers of the ledger's segments that are in the summary.
        unsegmented: compressed entries of the other trials in the summary, by number. They are
            most of a snapshot and seldom needed, so they are not parsed with it.
        summary: of all these trials.
    """

    folding: Literal[7]
    segments: Annotated[Numbers, Field(max_length=MAX_TRIALS)]
    unsegmented: Annotated[Mapping[Count, Base64Bytes], Field(max_length=MAX_UNSEGMENTED_TRIALS)]
    summary: Summary

    @model_validator(mode="after")
    def _has_or_misses_each_trial_once(self) -> "Snapshot":
        """If the count were wrong, a reader would request each of the trials."""
        single = [*self.summary.missing, *self.unsegmented]
        segmented = sum(len(segment_indices(number)) for number in self.segments)
        highest = max([*single, *(segment_indices(n).stop - 1 for n in self.segments)], default=-1)
        if (
            len(single) + segmented != self.summary.next_index
            or len(single) != len(set(single))
            or highest >= self.summary.next_index
            or any(segment_of(index) in self.segments for index in single)
        ):
            raise ValueError("it does not have or miss each trial up to its number once")
        return self


def load_snapshot(store: Store, folder: str, top_k: int) -> Snapshot | None:
    """Read the snapshot of the search in a folder.

    None if there is none, or one that this version cannot read, or of another ``top_k``.
    """
    with suppress(CorruptRecord):
        snapshot = load_record(store, keys.ledger_snapshot(folder), Snapshot)
        if snapshot is not None and snapshot.summary.top_k == top_k:
            return snapshot
    return None


def write_snapshot(
    store: Store,
    folder: str,
    summary: Summary,
    segments: frozenset[int],
    unsegmented: UnsegmentedEntries,
) -> None:
    """Replace the snapshot; if there are more unsegmented trials than a reader accepts, keep it.

    Args:
        store: where the search is stored.
        folder: key of the search's folder.
        summary: of trials whose segments and results are written.
        segments: numbers of those that the summary contains completely.
        unsegmented: the summary's other trials.
    """
    if len(unsegmented) <= MAX_UNSEGMENTED_TRIALS:
        snapshot = Snapshot.model_construct(
            folding=SNAPSHOT_VERSION,
            segments=segments,
            unsegmented=unsegmented.packed,
            summary=summary,
        )
        put_record(store, keys.ledger_snapshot(folder), snapshot)
