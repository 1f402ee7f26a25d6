"""The strategies: what to try next, from the ledger and the trials in flight."""

from detnas.search.propose import EndReason, SearchEnd, propose

__all__ = ["EndReason", "SearchEnd", "propose"]
