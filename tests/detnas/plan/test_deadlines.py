"""Default deadlines of jobs, predicted from the base's measured speed."""

from typing import Any

import pytest

from detnas.plan.deadlines import default_deadline, overrun, predicted_trial_seconds
from detnas.records.results import DetectorResult, PrepareResult, SplitSummary
from detnas.records.verbs import Verb
from detnas.spec.manifest import SearchSpec
from tests.detnas.searches.results import ENCODING, NOW, manifest

HOUR = 3600.0


def a_spec(*, trains: bool = True, **spec: Any) -> SearchSpec:
    """Two resolutions; a base trained in steps of 10 images, trials of 3 epochs."""
    train = {"train": {"epochs": 2, "batchSize": 10}} if trains else {"weights": "s3://b/r18.pth"}
    base = {"architecture": ENCODING, "stem": 16, **train}
    return manifest(base=base, evaluation={"epochs": 3}, **spec).spec


def split(images: int) -> SplitSummary:
    return SplitSummary(sha256="a" * 64, images=images, boxes=images, empty_images=0)


DATA = PrepareResult(started=NOW, finished=NOW, train=split(1000), val=split(100))


def a_base(iterations: int = 200, **seconds: float) -> DetectorResult:
    return DetectorResult(started=NOW, finished=NOW, iterations=iterations, seconds=seconds)


@pytest.mark.parametrize(
    ("trains", "base", "predicted"),
    [
        # 2 s a step of 10 images: 3 epochs of 1000 images are 600 s, with the teacher 1200 s.
        (True, a_base(training=400.0, evaluating=50.0), 1250),
        (True, a_base(training=400.0, evaluating=50.0, loading=30.0, fetching=20.0), 1300),
        # Resumed from a checkpoint or not: the steps and their seconds belong together.
        (True, a_base(iterations=100, training=200.0, evaluating=50.0), 1250),
        # 200 images seen in 50 s: 0.25 s each, 0.75 s to learn from one.
        (False, a_base(iterations=0, evaluating=50.0), 2 * 3000 * 0.75 + 50),
        (True, a_base(iterations=0, evaluating=50.0), 2 * 3000 * 0.75 + 50),
    ],
)
def test_predicted_trial_seconds_follow_from_the_bases_speed(
    trains: bool, base: DetectorResult, predicted: float
) -> None:
    assert predicted_trial_seconds(a_spec(trains=trains), DATA, base) == pytest.approx(predicted)


@pytest.mark.parametrize(
    ("verb", "spec", "base", "deadline"),
    [
        (Verb.PREPARE, a_spec(), None, 6 * HOUR),
        (Verb.PREPARE, a_spec(deadlines={"prepare": 60}), None, None),
        (Verb.EVALUATE, a_spec(), a_base(training=400.0, evaluating=50.0), 5 * 1250),
        (Verb.EVALUATE, a_spec(), a_base(training=4.0, evaluating=0.5), HOUR),
        (Verb.EVALUATE, a_spec(), a_base(), None),
        (Verb.EVALUATE, a_spec(), None, None),
        (Verb.EVALUATE, a_spec(deadlines={"trial": 60}), a_base(evaluating=50.0), None),
        (Verb.BASE, a_spec(), None, None),
        (Verb.POOL, a_spec(), a_base(evaluating=50.0), None),
        (Verb.FINETUNE, a_spec(), a_base(evaluating=50.0), None),
        (Verb.EXPORT, a_spec(), a_base(evaluating=50.0), None),
    ],
)
def test_default_deadline_of_each_kind_of_job(
    verb: Verb, spec: SearchSpec, base: DetectorResult | None, deadline: float | None
) -> None:
    found = default_deadline(verb, spec, DATA, base)
    assert found == (None if deadline is None else pytest.approx(deadline))


MIG, FULL = {"gpuResource": "nvidia.com/mig-1g.10gb"}, {"gpuResource": "nvidia.com/gpu"}


@pytest.mark.parametrize(
    ("jobs", "same"),
    [
        ({}, True),
        ({"trial": MIG}, False),
        ({"base": MIG}, False),
        ({"trial": MIG, "base": MIG}, True),
        ({**MIG, "trial": MIG}, True),
        ({**MIG, "trial": FULL}, False),
        ({"trial": {"nodeSelector": {"gpu": "t4"}}}, False),
        ({"trial": {"tolerations": [{"operator": "Exists"}]}}, False),
        ({"trial": {"resources": {"cpu": "2"}}}, False),
        ({"resources": {"cpu": "2"}, "trial": {"resources": {"cpu": "2"}}}, True),
        ({"trial": {"priorityClassName": "low"}}, True),
    ],
    ids=str,
)
def test_default_deadline_of_trials_on_other_devices_is_none(
    jobs: dict[str, Any], same: bool
) -> None:
    base = a_base(training=400.0, evaluating=50.0)
    found = default_deadline(Verb.EVALUATE, a_spec(jobs=jobs), DATA, base)
    assert found == (pytest.approx(5 * 1250) if same else None)


def test_default_deadline_of_trials_on_another_number_of_gpus_is_none() -> None:
    spec, base = a_spec(), a_base(training=400.0, evaluating=50.0)
    fewer = spec.model_copy(update={"evaluation": spec.evaluation.model_copy(update={"gpus": 0})})
    assert default_deadline(Verb.EVALUATE, fewer, DATA, base) is None


def test_overrun_names_the_field_that_allows_more() -> None:
    assert "more than 60 minutes" in overrun(Verb.EVALUATE, HOUR)
    assert "spec.deadlines.trial" in overrun(Verb.EVALUATE, HOUR)
    assert "spec.deadlines.prepare" in overrun(Verb.PREPARE, 6 * HOUR)
