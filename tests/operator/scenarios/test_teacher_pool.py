"""A search of the pool's own subnets, as its user sees it."""

from threading import Event

from tests.cluster.scripts import runs_until, succeeds
from tests.detnas.lifecycle.test_teacher_pool import POOL
from tests.operator.harness.harness import Harness

NAMESPACES = 1


def test_search_of_the_pool_survives_a_restart_and_exports_the_best_subnet(
    harness: Harness,
) -> None:
    released = Event()
    harness.on("etp-s0025", runs_until(released, succeeds(work=harness.trainer)))
    spec = {"teachers": POOL}
    search = harness.begin("etp", spec, strategy="TeacherPool", trials=60, parallelism=2)
    search.until(lambda: search.trials.get("progress") == "35/60")
    assert search.trials["active"] == 1
    harness.operator.kill()
    harness.operator.start()
    released.set()
    search.until_phase("Succeeded")
    assert (search.trials["progress"], search.trials["succeeded"]) == ("60/60", 60)

    best, exported = search.status["best"], search.status["exported"]
    number = best["trial"]
    assert best["uri"].endswith(f"trials/{number // 25 * 25:04d}")
    assert (exported["trial"], exported["h"]) == (number, best["h"])
    jobs = {name.removeprefix("etp-") for name in search.jobs()}
    assert {"s0000", "s0025", "s0050", f"extract-{number:04d}", "export"} <= jobs
    assert not any(name.startswith("t") for name in jobs)
    assert search.starts.count("trials/0025") == 1, "it outlived the operator"
