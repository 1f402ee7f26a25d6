"""What searches may wait for, and where those that wait for nothing stand."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.cluster.played_pod import PlayedPod, condition
from tests.operator.harness.behaviours import Stuck
from tests.operator.harness.harness import ONE_PHASE

MULTI_ATTACH = 'Multi-Attach error for volume "pvc-1" Volume is already used by pod(s) other-0'
CLAIMED = (
    "0/3 nodes are available: 1 node has pod using PersistentVolumeClaim with the same name and "
    "ReadWriteOncePod access mode."
)
SCHEDULER = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu. preemption: 0/3 nodes"


@dataclass(frozen=True)
class Wait:
    """Something that is in the way.

    Attributes:
        reason: of the conditions Succeeded and, unless it is harmless, Degraded.
        says: parts of the message, in order.
        job: at which the search waits.
        stuck: what the Job's pod does before the cause is gone.
        quota: what a ResourceQuota leaves nothing of; lifted in the end.
        harmless: nobody needs to look.
    """

    reason: str
    says: tuple[str, ...]
    job: str = "-prepare"
    stuck: Stuck | None = None
    quota: str = ""
    harmless: bool = False
    spec: dict[str, Any] = field(default_factory=dict)


def _on_its_node(reason: str, message: str) -> Stuck:
    return lambda pod: pod.wait_for(reason, message)


async def _without_its_secret(pod: PlayedPod) -> None:
    (source,) = pod.container["envFrom"]
    words = f'secret "{source["secretRef"]["name"]}" not found'
    await pod.wait_for("CreateContainerConfigError", words)


async def _without_its_volume(pod: PlayedPod) -> None:
    """As the attach-detach controller and the kubelet tell it."""
    await pod.wait_for("ContainerCreating", "")
    since = datetime.now(UTC) - timedelta(hours=1)  # the data check may hold its node for 6 hours
    await pod.calls.patch_status(pod.document, {"startTime": f"{since:%Y-%m-%dT%H:%M:%SZ}"})
    await pod.warn("FailedMount", "Unable to attach or mount volumes: unmounted volumes=[data]")
    await pod.warn("FailedAttachVolume", MULTI_ATTACH)


async def _on_a_dead_node(pod: PlayedPod) -> None:
    """As the node lifecycle controller leaves a pod that tolerates every taint."""
    await pod.run()
    unready = condition("Ready", "False")
    await pod.calls.patch_status(pod.document, {"conditions": [unready]})
    await pod.warn("NodeNotReady", "Node is not ready")


WAITS = {
    "no-jobs": Wait(
        "QuotaExceeded",
        (
            "the API server refuses Job no-jobs-prepare",
            "exceeded quota: limits",
            "count/jobs.batch=0",
        ),
        quota="count/jobs.batch",
    ),
    "no-pods": Wait(
        "QuotaExceeded",
        (
            "Job no-pods-prepare waits",
            "exceeded quota: limits",
            "pods=0",
            "when others that use pods end",
        ),
        quota="pods",
    ),
    "no-gpus": Wait(
        "QuotaExceeded",
        ("Job no-gpus-base waits", "exceeded quota: limits", "requests.nvidia.com/gpu=0"),
        job="-base",
        quota="requests.nvidia.com/gpu",
        spec={"teachers": {**ONE_PHASE, "gpusPerWorker": 0}},
    ),
    "crowded": Wait(
        "Unschedulable",
        ("Job crowded-t0000 waits: pod crowded-t0000 cannot be scheduled", SCHEDULER, "gpus, "),
        job="-t0000",
        stuck=lambda pod: pod.unschedulable(SCHEDULER),
    ),
    "no-image": Wait(
        "ImagePull",
        ("cannot get its image", 'Back-off pulling image "x"', "spec.jobs.imagePullSecrets"),
        stuck=_on_its_node("ImagePullBackOff", 'Back-off pulling image "x"'),
    ),
    "no-data": Wait(
        "DataMissing",
        ('persistentvolumeclaim "data" not found', "create the claim"),
        stuck=lambda pod: pod.unschedulable('persistentvolumeclaim "data" not found'),
    ),
    "no-keys": Wait(
        "CredentialsMissing",
        ("lacks the credentials", "not found", "create the Secret", "with AWS_ACCESS_KEY_ID"),
        stuck=_without_its_secret,
    ),
    "no-volume": Wait(
        "NotStarting",
        ("Job no-volume-prepare waits", "FailedAttachVolume: Multi-Attach error", "other-0"),
        stuck=_without_its_volume,
    ),
    "no-node": Wait(
        "NodeLost",
        (
            "node stand-in of pod",
            "is not ready (NodeNotReady: Node is not ready)",
            "out-of-service",
        ),
        stuck=_on_a_dead_node,
    ),
    "claimed": Wait(
        "Unschedulable",
        ("Job claimed-t0000 waits", "cannot be scheduled", "ReadWriteOncePod", "describe pvc data"),
        job="-t0000",
        stuck=lambda pod: pod.unschedulable(CLAIMED),
    ),
    "refused": Wait(
        "AdmissionRefused",
        ("the API server refuses Job refused-prepare", "no GPUs are sold on Sundays"),
    ),
    "taken": Wait(
        "NameTaken",
        ("names that this search needs: taken-prepare", "kubectl delete jobs --namespace"),
    ),
    "queued": Wait(
        "Queued",
        ("Job queued-prepare waits: ", "waits for Kueue to admit it to queue gold"),
        harmless=True,
        spec={"jobs": {"queueName": "gold"}},
    ),
}


UNAFFECTED = {
    "suspended": ({"suspend": True}, "Suspended"),
    "broken": ({}, "Failed"),
    "done": ({}, "Succeeded"),
    "running": ({"evaluation": {"gpus": 0}}, "Searching"),
    "blocked": ({"limits": {"retries": 0, "consecutiveFailures": 1}}, "Suspended"),
}
"""Searches that wait for nothing the cluster could give, and the phase they stay in."""
