"""The page's tables, as rows of text with their sort keys."""

from collections.abc import Callable
from dataclasses import dataclass

from detnas.architecture import Architecture, encode, encode_stages
from detnas.gain import Gain
from detnas.ledger import LedgerEntry
from detnas.lifecycle.status import ComparedDetector, OnTest
from detnas.plan.step_text import spaced, step_text, teacher_depths, teacher_text, teacher_widths
from detnas.records.proposal import Proposal
from detnas.report.data import LineageStep, ReportData, ReportDetector
from detnas.report.wording import (
    change,
    giga,
    mega,
    percent,
    signed,
    with_error,
)
from detnas.spec.teachers import Teachers

_FIRST_LINE = 100


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: shown.
        order: sort key, if it is a number.
        remark: small text after it.
        detail: longer text, collapsed.
        mark: its style: ``good``, ``bad``, ``open``, ``none``, ``code``, or empty.
    """

    text: str
    order: float | None = None
    remark: str = ""
    detail: str = ""
    mark: str = ""


_NONE = Cell("–", mark="none")


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of an encoding, and whether it differs from the step before."""

    text: str
    changed: bool = False


@dataclass(frozen=True, slots=True)
class LineageRow:
    """A step of the winner's lineage, for people."""

    name: str
    did: str
    teacher: str
    h: str
    gain: str
    flops: str
    parameters: str
    map: str
    stages: tuple[Stage, ...]
    notes: tuple[str, ...]


def comparison(data: ReportData) -> list[list[Cell]]:
    """Base, best trial and exported student, a column each; the first column is the headings."""
    shown = [d for d in (data.base, data.best, data.exported) if d is not None]
    headings: list[tuple[str, Callable[[ReportDetector], Cell]]] = [
        ("", lambda d: Cell(d.name)),
        ("H", lambda d: Cell(_score(d), remark=_change(d.best.h, data, _h))),
        ("best resolution", lambda d: Cell(str(d.best.resolution))),
        ("mAP there", lambda d: Cell(_map(d), remark=_points(d, data))),
        (
            "GFLOPs there",
            lambda d: Cell(giga(d.best.flops), remark=_change(d.best.flops, data, _flops)),
        ),
        (
            f"GFLOPs at {data.spec.base_resolution}",
            lambda d: Cell(giga(d.flops), remark=_change(d.flops, data, lambda b: b.flops)),
        ),
        (
            "parameters, M",
            lambda d: Cell(
                mega(d.parameters), remark=_change(d.parameters, data, lambda b: b.parameters)
            ),
        ),
    ]
    if any(d.on_test for d in shown):
        headings += [
            ("H on the test images", lambda d: _test_score(d.on_test)),
            ("mAP on the test images", lambda d: _test_map(d.on_test)),
        ]
    if data.status.gain is not None:
        metric = data.status.gain.metric
        headings.append((f"{metric} less the base's", lambda d: _gain(d, data)))
    if any(d.latency for d in shown):
        headings.append(("latency of one image", lambda d: _latency(d, data)))
    headings.append(("encoding", lambda d: Cell(encode(d.architecture), mark="code")))
    return [[Cell(name), *(cell(d) for d in shown)] for name, cell in headings]


def compared_headings(data: ReportData) -> list[str]:
    """Headings of the table of what the search came to."""
    tested = ["H on the test images", "mAP on the test images"] if data.status.test_images else []
    lead = ["lead of the exported in H, 95 % interval"] if _has_leads(data) else []
    return ["detector", "H", "mAP", "best resolution", "GFLOPs there", *tested, *lead, "outcome"]


def _has_leads(data: ReportData) -> bool:
    return any(one.lead for one in data.status.compared)


def compared_rows(data: ReportData) -> list[list[Cell]]:
    """A row for the base and each detector that the search came to, if there are several."""
    rows = [_compared(one, data) for one in data.status.compared]
    return rows if len(rows) > _PAIR else []


_PAIR = 2


def _compared(one: ComparedDetector, data: ReportData) -> list[Cell]:
    found, tested = one.detector, [_NONE] * (2 if data.status.test_images else 0)
    cells = [_NONE] * 4
    if found is not None:
        h = with_error(f"{found.h:.4f}", found.h_error)
        error = None if found.map_error is None else 100 * found.map_error
        mean_ap = with_error(percent(found.map), error, 2)
        cells = [
            Cell(h, found.h),
            Cell(mean_ap, found.map),
            Cell(str(found.resolution)),
            Cell(giga(found.flops), found.flops),
        ]
        if found.on_test is not None and tested:
            tested = [_test_score(found.on_test), _test_map(found.on_test)]
    outcome = Cell("exported" if one.exported else "", remark=one.message)
    lead = [_lead(one.lead)] if _has_leads(data) else []
    return [Cell(one.name), *cells, *tested, *lead, outcome]


def _lead(gain: Gain | None) -> Cell:
    """What was exported over a baseline, and on which images."""
    if gain is None:
        return _NONE
    interval = f"{signed(gain.low, 4)} to {signed(gain.high, 4)}, on {gain.where}"
    return Cell(signed(gain.difference, 4), gain.difference, remark=interval)


def _score(detector: ReportDetector) -> str:
    return with_error(f"{detector.best.h:.4f}", detector.best.h_error)


def _map(detector: ReportDetector) -> str:
    error = detector.best.map_error
    return with_error(percent(detector.best.map), None if error is None else 100 * error, 2)


def _gain(detector: ReportDetector, data: ReportData) -> Cell:
    gain = data.status.gain
    if gain is None or detector is not data.exported:
        return _NONE
    return Cell(str(gain), remark=f"{gain.doubt} on {gain.where}".strip())


def _test_score(found: OnTest | None) -> Cell:
    return _NONE if found is None else Cell(with_error(f"{found.h:.4f}", found.h_error))


def _test_map(found: OnTest | None) -> Cell:
    if found is None:
        return _NONE
    error = None if found.map_error is None else 100 * found.map_error
    return Cell(with_error(percent(found.map), error, 2))


def _h(detector: ReportDetector) -> float:
    return detector.best.h


def _flops(detector: ReportDetector) -> float:
    return detector.best.flops


def _change(value: float, data: ReportData, of: Callable[[ReportDetector], float]) -> str:
    return change(value, of(data.base)) if data.base else ""


def _points(detector: ReportDetector, data: ReportData) -> str:
    if data.base is None or detector.best.map == data.base.best.map:
        return ""
    return f"{signed(100 * (detector.best.map - data.base.best.map), 2)} points"


def _latency(detector: ReportDetector, data: ReportData) -> Cell:
    latency = detector.latency
    if latency is None:
        return _NONE
    base = data.base.latency if data.base else None
    by = change(latency.milliseconds, base.milliseconds) if base else ""
    remark = ", ".join(part for part in (by, latency.device) if part)
    return Cell(f"{latency.milliseconds:.1f} ms", remark=remark)


def trial_headings(data: ReportData) -> list[str]:
    """Headings of the table of trials."""
    scores = [f"mAP {resolution}" for resolution in data.resolutions]
    timed = ["ms there"] if data.spec.search.counts_latency else []
    costs = [*timed, f"GFLOPs {data.spec.base_resolution}", "M params", "seconds"]
    return [
        *("trial", "from", "step", "H", "outcome"),
        *scores,
        "best at",
        *costs,
        *("teacher depths", "teacher widths"),
    ]


def trial_rows(data: ReportData) -> list[list[Cell]]:
    """A row for every trial, in flight or finished, by number."""
    rows = {entry.index: _finished_row(entry, data) for entry in data.entries}
    rows |= {proposal.index: _open_row(proposal, data) for proposal in data.in_flight}
    return [rows[index] for index in sorted(rows)]


def _finished_row(entry: LedgerEntry, data: ReportData) -> list[Cell]:
    top = entry.best
    by_size = {scored.resolution: scored for scored in entry.scores}
    error = top.h_error if top else None
    maps = [by_size[size].map if size in by_size else None for size in data.resolutions]
    is_best = "good" if entry.index == data.best_index else ""
    timed = data.spec.search.counts_latency
    measured = [
        _number(entry.h, lambda h: with_error(f"{h:.4f}", error), is_best),
        _outcome(entry),
        *(_number(value, percent) for value in maps),
        Cell(str(top.resolution), top.resolution.pixels) if top else _NONE,
        *([_number(top.milliseconds if top else None, "{:.1f}".format)] if timed else []),
        _number(entry.flops, giga),
        _number(entry.parameters, mega),
        Cell(f"{entry.seconds:.0f}", entry.seconds),
    ]
    return [*_step_cells(entry.proposal, data), *measured, *_teacher_cells(entry.proposal, data)]


def _open_row(proposal: Proposal, data: ReportData) -> list[Cell]:
    waiting = Cell("no result yet", mark="open")
    empty = [
        _NONE,
        waiting,
        *[_NONE] * (len(data.resolutions) + 4 + data.spec.search.counts_latency),
    ]
    return [*_step_cells(proposal, data), *empty, *_teacher_cells(proposal, data)]


def _step_cells(proposal: Proposal, data: ReportData) -> list[Cell]:
    parent = proposal.parent
    return [
        Cell(str(proposal.index), proposal.index),
        Cell("base", -1) if parent is None else Cell(str(parent), parent),
        Cell(step_text(proposal, data.spec.teachers)),
    ]


def _teacher_cells(proposal: Proposal, data: ReportData) -> list[Cell]:
    if data.unnamed_teacher:
        return [Cell(data.unnamed_teacher), _NONE]
    teacher = proposal.teacher
    return [Cell(teacher_depths(teacher)), Cell(teacher_widths(teacher))]


def _number(value: float | None, text: Callable[[float], str], mark: str = "") -> Cell:
    return _NONE if value is None else Cell(text(value), value, mark=mark)


def _outcome(entry: LedgerEntry) -> Cell:
    first, _, rest = entry.message.strip().partition("\n")
    folded = bool(rest) or len(first) > _FIRST_LINE
    return Cell(
        spaced(entry.outcome),
        remark=first if len(first) <= _FIRST_LINE else f"{first[: _FIRST_LINE - 1]}…",
        detail=entry.message if folded else "",
        mark="" if entry.succeeded else "bad",
    )


def lineage_steps(data: ReportData) -> list[LineageRow]:
    """The steps of the winner's lineage, oldest first."""
    steps, teachers = data.lineage, data.spec.teachers
    return [
        _step(step, before, teachers) for before, step in zip([None, *steps], steps, strict=False)
    ]


def _step(step: LineageStep, before: LineageStep | None, teachers: Teachers) -> LineageRow:
    detector, top = step.detector, step.detector.best
    return LineageRow(
        name=detector.name,
        did=_did(step, before, teachers),
        teacher=teacher_text(step.teacher) if step.teacher else "",
        h=f"{top.h:.4f}",
        gain=signed(top.h - before.detector.best.h, 4) if before else "",
        flops=giga(detector.flops),
        parameters=mega(detector.parameters),
        map=f"{percent(top.map)} at {top.resolution}",
        stages=_stages(detector.architecture, before.detector.architecture if before else None),
        notes=step.notes,
    )


def _did(step: LineageStep, before: LineageStep | None, teachers: Teachers) -> str:
    if step.proposal is not None:
        return step_text(step.proposal, teachers)
    if before is None:
        return "the base that the search starts from"
    if teachers.external is not None:
        return "fine-tuned under the external teacher"
    return "fine-tuned under its teacher" if step.teacher else "fine-tuned under drawn teachers"


def _stages(architecture: Architecture, before: Architecture | None) -> tuple[Stage, ...]:
    texts = encode_stages(architecture)
    if before is None:
        return tuple(Stage(text) for text in texts)
    old = encode_stages(before)
    return tuple(Stage(text, text != then) for text, then in zip(texts, old, strict=True))
