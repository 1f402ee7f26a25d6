"""Events for ``kubectl describe``: what changed from one status to the next."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import chain
from typing import Any, Literal

from detnas.plan.stages import Phase
from detnas.plan.step_text import spaced
from detnas.reasons import ReasonCode
from detnas.resource.cut import cut
from detnas.spec.manifest import API_VERSION, KIND
from detnas_operator.cluster.objects import Object, Status
from detnas_operator.status.figures import gain

EventType = Literal["Normal", "Warning"]

REPORTER = "detnas-operator"

_MAX_MESSAGE_BYTES = 1000
"""Of 1024 bytes that the API server allows."""

_MAX_FAILURES = 5
_PHASES: dict[str, str] = {
    Phase.PREPARING: "checking the data set",
    Phase.TRAINING: "training the base and the teachers",
    Phase.SEARCHING: "running trials",
    Phase.FINETUNING: "fine-tuning the best student",
    Phase.COMPARING: "comparing the student with the base",
    Phase.EXPORTING: "exporting the student",
}


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a search.

    Attributes:
        type: Normal, or Warning if it needs attention.
        code: for programs.
        message: for people, one line.
        trial: number of the trial concerned; None if the search is.
    """

    type: EventType
    code: ReasonCode
    message: str
    trial: int | None = None


def events(before: Status, after: Status) -> tuple[Event, ...]:
    """Return what happened between two statuses, in reading order; a dozen at most."""
    distinct: dict[tuple[str, str], Event] = {}
    for event in chain.from_iterable(find(before, after) for find in _FINDERS):
        # Several conditions may have the same reason; trials fail for many.
        message = event.message if event.code is ReasonCode.TRIAL_FAILED else ""
        distinct.setdefault((event.code, message), event)
    return tuple(distinct.values())


def event_name(event: Event, resource: Object) -> str:
    """Return a name for the event's object: the same if the same change is reported again.

    A change is one from this version of the resource: an operator that crashes after it created
    the event and before it wrote the status reports it again, and only one object results.
    """
    metadata = resource["metadata"]
    version = metadata["resourceVersion"]
    content = "\n".join((metadata["uid"], version, event.code, event.message))
    return f"{metadata['name']}.{blake2b(content.encode(), digest_size=8).hexdigest()}"


def event_body(event: Event, resource: Object, now: datetime) -> dict[str, Any]:
    """Return the core/v1 Event for the API server.

    Args:
        event: what happened.
        resource: the search's resource, as the API server returned it before the change.
        now: when it happened.
    """
    namespace, moment = resource["metadata"]["namespace"], now.astimezone(UTC)
    seconds = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": event_name(event, resource), "namespace": namespace},
        "involvedObject": _reference(resource["metadata"]),
        "type": event.type,
        "reason": event.code,
        "message": event.message,
        "action": "Reconcile",
        "eventTime": moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "firstTimestamp": seconds,
        "lastTimestamp": seconds,
        "count": 1,
        "source": {"component": REPORTER},
        "reportingComponent": REPORTER,
        "reportingInstance": REPORTER,
    }


def _reference(metadata: Object) -> dict[str, str]:
    parts = {part: metadata[part] for part in ("namespace", "name", "uid", "resourceVersion")}
    return {"apiVersion": API_VERSION, "kind": KIND, **parts}


def _accepted(before: Status, after: Status) -> Iterator[Event]:
    old, new = _conditions("Accepted", before, after)
    if new["status"] == "True" and old["status"] != "True":
        yield _event("Normal", ReasonCode.ACCEPTED, new["message"])
    if new["status"] == "False" and _text(new) != _text(old):
        yield _event("Warning", new["reason"], new["message"])
    if new["reason"] == ReasonCode.ACCEPTED_WITH_WARNINGS != old["reason"]:
        yield _event("Warning", ReasonCode.DOES_NOT_FIT_DATA, new["message"])


def _resumed(before: Status, after: Status) -> Iterator[Event]:
    old, new = _conditions("Suspended", before, after)
    if old["status"] == "True" and new["status"] == "False":
        yield _event("Normal", ReasonCode.RESUMED, f"continues: {after.get('phase', '')}")


def _phase(before: Status, after: Status) -> Iterator[Event]:
    old, new = before.get("phase"), after.get("phase", "")
    # A resumed search continues with the phase it was suspended in, which Resumed reports.
    if new != old and new in _PHASES and old != "Suspended":
        yield _event("Normal", new, _PHASES[new])


def _teachers(before: Status, after: Status) -> Iterator[Event]:
    old, new = _conditions("TeachersReady", before, after)
    waited, waits = (one["reason"] == ReasonCode.WAITING_FOR_POOL for one in (old, new))
    if new["status"] == "True" and old["status"] != "True":
        yield _event("Normal", ReasonCode.TEACHERS_READY, new["message"])
    elif waits and not waited:
        yield _event("Normal", new["reason"], new["message"])
    elif waited and new["reason"] == ReasonCode.TRAINING:
        message = f"training the pool itself: {new['message']}"
        yield _event("Normal", ReasonCode.POOL_TAKEN_OVER, message)


def _failed_trials(before: Status, after: Status) -> Iterator[Event]:
    known = {failure["trial"] for failure in before.get("failures", ())}
    for failure in after.get("failures", ())[-_MAX_FAILURES:]:
        if (trial := failure["trial"]) not in known:
            why = failure.get("message", "")
            message = f"trial {trial}: {spaced(failure['outcome'])}" + (f": {why}" if why else "")
            yield _event("Warning", ReasonCode.TRIAL_FAILED, message, trial)


def _new_best(before: Status, after: Status) -> Iterator[Event]:
    best = after.get("best")
    if best is None or best.get("trial") == before.get("best", {}).get("trial"):
        return
    resolution = f" at {best['resolution']}" if "resolution" in best else ""
    message = f"trial {best.get('trial')}: {gain(best, after.get('base', {}))}{resolution}"
    yield _event("Normal", ReasonCode.NEW_BEST, message, best.get("trial"))


def _suspended(before: Status, after: Status) -> Iterator[Event]:
    old, new = _conditions("Suspended", before, after)
    if new["status"] == "True" and _is_new(old, new):
        if new["reason"] == ReasonCode.SUSPENDED_BY_USER:
            yield _event("Normal", ReasonCode.SUSPENDED, new["message"])
        else:
            yield _event("Warning", new["reason"], new["message"])


def _degraded(before: Status, after: Status) -> Iterator[Event]:
    old, new = _conditions("Degraded", before, after)
    if new["status"] == "True" and _is_new(old, new):
        yield _event("Warning", new["reason"], new["message"])
    elsewhere = {_condition(name, before)["reason"] for name in ("Accepted", "Suspended")}
    if new["status"] == "False" and old["status"] == "True" and old["reason"] not in elsewhere:
        yield _event("Normal", ReasonCode.RECOVERED, f"resolved: {old['reason']}")


def _data_loss(before: Status, after: Status) -> Iterator[Event]:
    accepted = after.get("acceptedDataLoss", "")
    if accepted != before.get("acceptedDataLoss", ""):
        message = f"data loss {accepted} is accepted: what is lost is done again"
        yield _event("Warning", ReasonCode.DATA_LOSS_ACCEPTED, message)


def _ended(before: Status, after: Status) -> Iterator[Event]:
    new = _condition("Succeeded", after)
    if after.get("phase") == before.get("phase"):
        return
    if after.get("phase") == Phase.SUCCEEDED:
        yield _event("Normal", ReasonCode.SUCCEEDED, new["message"])
    if after.get("phase") == Phase.FAILED:
        yield _event("Warning", ReasonCode.FAILED, new["message"])


def _event(kind: EventType, reason: str, message: str, trial: int | None = None) -> Event:
    return Event(kind, ReasonCode(reason), cut(message, _MAX_MESSAGE_BYTES), trial)


def _is_new(old: Status, new: Status) -> bool:
    return (old["status"], old["reason"]) != (new["status"], new["reason"])


def _text(condition: Status) -> tuple[str, ...]:
    return condition["status"], condition["reason"], condition["message"]


def _conditions(name: str, before: Status, after: Status) -> tuple[Status, Status]:
    return _condition(name, before), _condition(name, after)


def _condition(name: str, status: Status) -> Status:
    absent = {"type": name, "status": "Unknown", "reason": "", "message": ""}
    named = (condition for condition in status.get("conditions", ()) if condition["type"] == name)
    return {**absent, **next(named, {})}


_FINDERS = (
    _accepted,
    _resumed,
    _phase,
    _teachers,
    _failed_trials,
    _new_best,
    _suspended,
    _degraded,
    _data_loss,
    _ended,
)
