"""Where a student came from: the chain of trials from the base to it."""

from collections.abc import Mapping

from detnas.errors import UserError
from detnas.ledger.entry import LedgerEntry


def lineage(entries: Mapping[int, LedgerEntry], index: int) -> tuple[LedgerEntry, ...]:
    """The trials that led to one, oldest first and itself last.

    Args:
        entries: finished trials by number; the chain's at least.
        index: number of the trial.

    Raises:
        UserError: a trial of the chain is not among the entries.
    """
    chain: list[LedgerEntry] = []
    at: int | None = index
    while at is not None:
        if at not in entries:
            raise UserError(f"trial {at} has no result", f"finished trials: 0 to {max(entries)}")
        chain.append(entries[at])
        at = entries[at].proposal.parent
    return tuple(reversed(chain))
