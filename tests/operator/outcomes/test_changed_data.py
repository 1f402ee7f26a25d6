"""A job that sees changed data says so; once the old data is back the search continues."""

import time

from tests.cluster.played_pod import PlayedPod
from tests.cluster.scripts import exits, succeeds
from tests.operator.outcomes.stage import Search, Stage

ROOMS = 2
LONG_ENOUGH = 4.0
"""Seconds in which the operator would have started more, or tried again."""

SAID = (
    "Data changed: the training annotations /data/train.json have changed since the search was "
    "prepared; restore the old data, or give the search another metadata.name"
)


async def sees_other_data(pod: PlayedPod) -> None:
    """Run, and end as the trainer does, with its last words."""
    await pod.run()
    await pod.end(44, message=SAID)


def test_changed_data_stops_a_search_until_it_is_resumed(stage: Stage) -> None:
    stage.on("mislaid-t0000", sees_other_data)
    search = stage.begun("mislaid", {"limits": {"retries": 3}}, parallelism=1)
    search.until(lambda: search.says("Suspended", "True", "DataChanged"))
    assert search.phase == "Suspended"
    for condition in ("Degraded", "Succeeded"):
        assert search.condition(condition)["reason"] == "DataChanged"
    message = search.condition("Degraded")["message"]
    assert SAID in message
    assert message.endswith("set spec.suspend to true and then to false to continue")
    told = search.told("DataChanged")
    assert told["type"] == "Warning"
    time.sleep(LONG_ENOUGH)
    assert _pods(search, "-t0000") == 1, "it is tried no second time"
    assert search.job("-t0001") is None
    assert search.trial(0) is None, "it is no verdict"
    assert (search.trials["finished"], search.trials["infrastructure"]) == (0, 0)

    stage.operator.kill()
    stage.operator.start()
    time.sleep(LONG_ENOUGH)
    assert search.says("Suspended", "True", "DataChanged")
    assert _pods(search, "-t0000") == 1

    stage.on("mislaid-t0000", succeeds(work=stage.trainer))
    search.suspend_and_resume()
    search.until_phase("Succeeded")
    assert (search.trials["succeeded"], search.trials["infrastructure"]) == (2, 0)
    assert search.says("Degraded", "False", "NothingWrong")
    assert len(search.events("Resumed")) == 1


def test_changed_data_before_the_trials_fails_nothing_either(stage: Stage) -> None:
    stage.on("mistaught-pool-0", exits(44))
    search = stage.begun("mistaught", trials=1)
    search.until(lambda: search.says("Suspended", "True", "DataChanged"))
    search.suspend_and_resume()  # too early: it is told again
    search.until(lambda: _pods(search, "-pool-0") == 2)
    search.until(lambda: search.says("Suspended", "True", "DataChanged"))
    assert search.phase == "Suspended"
    stage.on("mistaught-pool-0", succeeds(work=stage.trainer))
    search.suspend_and_resume()
    search.until_phase("Succeeded")
    assert _pods(search, "-pool-0") == 3
    assert _pods(search, "-base") == 1


def _pods(search: Search, job: str) -> int:
    """How many pods a job has had."""
    return len(search.pods_of(job))
