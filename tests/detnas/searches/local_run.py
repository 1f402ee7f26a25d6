"""Searches with the fake trainer in a process of their own, as `detnas run` drives them.

``python -m tests.detnas.searches.local_run FOLDER [PARALLELISM]`` runs the search of FOLDER;
``… FOLDER WORDS…`` runs a command of `detnas`. FOLDER holds ``search.yaml``, and what the
fake trainer reads and writes.
"""

import json
import os
import signal
import sys
import time
import uuid
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from detnas.errors import UserError
from detnas.lifecycle.jobs import job_name
from detnas.lifecycle.reading.state import SearchState
from detnas.plan.stages import Phase
from detnas.runner.errors import Interrupted
from detnas.runner.opening import OpenedSearch, Overrides, open_search
from detnas.runner.running_jobs import Ended, RetryLimits, RunningJob
from detnas.runner.search_run import RunSettings, SearchRun
from detnas.runner.stopping import StopRequest, stop_on_signals
from tests.cluster.forked_process import ForkedProcess
from tests.cluster.searches import manifest
from tests.detnas.searches.fake_trainer import watch_writes

ROOT = Path(__file__).parents[3]
PATIENCE = 180.0
MODULE = "tests.detnas.searches.local_run"
FAKE_TRAINER = (sys.executable, "-m", "tests.detnas.searches.fake_trainer")


@dataclass
class LocalSearch:
    """A folder with a manifest, a store, and the files of the fake trainer.

    Attributes:
        folder: of all of it.
        name: of the search.
        spec: replaces sections of the manifest's spec.
        store: folder or URI; by default `store` in the folder.
    """

    folder: Path
    name: str = "tiny"
    spec: dict[str, Any] = field(default_factory=dict)
    store: str = ""

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.write()

    def write(self, **search: Any) -> None:
        """Write the manifest; keywords replace fields of `spec.search`."""
        text = yaml.safe_dump(self.manifest(**search))
        (self.folder / "search.yaml").write_text(text)

    def manifest(self, **search: Any) -> dict[str, Any]:
        """Return the manifest; keywords replace fields of `spec.search`."""
        document = manifest(self.name, None, **search)
        document["spec"]["dataset"]["source"] = {"directory": "data"}
        document["spec"] |= self.spec
        return document

    def faults(self, faults: dict[str, list[str]]) -> None:
        """Let attempts fail: maps the end of a job's key to what its attempts do, in order."""
        (self.folder / "faults.json").write_text(json.dumps(faults))

    def start(self, parallelism: int = 1) -> "BackgroundRun":
        """Run it in the background."""
        (self.folder / "store.txt").write_text(self.store or str(self.folder / "store"))
        return BackgroundRun(self.folder, parallelism)

    def run(self, parallelism: int = 1, exit_code: int = 0) -> str:
        """Run it to its end, check the exit code, and return its output."""
        process = self.start(parallelism)
        output, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == exit_code, output
        return output

    def stop_in(self, job: str, number: int) -> None:
        """Run it until a job, which must hang, has begun, and send the run a signal."""
        runner = self.start()
        self.wait_for(job)
        runner.send_signal(number)
        output, _ = runner.communicate(timeout=PATIENCE)
        assert runner.returncode in (130, -number), output

    def open(self, parallelism: int | None = None) -> OpenedSearch:
        """Open it in this process."""
        store = self.store or str(self.folder / "store")
        return open_search(self.folder / "search.yaml", Overrides(store, parallelism=parallelism))

    def run_here(
        self, watcher: "QuietWatcher", parallelism: int | None = None, **settings: Any
    ) -> SearchState:
        """Run it to its end in this process; keywords replace settings of the run."""
        chosen = {"trainer": (*FAKE_TRAINER, str(self.folder)), "tick": 0.02, **settings}
        return SearchRun(
            self.open(parallelism), watcher, StopRequest(), RunSettings(**chosen)
        ).run()

    @property
    def root(self) -> Path:
        """The store, if it is a folder."""
        return Path(self.store) if self.store else self.folder / "store"

    @property
    def search(self) -> Path:
        """The search's folder in such a store."""
        (folder,) = (self.root / "local" / "searches").glob(f"{self.name}-*")
        return folder

    def records(self, pattern: str = "**/*.json") -> dict[str, dict[str, Any]]:
        """Return the search's records by their path in its folder."""
        return {
            path.relative_to(self.search).as_posix(): json.loads(path.read_text())
            for path in sorted(self.search.glob(pattern))
        }

    def results(self) -> dict[str, bytes]:
        """Return every result in the store, of the pool too, as it was written."""
        return {
            path.relative_to(self.root).as_posix(): path.read_bytes()
            for path in sorted((self.root / "local").rglob("result.json"))
        }

    def proposals(self) -> list[dict[str, Any]]:
        """Return the proposals of all trials, in order."""
        return [record["trial"] for record in self.records("trials/*/request.json").values()]

    def starts(self) -> list[tuple[str, int]]:
        """Return key and process of every attempt, in order."""
        path = self.folder / "starts.txt"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(key, int(pid)) for key, pid in (line.split() for line in lines)]

    def stops(self) -> list[str]:
        """Return the last part of the key of every job that stopped on request, in order."""
        path = self.folder / "stops.txt"
        lines = path.read_text().splitlines() if path.exists() else []
        return [key.rpartition("/")[2] for key in lines]

    def wait_for(self, key_end: str) -> int:
        """Wait until a job begins, and return its process."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            for key, pid in self.starts():
                if key.endswith(key_end):
                    return pid
            time.sleep(0.01)
        raise TimeoutError(key_end)


class BackgroundRun:
    """A run in a process of its own, with what the tests need of `subprocess.Popen[str]`.

    Attributes:
        stdout: what it prints, as it comes; also to its standard error.
    """

    def __init__(self, folder: Path, parallelism: int) -> None:
        pipe = folder / f"output-{uuid.uuid4().hex}"
        os.mkfifo(pipe)
        environment = {**os.environ, "DETNAS_CACHE": str(folder / "cache")}
        self._process = ForkedProcess(
            run_folder, [str(folder), str(parallelism)], pipe, ROOT, environment
        )
        self.stdout = pipe.open()  # waits until the process has opened it too
        pipe.unlink()
        self.returncode: int | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def poll(self) -> int | None:
        """Its exit status, below zero for a signal; None while it runs."""
        self.returncode = self._process.wait(0)
        return self.returncode

    def communicate(self, timeout: float = PATIENCE) -> tuple[str, None]:
        """Wait for its end; what else it printed."""
        with ThreadPoolExecutor(1) as reader, self.stdout:
            output = reader.submit(self.stdout.read)
            self.returncode = self._process.wait(timeout)
            if self.returncode is None:
                self._process.kill()
                raise TimeoutError(f"the run took more than {timeout} s: {output.result()}")
            return output.result(), None


class QuietWatcher:
    """Prints what happens, one line each."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)
        print(text, flush=True)

    def phase(self, phase: Phase, state: SearchState) -> None:
        pass

    def waits(self, reason: str) -> None:
        if reason:
            self.say(f"waiting: {reason}")

    def ended(self, end: Ended) -> None:
        outcome = end.result.outcome if end.result else "again"
        self.say(f"{job_name(end.job.job_id)} exit {end.exit} {outcome}\n{end.log_end}")

    def tick(self, state: SearchState, running: Collection[RunningJob]) -> None:
        pass


def ends(pid: int, seconds: float = PATIENCE) -> bool:
    """Whether a process ends within a time; it need not be a child, and a zombie has ended."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return True
        if state in "ZX":
            return True
        time.sleep(0.01)
    return False


def run_folder(arguments: list[str]) -> int:
    """Run the search in a folder; arguments are as on the command line."""
    return main(Path(arguments[0]), arguments[1:])


def main(folder: Path, words: list[str]) -> int:
    """Run the search, or a command, with the fake trainer; return the exit code."""
    settings = RunSettings(
        trainer=(*FAKE_TRAINER, str(folder)), limits=RetryLimits(patience=20), tick=0.02, poll=0.1
    )
    if words and not words[0].isdecimal():
        return run_command(settings, words)
    watch_writes(folder)
    store, parallelism = (folder / "store.txt").read_text(), int(words[0]) if words else 1
    search = open_search(folder / "search.yaml", Overrides(store, parallelism=parallelism))
    try:
        with stop_on_signals() as stop:
            SearchRun(search, QuietWatcher(), stop, settings).run()
    except Interrupted:
        return 130
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def run_command(settings: RunSettings, words: list[str]) -> int:
    """Run `detnas` with these words."""
    from detnas.cli import main as detnas

    module = sys.modules["detnas.cli.run"]
    module.SearchRun = partial(SearchRun, settings=settings)  # type: ignore[attr-defined]
    sys.argv = ["detnas", *words]
    detnas()
    return 0


if __name__ == "__main__":
    sys.exit(run_folder(sys.argv[1:]))
