"""The plan at every stage of a search."""

from dataclasses import replace

import pytest

from detnas.plan.stages import FinalJob, JobId, Observation, Phase, plan
from detnas.records.results import Outcome, Result, SplitSummary
from detnas.records.verbs import Verb
from tests.detnas.searches.results import (
    detector,
    export,
    final_test,
    manifest,
    phase,
    prepared,
)

NOTHING = Observation()
PREPARED = Observation(prepare=prepared())
BASE = replace(PREPARED, base=detector("base"))
POOL = replace(PREPARED, pool=(phase(0), phase(1)))
READY = replace(BASE, pool=(phase(0), phase(1)))
OVER = replace(READY, trials=4, best=0)


def after(*jobs: tuple[Verb, Result | None]) -> Observation:
    """Trials that are over, and the jobs after them with their results."""
    return replace(OVER, final=tuple(FinalJob(JobId(verb), str(verb), one) for verb, one in jobs))


TUNING = after((Verb.FINETUNE, None))
TUNED = (Verb.FINETUNE, detector("finetuned"))
EXPORTING = after(TUNED, (Verb.EXPORT, None))


def trial(number: int) -> JobId:
    return JobId(Verb.EVALUATE, number)


@pytest.mark.parametrize(
    ("observation", "parallelism", "expected_phase", "due", "proposals"),
    [
        (NOTHING, 4, Phase.PREPARING, [JobId(Verb.PREPARE)], 0),
        (PREPARED, 1, Phase.TRAINING, [JobId(Verb.BASE)], 0),
        (PREPARED, 2, Phase.TRAINING, [JobId(Verb.BASE), JobId(Verb.POOL, 0)], 0),
        (BASE, 2, Phase.TRAINING, [JobId(Verb.POOL, 0)], 0),
        (replace(BASE, pool=(phase(0),)), 1, Phase.TRAINING, [JobId(Verb.POOL, 1)], 0),
        (POOL, 4, Phase.TRAINING, [JobId(Verb.BASE)], 0),
        (READY, 1, Phase.SEARCHING, [], 1),
        (READY, 3, Phase.SEARCHING, [], 3),
        (replace(READY, trials=2, in_flight=(1,)), 1, Phase.SEARCHING, [trial(1)], 0),
        (replace(READY, trials=2, in_flight=(1,)), 2, Phase.SEARCHING, [trial(1)], 1),
        # No more than the requested trials, however many slots are free.
        (replace(READY, trials=3, in_flight=(0, 2)), 8, Phase.SEARCHING, [trial(0), trial(2)], 1),
        # A run with fewer slots than the one before continues its trials in order.
        (replace(READY, trials=3, in_flight=(0, 2)), 1, Phase.SEARCHING, [trial(0)], 0),
        # Converged: running trials are awaited, none is added.
        (
            replace(READY, trials=3, in_flight=(2,), converged=True),
            2,
            Phase.SEARCHING,
            [trial(2)],
            0,
        ),
        (
            replace(TUNING, trials=3, converged=True),
            2,
            Phase.FINETUNING,
            [JobId(Verb.FINETUNE)],
            0,
        ),
        (TUNING, 2, Phase.FINETUNING, [JobId(Verb.FINETUNE)], 0),
        (after(TUNED, (Verb.TEST, None)), 2, Phase.COMPARING, [JobId(Verb.TEST)], 0),
        (EXPORTING, 2, Phase.EXPORTING, [JobId(Verb.EXPORT)], 0),
        # A fine-tuning that failed costs the fine-tuning, not the student.
        (
            after(
                (Verb.FINETUNE, detector("finetuned", outcome=Outcome.DIVERGED)),
                (Verb.EXPORT, None),
            ),
            2,
            Phase.EXPORTING,
            [JobId(Verb.EXPORT)],
            0,
        ),
        (after(TUNED, (Verb.EXPORT, export())), 2, Phase.SUCCEEDED, [], 0),
    ],
)
def test_plan_at_every_stage(
    observation: Observation,
    parallelism: int,
    expected_phase: Phase,
    due: list[JobId],
    proposals: int,
) -> None:
    spec = manifest(search={"trials": 4, "parallelism": parallelism}, finetune={"epochs": 1}).spec
    found = plan(observation, spec)
    assert (found.phase, list(found.due), found.proposals) == (expected_phase, due, proposals)


@pytest.mark.parametrize(
    ("observation", "named"),
    [
        (Observation(prepare=prepared(Outcome.INVALID)), "preparing the data failed (Invalid)"),
        (replace(POOL, base=detector("b", outcome=Outcome.DIVERGED)), "training the base failed"),
        (replace(BASE, pool=(phase(0), phase(1, Outcome.OUT_OF_MEMORY))), "phase 1 of the pool"),
        (after(TUNED, (Verb.EXPORT, export(Outcome.INFRASTRUCTURE))), "the export failed"),
        (after((Verb.TEST, final_test(Outcome.INFRASTRUCTURE))), "the test failed"),
        (replace(READY, trials=4), "none of 4 trials succeeded"),
    ],
)
def test_plan_after_a_vital_failure_is_failed(observation: Observation, named: str) -> None:
    found = plan(observation, manifest().spec)
    assert found.phase is Phase.FAILED
    assert not found.due
    assert named in found.problem


def test_plan_of_a_search_begun_without_its_test_split_is_failed() -> None:
    data = {"source": {"directory": "data"}, "train": "t.json", "val": "v.json", "test": "x.json"}
    found = plan(PREPARED, manifest(dataset=data).spec)
    assert found.phase is Phase.FAILED
    assert "saw no test split" in found.problem
    split = SplitSummary(sha256="a" * 64, images=1, boxes=1, empty_images=0)
    seen = Observation(prepare=prepared().model_copy(update={"test": split}))
    assert plan(seen, manifest(dataset=data).spec).phase is Phase.TRAINING


def test_plan_after_failed_trials_proposes_more() -> None:
    assert plan(replace(READY, trials=3), manifest().spec).proposals == 1
