"""A pod that runs while its trainer is silent is reported, and no more once it is heard again."""

import asyncio
import threading
from datetime import UTC, datetime

from detnas.records import keys
from detnas.records.progress import Progress
from detnas.store.artifacts import put_record
from tests.cluster.played_pod import PlayedPod
from tests.cluster.waiting import PATIENCE
from tests.operator.harness.harness import Harness
from tests.operator.harness.search import in_order
from tests.operator.scenarios import impatient_operator

NAMESPACES = 2
PROGRAM = impatient_operator.main
LONG_AGO = datetime(1999, 1, 1, tzinfo=UTC)


class Beating:
    """A trainer that beats while it may, and ends when it is let."""

    def __init__(self, harness: Harness) -> None:
        self.beats, self.ends = threading.Event(), threading.Event()
        self.has_beaten = threading.Event()
        self.beats.set()
        self._trainer = harness.trainer

    async def __call__(self, pod: PlayedPod) -> None:
        await pod.run()
        await asyncio.to_thread(self._trainer.begin, pod)
        number = 0
        while not self.ends.is_set():
            if self.beats.is_set():
                number += 1
                await asyncio.to_thread(self._beat, pod, number)
            await asyncio.sleep(0.5)
        await asyncio.to_thread(self._trainer.finish, pod)
        await pod.succeed()

    def _beat(self, pod: PlayedPod, number: int) -> None:
        """Write the next record; its own clock is far behind, and the step stays the same."""
        store, request = self._trainer.asked(pod.uri)
        progress = Progress(
            activity="evaluating",
            done=40,
            total=500,
            updated=LONG_AGO.replace(second=number % 60, minute=number // 60),
            heartbeat=1,
        )
        put_record(store, f"{keys.attempt_folder(request.key, 1)}/progress.json", progress)
        self.has_beaten.set()


def test_stalled_job_is_reported_until_it_makes_progress_again(harness: Harness) -> None:
    quiet, steady = Beating(harness), Beating(harness)
    harness.on("quiet-t0000", quiet)
    harness.on("steady-t0000", steady)
    other, search = harness.begin("steady", trials=1), harness.begin("quiet", trials=1)
    for one in (other, search):
        one.until_runs("-t0000")
    for trainer in (quiet, steady):
        assert trainer.has_beaten.wait(PATIENCE), "one that never beats is given longer"
    quiet.beats.clear()

    message = search.until_condition("Degraded", "True", "NoProgress")["message"]
    said = ("Job quiet-t0000 runs", "last reported at 00:0", "(evaluating, 40 of 500)", "kubectl")
    assert in_order(message, said), message
    assert search.event("NoProgress")["type"] == "Warning"
    assert search.phase == "Searching"
    assert len(search.pods_of("-t0000")) == 1, "what seems to hang is left to people"
    assert other.has_condition("Degraded", "False", "NothingWrong"), "it beats, though no step ends"
    assert not other.events("NoProgress")

    quiet.beats.set()
    search.until_condition("Degraded", "False", "NothingWrong")
    assert search.recoveries("NoProgress") == 1
    for trainer in (quiet, steady):
        trainer.ends.set()
    search.until_phase("Succeeded")
    assert search.trials["infrastructure"] == 0
