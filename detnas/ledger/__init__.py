"""The ledger: finished trials, as entries, segments, and a snapshot of their summary."""

from detnas.ledger.entry import LedgerEntry, ledger_entry
from detnas.ledger.history import History, load_history, read_entries, write_segments
from detnas.ledger.lineage import lineage
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
