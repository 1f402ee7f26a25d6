"""Finished trials that no segment holds yet, kept small: an operator has them of every search."""

import base64
import zlib
from collections.abc import Iterable, Iterator, Mapping

from detnas.ledger.entry import LedgerEntry

_MOST_TEXT = 32 << 20
"""Bytes of all entries together, as JSON; what is compressed well could fill the memory."""


class LooseEntries(Mapping[int, LedgerEntry]):
    """An immutable mapping of entries by their trials' numbers.

    An entry is kept as compressed JSON, a twentieth of the object's size, and parsed when it is
    asked for: each waits for the others of its segment, and few are looked at again before it.
    """

    __slots__ = ("_packed",)

    def __init__(self, entries: Iterable[LedgerEntry] = ()) -> None:
        self._packed = {entry.index: _pack(entry) for entry in entries}

    def __getitem__(self, index: int) -> LedgerEntry:
        return LedgerEntry.model_validate_json(_text(self._packed[index]))

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
    def unpacked(cls, packed: Iterable[str]) -> "LooseEntries":
        """Return what `packed` gave.

        Raises:
            ValueError: it gave something else.
        """
        found: dict[int, bytes] = {}
        left = _MOST_TEXT
        for text in packed:
            one = base64.b64decode(text, validate=True)
            content = _text(one, left)
            left -= len(content)
            index = LedgerEntry.model_validate_json(content).index
            if index in found:
                raise ValueError(f"trial {index} is there twice")
            found[index] = one
        return cls._of(found)

    @property
    def packed(self) -> tuple[str, ...]:
        """Every entry as text that says nothing to people, by rising number."""
        return tuple(base64.b64encode(self._packed[i]).decode() for i in sorted(self._packed))

    @classmethod
    def _of(cls, packed: dict[int, bytes]) -> "LooseEntries":
        made = cls()
        made._packed = packed
        return made


def _text(packed: bytes, most: int = _MOST_TEXT) -> bytes:
    unpacking = zlib.decompressobj()
    try:
        text = unpacking.decompress(packed, most + 1)  # 0 would be no limit at all
    except zlib.error as error:
        raise ValueError(f"an entry is not compressed ({error})") from error
    if not unpacking.eof or len(text) > most:
        raise ValueError(f"entries are cut, or have more than {_MOST_TEXT} bytes")
    return text


def _pack(entry: LedgerEntry) -> bytes:
    return zlib.compress(entry.model_dump_json().encode())
