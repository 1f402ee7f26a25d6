"""Layer pruning: the block of least L1 norm, unless it may not go."""

import pytest
import torch
from torch import Tensor

from detnas.actions import LayerPruning
from detnas.architecture import Place, parse
from detnas_trainer.evolve import InvalidActionError, evolve
from tests.trainer.evolve.students import BASIC, BOTTLENECK, MOVED, random_state, same_outputs


def scaled(state: dict[str, Tensor], block: str, factor: float) -> dict[str, Tensor]:
    return {
        name: value * factor
        if name.startswith(f"backbone.{block}.") and value.is_floating_point()
        else value
        for name, value in state.items()
    }


@pytest.mark.parametrize(("block", "place"), [("layer1.1", Place(0, 1)), ("layer2.2", Place(1, 2))])
def test_the_least_block_goes(block: str, place: Place) -> None:
    state = scaled(random_state(BASIC), block, 1e-3)
    evolved = evolve(BASIC, state, LayerPruning(), seed=0)
    assert evolved.removed == (place,)
    assert evolved.architecture.depths[place.stage] == BASIC.depths[place.stage] - 1


def test_statistics_do_not_count_towards_the_norm() -> None:
    state = scaled(random_state(BASIC), "layer2.2", 1e-3)
    state["backbone.layer2.2.bn1.running_mean"] += 1e6
    assert evolve(BASIC, state, LayerPruning(), seed=0).removed == (Place(1, 2),)


def test_sum_and_mean_differ_where_a_block_is_small_but_dense() -> None:
    parent = parse("[(32, 16)-(32, 16)], [(4, 16)-(2, 16)], [(4, 16)], [(4, 16)]", stem=12)
    state = random_state(parent)
    for name in state:
        if name.startswith("backbone.layer") and name.endswith("weight"):
            state[name] = torch.full_like(state[name], 1.0 if "layer2" in name else 0.5)
    removed = [
        evolve(parent, state, LayerPruning(norm=norm), seed=0).removed for norm in ("Sum", "Mean")
    ]
    assert removed == [(Place(1, 1),), (Place(0, 1),)]


def test_a_protected_block_stays() -> None:
    state = scaled(scaled(random_state(BASIC), "layer2.2", 1e-3), "layer3.1", 1e-2)
    action = LayerPruning(protected=(Place(1, 2),))
    assert evolve(BASIC, state, action, seed=0).removed == (Place(2, 1),)


def test_a_block_with_a_projection_stays_however_small() -> None:
    state = scaled(random_state(MOVED), "layer2.1", 0.0)
    assert evolve(MOVED, state, LayerPruning(), seed=0).removed != (Place(1, 1),)


def test_removing_a_block_that_adds_nothing_keeps_the_outputs() -> None:
    state = random_state(BOTTLENECK)
    for kind in ("weight", "bias"):
        state[f"backbone.layer1.1.bn3.{kind}"].zero_()
    state = scaled(state, "layer1.1", 1e-3)
    evolved = evolve(BOTTLENECK, state, LayerPruning(), seed=0)
    assert evolved.removed == (Place(0, 1),)
    assert evolved.origin[Place(0, 1)] == Place(0, 2)
    assert same_outputs((BOTTLENECK, state), (evolved.architecture, evolved.state))


def test_no_candidate_is_an_error() -> None:
    parent = parse("[(4, 8)], [(4, 8)], [(4, 8)], [(4, 8)]", stem=8)
    with pytest.raises(InvalidActionError, match="every block has a projection"):
        evolve(parent, random_state(parent), LayerPruning(), seed=0)


def test_weights_that_are_not_finite_are_an_error() -> None:
    state = random_state(BASIC)
    state["backbone.layer2.1.conv1.weight"][0, 0, 0, 0] = torch.nan
    with pytest.raises(InvalidActionError, match="not finite"):
        evolve(BASIC, state, LayerPruning(), seed=0)
