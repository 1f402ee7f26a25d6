"""What people look for in ``kubectl describe``: events, from what changed in the status."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import chain
from typing import Any, Literal

from detnas.plan.stages import Phase
from detnas.reasons import ReasonCode
from detnas.report.wording import spaced
from detnas.resource.cut import cut
from detnas.spec.manifest import API_VERSION, KIND
from detnas_operator.status.figures import gain

Status = Mapping[str, Any]

REPORTER = "detnas-operator"

_LONGEST = 1000
"""Of 1024 bytes that the API server takes."""

_MOST_FAILURES = 5
_PHASES: dict[str, str] = {
    Phase.PREPARING: "checks the data set",
    Phase.TRAINING: "trains the base and the teachers",
    Phase.SEARCHING: "begins the trials",
    Phase.FINETUNING: "trains the best student on",
    Phase.EXPORTING: "writes the student to take away",
}


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a search.

    Attributes:
        type: Normal, or Warning where somebody should look.
        reason: for programs.
        message: for people, one line.
        trial: the number of the trial that it is about; none where it is about the search.
    """

    type: Literal["Normal", "Warning"]
    reason: ReasonCode
    message: str
    trial: int | None = None


def events(before: Status, after: Status) -> tuple[Event, ...]:
    """Return what happened between two statuses, in the order to read it; a dozen at most."""
    happened = chain.from_iterable(look(before, after) for look in _LOOKS)
    told: dict[tuple[str, str], Event] = {}
    for event in happened:  # what several conditions say is said once
        which = event.message if event.reason == ReasonCode.TRIAL_FAILED else ""
        told.setdefault((event.reason, which), event)
    return tuple(told.values())


def event_name(event: Event, resource: Status) -> str:
    """Return a name for the event's object: the same when the same change is told again.

    A change is one from this version of the resource: whoever tells it before the status is
    written may tell it again after a crash, and only one object comes of it.
    """
    metadata = resource["metadata"]
    version = metadata["resourceVersion"]
    content = "\n".join((metadata["uid"], version, event.reason, event.message))
    return f"{metadata['name']}.{blake2b(content.encode(), digest_size=8).hexdigest()}"


def event_body(event: Event, resource: Status, now: datetime) -> dict[str, Any]:
    """Return the core/v1 Event for the API server.

    Args:
        event: what happened.
        resource: the search's resource, as the API server gave it before the change.
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
        "reason": event.reason,
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


def _reference(metadata: Status) -> dict[str, str]:
    parts = {part: metadata[part] for part in ("namespace", "name", "uid", "resourceVersion")}
    return {"apiVersion": API_VERSION, "kind": KIND, **parts}


def _accepted(before: Status, after: Status) -> Iterator[Event]:
    then, now = _conditions("Accepted", before, after)
    if now["status"] == "True" and then["status"] != "True":
        yield _event("Normal", ReasonCode.ACCEPTED, now["message"])
    if now["status"] == "False" and _says(now) != _says(then):
        yield _event("Warning", ReasonCode(now["reason"]), now["message"])
    if now["reason"] == ReasonCode.ACCEPTED_WITH_WARNINGS != then["reason"]:
        yield _event("Warning", ReasonCode.DOES_NOT_FIT_DATA, now["message"])


def _resumed(before: Status, after: Status) -> Iterator[Event]:
    then, now = _conditions("Suspended", before, after)
    if then["status"] == "True" and now["status"] == "False":
        yield _event("Normal", ReasonCode.RESUMED, f"goes on: {after.get('phase', '')}")


def _phase(before: Status, after: Status) -> Iterator[Event]:
    then, now = before.get("phase"), after.get("phase", "")
    # What a search was at before it was suspended it goes on with, which Resumed says.
    if now != then and now in _PHASES and then != "Suspended":
        yield _event("Normal", ReasonCode(now), _PHASES[now])


def _teachers(before: Status, after: Status) -> Iterator[Event]:
    then, now = _conditions("TeachersReady", before, after)
    waited, waits = (one["reason"] == ReasonCode.WAITING_FOR_POOL for one in (then, now))
    if now["status"] == "True" and then["status"] != "True":
        yield _event("Normal", ReasonCode.TEACHERS_READY, now["message"])
    elif waits and not waited:
        yield _event("Normal", ReasonCode(now["reason"]), now["message"])
    elif waited and now["reason"] == ReasonCode.TRAINING:
        yield _event(
            "Normal", ReasonCode.POOL_TAKEN_OVER, f"trains the pool itself: {now['message']}"
        )


def _failed_trials(before: Status, after: Status) -> Iterator[Event]:
    known = {failure["trial"] for failure in before.get("failures", ())}
    for failure in after.get("failures", ())[-_MOST_FAILURES:]:
        if failure["trial"] not in known:
            how = spaced(failure["outcome"])
            why = failure.get("message", "")
            said = f"trial {failure['trial']}: {how}" + (f": {why}" if why else "")
            yield _event("Warning", ReasonCode.TRIAL_FAILED, said, failure["trial"])


def _new_best(before: Status, after: Status) -> Iterator[Event]:
    best = after.get("best")
    if best is None or best.get("trial") == before.get("best", {}).get("trial"):
        return
    where = f" at {best['resolution']}" if "resolution" in best else ""
    said = f"trial {best.get('trial')}: {gain(best, after.get('base', {}))}{where}"
    yield _event("Normal", ReasonCode.NEW_BEST, said, best.get("trial"))


def _stopped(before: Status, after: Status) -> Iterator[Event]:
    then, now = _conditions("Suspended", before, after)
    if now["status"] == "True" and _is_new(then, now):
        by_user = now["reason"] == ReasonCode.SUSPENDED_BY_USER
        kind: Literal["Normal", "Warning"] = "Normal" if by_user else "Warning"
        reason = ReasonCode.SUSPENDED if by_user else ReasonCode(now["reason"])
        yield _event(kind, reason, now["message"])


def _degraded(before: Status, after: Status) -> Iterator[Event]:
    then, now = _conditions("Degraded", before, after)
    if now["status"] == "True" and _is_new(then, now):
        yield _event("Warning", ReasonCode(now["reason"]), now["message"])
    told = {_condition(name, before)["reason"] for name in ("Accepted", "Suspended")}
    if now["status"] == "False" and then["status"] == "True" and then["reason"] not in told:
        yield _event("Normal", ReasonCode.RECOVERED, f"no longer so: {then['reason']}")


def _loss(before: Status, after: Status) -> Iterator[Event]:
    accepted = after.get("acceptedDataLoss", "")
    if accepted != before.get("acceptedDataLoss", ""):
        said = f"the loss of data {accepted} is accepted: what is lost is done again"
        yield _event("Warning", ReasonCode.DATA_LOSS_ACCEPTED, said)


def _ended(before: Status, after: Status) -> Iterator[Event]:
    now = _condition("Succeeded", after)
    if after.get("phase") == before.get("phase"):
        return
    if after.get("phase") == Phase.SUCCEEDED:
        yield _event("Normal", ReasonCode.SUCCEEDED, now["message"])
    if after.get("phase") == Phase.FAILED:
        yield _event("Warning", ReasonCode.FAILED, now["message"])


def _event(
    kind: Literal["Normal", "Warning"],
    reason: ReasonCode,
    message: str,
    trial: int | None = None,
) -> Event:
    return Event(kind, reason, cut(message, _LONGEST), trial)


def _is_new(then: Status, now: Status) -> bool:
    return (then["status"], then["reason"]) != (now["status"], now["reason"])


def _says(condition: Status) -> tuple[str, ...]:
    return condition["status"], condition["reason"], condition["message"]


def _conditions(name: str, before: Status, after: Status) -> tuple[Status, Status]:
    return _condition(name, before), _condition(name, after)


def _condition(name: str, status: Status) -> Status:
    nothing = {"type": name, "status": "Unknown", "reason": "", "message": ""}
    found = (one for one in status.get("conditions", ()) if one["type"] == name)
    return {**nothing, **next(found, {})}


_LOOKS = (
    _accepted,
    _resumed,
    _phase,
    _teachers,
    _failed_trials,
    _new_best,
    _stopped,
    _degraded,
    _loss,
    _ended,
)
