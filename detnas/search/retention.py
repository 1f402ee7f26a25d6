"""Which trials' weights may go: those that no later step of the search can ask for."""

from collections.abc import Iterable, Sequence
from typing import Literal

from detnas.records.proposal import Proposal
from detnas.search.ledger import LedgerEntry
from detnas.search.summary import Summary


def needed(summary: Summary, in_flight: Sequence[Proposal]) -> frozenset[int]:
    """Trials whose weights stay.

    They may still be a parent (the best of them is what the user takes away), are the parent of a
    trial without a result, or lie on the Pareto front. Who left all three never comes back.
    """
    candidates = {entry.index for entry in summary.top}
    parents = {proposal.parent for proposal in in_flight if proposal.parent is not None}
    return frozenset(candidates | parents | {point.index for point in summary.front})


def collectable(
    entries: Iterable[LedgerEntry],
    summary: Summary,
    in_flight: Sequence[Proposal],
    weights: Literal["Needed", "All"],
) -> tuple[LedgerEntry, ...]:
    """Entries, of those given, whose weights may be deleted.

    Args:
        entries: finished trials whose weights were not deleted yet.
        summary: every finished trial, folded.
        in_flight: trials that are decided and have no result.
        weights: the manifest's ``retention.weights``; ``All`` keeps everything.
    """
    if weights == "All":
        return ()
    keep = needed(summary, in_flight)
    return tuple(e for e in entries if e.weights is not None and e.index not in keep)
