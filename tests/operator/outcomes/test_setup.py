"""A setup that fails ends the search, says what to do, and is tried again once it is mended.

Warnings of the data check, a lost fine-tuning and students that are no better end nothing.
"""

import pytest

from detnas.records.results import Result
from tests.cluster.scripts import exits, runs_for_ever, succeeds
from tests.operator.outcomes.doings import (
    exports_nothing,
    publishes,
    unpublished,
    with_weights,
)
from tests.operator.outcomes.stage import Search, Stage

ROOMS = 11
SETUP = {
    "prepare": "preparing the data failed (Infrastructure): ",
    "base": "training the base failed (Infrastructure): ",
    "pool-0": "phase 0 of the pool failed (Infrastructure): ",
    "export": "the export failed (Infrastructure): ",
}
LOG = "error: the server refuses AWS_SECRET_ACCESS_KEY\n"
BESIDE = {"base": "pool-0", "pool-0": "base"}
"""Which job runs at the same time, for ever."""

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
def searches(stage: Stage) -> dict[str, Search]:
    found = {}
    for job in SETUP:
        name = f"breaks-{job}"
        stage.on(f"{name}-{job}", exits(1, log=LOG))
        if job in BESIDE:
            stage.on(f"{name}-{BESIDE[job]}", runs_for_ever())
        found[job] = stage.begun(name, trials=1)
    wrong = publishes(stage.trainer, with_weights(size=7))
    for job in UNBELIEVED:
        name = f"unbelieved-{job}"
        work = exports_nothing(stage.trainer) if job == "export" else wrong
        stage.on(f"{name}-{job}", succeeds(work=work))
        found[name] = stage.begun(name, trials=1)
    return found


@pytest.mark.parametrize("job", SETUP)
def test_it_fails_says_what_to_do_and_is_tried_again_once_it_is_mended(
    stage: Stage, searches: dict[str, Search], job: str
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
    told = search.told("Failed")
    assert told["type"] == "Warning"
    assert told["message"].startswith(SETUP[job])
    # A failed search leaves no pod running.
    search.until(lambda: not search.live_pods())
    assert search.status["active"] == []

    before = search.starts
    stage.on(f"{search.name}-*", succeeds(work=stage.trainer))
    search.suspend_and_resume()
    search.until_phase("Succeeded")
    again = search.starts[len(before) :]
    assert not set(again) & {start for start in before if "breaks" not in start}, again
    assert search.says("Degraded", "False", "NothingWrong")
    assert search.told("Succeeded")["type"] == "Normal"
    assert search.text(f"{_folder(job)}/result.json")


def test_a_fine_tuning_that_is_lost_costs_only_itself_and_is_tried_again(stage: Stage) -> None:
    stage.on("untuned-finetune", exits(1, log="what went wrong\n"))
    search = stage.begun("untuned", {"finetune": {"epochs": 1}}, trials=1)
    search.until_phase("Succeeded")
    said = search.condition("Succeeded")["message"]
    assert "trial 0 has the best H of all trials" in said
    assert "fine-tuning failed (Infrastructure: Job untuned-finetune gave up" in said
    assert search.status["exported"]["trial"] == 0
    assert search.says("Degraded", "True", "FineTuningFailed")
    told = search.told("FineTuningFailed")
    assert told["type"] == "Warning"
    assert "what went wrong" in told["message"]
    assert told["message"].endswith("set spec.suspend to true and then to false to try again")

    stage.on("untuned-finetune", succeeds(work=stage.trainer))
    search.suspend_and_resume()
    search.until(lambda: search.says("Degraded", "False", "NothingWrong"))
    assert search.status["exported"]["trial"] == 0, "the student is there all the same"
    search.until_phase("Succeeded")
    said = search.condition("Succeeded")["message"]
    assert "fine-tuning took the H of trial 0" in said
    assert search.says("Degraded", "False", "NothingWrong")


@pytest.mark.parametrize("job", UNBELIEVED)
def test_a_result_that_is_not_believed_fails_the_search_until_it_is_tried_again(
    stage: Stage, searches: dict[str, Search], job: str
) -> None:
    search = searches[f"unbelieved-{job}"].until_phase("Failed")
    said = search.condition("Degraded")["message"]
    assert said.startswith(f"{SETUP[job]}its result names ")
    assert UNBELIEVED[job] in said
    stage.on(f"{search.name}-{job}", succeeds(work=stage.trainer))
    search.suspend_and_resume()
    search.until_phase("Succeeded")


def test_a_fine_tuning_that_is_not_believed_costs_only_itself(stage: Stage) -> None:
    work = publishes(stage.trainer, unpublished)
    stage.on("unbelieved-finetune", succeeds(work=work))
    search = stage.begun("unbelieved", {"finetune": {"epochs": 1}}, trials=1)
    search.until_phase("Succeeded")
    said = search.condition("Succeeded")["message"]
    assert "fine-tuning failed (Infrastructure: its result names weights" in said
    assert search.status["exported"]["trial"] == 0


def _folder(job: str) -> str:
    return {"pool-0": "base", "export": "students/best"}.get(job, job)


def test_the_base_is_exported_until_a_student_is_better(stage: Stage) -> None:
    search = stage.begun("unimproved", trials=2, parallelism=1, seed=0)  # whose base is the best
    search.until_phase("Succeeded")
    assert search.says("Succeeded", "True", "NoImprovement")
    said = search.condition("Succeeded")["message"]
    assert said.startswith("no student is better than the base, whose H is 0.7307")
    assert "likely cause: only 2 trials finished; raise spec.search.trials" in said
    exported, base = search.status["exported"], search.status["base"]
    assert exported["isBase"] is True
    assert "trial" not in exported
    assert (exported["h"], exported["encoding"]) == (base["h"], base["encoding"])
    assert exported["uri"].endswith("/students/best")
    assert search.text("students/best/result.json")
    assert search.told("Succeeded")["message"] == said
    assert search.says("Degraded", "False", "NothingWrong")

    search.patch(search={"trials": 5})
    search.until(lambda: search.says("Succeeded", "True", "Exported"))
    assert search.status["exported"]["trial"] == 4
    assert "isBase" not in search.status["exported"]


def test_what_does_not_fit_the_data_is_told_and_the_search_goes_on(stage: Stage) -> None:
    def warned(result: Result) -> Result:
        return result.model_copy(update={"warnings": WARNINGS})

    stage.on("unfit-prepare", succeeds(work=publishes(stage.trainer, warned)))
    search = stage.begun("unfit", trials=1)
    search.until_phase("Succeeded")
    assert search.says("Accepted", "True", "AcceptedWithWarnings")
    told = search.told("DoesNotFitData")
    assert told["type"] == "Warning"
    for said in (told["message"], search.condition("Accepted")["message"]):
        assert all(warning in said for warning in WARNINGS)
    assert search.told("Accepted")["type"] == "Normal"
