"""What a search has cost so far, divided as the paper divides it (tables 7 and 10)."""

from collections.abc import Iterable

from detnas.lifecycle.reading.state import SearchState
from detnas.plan.gpus import gpus_of_pod
from detnas.records.results import Result
from detnas.records.verbs import Verb
from detnas.schema import Schema
from detnas.spec.manifest import SearchSpec

_DAY = 86_400


class PartCost(Schema):
    """Cost of the jobs of one kind.

    Attributes:
        seconds: wall time of the jobs, added up; of a result, over all attempts that it knows.
        gpu_days: the same times the GPUs that each requests. Cores count as one GPU.
    """

    seconds: float = 0.0
    gpu_days: float = 0.0


class SearchCost(Schema):
    """Cost of a search, by what it was spent on.

    Attributes:
        base: training of the base.
        pool: training of the teachers, entirely, also if other searches share or trained them.
        trials: all finished trials but those of another search, and the best subnet's extraction.
        finetune: fine-tuning of the best students.
        baselines: training of what the best student is compared with.
    """

    base: PartCost = PartCost()
    pool: PartCost = PartCost()
    trials: PartCost = PartCost()
    finetune: PartCost = PartCost()
    baselines: PartCost = PartCost()

    @property
    def total_gpu_days(self) -> float:
        """Of all parts."""
        parts = (self.base, self.pool, self.trials, self.finetune, self.baselines)
        return sum(part.gpu_days for part in parts)


def search_cost(state: SearchState, spec: SearchSpec) -> SearchCost:
    """Return what a search has cost, by its results."""
    stages, teachers = state.final_stages, spec.teachers
    tunings = [job.result for job in stages.tunings] if stages is not None else []
    finetune_gpus = gpus_of_pod(Verb.FINETUNE, spec)
    baselines = [one.job.result for one in stages.baselines] if stages is not None else []
    return SearchCost(
        base=_part(_seconds([state.base]), spec.base.gpus),
        pool=_part(_seconds(state.pool), teachers.workers * max(1, teachers.gpus_per_worker)),
        trials=_part(
            state.history.summary.milliseconds / 1000 + _seconds([state.extraction]),
            spec.evaluation.gpus,
        ),
        finetune=_part(_seconds(tunings), finetune_gpus),
        baselines=_part(_seconds(baselines), gpus_of_pod(Verb.BASELINE, spec)),
    )


def _part(seconds: float, gpus: int) -> PartCost:
    return PartCost(seconds=round(seconds, 3), gpu_days=round(seconds * max(1, gpus) / _DAY, 6))


def _seconds(results: Iterable[Result | None]) -> float:
    return sum(sum(result.seconds.values()) for result in results if result is not None)
