"""The log of an attempt: its lines, and their tail in the store."""

import logging
import os
import sys
import warnings
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from detnas.records.keys import log_key
from detnas.store import Store
from detnas.store.errors import StoreError

TAIL_BYTES = 256 << 10
"""The end of a log is kept: it states how the attempt went."""

log = logging.getLogger("detnas_trainer")


def set_up_logging() -> None:
    """Send our lines to stderr, with the time, and silence other packages.

    Ranks above 0 give warnings and errors only.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    log.handlers[:] = [handler]
    log.setLevel(logging.INFO if _is_rank_0() else logging.WARNING)
    log.propagate = False
    logging.getLogger("mmengine").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"(mmengine|mmcv|mmdet|torch)\b.*")


@contextmanager
def stored_log(store: Store, job: str, attempt: int) -> Iterator[None]:
    """Store the end of the block's log with the attempt's other files, however the block ends.

    Only where ``DETNAS_KEEP_LOG`` is 1, other callers keep the output; and only rank 0's.
    """
    if os.environ.get("DETNAS_KEEP_LOG") != "1" or not _is_rank_0():
        yield
        return
    tail = LogTail()
    log.addHandler(tail)
    try:
        yield
    except BaseException:
        tail.handle(_unforeseen())
        raise
    finally:
        log.removeHandler(tail)
        try:
            store.put(log_key(job, attempt), tail.text())
        except StoreError as error:  # a copy for people: the job ends the same without it
            log.warning("log not kept: %s", error)


def _is_rank_0() -> bool:
    return os.environ.get("RANK", "0") == "0"  # ranks say the same; torch is not imported yet


class LogTail(logging.Handler):
    """Keeps the last lines, up to ``limit`` bytes."""

    def __init__(self, limit: int = TAIL_BYTES) -> None:
        super().__init__()
        self.setFormatter(_Lines())
        self._limit = limit
        self._lines: deque[bytes] = deque()
        self._size = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Take a line, and drop the oldest ones beyond the limit."""
        line = f"{self.format(record)}\n".encode(errors="replace")[-self._limit :]
        self._lines.append(line)
        self._size += len(line)
        while self._size > self._limit:
            self._size -= len(self._lines.popleft())

    def text(self) -> bytes:
        """What is kept, as UTF-8."""
        return b"".join(self._lines)


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        return f"{time} {super().format(record)}"


def _unforeseen() -> logging.LogRecord:
    return log.makeRecord(log.name, logging.ERROR, "", 0, "the job failed", (), sys.exc_info())
