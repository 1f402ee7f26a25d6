"""What a GPU computes is what the CPU computes, within the error of 32-bit floats."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.gpu.figures import Figures
from bench.gpu.scale import Scale
from bench.training.noise import NoiseImages
from detnas.records.settings import Precision
from detnas_trainer.detector import build_detector
from detnas_trainer.distillation.box_passes import BoxForward, box_forward
from detnas_trainer.openmmlab import TwoStageDetector
from detnas_trainer.trainee import DetectorTrainee
from detnas_trainer.training.gradients import Gradients, seed_everything

IMAGES = 2
SIZE = (320, 192)
LEAST_BOXES = 50
"""Fewer detections in an image would show little."""
BOX_PIXELS, BOX_SCORE = 0.5, 1e-3
"""How far corners and score of equal boxes may be apart."""


def measure(figures: Figures, scale: Scale, folder: Path) -> None:
    """Losses and gradients of one step, and what is detected, on both devices."""
    del folder
    torch.backends.cudnn.allow_tf32 = False
    images = NoiseImages(IMAGES, scale.padded if scale.thin else SIZE, scale.classes)
    losses, gradients, outputs, boxes = _computed(scale, images, "cpu")
    found_losses, found_gradients, found, found_boxes = _computed(scale, images, scale.device)
    for name, part, tolerance in (("RPN's", "rpn", 1e-4), ("all", "loss", 1e-2)):
        difference = abs(_total(found_losses, part) / _total(losses, part) - 1)
        figures.require(f"{name} losses, relative", difference, at_most=tolerance)
    distance = _distance(found_gradients, gradients)
    figures.require("gradients, relative", distance, at_most=2e-2)
    for level, (ours, theirs) in enumerate(zip(found.levels, outputs.levels, strict=True)):
        figures.require(
            f"neck's level {level}, relative", _distance([ours], [theirs]), at_most=1e-4
        )
    logits = _distance([found.logits], [outputs.logits])
    figures.require("class logits, relative", logits, at_most=1e-3)
    deltas = _distance([found.deltas], [outputs.deltas])
    figures.require("box deltas, relative", deltas, at_most=1e-3)
    assert min(map(len, boxes)) >= LEAST_BOXES, f"boxes of each image: {[*map(len, boxes)]}"
    # A float's error can exchange two boxes of equal score, or let another one suppress a third.
    figures.require("detected boxes without an equal", _unmatched(found_boxes, boxes), at_most=0.05)


def _computed(
    scale: Scale, images: NoiseImages, device: str
) -> tuple[dict[str, float], list[Tensor], BoxForward, list[Tensor]]:
    """Losses, gradients, the outputs for the same RoIs, and what is detected."""
    detector = _detector(scale, device)
    training = scale.training(Precision.FLOAT32, batch_size=IMAGES)
    losses = Gradients(DetectorTrainee(detector), training, 1).compute(0, images.batch(IMAGES))
    gradients = [p.grad.cpu() for p in detector.parameters() if p.grad is not None]
    detector.eval()
    batch: dict[str, Any] = detector.data_preprocessor(images.batch(IMAGES), False)
    rois = _rois(batch["inputs"].shape[-1], batch["inputs"].shape[-2]).to(device)
    with torch.inference_mode():
        outputs = box_forward(detector.roi_head, detector.extract_feat(batch["inputs"]), rois)
        boxes = _detected(detector, batch)
    return (
        losses,
        gradients,
        BoxForward(
            tuple(level.cpu() for level in outputs.levels),
            rois.cpu(),
            outputs.features.cpu(),
            outputs.logits.cpu(),
            outputs.deltas.cpu(),
        ),
        boxes,
    )


def _detected(detector: TwoStageDetector, batch: dict[str, Any]) -> list[Tensor]:
    """Detections of each image whatever their scores, n × 6: corners, score and class."""
    detector.roi_head.test_cfg.score_thr = 0.0
    samples = detector.predict(batch["inputs"], batch["data_samples"], rescale=False)
    found = [sample.pred_instances for sample in samples]
    return [
        torch.cat([one.bboxes, one.scores[:, None], one.labels[:, None]], dim=1).cpu()
        for one in found
    ]


def _unmatched(found: list[Tensor], expected: list[Tensor]) -> float:
    """Largest share, among the images, of expected boxes of which no found one is the equal."""
    tolerance = torch.tensor([*[BOX_PIXELS] * 4, BOX_SCORE, 0.0])
    shares = []
    for ours, theirs in zip(found, expected, strict=True):
        is_equal = ((theirs[:, None] - ours[None]).abs() <= tolerance).all(dim=2)
        shares.append(1 - is_equal.any(dim=1).float().mean().item())
    return max(shares)


def _detector(scale: Scale, device: str) -> TwoStageDetector:
    """The student with random statistics and no zero among its batch norms' weights."""
    seed_everything(1)
    detector = build_detector(scale.student, scale.detector, scale.classes)
    for part in detector.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 1.0)
    return detector.to(device).train()


def _rois(width: int, height: int) -> Tensor:
    """Random RoIs in every image."""
    generator = torch.Generator().manual_seed(3)
    size = torch.tensor([width, height])
    corners = torch.rand(IMAGES * 50, 2, generator=generator) * size / 2
    sides = 8 + torch.rand(IMAGES * 50, 2, generator=generator) * size / 2
    image = torch.arange(IMAGES).repeat_interleave(50).unsqueeze(1)
    return torch.cat([image, corners, corners + sides], dim=1)


def _total(losses: dict[str, float], part: str) -> float:
    return sum(value for name, value in losses.items() if part in name and name != "loss")


def _distance(found: list[Tensor], expected: list[Tensor]) -> float:
    """Norm of the difference over that of what is expected."""
    ours, theirs = (torch.cat([t.flatten() for t in tensors]) for tensors in (found, expected))
    return float((ours - theirs).norm() / theirs.norm())
