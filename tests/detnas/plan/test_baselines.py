"""The requests of baselines: what is done to the base, and what teaches it."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from detnas.actions import narrowed
from detnas.architecture import Architecture
from detnas.cost import detector_cost
from detnas.plan.requests import (
    Compared,
    FinalRequests,
    SearchRequests,
    baseline_request,
    is_same_baseline,
)
from detnas.plan.winner import TrainedDetector
from detnas.records.requests import RepeatedChannelPruning, StudentRequest
from detnas.records.settings import DetectorShape
from detnas.spec.baselines import Baseline
from tests.detnas.searches.results import architecture, artifact, detector, phase, prepared
from tests.detnas.searches.results import requests as requests_of

SMALLER = narrowed(architecture(), 0.7)
TUNED = {"finetune": {"epochs": 5, "learningRate": "0.02", "gpus": 2}}


def trained(name: str, backbone: Architecture, trial: int | None = None) -> TrainedDetector:
    resolution = requests_of().spec.resolutions[0]
    teacher = None if trial is None else requests_of().spec.teachers.space.smallest
    result = detector(name).model_copy(update={"architecture": backbone})
    return TrainedDetector(trial, result, teacher, DetectorShape(), 0.5, resolution, 0.3)


COMPARED = Compared(trained("base", architecture()), trained("student", SMALLER, 3), epochs=14)


def built(requests: SearchRequests, baseline: Baseline) -> StudentRequest:
    pool = requests.pool((phase(0), phase(1)))
    final = FinalRequests(requests)
    return baseline_request(final, "folder", baseline, COMPARED, prepared(), pool)


def flops(requests: SearchRequests, backbone: Architecture) -> int:
    spec = requests.spec
    return detector_cost(backbone, spec.detector, 2, spec.base_resolution).flops


def test_every_baseline_begins_with_the_base_and_trains_as_long_as_the_lineage() -> None:
    requests = requests_of(**TUNED)
    for baseline in Baseline:
        request = built(requests, baseline)
        assert (request.kind, request.key) == ("Baseline", "folder")
        assert (request.parent, request.parent_weights) == (architecture(), artifact("base"))
        assert (request.training.epochs, request.training.learning_rate) == (14, Decimal("0.02"))
        assert request.inherit


def test_baseline_without_a_fine_tuning_trains_by_the_schedule_of_a_trial() -> None:
    requests = requests_of(evaluation={"epochs": 3, "learningRate": "0.005"})
    training = built(requests, Baseline.CONTINUED_BASE).training
    assert (training.epochs, training.learning_rate) == (14, Decimal("0.005"))


def test_continued_base_is_trained_plainly() -> None:
    request = built(requests_of(**TUNED), Baseline.CONTINUED_BASE)
    assert (request.action, request.narrowed, request.teacher) == (None, None, None)
    assert request.distillation.bn_weight == 0


def test_pruned_baseline_has_the_students_flops_and_teacher() -> None:
    requests = requests_of(**TUNED, distillation={"featureWeight": "0.02"})
    request = built(requests, Baseline.ONE_SHOT_PRUNED)
    assert isinstance(request.action, RepeatedChannelPruning)
    assert request.action.flops == flops(requests, SMALLER)
    assert request.action.resolution == requests.spec.base_resolution
    assert request.teacher == COMPARED.student.teacher
    assert request.pool is not None
    assert request.distillation.feature_weight == Decimal("0.02")


def test_pruned_baseline_of_an_untaught_student_is_untaught() -> None:
    request = built(requests_of(search={"strategy": "Pipeline"}), Baseline.ONE_SHOT_PRUNED)
    assert request.teacher is None


def test_scaled_baseline_costs_at_most_what_the_student_costs() -> None:
    requests = requests_of(**TUNED, search={"actions": {"minimumChannels": 2}})
    request = built(requests, Baseline.SCALED)
    assert request.narrowed is not None
    most = flops(requests, SMALLER)
    assert 0.98 * most < flops(requests, request.narrowed) <= most
    assert (request.action, request.teacher) == (None, None)


def test_baseline_is_another_if_the_student_is() -> None:
    requests = requests_of(**TUNED)
    one = built(requests, Baseline.SCALED)
    assert is_same_baseline(one, one.model_copy(update={"key": "elsewhere"}))
    longer = replace(COMPARED, epochs=15)
    final: Any = FinalRequests(requests)
    other = baseline_request(final, "folder", Baseline.SCALED, longer, prepared(), None)
    assert not is_same_baseline(one, other)
