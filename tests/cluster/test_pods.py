"""Pods that are played make the Job controller do what it does on a node."""

import threading
from collections.abc import Callable

from tests.cluster import scripts
from tests.cluster.api import JOBS, PODS, Document
from tests.cluster.control_plane import ControlPlane
from tests.cluster.pods import Behaviour, PodPlayer, Script
from tests.cluster.waiting import eventually

Play = Callable[[Behaviour], PodPlayer]
POLICY = {
    "rules": [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {
            "action": "FailJob",
            "onExitCodes": {"containerName": "trainer", "operator": "In", "values": [42]},
        },
    ]
}


def job(name: str) -> Document:
    pod = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 30,
        "containers": [{"name": "trainer", "image": "trainer:1", "command": ["work"]}],
    }
    spec = {"backoffLimit": 0, "podFailurePolicy": POLICY, "template": {"spec": pod}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}


def ended(cluster: ControlPlane, namespace: str, name: str) -> Document:
    """The condition with which a Job ended."""

    def find() -> list[Document]:
        status = cluster.api.get(JOBS, namespace, name).get("status", {})
        return [
            one for one in status.get("conditions", []) if one["type"] in ("Complete", "Failed")
        ]

    return eventually(find)[0]


def test_played_jobs_end_as_their_pods(
    cluster: ControlPlane, namespace: str, play_pods: Play
) -> None:
    behaviour = (
        scripts.Scripts(scripts.succeeds())
        .on("invalid", scripts.exits(42))
        .on("broken", scripts.exits(1))
        .on("large", scripts.oom_killed())
        .on("evicted", scripts.evicted())
        .on("lost", scripts.lost_with_its_node())
        .on("preempted", scripts.preempted())
    )
    player = play_pods(behaviour)
    names = ["fine", "invalid", "broken", "large", "evicted", "lost", "preempted"]
    for name in names:
        cluster.api.create(job(name), namespace)
    ends = {name: ended(cluster, namespace, name) for name in names}
    assert {name: end.get("reason") for name, end in ends.items() if end["type"] == "Failed"} == {
        "invalid": "PodFailurePolicy",
        "broken": "BackoffLimitExceeded",
        "large": "BackoffLimitExceeded",
    }
    assert {name: len(player.of(name)) for name in names} == dict.fromkeys(
        names[:4], 1
    ) | dict.fromkeys(names[4:], 2)


def test_played_pod_stops_with_its_deleted_job(
    cluster: ControlPlane, namespace: str, play_pods: Play
) -> None:
    play_pods(lambda pod: scripts.runs_for_ever())
    cluster.api.create(job("endless"), namespace)
    eventually(lambda: phases(cluster, namespace) == ["Running"])
    cluster.api.delete(JOBS, namespace, "endless")
    eventually(lambda: not cluster.api.list(PODS, namespace))


def test_played_pod_that_does_not_start_has_its_reason(
    cluster: ControlPlane, namespace: str, play_pods: Play
) -> None:
    waits: dict[str, Script] = {
        "full": scripts.unschedulable("no room"),
        "image": scripts.waits_for("ImagePullBackOff", "no such image"),
    }
    play_pods(lambda pod: waits[pod.job])
    for name in waits:
        cluster.api.create(job(name), namespace)

    def told() -> set[str]:
        found = set()
        for pod in cluster.api.list(PODS, namespace):
            status = pod["status"]
            found |= {one.get("message", "") for one in status.get("conditions", [])}
            found |= {
                one["state"]["waiting"]["message"] for one in status.get("containerStatuses", [])
            }
        return found

    eventually(lambda: {"no room", "no such image"} <= told())


def test_played_pods_continue_after_a_restart_of_the_api_server(
    cluster: ControlPlane, namespace: str, play_pods: Play
) -> None:
    over = threading.Event()
    play_pods(lambda pod: scripts.runs_until(over, scripts.succeeds()))
    cluster.api.create(job("long"), namespace)
    eventually(lambda: phases(cluster, namespace) == ["Running"])
    cluster.stop_api_server(kill=True)
    over.set()
    cluster.start_api_server()
    assert ended(cluster, namespace, "long")["type"] == "Complete"


def test_played_pod_serves_its_log(cluster: ControlPlane, namespace: str, play_pods: Play) -> None:
    play_pods(lambda pod: scripts.oom_killed(log="one\ntwo\nthree\n"))
    cluster.api.create(job("large"), namespace)
    ended(cluster, namespace, "large")
    log = cluster.kubectl("-n", namespace, "logs", "job/large", "--tail=2")
    assert log == "two\nthree\n"


def phases(cluster: ControlPlane, namespace: str) -> list[str]:
    return [pod["status"].get("phase") for pod in cluster.api.list(PODS, namespace)]
