"""A setup that fails ends the search, says what to do, and is retried after a resume.

Warnings of the data check, a lost fine-tuning and students that are no better end nothing.
"""

import pytest

from detnas.records.results import Result
from tests.cluster.scripts import exits, runs_for_ever, succeeds
from tests.operator.harness.behaviours import (
    exports_nothing,
    publishes,
    unpublished,
    with_weights,
)
from tests.operator.harness.harness import Harness
from tests.operator.harness.search import Search

NAMESPACES = 11
SETUP = {
    "prepare": "preparing the data failed (Infrastructure): ",
    "base": "training the base failed (Infrastructure): ",
    "pool-0": "phase 0 of the pool failed (Infrastructure): ",
    "export": "the export failed (Infrastructure): ",
}
LOG = "error: the server refuses AWS_SECRET_ACCESS_KEY\n"
BESIDE = {"base": "pool-0", "pool-0": "base"}
"""Which job runs at the same time, without end."""

UNBELIEVED = {
    "base": "of 7 bytes; the store has 2048",
    "pool-0": "of 7 bytes; the store has 2048",
    "export": "config.py, which is not in the store",
}
"""What is wrong with the result that a job writes, as the search then says."""

WARNINGS = (
    "spec.dataset.val: 40 images can tell mAP only to about ±7.9 points",
    "spec.evaluation: 3 epochs of 150 images in batches of 8 are 57 steps a trial",
)


@pytest.fixture(scope="module")
def searches(harness: Harness) -> dict[str, Search]:
    found = {}
    for job in SETUP:
        name = f"breaks-{job}"
        harness.on(f"{name}-{job}", exits(1, log=LOG))
        if job in BESIDE:
            harness.on(f"{name}-{BESIDE[job]}", runs_for_ever())
        found[job] = harness.begin(name, trials=1)
    wrong = publishes(harness.trainer, with_weights(size=7))
    for job in UNBELIEVED:
        name = f"unbelieved-{job}"
        work = exports_nothing(harness.trainer) if job == "export" else wrong
        harness.on(f"{name}-{job}", succeeds(work=work))
        found[name] = harness.begin(name, trials=1)
    return found


@pytest.mark.parametrize("job", SETUP)
def test_search_whose_setup_fails_says_what_to_do_and_succeeds_after_a_resume(
    harness: Harness, searches: dict[str, Search], job: str
) -> None:
    search = searches[job].until_phase("Failed")
    for kind in ("Succeeded", "Degraded"):
        said = search.condition(kind)
        assert (said["status"], said["reason"]) == (str(kind == "Degraded"), "Failed")
        assert said["message"].startswith(f"{SETUP[job]}Job {search.name}-{job} gave up")
        assert said["message"].count(LOG.strip()) == 1
        assert "the keys are in Secret " in said["message"]
        assert f" of namespace {search.namespace}" in said["message"]
        assert said["message"].endswith("set spec.suspend to true and then to false to try again")
    told = search.event("Failed")
    assert told["type"] == "Warning"
    assert told["message"].startswith(SETUP[job])
    # A failed search leaves no pod running.
    search.until(lambda: not search.live_pods())
    assert search.status["active"] == []

    before = search.starts
    harness.on(f"{search.name}-*", succeeds(work=harness.trainer))
    search.suspend_and_resume()
    search.until_phase("Succeeded")
    again = search.starts[len(before) :]
    assert not set(again) & {start for start in before if "breaks" not in start}, again
    assert search.has_condition("Degraded", "False", "NothingWrong")
    assert search.event("Succeeded")["type"] == "Normal"
    assert search.text(f"{_folder(job)}/result.json")


def test_search_whose_fine_tuning_fails_exports_a_trial_and_retries_after_a_resume(
    harness: Harness,
) -> None:
    harness.on("untuned-finetune", exits(1, log="what went wrong\n"))
    search = harness.begin("untuned", {"finetune": {"epochs": 1}}, trials=1)
    search.until_phase("Succeeded")
    said = search.condition("Succeeded")["message"]
    assert "trial 0 is the best of all trials" in said
    assert "fine-tuning failed (Infrastructure: Job untuned-finetune gave up" in said
    assert search.status["exported"]["trial"] == 0
    assert search.has_condition("Degraded", "True", "FineTuningFailed")
    told = search.event("FineTuningFailed")
    assert told["type"] == "Warning"
    assert "what went wrong" in told["message"]
    assert told["message"].endswith("set spec.suspend to true and then to false to try again")

    harness.on("untuned-finetune", succeeds(work=harness.trainer))
    search.suspend_and_resume()
    search.until_condition("Degraded", "False", "NothingWrong")
    assert search.status["exported"]["trial"] == 0, "the student is there all the same"
    search.until_phase("Succeeded")
    said = search.condition("Succeeded")["message"]
    assert "fine-tuning took the H of trial 0" in said
    assert search.has_condition("Degraded", "False", "NothingWrong")


@pytest.mark.parametrize("job", UNBELIEVED)
def test_search_with_an_unverified_setup_result_fails_until_it_is_resumed(
    harness: Harness, searches: dict[str, Search], job: str
) -> None:
    search = searches[f"unbelieved-{job}"].until_phase("Failed")
    said = search.condition("Degraded")["message"]
    assert said.startswith(f"{SETUP[job]}its result names ")
    assert UNBELIEVED[job] in said
    harness.on(f"{search.name}-{job}", succeeds(work=harness.trainer))
    search.suspend_and_resume()
    search.until_phase("Succeeded")


def test_search_with_an_unverified_fine_tuning_exports_a_trial(harness: Harness) -> None:
    work = publishes(harness.trainer, unpublished)
    harness.on("unbelieved-finetune", succeeds(work=work))
    search = harness.begin("unbelieved", {"finetune": {"epochs": 1}}, trials=1)
    search.until_phase("Succeeded")
    said = search.condition("Succeeded")["message"]
    assert "fine-tuning failed (Infrastructure: its result names weights" in said
    assert search.status["exported"]["trial"] == 0


def _folder(job: str) -> str:
    return {"pool-0": "base", "export": "students/best"}.get(job, job)


def test_search_exports_the_base_until_a_student_is_better(harness: Harness) -> None:
    search = harness.begin("unimproved", trials=2, parallelism=1, seed=0)  # whose base is the best
    search.until_phase("Succeeded")
    assert search.has_condition("Succeeded", "True", "NoImprovement")
    said = search.condition("Succeeded")["message"]
    assert said.startswith("no student is better than the base, whose H is 0.7307")
    assert "likely cause: only 2 trials finished; raise spec.search.trials" in said
    exported, base = search.status["exported"], search.status["base"]
    assert exported["isBase"] is True
    assert "trial" not in exported
    assert (exported["h"], exported["encoding"]) == (base["h"], base["encoding"])
    assert exported["uri"].endswith("/students/best")
    assert search.text("students/best/result.json")
    assert search.event("Succeeded")["message"] == said
    assert search.has_condition("Degraded", "False", "NothingWrong")

    search.patch(search={"trials": 5})
    search.until_condition("Succeeded", "True", "Exported")
    assert search.status["exported"]["trial"] == 4
    assert "isBase" not in search.status["exported"]


def test_search_reports_warnings_of_the_data_check_and_succeeds(harness: Harness) -> None:
    def warned(result: Result) -> Result:
        return result.model_copy(update={"warnings": WARNINGS})

    harness.on("unfit-prepare", succeeds(work=publishes(harness.trainer, warned)))
    search = harness.begin("unfit", trials=1)
    search.until_phase("Succeeded")
    assert search.has_condition("Accepted", "True", "AcceptedWithWarnings")
    told = search.event("DoesNotFitData")
    assert told["type"] == "Warning"
    for said in (told["message"], search.condition("Accepted")["message"]):
        assert all(warning in said for warning in WARNINGS)
    assert search.event("Accepted")["type"] == "Normal"
