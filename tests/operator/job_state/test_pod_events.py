"""What events say of a pod that a node has and does not start."""

from typing import Any

import pytest

from detnas.reasons import ReasonCode
from detnas_operator.cluster.pods import EventView
from detnas_operator.job_state.derive import job_state
from detnas_operator.job_state.state import JobState, Waiting
from tests.operator.job_state.objects import NOW, a_job, at, running, waiting

ATTACH = 'Multi-Attach error for volume "pvc-1" Volume is already used by pod(s) other-0'
MOUNT = "Unable to attach or mount volumes: unmounted volumes=[data]: timed out"
SANDBOX = "failed to setup network for sandbox: plugin is not ready"


def event(reason: str, message: str, seen: float = 250, kind: str = "Warning") -> EventView:
    body = {"type": kind, "reason": reason, "message": message, "lastTimestamp": at(seen)}
    return EventView(body)


def state_of(*events: EventView, since: float = 230, **pod: Any) -> JobState:
    found = waiting("ContainerCreating", startTime=at(since), **pod)
    found.body["metadata"]["uid"] = "pod"
    return job_state(a_job(active=1), [found], NOW, events={"pod": events})


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("FailedAttachVolume", ATTACH),
        ("FailedMount", MOUNT),
        ("FailedCreatePodSandBox", SANDBOX),
        ("SomethingNew", "words of a controller that nobody knows here"),
    ],
)
def test_waiting_state_quotes_the_event_of_a_pod_that_does_not_start(
    reason: str, words: str
) -> None:
    state = state_of(event(reason, words))
    assert isinstance(state, Waiting)
    assert state.code is ReasonCode.NOT_STARTING
    assert f"does not start on node gpu-1: {reason}: {words}" in state.message


def test_waiting_state_quotes_the_cause_before_its_consequence() -> None:
    both = (event("FailedMount", MOUNT, 280), event("FailedAttachVolume", ATTACH, 240))
    first, second = state_of(*both), state_of(*reversed(both))
    assert first == second
    assert isinstance(first, Waiting)
    assert ATTACH in first.message


def test_waiting_state_ignores_first_old_and_scheduler_events() -> None:
    unsaid = [
        state_of(event("FailedMount", MOUNT), since=270),
        state_of(event("FailedMount", MOUNT, -400)),
        state_of(event("FailedScheduling", "0/3 nodes are available")),
        state_of(event("Scheduled", "assigned", kind="Normal")),
    ]
    assert [state.code for state in unsaid if isinstance(state, Waiting)] == [
        ReasonCode.STARTING
    ] * 4


def test_waiting_state_allows_time_for_a_large_image() -> None:
    pulling = event("Pulling", "Pulling image", 10, "Normal")
    state = state_of(pulling, since=5)
    assert isinstance(state, Waiting)
    assert state.code is ReasonCode.STARTING
    failed = event("Failed", "Failed to pull image: unauthorized", 200)
    unpulled = state_of(pulling, failed, since=5)
    assert isinstance(unpulled, Waiting)
    assert unpulled.code is ReasonCode.NOT_STARTING


def test_waiting_state_names_a_node_that_is_not_ready() -> None:
    pod = running(conditions=[{"type": "Ready", "status": "False"}])
    pod.body["metadata"]["uid"] = "pod"
    events = {"pod": [event("NodeNotReady", "Node is not ready")]}
    state = job_state(a_job(active=1), [pod], NOW, events=events)
    assert isinstance(state, Waiting)
    assert state.code is ReasonCode.NODE_LOST
    assert "is not ready (NodeNotReady: Node is not ready)" in state.message
    own = {"type": "Ready", "status": "False", "reason": "ContainersNotReady"}
    assert not isinstance(job_state(a_job(active=1), [running(conditions=[own])], NOW), Waiting)
