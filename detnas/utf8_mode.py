"""Names and contents of files are UTF-8, whatever the locale says."""

import os
import sys


def ensure_utf8_mode() -> None:
    """Start this process anew in Python's UTF-8 mode, where its file names are not UTF-8 already.

    In an eight-bit locale the name of a file that a manifest or an annotation file gives would not
    be the name on the disk. What is shown keeps the encoding that the terminal understands.
    """
    if sys.getfilesystemencoding() == "utf-8" or "utf8" in sys._xoptions:  # noqa: SLF001
        return
    os.environ["PYTHONUTF8"] = "1"  # for the processes that this one starts
    if sys.stdout is not None:
        os.environ.setdefault("PYTHONIOENCODING", sys.stdout.encoding)
    os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606
