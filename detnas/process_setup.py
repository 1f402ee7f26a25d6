"""Prepares a process: UTF-8 mode, and standard streams that never end the work."""

import codecs
import contextlib
import io
import os
import select
import sys
from typing import Any, TextIO


def ensure_utf8_mode() -> None:
    """Restart this process in Python's UTF-8 mode, unless its file names are UTF-8 already.

    In an eight-bit locale a file name in a manifest or an annotation file would not match the name
    on the disk. Output keeps the terminal's encoding.
    """
    if sys.getfilesystemencoding() == "utf-8" or "utf8" in sys._xoptions:  # noqa: SLF001
        return
    os.environ["PYTHONUTF8"] = "1"  # for the processes that this one starts
    if sys.stdout is not None:
        os.environ.setdefault("PYTHONIOENCODING", sys.stdout.encoding)
    os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606


_IN_ASCII = {
    "→": "->", "−": "-", "–": "-", "─": "-", "×": "x", "±": "+-", "…": "...", "✓": "+", "✗": "x",
}  # fmt: skip
_HANDLER = "detnas.readable"


def guard_standard_streams() -> None:
    """Replace `sys.stdout` and `sys.stderr` by streams that ignore errors.

    Descriptors 0 to 2 that are closed are first opened on the null device, so that no other file
    gets their numbers. Called again when a descriptor was redirected to another file.
    """
    _open_closed_descriptors()
    codecs.register_error(_HANDLER, _readable)
    sys.stdout, sys.stderr = _guarded(sys.stdout), _guarded(sys.stderr)


def failure_of(stream: TextIO) -> OSError | None:
    """Return the error after which a guarded stream dropped its output; None if it had none."""
    stream.flush()
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw.failure if isinstance(raw, _Forgiving) else None


class _Forgiving(io.RawIOBase):
    """Writes to a descriptor until that fails for the first time, and then drops everything."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self.failure: OSError | None = None

    def writable(self) -> bool:
        """Always, whatever the descriptor."""
        return True

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self._descriptor)

    def write(self, data: Any, /) -> int:
        """Write some of the data, or drop all of it."""
        while self.failure is None:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:  # another process has made the terminal non-blocking
                select.select([], [self._descriptor], [])
            except OSError as error:
                self.failure = error
        return len(data)


def _guarded(stream: TextIO | None) -> TextIO:
    if stream is None:  # its descriptor was closed when Python started
        return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123
    try:
        descriptor = stream.fileno()
    except OSError:
        return stream  # not a file: a test's stream
    with contextlib.suppress(OSError):
        stream.flush()
    at_once = getattr(stream, "line_buffering", False) or getattr(stream, "write_through", False)
    return io.TextIOWrapper(
        io.BufferedWriter(_Forgiving(descriptor)),
        encoding=stream.encoding,
        errors=_HANDLER,
        line_buffering=at_once,
    )


def _open_closed_descriptors() -> None:
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # gets the lowest free number


def _readable(error: UnicodeError) -> tuple[str, int]:
    """Replace characters that an encoding lacks; for `codecs.register_error`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    escaped = (sign.encode("ascii", "backslashreplace").decode() for sign in lacking)
    shown = (_IN_ASCII.get(sign, code) for sign, code in zip(lacking, escaped, strict=True))
    return "".join(shown), error.end
