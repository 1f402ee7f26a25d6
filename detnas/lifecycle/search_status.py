"""From the state of a search to its status."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from detnas.architecture import Architecture, encode
from detnas.ledger.entry import LedgerEntry
from detnas.ledger.summary import Summary
from detnas.lifecycle.attempts import latest_progress
from detnas.lifecycle.baselines import lead_over
from detnas.lifecycle.estimate import search_seconds_left
from detnas.lifecycle.jobs import job_folder, job_name
from detnas.lifecycle.outcome import detectors_of, recommendations
from detnas.lifecycle.reading.final_stages import FinalStages
from detnas.lifecycle.reading.state import SearchState
from detnas.lifecycle.record import StoredSearch
from detnas.lifecycle.search_cost import search_cost
from detnas.lifecycle.status import (
    MAX_FRONT,
    ComparedDetector,
    DetectorStatus,
    JobProgress,
    OnTest,
    SearchStatus,
    TrialStatus,
)
from detnas.plan.advice import likely_causes
from detnas.plan.front import pareto_front, thinned
from detnas.plan.stages import JobId, plan
from detnas.plan.winner import TrainedDetector
from detnas.records.progress import Progress
from detnas.records.results import Outcome, Score, SplitSummary
from detnas.records.settings import DetectorShape
from detnas.records.verbs import Verb
from detnas.score import ResolutionScore, Scorer
from detnas.spec.manifest import SearchSpec
from detnas.store import Store
from detnas.teachers import Teacher

ProgressOf = Callable[[str], Progress | None]


def search_status(
    search: StoredSearch, state: SearchState, progress_of: ProgressOf | None = None
) -> SearchStatus:
    """Return the status of a search.

    Args:
        search: the search.
        state: of the search.
        progress_of: returns the latest progress of the job in a folder; by default it is read from
            the store.
    """
    progress_of = progress_of or partial(latest_progress, search.store)
    spec = search.requests.spec
    decided = plan(state.observation, spec)
    scorer = state.scorer
    active = _active(search, state, decided.due, progress_of)
    status = SearchStatus(
        name=search.requests.manifest.metadata.name,
        folder=search.uri,
        phase=decided.phase,
        problem=decided.problem,
        warnings=state.prepare.warnings if state.prepare else (),
        images=_images(state.prepare.val if state.prepare else None),
        test_images=_images(state.prepare.test if state.prepare else None),
        trials=spec.search.trials,
        ended_because=state.end.message if state.end else "",
        base=_base_status(scorer) if scorer else None,
        active=active,
        seconds_left=search_seconds_left(state, spec, [job.progress for job in active]),
        finetune_problem=_finetune_problem(state),
        baseline_problem=_baseline_problem(state),
        finetuned=_finetuned_status(state),
        compared=tuple(compared_detectors(state)),
        cost=search_cost(state, spec),
        **_finished_trials(state.history.summary),
    )
    return _with_export(_with_front(status, state, spec), search.store, state, spec)


def _with_front(status: SearchStatus, state: SearchState, spec: SearchSpec) -> SearchStatus:
    front = pareto_front(detectors_of(state))
    found = {"front": thinned(front, MAX_FRONT), "front_size": len(front)}
    recommended = recommendations(state, spec.objectives)
    return status.model_copy(update={**found, "recommended": recommended})


def _images(split: SplitSummary | None) -> int:
    return split.images if split is not None else 0


def _finished_trials(summary: Summary) -> dict[str, Any]:
    top = summary.best
    return {
        "finished": summary.finished_count - summary.lost_count,
        "outcomes": {str(outcome): count for outcome, count in sorted(summary.outcomes.items())},
        "best": _entry_status(top) if top else None,
        "best_trial": top.index if top else None,
        "best_job": top.proposal.job_number if top else None,
        "top": tuple(map(_trial_status, summary.top)),
        "failures": tuple(map(_trial_status, summary.failures)),
    }


def _active(
    search: StoredSearch,
    state: SearchState,
    due_jobs: Iterable[JobId],
    progress_of: ProgressOf,
) -> tuple[JobProgress, ...]:
    return tuple(
        JobProgress(
            name=job_name(job_id),
            progress=progress_of(job_folder(search.requests, state, job_id)),
        )
        for job_id in due_jobs
    )


def _entry_status(entry: LedgerEntry) -> DetectorStatus:
    """The status of a trial's student."""
    assert entry.architecture is not None
    assert entry.best is not None
    assert entry.parameters is not None
    found = _detector(entry.best, entry.parameters, entry.architecture)
    return found.model_copy(update={"estimated_h": entry.estimated_h})


def _detector(top: ResolutionScore, parameters: int, architecture: Architecture) -> DetectorStatus:
    return DetectorStatus(
        h=top.h,
        resolution=top.resolution,
        map=top.map,
        flops=top.flops,
        h_error=top.h_error,
        map_error=top.map_error,
        parameters=parameters,
        encoding=encode(architecture),
        latency=top.time,
    )


def _detector_status(
    scorer: Scorer,
    architecture: Architecture,
    scores: Sequence[Score],
    teacher: Teacher | None = None,
    upgraded: DetectorShape | None = None,
) -> DetectorStatus:
    """The status of any detector, scored against the base."""
    scored = scorer.score(architecture, scores, teacher, upgraded)
    return _detector(scored.best, scored.parameters, architecture)


def _base_status(scorer: Scorer) -> DetectorStatus:
    base = _detector_status(scorer, scorer.architecture, scorer.scores)
    return base.model_copy(update={"is_base": True})


def _finetune_problem(state: SearchState) -> str:
    lost = state.final_stages.lost if state.final_stages is not None else ()
    tunings = (job.result for job in lost if job.verb is Verb.FINETUNE)
    return "; ".join(result.message for result in tunings if result is not None)


def _baseline_problem(state: SearchState) -> str:
    stages = state.final_stages
    if stages is None:
        return ""
    lost = tuple(stages.lost)
    return "; ".join(
        f"{one.baseline.words}: {one.job.result.message}"
        for one in stages.baselines
        if one.job in lost and one.job.result is not None
    )


def _finetuned_status(state: SearchState) -> DetectorStatus | None:
    finetuned = state.final_stages.finetuned if state.final_stages else None
    if finetuned is None or state.scorer is None:
        return None
    return _trained_status(state.scorer, finetuned, state.final_stages)


def compared_detectors(state: SearchState) -> Iterator[ComparedDetector]:
    """Yield the base, the baselines and the finalists, once the winner is chosen among them."""
    stages, scorer = state.final_stages, state.scorer
    if stages is None or stages.winner is None or scorer is None:
        return
    winner = stages.winner.detector

    def row(name: str, trained: TrainedDetector, message: str = "") -> ComparedDetector:
        return ComparedDetector(
            name=name,
            detector=_trained_status(scorer, trained, stages),
            exported=trained.name == winner.name,
            message=message,
        )

    yield row("base", stages.base)
    for baseline in stages.baselines:
        name = baseline.baseline.words
        if baseline.detector is None:
            yield ComparedDetector(name=name, message=baseline.failure or "no result yet")
        else:
            compared = row(name, baseline.detector)
            yield compared.model_copy(update={"lead": lead_over(baseline.detector, state, stages)})
    shown = {stages.base.name}
    for one in stages.finalists:
        found = one.tuned or one.student
        tuned = ", fine-tuned" if one.tuned else ""
        yield row(f"trial {found.trial}{tuned}", found, one.failure)
        shown.add(found.name)
    if winner.name not in shown:
        tuned = ", fine-tuned before" if winner.tuned else ", not fine-tuned"
        yield row(f"trial {winner.trial}{tuned}", winner)


def _with_export(
    status: SearchStatus, store: Store, state: SearchState, spec: SearchSpec
) -> SearchStatus:
    stages, scorer = state.final_stages, state.scorer
    if stages is None or stages.export is None or stages.winner is None or scorer is None:
        return status
    export = stages.export
    if export.outcome is not Outcome.SUCCEEDED:
        return status
    base = status.base
    assert base is not None
    winner = stages.winner
    exported = _trained_status(scorer, winner.detector, stages)
    measured = _on_test(stages.tested.get(stages.base.name, ()))
    return status.model_copy(
        update={
            "base": base.model_copy(
                update={"latency": base.latency or export.base_latency, "on_test": measured}
            ),
            "exported": exported.model_copy(
                update={"latency": exported.latency or export.student_latency}
            ),
            "exported_trial": winner.detector.trial,
            "exported_to": f"{store.uri}/{stages.export_folder}",
            "export_reason": winner.explanation,
            "improved": winner.improved,
            "gain": winner.gain,
            "likely_causes": () if winner.improved else _observed_causes(state, spec),
        }
    )


def _observed_causes(state: SearchState, spec: SearchSpec) -> tuple[str, ...]:
    summary = state.history.summary
    return likely_causes(
        spec, summary.finished_count - summary.lost_count, state.prepare, state.base
    )


def _trained_status(
    scorer: Scorer, trained: TrainedDetector, stages: FinalStages | None
) -> DetectorStatus:
    result = trained.result
    assert result.architecture is not None
    found = _detector_status(
        scorer, result.architecture, result.scores, trained.teacher, result.shape
    )
    on_test = _on_test(stages.tested.get(trained.name, ()) if stages is not None else ())
    return found.model_copy(update={"is_base": trained.is_base, "on_test": on_test})


def _on_test(tested: Sequence[TrainedDetector]) -> OnTest | None:
    if not tested:
        return None
    here = tested[0]
    error = here.measured.map_error
    known = error is not None and here.map > 0
    return OnTest(
        h=here.score,
        map=here.map,
        h_error=error * here.score / here.map if known and error is not None else None,
        map_error=error,
    )


def _trial_status(entry: LedgerEntry) -> TrialStatus:
    best_at = entry.best
    return TrialStatus(
        number=entry.index,
        outcome=entry.outcome,
        h=entry.h,
        h_error=best_at.h_error if best_at else None,
        estimated_h=entry.estimated_h,
        resolution=best_at.resolution if best_at else None,
        map=best_at.map if best_at else None,
        flops=best_at.flops if best_at else None,
        message=entry.message,
    )
