"""Pods that keep a deleted search: nobody is bothered too early, and then told what to do."""

from datetime import timedelta
from typing import Any

from detnas_operator.reconcile.deletion import PATIENCE, holds_up
from tests.operator.job.objects import NOW, a_pod

LATER = NOW + PATIENCE
Object = dict[str, Any]


def stays(name: str = "r18-t0007-abcde", stop_after: float | None = 0) -> Object:
    """A pod that was to stop so many seconds after NOW; None if nobody told it."""
    due = None if stop_after is None else NOW + timedelta(seconds=stop_after)
    return a_pod(name, "Running", deleted=f"{due:%Y-%m-%dT%H:%M:%SZ}" if due else "")


def test_pods_have_a_while_to_stop() -> None:
    assert holds_up([stays()], NOW, LATER - timedelta(seconds=1)) is None
    assert holds_up([stays()], NOW, LATER) is not None
    assert holds_up([], NOW, LATER) is None


def test_a_pod_whose_grace_is_not_over_is_not_late() -> None:
    slow = stays(stop_after=600)
    assert holds_up([slow], NOW, LATER) is None
    found = holds_up([slow], NOW, NOW + timedelta(seconds=600))
    assert found is not None
    assert f"since {NOW + timedelta(seconds=600):%H:%M:%S} UTC" in found.message


def test_the_message_names_the_pod_and_its_node_and_says_what_to_do() -> None:
    found = holds_up([stays()], NOW, LATER)
    assert found is not None
    assert found.reason == "PodsStopping"
    assert "pod r18-t0007-abcde on node gpu-1 has not" in found.message
    assert "`kubectl delete pod r18-t0007-abcde --force`" in found.message
    assert "if the node is truly gone" in found.message


def test_a_pod_that_was_never_told_to_stop_is_named_as_well() -> None:
    found = holds_up([stays(stop_after=None)], NOW, LATER)
    assert found is not None
    assert f"since {NOW:%H:%M:%S} UTC" in found.message


def test_of_several_the_first_is_named_whatever_their_order_and_the_time() -> None:
    """A message that changed at every look would be a write at every look."""
    pods = [stays("r18-t0008-abcde"), stays("r18-t0007-abcde"), stays("r18-t0009-abcde")]
    found = holds_up(pods, NOW, LATER)
    assert found is not None
    assert "pod r18-t0007-abcde on node gpu-1, like 2 more, has not" in found.message
    assert found == holds_up(pods[::-1], NOW, LATER + timedelta(hours=1))
