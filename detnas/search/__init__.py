"""Hill climbing: the score, the ledger of finished trials, and what to try next."""

from detnas.search.base import BaseFacts
from detnas.search.history import History, load_history, read_entries, write_segments
from detnas.search.ledger import LedgerEntry, ledger_entry
from detnas.search.lineage import lineage
from detnas.search.propose import Convergence, Finished, propose
from detnas.search.score import Objective, Scored
from detnas.search.summary import Summary, fold

__all__ = [
    "BaseFacts",
    "Convergence",
    "Finished",
    "History",
    "LedgerEntry",
    "Objective",
    "Scored",
    "Summary",
    "fold",
    "ledger_entry",
    "lineage",
    "load_history",
    "propose",
    "read_entries",
    "write_segments",
]
