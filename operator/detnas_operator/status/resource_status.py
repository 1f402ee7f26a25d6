"""The whole status of a search's resource, as JSON."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from detnas.lifecycle.status import SearchStatus
from detnas.plan.stages import Phase
from detnas.records import keys
from detnas.records.results import Outcome
from detnas.resource.status import FailedTrial, ResourceStatus, TopTrial
from detnas_operator.status.active import active_jobs, active_trials, whole_seconds
from detnas_operator.status.conditions import conditions
from detnas_operator.status.figures import detector_figures, flops_change
from detnas_operator.status.findings import PassResult
from detnas_operator.status.obstacles import standstill

PENDING = "Pending"
SUSPENDED = "Suspended"

Status = Mapping[str, Any]

_OVER = frozenset({Phase.SUCCEEDED, Phase.FAILED})
_COUNTS = {
    Outcome.SUCCEEDED: "succeeded",
    Outcome.INVALID: "invalid",
    Outcome.OUT_OF_MEMORY: "outOfMemory",
    Outcome.DIVERGED: "diverged",
    Outcome.INFRASTRUCTURE: "infrastructure",
}
_OF_THE_STORE = (
    "trials",
    "teachers",
    "base",
    "best",
    "exported",
    "flopsChange",
    "active",
    "top",
    "failures",
    "gpuHours",
    "secondsLeft",
    "history",
    "forgivenTrials",
    "lostGpuHours",
    "acceptedDataLoss",
    "folder",
    "image",
)
"""What a pass that could not read the store leaves as it is."""

_LONG_HOURS = 10


def resource_status(findings: PassResult, before: Status, now: datetime) -> dict[str, Any]:
    """Return ``.status``, below 64 KB; where the store was not read, figures stay as they were.

    Args:
        findings: of this pass.
        before: the status that the resource has; empty for a new one.
        now: for conditions whose status changed.
    """
    search = findings.search
    found = {
        "observedGeneration": findings.generation,
        "phase": _phase(findings, before),
        "conditions": conditions(findings, before.get("conditions", ()), now),
        "folder": findings.folder or None,
        "image": findings.image or None,
    }
    if search is not None:
        found |= _figures(findings, search)
    status = ResourceStatus.model_validate(found).to_json()
    if search is None:
        status |= {key: before[key] for key in _OF_THE_STORE if key in before}
        if standstill(findings) is not None:
            status |= _stopped(status)
    elif "exported" not in status and "exported" in before and not findings.accepts_loss:
        status["exported"] = before["exported"]  # the student is there until there is another
    return status


def _stopped(status: Status) -> dict[str, Any]:
    """What is known without the store once every Job was stopped."""
    found: dict[str, Any] = {"active": []} if "active" in status else {}
    if "trials" in status:
        found["trials"] = {**status["trials"], "active": 0}
    return found


def _phase(findings: PassResult, before: Status) -> str:
    search, said = findings.search, before.get("phase", PENDING)
    if search is not None and search.phase in _OVER:
        return search.phase
    if search is None and said in _OVER:
        return str(said)
    if findings.refused is not None:
        return PENDING
    if standstill(findings) is not None:
        return SUSPENDED
    if search is not None:
        return search.phase
    return str(said)


def _figures(findings: PassResult, search: SearchStatus) -> dict[str, Any]:
    left = None if standstill(findings) else search.seconds_left
    return {
        "folder": search.folder,
        "trials": _trials(findings, search),
        "teachers": _teachers(findings, search),
        **_detectors(search),
        "active": list(active_jobs(findings, search)),
        "top": _top(search),
        "failures": [
            FailedTrial(trial=one.number, outcome=Outcome(one.outcome), message=one.message)
            for one in search.failures
        ],
        "gpuHours": _hours(findings.gpu_seconds),
        "secondsLeft": whole_seconds(left),
        "history": f"{search.folder}/trials",
        "forgivenTrials": findings.forgiven,
        "lostGpuHours": f"{lost / 3600:.3f}" if (lost := findings.lost_gpu_seconds) else None,
        "acceptedDataLoss": findings.accepted_loss or None,
    }


def _hours(seconds: float) -> str:
    """Hours, to a tenth; short searches are told more closely."""
    hours = seconds / 3600
    return f"{hours:.1f}" if hours >= _LONG_HOURS else f"{hours:.3f}"


def _trials(findings: PassResult, search: SearchStatus) -> dict[str, Any]:
    counted = {name: search.outcomes.get(str(outcome), 0) for outcome, name in _COUNTS.items()}
    return {
        "total": search.trials,
        "finished": search.finished,
        "active": active_trials(findings),
        **counted,
        "progress": f"{search.finished}/{search.trials}",
    }


def _teachers(findings: PassResult, search: SearchStatus) -> dict[str, Any]:
    done, phases = findings.pool_phases
    progress = f"{done}/{phases}" if phases else ""
    if findings.pool_holder:
        progress = "Waiting"
    if search.phase not in (Phase.PREPARING, Phase.TRAINING, Phase.FAILED) or 0 < phases == done:
        progress = "Ready"
    return {
        "progress": progress,
        "pool": findings.pool or None,
        "holder": findings.pool_holder or None,
    }


def _detectors(search: SearchStatus) -> dict[str, Any]:
    folder, base, best, trial = search.folder, search.base, search.best, search.best_trial
    found: dict[str, Any] = {}
    if base is not None:
        found["base"] = detector_figures(base, keys.base_folder(folder))
    if best is not None:
        lies = None if trial is None else keys.trial_folder(folder, trial)
        found["best"] = detector_figures(best, lies, trial)
    if base is not None and best is not None:
        found["flopsChange"] = flops_change(best.flops, base.flops)
    if search.exported is not None:
        trial = search.exported_trial
        exported = detector_figures(search.exported, search.exported_to, trial)
        found["exported"] = exported | ({"isBase": True} if search.exported.is_base else {})
    return found


def _top(search: SearchStatus) -> list[TopTrial]:
    return [
        TopTrial(
            trial=one.number, h=one.h, map=one.map, flops=one.flops, resolution=str(one.resolution)
        )
        for one in search.top
        if one.h is not None and one.map is not None and one.flops is not None
    ]
