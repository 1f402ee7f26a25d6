"""Gradients of batches in parts, after memory ran out, and in 16 bits."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from detnas.records.settings import DataLocation, Precision, Training
from detnas_trainer.data.detection_data import Batch, DetectionData, batches
from detnas_trainer.trainee import DetectorTrainee, Losses
from detnas_trainer.training import gradients as gradients_module
from detnas_trainer.training.gradients import Gradients
from detnas_trainer.training.memory import OutOfMemoryError
from tests.trainer.conftest import CLASSES, training
from tests.trainer.training.test_loop import SIZES, make_trainee


@pytest.fixture(scope="module")
def batch(tiny_data: DataLocation) -> Batch:
    """Four images of one size."""
    data = DetectionData(tiny_data, "train", CLASSES)
    return next(iter(batches(data, [data.samples(SIZES[1])[:4]], workers=0)))


def _settings(**changes: Any) -> Training:
    return training(1, batch_size=4, **changes)


def _gradients(trainee: DetectorTrainee) -> dict[str, Tensor]:
    return {
        name: parameter.grad.clone()
        for name, parameter in trainee.module.named_parameters()
        if parameter.grad is not None
    }


class _Full(DetectorTrainee):
    """A detector on a device that has room for so many images."""

    room = 2

    def loss(self, iteration: int, inputs: Tensor, samples: list[Any]) -> Losses:
        losses = super().loss(iteration, inputs, samples)
        if len(inputs) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return losses


def _statistics(trainee: DetectorTrainee) -> Iterator[Tensor]:
    return (buffer.clone() for buffer in trainee.module.buffers())


@pytest.mark.parametrize("size", [1, 2, 3])
def test_gradients_of_the_parts_add_up_to_the_batchs(batch: Batch, size: int) -> None:
    whole, parts = make_trainee(), make_trainee()
    for trainee in (whole, parts):
        trainee.module.eval()  # batch norms would see one part at a time
    expected = Gradients(whole, _settings(), 3).compute(0, batch)
    found = Gradients(parts, _settings(micro_batch=size), 3).compute(0, batch)
    assert found == pytest.approx(expected, rel=1e-5)
    ours, theirs = _gradients(parts), _gradients(whole)
    assert ours.keys() == theirs.keys()
    for name, gradient in theirs.items():
        torch.testing.assert_close(ours[name], gradient, rtol=1e-3, atol=1e-5)


def test_step_without_room_is_repeated_in_halves_as_if_begun_so(batch: Batch) -> None:
    full = _Full(make_trainee().module)
    gradients = Gradients(full, _settings(), 3)
    found = gradients.compute(0, batch)
    assert gradients.micro_batch == 2
    begun = make_trainee()
    assert found == Gradients(begun, _settings(micro_batch=2), 3).compute(0, batch)
    ours, theirs = _gradients(full), _gradients(begun)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert all(map(torch.equal, _statistics(full), _statistics(begun))), "each part is seen once"


def test_lack_of_room_for_half_a_batch_says_what_to_lower(batch: Batch) -> None:
    full = _Full(make_trainee().module)
    full.room = 0
    with pytest.raises(OutOfMemoryError, match="lower batchSize, or microBatch below 2"):
        Gradients(full, _settings(), 3).compute(0, batch)


def test_parts_are_halved_once_in_a_run(batch: Batch) -> None:
    full = _Full(make_trainee().module)
    gradients = Gradients(full, _settings(), 3)
    gradients.compute(0, batch)
    full.room = 1
    with pytest.raises(OutOfMemoryError):
        gradients.compute(1, batch)


def test_resumed_run_keeps_the_size_of_its_parts(batch: Batch) -> None:
    full = _Full(make_trainee().module)
    gradients = Gradients(full, _settings(), 3)
    gradients.resume(2, {})
    full.room = 1
    with pytest.raises(OutOfMemoryError):
        gradients.compute(5, batch)


@pytest.mark.parametrize("precision", [Precision.BFLOAT16, Precision.FLOAT16])
def test_16_bits_are_close_to_32_and_leave_the_weights_at_32(
    batch: Batch, precision: Precision
) -> None:
    exact, short = make_trainee(), make_trainee()
    expected = Gradients(exact, _settings(), 3).compute(0, batch)
    gradients = Gradients(short, _settings(precision=precision), 3)
    found = gradients.compute(0, batch)
    assert found["loss"] == pytest.approx(expected["loss"], rel=0.05)
    assert found["loss"] != expected["loss"]
    assert {p.dtype for p in short.module.parameters()} == {torch.float32}
    assert gradients.scaler.is_enabled() == (precision is Precision.FLOAT16)


@pytest.mark.parametrize("precision", [None, Precision.AUTO, Precision.FLOAT32])
def test_precision_on_a_cpu_is_32_bits_unless_asked(
    batch: Batch, precision: Precision | None
) -> None:
    plain, other = make_trainee(), make_trainee()
    expected = Gradients(plain, _settings(), 3).compute(0, batch)
    assert Gradients(other, _settings(precision=precision), 3).compute(0, batch) == expected


def test_scaler_resumes_where_it_was() -> None:
    settings = _settings(precision=Precision.FLOAT16)
    first, second = (Gradients(make_trainee(), settings, 3) for _ in range(2))
    first.scaler.load_state_dict({**first.scaler.state_dict(), "scale": 8.0, "_growth_tracker": 5})
    second.resume(None, first.scaler_state())
    assert second.scaler.get_scale() == 8.0
    assert second.scaler.state_dict() == first.scaler.state_dict()


def test_channels_last_changes_the_memory_format_alone(
    batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, last = make_trainee(), make_trainee()
    expected = Gradients(plain, _settings(), 3).compute(0, batch)
    monkeypatch.setattr(gradients_module, "fastest_format", lambda _: torch.channels_last)
    found = Gradients(last, _settings(), 3).compute(0, batch)
    assert found == pytest.approx(expected, rel=1e-4)
    weight = last.module.backbone.layer1[0].conv1.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    ours, theirs = _gradients(last), _gradients(plain)
    for name, gradient in theirs.items():
        torch.testing.assert_close(ours[name], gradient, rtol=1e-3, atol=1e-5)
