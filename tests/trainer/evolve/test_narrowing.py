"""Narrowing keeps the most important channels of every convolution."""

import pytest
import torch

from detnas.actions import narrowed
from detnas.architecture import Architecture
from detnas_trainer.evolve import InvalidActionError, narrow_channels
from tests.trainer.evolve.students import BASIC, RESNEXT, STUDENTS, detector, random_state


@pytest.mark.parametrize("parent", STUDENTS.values(), ids=STUDENTS)
def test_narrowed_weights_are_those_of_the_smaller_backbone(parent: Architecture) -> None:
    smaller = narrowed(parent, 0.6)
    assert smaller != parent
    state = narrow_channels(parent, random_state(parent), smaller)
    detector(smaller, state)


def test_channels_of_greatest_gamma_stay() -> None:
    state = random_state(BASIC)
    gammas = state["backbone.layer2.1.bn1.weight"]
    smaller = narrowed(BASIC, 0.5)
    kept = smaller.stages[1][1].widths[0]
    best = gammas.abs().argsort(descending=True)[:kept].sort().values
    after = narrow_channels(BASIC, state, smaller)
    assert torch.equal(after["backbone.layer2.1.bn1.weight"], gammas[best])


def test_narrowing_to_itself_changes_nothing() -> None:
    state = random_state(BASIC)
    after = narrow_channels(BASIC, state, BASIC)
    assert after.keys() == state.keys()
    assert all(torch.equal(after[name], state[name]) for name in state)


def test_narrowing_to_other_blocks_is_refused() -> None:
    with pytest.raises(InvalidActionError, match="other blocks"):
        narrow_channels(BASIC, random_state(BASIC), RESNEXT)
