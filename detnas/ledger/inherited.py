"""What a search took over from another: the trials that its own are numbered on from."""

from detnas.ledger.entry import LedgerEntry
from detnas.records import keys
from detnas.schema import Count, Schema
from detnas.store import Store
from detnas.store.artifacts import load_record


class Inherited(Schema):
    """`inherited/result.json`: written when all that is taken over lies in the search's folder.

    Attributes:
        source: URI of the other search's folder.
        trials: how many of its trials were taken over; they have the numbers from 0 on.
        tail: those of them that fill no segment of the ledger, in the order of their numbers.
    """

    source: str
    trials: Count
    tail: tuple[LedgerEntry, ...]


def load_inherited(store: Store, folder: str) -> Inherited | None:
    """Read what a search took over; none where it began afresh.

    Args:
        store: where it lies.
        folder: key of its folder.
    """
    return load_record(store, keys.result_key(keys.inherited_folder(folder)), Inherited)
