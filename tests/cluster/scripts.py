"""What pods may do, and a table of which pod does what."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from fnmatch import fnmatch

from tests.cluster.played_pod import PlayedPod
from tests.cluster.pods import Script

Work = Callable[[PlayedPod], object]


def runs(
    end: Callable[[PlayedPod], Awaitable[None]],
    work: Work | None = None,
    log: str = "",
    *,
    lingers: bool = False,
) -> Script:
    """Run, do `work` in a thread (such as writing a result), end; or linger until deleted."""

    async def script(pod: PlayedPod) -> None:
        await pod.run()
        pod.log += log
        if work:
            await asyncio.to_thread(work, pod)
        await end(pod)
        if lingers:
            await asyncio.Event().wait()

    return script


def succeeds(work: Work | None = None) -> Script:
    """Run, do `work`, succeed."""
    return runs(PlayedPod.succeed, work)


def exits(code: int, work: Work | None = None, log: str = "") -> Script:
    """Run, do `work`, end with an exit code."""
    return runs(lambda pod: pod.end(code), work, log)


def oom_killed(log: str = "") -> Script:
    """Run, and be killed for its memory."""
    return runs(PlayedPod.oom_killed, log=log)


def outlived(code: int = 0, reason: str = "", work: Work | None = None, log: str = "") -> Script:
    """Run, do `work`, end the trainer; another container runs on until the pod is deleted."""
    return runs(lambda pod: pod.end_trainer(code, reason), work, log, lingers=True)


def evicted(code: int = 137) -> Script:
    """Run, and be evicted by the kubelet."""
    return runs(lambda pod: pod.evicted(code))


def preempted() -> Script:
    """Run, and give way to a pod of higher priority."""
    return runs(PlayedPod.preempted, lingers=True)


def lost_with_its_node() -> Script:
    """Run, and vanish with the node."""
    return runs(PlayedPod.lost_with_its_node)


def unschedulable(
    message: str = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.",
) -> Script:
    """Stay Pending; the message is the scheduler's."""

    async def script(pod: PlayedPod) -> None:
        await pod.unschedulable(message)
        await asyncio.Event().wait()

    return script


def waits_for(reason: str, message: str) -> Script:
    """Never start, for a reason such as ImagePullBackOff or CreateContainerConfigError."""

    async def script(pod: PlayedPod) -> None:
        await pod.wait_for(reason, message)
        await asyncio.Event().wait()

    return script


def runs_until(event: threading.Event, then: Script) -> Script:
    """Run until a test sets the event, then follow another script."""

    async def script(pod: PlayedPod) -> None:
        await pod.run()
        while not event.is_set():
            await asyncio.sleep(0.02)
        await then(pod)

    return script


def runs_for_ever() -> Script:
    """Run until somebody deletes the pod."""
    return runs_until(threading.Event(), succeeds())


class Scripts:
    """Which pod does what: by its Job's name, and by which of the Job's pods it is.

    Usable as the behaviour of a `PodPlayer`; may be changed while it plays.
    """

    def __init__(self, default: Script) -> None:
        self.default = default
        self._exceptions: list[tuple[str, tuple[Script, ...]]] = []

    def on(self, job: str, *attempts: Script) -> "Scripts":
        """Let pods of Jobs whose name matches `job` (as file names do) follow these in turn.

        Later pods of such a Job follow the default. A later call goes before earlier ones.
        """
        self._exceptions.insert(0, (job, attempts))
        return self

    def __call__(self, pod: PlayedPod) -> Script:
        for pattern, attempts in self._exceptions:
            if fnmatch(pod.job, pattern) and pod.attempt <= len(attempts):
                return attempts[pod.attempt - 1]
        return self.default
