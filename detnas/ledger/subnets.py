"""Trials of a search of the pool itself in the store: a job evaluates up to 25 subnets.

Trials 25n to 25n + 24 are a slot. A job evaluates subnets of one slot only and is stored under the
number of its first trial, so that a trial's job is found from the beginning of the slot. Usually a
slot has one job; it has more if the search had ended within it and was continued.
"""

from dataclasses import dataclass, field

from detnas.ledger.trials import TrialRecords
from detnas.records import keys
from detnas.records.proposal import Proposal
from detnas.records.requests import SubnetsRequest
from detnas.records.results import (
    MAX_JOB_SUBNETS,
    DetectorResult,
    Outcome,
    SubnetScore,
    SubnetsResult,
)
from detnas.store import Store
from detnas.store.artifacts import load_record
from detnas.store.errors import CorruptRecord
from detnas.teachers import SupernetShape, Teacher


def slot_of(index: int) -> range:
    """Return the numbers of the trials of a trial's slot."""
    first = index - index % MAX_JOB_SUBNETS
    return range(first, first + MAX_JOB_SUBNETS)


def subnet_result(
    trial: Proposal, result: SubnetsResult, supernet: SupernetShape
) -> DetectorResult:
    """Return the result of one subnet out of that of its job, which took its share of the time.

    Args:
        trial: that evaluates it.
        result: of the trial's job.
        supernet: of the pool.
    """
    shared = max(1, len(result.subnets))
    took = (result.finished - result.started) / shared
    update = {
        "message": result.message,
        "outcome": result.outcome,
        "attempt": result.attempt,
        "started": result.finished - took,
        "finished": result.finished,
        "seconds": {name: seconds / shared for name, seconds in result.seconds.items()},
        "versions": result.versions,
    }
    if result.outcome is not Outcome.SUCCEEDED:
        return DetectorResult(**update)
    found = _score(trial, result)
    if found is None:
        message = f"the result of its job has no scores of trial {trial.index}"
        return DetectorResult(**update | {"outcome": Outcome.INVALID, "message": message})
    architecture = supernet.architecture(trial.teacher)
    return DetectorResult(**update, architecture=architecture, scores=found.scores)


def _score(trial: Proposal, result: SubnetsResult) -> SubnetScore | None:
    place = trial.index - trial.job_number
    if place >= len(result.subnets):
        return None
    found = result.subnets[place]
    return found if found.scores and is_score_of(found, trial.teacher) else None


def is_score_of(score: SubnetScore, subnet: Teacher) -> bool:
    """Whether a score is that of this subnet."""
    return score.depths == subnet.depths and score.widths == tuple(map(str, subnet.widths))


@dataclass(frozen=True, slots=True)
class SubnetTrials:
    """Reads the trials of one search; a job's records once for all its subnets.

    Attributes:
        store: where the search is stored.
        folder: key of its folder.
        supernet: of its pool.
    """

    store: Store
    folder: str
    supernet: SupernetShape
    _jobs: dict[int, tuple[TrialRecords, ...]] = field(default_factory=dict)

    def load(self, index: int) -> TrialRecords | None:
        """Read a trial; None if it was not requested.

        Raises:
            CorruptRecord: a record is not valid.
        """
        first = slot_of(index).start
        while trials := self._job(first):
            if index < first + len(trials):
                return trials[index - first]
            first += len(trials)
        return None

    def _job(self, first: int) -> tuple[TrialRecords, ...]:
        if first not in self._jobs:
            self._jobs[first] = self._read(first)
        return self._jobs[first]

    def _read(self, first: int) -> tuple[TrialRecords, ...]:
        folder = keys.trial_folder(self.folder, first)
        request = load_record(self.store, keys.request_key(folder), SubnetsRequest)
        if request is None:
            return ()
        if request.first != first or request.trials[-1].index not in slot_of(first):
            raise CorruptRecord(
                f"{self.store.uri}/{keys.request_key(folder)} is not the request of trial {first}",
                "restore the object: records are never edited",
            )
        result = load_record(self.store, keys.result_key(folder), SubnetsResult)
        return tuple(
            TrialRecords(
                trial, None if result is None else subnet_result(trial, result, self.supernet)
            )
            for trial in request.trials
        )
