"""The status of a search, for people and programs, during a run or afterwards."""

from detnas.gain import Gain, measured_on
from detnas.lifecycle.search_cost import SearchCost
from detnas.plan.front import MeasuredDetector
from detnas.plan.recommendation import Recommendation
from detnas.plan.stages import Phase
from detnas.records.progress import Progress
from detnas.records.results import Latency
from detnas.records.settings import Resolution
from detnas.schema import Count, Schema

MAX_FRONT = 10
"""Most points of the front that a status names."""


class OnTest(Schema):
    """What a detector reaches on the test images, where its validation H is highest.

    Attributes:
        h: its score.
        map: mAP, a fraction.
        h_error: standard error of H over the images; None if unknown.
        map_error: likewise, of mAP.
    """

    h: float
    map: float
    h_error: float | None = None
    map_error: float | None = None


class DetectorStatus(Schema):
    """A detector at its best resolution.

    Attributes:
        h: its score.
        resolution: where that is highest.
        map: mAP there, a fraction.
        flops: of one image there.
        h_error: standard error of H over the validation images; None if unknown.
        map_error: likewise, of mAP.
        estimated_h: of a trial, by which it is selected; None if that is h.
        parameters: of the complete detector.
        encoding: of its backbone.
        latency: of one image there: that which H counts, or as the export measured it.
        is_base: it is the base of the search.
        on_test: what it reaches on the test images; None if it was not scored there.
    """

    h: float
    resolution: Resolution
    map: float
    flops: Count
    h_error: float | None = None
    map_error: float | None = None
    estimated_h: float | None = None
    parameters: Count
    encoding: str
    latency: Latency | None = None
    is_base: bool = False
    on_test: OnTest | None = None


class TrialStatus(Schema):
    """A finished trial.

    Attributes:
        number: from 0.
        outcome: how it ended.
        h: its score; None if it failed, like the next three.
        h_error: standard error of H over the validation images; None if unknown.
        estimated_h: by which it is selected; None if that is h.
        resolution: where that is highest.
        map: mAP there, a fraction.
        flops: of one image there.
        message: why it failed.
    """

    number: Count
    outcome: str
    h: float | None = None
    h_error: float | None = None
    estimated_h: float | None = None
    resolution: Resolution | None = None
    map: float | None = None
    flops: Count | None = None
    message: str = ""


class ComparedDetector(Schema):
    """A detector that the search compares at its end.

    Attributes:
        name: of it, for people.
        detector: what it reaches; None if there is none.
        exported: it is what was chosen.
        message: why it failed, or how it was made.
        lead: of a baseline: what was exported less it, on the test images if there are any; None
            if unknown.
    """

    name: str
    detector: DetectorStatus | None = None
    exported: bool = False
    message: str = ""
    lead: Gain | None = None


class JobProgress(Schema):
    """A job that has not ended, with its progress.

    Attributes:
        name: such as ``trial 7``.
        progress: the latest; None until it has written any.
    """

    name: str
    progress: Progress | None = None


class SearchStatus(Schema):
    """The status of a search.

    Attributes:
        name: of the search.
        folder: URI of its folder.
        phase: of the search.
        problem: why the phase is Failed.
        warnings: of the data check, where the manifest does not fit the data.
        trials: number requested.
        finished: trials that ended, without those lost to the infrastructure.
        outcomes: finished trials by outcome.
        ended_because: why no further trial is proposed.
        base: the detector that it began with.
        best: the best trial's student.
        best_trial: its number.
        best_job: number of the first trial of its job.
        finetuned: the fine-tuned student, for comparison with the best trial's.
        exported: what was exported.
        exported_trial: number of its trial; None for the base.
        exported_to: URI of the exported folder.
        export_reason: why that was exported.
        improved: what was exported is better than the base on the validation images, by H or by mAP
            if it is upgraded; None before the export.
        gain: by how much, on the test images if there are any; None if it is not improved, or its
            error is unknown.
        compared: the base and every detector that the search came to; empty before the choice.
        images: validation images, on which H and mAP are measured; 0 while unknown.
        test_images: test images; 0 without a test split.
        likely_causes: what may have kept students from beating the base, if none did.
        finetune_problem: why the fine-tuning was lost; empty if it was not.
        baseline_problem: likewise, of a baseline.
        top: the best trials, best first.
        front: the detectors that none is as accurate and as cheap as, by rising cost: at most
            `MAX_FRONT`, evenly spread.
        front_size: how many there are.
        recommended: the detector for each of `spec.objectives`.
        failures: trials that failed recently.
        active: jobs that run, or would if the search were run.
        seconds_left: estimate until the last trial ends, or of the jobs before and after the
            trials; None while unknown and at the end.
        cost: of the jobs that have ended.
    """

    name: str
    folder: str
    phase: Phase
    problem: str = ""
    warnings: tuple[str, ...] = ()
    trials: Count
    finished: Count = 0
    outcomes: dict[str, int] = {}
    ended_because: str = ""
    base: DetectorStatus | None = None
    best: DetectorStatus | None = None
    best_trial: Count | None = None
    best_job: Count | None = None
    finetuned: DetectorStatus | None = None
    exported: DetectorStatus | None = None
    exported_trial: Count | None = None
    exported_to: str | None = None
    export_reason: str = ""
    improved: bool | None = None
    gain: Gain | None = None
    compared: tuple[ComparedDetector, ...] = ()
    images: Count = 0
    test_images: Count = 0
    likely_causes: tuple[str, ...] = ()
    finetune_problem: str = ""
    baseline_problem: str = ""
    top: tuple[TrialStatus, ...] = ()
    front: tuple[MeasuredDetector, ...] = ()
    front_size: Count = 0
    recommended: tuple[Recommendation, ...] = ()
    failures: tuple[TrialStatus, ...] = ()
    active: tuple[JobProgress, ...] = ()
    seconds_left: float | None = None
    cost: SearchCost = SearchCost()

    @property
    def is_certain(self) -> bool:
        """Whether what is exported is better than the base, and not by chance as far as known."""
        return bool(self.improved) and (self.gain is None or self.gain.is_certain)

    @property
    def measured_on(self) -> str:
        """The images on which H and mAP are measured, for people."""
        return measured_on(self.images, unseen=False)
