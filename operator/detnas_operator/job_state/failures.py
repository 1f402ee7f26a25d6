"""Why a Job or one of its pods failed: a kind for programs, a sentence for people, and advice."""

import re
import signal
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from detnas.exit_codes import INVALID, OUT_OF_MEMORY, ExitCode
from detnas.resource.transitions import FOR_NEW_JOBS
from detnas_operator.cluster.objects import ConditionView, JobView, one_line
from detnas_operator.cluster.pods import ContainerView, PodView, TerminationView
from detnas_operator.job.names import CONTAINER
from detnas_operator.job_state.pods import ended_at, is_ignored
from detnas_operator.job_state.state import Failed, FailureKind

LAST_LINE = "; its last line: "
"""Separates, in a failure's message, what the trainer wrote last."""

_SIGNALLED = 128
_NEVER = datetime.min.replace(tzinfo=UTC)
_CULPRIT = re.compile(r"for pod \S+/(?P<pod>\S+) failed with exit code (?P<code>\d+)")
"""In the Job controller's message of a FailJob rule; the pod itself may be gone."""
_DATA_CHANGED = "FailJobSetFailurePolicyAction"
"""Reason why a JobSet failed whose Job is not in this cluster: the only rule of its policy."""
_NOT_STARTED = ("StartError", "ContainerCannotRun")

_CODES: dict[int, tuple[FailureKind, str]] = {
    ExitCode.FAILED: (FailureKind.EXIT_CODE, "its log says what went wrong"),
    ExitCode.USAGE: (
        FailureKind.EXIT_CODE,
        "the trainer does not know this request; use a trainer image of the operator's version",
    ),
    INVALID: (FailureKind.CANDIDATE, "the candidate is invalid, or its training diverged"),
    OUT_OF_MEMORY: (
        FailureKind.CANDIDATE,
        "the GPU's memory does not hold it; use a smaller batch size or a larger GPU",
    ),
    ExitCode.DATA_CHANGED: (
        FailureKind.DATA_CHANGED,
        "the data set or the base's weights are not those that the search was prepared with",
    ),
    ExitCode.INTERRUPTED: (
        FailureKind.DISRUPTED,
        "it left a checkpoint and asks to be resumed",
    ),
    126: (FailureKind.START_ERROR, "the image's detnas-trainer cannot be run; use the project's"),
    127: (FailureKind.START_ERROR, "the image has no detnas-trainer; use one that has"),
}
_SIGNALS = {
    signal.SIGKILL: "it was killed from outside; if memory ran out, the node's log says so",
    signal.SIGBUS: f"shared memory ran out; raise spec.jobs.sharedMemory; {FOR_NEW_JOBS}",
    signal.SIGTERM: "it was asked to stop and did not answer with a checkpoint",
}


def job_failure(job: JobView, job_pods: Sequence[PodView], condition: ConditionView) -> Failed:
    """Return the failure of a Job.

    Args:
        job: the Job.
        job_pods: those of its pods that still exist.
        condition: its condition Failed.
    """
    message = one_line(condition.message)
    if condition.reason == "PodFailurePolicy" and (culprit := _CULPRIT.search(message)):
        return _named(culprit["pod"], int(culprit["code"]), job_pods)
    if condition.reason == "DeadlineExceeded":
        return Failed(FailureKind.DEADLINE_EXCEEDED, _deadline(job))
    if condition.reason == _DATA_CHANGED:
        kind, sentence = explain_exit(ExitCode.DATA_CHANGED)
        return Failed(kind, f"a pod of {job.title} {sentence}", int(ExitCode.DATA_CHANGED))
    if condition.reason != "BackoffLimitExceeded":
        message = f"{job.title} failed ({condition.reason}): {message}"
        return Failed(FailureKind.UNKNOWN, message)
    last = _last_counted(job, job_pods)
    if last is None:
        message = f"{_used_up(job)}: none of its pods is left to say why{_deleted_at_once(job)}"
        return Failed(FailureKind.BACKOFF_LIMIT_EXCEEDED, message)
    return Failed(last.kind, f"{_used_up(job)}: {last.message}", last.exit_code)


def latest_failure(job_pods: Iterable[PodView]) -> tuple[Failed, datetime] | None:
    """Return the failure of the pod that failed last, counted or not, and when that was."""
    failed = [pod for pod in job_pods if pod.phase == "Failed"]
    if not failed:
        return None
    last = max(failed, key=_ended_at)
    return pod_failure(last), _ended_at(last)


def _named(name: str, code: int, job_pods: Iterable[PodView]) -> Failed:
    for pod in job_pods:
        if pod.name == name:
            return pod_failure(pod)
    kind, sentence = explain_exit(code)
    return Failed(kind, f"pod {name} {sentence}", code)


def _last_counted(job: JobView, job_pods: Iterable[PodView]) -> Failed | None:
    """A plain exit of a worker often follows another worker's failure, which is preferred."""
    failed = [pod for pod in job_pods if pod.phase == "Failed" and not is_ignored(pod)]
    failures = [(pod_failure(pod), _ended_at(pod)) for pod in failed]

    def importance(failed_at: tuple[Failed, datetime]) -> tuple[bool, datetime]:
        failure, ended = failed_at
        return job.parallelism > 1 and failure.kind is not FailureKind.EXIT_CODE, ended

    return max(failures, key=importance)[0] if failures else None


def _ended_at(pod: PodView) -> datetime:
    return ended_at(pod) or pod.created or _NEVER


def _used_up(job: JobView) -> str:
    failed = job.failed_pods
    attempts = f"{failed} attempts; the last" if failed > 1 else "its only attempt"
    return f"{job.title} gave up after {attempts}"


def _deleted_at_once(job: JobView) -> str:
    if job.deleted is None or job.ttl_seconds is None:
        return ""
    return (
        f"; Kubernetes deletes the Job {job.ttl_seconds} s after its end, since its "
        "ttlSecondsAfterFinished says so, which a policy of the cluster has set"
    )


def _deadline(job: JobView) -> str:
    limit = f" of {job.deadline_seconds} s" if job.deadline_seconds else ""
    return (
        f"{job.title} was active longer than its deadline{limit}, the time in "
        "which its pod waited for a node included; raise it in spec.deadlines"
    )


def pod_failure(pod: PodView) -> Failed:
    """Return why a pod failed, in one sentence that names it.

    The most specific cause is reported: the node's main memory, then what stopped the pod, then
    the exit.
    """
    trainer = pod.container(CONTAINER)
    ended = trainer.terminated or TerminationView({})
    cause = _memory(ended) or _stopped(pod) or _not_started(ended)
    if cause is None and not ended.exit_code:
        cause = _other_container(pod)
    kind, sentence = cause or _exited(pod, ended.exit_code)
    code = None if kind is FailureKind.START_ERROR else ended.exit_code
    return Failed(kind, f"pod {pod.name} {sentence}{_last_line(ended)}", code)


def _exited(pod: PodView, code: int | None) -> tuple[FailureKind, str]:
    if code is not None:
        return explain_exit(code)
    reported = one_line(pod.message or "its node gave no reason")
    return FailureKind.UNKNOWN, f"failed: {reported}"


def _memory(ended: TerminationView) -> tuple[FailureKind, str] | None:
    if ended.reason != "OOMKilled":
        return None
    advice = f"raise spec.jobs.resources.memory (shared memory counts as well); {FOR_NEW_JOBS}"
    sentence = f"was OOMKilled: it needed more main memory than it may use; {advice}"
    return FailureKind.OUT_OF_MEMORY, sentence


def _stopped(pod: PodView) -> tuple[FailureKind, str] | None:
    reported = one_line(pod.message).rstrip(".")
    if pod.reason == "DeadlineExceeded":
        return FailureKind.DEADLINE_EXCEEDED, "ran longer than its deadline"
    if pod.reason == "Evicted":
        why = f": {reported}" if reported else ""
        advice = (
            "raise spec.jobs.resources (ephemeralStorage, memory) or lower spec.jobs.cacheSize; "
            f"{FOR_NEW_JOBS}"
        )
        return FailureKind.EVICTED, f"was evicted by its node{why}; {advice}"
    if target := pod.true_condition("DisruptionTarget"):
        return _disrupted(pod, target)
    if pod.reason in ("NodeLost", "NodeShutdown", "Terminated"):
        return (
            FailureKind.NODE_LOST,
            f"was lost with its node {pod.node}: {reported or 'shut down'}",
        )
    return None


def _disrupted(pod: PodView, target: ConditionView) -> tuple[FailureKind, str]:
    reported = one_line(target.message or target.reason).rstrip(".")
    if target.reason in ("DeletionByPodGC", "DeletionByTaintManager"):
        return FailureKind.NODE_LOST, f"was lost with its node {pod.node}: {reported}"
    return FailureKind.DISRUPTED, f"was stopped by the cluster ({target.reason}): {reported}"


def _not_started(ended: TerminationView) -> tuple[FailureKind, str] | None:
    if ended.reason not in _NOT_STARTED:
        return None
    reported = one_line(ended.message or "no reason given")
    advice = "use an image that has detnas-trainer and runs as any user"
    return FailureKind.START_ERROR, f"could not be started: {reported}; {advice}"


def culprit(pod: PodView) -> str:
    """Name the container whose log says why a pod failed: the trainer, unless another did."""
    other = None if pod.container(CONTAINER).exit_code else _failed_container(pod)
    return CONTAINER if other is None else other[1].name


def _other_container(pod: PodView) -> tuple[FailureKind, str] | None:
    """The failure of a container that the cluster added, such as by an admission webhook."""
    failed = _failed_container(pod)
    if failed is None:
        return None
    what, container, ended = failed
    reason, message = ended.reason or "no reason", one_line(ended.message)
    reported = f"{reason}: {message}" if message else reason
    return FailureKind.OTHER_CONTAINER, (
        f"failed because its {what} {container.name} ended with exit {ended.exit_code} "
        f"({reported}); something in the cluster added that container, contact whoever operates "
        f"it: `kubectl logs {pod.name} --container {container.name}`"
    )


def _failed_container(pod: PodView) -> tuple[str, ContainerView, TerminationView] | None:
    """Return the first container beside the trainer that failed, and how it ended."""
    init = [container for container in pod.init_containers if not pod.is_sidecar(container.name)]
    for what, containers in (("init container", init), ("container", pod.containers)):
        for container in containers:
            if container.terminated and container.exit_code and container.name != CONTAINER:
                return what, container, container.terminated
    return None


def _last_line(ended: TerminationView) -> str:
    """The end of the trainer's log, as the kubelet keeps it in the termination message."""
    lines = [] if ended.reason in _NOT_STARTED else ended.message.strip().splitlines()
    return f"{LAST_LINE}{one_line(lines[-1])}" if lines else ""


def explain_exit(code: int) -> tuple[FailureKind, str]:
    """Return the kind of an exit code, and a clause about it for people."""
    if code in _CODES:
        kind, advice = _CODES[code]
        return kind, f"ended with exit {code}: {advice}"
    try:
        number = signal.Signals(code - _SIGNALLED)
    except ValueError:
        return FailureKind.EXIT_CODE, f"ended with exit {code}; its log says what went wrong"
    advice = _SIGNALS.get(number, "the trainer crashed; its log may say where")
    return FailureKind.EXIT_CODE, f"was ended by {number.name} (exit {code}): {advice}"
