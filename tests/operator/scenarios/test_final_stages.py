"""What follows the trials, as its user sees it."""

import json
from threading import Event

from detnas.records.results import PrepareResult, Result, SplitSummary
from tests.cluster.scripts import exits, runs_until, succeeds
from tests.detnas.lifecycle.test_candidates import wide_is_accurate
from tests.operator.harness.behaviours import lists_images, publishes
from tests.operator.harness.harness import Harness

NAMESPACES = 5
UNSEEN = {
    "source": {"persistentVolumeClaim": {"claimName": "data"}},
    "train": "t.json",
    "val": "v.json",
    "test": "x.json",
}


def seen(result: Result) -> Result:
    """The data check's result with 50 validation and 200 test images."""
    assert isinstance(result, PrepareResult)
    splits = {
        name: SplitSummary(sha256=name[0] * 64, images=images, boxes=images, empty_images=0)
        for name, images in {"train": 100, "val": 50, "test": 200}.items()
    }
    return result.model_copy(update=splits)


def test_search_with_a_test_split_is_scored_there_across_a_restart_and_says_so(
    harness: Harness,
) -> None:
    harness.on("unseen-prepare", succeeds(work=publishes(harness.trainer, seen)))
    released = Event()
    harness.on("unseen-test", runs_until(released, succeeds(work=harness.trainer)))
    search = harness.begin("unseen", {"dataset": UNSEEN, "finetune": {"epochs": 1}}, trials=3)
    search.until_phase("Comparing")
    harness.operator.kill()
    harness.operator.start()
    search.until_condition("Succeeded", "False", "Comparing")
    released.set()
    search.until_phase("Succeeded")
    assert search.starts.count("test") == 1, "it outlived the operator"

    exported, base = search.status["exported"], search.status["base"]
    assert {"testH", "testMap"} <= exported.keys() & base.keys()
    said = search.condition("Succeeded")["message"]
    assert f"H {exported['testH']} (base {base['testH']})" in said
    assert "on 200 unseen test images" in said
    assert search.event("Comparing")["message"] == "comparing the student with the base"
    assert {"unseen-finetune", "unseen-test", "unseen-export"} <= set(search.jobs())


def test_files_of_the_manifest_are_requested_of_the_one_export_job(harness: Harness) -> None:
    harness.on("files-prepare", succeeds(work=lists_images(harness.trainer)))
    files = {"formats": ["Onnx"], "precisions": ["FP32", "INT8"], "scoredImages": 200}
    search = harness.begin("files", {"export": files}, trials=3)
    search.until_phase("Succeeded")
    assert search.starts.count("students/best") == 1
    request = json.loads(search.text("students/best/request.json"))
    assert request["files"]["formats"] == ["Onnx"]
    assert request["files"]["precisions"] == ["FP32", "INT8"]
    assert request["files"]["scoredImages"] == 200
    assert "files-export" in search.jobs()


def test_trainer_that_knows_no_test_split_is_refused_before_anything_is_trained(
    harness: Harness,
) -> None:
    search = harness.begin("too-old", {"dataset": UNSEEN}, trials=3)  # it reports no test split
    search.until_phase("Failed")
    said = search.condition("Degraded")["message"]
    assert "the data check saw no test split" in said
    assert set(search.jobs()) == {"too-old-prepare"}


def test_candidates_are_fine_tuned_at_the_same_time_and_one_may_fail(harness: Harness) -> None:
    for number in range(12):  # so that many are on the front
        work = publishes(harness.trainer, wide_is_accurate)
        harness.on(f"several-t{number:04d}", succeeds(work=work))
    harness.on("several-finetune", exits(1), exits(1))
    spec = {"finetune": {"epochs": 1, "candidates": 2}, "limits": {"retries": 0}}
    search = harness.begin("several", spec, trials=12, parallelism=3, studentProbability="1.0")
    search.until_phase("Succeeded")
    tunings = [name for name in search.jobs() if name.startswith("several-finetune")]
    assert len(tunings) == 2
    assert "several-finetune" in tunings, "the best trial's"
    compared = {one["name"]: one for one in search.status["compared"]}
    assert sum(one.get("exported", False) for one in compared.values()) == 1
    failed = [one for one in compared.values() if one.get("message")]
    assert len(failed) == 1
    assert failed[0]["message"] == "Infrastructure"
    assert search.has_condition("Degraded", "True", "FineTuningFailed")


def test_baselines_run_at_the_same_time_across_a_restart_and_one_may_fail(
    harness: Harness,
) -> None:
    harness.on("compared-prepare", succeeds(work=publishes(harness.trainer, seen)))
    released = Event()
    for name in ("continued", "scaled"):
        script = runs_until(released, succeeds(work=harness.trainer))
        harness.on(f"compared-baseline-{name}", script)
    harness.on("compared-baseline-pruned", exits(1), exits(1))
    spec = {
        "dataset": UNSEEN,
        "baselines": ["Scaled", "OneShotPruned", "ContinuedBase"],
        "limits": {"retries": 0},
    }
    search = harness.begin("compared", spec, trials=3, parallelism=3)
    search.until_phase("Comparing")
    running = {"compared-baseline-continued", "compared-baseline-scaled"}
    search.until(lambda: running <= set(search.jobs()))
    harness.operator.kill()
    harness.operator.start()
    released.set()
    search.until_phase("Succeeded")
    for name in ("continued", "scaled", "pruned"):
        assert search.starts.count(f"baselines/{name}") == (name != "pruned")

    compared = {one["name"]: one for one in search.status["compared"]}
    baselines = [name for name in compared if name != "base" and not name.startswith("trial")]
    assert baselines == ["scaled", "one-shot pruned", "continued base"]
    assert compared["one-shot pruned"]["message"] == "Infrastructure"
    assert search.has_condition("Degraded", "True", "BaselineFailed")
    assert "one-shot pruned: " in search.condition("Degraded")["message"]
    assert {"h", "testH", "flops"} <= compared["scaled"].keys() & compared["continued base"].keys()
    assert search.starts.count("test") == 1
