"""What follows the trials of a search: its jobs, and what is known of their outcome."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from detnas.plan.final_test import Contestant, Tested, contestants
from detnas.plan.stages import FinalJob, JobId
from detnas.plan.winner import Candidate, TrainedDetector, Winner
from detnas.records.requests import StudentRequest
from detnas.records.results import DetectorResult, ExportResult, Outcome, Result
from detnas.spec.baselines import Baseline


@dataclass(frozen=True, slots=True)
class Finalist:
    """A student with which the trials ended.

    Attributes:
        student: as its trial left it.
        job: its fine-tuning; None if none is asked for.
        tuned: the fine-tuned student; None until that has succeeded.
    """

    student: TrainedDetector
    job: FinalJob | None = None
    tuned: TrainedDetector | None = None

    @property
    def candidate(self) -> Candidate:
        """The same as the choice of the winner takes it."""
        return Candidate(self.student, self.tuned, self.failure)

    @property
    def tuning(self) -> DetectorResult | None:
        """The result of its fine-tuning, if there is one."""
        result = self.job.result if self.job is not None else None
        return result if isinstance(result, DetectorResult) else None

    @property
    def failure(self) -> str:
        """Why its fine-tuning failed; empty if it did not."""
        return _failure(self.tuning)


@dataclass(frozen=True, slots=True)
class TrainedBaseline:
    """A baseline of the search.

    Attributes:
        baseline: which.
        request: of its training.
        job: that trains it.
        detector: the trained one; None until that has succeeded.
    """

    baseline: Baseline
    request: StudentRequest
    job: FinalJob
    detector: TrainedDetector | None = None

    @property
    def failure(self) -> str:
        """Why its training failed; empty if it did not."""
        return _failure(self.job.result)


@dataclass(frozen=True, slots=True)
class FinalStages:
    """Fine-tuning, baselines, test and export, which follow the trials.

    Attributes:
        base: of the search.
        finalists: the best trials' students, the best first.
        winner: what is exported; None until every fine-tuning has ended.
        student: the best of the students, which is the winner unless that is the base.
        baselines: what it is compared with; empty until it is known, and if none are asked for.
        test: scores the detectors on the test images; None without such images, and until the
            detectors are known.
        tested: the detectors as measured there; empty until then.
        exporting: writes the winner; None until the test has ended.
        ended: how many trials had ended when the finalists were chosen.
    """

    base: TrainedDetector
    finalists: tuple[Finalist, ...]
    winner: Winner | None = None
    student: TrainedDetector | None = None
    baselines: tuple[TrainedBaseline, ...] = ()
    test: FinalJob | None = None
    tested: Tested = field(default_factory=dict)
    exporting: FinalJob | None = None
    ended: int = 0

    @property
    def jobs(self) -> tuple[FinalJob, ...]:
        """Every job whose request can be built, in the order of the stages."""
        later = (self.test, self.exporting)
        trained = (*self.tunings, *(one.job for one in self.baselines))
        return (*trained, *(job for job in later if job is not None))

    @property
    def tunings(self) -> tuple[FinalJob, ...]:
        """The fine-tunings."""
        return tuple(one.job for one in self.finalists if one.job is not None)

    @property
    def contestants(self) -> tuple[Contestant, ...]:
        """What is scored on the test images, once the winner is known."""
        assert self.winner is not None
        students = (one.tuned or one.student for one in self.finalists)
        baselines = (one.detector for one in self.baselines if one.detector is not None)
        return contestants(self.base, self.winner.detector, (*students, *baselines))

    @property
    def trials(self) -> tuple[int | None, ...]:
        """Numbers of the finalists' trials."""
        return tuple(one.student.trial for one in self.finalists)

    @property
    def best(self) -> TrainedDetector:
        """The best trial's student."""
        return self.finalists[0].student

    @property
    def finetuned(self) -> TrainedDetector | None:
        """The winner, if it was fine-tuned; else the best trial's student, fine-tuned."""
        won = self.winner.detector if self.winner is not None else None
        return won if won is not None and won.tuned else self.finalists[0].tuned

    @property
    def all_finetuned(self) -> tuple[TrainedDetector, ...]:
        """Every student that was fine-tuned, the winner among them if it was tuned before."""
        found = [one.tuned for one in self.finalists if one.tuned is not None]
        won = self.winner.detector if self.winner is not None else None
        return tuple(found) if won is None or not won.tuned or won in found else (*found, won)

    @property
    def export(self) -> ExportResult | None:
        """The export's result, if there is one."""
        result = self.exporting.result if self.exporting is not None else None
        return result if isinstance(result, ExportResult) else None

    @property
    def export_folder(self) -> str:
        """Key of the folder of the export; empty while that is not known."""
        return self.exporting.folder if self.exporting is not None else ""

    @property
    def lost(self) -> Iterator[FinalJob]:
        """Trainings that failed for reasons other than the detector."""
        for job in (*self.tunings, *(one.job for one in self.baselines)):
            if job.result is not None and job.result.outcome is Outcome.INFRASTRUCTURE:
                yield job

    def job(self, job_id: JobId) -> FinalJob | None:
        """Return a job; None if it is not, or no longer, one of these."""
        return next((job for job in self.jobs if job.job_id == job_id), None)


def _failure(result: Result | None) -> str:
    if result is None or result.outcome is Outcome.SUCCEEDED:
        return ""
    return f"{result.outcome}: {result.message}"
