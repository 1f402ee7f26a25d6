"""The front of a search and its recommendations, from its state."""

from collections.abc import Iterable, Iterator

from detnas.lifecycle.reading.state import SearchState
from detnas.plan.front import MeasuredDetector, measured_detectors
from detnas.plan.recommendation import MeasuredLatency, Recommendation, recommend
from detnas.records import keys
from detnas.records.results import Latency, Outcome
from detnas.spec.objectives import DetectorLimits


def detectors_of(state: SearchState) -> tuple[MeasuredDetector, ...]:
    """Return the base, the front of the trials and the fine-tuned student, at every resolution."""
    stages = state.final_stages
    finetuned = stages.finetuned if stages is not None else None
    return measured_detectors(
        state.scorer, state.history.summary.front, () if finetuned is None else (finetuned,)
    )


def exported_latencies(state: SearchState) -> Iterator[MeasuredLatency]:
    """Yield what the export measured: the student's latency, and the base's beside it."""
    stages = state.final_stages
    if stages is None or stages.export is None or stages.winner is None:
        return
    export, winner = stages.export, stages.winner.detector
    if export.outcome is not Outcome.SUCCEEDED:
        return
    base = (export.base_latency, export.base_latency_same_resolution)
    # Twice the same if the base is best at the student's resolution, or is what was exported.
    for latency in dict.fromkeys(base):
        if latency is not None:
            yield _measured(latency)
    if export.student_latency is not None and not winner.is_base:
        finetuned = keys.is_of_finetuning(winner.result.weights.key)
        yield _measured(export.student_latency, winner.trial, finetuned=finetuned)


def _measured(
    latency: Latency, trial: int | None = None, *, finetuned: bool = False
) -> MeasuredLatency:
    return MeasuredLatency(trial=trial, finetuned=finetuned, **dict(latency))


def recommendations(
    state: SearchState,
    objectives: Iterable[DetectorLimits],
    latencies: Iterable[MeasuredLatency] = (),
) -> tuple[Recommendation, ...]:
    """Return the detector for each objective.

    Args:
        state: of the search.
        objectives: what detectors are needed for.
        latencies: besides those of the export.
    """
    detectors = detectors_of(state)
    measured = (*exported_latencies(state), *latencies)
    return tuple(recommend(detectors, measured, limits) for limits in objectives)
