"""Child processes of `dev.py`: shown with their time, or kept in a log with a live line."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

Command = Sequence[str | Path]


class StepFailed(Exception):  # noqa: N818 - reads as what happened
    """A step ended with a non-zero exit status; the message says which and why."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


def say(message: str) -> None:
    """Print one line at once, also into a pipe."""
    print(message, flush=True)


def clock(seconds: float) -> str:
    """Minutes and seconds, as `3:07`."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def run_shown(
    title: str,
    command: Command,
    env: Mapping[str, str] | None = None,
    *,
    own_ending: bool = False,
) -> None:
    """Run `command` with its output on the terminal; print its title and its time.

    With `own_ending` the last line is the command's own, however it ends.

    Raises:
        StepFailed: with the command's own exit status.
    """
    say(f"── {title}")
    started = time.monotonic()
    status = _wait(_start(command, env, None))
    took = clock(time.monotonic() - started)
    if status:
        ending = "" if own_ending else f"✗ {title} failed after {took} (exit status {status})"
        raise StepFailed(ending, status)
    if not own_ending:
        say(f"✓ {title} ({took})")


def run_logged(
    title: str,
    command: Command,
    log: Path,
    env: Mapping[str, str] | None = None,
    progress: Callable[[], str] = str,
) -> None:
    """Run `command` into `log` under a live line of elapsed time and `progress()`.

    Raises:
        StepFailed: with the end of the log.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with log.open("wb") as output:
        process = _start(command, env, output.fileno())
        try:
            while process.poll() is None:
                _live_line(title, time.monotonic() - started, progress())
                _pause(process)
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            raise
        finally:
            status = _wait(process)
    took = clock(time.monotonic() - started)
    if status:
        tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-40:])
        raise StepFailed(f"{tail}\n✗ {title} failed after {took}; all of its output: {log}", status)
    _end_line(f"✓ {title} ({took})")


def output_of(command: Command) -> str:
    """What a short command prints.

    Raises:
        StepFailed: with what it said instead.
    """
    parts = [str(part) for part in command]
    done = subprocess.run(parts, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StepFailed(f"{done.stderr}✗ {' '.join(parts)}", done.returncode)
    return done.stdout


def run_piped(source: Command, sink: Command, problem: str) -> None:
    """Let `sink` read what `source` writes.

    Raises:
        StepFailed: one of them failed; with what `sink` said, and the problem.
    """
    with subprocess.Popen([str(part) for part in source], stdout=subprocess.PIPE) as writing:
        reading = subprocess.run(
            [str(part) for part in sink],
            stdin=writing.stdout,
            capture_output=True,
            text=True,
            check=False,
        )
    if reading.returncode or writing.returncode:
        raise StepFailed(f"{reading.stdout}{reading.stderr}\n✗ {problem}")


def _start(
    command: Command, env: Mapping[str, str] | None, output: int | None
) -> subprocess.Popen[bytes]:
    # A group of its own where output is logged, so that compilers end with the build.
    return subprocess.Popen(
        [str(part) for part in command],
        env=dict(os.environ if env is None else env),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=None if output is None else subprocess.STDOUT,
        start_new_session=output is not None,
    )


def _wait(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.wait()  # a terminal has sent the child the same signal
        raise


def _pause(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=1 if sys.stdout.isatty() else 30)


def _live_line(title: str, seconds: float, detail: str) -> None:
    line = f"  {title}: {clock(seconds)}{'  ' + detail if detail else ''}"
    if sys.stdout.isatty():
        width = os.get_terminal_size().columns - 1
        print(f"\r\x1b[K{line[:width]}", end="", flush=True)
    else:
        say(line)


def _end_line(line: str) -> None:
    say(f"\r\x1b[K{line}" if sys.stdout.isatty() else line)
