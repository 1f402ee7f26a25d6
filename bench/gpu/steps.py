"""Speed and memory of training steps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bench.gpu.figures import Figures
from bench.gpu.scale import Scale
from bench.training.noise import NoiseImages
from bench.training.runner import Run, compare
from bench.training.steps import Step, median_seconds
from detnas.records.settings import Distillation, Precision, Training
from detnas.teachers import Teacher
from detnas_trainer.detector import build_detector, fastest_format, load_detector
from detnas_trainer.distillation import Adaptor, Distiller, frozen_teacher
from detnas_trainer.distillation.box_passes import box_forward, recorded
from detnas_trainer.jobs.verbs.student import DistilledTrainee
from detnas_trainer.openmmlab import TwoStageDetector
from detnas_trainer.supernet.elastic import ElasticDetector
from detnas_trainer.supernet.sampling import subnet_at
from detnas_trainer.supernet.slicing import extract
from detnas_trainer.trainee import DetectorTrainee, Losses
from detnas_trainer.training.gradients import Gradients, seed_everything

CLIP = 35.0
GIB = float(2**30)


def build(scale: Scale) -> TwoStageDetector:
    """The student, on its device."""
    seed_everything(1)
    return build_detector(scale.student, scale.detector, scale.classes).to(scale.device).train()


def noise(scale: Scale, count: int) -> NoiseImages:
    """Images of the scale's size."""
    return NoiseImages(count, scale.padded, scale.classes)


def step_of(trainee: DetectorTrainee, training: Training, images: NoiseImages) -> Step:
    """One step as the train loop takes it, on one batch."""
    gradients = Gradients(trainee, training, 1)
    parameters = [p for p in trainee.module.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=1e-4, momentum=0.9, weight_decay=1e-4)

    def step() -> None:
        gradients.compute(0, images.batch(training.batch_size))
        nn.utils.clip_grad_norm_(parameters, CLIP)
        optimizer.step()

    return step


def peak_memory(scale: Scale, work: Callable[[], None]) -> float:
    """Most bytes that tensors take at once while it works; 0 on a CPU."""
    if scale.device != "cuda":
        work()
        return 0.0
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    work()
    torch.cuda.synchronize()
    return float(torch.cuda.max_memory_allocated())


def runner(figures: Figures, scale: Scale, folder: Path) -> None:
    """The train loop against mmdet's own runner, on the same detector and images."""
    del folder
    on_gpu = scale.device == "cuda"
    run = Run(
        make=lambda: build(scale),
        images=noise(scale, 2 * scale.batch),
        batch=scale.batch,
        steps=3 if scale.thin else 25,
        bfloat16=on_gpu,  # mmdet's runner has no autocast on a CPU
        workers=scale.workers if on_gpu else 0,
        untimed=1 if scale.thin else 8,
    )
    ours, mmdets = compare(run, rounds=1 if scale.thin else 2)
    figures.add("train loop", ours, "images/s")
    figures.add("mmdet's runner", mmdets, "images/s")
    figures.add("train loop over mmdet's runner", ours / mmdets, at_least=1.3)


def precision(figures: Figures, scale: Scale, folder: Path) -> None:
    """A plain step in 16 and in 32 bits."""
    del folder
    images = noise(scale, scale.batch)
    kinds = {
        str(name): step_of(DetectorTrainee(build(scale)), scale.training(name), images)
        for name in (Precision.BFLOAT16, Precision.FLOAT32)
    }
    seconds = median_seconds(kinds, scale.rounds, untimed=1 if scale.thin else 3)
    for name, taken in seconds.items():
        figures.add(f"plain step, {name}", 1000 * taken, "ms")
    ratio = seconds[Precision.FLOAT32] / seconds[Precision.BFLOAT16]
    figures.add("speed in bfloat16 over that in 32 bits", ratio, at_least=1.5)


def distillation(figures: Figures, scale: Scale, folder: Path) -> None:
    """A distillation step against a plain one and the teacher's forward pass."""
    del folder
    images, training = noise(scale, scale.batch), scale.training()
    undistilled, student = build(scale), build(scale)
    neck = scale.supernet.neck_width(scale.space.largest)
    teacher = frozen_teacher(_largest(scale))
    plain = step_of(DetectorTrainee(undistilled), training, images)
    with recorded(undistilled.roi_head) as passes:
        plain()
    rois = passes.pop().rois
    plain_memory = peak_memory(scale, plain)
    inputs = student.data_preprocessor(images.batch(scale.batch), False)["inputs"]
    inputs = inputs.contiguous(memory_format=fastest_format(scale.device))

    def teach() -> None:
        with torch.no_grad(), torch.autocast(scale.device, dtype=torch.bfloat16):
            box_forward(teacher.roi_head, teacher.extract_feat(inputs), rois)

    adaptor = Adaptor(scale.detector.neck, neck).to(scale.device)
    student.add_module("adaptor", adaptor)
    distiller = Distiller(student, teacher, Distillation(), adaptor)
    distil = step_of(DistilledTrainee(student, distiller, 1), training, images)
    memory = peak_memory(scale, distil)
    kinds = {"plain": plain, "teacher": teach, "distillation": distil}
    seconds = median_seconds(kinds, scale.rounds, untimed=1 if scale.thin else 3)
    for name, taken in seconds.items():
        figures.add(f"{name} step", 1000 * taken, "ms")
    ratio = seconds["distillation"] / (seconds["plain"] + seconds["teacher"])
    figures.add("distillation over plain step and teacher", ratio, at_most=1.10)
    if memory:
        figures.add("peak memory, plain step", plain_memory / GIB, "GiB")
        figures.add("peak memory, distillation step", memory / GIB, "GiB")


def supernet(figures: Figures, scale: Scale, folder: Path) -> None:
    """The supernet against plain detectors of the same size, and with recomputed blocks.

    At its largest size no tensor of it is sliced; a shrinking phase's steps are those of a subnet.
    """
    del folder
    images, training = noise(scale, scale.batch), scale.training()
    twice = scale.training(activation_checkpointing=True)
    largest, subnet = scale.space.largest, subnet_at(0, 0, scale.space)
    kinds: dict[str, Step] = {
        name: step_of(trainee, settings, images)
        for name, trainee, settings in (
            ("plain", DetectorTrainee(_largest(scale)), training),
            ("supernet", _Subnet(scale, largest), training),
            ("recomputed", _Subnet(scale, largest), twice),
            ("subnet alone", DetectorTrainee(_extracted(scale, subnet)), training),
            ("subnet", _Subnet(scale, subnet), training),
        )
    }
    seconds = median_seconds(kinds, scale.rounds, untimed=1 if scale.thin else 3)
    for name, taken in seconds.items():
        figures.add(f"{name} step", 1000 * taken, "ms")
        if memory := peak_memory(scale, kinds[name]):
            figures.add(f"peak memory, {name} step", memory / GIB, "GiB")
    figures.add("supernet over plain", seconds["supernet"] / seconds["plain"], at_most=1.05)
    ratio = seconds["subnet"] / seconds["subnet alone"]
    figures.add("random subnet over that subnet alone", ratio, at_most=1.05)
    figures.add("recomputed over supernet", seconds["recomputed"] / seconds["supernet"])


class _Subnet(DetectorTrainee):
    """A supernet that trains one subnet."""

    def __init__(self, scale: Scale, teacher: Teacher) -> None:
        super().__init__(_largest(scale))
        self._elastic = ElasticDetector(self.module, scale.supernet, scale.space)
        self._teacher = teacher

    def loss(self, iteration: int, inputs: torch.Tensor, samples: list[Any]) -> Losses:
        del iteration
        return self._elastic.loss(self._teacher, inputs, samples)


def _extracted(scale: Scale, teacher: Teacher) -> TwoStageDetector:
    """A subnet as a detector of its own, on its device."""
    shape = scale.supernet
    own = extract(_largest(scale).state_dict(), shape, scale.space, teacher)
    neck = shape.neck_width(teacher)
    detector = load_detector(shape.architecture(teacher), scale.detector, scale.classes, own, neck)
    return detector.to(scale.device).train()


def _largest(scale: Scale) -> TwoStageDetector:
    """The largest teacher's detector, on its device."""
    seed_everything(1)
    largest = scale.space.largest
    architecture, neck = scale.supernet.architecture(largest), scale.supernet.neck_width(largest)
    detector = build_detector(architecture, scale.detector, scale.classes, neck)
    return detector.to(scale.device).train()
