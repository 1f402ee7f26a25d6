"""What the API server refuses is reported once it lasts, and blocks nothing else."""

from collections.abc import Hashable
from itertools import cycle

from tests.cluster.faults import Call, Fault, Refuse, Rule
from tests.operator.harness.behaviours import InTurn
from tests.operator.harness.checks import JobWatch, check_search
from tests.operator.harness.harness import ProxiedHarness
from tests.operator.recovery.held_trials import run_to_trials

WEBHOOK = Refuse(
    500,
    'Internal error occurred: failed calling webhook "jobs.policy.test": failed to call webhook: '
    'Post "https://policy.test.svc:443/jobs?timeout=10s": no endpoints available',
)
FORBIDDEN = Refuse(
    403,
    'pods is forbidden: User "detnas" cannot list resource "pods" in API group "" in the namespace',
)


def fail_create_of(job: str) -> Rule:
    def rule(call: Call) -> Fault | None:
        is_it = call.what == ("api", "POST", call.path, job) and call.path.endswith("/jobs")
        return WEBHOOK if is_it else None

    return rule


def fail_lists_of_pods(call: Call) -> Fault | None:
    is_it = (call.server, call.method, call.path.rpartition("/")[2]) == ("api", "GET", "pods")
    return FORBIDDEN if is_it else None


def test_broken_webhook_is_reported_and_blocks_only_its_own_job(proxied: ProxiedHarness) -> None:
    proxied.play(InTurn(proxied.trainer, last=1))
    proxied.journal.rule = fail_create_of("one-t0000")
    search = proxied.begin("one")
    with JobWatch(search) as seen:
        proxied.operator.start()
        message = search.until_condition("Degraded", "True", "AdmissionRefused")["message"]
        assert WEBHOOK.message in message
        assert f"create jobs {search.namespace}/one-t0000" in message
        search.until(lambda: search.job("-t0001"))
        proxied.journal.rule = lambda _: None
        search.until_condition("Degraded", "False", "NothingWrong")
        search.until_phase("Succeeded")
        search.until_settled()
    check_search(search, seen)
    assert len(search.events("AdmissionRefused")) == 1
    assert search.messages("Recovered") == ["resolved: AdmissionRefused"]


def test_missing_right_to_list_pods_is_reported_and_the_search_can_be_suspended(
    proxied: ProxiedHarness,
) -> None:
    search, gate = run_to_trials(proxied)
    proxied.journal.rule = fail_lists_of_pods
    message = search.until_condition("Degraded", "True", "ClusterRefused")["message"]
    assert FORBIDDEN.message in message
    assert "upgrade the release, which binds the role" in message
    search.patch(suspend=True)
    search.until_condition("Suspended", "True")
    search.until(lambda: not search.live_pods())
    assert float(search.status["gpuHours"]) > 0
    proxied.journal.rule = lambda _: None
    search.patch(suspend=False)
    gate.open()
    search.until_phase("Succeeded")


def test_refusals_that_a_retry_heals_are_not_reported(proxied: ProxiedHarness) -> None:
    proxied.play(InTurn(proxied.trainer, last=1))
    ways = cycle((Refuse(409), Refuse(429), WEBHOOK))
    failed: set[Hashable] = set()

    def fail_first_create(call: Call) -> Fault | None:
        is_one = (call.server, call.method, call.path.rpartition("/")[2]) == ("api", "POST", "jobs")
        if not is_one or call.what in failed:
            return None
        failed.add(call.what)
        return next(ways)

    proxied.journal.rule = fail_first_create
    search = proxied.begin("one")
    proxied.operator.start()
    search.until_phase("Succeeded")
    assert len(proxied.journal.faulted()) >= 5
    reasons = ("AdmissionRefused", "ClusterUnavailable", "ClusterRefused", "Recovered")
    assert [reason for reason in reasons if search.events(reason)] == []
