"""The numbers behind the paper's figures 5, 6, 7 and 9, for programs."""

from collections.abc import Iterator

from detnas.architecture import Architecture
from detnas.cost import DetectorCost, detector_cost
from detnas.ledger import LedgerEntry
from detnas.lifecycle.search_cost import SearchCost
from detnas.lifecycle.status import DetectorStatus
from detnas.report.data import ReportData, ReportDetector
from detnas.report.wording import step_kind
from detnas.schema import Count, Schema
from detnas.teachers import Teacher


class DetectorNumbers(Schema):
    """A detector at its best resolution.

    Attributes:
        name: such as ``base``.
        h: its score.
        map: mAP, a fraction.
        backbone_parameters: of stem and stages.
        stage_flops: of one image at the base resolution, for stem and stages by name.
    """

    name: str
    h: float
    map: float
    backbone_parameters: Count
    stage_flops: dict[str, int]


class TrialNumbers(Schema):
    """A trial that succeeded.

    Attributes:
        number: from 0.
        parent: number of the trial whose student it changed; None for the base.
        step: ``baseline``, ``teacher``, or the kind of its action in words.
        h: its score.
        gain: by which that exceeds its parent's.
        generation: how many trials up to this one, by number, had the best score so far.
        student_parameters: of the student's backbone.
        teacher_parameters: of the teacher's backbone; None if one was drawn for each step, or the
            trial trained nothing.
    """

    number: Count
    parent: Count | None
    step: str
    h: float
    gain: float
    generation: Count
    student_parameters: Count
    teacher_parameters: Count | None


class SearchNumbers(Schema):
    """The numbers of a search.

    Attributes:
        name: of the search.
        base: the base, if it is trained.
        best: the best trial's student.
        finetuned: the fine-tuned student; its gain is the difference to `best`.
        trials: those that succeeded, by number.
        cost: of the jobs that have ended.
    """

    name: str
    base: DetectorNumbers | None = None
    best: DetectorNumbers | None = None
    finetuned: DetectorStatus | None = None
    trials: tuple[TrialNumbers, ...] = ()
    cost: SearchCost


def search_numbers(data: ReportData) -> SearchNumbers:
    """Return the numbers of a search in any phase."""
    return SearchNumbers(
        name=data.status.name,
        base=_detector(data, data.base),
        best=_detector(data, data.best),
        finetuned=data.status.finetuned,
        trials=tuple(_trials(data)),
        cost=data.status.cost,
    )


def _detector(data: ReportData, detector: ReportDetector | None) -> DetectorNumbers | None:
    if detector is None:
        return None
    cost = _cost(data, detector.architecture)
    return DetectorNumbers(
        name=detector.name,
        h=detector.best.h,
        map=detector.best.map,
        backbone_parameters=cost.backbone.parameters,
        stage_flops={name: part.flops for name, part in cost.backbone_parts.items()},
    )


def _trials(data: ReportData) -> Iterator[TrialNumbers]:
    if data.base is None:
        return
    scores = {entry.index: entry.h for entry in data.entries if entry.h is not None}
    best, generation = data.base.best.h, 0
    for entry in data.entries:
        if entry.h is None or entry.architecture is None:
            continue
        if entry.h > best:
            best, generation = entry.h, generation + 1
        yield TrialNumbers(
            number=entry.index,
            parent=entry.proposal.parent,
            step=step_kind(entry.proposal),
            h=entry.h,
            gain=entry.h - _parents_score(entry, scores, data.base),
            generation=generation,
            student_parameters=_cost(data, entry.architecture).backbone.parameters,
            teacher_parameters=_teacher_parameters(data, entry.proposal.teacher),
        )


def _parents_score(entry: LedgerEntry, scores: dict[int, float], base: ReportDetector) -> float:
    parent = entry.proposal.parent
    return base.best.h if parent is None else scores[parent]


def _teacher_parameters(data: ReportData, teacher: Teacher) -> int | None:
    if data.unnamed_teacher or data.spec.searches_pool:
        return None
    architecture = data.spec.teachers.supernet.architecture(teacher)
    return _cost(data, architecture).backbone.parameters


def _cost(data: ReportData, architecture: Architecture) -> DetectorCost:
    # The number of classes changes the heads only.
    return detector_cost(architecture, data.spec.detector, 1, data.spec.base_resolution)
