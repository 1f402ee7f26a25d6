"""A search whose data has changed is stopped; once the old data is back it continues."""

import time

from tests.cluster.played_pod import PlayedPod
from tests.cluster.scripts import exits, succeeds
from tests.operator.harness.harness import Harness
from tests.operator.harness.search import Search

NAMESPACES = 2
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


def test_search_stops_on_changed_data_until_it_is_resumed(harness: Harness) -> None:
    harness.on("mislaid-t0000", sees_other_data)
    search = harness.begin("mislaid", {"limits": {"retries": 3}}, parallelism=1)
    search.until_condition("Suspended", "True", "DataChanged")
    assert search.phase == "Suspended"
    for condition in ("Degraded", "Succeeded"):
        assert search.condition(condition)["reason"] == "DataChanged"
    message = search.condition("Degraded")["message"]
    assert SAID in message
    assert message.endswith("set spec.suspend to true and then to false to continue")
    told = search.event("DataChanged")
    assert told["type"] == "Warning"
    time.sleep(LONG_ENOUGH)
    assert _pods(search, "-t0000") == 1, "it is tried no second time"
    assert search.job("-t0001") is None
    assert search.trial(0) is None, "it is no verdict"
    assert (search.trials["finished"], search.trials["infrastructure"]) == (0, 0)

    harness.operator.kill()
    harness.operator.start()
    time.sleep(LONG_ENOUGH)
    assert search.has_condition("Suspended", "True", "DataChanged")
    assert _pods(search, "-t0000") == 1

    harness.on("mislaid-t0000", succeeds(work=harness.trainer))
    search.suspend_and_resume()
    search.until_phase("Succeeded")
    assert (search.trials["succeeded"], search.trials["infrastructure"]) == (2, 0)
    assert search.has_condition("Degraded", "False", "NothingWrong")
    assert len(search.events("Resumed")) == 1


def test_search_stops_on_changed_data_before_the_trials_too(harness: Harness) -> None:
    harness.on("mistaught-pool-0", exits(44))
    search = harness.begin("mistaught", trials=1)
    search.until_condition("Suspended", "True", "DataChanged")
    search.suspend_and_resume()  # too early: it is reported again
    search.until(lambda: _pods(search, "-pool-0") == 2)
    search.until_condition("Suspended", "True", "DataChanged")
    assert search.phase == "Suspended"
    harness.on("mistaught-pool-0", succeeds(work=harness.trainer))
    search.suspend_and_resume()
    search.until_phase("Succeeded")
    assert _pods(search, "-pool-0") == 3
    assert _pods(search, "-base") == 1


def _pods(search: Search, job: str) -> int:
    """How many pods a job has had."""
    return len(search.pods_of(job))
