"""How many searches of a namespace run at the same time, and in which order the others begin."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from detnas.reasons import ReasonCode
from detnas_operator.admission.search_limit import SearchLimit
from detnas_operator.cluster.cache import ClusterCache
from detnas_operator.configuration.job_policy import JobPolicy, Rules, rules_of

Object = dict[str, Any]
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
) -> Object:
    metadata = {
        "name": name,
        "namespace": namespace,
        "uid": f"{namespace}-{name}",
        "resourceVersion": "1",
        "creationTimestamp": f"2026-11-29T07:00:{born:02d}Z",
    }
    return {"metadata": metadata, "spec": {}, "status": status or {}}


def cache(*searches: Object) -> ClusterCache:
    found = ClusterCache()
    for one in searches:
        found.put_search(one)
    return found


@pytest.mark.parametrize(
    ("others", "waits"),
    [
        ([], False),
        ([RUNNING], False),
        ([RUNNING, RUNNING], True),
        ([RUNNING, OVER, {**OVER, "phase": "Failed"}], False),
        # Who suspends a search keeps its place: it goes on as soon as it is resumed.
        ([RUNNING, {**RUNNING, "phase": "Suspended"}], True),
        ([RUNNING, REFUSED, REFUSED], False),
        ([RUNNING, WAITING], True),
    ],
)
def test_a_search_begins_while_there_is_a_place(others: list[Object], waits: bool) -> None:
    named = [search(f"other-{number}", status) for number, status in enumerate(others)]
    new = search("new", born=30)
    refusal = SearchLimit(cache(*named, new)).refusal(new, rules(2))
    assert (refusal is not None) is waits
    if refusal:
        assert refusal.reason == ReasonCode.TOO_MANY_SEARCHES
        assert refusal.message.startswith("jobs.policy.maximum.searches lets 2 ")


def test_one_that_has_begun_is_never_held_up_and_without_a_bound_nobody_is() -> None:
    crowd = [search(f"other-{number}", RUNNING) for number in range(5)]
    begun, new = search("begun", RUNNING), search("new")
    cap = SearchLimit(cache(*crowd, begun, new))
    assert cap.refusal(begun, rules(1)) is None
    assert cap.refusal(new, rules(None)) is None
    assert cap.refusal(new, rules(1)) is not None


def test_other_namespaces_do_not_count() -> None:
    new = search("new")
    others = [search(name, RUNNING, namespace="team-b") for name in "abc"]
    assert SearchLimit(cache(*others, new)).refusal(new, rules(1)) is None


def test_who_came_first_goes_first() -> None:
    first, second = search("z", WAITING, born=1), search("a", WAITING, born=2)
    cap = SearchLimit(cache(first, second))
    held = cap.refusal(second, rules(1))
    assert held is not None
    assert "after 1 that came before it" in held.message
    assert cap.refusal(first, rules(1)) is None


def test_of_those_that_come_at_the_same_time_no_more_begin_than_may() -> None:
    crowd = [search(f"s{number}") for number in range(40)]
    cap = SearchLimit(cache(*crowd))
    with ThreadPoolExecutor(8) as threads:
        refusals = list(threads.map(lambda one: cap.refusal(one, rules(3)), crowd))
    assert refusals.count(None) == 3
    again = [cap.refusal(one, rules(3)) for one in crowd]
    assert [one is None for one in again] == [one is None for one in refusals]


def test_a_place_that_was_given_is_free_again_when_its_search_is_deleted() -> None:
    one, other = search("one"), search("other")
    known = cache(one, other)
    cap = SearchLimit(known)
    assert cap.refusal(one, rules(1)) is None
    assert cap.refusal(other, rules(1)) is not None
    known.drop_search(one)
    assert cap.refusal(other, rules(1)) is None
