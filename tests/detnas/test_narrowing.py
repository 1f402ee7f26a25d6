"""Uniformly narrower architectures."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detnas.actions import narrowed, narrowed_to
from detnas.architecture import Architecture
from detnas.cost import detector_cost
from detnas.records.settings import DetectorShape, Resolution
from detnas.spec.base import Model, model_architecture
from tests.detnas.strategies import architectures

SIZE = Resolution(width=1333, height=800)


def flops(architecture: Architecture) -> int:
    return detector_cost(architecture, DetectorShape(), 80, SIZE).flops


def streams(architecture: Architecture) -> list[tuple[object, ...]]:
    return [group.members for group in architecture.residual_groups]


@pytest.mark.parametrize("divisor", [1, 8])
@pytest.mark.parametrize("model", [m for m in Model if "mobilenet" not in m])
def test_narrowed_model_costs_at_most_what_is_asked_and_little_less(
    model: Model, divisor: int
) -> None:
    whole = model_architecture(model)
    most = int(0.8 * flops(whole))
    found = narrowed_to(whole, flops, most, minimum=8, divisor=divisor)
    assert 0.98 * most < flops(found) <= most
    assert streams(found) == streams(whole)
    assert all(
        width % divisor == 0 or width == before
        for placed, old in zip(found.blocks, whole.blocks, strict=True)
        for width, before in zip(placed.block.widths, old.block.widths, strict=True)
    )


def test_every_width_is_scaled_by_the_same_ratio() -> None:
    whole = model_architecture(Model.R50)
    found = narrowed(whole, 0.7)
    for placed, old in zip(found.blocks, whole.blocks, strict=True):
        for width, before in zip(placed.block.widths, old.block.widths, strict=True):
            assert abs(width - 0.7 * before) <= 0.5


def test_model_that_costs_no_more_stays_as_it_is() -> None:
    whole = model_architecture(Model.R18)
    assert narrowed_to(whole, flops, flops(whole)) == whole
    assert narrowed(whole, 1.0) == whole


def test_narrowest_model_is_returned_if_even_that_costs_more() -> None:
    whole = model_architecture(Model.MOBILENET_V2)
    found = narrowed_to(whole, flops, 1, minimum=8)
    assert found == narrowed(whole, 0.0, minimum=8)
    assert min(min(placed.block.widths) for placed in found.blocks) == 8


@given(architectures(), st.integers(0, 2**32))
def test_narrowed_architecture_is_never_wider_and_keeps_its_streams(
    whole: Architecture, seed: int
) -> None:
    random = Random(seed)
    ratio, minimum, divisor = random.random(), random.randint(1, 9), random.choice([1, 1, 4, 8])
    found = narrowed(whole, ratio, minimum=minimum, divisor=divisor)
    assert streams(found) == streams(whole)
    assert [p.projection is None for p in found.blocks] == [
        p.projection is None for p in whole.blocks
    ]
    for placed, old in zip(found.blocks, whole.blocks, strict=True):
        pairs = zip(placed.block.widths, old.block.widths, strict=True)
        assert all(1 <= width <= before for width, before in pairs)
