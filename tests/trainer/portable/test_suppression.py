"""Suppression in a program of `torch.export`, however many boxes remain."""

import pytest
import torch
from torch import Tensor, nn

from detnas_trainer.portable.suppression import suppress_by_torchvision


class Suppression(nn.Module):
    def forward(self, boxes: Tensor, scores: Tensor) -> Tensor:
        return suppress_by_torchvision(boxes, scores, 0.5, 0.1, 10)


@pytest.fixture(scope="module")
def program() -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    corners = 20 * torch.rand(2, 6, 2, generator=generator)
    boxes = torch.cat([corners, corners + 5], dim=-1)
    example = (boxes, torch.rand(2, 6, generator=generator))
    return torch.export.export(Suppression(), example).module()


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.0, 0.0, 0.0], [0.0, 0.0, 0.0]),
        ([0.0, 0.9, 0.0], [0.0, 0.9, 0.0]),
        ([0.8, 0.9, 0.0], [0.0, 0.9, 0.0]),
        ([0.8, 0.9, 0.7], [0.0, 0.9, 0.7]),
    ],
    ids=["none", "one", "one of two", "two"],
)
def test_few_boxes_or_none_may_remain(
    program: nn.Module, scores: list[float], expected: list[float]
) -> None:
    place = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [30, 30, 40, 40]])
    boxes = torch.zeros(2, 6, 4)
    boxes[0, :3] = place
    given = torch.zeros(2, 6)
    given[0, :3] = torch.tensor(scores)
    found = program(boxes, given)
    assert found[0, :3].tolist() == pytest.approx(expected)
    assert int((found > 0).sum()) == sum(score > 0 for score in expected)
    assert torch.equal(found, Suppression()(boxes, given))
