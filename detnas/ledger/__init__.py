"""The ledger: a search's finished trials, in memory as a summary, in the store as segments."""

from detnas.ledger.entry import LedgerEntry, ledger_entry, lineage
from detnas.ledger.history import History, load_history, read_entries, write_segments
from detnas.ledger.summary import Summary, fold

__all__ = [
    "History",
    "LedgerEntry",
    "Summary",
    "fold",
    "ledger_entry",
    "lineage",
    "load_history",
    "read_entries",
    "write_segments",
]
