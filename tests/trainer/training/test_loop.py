"""The train loop and its learning rate: a run is a function of its seed, stopped or not."""

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from detnas.architecture import parse
from detnas.records.artifacts import Artifact
from detnas.records.progress import Progress
from detnas.records.settings import DataLocation, DetectorShape, Resolution, Schedule, Training
from detnas_trainer.data.detection_data import DetectionData
from detnas_trainer.data.draws import BatchDraws
from detnas_trainer.detector import build_detector
from detnas_trainer.trainee import DetectorTrainee
from detnas_trainer.training.checkpoint import CheckpointRecord
from detnas_trainer.training.gradients import DivergedError, seed_everything
from detnas_trainer.training.loop import TrainingLoop, TrainingPlan
from detnas_trainer.training.schedule import learning_rate
from tests.trainer.conftest import CLASSES, training


def _training(schedule: Schedule, warmup: int = 0) -> Training:
    return Training(
        epochs=12,
        learning_rate=Decimal("0.2"),
        batch_size=2,
        schedule=schedule,
        warmup_iterations=warmup,
    )


@pytest.mark.parametrize(
    ("iteration", "rate"), [(0, 0.2), (30, 0.1707107), (60, 0.1), (90, 0.0292893), (120, 0.0)]
)
def test_cosine_falls_to_zero(iteration: int, rate: float) -> None:
    assert learning_rate(_training(Schedule.COSINE), iteration, 120) == pytest.approx(
        rate, abs=1e-7
    )


@pytest.mark.parametrize(
    ("iteration", "rate"), [(0, 0.2), (79, 0.2), (80, 0.02), (109, 0.02), (110, 0.002)]
)
def test_step_falls_after_epochs_8_and_11_of_12(iteration: int, rate: float) -> None:
    assert learning_rate(_training(Schedule.STEP), iteration, 120) == pytest.approx(rate)


@pytest.mark.parametrize(("iteration", "rate"), [(0, 0.0002), (5, 0.1001), (10, 0.2), (11, 0.2)])
def test_warm_up_rises_linearly_from_a_thousandth(iteration: int, rate: float) -> None:
    assert learning_rate(_training(Schedule.STEP, 10), iteration, 120) == pytest.approx(rate)


ALL = (np.arange(12),)
SIZES = (Resolution(width=48, height=48), Resolution(width=64, height=64))
Saved = dict[int, tuple[dict[str, Tensor], tuple[dict[str, float], ...]]]


class _Observed:
    """Keeps a checkpoint after every step, and stops after the one it is told."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.saved: Saved = {}
        self.progress: list[Progress] = []
        self.rates: list[float] = []
        self.micro_batches: list[int | None] = []
        self._stop_after = stop_after

    def stepped(self, progress: Progress, rate: float) -> None:
        self.progress.append(progress)
        self.rates.append(rate)

    def wants_checkpoint(self) -> bool:
        return True

    def save(
        self,
        iteration: int,
        tensors: dict[str, Tensor],
        recent: tuple[dict[str, float], ...],
        micro_batch: int | None,
        alone: bool = False,
    ) -> None:
        self.micro_batches.append(micro_batch)
        self.saved[iteration] = ({n: t.detach().clone() for n, t in tensors.items()}, recent)
        if iteration == self._stop_after:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def data(tiny_data: DataLocation) -> DetectionData:
    return DetectionData(tiny_data, "train", CLASSES)


def _plan(seed: int = 5, **changes: Any) -> TrainingPlan:
    return TrainingPlan(training(2, **changes), BatchDraws(seed, ALL, 4, SIZES, 0.5, 2))


def make_trainee() -> DetectorTrainee:
    seed_everything(1)
    shape = DetectorShape(neck=8, fc=16, proposals=20, roi_samples=16, anchor_scale=2)
    architecture = parse("[(8, 8)], [(8, 12)], [(8, 12)], [(8, 16)]", stem=8)
    return DetectorTrainee(build_detector(architecture, shape, len(CLASSES)).train())


def _run(data: DetectionData, plan: TrainingPlan, observed: _Observed) -> TrainingLoop:
    loop = TrainingLoop(make_trainee(), plan, data, observed)
    loop.run()
    return loop


@pytest.fixture(scope="module")
def reference(data: DetectionData) -> _Observed:
    observed = _Observed()
    _run(data, _plan(), observed)
    return observed


def _same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def test_run_is_a_function_of_its_seed(data: DetectionData, reference: _Observed) -> None:
    again, other = _Observed(), _Observed()
    _run(data, _plan(), again)
    assert _same(again.saved[6][0], reference.saved[6][0])
    _run(data, _plan(seed=6), other)
    assert not _same(other.saved[6][0], reference.saved[6][0])


@pytest.mark.parametrize("stop", [1, 2, 3, 5])
def test_run_resumed_after_any_step_is_the_same_run(
    data: DetectionData, reference: _Observed, stop: int
) -> None:
    stopped, resumed = _Observed(stop_after=stop), _Observed()
    with pytest.raises(KeyboardInterrupt):
        _run(data, _plan(), stopped)
    tensors, recent = stopped.saved[stop]
    seed_everything(99)  # whatever the new process drew before
    loop = TrainingLoop(make_trainee(), _plan(), data, resumed)
    file = Artifact(key="checkpoint", size=0, sha256="0" * 64)
    loop.resume(CheckpointRecord(iteration=stop, attempt=1, file=file, recent=recent), tensors)
    loop.run()
    assert sorted(resumed.saved) == list(range(stop + 1, 7))
    assert resumed.saved[6][1] == reference.saved[6][1]
    assert _same(resumed.saved[6][0], reference.saved[6][0])


def test_checkpoint_holds_statistics_and_momentum(reference: _Observed) -> None:
    tensors, _ = reference.saved[3]
    assert "model.backbone.bn1.running_mean" in tensors
    assert tensors["model.backbone.bn1.num_batches_tracked"] == 3
    learnt = make_trainee().module.named_parameters()
    assert {f"momentum.{n}" for n, p in learnt if p.requires_grad} <= tensors.keys()


def test_every_step_is_reported_with_progress_loss_and_rate(reference: _Observed) -> None:
    places = [(p.done, p.total, p.epoch, p.epochs) for p in reference.progress]
    assert places == [(done, 6, 1 + (done > 3), 2) for done in range(1, 7)]
    losses = [recent[-1]["loss"] for _, recent in reference.saved.values()]
    assert [progress.loss for progress in reference.progress] == losses
    assert reference.rates[0] == pytest.approx(0.01)
    assert reference.rates == sorted(reference.rates, reverse=True)


def test_total_loss_is_the_sum_of_the_named_losses(reference: _Observed) -> None:
    values = reference.saved[6][1][-1]
    named = [value for name, value in values.items() if "loss" in name and name != "loss"]
    assert values["loss"] == pytest.approx(sum(named), rel=1e-5)
    assert "acc" in values


def test_final_loss_is_the_mean_of_the_last_steps(data: DetectionData) -> None:
    observed = _Observed()
    loop = _run(data, _plan(), observed)
    mean = sum(losses["loss"] for losses in observed.saved[6][1]) / 6
    assert loop.final_loss()["loss"] == pytest.approx(mean)


class _Line(DetectorTrainee):
    """One weight that follows loss = factor × weight."""

    def __init__(self, factor: float) -> None:
        self.line = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.zeros_(self.line.weight)
        super().__init__(self.line)
        self.factor = factor

    def preprocess(self, batch: Any) -> dict[str, Any]:
        return {"inputs": torch.ones(1, 1), "data_samples": []}

    def seed_images(self, seeds: Any) -> None:
        del seeds  # it draws nothing

    def loss(self, iteration: int, inputs: Tensor, samples: list[Any]) -> dict[str, Tensor]:
        return {"loss_line": self.factor * self.line(inputs).sum()}


def _line_step(data: DetectionData, factor: float, settings: Training) -> float:
    trainee = _Line(factor)
    plan = TrainingPlan(settings, BatchDraws(0, ALL, 12, SIZES, 0.0, settings.epochs))
    TrainingLoop(trainee, plan, data, _Observed()).run()
    return trainee.line.weight.item()


def test_gradients_are_clipped_to_their_norm(data: DetectionData) -> None:
    one_step: dict[str, Any] = {"batch_size": 12, "learning_rate": "0.5"}
    clipped = training(1, gradient_clip="2", **one_step)
    free = training(1, gradient_clip="0", **one_step)
    assert _line_step(data, 100.0, clipped) == pytest.approx(-0.5 * 2)
    assert _line_step(data, 100.0, free) == pytest.approx(-0.5 * 100)


def test_momentum_and_weight_decay_are_stochastic_gradient_descents(data: DetectionData) -> None:
    settings = training(2, batch_size=12, learning_rate="0.5", schedule="Step", weight_decay="0.1")
    first = -0.5 * 3
    velocity = 0.9 * 3 + (3 + 0.1 * first)
    assert _line_step(data, 3.0, settings) == pytest.approx(first - 0.5 * velocity)


@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
def test_non_finite_loss_ends_the_run_before_the_update(data: DetectionData, factor: float) -> None:
    observed = _Observed()
    trainee = _Line(factor)
    plan = TrainingPlan(training(1), BatchDraws(0, ALL, 4, SIZES, 0.0, 1))
    with pytest.raises(DivergedError, match=r"loss is nan at iteration 0 \(loss_line nan\)"):
        TrainingLoop(trainee, plan, data, observed).run()
    assert list(observed.saved) == [0], "the step can be replayed"
    assert trainee.line.weight.item() == 0.0


def test_averaged_weights_are_those_of_the_formula_and_survive_a_resume(
    data: DetectionData,
) -> None:
    plan = _plan(ema="0.5")
    observed, stopped, resumed = _Observed(), _Observed(stop_after=3), _Observed()
    trainee = make_trainee()
    name = "backbone.conv1.weight"
    expected = trainee.module.state_dict()[name].clone()
    TrainingLoop(trainee, plan, data, observed).run()
    for step in range(1, 7):
        expected = 0.5 * expected + 0.5 * observed.saved[step][0][f"model.{name}"]
    torch.testing.assert_close(trainee.module.state_dict()[name], expected)

    with pytest.raises(KeyboardInterrupt):
        _run(data, plan, stopped)
    again = make_trainee()
    loop = TrainingLoop(again, plan, data, resumed)
    file = Artifact(key="checkpoint", size=0, sha256="0" * 64)
    tensors, recent = stopped.saved[3]
    loop.resume(CheckpointRecord(iteration=3, attempt=1, file=file, recent=recent), tensors)
    loop.run()
    assert _same(again.module.state_dict(), trainee.module.state_dict())
