"""The conditions of a search: what is so, what is not, and why."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from detnas.lifecycle.status import SearchStatus
from detnas.plan.stages import Phase, Verb
from detnas.reasons import Reason, ReasonCode
from detnas.resource.cut import cut
from detnas_operator.status.figures import detector_figures, gain
from detnas_operator.status.findings import PassResult
from detnas_operator.status.obstacles import (
    SUSPENDED,
    held_up,
    hindrances,
    standstill,
    troubles,
)

Condition = Mapping[str, Any]

_LONGEST = 1000
_ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}\b")
_AFTER_TEACHERS = frozenset({Phase.SEARCHING, Phase.FINETUNING, Phase.EXPORTING, Phase.SUCCEEDED})
_BEFORE_TRIALS = frozenset({Phase.PREPARING, Phase.TRAINING})
_ENDING = frozenset({Phase.FINETUNING, Phase.EXPORTING})
_NOT_ACCEPTED = Reason.static(ReasonCode.NOT_ACCEPTED)
_NOTHING_RUNS = Reason(ReasonCode.NOT_ACCEPTED, f"{_NOT_ACCEPTED.message}: no job of it runs")


@dataclass(frozen=True, slots=True)
class _Claim:
    """What a condition says in this pass; status None: what it said before, if anything."""

    status: bool | None
    why: Reason


def conditions(
    findings: PassResult, before: Sequence[Condition], now: datetime
) -> list[dict[str, Any]]:
    """Return all conditions, in a fixed order, in the shape of metav1.Condition.

    Succeeded sums up: while it is False, its reason and message say what the search is at, or why
    nothing happens. Degraded is True where somebody should look.

    Args:
        findings: of this pass.
        before: the conditions that the resource has; what can not be known in this pass stays.
        now: for those whose status changed.
    """
    said = {condition["type"]: condition for condition in before}
    claims = {
        "Accepted": _accepted(findings, said.get("Accepted", {})),
        "TeachersReady": _teachers_ready(findings, now),
        "Searching": _searching(findings, now, said.get("Searching", {})),
        "Suspended": _suspended(findings, said.get("Suspended", {})),
        "Degraded": _degraded(findings, now),
        "Succeeded": _succeeded(findings, now, said.get("Succeeded", {})),
    }
    return [
        _condition(name, claim, said.get(name), findings.generation, now)
        for name, claim in claims.items()
    ]


def progress_reason(search: SearchStatus) -> Reason:
    """Say what a search is at that nothing blocks."""
    return _counted(ReasonCode(search.phase), search)


def _condition(
    name: str, claim: _Claim, before: Condition | None, generation: int, now: datetime
) -> dict[str, Any]:
    if claim.status is None and before is not None and before["status"] != "Unknown":
        return dict(before)
    status = "Unknown" if claim.status is None else str(claim.status)
    since = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if before is not None and before.get("status") == status:
        since = before.get("lastTransitionTime", since)
    return {
        "type": name,
        "status": status,
        "observedGeneration": generation,
        "lastTransitionTime": since,
        "reason": claim.why.reason,
        "message": cut(_ADDRESS.sub("0x…", claim.why.message), _LONGEST),
    }


def _accepted(findings: PassResult, before: Condition) -> _Claim:
    if findings.refused is not None:
        return _Claim(False, findings.refused)
    search = findings.search
    folder = search.folder if search else findings.folder
    if not folder:
        return _unread(findings)
    if search is None and before.get("reason") == ReasonCode.ACCEPTED_WITH_WARNINGS:
        return _Claim(True, Reason(ReasonCode.ACCEPTED_WITH_WARNINGS, before["message"]))
    kept = f"all that is found is kept in {folder}"
    warnings = (*_warnings(findings), *(search.warnings if search else ()))
    if not warnings:
        return _Claim(True, Reason(ReasonCode.ACCEPTED, kept))
    return _Claim(True, Reason(ReasonCode.ACCEPTED_WITH_WARNINGS, "; ".join([kept, *warnings])))


def _warnings(findings: PassResult) -> tuple[str, ...]:
    """What is to be said of a search that still runs."""
    search = findings.search
    over = search is not None and search.phase in (Phase.SUCCEEDED, Phase.FAILED)
    return () if over else findings.warnings


def _teachers_ready(findings: PassResult, now: datetime) -> _Claim:
    search = findings.search
    if search is None:
        return _unread(findings)
    done, phases = findings.pool_phases
    if search.phase in _AFTER_TEACHERS or 0 < phases == done:
        where = f"the teacher pool is trained: {findings.pool}" if findings.pool else "all trained"
        return _Claim(True, Reason(ReasonCode.TRAINED, where))
    verbs = (Verb.PREPARE,) if search.phase is Phase.PREPARING else (Verb.POOL,)
    obstacle = _obstacle(findings, now, verbs)
    if obstacle is not None:
        return _Claim(False, obstacle)
    if search.phase is Phase.PREPARING:
        return _Claim(False, Reason.static(ReasonCode.WAITING_FOR_DATA))
    return _Claim(False, Reason.static(ReasonCode.TRAINING, done=done, phases=phases))


def _searching(findings: PassResult, now: datetime, before: Condition) -> _Claim:
    search = findings.search
    if search is None:
        stopped = standstill(findings) if before.get("status") == "True" else None
        return _unread(findings) if stopped is None else _Claim(False, stopped)
    if search.phase in _BEFORE_TRIALS:
        return _Claim(False, Reason.static(ReasonCode.NOT_STARTED))
    if search.phase in _ENDING or search.phase is Phase.SUCCEEDED:
        trials_done = _counted(ReasonCode.SEARCHING, search).message
        return _Claim(False, Reason(ReasonCode.FINISHED, search.ended_because or trials_done))
    obstacle = _obstacle(findings, now, (Verb.EVALUATE,))
    if obstacle is not None:
        return _Claim(False, obstacle)
    return _Claim(True, _counted(ReasonCode.TRIALS_RUNNING, search))


def _suspended(findings: PassResult, before: Condition) -> _Claim:
    if findings.suspended:
        return _Claim(True, SUSPENDED)
    if findings.refused is not None:
        return _unread(findings) if before.get("status") == "True" else _Claim(False, _NOTHING_RUNS)
    if findings.search is None:
        return _unread(findings)  # whether it was resumed is only seen to with the store
    if findings.halted is not None and standstill(findings) is findings.halted:
        return _Claim(True, findings.halted)
    return _Claim(False, Reason.static(ReasonCode.NOT_SUSPENDED))


def _degraded(findings: PassResult, now: datetime) -> _Claim:
    found = hindrances(findings, now)
    if not found:
        return _Claim(False, Reason.static(ReasonCode.NOTHING_WRONG))
    messages = dict.fromkeys(one.message for one in found)
    return _Claim(True, Reason(found[0].reason, "; ".join(messages)))


def _succeeded(findings: PassResult, now: datetime, before: Condition) -> _Claim:
    search = findings.search
    ended = before.get("status") == "True"
    if search is None and (findings.refused is None or ended):
        return _unread(findings)
    if search is not None and search.phase is Phase.SUCCEEDED:
        unimproved = search.improved is False
        reason = ReasonCode.NO_IMPROVEMENT if unimproved else ReasonCode.EXPORTED
        return _Claim(True, Reason(reason, _taken_away(search)))
    obstacle = _obstacle(findings, now, tuple(Verb))
    if obstacle is not None or search is None:
        return _Claim(False, obstacle or _NOT_ACCEPTED)
    return _Claim(False, progress_reason(search))


def _obstacle(findings: PassResult, now: datetime, verbs: Sequence[Verb]) -> Reason | None:
    return standstill(findings) or held_up(findings, now, verbs)


def _unread(findings: PassResult) -> _Claim:
    """What the store did not say stays as it was; at first nothing is known."""
    if findings.refused is None:
        return _Claim(None, next(iter(troubles(findings)), _NOT_ACCEPTED))
    return _Claim(None, _NOT_ACCEPTED)


def _counted(code: ReasonCode, search: SearchStatus) -> Reason:
    return Reason.static(code, finished=search.finished, trials=search.trials)


def _taken_away(search: SearchStatus) -> str:
    student, base = search.exported, search.base
    if student is None:
        return "the student is exported"
    why = [search.export_reason] if search.export_reason else []
    causes = [f"likely cause: {cause}" for cause in search.likely_causes]
    if student.is_base:
        return "; ".join([*why, f"the base is exported to {search.exported_to}", *causes])
    figures = detector_figures(student, None)
    than = detector_figures(base, None) if base else {}
    trial = search.exported_trial
    who = "the student" if trial is None else f"the student of trial {trial}"
    has = f"{who} has {gain(figures, than)}"
    return "; ".join([has, f"it lies in {search.exported_to}", *why, *causes])
