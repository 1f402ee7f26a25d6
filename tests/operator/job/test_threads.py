"""How many threads a job computes with: its share of the node, never all of it."""

from typing import Any

import pytest

from detnas.records.verbs import Verb
from detnas_operator.job.environment import DEFAULT_THREADS
from tests.operator.job.orders import SETTINGS, env, made

NAMES = ("OMP_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")


def threads(spec: dict[str, Any], verb: Verb = Verb.EVALUATE) -> list[str]:
    found = env(made(verb, spec))
    return [found[name] for name in NAMES]


@pytest.mark.parametrize(
    ("cpu", "expected"),
    [("8", "8"), ("3500m", "3"), ("1.5", "1"), ("500m", "1"), ("0.1", "1"), ("96", "96")],
)
def test_threads_are_the_whole_cores_requested(cpu: str, expected: str) -> None:
    assert threads({"jobs": {"resources": {"cpu": cpu}}}) == [expected] * 2


@pytest.mark.parametrize("gpus", [0, 1, 8])
@pytest.mark.parametrize("verb", Verb)
def test_threads_without_requested_cores_are_the_default(verb: Verb, gpus: int) -> None:
    spec = {"evaluation": {"gpus": gpus}, "jobs": {"resources": {"memory": "8Gi"}}}
    assert threads(spec, verb) == [str(DEFAULT_THREADS)] * 2


def test_threads_of_the_administrator_take_precedence() -> None:
    jobs = SETTINGS.jobs.model_copy(update={"env": {"OMP_NUM_THREADS": "2"}})
    settings = SETTINGS.model_copy(update={"jobs": jobs})
    for spec in ({}, {"jobs": {"resources": {"cpu": "8"}}}):
        assert env(made(spec=spec, settings=settings))["OMP_NUM_THREADS"] == "2"
