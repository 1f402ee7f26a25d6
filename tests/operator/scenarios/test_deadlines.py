"""A job that holds its node for far longer than predicted is ended, without any deadline given."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.cluster.played_pod import PlayedPod
from tests.cluster.pods import Script
from tests.cluster.scripts import succeeds
from tests.operator.harness.behaviours import publishes
from tests.operator.harness.harness import Harness
from tests.operator.harness.search import in_order

NAMESPACES = 4


def _has_run_for(hours: float) -> Script:
    """A pod that was taken in by its node so long ago, and never ends."""

    async def script(pod: PlayedPod) -> None:
        await pod.run()
        began = datetime.now(UTC) - timedelta(hours=hours)
        await pod.calls.patch_status(pod.document, {"startTime": f"{began:%Y-%m-%dT%H:%M:%SZ}"})

    return script


def _measured(result: Any) -> Any:
    return result.model_copy(update={"seconds": {"evaluating": 1.0}})


def test_job_past_its_predicted_deadline_fails(harness: Harness) -> None:
    for name in ("late", "allowed", "early"):
        harness.on(f"{name}-base", succeeds(work=publishes(harness.trainer, _measured)))
    harness.on("late-t0000", _has_run_for(1.1))
    harness.on("early-t0000", _has_run_for(0.9))
    harness.on("allowed-t0000", _has_run_for(1.1))
    harness.on("never-prepare", _has_run_for(6.1))
    late, early = harness.begin("late", trials=1), harness.begin("early", trials=1)
    allowed = harness.begin("allowed", {"deadlines": {"trial": 90000}}, trials=1)
    never = harness.begin("never", {"limits": {"retries": 0}}, trials=1)

    late.until_phase("Succeeded")
    message = late.event("TrialFailed")["message"]
    said = ("late-t0000 held its node for more than 60 minutes", "spec.deadlines.trial")
    assert in_order(message, said), message
    assert late.trials["infrastructure"] == 1
    assert late.trials["succeeded"] == 1, "another trial took its place"

    never.until_phase("Failed")
    message = never.condition("Succeeded")["message"]
    said = ("never-prepare held its node for more than 360 minutes", "spec.deadlines.prepare")
    assert in_order(message, said), message

    for search in (early, allowed):
        search.until_runs("-t0000")
        assert search.trials["infrastructure"] == 0
        assert search.has_condition("Degraded", "False", "NothingWrong")
