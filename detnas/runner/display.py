"""The run on a terminal: lines for events, and below them the current state."""

import time
from collections.abc import Callable, Collection
from itertools import groupby

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from detnas.actions import Action
from detnas.ledger.entry import LedgerEntry
from detnas.lifecycle.attempts import latest_progress
from detnas.lifecycle.estimate import search_seconds_left
from detnas.lifecycle.jobs import job_name
from detnas.lifecycle.reading.state import SearchState
from detnas.lifecycle.status import JobProgress
from detnas.plan.data_remarks import data_remarks
from detnas.plan.stages import Phase
from detnas.plan.step_text import teacher_text
from detnas.records.proposal import Proposal, Step
from detnas.records.results import DetectorResult, Outcome, PrepareResult, Result
from detnas.runner.running_jobs import Ended, RunningJob, describe_exit
from detnas.runner.tables import active_table, duration
from detnas.spec.manifest import SearchSpec
from detnas.spec.search import Strategy
from detnas.spec.teachers import TeacherChoice
from detnas.store import Store
from detnas.store.errors import StoreError

_TERMINAL_SECONDS = 1.0
_LINE_SECONDS = 20.0


class Display:
    """A watcher for people; without a terminal it prints a line at intervals.

    Args:
        store: where running jobs write their progress.
        spec: of the search.
        console: to print to.
        clock: monotonic, in seconds.
    """

    def __init__(
        self,
        store: Store,
        spec: SearchSpec,
        console: Console,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._spec = spec
        self._console = console
        self._clock = clock
        self._phase: Phase | None = None
        self._waits = ""
        self._reported: set[int] | None = None
        self._shown = clock()
        # A dumb terminal cannot overwrite lines; it gets new ones, as a pipe does.
        self._is_live = console.is_terminal and not console.is_dumb_terminal
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> "Display":
        if self._is_live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_live:
            self._live.stop()

    def say(self, text: str) -> None:
        """Print a line; wrapped on a terminal only."""
        self._print_text(Text(text))

    def _print_text(self, text: Text) -> None:
        self._console.print(text, soft_wrap=not self._console.is_terminal)

    def phase(self, phase: Phase, state: SearchState) -> None:
        """Print a new phase, and the trials that ended since the last call."""
        self._report_trials(state)
        if phase is not self._phase:
            self._phase = phase
            self._console.print(Text(f"── {phase}", "bold"))

    def waits(self, reason: str) -> None:
        """Print once what the run waits for."""
        if reason and reason != self._waits:
            self.say(f"waiting: {reason}")
        self._waits = reason

    def ended(self, end: Ended) -> None:
        """Print how a job ended; with the end of its log if it failed."""
        name = job_name(end.job.job_id)
        if end.result is None:
            self._console.print(Text(f"{name} {describe_exit(end.exit)}; it is retried", "yellow"))
            self._print_log(end)
        elif end.result.outcome is not Outcome.SUCCEEDED:
            self._console.print(Text(f"{name}: {end.result.outcome}", "red"))
            self._print_log(end)
        elif not end.job.job_id.verb.is_trial:
            seconds = (end.result.finished - end.result.started).total_seconds()
            self.say(f"{name} is done ({duration(seconds)})")
            self._say_remarks(end.result)

    def _say_remarks(self, result: Result) -> None:
        if isinstance(result, DetectorResult):
            for note in result.notes:
                self.say(f"  note: {note}")
        if isinstance(result, PrepareResult):
            for remark in data_remarks(result):
                self.say(remark)
            for warning in result.warnings:
                self._print_text(Text(f"warning: {warning}", "yellow"))

    def tick(self, state: SearchState, running: Collection[RunningJob]) -> None:
        """Show the progress of the running jobs, at intervals."""
        interval = _TERMINAL_SECONDS if self._is_live else _LINE_SECONDS
        if self._clock() - self._shown < interval:
            return
        self._shown = self._clock()
        try:
            jobs = [
                JobProgress(
                    name=job_name(job.job_id), progress=latest_progress(self._store, job.folder)
                )
                for job in running
            ]
        except StoreError:
            return  # it is read again soon; the run itself fails if the store is needed
        if self._is_live:
            self._live.update(self._view(state, jobs), refresh=True)
        else:
            self.say(self._line(state, jobs))

    def _print_log(self, end: Ended) -> None:
        if end.log_end:
            log, on_terminal = Text(end.log_end, "dim"), self._console.is_terminal
            self._console.print(log, soft_wrap=not on_terminal)
            self.say(f"the complete log: {end.job.log}")

    def _report_trials(self, state: SearchState) -> None:
        if state.scorer is None:
            return
        if self._reported is None:
            self._report_start(state)
        assert self._reported is not None
        new = sorted(set(state.history.unsegmented) - self._reported)
        self._reported.update(new)
        ended = [state.history.unsegmented[index] for index in new]
        for _, job in groupby(ended, lambda entry: entry.proposal.job_number):
            self.say(self._ended(list(job), state))

    def _ended(self, entries: list[LedgerEntry], state: SearchState) -> str:
        """A line about a job's trial, or about all its subnets and the best of them."""
        best = max(entries, key=lambda entry: -1.0 if entry.h is None else entry.h)
        tried = f"{_description(best.proposal, self._spec)} → {_outcome(best, state)}"
        if len(entries) == 1:
            return f"trial {best.index}: {tried}"
        succeeded = sum(entry.succeeded for entry in entries)
        found = f"{succeeded} of {len(entries)} subnets evaluated"
        return f"trials {entries[0].index}–{entries[-1].index}: {found}; {best.index}: {tried}"

    def _report_start(self, state: SearchState) -> None:
        assert state.scorer is not None
        self._reported = set(state.history.unsegmented)
        base = max(scored.h for scored in state.scorer.scored)
        finished = state.history.summary.finished_count
        continuing = f"; continuing after {finished} finished trials" if finished else ""
        self.say(f"the base has H {base:.4f}{continuing}")

    def _view(self, state: SearchState, jobs: list[JobProgress]) -> RenderableType:
        head = Text(self._head(state, jobs), "bold")
        return Group(head, active_table(jobs)) if jobs else head

    def _line(self, state: SearchState, jobs: list[JobProgress]) -> str:
        return " | ".join([self._head(state, jobs), *map(_job_line, jobs)])

    def _head(self, state: SearchState, jobs: list[JobProgress]) -> str:
        parts = [str(self._phase or "")]
        summary = state.history.summary
        if state.scorer is not None:
            parts.append(
                f"trials {summary.finished_count - summary.lost_count}/{self._spec.search.trials}"
            )
            parts.append(f"base H {max(scored.h for scored in state.scorer.scored):.4f}")
        if summary.best is not None:
            parts.append(f"best H {summary.best.h:.4f} (trial {summary.best.index})")
        if self._waits:
            parts.append(f"waiting: {self._waits}")
        left = search_seconds_left(state, self._spec, [job.progress for job in jobs])
        if left is not None:
            parts.append(f"about {duration(left)} left")
        return "  ".join(parts)


def _job_line(job: JobProgress) -> str:
    progress = job.progress
    if progress is None:
        return f"{job.name} starting"
    parts = [job.name, progress.activity]
    if progress.epoch:
        parts.append(f"epoch {progress.epoch}/{progress.epochs}")
    if progress.total:
        parts.append(f"{progress.done}/{progress.total}")
    if progress.loss is not None:
        parts.append(f"loss {progress.loss:.3f}")
    return " ".join(parts)


def _description(proposal: Proposal, spec: SearchSpec) -> str:
    if proposal.step is Step.SUBNET:
        return teacher_text(proposal.teacher)
    searched = spec.teachers.are_searched
    parent = "the base" if proposal.parent is None else f"trial {proposal.parent}"
    if proposal.step is Step.STUDENT and proposal.action is not None:
        return f"{parent} + {action_name(proposal.action)}"
    if proposal.step is Step.TEACHER:
        return f"{parent} under another teacher" if searched else f"{parent} trained further"
    if spec.search.strategy is Strategy.PIPELINE:
        return f"{parent} without a teacher"
    alone = spec.teachers.choice is TeacherChoice.EXTERNAL
    return f"{parent} under the {'external teacher' if alone else 'supernet'}"


def action_name(action: Action) -> str:
    """Name an action with its stages, counted from 1."""
    details = action.model_dump(include={"stage", "source", "target"})
    places = "→".join(str(stage + 1) for stage in details.values())
    return f"{action.kind}({places})" if places else str(action.kind)


def _outcome(entry: LedgerEntry, state: SearchState) -> str:
    if entry.best is None:
        return str(entry.outcome)
    top = state.history.summary.best
    mark = "  best so far" if top is not None and top.index == entry.index else ""
    found = entry.best
    shrunk = "" if entry.estimated_h is None else f", estimated {entry.estimated_h:.4f}"
    return f"H {found.h:.4f}{shrunk}  mAP {100 * found.map:.2f} % at {found.resolution}{mark}"
