"""What may be changed while a search runs takes effect at once, and repeats nothing."""

import threading

from tests.cluster.scripts import runs_for_ever, runs_until, succeeds
from tests.operator.harness.behaviours import leaves_a_checkpoint
from tests.operator.harness.harness import Harness

NAMESPACES = 3


def test_running_search_follows_changes_of_parallelism_and_trials(harness: Harness) -> None:
    released = threading.Event()
    harness.on("growing-t*", runs_until(released, succeeds(work=harness.trainer)))
    search = harness.begin("growing", trials=4, parallelism=1)
    search.until_runs("-t0000")
    assert search.job("-t0001") is None

    search.patch(search={"parallelism": 3})
    search.until_runs("-t0002")
    assert search.job("-t0003") is None
    search.until(lambda: search.trials["active"] == len(search.live_pods()) == 3)

    # Fewer: what runs is left to its end, and nothing comes after it.
    search.patch(search={"parallelism": 1, "trials": 3})
    search.until_observed()
    assert all(search.job(f"-t000{number}") for number in range(3))
    assert len(search.live_pods()) == 3
    released.set()
    search.until_phase("Succeeded")
    assert search.trials["progress"] == "3/3"
    assert search.job("-t0003") is None
    before = search.starts

    # More, after the end: the search continues.
    search.patch(search={"trials": 5})
    search.until(lambda: search.trials["progress"] == "5/5")
    search.until_phase("Succeeded")
    later = search.starts[len(before) :]
    assert [start for start in later if "trials/" in start] == ["trials/0003", "trials/0004"]
    assert not set(later) & set(before)
    assert search.has_condition("Searching", "False", "Finished")


def test_export_runs_beside_further_trials_but_stops_when_suspended(harness: Harness) -> None:
    harness.on("reopened-export", leaves_a_checkpoint(harness.trainer))
    harness.on("reopened-t0001", runs_for_ever())
    search = harness.begin("reopened", trials=1)
    search.until_runs("-export")
    search.patch(search={"trials": 2})
    search.until_runs("-t0001")
    assert search.job("-export")
    assert search.running("-export")

    search.patch(suspend=True)
    search.until_condition("Suspended", "True", "SuspendedByUser")
    search.until(lambda: not search.live_pods())
    harness.on("reopened-*", succeeds(work=harness.trainer))
    search.patch(suspend=False)
    search.until_phase("Succeeded")
    assert search.trials["progress"] == "2/2"
    assert search.trials["infrastructure"] == 0


def test_result_counts_although_its_pod_does_not_end(harness: Harness) -> None:
    harness.on("hanging-t0000", runs_for_ever())
    search = harness.begin("hanging", trials=1)
    pod = search.until_runs("-t0000")
    harness.trainer(pod)
    search.until_phase("Succeeded")
    assert search.trials["succeeded"] == 1
