"""What of a status is written at once, and what only at intervals."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detnas_operator.status.patch import is_worth_a_patch, merge_patch
from detnas_operator.status.resource_status import resource_status
from tests.operator.status.pass_results import (
    BEST,
    NOW,
    RUNNING,
    pass_result,
    search_state,
    trials,
    with_progress,
)
from tests.operator.status.test_resource_status import MIDWAY, TRIAL

SECONDS = 60.0
STATUS = resource_status(MIDWAY, {}, NOW)


def with_change(*path: str | int, value: Any) -> dict[str, Any]:
    changed: Any = copy.deepcopy(STATUS)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return dict(changed)


@pytest.mark.parametrize("since", [0.0, SECONDS, float("inf")])
def test_unchanged_status_is_not_written(since: float) -> None:
    assert not is_worth_a_patch(STATUS, copy.deepcopy(STATUS), since, SECONDS)


@pytest.mark.parametrize(
    "after",
    [
        with_change("secondsLeft", value=3000),
        with_change("gpuHours", value="12.6"),
        with_change("active", 0, "done", value=41),
        with_change("active", 0, "loss", value="0.5001"),
        with_change("active", 0, "epoch", value=2),
        with_change("active", 0, "secondsLeft", value=3),
        with_change("active", 0, "activity", value="evaluating"),
        with_change("active", 1, "started", value="2026-03-01T12:00:00Z"),
    ],
)
def test_progress_is_written_at_intervals(after: dict[str, Any]) -> None:
    assert not is_worth_a_patch(STATUS, after, SECONDS - 1, SECONDS)
    assert is_worth_a_patch(STATUS, after, SECONDS, SECONDS)


@pytest.mark.parametrize(
    "after",
    [
        with_change("phase", value="FineTuning"),
        with_change("observedGeneration", value=2),
        with_change("conditions", 0, "message", value="otherwise"),
        with_change("trials", "finished", value=3),
        with_change("active", value=STATUS["active"][:1]),
        with_change("active", 0, "job", value="r101-t0009"),
        with_change("active", 0, "activity", value="waiting: Retrying"),
        with_change("active", 1, "activity", value="training"),
        with_change("best", "h", value="1.3000"),
        with_change("failures", value=[]),
        {key: value for key, value in STATUS.items() if key != "best"},
    ],
)
def test_status_change_beside_progress_is_written_at_once(after: dict[str, Any]) -> None:
    assert is_worth_a_patch(STATUS, after, 0.0, SECONDS)


def test_first_status_is_written() -> None:
    assert is_worth_a_patch({}, STATUS, float("inf"), SECONDS)


def test_trial_that_continues_to_train_is_progress() -> None:
    def at(done: int) -> dict[str, Any]:
        active = (with_progress(TRIAL, done),)
        search = search_state(best=BEST, best_trial=0, active=active, seconds_left=done)
        return resource_status(pass_result(search, jobs=trials(RUNNING), gpu_seconds=done), {}, NOW)

    assert not is_worth_a_patch(at(1), at(99), 0.0, SECONDS)


def applied(target: Any, patch: Any) -> Any:
    """RFC 7386, section 2."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = applied(result.get(key), value)
    return result


documents = st.recursive(
    st.integers(0, 2) | st.text(max_size=1) | st.lists(st.integers(0, 1), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
statuses = st.dictionaries(st.sampled_from("abc"), documents, max_size=3)


@given(statuses, statuses)
def test_merge_patch_leads_from_one_status_to_the_other(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    patch = merge_patch(before, after)

    assert applied(before, patch) == after
    assert (patch == {}) is (before == after)


def test_merge_patch_has_only_what_changed() -> None:
    before = json.loads(json.dumps(STATUS))
    fewer = resource_status(pass_result(search_state(finished=3)), before, NOW)
    patch = merge_patch(before, fewer)

    assert patch["trials"]["finished"] == 3
    assert patch["best"] is None
    assert "folder" not in patch
    assert "base" not in patch
