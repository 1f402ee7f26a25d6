"""Runs an export job on this machine, and copies what it published into a folder."""

import shutil
import signal
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from detnas.errors import UserError
from detnas.lifecycle.attempts import attempt_numbers
from detnas.lifecycle.job_requests import JobRequests
from detnas.lifecycle.later_exports import LaterExport
from detnas.lifecycle.reading.state import SearchReader
from detnas.lifecycle.reading.verification import problem_with, set_aside
from detnas.plan.dataset import MOUNT
from detnas.processors import processors, requested_threads
from detnas.records import keys
from detnas.records.progress import Progress
from detnas.records.requests import ExportRequest
from detnas.records.results import ExportResult, Outcome
from detnas.records.verbs import Verb
from detnas.runner.errors import Interrupted, RunError
from detnas.runner.job_server import JobCommand, JobServer, log_end
from detnas.runner.opening import OpenedSearch
from detnas.runner.search_run import WARM_TRAINER
from detnas.runner.stopping import StopRequest
from detnas.store import Store
from detnas.store.artifacts import fetch_artifact, load_record
from detnas.store.errors import CorruptArtifact

_TICK = 0.5
"""Seconds between two looks at the progress."""


class ExportRun:
    """Runs exports of one search, one after the other.

    Args:
        search: the search.
        stop: whether the user has requested to stop.
        data: folder of the data set on this machine; by default where the search has it.
        trainer: command of the job server.
    """

    def __init__(
        self,
        search: OpenedSearch,
        stop: StopRequest,
        data: Path | None = None,
        trainer: tuple[str, ...] = WARM_TRAINER,
    ) -> None:
        self._search, self.stop, self._data = search, stop, data
        self._trainer = trainer

    @property
    def store(self) -> Store:
        """Where the search is stored."""
        return self._search.store

    def run(self, export: LaterExport, show: Callable[[str], None]) -> ExportResult:
        """Return the result of an export, which is run unless it has one.

        Args:
            export: what to run.
            show: receives a line about what is done now.

        Raises:
            Interrupted: stopped on request; the same command continues.
            RunError: the job failed.
            UserError: the data set is not on this machine.
        """
        store, folder = self._search.store, export.request.key
        result = load_record(store, keys.result_key(folder), ExportResult)
        valid = result is not None and not problem_with(store, folder, result)
        if result is not None and not (valid and _is_complete(result, export.request)):
            set_aside(store, folder, result)  # whoever asks again may have fixed the cause
            result = None
        if result is None:
            request = self._with_data(export.request)
            reader = SearchReader(store, self._search.requests)
            JobRequests(store, self._search.requests, reader).record(request)
            log = self._run_job(folder, show)
            result = load_record(store, keys.result_key(folder), ExportResult)
            if result is None:
                raise RunError(
                    f"{export.name}: the export ended without a result; the end of its log:\n"
                    f"{log_end(log)}",
                    "fix that, then run the same command again",
                )
        if result.outcome is not Outcome.SUCCEEDED:
            raise RunError(
                f"{export.name}: the export failed ({result.outcome}): {result.message}",
                "fix that, then run the same command again",
            )
        if problem := problem_with(store, folder, result):
            raise RunError(
                f"{export.name}: the result of the export cannot be used: {problem}",
                "run the same command again, which repeats the export",
            )
        return result

    def _with_data(self, request: ExportRequest) -> ExportRequest:
        root = request.data.root if self._data is None else str(self._data.absolute())
        if self._data is None and root.startswith(MOUNT) and not Path(root).is_dir():
            raise UserError(
                f"the data set of this search is in a cluster's volume ({root}), and every file "
                "that is exported is scored on it",
                "name a folder of this machine with the same content: --data DIR",
            )
        return request.model_copy(update={"data": request.data.model_copy(update={"root": root})})

    def _run_job(self, folder: str, show: Callable[[str], None]) -> Path:
        """Run the job in a process of the trainer; return the file with its output."""
        store, local = self._search.store, self._search.local
        log = local / "logs" / f"{folder.replace('/', '_')}.txt"
        log.parent.mkdir(parents=True, exist_ok=True)
        with closing(JobServer(self._trainer, local / "trainer.txt")) as server:
            threads = requested_threads() or processors()
            uri = f"{store.uri}/{folder}"
            name = server.start(JobCommand(Verb.EXPORT, uri, log, threads))
            while True:
                if any(ended == name for ended, _ in server.ended(_TICK)):
                    return log
                if self.stop.times:
                    server.signal(name, signal.SIGTERM)
                    raise Interrupted
                show(_activity(store, folder))


def _is_complete(result: ExportResult, request: ExportRequest) -> bool:
    """Whether an export succeeded, and wrote every file."""
    wanted = () if request.files is None else request.files.wanted
    written = {(file.format, file.precision) for file in result.exported}
    return result.outcome is Outcome.SUCCEEDED and written.issuperset(wanted)


def _activity(store: Store, folder: str) -> str:
    numbers = attempt_numbers(store, folder)
    latest = max(numbers, default=0)
    progress = latest and load_record(store, keys.progress_key(folder, latest), Progress)
    if not progress:
        return "starting"
    counted = f" {progress.done}/{progress.total}" if progress.total else ""
    return f"{progress.activity}{counted}"


def download(store: Store, export: LaterExport, result: ExportResult, folder: Path) -> None:
    """Copy the files of an export into a folder, each verified by its digest.

    Raises:
        RunError: one is not what the result says; it is set aside, so that the export is repeated.
        UserError: one cannot be read, or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, artifact in result.files.items():
            shutil.copyfile(fetch_artifact(store, artifact), folder / name)
    except CorruptArtifact as error:
        set_aside(store, export.request.key, result)
        raise RunError(
            f"{export.name}: {error.problem}",
            "run the same command again, which repeats the export",
        ) from error
    except OSError as error:
        raise UserError(
            f"{error.filename or folder}: {error.strerror or error}", "name another folder: --to"
        ) from error
