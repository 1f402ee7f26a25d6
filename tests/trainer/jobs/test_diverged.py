"""A training that diverges says where, in what and from where; its last step can be replayed."""

from typing import Any

import pytest
import torch

from detnas.records.proposal import Proposal, Step
from detnas.records.results import DetectorResult, Outcome
from detnas_trainer.cli import main
from detnas_trainer.jobs.verbs.student import DistilledTrainee
from tests.trainer.conftest import SPACE, Workplace

KEY = "local/searches/a-1/trials/0004"


@pytest.fixture
def diverged(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> DetectorResult:
    """The result of a trial whose classification loss is infinite at its last step."""
    base = workplace.succeed(workplace.base_request("local/searches/a-1/base"))
    plain = DistilledTrainee.loss

    def loss(trainee: Any, iteration: int, *batch: Any) -> Any:
        losses: dict[str, Any] = dict(plain(trainee, iteration, *batch))
        if iteration == 2:
            losses["loss_cls"] = losses["loss_cls"] * torch.inf
        return losses

    monkeypatch.setattr(DistilledTrainee, "loss", loss)
    proposal = Proposal(index=4, parent=2, step=Step.TEACHER, teacher=SPACE.largest, seed=5)
    return workplace.succeed(
        workplace.student_request(KEY, parent_weights=base.weights, trial=proposal)
    )


def test_diverged_result_names_iteration_terms_and_parent(diverged: DetectorResult) -> None:
    assert diverged.outcome is Outcome.DIVERGED
    assert diverged.message == (
        "loss is inf at iteration 2 (loss_cls inf); trained from trial 2 by no action"
    )


def test_replay_takes_the_failing_step_again_and_changes_nothing(
    workplace: Workplace, diverged: DetectorResult, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {key: workplace.store.get(key) for key in workplace.store.list("local/")}
    assert _replayed(workplace) == 0
    assert "diverged again: loss is inf at iteration 2 (loss_cls inf)" in capsys.readouterr().err
    assert {key: workplace.store.get(key) for key in workplace.store.list("local/")} == before


def test_replay_of_a_step_that_is_finite_here_prints_its_losses(
    workplace: Workplace,
    diverged: DetectorResult,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()
    assert _replayed(workplace) == 0
    assert "the step is finite here: loss_rpn_cls" in capsys.readouterr().err


def test_replay_of_a_job_that_succeeded_is_refused(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    workplace.succeed(workplace.base_request(KEY))
    assert _replayed(workplace, "base") == 2
    assert "has no checkpoint" in capsys.readouterr().err


def _replayed(workplace: Workplace, verb: str = "evaluate") -> Any:
    with pytest.raises(SystemExit) as ended:
        main(["replay", verb, f"{workplace.store.uri}/{KEY}"])
    return ended.value.code
