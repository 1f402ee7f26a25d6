"""What the API server refuses is told once it lasts, and is in nobody else's way."""

from collections.abc import Hashable
from itertools import cycle

from tests.cluster.faults import Call, Fault, Refuse, Rule
from tests.cluster.waiting import eventually
from tests.operator.recovery.scene import SHORT, Door, JobsSeen, Scene, Turns
from tests.operator.recovery.test_outages import events
from tests.operator.recovery.verdict import check_search

WEBHOOK = Refuse(
    500,
    'Internal error occurred: failed calling webhook "jobs.policy.test": failed to call webhook: '
    'Post "https://policy.test.svc:443/jobs?timeout=10s": no endpoints available',
)
FORBIDDEN = Refuse(
    403,
    'pods is forbidden: User "detnas" cannot list resource "pods" in API group "" in the namespace',
)


def creating(job: str) -> Rule:
    def rule(call: Call) -> Fault | None:
        is_it = call.what == ("api", "POST", call.path, job) and call.path.endswith("/jobs")
        return WEBHOOK if is_it else None

    return rule


def listing_pods(call: Call) -> Fault | None:
    is_it = (call.server, call.method, call.path.rpartition("/")[2]) == ("api", "GET", "pods")
    return FORBIDDEN if is_it else None


def test_a_broken_webhook_is_told_and_holds_up_its_own_job_only(scene: Scene) -> None:
    player = scene.play(Turns(scene.trainer, last=1))
    scene.journal.rule = creating("one-t0000")
    with JobsSeen(scene.cluster, scene.namespace) as seen:
        scene.begin(spec=SHORT)
        scene.operator.start()
        told = scene.await_condition("Degraded", "True")
        assert told["reason"] == "AdmissionRefused"
        assert WEBHOOK.message in told["message"]
        assert f"create jobs {scene.namespace}/one-t0000" in told["message"]
        eventually(lambda: "one-t0001" in scene.jobs())
        scene.journal.rule = lambda _: None
        assert scene.await_condition("Degraded", "False")["reason"] == "NothingWrong"
        scene.await_end()
        scene.await_rest()
    check_search(scene, player, seen, frozenset())
    assert len(events(scene, "AdmissionRefused")) == 1
    assert events(scene, "Recovered") == ["resolved: AdmissionRefused"]


def test_a_missing_right_to_see_pods_is_told_and_a_search_can_be_suspended(scene: Scene) -> None:
    door = Door()
    scene.play(Turns(scene.trainer, last=1, may_end=door))
    scene.begin(spec=SHORT)
    scene.operator.start()
    scene.await_running("one-t0000", "one-t0001")
    scene.journal.rule = listing_pods
    told = scene.await_condition("Degraded", "True")
    assert told["reason"] == "ClusterRefused"
    assert FORBIDDEN.message in told["message"]
    assert "upgrade the release, which binds the role" in told["message"]
    scene.change({"spec": {"suspend": True}})
    scene.await_condition("Suspended", "True")
    eventually(lambda: not scene.live_pods())
    assert float(scene.status()["gpuHours"]) > 0
    scene.journal.rule = lambda _: None
    scene.change({"spec": {"suspend": False}})
    door.open()
    scene.await_end()


def test_what_a_retry_heals_is_not_told(scene: Scene) -> None:
    scene.play(Turns(scene.trainer, last=1))
    ways = cycle((Refuse(409), Refuse(429), WEBHOOK))
    failed: set[Hashable] = set()

    def once(call: Call) -> Fault | None:
        is_one = (call.server, call.method, call.path.rpartition("/")[2]) == ("api", "POST", "jobs")
        if not is_one or call.what in failed:
            return None
        failed.add(call.what)
        return next(ways)

    scene.journal.rule = once
    scene.begin(spec=SHORT)
    scene.operator.start()
    scene.await_end()
    assert len(scene.journal.faulted()) >= 5
    told = ("AdmissionRefused", "ClusterUnavailable", "ClusterRefused", "Recovered")
    assert [reason for reason in told if events(scene, reason)] == []
