"""What the pods of a Job have used up: resumptions, and time on a node."""

from detnas_operator.job_state.accounting import pod_seconds, resumptions
from tests.operator.job.objects import (
    NOW,
    a_pod,
    at,
    disrupted,
    ended,
    running,
)


def test_resumptions_are_those_of_the_worst_worker() -> None:
    pods = [ended(75, f"a{n}", index=0) for n in range(3)]
    pods += [ended(75, "b", index=1), ended(1, "c", index=1), running("d", index=1)]
    assert resumptions(pods) == 3
    assert resumptions([disrupted(143, "PreemptionByScheduler", "")]) == 1
    assert resumptions([]) == 0


def test_pods_hold_their_node_from_when_it_took_them_in() -> None:
    assert pod_seconds([ended(1, finished=102), running()], NOW) == 100 + 298
    assert pod_seconds([a_pod(node="")], NOW) == 0
    assert pod_seconds([a_pod(phase="Failed", deleted=at(62))], NOW) == 60
