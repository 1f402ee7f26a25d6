"""What burns money is stopped and says so; whoever mends the cause or pays on goes on."""

import time

from tests.cluster.scripts import exits, succeeds
from tests.cluster.searches import ENCODING
from tests.operator.outcomes.doings import leaves_a_checkpoint
from tests.operator.outcomes.stage import ONE_PHASE, Search, Stage

ROOMS = 3
LONG_ENOUGH = 4.0
"""Seconds in which the operator would have started more."""

ONLY_TRIALS_COST = {
    "base": {"architecture": ENCODING, "stem": 16, "train": {"epochs": 1}, "gpus": 0},
    "teachers": {**ONE_PHASE, "gpusPerWorker": 0},
}
"""On a busy machine the setup would use up a budget of seconds."""


def test_a_search_stops_when_its_gpu_hours_are_used_up_and_goes_on_with_more(stage: Stage) -> None:
    stage.on("dear-t*", leaves_a_checkpoint(stage.trainer))
    limits = {"retries": 0, "gpuHours": "0.002"}
    search = stage.begun("dear", {**ONLY_TRIALS_COST, "limits": limits})
    search.until_runs("-t0000")
    search.until(lambda: search.says("Suspended", "True", "BudgetUsedUp"))
    assert search.phase == "Suspended"
    message = search.condition("Degraded")["message"]
    assert message == (
        "the budget of 0.002 GPU hours is used up; raise spec.limits.gpuHours to go on"
    )
    told = search.told("BudgetUsedUp")
    assert (told["type"], told["message"]) == ("Warning", message)
    search.until(lambda: not search.live_pods())
    begun = _pods(search)
    time.sleep(LONG_ENOUGH)
    assert _pods(search) == begun
    assert search.says("Suspended", "True", "BudgetUsedUp")

    stage.on("dear-t*", succeeds(work=stage.trainer))
    search.patch(limits={"gpuHours": "1"})
    search.until_phase("Succeeded")
    assert search.trials["infrastructure"] == 0
    assert search.says("Degraded", "False", "NothingWrong")
    assert len(search.events("Resumed")) == 1


def test_what_was_used_before_a_suspension_counts_towards_the_budget(stage: Stage) -> None:
    stage.on("broken-off-t*", leaves_a_checkpoint(stage.trainer))
    search = stage.begun("broken-off", parallelism=1)
    search.until_runs("-t0000")
    time.sleep(LONG_ENOUGH)
    search.patch(suspend=True)
    search.until(lambda: search.says("Suspended", "True", "SuspendedByUser"))
    search.patch(suspend=False, limits={"gpuHours": "0.0005"})
    search.until(lambda: search.says("Suspended", "True", "BudgetUsedUp"))
    assert len(search.pods_of("-t0000")) == 1


def test_failures_in_a_row_stop_a_search_until_it_is_resumed(stage: Stage) -> None:
    stage.on("unlucky-t000[01]", exits(1, log="no space left on device\n"))
    limits = {"retries": 0, "consecutiveFailures": 2}
    search = stage.begun("unlucky", {"limits": limits}, parallelism=1)
    search.until(lambda: search.says("Suspended", "True", "FailuresInARow"))
    assert search.phase == "Suspended"
    said = search.condition("Degraded")["message"]
    assert said.startswith("2 trials in a row failed, the last one, trial 1, as Infrastructure: ")
    assert said.endswith(
        "mend the cause, then suspend and resume the search, or raise "
        "spec.limits.consecutiveFailures"
    )
    told = search.told("FailuresInARow")
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
    played = search.stage.player.played
    return [pod.name for pod in played if pod.namespace == search.namespace]
