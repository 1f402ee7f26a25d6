"""The plan of a search: which jobs are due, from its observation and spec."""

from dataclasses import dataclass
from enum import StrEnum

from detnas.records.results import (
    DetectorResult,
    Outcome,
    PoolPhaseResult,
    PrepareResult,
    Result,
)
from detnas.records.verbs import VITAL_FINAL_VERBS, Verb
from detnas.spec.manifest import SearchSpec


class Phase(StrEnum):
    """The phase of a search."""

    PREPARING = "Preparing"
    TRAINING = "TrainingTeachers"
    SEARCHING = "Searching"
    FINETUNING = "FineTuning"
    COMPARING = "Comparing"
    EXPORTING = "Exporting"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"

    @property
    def is_over(self) -> bool:
        """Whether the search has ended, with or without success."""
        return self in OVER

    @property
    def is_after_setup(self) -> bool:
        """Whether the base and the teachers are trained; False of one that failed."""
        return self in AFTER_SETUP


OVER = frozenset({Phase.SUCCEEDED, Phase.FAILED})
"""Also for the phases of a status, which may be other strings: ``"Pending" in OVER`` is False."""
FINAL = frozenset({Phase.FINETUNING, Phase.COMPARING, Phase.EXPORTING})
"""Likewise: after the trials."""
AFTER_SETUP = frozenset({Phase.SEARCHING, *FINAL, Phase.SUCCEEDED})
"""Likewise."""


@dataclass(frozen=True, slots=True)
class JobId:
    """One job of a search.

    Attributes:
        verb: its kind.
        number: of the trial, or the first of several in one job, of the trial whose subnet is
            extracted, or of the pool's phase; of a fine-tuning in a folder of its trial's, one more
            than the trial's; of a baseline, its number among `Baseline`; else 0.
    """

    verb: Verb
    number: int = 0


@dataclass(frozen=True, slots=True)
class FinalJob:
    """A job after the trials whose request can be built.

    Attributes:
        job_id: which.
        folder: key of its folder.
        result: None until it has one.
    """

    job_id: JobId
    folder: str
    result: Result | None = None

    @property
    def verb(self) -> Verb:
        """Its kind."""
        return self.job_id.verb


_FINAL_PHASES = {
    Verb.FINETUNE: Phase.FINETUNING,
    Verb.BASELINE: Phase.COMPARING,
    Verb.TEST: Phase.COMPARING,
    Verb.EXPORT: Phase.EXPORTING,
}


@dataclass(frozen=True, slots=True)
class Observation:
    """What the store holds of a search.

    Attributes:
        prepare: result of the prepare job; None until it has one, as below.
        base: result of the base's training.
        pool: results of the pool's phases in order, up to the first without one.
        in_flight: jobs of trials with a request and no result, lowest first.
        trials: number proposed, without those lost to the infrastructure.
        converged: no further trial is proposed: `trials` are, or `patience` is used up.
        best: number of the best trial, whose student is fine-tuned and exported; None if none
            succeeded.
        extraction: result of the extraction of the best subnet, if the pool is searched.
        final: jobs after the trials, in the order of their stages, up to the first stage that has
            not ended.
    """

    prepare: PrepareResult | None = None
    base: DetectorResult | None = None
    pool: tuple[PoolPhaseResult, ...] = ()
    in_flight: tuple[int, ...] = ()
    trials: int = 0
    converged: bool = False
    best: int | None = None
    extraction: DetectorResult | None = None
    final: tuple[FinalJob, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done now.

    Attributes:
        phase: of the search.
        due: jobs that should be running, most urgent first; at most `parallelism`.
        proposals: new jobs of trials to propose, each due at once.
        problem: why the phase is Failed.
    """

    phase: Phase
    due: tuple[JobId, ...] = ()
    proposals: int = 0
    problem: str = ""


def plan(observation: Observation, spec: SearchSpec) -> Plan:
    """Return what is to be done, given an observation."""
    problem = _failed(observation, spec)
    if problem:
        return Plan(Phase.FAILED, problem=problem)
    if observation.prepare is None:
        return Plan(Phase.PREPARING, (JobId(Verb.PREPARE),))
    setup = _setup(observation, spec)
    if setup:
        return Plan(Phase.TRAINING, setup[: spec.search.parallelism])
    trials = _trials(observation, spec)
    return trials or _extraction(observation, spec) or _final_stages(observation, spec)


def trial_verb(spec: SearchSpec) -> Verb:
    """Return the kind of the jobs that evaluate what the search proposes."""
    return Verb.SUBNETS if spec.searches_pool else Verb.EVALUATE


def _proposes_no_more(observation: Observation, spec: SearchSpec) -> bool:
    return observation.converged or observation.trials >= spec.search.trials


def _failed(observation: Observation, spec: SearchSpec) -> str:
    named: list[tuple[str, Result | None]] = [
        ("preparing the data", observation.prepare),
        ("training the base", observation.base),
        *((f"phase {number} of the pool", one) for number, one in enumerate(observation.pool)),
        ("extracting the best subnet", observation.extraction),
        *(
            (f"the {job.verb}", job.result)
            for job in observation.final
            if job.verb in VITAL_FINAL_VERBS
        ),
    ]
    for name, result in named:
        if result is not None and result.outcome is not Outcome.SUCCEEDED:
            return f"{name} failed ({result.outcome}): {result.message}"
    if observation.prepare and (problem := _unprepared(observation.prepare, spec)):
        return problem
    ended = _proposes_no_more(observation, spec) and not observation.in_flight
    if observation.trials and ended and observation.best is None:
        return (
            f"none of {observation.trials} trials succeeded, so there is nothing to export; with "
            "more spec.search.trials (and patience) the search continues"
        )
    return ""


def _unprepared(prepared: PrepareResult, spec: SearchSpec) -> str:
    """What the settings need and the data check has not found, or its trainer cannot do."""
    if spec.teachers.external and prepared.external_teacher is None:
        return (
            "preparing the data stored no external teacher, as a trainer does that is too old for "
            "spec.teachers.external; use a newer image in a new search"
        )
    if spec.dataset.test is not None and prepared.test is None:
        return (
            "the data check saw no test split: the search was begun without spec.dataset.test, or "
            "with a trainer that is too old for it; remove the field, or begin a new search"
        )
    if spec.baselines and str(Verb.BASELINE) not in prepared.verbs:
        return (
            "the search's trainer is too old for spec.baselines; remove the field, or begin a new "
            "search with a newer image"
        )
    if spec.search.counts_latency and not prepared.measures_latency:
        return (
            "the trainer that checked the data is too old to measure latencies, which "
            "search.objective: Latency counts; use a newer image in a new search"
        )
    return ""


def _setup(observation: Observation, spec: SearchSpec) -> tuple[JobId, ...]:
    jobs: list[JobId] = []
    if observation.base is None:
        jobs.append(JobId(Verb.BASE))
    if len(observation.pool) < len(spec.teachers.trained_phases):
        jobs.append(JobId(Verb.POOL, len(observation.pool)))
    return tuple(jobs)


def _trials(observation: Observation, spec: SearchSpec) -> Plan | None:
    parallelism = spec.search.parallelism
    due = tuple(JobId(trial_verb(spec), number) for number in observation.in_flight)
    free = 0
    if not _proposes_no_more(observation, spec):
        free = min(parallelism - len(due), spec.search.trials - observation.trials)
    if due or free > 0:
        return Plan(Phase.SEARCHING, due[:parallelism], max(free, 0))
    return None


def _extraction(observation: Observation, spec: SearchSpec) -> Plan | None:
    if not spec.searches_pool or observation.extraction is not None or observation.best is None:
        return None
    return Plan(Phase.SEARCHING, (JobId(Verb.EXTRACT, observation.best),))


def _final_stages(observation: Observation, spec: SearchSpec) -> Plan:
    left = [job.job_id for job in observation.final if job.result is None]
    if not left:
        return Plan(Phase.SUCCEEDED)
    verb = left[0].verb
    due = tuple(job_id for job_id in left if job_id.verb is verb)
    return Plan(_FINAL_PHASES[verb], due[: spec.search.parallelism])
