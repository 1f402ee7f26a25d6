"""Asks the trainer on this machine to check a data set and to time a training step."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from tempfile import TemporaryFile

from pydantic import ValidationError

from detnas.records.look import LookAnswer, LookProgress, LookRequest
from detnas.runner.errors import RunError

TRAINER = (sys.executable, "-m", "detnas_trainer.cli", "look")
_SHOWN_LINES = 5


def has_trainer() -> bool:
    """Whether a trainer, with torch, is installed beside this command."""
    return find_spec("detnas_trainer") is not None and find_spec("torch") is not None


def ask_trainer(
    request: LookRequest,
    advance: Callable[[int, int], None],
    command: Sequence[str] = TRAINER,
    otherwise: str = "`detnas init --no-check` does without it",
) -> LookAnswer:
    """Return the trainer's answer.

    Args:
        request: what it should do.
        advance: called with the images that are checked, and all there are.
        command: starts it.
        otherwise: what the user can do if it fails.

    Raises:
        RunError: it failed; the message has the end of what it wrote.
    """
    with (
        TemporaryFile("w+", encoding="utf-8", errors="replace") as written,  # a pipe would fill
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=written,
            text=True,
            encoding="utf-8",
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(request.model_dump_json(by_alias=True))
        process.stdin.close()
        last = ""
        for line in process.stdout:
            if (progress := _progress(line)) is not None:
                advance(progress.done, progress.total)
            else:
                last = line
        process.wait()
        written.seek(0)
        errors = written.read()
    try:
        return LookAnswer.model_validate_json(last)
    except ValidationError:
        ending = " / ".join(errors.strip().splitlines()[-_SHOWN_LINES:]) or last or "no output"
        raise RunError(
            f"the trainer ended with {process.returncode}: {ending}",
            otherwise,
        ) from None


def _progress(line: str) -> LookProgress | None:
    try:
        return LookProgress.model_validate_json(line)
    except ValidationError:
        return None
