"""The whole status of a search's resource, as JSON."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from detnas.lifecycle.status import ComparedDetector, SearchStatus
from detnas.plan.stages import OVER
from detnas.records import keys
from detnas.records.results import Outcome
from detnas.resource.status import (
    OUTCOME_FIELDS,
    Compared,
    FailedTrial,
    ResourceStatus,
    TopTrial,
)
from detnas_operator.cluster.objects import Status
from detnas_operator.status.conditions import conditions
from detnas_operator.status.figures import (
    active_jobs,
    active_trials,
    change,
    detector_figures,
    latency_change,
    whole_seconds,
)
from detnas_operator.status.not_running import blocked_by
from detnas_operator.status.outcome import front, recommended
from detnas_operator.status.pass_result import PassResult

PENDING = "Pending"
SUSPENDED = "Suspended"

_OF_ANY_PASS = frozenset({"observedGeneration", "phase", "conditions"})
"""Known even if the store could not be read; the other fields then keep their values."""

_LONG_HOURS = 10
"""GPU hours from which on a tenth is precise enough."""


def resource_status(result: PassResult, before: Status, now: datetime) -> dict[str, Any]:
    """Return ``.status``, below 64 KB; if the store was not read, figures stay as they were.

    Args:
        result: of this pass.
        before: the status that the resource has; empty for a new one.
        now: for conditions whose status changed.
    """
    search = result.search
    fields = {
        "observedGeneration": result.generation,
        "phase": _phase(result, before),
        "conditions": conditions(result, before.get("conditions", ()), now),
        "folder": result.folder or None,
        "image": result.image or None,
    }
    if search is not None:
        fields |= _figures(result, search)
    status = ResourceStatus.model_validate(fields).to_json()
    if search is None:
        status |= {key: before[key] for key in before.keys() - _OF_ANY_PASS}
        if blocked_by(result) is not None:
            status |= _stopped(status)
    elif "exported" not in status and "exported" in before and not result.accepts_loss:
        status["exported"] = before["exported"]  # it stays until another replaces it
    return status


def _stopped(status: Status) -> dict[str, Any]:
    """What is known without the store once every Job has been stopped."""
    changes: dict[str, Any] = {"active": []} if "active" in status else {}
    if "trials" in status:
        changes["trials"] = {**status["trials"], "active": 0}
    return changes


def _phase(result: PassResult, before: Status) -> str:
    search, phase = result.search, str(before.get("phase", PENDING))
    if search is not None and search.phase.is_over:
        return search.phase
    if search is None and phase in OVER:
        return phase
    if result.not_accepted is not None:
        return PENDING
    if blocked_by(result) is not None:
        return SUSPENDED
    return search.phase if search is not None else phase


def _figures(result: PassResult, search: SearchStatus) -> dict[str, Any]:
    left = None if blocked_by(result) else search.seconds_left
    return {
        "folder": search.folder,
        "trials": _trials(result, search),
        "teachers": _teachers(result),
        **_detectors(search),
        "compared": [_compared(one) for one in _exported_first(search.compared)],
        "active": list(active_jobs(result, search)),
        "top": _top(search),
        "front": front(search),
        "recommended": recommended(search),
        "failures": [
            FailedTrial(trial=trial.number, outcome=Outcome(trial.outcome), message=trial.message)
            for trial in search.failures
        ],
        "gpuHours": _hours(result.gpu_seconds),
        "secondsLeft": whole_seconds(left),
        "history": f"{search.folder}/trials",
        "forgivenTrials": result.forgiven,
        "lostGpuHours": f"{lost / 3600:.3f}" if (lost := result.lost_gpu_seconds) else None,
        "acceptedDataLoss": result.accepted_loss or None,
    }


def _hours(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:.1f}" if hours >= _LONG_HOURS else f"{hours:.3f}"


def _trials(result: PassResult, search: SearchStatus) -> dict[str, Any]:
    counted = {
        name: search.outcomes.get(str(outcome), 0) for outcome, name in OUTCOME_FIELDS.items()
    }
    return {
        "total": search.trials,
        "finished": search.finished,
        "active": active_trials(result),
        **counted,
        "progress": f"{search.finished}/{search.trials}",
    }


def _teachers(result: PassResult) -> dict[str, Any]:
    done, phases = result.pool_phases
    progress = f"{done}/{phases}" if phases else ""
    if result.pool_holder:
        progress = "Waiting"
    if result.teachers_are_ready:
        progress = "Ready"
    return {
        "progress": progress,
        "pool": result.pool or None,
        "holder": result.pool_holder or None,
    }


def _detectors(search: SearchStatus) -> dict[str, Any]:
    folder, base, best, job = search.folder, search.base, search.best, search.best_job
    detectors: dict[str, Any] = {}
    if base is not None:
        detectors["base"] = detector_figures(base, keys.base_folder(folder))
    if best is not None:
        uri = None if job is None else keys.trial_folder(folder, job)
        detectors["best"] = detector_figures(best, uri, search.best_trial)
    if base is not None and best is not None:
        detectors["flopsChange"] = change(best.flops, base.flops)
        detectors["latencyChange"] = latency_change(best, base)
    if search.exported is not None:
        trial = search.exported_trial
        exported = detector_figures(search.exported, search.exported_to, trial)
        detectors["exported"] = exported | _comparison(search)
    return detectors


def _exported_first(compared: Sequence[ComparedDetector]) -> list[ComparedDetector]:
    """The base, what was exported, and the others: the status has the first few only."""
    return [*compared[:1], *sorted(compared[1:], key=lambda one: not one.exported)]


def _compared(one: ComparedDetector) -> Compared:
    found, outcome = one.detector, one.message.partition(":")[0]
    if found is None:
        return Compared(name=one.name, message=outcome)
    tested = found.on_test
    return Compared(
        name=one.name,
        exported=one.exported,
        h=found.h,
        h_error=found.h_error,
        map=found.map,
        map_error=found.map_error,
        flops=found.flops,
        test_h=tested and tested.h,
        test_h_error=tested and tested.h_error,
        test_map=tested and tested.map,
        test_map_error=tested and tested.map_error,
        lead=one.lead and one.lead.difference,
        lead_low=one.lead and one.lead.low,
        lead_high=one.lead and one.lead.high,
        message=outcome,
    )


def _comparison(search: SearchStatus) -> dict[str, Any]:
    if search.exported is not None and search.exported.is_base:
        return {"isBase": True}
    if search.gain is None:
        return {}
    gain = search.gain
    return {
        "gain": gain.difference,
        "gainLow": gain.low,
        "gainHigh": gain.high,
        "gainMetric": gain.metric,
        "gainOn": "Test" if gain.unseen else "Validation",
        "gainImages": gain.images or None,
    }


def _top(search: SearchStatus) -> list[TopTrial]:
    return [
        TopTrial(
            trial=trial.number,
            h=trial.h,
            h_error=trial.h_error,
            estimated_h=trial.estimated_h,
            map=trial.map,
            flops=trial.flops,
            resolution=str(trial.resolution),
        )
        for trial in search.top
        if trial.h is not None and trial.map is not None and trial.flops is not None
    ]
