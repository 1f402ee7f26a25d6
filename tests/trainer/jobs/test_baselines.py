"""The baseline job: the base trained on, pruned once, or scaled, stopped after every step."""

from typing import Any

import pytest
import torch

from detnas.actions import ChannelPruning, narrowed
from detnas.cost import detector_cost
from detnas.records.requests import RepeatedChannelPruning, StudentRequest
from detnas.records.results import DetectorResult, Outcome
from detnas.records.settings import Distillation
from tests.trainer.conftest import CLASSES, Workplace, stopping, training

PLAIN = Distillation.model_validate({"features": "None", "localization": "None", "bnWeight": "0"})


@pytest.fixture
def base(workplace: Workplace) -> DetectorResult:
    return workplace.succeed(workplace.base_request("local/a/base", training=training(1)))


def requests(workplace: Workplace, base: DetectorResult) -> dict[str, StudentRequest]:
    whole = workplace.common["architecture"]
    size = workplace.common["resolutions"][-1]
    most = int(0.95 * detector_cost(whole, workplace.common["detector"], 2, size).flops)
    step = ChannelPruning.model_validate({"fraction": "0.01", "minimumChannels": 2})
    pruning = RepeatedChannelPruning(step=step, flops=most, resolution=size)
    changes: dict[str, dict[str, Any]] = {
        "continued": {"distillation": PLAIN},
        "pruned": {"action": pruning},
        "scaled": {"narrowed": narrowed(whole, 0.6), "distillation": PLAIN},
    }
    return {
        name: workplace.student_request(
            f"local/a/baselines/{name}", kind="Baseline", parent_weights=base.weights, **change
        )
        for name, change in changes.items()
    }


@pytest.mark.parametrize("name", ["continued", "pruned", "scaled"])
def test_baseline_stopped_after_every_step_ends_as_if_left_alone(
    workplace: Workplace, base: DetectorResult, name: str
) -> None:
    request = requests(workplace, base)[name]
    alone = workplace.succeed(request.model_copy(update={"key": f"{request.key}-2"}))
    with stopping():
        assert [workplace.run(request) for _ in range(3)] == [75] * 3
    found = workplace.succeed(request)
    assert (found.outcome, found.attempt, found.iterations) == (Outcome.SUCCEEDED, 4, 3)
    assert found.weights.sha256 == alone.weights.sha256
    assert found.scores == alone.scores
    assert not any("distill" in loss for loss in found.final_loss)


def test_pruned_and_scaled_baselines_are_smaller_and_say_how(
    workplace: Workplace, base: DetectorResult
) -> None:
    whole, shape = workplace.common["architecture"], workplace.common["detector"]
    size = workplace.common["resolutions"][-1]

    def flops(result: DetectorResult) -> int:
        assert result.architecture is not None
        return detector_cost(result.architecture, shape, len(CLASSES), size).flops

    untrained = {
        name: workplace.succeed(request.model_copy(update={"training": training(0)}))
        for name, request in requests(workplace, base).items()
    }
    assert untrained["continued"].architecture == whole
    pruning = requests(workplace, base)["pruned"].action
    assert isinstance(pruning, RepeatedChannelPruning)
    assert 0.9 * pruning.flops < flops(untrained["pruned"]) <= pruning.flops
    assert "pruned in" in untrained["pruned"].notes[0]
    assert untrained["scaled"].architecture == narrowed(whole, 0.6)
    assert untrained["scaled"].notes == ("every width was scaled",)
    same = workplace.weights(untrained["continued"])
    assert all(torch.equal(same[n], value) for n, value in workplace.weights(base).items())
