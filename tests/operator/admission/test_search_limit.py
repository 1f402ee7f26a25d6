"""How many searches of a namespace run at the same time, and in which order the others begin."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from detnas.reasons import ReasonCode
from detnas_operator.admission.search_limit import SearchLimit
from detnas_operator.cluster.cache import ClusterCache
from detnas_operator.cluster.objects import Object
from detnas_operator.cluster.searches import SearchView
from detnas_operator.configuration.job_policy import JobPolicy, Rules, rules_of

RUNNING = {"folder": "s3://b/team-a/searches/x", "phase": "Searching"}
OVER = {"folder": "s3://b/team-a/searches/x", "phase": "Succeeded"}
WAITING = {
    "phase": "Pending",
    "conditions": [{"type": "Accepted", "reason": ReasonCode.TOO_MANY_SEARCHES}],
}
REFUSED = {"phase": "Pending", "conditions": [{"type": "Accepted", "reason": "InvalidSpec"}]}


def rules(most: int | None) -> Rules:
    policy = JobPolicy.model_validate({"maximum": {"searches": most}})
    return rules_of(policy, JobPolicy())


def search(
    name: str, status: Object | None = None, namespace: str = "team-a", born: int = 0
) -> SearchView:
    metadata = {
        "name": name,
        "namespace": namespace,
        "uid": f"{namespace}-{name}",
        "resourceVersion": "1",
        "creationTimestamp": f"2026-11-29T07:00:{born:02d}Z",
    }
    return SearchView({"metadata": metadata, "spec": {}, "status": status or {}})


def cache(*searches: SearchView) -> ClusterCache:
    found = ClusterCache()
    for one in searches:
        found.put_search(one.body)
    return found


@pytest.mark.parametrize(
    ("others", "waits"),
    [
        ([], False),
        ([RUNNING], False),
        ([RUNNING, RUNNING], True),
        ([RUNNING, OVER, {**OVER, "phase": "Failed"}], False),
        # A suspended search keeps its turn: it continues as soon as it is resumed.
        ([RUNNING, {**RUNNING, "phase": "Suspended"}], True),
        ([RUNNING, REFUSED, REFUSED], False),
        ([RUNNING, WAITING], True),
    ],
)
def test_search_limit_admits_a_search_while_one_is_free(others: list[Object], waits: bool) -> None:
    named = [search(f"other-{number}", status) for number, status in enumerate(others)]
    new = search("new", born=30)
    refusal = SearchLimit(cache(*named, new)).refusal(new, rules(2))
    assert (refusal is not None) is waits
    if refusal:
        assert refusal.code == ReasonCode.TOO_MANY_SEARCHES
        assert refusal.message.startswith("jobs.policy.maximum.searches lets 2 ")


def test_search_limit_never_blocks_a_begun_search() -> None:
    crowd = [search(f"other-{number}", RUNNING) for number in range(5)]
    begun, new = search("begun", RUNNING), search("new")
    cap = SearchLimit(cache(*crowd, begun, new))
    assert cap.refusal(begun, rules(1)) is None
    assert cap.refusal(new, rules(None)) is None
    assert cap.refusal(new, rules(1)) is not None


def test_search_limit_counts_each_namespace_alone() -> None:
    new = search("new")
    others = [search(name, RUNNING, namespace="team-b") for name in "abc"]
    assert SearchLimit(cache(*others, new)).refusal(new, rules(1)) is None


def test_search_limit_admits_in_order_of_creation() -> None:
    first, second = search("z", WAITING, born=1), search("a", WAITING, born=2)
    cap = SearchLimit(cache(first, second))
    held = cap.refusal(second, rules(1))
    assert held is not None
    assert "after 1 that came before it" in held.message
    assert cap.refusal(first, rules(1)) is None


def test_search_limit_holds_for_concurrent_passes() -> None:
    crowd = [search(f"s{number}") for number in range(40)]
    cap = SearchLimit(cache(*crowd))
    with ThreadPoolExecutor(8) as threads:
        refusals = list(threads.map(lambda one: cap.refusal(one, rules(3)), crowd))
    assert refusals.count(None) == 3
    again = [cap.refusal(one, rules(3)) for one in crowd]
    assert [one is None for one in again] == [one is None for one in refusals]


def test_search_limit_frees_the_turn_of_a_deleted_search() -> None:
    one, other = search("one"), search("other")
    known = cache(one, other)
    cap = SearchLimit(known)
    assert cap.refusal(one, rules(1)) is None
    assert cap.refusal(other, rules(1)) is not None
    known.drop_search(one.body)
    assert cap.refusal(other, rules(1)) is None
