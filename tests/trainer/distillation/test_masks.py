"""The masks and their loss: formulas read directly, and what must hold whatever the maps are."""

import math

import pytest
import torch
from mmdet.models.task_modules import AnchorGenerator

from detnas_trainer.distillation.losses import map_loss
from detnas_trainer.distillation.masks import anchor_masks, gaussian_mask

BOX = torch.tensor([[8.0, 16.0, 40.0, 40.0]])
NO_BOX = torch.zeros(0, 4)
STRIDES = (4, 8)


def _anchors(side: int) -> list[torch.Tensor]:
    """Square anchors of 16 and 32 pixels, at strides 4 and 8."""
    generator = AnchorGenerator(strides=STRIDES, ratios=[1.0], scales=[4])
    sizes = [(side // stride, side // stride) for stride in STRIDES]
    found = generator.grid_priors(sizes, device="cpu")
    return [a.view(*size, 1, 4) for a, size in zip(found, sizes, strict=True)]


def _overlap(box: list[float], anchor: list[float]) -> float:
    width = min(box[2], anchor[2]) - max(box[0], anchor[0])
    height = min(box[3], anchor[3]) - max(box[1], anchor[1])
    common = max(width, 0) * max(height, 0)
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (box, anchor)]
    return common / (sum(areas) - common)


def test_anchor_masks_mark_positions_above_half_of_the_boxs_best_overlap() -> None:
    anchors = _anchors(64)
    overlaps = [
        [[_overlap(BOX[0].tolist(), cell[0]) for cell in row] for row in level.tolist()]
        for level in anchors
    ]
    best = max(max(map(max, level)) for level in overlaps)
    for mask, level in zip(anchor_masks(BOX, anchors), overlaps, strict=True):
        assert mask.tolist() == [[float(cell > best / 2) for cell in row] for row in level]


def test_anchor_masks_mark_the_levels_of_an_objects_size_only() -> None:
    small = torch.tensor([[20.0, 20.0, 36.0, 36.0]])  # as the anchors of the first level
    fine, coarse = anchor_masks(small, _anchors(64))
    assert fine.sum() > 0
    assert coarse.sum() == 0


def test_anchor_masks_of_two_objects_are_the_union() -> None:
    boxes = torch.cat([BOX, torch.tensor([[40.0, 4.0, 60.0, 20.0]])])
    both, *each = (anchor_masks(part, _anchors(64))[0] for part in (boxes, boxes[:1], boxes[1:]))
    assert torch.equal(both, torch.maximum(*each))


def test_gaussian_mask_is_a_bell_in_the_box_and_zero_outside() -> None:
    mask = gaussian_mask(BOX, (16, 16), (4, 4))
    for row in range(16):
        for column in range(16):
            x, y = 4 * column + 2, 4 * row + 2
            inside = 8 <= x <= 40 and 16 <= y <= 40
            bell = math.exp(-(((x - 24) / 16) ** 2) / 2 - (((y - 28) / 12) ** 2) / 2)
            assert mask[row, column].item() == pytest.approx(bell if inside else 0)


def test_gaussian_mask_of_overlapping_objects_is_the_larger_weight() -> None:
    boxes = torch.cat([BOX, torch.tensor([[20.0, 20.0, 60.0, 60.0]])])
    both, *each = (gaussian_mask(part, (16, 16), (4, 4)) for part in (boxes, boxes[:1], boxes[1:]))
    assert torch.equal(both, torch.maximum(*each))


def test_masks_of_an_image_without_objects_are_zero() -> None:
    assert sum(mask.sum() for mask in anchor_masks(NO_BOX, _anchors(64))) == 0
    assert gaussian_mask(NO_BOX, (16, 16), (4, 4)).sum() == 0


def _loss(
    student: list[torch.Tensor], teacher: list[torch.Tensor], masks: list[torch.Tensor]
) -> torch.Tensor:
    total, points = map_loss(student, teacher, masks)
    return total / points


def test_map_loss_sums_over_channels_and_averages_over_the_mask() -> None:
    torch.manual_seed(0)
    student, teacher = ([torch.randn(2, 3, side, side) for side in (4, 2)] for _ in range(2))
    masks = [torch.rand(2, side, side) for side in (4, 2)]
    total = points = 0.0
    for ours, theirs, mask in zip(student, teacher, masks, strict=True):
        for image, row, column in torch.cartesian_prod(*map(torch.arange, mask.shape)).tolist():
            weight = mask[image, row, column].item()
            difference = ours[image, :, row, column] - theirs[image, :, row, column]
            total += weight * sum(d**2 for d in difference.tolist())
            points += weight
    assert _loss(student, teacher, masks).item() == pytest.approx(total / points, rel=1e-5)


@pytest.mark.parametrize("side", [4, 64])
def test_map_loss_of_a_constant_difference_is_the_same_at_every_size(side: int) -> None:
    teacher = [torch.zeros(1, 3, side, side)]
    student = [torch.full((1, 3, side, side), 2.0)]
    masks = [gaussian_mask(BOX / 64 * side, (side, side), (1, 1))[None]]
    assert _loss(student, teacher, masks).item() == pytest.approx(12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_map_loss_of_16_bit_maps_is_computed_in_32_bits(dtype: torch.dtype) -> None:
    student = [torch.full((1, 256, 17, 17), 20.0, dtype=dtype)]
    teacher = [torch.zeros(1, 256, 17, 17, dtype=dtype)]
    total, points = map_loss(student, teacher, [torch.ones(1, 17, 17)])
    assert (total.item(), points.item()) == (256 * 20**2 * 17**2, 17**2)


def test_map_losss_gradient_lies_inside_the_mask() -> None:
    torch.manual_seed(0)
    student = torch.randn(1, 3, 16, 16, requires_grad=True)
    mask = anchor_masks(BOX, _anchors(64))[0][None]
    _loss([student], [torch.randn(1, 3, 16, 16)], [mask]).backward()
    assert student.grad is not None
    assert torch.equal(student.grad.abs().sum(dim=1) > 0, mask > 0)
