"""The conditions of a search: their statuses and reasons."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from detnas.gain import measured_on
from detnas.lifecycle.status import SearchStatus
from detnas.plan.stages import FINAL, Phase
from detnas.reasons import Reason, ReasonCode
from detnas.records.verbs import Verb
from detnas.resource.cut import cut
from detnas_operator.status.figures import detector_figures, gain
from detnas_operator.status.not_running import (
    SUSPENSION,
    blocked_by,
    degraded_reasons,
    distinct_problems,
    not_running_reason,
)
from detnas_operator.status.pass_result import PassResult

Condition = Mapping[str, Any]

_MAX_MESSAGE_BYTES = 1000
_ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}\b")
_BEFORE_TRIALS = frozenset({Phase.PREPARING, Phase.TRAINING})
_AFTER_TRIALS = FINAL | {Phase.SUCCEEDED}
_NOT_ACCEPTED = Reason.static(ReasonCode.NOT_ACCEPTED)
_NOTHING_RUNS = Reason(ReasonCode.NOT_ACCEPTED, f"{_NOT_ACCEPTED.message}: none of its jobs runs")


@dataclass(frozen=True, slots=True)
class _Verdict:
    """A condition by this pass; with status None (unknown) the earlier one is kept."""

    status: bool | None
    reason: Reason


def conditions(
    result: PassResult, before: Sequence[Condition], now: datetime
) -> list[dict[str, Any]]:
    """Return all conditions, in a fixed order, in the shape of metav1.Condition.

    Succeeded summarizes: while it is False, its reason and message report what the search does, or
    why nothing runs. Degraded is True if something needs attention.

    Args:
        result: of this pass.
        before: the conditions that the resource has; what this pass cannot know stays.
        now: for those whose status changed.
    """
    earlier = {condition["type"]: condition for condition in before}
    verdicts = {
        "Accepted": _accepted(result, earlier.get("Accepted", {})),
        "TeachersReady": _teachers_ready(result, now),
        "Searching": _searching(result, now, earlier.get("Searching", {})),
        "Suspended": _suspended(result, earlier.get("Suspended", {})),
        "Degraded": _degraded(result, now),
        "Succeeded": _succeeded(result, now, earlier.get("Succeeded", {})),
    }
    return [
        _condition(name, verdict, earlier.get(name), result.generation, now)
        for name, verdict in verdicts.items()
    ]


def _condition(
    name: str, verdict: _Verdict, before: Condition | None, generation: int, now: datetime
) -> dict[str, Any]:
    if verdict.status is None and before is not None and before["status"] != "Unknown":
        return dict(before)
    status = "Unknown" if verdict.status is None else str(verdict.status)
    since = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if before is not None and before.get("status") == status:
        since = before.get("lastTransitionTime", since)
    return {
        "type": name,
        "status": status,
        "observedGeneration": generation,
        "lastTransitionTime": since,
        "reason": verdict.reason.code,
        "message": cut(_ADDRESS.sub("0x…", verdict.reason.message), _MAX_MESSAGE_BYTES),
    }


def _accepted(result: PassResult, before: Condition) -> _Verdict:
    if result.not_accepted is not None:
        return _Verdict(False, result.not_accepted)
    search = result.search
    folder = search.folder if search else result.folder
    if not folder:
        return _unknown(result)
    with_warnings = ReasonCode.ACCEPTED_WITH_WARNINGS
    if search is None and before.get("reason") == with_warnings:
        return _Verdict(True, Reason(with_warnings, before["message"]))
    stored = f"the search is stored in {folder}"
    warnings = (*_manifest_warnings(result), *(search.warnings if search else ()))
    if not warnings:
        return _Verdict(True, Reason(ReasonCode.ACCEPTED, stored))
    return _Verdict(True, Reason(with_warnings, "; ".join([stored, *warnings])))


def _manifest_warnings(result: PassResult) -> tuple[str, ...]:
    search = result.search
    over = search is not None and search.phase.is_over
    return () if over else result.warnings


def _teachers_ready(result: PassResult, now: datetime) -> _Verdict:
    search = result.search
    if search is None:
        return _unknown(result)
    done, phases = result.pool_phases
    if result.teachers_are_ready:
        pool = f"the teacher pool is trained: {result.pool}" if result.pool else "all trained"
        pool = pool if phases else "the external teacher is checked and stored"
        return _Verdict(True, Reason(ReasonCode.TRAINED, pool))
    verb = Verb.PREPARE if search.phase is Phase.PREPARING else Verb.POOL
    if why := not_running_reason(result, now, (verb,)):
        return _Verdict(False, why)
    if search.phase is Phase.PREPARING:
        return _Verdict(False, Reason.static(ReasonCode.WAITING_FOR_DATA))
    return _Verdict(False, Reason.static(ReasonCode.TRAINING, done=done, phases=phases))


def _searching(result: PassResult, now: datetime, before: Condition) -> _Verdict:
    search = result.search
    if search is None:
        blocked = blocked_by(result) if before.get("status") == "True" else None
        return _Verdict(False, blocked) if blocked else _unknown(result)
    if search.phase in _BEFORE_TRIALS:
        return _Verdict(False, Reason.static(ReasonCode.NOT_STARTED))
    trials = _of_trials(ReasonCode.TRIALS_RUNNING, search)
    if search.phase in _AFTER_TRIALS:
        return _Verdict(False, Reason(ReasonCode.FINISHED, search.ended_because or trials.message))
    if why := not_running_reason(result, now, (Verb.EVALUATE, Verb.SUBNETS, Verb.EXTRACT)):
        return _Verdict(False, why)
    return _Verdict(True, trials)


def _suspended(result: PassResult, before: Condition) -> _Verdict:
    if result.suspended:
        return _Verdict(True, SUSPENSION)
    if result.not_accepted is not None:
        was_suspended = before.get("status") == "True"
        return _unknown(result) if was_suspended else _Verdict(False, _NOTHING_RUNS)
    if result.search is None:
        return _unknown(result)  # a resumed search is handled only once the store is read
    if result.blocked is not None and blocked_by(result) is result.blocked:
        return _Verdict(True, result.blocked)
    return _Verdict(False, Reason.static(ReasonCode.NOT_SUSPENDED))


def _degraded(result: PassResult, now: datetime) -> _Verdict:
    reasons = degraded_reasons(result, now)
    if not reasons:
        return _Verdict(False, Reason.static(ReasonCode.NOTHING_WRONG))
    messages = dict.fromkeys(reason.message for reason in reasons)
    return _Verdict(True, Reason(reasons[0].code, "; ".join(messages)))


def _succeeded(result: PassResult, now: datetime, before: Condition) -> _Verdict:
    search = result.search
    ended = before.get("status") == "True"
    if search is None and (result.not_accepted is None or ended):
        return _unknown(result)
    if search is not None and search.phase is Phase.SUCCEEDED:
        return _Verdict(True, Reason(_exported_code(search), _exported(search)))
    why = not_running_reason(result, now)
    if why is not None or search is None:
        return _Verdict(False, why or _NOT_ACCEPTED)
    return _Verdict(False, _of_trials(ReasonCode(search.phase), search))


def _unknown(result: PassResult) -> _Verdict:
    """Keep the earlier condition, since the store was not read; at first it is Unknown."""
    problems = () if result.not_accepted else distinct_problems(result)
    return _Verdict(None, problems[0] if problems else _NOT_ACCEPTED)


def _of_trials(code: ReasonCode, search: SearchStatus) -> Reason:
    return Reason.static(code, finished=search.finished, trials=search.trials)


def _exported_code(search: SearchStatus) -> ReasonCode:
    if search.improved is False:
        return ReasonCode.NO_IMPROVEMENT
    certain = search.improved is None or search.is_certain
    return ReasonCode.EXPORTED if certain else ReasonCode.NOT_DISTINGUISHABLE


def _exported(search: SearchStatus) -> str:
    student, base = search.exported, search.base
    if student is None:
        return "the student is exported"
    why = [search.export_reason] if search.export_reason else []
    causes = [f"likely cause: {cause}" for cause in search.likely_causes]
    if student.is_base:
        return "; ".join([*why, f"the base is exported to {search.exported_to}", *causes])
    figures = detector_figures(student, None)
    of_base = detector_figures(base, None) if base else {}
    trial = search.exported_trial
    who = "the student" if trial is None else f"the student of trial {trial}"
    unseen = student.on_test is not None
    where = measured_on(search.test_images if unseen else search.images, unseen=unseen)
    gained = f"{who} has {gain(figures, of_base)} (H and mAP on {where})"
    return "; ".join([gained, f"it is stored in {search.exported_to}", *why, *causes])
