"""Finished trials that no segment holds yet, kept small: an operator has them of every search."""

import zlib
from collections.abc import Iterable, Iterator, Mapping

from detnas.search.ledger import LedgerEntry


class LooseEntries(Mapping[int, LedgerEntry]):
    """An immutable mapping of entries by their trials' numbers.

    An entry is kept as compressed JSON, a twentieth of the object's size, and parsed when it is
    asked for: up to a hundred wait for their segment, and few are looked at again before it.
    """

    __slots__ = ("_packed",)

    def __init__(self, entries: Iterable[LedgerEntry] = ()) -> None:
        self._packed = {entry.index: _pack(entry) for entry in entries}

    def __getitem__(self, index: int) -> LedgerEntry:
        return LedgerEntry.model_validate_json(zlib.decompress(self._packed[index]))

    def __contains__(self, index: object) -> bool:
        return index in self._packed  # asked of a whole segment in every pass: nothing is parsed

    def __iter__(self) -> Iterator[int]:
        return iter(self._packed)

    def __len__(self) -> int:
        return len(self._packed)

    def with_entry(self, entry: LedgerEntry) -> "LooseEntries":
        """The same and one more."""
        return self._of({**self._packed, entry.index: _pack(entry)})

    def without(self, indices: Iterable[int]) -> "LooseEntries":
        """The same but for these."""
        gone = frozenset(indices)
        return self._of({i: packed for i, packed in self._packed.items() if i not in gone})

    @classmethod
    def _of(cls, packed: dict[int, bytes]) -> "LooseEntries":
        made = cls()
        made._packed = packed
        return made


def _pack(entry: LedgerEntry) -> bytes:
    return zlib.compress(entry.model_dump_json().encode())
