"""Hill climbing: what to try next, from the ledger and the trials in flight."""

from detnas.search.propose import Convergence, Finished, propose

__all__ = ["Convergence", "Finished", "propose"]
