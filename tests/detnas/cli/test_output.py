"""What is only shown never ends the work: streams that fail, that are closed, that lack letters."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.detnas.cli.commands import COMMAND, detnas, run, short_search
from tests.detnas.searches.local_run import PATIENCE, ROOT, LocalSearch, ends

ESCAPE = b"\x1b"
CLOSING = {"stderr": "2>&-", "all three": "<&- >&- 2>&-"}
ENCODINGS = {
    "ASCII streams": {"PYTHONIOENCODING": "ascii"},
    "an eight-bit stream": {"PYTHONIOENCODING": "latin-1"},
    "a POSIX locale without UTF-8 mode": {
        "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0",
    },
    "a POSIX locale": {"LC_ALL": "C"},
}  # fmt: skip


@pytest.fixture
def search(tmp_path: Path) -> LocalSearch:
    return short_search(tmp_path / "search")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> LocalSearch:
    found = short_search(tmp_path_factory.mktemp("finished") / "search")
    found.run()
    return found


def run_words(search: LocalSearch) -> list[str]:
    manifest, store = search.folder / "search.yaml", search.folder / "store"
    return [*COMMAND, str(search.folder), "run", str(manifest), "--store", str(store)]


def assert_finished(search: LocalSearch, ended: subprocess.CompletedProcess[bytes]) -> None:
    assert ended.returncode == 0, ended
    assert (search.search / "students/best/result.json").exists()


@contextmanager
def closed_pipe():
    """The writing end of a pipe from which nobody reads any more."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        yield writing
    finally:
        os.close(writing)


@contextmanager
def full_disk():
    with Path("/dev/full").open("wb") as full:
        yield full


@pytest.mark.parametrize("sink", [closed_pipe, full_disk], ids=["closed pipe", "full disk"])
@pytest.mark.parametrize("streams", [("stdout",), ("stdout", "stderr")], ids=["one", "both"])
def test_run_succeeds_if_its_output_cannot_be_written(
    search: LocalSearch, sink: Callable[[], Any], streams: tuple[str, ...]
) -> None:
    with sink() as file:
        other = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        failing = dict.fromkeys(streams, file)
        assert_finished(search, run(run_words(search), **{**other, **failing}))


@pytest.mark.parametrize("closing", CLOSING.values(), ids=CLOSING)
def test_run_succeeds_without_open_streams(search: LocalSearch, closing: str) -> None:
    words = ["sh", "-c", f'exec "$@" {closing}', "sh", *run_words(search)]
    assert_finished(search, run(words))
    record = json.loads((search.search / "search.json").read_bytes())
    assert record["uid"], "a record got what was printed"


@pytest.mark.parametrize("environment", ENCODINGS.values(), ids=ENCODINGS)
def test_output_replaces_characters_of_another_encoding(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    search = short_search(tmp_path / "Würfel")
    ended = run(run_words(search), environment)
    assert_finished(search, ended)
    assert b"-> H " in ended.stdout or "→ H ".encode() in ended.stdout
    assert b"-- Searching" in ended.stdout or "── Searching".encode() in ended.stdout
    assert b"exported: " in ended.stdout


@pytest.mark.parametrize("environment", list(ENCODINGS.values())[1:3], ids=list(ENCODINGS)[1:3])
@pytest.mark.parametrize(("form", "load"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_json_output_escapes_characters_of_another_encoding(
    tmp_path: Path, form: str, load: Callable[[str], Any], environment: dict[str, str]
) -> None:
    search = LocalSearch(tmp_path / "other")
    dataset = {"source": {"directory": "data"}, "train": "Würfel → 1.json", "val": "v.json"}
    (search.folder / "data").mkdir()
    for file in (dataset["train"], dataset["val"]):
        (search.folder / "data" / str(file)).write_text("{}")
    search.spec = {"dataset": dataset}
    search.write()
    manifest = str(search.folder / "search.yaml")
    ended = detnas(search, "validate", manifest, "-o", form, env=environment)
    said = load(ended.stdout.decode(environment.get("PYTHONIOENCODING", "utf-8")))
    assert said["spec"]["dataset"]["train"] == "Würfel → 1.json"


def in_terminal(command: list[str], env: dict[str, str]) -> tuple[int, bytes]:
    """Run a command on a terminal; return its exit code and what it wrote."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, **env}
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            data = os.read(ours, 1 << 16)
        except OSError:  # how Linux says that nobody has the terminal open any more
            break
        written += data
    os.close(ours)
    return process.wait(PATIENCE), written


def test_terminal_shows_colours_and_running_jobs(search: LocalSearch) -> None:
    code, written = in_terminal(run_words(search), {"TERM": "xterm-256color"})
    assert code == 0, written
    assert b"\x1b[1m" in written
    assert b"\x1b[?25l" in written, "the cursor is hidden while lines are overwritten"


@pytest.mark.parametrize("what", ["run", "error"])
def test_no_color_disables_colours(search: LocalSearch, what: str) -> None:
    error = [*COMMAND, str(search.folder), "status", "none-such"]
    command = run_words(search) if what == "run" else error
    _, written = in_terminal(command, {"TERM": "xterm-256color", "NO_COLOR": "1"})
    assert written
    for colour in (*range(30, 38), 38, *range(90, 98)):
        assert f"\x1b[{colour}".encode() not in written
        assert f";{colour}".encode() not in written


def test_error_is_red_on_a_terminal(finished: LocalSearch) -> None:
    command = [*COMMAND, str(finished.folder), "status", "none-such"]
    code, written = in_terminal(command, {"TERM": "xterm-256color"})
    assert code == 2
    assert b"\x1b[31merror: none-such" in written


def test_dumb_terminal_gets_no_codes(search: LocalSearch) -> None:
    code, written = in_terminal(run_words(search), {"TERM": "dumb"})
    assert code == 0, written
    assert b"trial 0: " in written
    assert ESCAPE not in written


def test_file_gets_no_codes_even_if_forced(search: LocalSearch) -> None:
    forced = dict.fromkeys(("FORCE_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE"), "1")
    ended = run(run_words(search), forced, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert_finished(search, ended)
    assert ended.stdout
    assert ESCAPE not in ended.stdout


@pytest.mark.parametrize("words", [["--help"], ["status", "--nope"], ["run"]])
def test_help_and_usage_errors_in_a_file_have_no_codes(
    search: LocalSearch, words: list[str]
) -> None:
    forced = dict.fromkeys(("FORCE_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE"), "1")
    ended = detnas(search, *words, env=forced)
    assert ended.stdout + ended.stderr
    assert ESCAPE not in ended.stdout + ended.stderr


@pytest.mark.parametrize("form", ["table", "json"])
def test_closed_pipe_ends_a_command_quietly(finished: LocalSearch, form: str) -> None:
    with closed_pipe() as pipe:
        words = ("status", str(finished.search), "-o", form)
        ended = detnas(finished, *words, stdout=pipe, stderr=subprocess.PIPE)
    assert ended.stderr == b""
    assert ended.returncode == 128 + signal.SIGPIPE


def test_output_to_a_full_disk_is_an_error(
    finished: LocalSearch,
) -> None:
    with full_disk() as full:
        words = ("status", str(finished.search))
        ended = detnas(finished, *words, stdout=full, stderr=subprocess.PIPE)
    assert ended.returncode == 1
    assert ended.stderr.startswith(b"error: standard output cannot be written (No space left")
    assert b"Traceback" not in ended.stderr


def test_run_succeeds_after_its_reader_closed_the_pipe(search: LocalSearch) -> None:
    with full_disk() as full:
        ended = run([*run_words(search), "-o", "json"], stdout=full, stderr=subprocess.PIPE)
    assert_finished(search, ended)
    assert b"trial 0: " in ended.stderr


READER = "import signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); sys.stdin.read()"


@pytest.mark.parametrize("killed", ["both by Ctrl-C", "the reader, then Ctrl-C", "the reader"])
def test_jobs_write_checkpoints_after_the_reader_is_gone(search: LocalSearch, killed: str) -> None:
    search.faults({"base": ["hang"]})
    reader = subprocess.Popen(
        [sys.executable, "-c", READER], stdin=subprocess.PIPE, process_group=0
    )
    assert reader.stdin is not None
    runner = subprocess.Popen(
        run_words(search),
        cwd=ROOT,
        stdout=reader.stdin,
        stderr=subprocess.STDOUT,
        process_group=reader.pid,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    reader.stdin.close()
    job = search.wait_for("base")
    if killed != "both by Ctrl-C":
        reader.kill()
        reader.wait()
    if killed == "the reader":
        os.kill(job, signal.SIGTERM)  # the second attempt does not hang
        assert runner.wait(PATIENCE) == 0
        return
    os.killpg(reader.pid, signal.SIGINT)
    assert runner.wait(PATIENCE) == 130
    reader.wait()
    assert ends(job)
    assert search.stops() == ["base"]


def test_jobs_write_checkpoints_after_the_terminal_closed(search: LocalSearch) -> None:
    search.faults({"base": ["hang"]})
    runner = subprocess.Popen(run_words(search), cwd=ROOT, stdout=subprocess.DEVNULL)
    search.wait_for("base")
    runner.send_signal(signal.SIGHUP)
    assert runner.wait(PATIENCE) == 128 + signal.SIGHUP
    assert search.stops() == ["base"]
