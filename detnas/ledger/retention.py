"""Which trials' weights may go: those that no later step of the search can ask for."""

from collections.abc import Sequence

from detnas.ledger.summary import Summary
from detnas.records.proposal import Proposal


def needed(summary: Summary, in_flight: Sequence[Proposal]) -> frozenset[int]:
    """Trials whose weights stay.

    They may still be a parent (the best of them is what the user takes away), are the parent of a
    trial without a result, or lie on the Pareto front. Who left all three never comes back.
    """
    candidates = {entry.index for entry in summary.top}
    parents = {proposal.parent for proposal in in_flight if proposal.parent is not None}
    return frozenset(candidates | parents | {point.index for point in summary.front})
