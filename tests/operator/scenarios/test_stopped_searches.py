"""A search that wastes GPU hours is stopped, says why, and continues once that is changed."""

import time

from tests.cluster.scripts import exits, succeeds
from tests.cluster.searches import ENCODING
from tests.operator.harness.behaviours import leaves_a_checkpoint
from tests.operator.harness.harness import ONE_PHASE, Harness
from tests.operator.harness.search import Search

NAMESPACES = 3
LONG_ENOUGH = 4.0
"""Seconds in which the operator would have started more."""

ONLY_TRIALS_COST = {
    "base": {"architecture": ENCODING, "stem": 16, "train": {"epochs": 1}, "gpus": 0},
    "teachers": {**ONE_PHASE, "gpusPerWorker": 0},
}
"""On a busy machine the setup would use up a budget of seconds."""


def test_search_stops_when_its_gpu_hours_are_used_up_and_continues_with_more(
    harness: Harness,
) -> None:
    harness.on("dear-t*", leaves_a_checkpoint(harness.trainer))
    limits = {"retries": 0, "gpuHours": "0.002"}
    search = harness.begin("dear", {**ONLY_TRIALS_COST, "limits": limits})
    search.until_runs("-t0000")
    search.until_condition("Suspended", "True", "BudgetUsedUp")
    assert search.phase == "Suspended"
    message = search.condition("Degraded")["message"]
    assert message == (
        "the budget of 0.002 GPU hours is used up; raise spec.limits.gpuHours to continue"
    )
    told = search.event("BudgetUsedUp")
    assert (told["type"], told["message"]) == ("Warning", message)
    search.until(lambda: not search.live_pods())
    begun = _pods(search)
    time.sleep(LONG_ENOUGH)
    assert _pods(search) == begun
    assert search.has_condition("Suspended", "True", "BudgetUsedUp")

    harness.on("dear-t*", succeeds(work=harness.trainer))
    search.patch(limits={"gpuHours": "1"})
    search.until_phase("Succeeded")
    assert search.trials["infrastructure"] == 0
    assert search.has_condition("Degraded", "False", "NothingWrong")
    assert len(search.events("Resumed")) == 1


def test_gpu_hours_before_a_suspension_count_towards_the_budget(harness: Harness) -> None:
    harness.on("broken-off-t*", leaves_a_checkpoint(harness.trainer))
    search = harness.begin("broken-off", parallelism=1)
    search.until_runs("-t0000")
    time.sleep(LONG_ENOUGH)
    search.patch(suspend=True)
    search.until_condition("Suspended", "True", "SuspendedByUser")
    search.patch(suspend=False, limits={"gpuHours": "0.0005"})
    search.until_condition("Suspended", "True", "BudgetUsedUp")
    assert len(search.pods_of("-t0000")) == 1


def test_search_stops_after_failures_in_a_row_until_it_is_resumed(harness: Harness) -> None:
    harness.on("unlucky-t000[01]", exits(1, log="no space left on device\n"))
    limits = {"retries": 0, "consecutiveFailures": 2}
    search = harness.begin("unlucky", {"limits": limits}, parallelism=1)
    search.until_condition("Suspended", "True", "FailuresInARow")
    assert search.phase == "Suspended"
    said = search.condition("Degraded")["message"]
    assert said.startswith("2 trials in a row failed, the last one, trial 1, as Infrastructure: ")
    assert said.endswith(
        "fix the cause, then suspend and resume the search, or raise "
        "spec.limits.consecutiveFailures"
    )
    told = search.event("FailuresInARow")
    assert told["type"] == "Warning"
    time.sleep(LONG_ENOUGH)
    assert search.job("-t0002") is None
    assert not search.live_pods()

    search.suspend_and_resume()
    search.until_phase("Succeeded")
    assert search.status["forgivenTrials"] == 2
    assert (search.trials["infrastructure"], search.trials["succeeded"]) == (2, 2)
    assert [one["trial"] for one in search.status["failures"]] == [0, 1]


def _pods(search: Search) -> list[str]:
    """The pods that it has had, in order."""
    played = search.harness.player.played
    return [pod.name for pod in played if pod.namespace == search.namespace]
