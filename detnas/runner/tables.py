"""Tables for people: a search's status, and its gain at the end."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from detnas.gain import Gain, measured_on
from detnas.lifecycle.search_cost import SearchCost
from detnas.lifecycle.status import (
    ComparedDetector,
    DetectorStatus,
    JobProgress,
    OnTest,
    SearchStatus,
)
from detnas.plan.front import MeasuredDetector
from detnas.plan.recommendation import Recommendation
from detnas.records.progress import Progress

STALE_AFTER = timedelta(minutes=2)
"""A working job writes its progress every few seconds; older progress is out of date."""


def status_table(status: SearchStatus, now: datetime) -> RenderableType:
    """Return everything known about a search.

    Args:
        status: of the search.
        now: by this machine's clock.
    """
    rows = Table(show_header=False, box=None, pad_edge=False)
    rows.add_column(style="bold")
    rows.add_column(overflow="fold")
    for name, value in _rows(status, now):
        rows.add_row(name, Text(value))
    parts: list[RenderableType] = [rows]
    if status.active:
        parts += [Text(), active_table(status.active, now)]
    if status.base is not None:
        parts += [Text(), comparison(status)]
    if status.best is not None:
        parts += [Text(), front_table(status.front, status.front_size)]
    if (several := finalists(status)) is not None:
        parts += [Text(), several]
    return Group(*parts)


def front_table(front: Sequence[MeasuredDetector], size: int | None = None) -> Table:
    """Return the front: what is as accurate as possible at its cost.

    Args:
        front: the points to show.
        size: how many it has; by default these.
    """
    cut = f" ({len(front)} of {size} points)" if size is not None and size > len(front) else ""
    table = Table(f"Pareto front{cut}", "resolution", "mAP", "FLOPs")
    timed = any(one.milliseconds is not None for one in front)
    if timed:
        table.add_column("latency")
    for one in front:
        table.add_row(
            one.name,
            str(one.resolution),
            f"{with_error(100 * one.map, _percent(one.map_error), 2)} %",
            f"{one.flops / 1e9:.3f} G",
            *([f"{one.milliseconds or 0.0:.1f} ms"] if timed else []),
        )
    return table


def recommended_table(recommended: Iterable[Recommendation]) -> Table:
    """Return the detector for each objective, and why."""
    table = Table(show_header=False, box=None, pad_edge=False)
    for one in recommended:
        table.add_row(Text(f"for {one.objective}", "bold"), Text(one.reason))
    return table


def _rows(status: SearchStatus, now: datetime) -> Iterable[tuple[str, str]]:
    yield "search", status.name
    yield "folder", status.folder
    yield "phase", f"{status.phase}{': ' + status.problem if status.problem else ''}"
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in status.outcomes.items())
    yield "trials", f"{status.finished}/{status.trials}{f' ({outcomes})' if outcomes else ''}"
    if status.seconds_left is not None and not _is_stale(status.active, now):
        yield "time left", f"about {duration(status.seconds_left)}"
    if days := _gpu_days(status.cost):
        yield "GPU-days", days
    if status.ended_because:
        yield "ended", status.ended_because
    for failure in status.failures:
        yield f"trial {failure.number}", f"{failure.outcome}: {_gist(failure.message)}"
    for warning in status.warnings:
        yield "warning", warning
    if status.exported_to:
        yield "exported", status.exported_to
    yield from reasons(status)
    for one in status.recommended:
        yield f"for {one.objective}", one.reason


def _gpu_days(cost: SearchCost) -> str:
    """What each kind of job has taken, such as ``2.1: 0.4 base, 1.2 pool, 0.5 trials``."""
    parts = {name: part.gpu_days for name, part in cost if part.gpu_days}
    named = ", ".join(f"{days:.3g} {name}" for name, days in parts.items())
    return f"{cost.total_gpu_days:.3g}: {named}" if parts else ""


def reasons(status: SearchStatus) -> Iterable[tuple[str, str]]:
    """Yield why that was exported and, if no student is better than the base, likely causes."""
    if status.export_reason:
        yield _reason_name(status), status.export_reason
    for cause in status.likely_causes:
        yield "likely cause", cause


def _reason_name(status: SearchStatus) -> str:
    if status.improved is False:
        return "no improvement"
    if status.is_certain or status.gain is None:
        return "why this one"
    return status.gain.doubt


def _gist(message: str) -> str:
    """First and last line of a message: it may hold a log, whose last line is the cause."""
    lines = message.strip().splitlines()
    return " … ".join(dict.fromkeys([*lines[:1], *lines[-1:]]))


def _is_stale(jobs: Iterable[JobProgress], now: datetime) -> bool:
    """Whether no job has written progress recently, and one did before."""
    known = [job.progress for job in jobs if job.progress is not None]
    return bool(known) and all(_age(progress, now) for progress in known)


def _age(progress: Progress | None, now: datetime) -> str:
    age = timedelta() if progress is None else now - progress.updated
    return f"{duration(age.total_seconds())} ago" if age > STALE_AFTER else ""


def active_table(jobs: Iterable[JobProgress], now: datetime | None = None) -> Table:
    """Return the running jobs with their latest progress.

    Args:
        jobs: the jobs.
        now: by this machine's clock, to show stale progress; None if all are known to run.
    """
    jobs = list(jobs)
    ages = [_age(job.progress, now) if now else "" for job in jobs]
    headings = ("job", "activity", "epoch", "done", "loss", "left")
    table = Table(*headings, *["last heard"] * any(ages), box=None, pad_edge=False)
    for job, age in zip(jobs, ages, strict=True):
        *cells, left = _progress_cells(job.progress)
        table.add_row(job.name, *cells, *(["", age] if age else [left]))
    return table


def _progress_cells(progress: Progress | None) -> tuple[str, ...]:
    if progress is None:
        return ("starting", "", "", "", "")
    epoch = f"{progress.epoch}/{progress.epochs}" if progress.epoch else ""
    done = f"{progress.done}/{progress.total}" if progress.total else ""
    loss = "" if progress.loss is None else f"{progress.loss:.3f}"
    return progress.activity, epoch, done, loss, duration(progress.seconds_left)


def comparison(status: SearchStatus) -> RenderableType:
    """Return the base beside the exported student, or the best trial's until there is one.

    If the base itself is exported, it is beside the best trial's student. The encodings follow the
    table, each on a line of its own: print it with soft_wrap.
    """
    columns = [("base", status.base), ("exported", status.exported)]
    if status.exported is None or status.exported.is_base:
        base = "base" if status.exported is None else "base, exported"
        columns = [(base, status.base), (f"trial {status.best_trial}", status.best)]
    shown = [(name, detector) for name, detector in columns if detector is not None]
    table = Table(caption=_measured_on(status), caption_justify="left")
    table.add_column("")
    for name, _ in shown:
        table.add_column(name, overflow="fold")
    columns_of = [_cells(detector, status.base) for _, detector in shown]
    for heading, *cells in zip(_HEADINGS, *columns_of, strict=True):
        if any(cells):
            table.add_row(heading, *cells)
    return Group(table, *(Text(f"{name}: {detector.encoding}") for name, detector in shown))


def finalists(status: SearchStatus) -> RenderableType | None:
    """Return what the search came to, beside the base; None if that is one student alone.

    Of baselines it has the lead of what was exported, with its paired interval. Every table fits
    into 80 columns.
    """
    if len(status.compared) < _SEVERAL:
        return None
    parts: list[RenderableType] = [_compared(status)]
    if any(one.lead or (one.detector and one.detector.on_test) for one in status.compared):
        parts += [Text(), _comparisons(status.compared)]
    parts += [Text(f"{one.name}: {one.message}") for one in status.compared if one.message]
    return Group(*parts)


def _compared(status: SearchStatus) -> Table:
    table = _narrow("compared", "H", "mAP", "FLOPs", "")
    for one in status.compared:
        cells = _cells(one.detector, status.base) if one.detector else ("",) * len(_HEADINGS)
        h, mean_ap, flops = cells[0], cells[3], cells[4]
        table.add_row(one.name, h, mean_ap, flops, "exported" if one.exported else "")
    return table


def _comparisons(compared: Sequence[ComparedDetector]) -> Table:
    """What the test images say, and the leads over the baselines."""
    leads = [one.lead for one in compared if one.lead is not None]
    has_test = any(one.detector and one.detector.on_test for one in compared)
    headings = ("H, test", "mAP, test") if has_test else ()
    table = _narrow("", *headings, *(["lead of the exported"] if leads else []))
    if leads:
        table.caption, table.caption_justify = f"lead: on {leads[0].where}", "left"
    for one in compared:
        tested = one.detector.on_test if one.detector else None
        cells = _tested_cells(tested) if has_test else []
        lead = [_lead(one.lead)] if leads else []
        if any((*cells, *lead)):
            table.add_row(one.name, *cells, *lead)
    return table


def _narrow(*headings: str) -> Table:
    return Table(*headings, box=None, pad_edge=False, collapse_padding=True)


def _lead(gain: Gain | None) -> str:
    if gain is None:
        return ""
    return f"{gain.difference:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})"


_SEVERAL = 3

_HEADINGS = (
    *("H", "H, estimated", "best resolution", "mAP", "FLOPs", "parameters", "latency"),
    *("H, test", "mAP, test"),
)


def _measured_on(status: SearchStatus) -> str:
    """On which images the numbers are measured."""
    measured = f"H and mAP: on {status.measured_on}"
    if status.exported is None or status.exported.on_test is None:
        return measured
    return f"{measured}; test: on {measured_on(status.test_images, unseen=True)}"


def _cells(detector: DetectorStatus, base: DetectorStatus | None) -> tuple[str, ...]:
    latency, tested = detector.latency, detector.on_test
    flops = _change(detector.flops, base.flops if base else None)
    parameters = _change(detector.parameters, base.parameters if base else None)
    return (
        with_error(detector.h, detector.h_error, 4),
        "" if detector.estimated_h is None else f"{detector.estimated_h:.4f}",
        str(detector.resolution),
        f"{with_error(100 * detector.map, _percent(detector.map_error), 2)} %",
        f"{detector.flops / 1e9:.3f} G{flops}",
        f"{detector.parameters / 1e6:.3f} M{parameters}",
        f"{latency.milliseconds:.1f} ms ({latency.device})" if latency else "",
        *_tested_cells(tested),
    )


def _tested_cells(tested: OnTest | None) -> list[str]:
    """H and mAP on the test images."""
    if tested is None:
        return ["", ""]
    mean_ap = f"{with_error(100 * tested.map, _percent(tested.map_error), 2)} %"
    return [with_error(tested.h, tested.h_error, 4), mean_ap]


def with_error(value: float, error: float | None, digits: int) -> str:
    """A number with its standard error, if that is known."""
    return f"{value:.{digits}f}" + ("" if error is None else f" ± {error:.{digits}f}")


def _percent(fraction: float | None) -> float | None:
    return None if fraction is None else 100 * fraction


def _change(value: int, base: int | None) -> str:
    return "" if not base or value == base else f" ({value / base - 1:+.0%})"


def duration(seconds: float | None) -> str:
    """Hours, minutes and seconds, as ``1:02:03``; empty while unknown."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
