"""Why a pod failed: a kind for programs, a sentence for people, and what to do."""

from dataclasses import dataclass
from typing import Any

from detnas.resource.transitions import FOR_NEW_JOBS
from detnas_operator.job.names import CONTAINER
from detnas_operator.job_state import pods
from detnas_operator.job_state.exits import RESUME, explain_exit
from detnas_operator.job_state.states import FailureKind

Object = dict[str, Any]

LAST_LINE = "; its last line: "
"""Stands in a failure's message before what the trainer said last."""


@dataclass(frozen=True, slots=True)
class PodFailure:
    """How a pod ended without success.

    Attributes:
        kind: what ended it.
        message: one sentence, naming the pod.
        exit_code: of the trainer; none where it is not known, or the pod did not start.
    """

    kind: FailureKind
    message: str
    exit_code: int | None = None


def pod_failure(pod: Object) -> PodFailure:
    """Say why a pod failed.

    The most telling is taken: the node's main memory, then who stopped the pod, then the exit.
    """
    terminated = pods.container_state(pod, "terminated") or {}
    code = terminated.get("exitCode")
    found = _memory(terminated) or _stopped(pod) or _not_started(terminated)
    kind, sentence = found or (None if code else _other_container(pod)) or _ended(pod, code)
    started = kind is not FailureKind.START_ERROR
    message = f"pod {pods.name(pod)} {sentence}{_last_words(terminated)}"
    return PodFailure(kind, message, code if started else None)


def is_ignored(pod: Object) -> bool:
    """Whether a failed pod does not count towards the Job's ``backoffLimit``."""
    terminated = pods.container_state(pod, "terminated") or {}
    return terminated.get("exitCode") == RESUME or bool(pods.is_true(pod, "DisruptionTarget"))


def _ended(pod: Object, code: int | None) -> tuple[FailureKind, str]:
    if code is not None:
        return explain_exit(code)
    words = pods.one_line(pod.get("status", {}).get("message") or "its node gave no reason")
    return FailureKind.UNKNOWN, f"failed: {words}"


def _memory(terminated: Object) -> tuple[FailureKind, str] | None:
    if terminated.get("reason") != "OOMKilled":
        return None
    advice = f"raise spec.jobs.resources.memory (shared memory counts as well); {FOR_NEW_JOBS}"
    sentence = f"was OOMKilled: it needed more main memory than it may use; {advice}"
    return FailureKind.OUT_OF_MEMORY, sentence


def _stopped(pod: Object) -> tuple[FailureKind, str] | None:
    status = pod.get("status", {})
    words = pods.one_line(status.get("message")).rstrip(".")
    if status.get("reason") == "DeadlineExceeded":
        return FailureKind.DEADLINE_EXCEEDED, "ran longer than its deadline"
    if status.get("reason") == "Evicted":
        said = f": {words}" if words else ""
        advice = (
            "raise spec.jobs.resources (ephemeralStorage, memory) or lower spec.jobs.cacheSize; "
            f"{FOR_NEW_JOBS}"
        )
        return FailureKind.EVICTED, f"was evicted by its node{said}; {advice}"
    if target := pods.is_true(pod, "DisruptionTarget"):
        return _disrupted(pod, target)
    if status.get("reason") in ("NodeLost", "NodeShutdown", "Terminated"):
        return FailureKind.NODE_LOST, f"went with its node {pods.node(pod)}: {words or 'shut down'}"
    return None


def _disrupted(pod: Object, target: Object) -> tuple[FailureKind, str]:
    reason = target.get("reason", "")
    said = pods.one_line(target.get("message") or reason).rstrip(".")
    if reason in ("DeletionByPodGC", "DeletionByTaintManager"):
        return FailureKind.NODE_LOST, f"went with its node {pods.node(pod)}: {said}"
    return FailureKind.DISRUPTED, f"was stopped by the cluster ({reason}): {said}"


def _not_started(terminated: Object) -> tuple[FailureKind, str] | None:
    if terminated.get("reason") not in ("StartError", "ContainerCannotRun"):
        return None
    words = pods.one_line(terminated.get("message") or "no reason given")
    advice = "use an image that has detnas-trainer and runs as any user"
    return FailureKind.START_ERROR, f"could not be started: {words}; {advice}"


def culprit(pod: Object) -> str:
    """Name the container whose log says why a pod failed: the trainer, unless another did."""
    ended = pods.container_state(pod, "terminated") or {}
    found = None if ended.get("exitCode") else _failed_container(pod)
    return CONTAINER if found is None else str(found[1]["name"])


def _other_container(pod: Object) -> tuple[FailureKind, str] | None:
    """One that the cluster added, such as by an admission webhook."""
    found = _failed_container(pod)
    if found is None:
        return None
    what, status, ended = found
    name, reason = status["name"], ended.get("reason") or "no reason"
    words = pods.one_line(ended.get("message"))
    said = f"{reason}: {words}" if words else reason
    return FailureKind.OTHER_CONTAINER, (
        f"failed because its {what} {name} ended with exit {ended.get('exitCode')} ({said}); "
        "something in the cluster added that container, contact whoever operates it: "
        f"`kubectl logs {pods.name(pod)} --container {name}`"
    )


def _failed_container(pod: Object) -> tuple[str, Object, Object] | None:
    """Return the first container beside the trainer that failed, and how it ended."""
    for what, init in (("init container", True), ("container", False)):
        for status in pods.statuses(pod, init=init):
            ended = pods.state(status, "terminated") or {}
            sidecar = init and pods.is_sidecar(pod, status["name"])
            if ended.get("exitCode") and not sidecar and status["name"] != CONTAINER:
                return what, status, ended
    return None


def _last_words(terminated: Object) -> str:
    """The end of the trainer's log, as the kubelet keeps it in the termination message."""
    if terminated.get("reason") in ("StartError", "ContainerCannotRun"):
        return ""
    lines = str(terminated.get("message") or "").strip().splitlines()
    return f"{LAST_LINE}{pods.one_line(lines[-1])}" if lines else ""
