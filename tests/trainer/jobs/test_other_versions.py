"""A trainer of another version than what wrote its request: a search keeps its image."""

import json
import os
import subprocess
import sys
from decimal import Decimal

import pytest

from detnas.actions import ChannelPruning
from detnas.records.requests import BaseRequest, StudentRequest
from detnas.records.results import DetectorResult, Outcome
from detnas_trainer import jobs, mmcv_ext
from tests.earlier_version import Earlier
from tests.stored import content
from tests.trainer.conftest import Workplace, training

BASE, TRIAL = "local/searches/a-1/base", "local/searches/a-1/trials/0000"
RUN = """
import runpy, sys
from detnas_trainer.cli import main
runpy.run_path(sys.argv[1])["install"]()
main(sys.argv[2:])
"""
"""The earlier version's image had compiled operators, which this machine may not have."""


def run_earlier(earlier: Earlier, verb: str, uri: str) -> None:
    """Run a job with the earlier version's trainer, as its image would."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, mmcv_ext.__file__, verb, uri],
        env={**os.environ, "PYTHONPATH": earlier.python_path},
        cwd=earlier.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def student(place: Workplace, base: DetectorResult) -> StudentRequest:
    """A trial whose action and schedule are almost all defaults."""
    return place.student_request(
        TRIAL,
        parent=base.architecture or pytest.fail("the base has no architecture"),
        parent_weights=base.weights,
        action=ChannelPruning(fraction=Decimal("0.1")),
        training=training(0),
    )


def in_full(place: Workplace, request: BaseRequest | StudentRequest) -> str:
    """Write a request as the earlier version did: every field that it had."""
    content = json.loads(request.model_dump_json(by_alias=True))
    for name in ("pictures", "weightsSha256"):
        content.pop(name, None)
    place.store.put(f"{request.key}/request.json", json.dumps(content).encode())
    return f"{place.store.uri}/{request.key}"


@pytest.mark.slow
def test_earlier_trainer_runs_requests_of_this_version(
    workplace: Workplace,
    earlier: Earlier,
) -> None:
    run_earlier(earlier, "base", workplace.put(workplace.base_request(BASE)))
    base = workplace.result(BASE)
    run_earlier(earlier, "evaluate", workplace.put(student(workplace, base)))
    found = workplace.result(TRIAL)
    assert (base.outcome, found.outcome) == (Outcome.SUCCEEDED, Outcome.SUCCEEDED)
    assert found.architecture != base.architecture
    assert b'"batchSize"' in content(workplace.store, f"{TRIAL}/request.json")
    assert b'"gradientClip"' not in content(workplace.store, f"{TRIAL}/request.json")
    assert b'"notes"' in content(workplace.store, f"{TRIAL}/result.json")


@pytest.mark.slow
def test_this_trainer_runs_requests_of_an_earlier_version(
    workplace: Workplace,
) -> None:
    assert jobs.run("base", in_full(workplace, workplace.base_request(BASE))) == 0
    base = workplace.result(BASE)
    assert jobs.run("evaluate", in_full(workplace, student(workplace, base))) == 0
    assert workplace.result(TRIAL).outcome is Outcome.SUCCEEDED
