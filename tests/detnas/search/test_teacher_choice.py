"""What is proposed by a search that does not choose its teachers."""

from typing import Any

import pytest

from detnas.ledger.summary import Summary
from detnas.records.proposal import Proposal, Step
from detnas.spec.manifest import SearchSpec
from tests.detnas.search.proposing import next_proposal
from tests.detnas.searches.results import requests
from tests.detnas.trials import succeeded, summary_of

CHOICES = pytest.mark.parametrize("choice", ["Fixed", "PerIteration"])


def _spec(choice: str, **search: Any) -> SearchSpec:
    return requests(teachers={"choice": choice}, search={"trials": 50, **search}).spec


def _proposed(spec: SearchSpec, trials: int) -> list[Proposal]:
    """Proposals of one trial after the other, each student better than the one before."""
    summary, found = Summary(top_k=spec.search.top_k), []
    for index in range(trials):
        proposal = next_proposal(summary, (), spec.climbing, spec.teachers.search_space)
        found.append(proposal)
        entries = [succeeded(done, 0.3 + number / 100) for number, done in enumerate(found)]
        summary = summary_of(entries, spec.search.top_k)
        assert proposal.index == index
    return found


@CHOICES
def test_propose_without_teacher_search_evolves_students_under_the_supernet(choice: str) -> None:
    spec = _spec(choice, warmupTrials=2)
    found = _proposed(spec, 12)
    assert {p.teacher for p in found} == {spec.teachers.space.largest}
    steps = [p.step for p in found]
    assert steps[:3] == [Step.BASELINE, Step.TEACHER, Step.TEACHER]
    assert set(steps[3:]) == {Step.STUDENT}


@CHOICES
def test_propose_without_teacher_search_and_students_trains_the_base_further(choice: str) -> None:
    spec = _spec(choice, studentProbability="0", topK=1)
    found = _proposed(spec, 6)
    assert {(p.action, p.teacher) for p in found} == {(None, spec.teachers.space.largest)}
    assert [p.parent for p in found[1:]] == [0, 1, 2, 3, 4]


def test_settings_of_a_search_that_chooses_teachers_are_the_manifests() -> None:
    spec = _spec("Dynamic", studentProbability="0.25")
    assert spec.climbing == spec.search
    assert spec.teachers.search_space == spec.teachers.space
