"""Random lineages: whatever the actions, the weights fit the architecture and it trains."""

import math
from decimal import Decimal
from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from detnas.actions import ActionOptions, AddedBlock, ChannelPruning, age, legal_actions
from detnas.actions.legality import PROTECTED_STEPS
from detnas.architecture import Architecture, encode, parse
from detnas.cost import detector_cost
from detnas.records.settings import Resolution
from detnas_trainer.evolve import Evolved, InvalidActionError, evolve
from detnas_trainer.weights import WeightsMismatchError
from tests.trainer.evolve.students import (
    BASIC,
    BOTTLENECK,
    CLASSES,
    SHAPE,
    STUDENTS,
    detector,
    random_state,
)
from tests.trainer.samples import sample

OPTIONS = ActionOptions(channel_fraction=Decimal("0.05"), minimum_channels=3)
STEPS = 30


def lineage(parent: Architecture, seed: int) -> list[Evolved]:
    random = Random(seed)
    architecture, state = parent, random_state(parent, seed)
    state["adaptor.weight"] = torch.randn(4, 4, 3, 3)
    added: tuple[AddedBlock, ...] = ()
    steps: list[Evolved] = []
    for step in range(2 * STEPS):
        actions = legal_actions(architecture, added, OPTIONS)
        action = random.choice(actions[random.choice(sorted(actions))])
        try:
            evolved = evolve(architecture, state, action, seed=step)
        except InvalidActionError:
            # Legality cannot see which widths a ranking would make equal.
            assert isinstance(action, ChannelPruning)
            continue
        added = age(added, evolved.origin, PROTECTED_STEPS)
        architecture, state = evolved.architecture, evolved.state
        steps.append(evolved)
        if len(steps) == STEPS:
            return steps
    pytest.fail(f"only {len(steps)} of {2 * STEPS} actions could be taken")


def trained_parameters(evolved: Evolved) -> int:
    """Weights and biases of the backbone."""
    return sum(
        value.numel()
        for name, value in evolved.state.items()
        if name.startswith("backbone.") and name.endswith((".weight", ".bias"))
    )


@pytest.mark.parametrize("parent", STUDENTS.values(), ids=STUDENTS)
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_lineage_of_thirty_actions_holds_together(parent: Architecture, seed: int) -> None:
    steps = lineage(parent, seed)
    assert len(steps) == STEPS
    for evolved in steps:
        architecture = evolved.architecture
        text, groups = encode(architecture), architecture.group_widths
        assert (
            parse(text, architecture.family, architecture.stem, group_widths=groups) == architecture
        )
        assert Architecture.model_validate_json(architecture.model_dump_json()) == architecture
        assert evolved.origin.keys() == {placed.place for placed in architecture.blocks}
        cost = detector_cost(architecture, SHAPE, CLASSES, Resolution(width=64, height=64))
        assert cost.backbone.flops > 0
        assert cost.backbone.parameters == trained_parameters(evolved)
    last = steps[-1]
    for evolved in (*steps[:: STEPS // 3], last):
        detector(evolved.architecture, evolved.state)

    model = detector(last.architecture, last.state).train()
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    loss, _ = model.parse_losses(model(torch.randn(1, 3, 64, 64), [sample()], mode="loss"))
    loss.backward()
    optimizer.step()
    assert math.isfinite(loss.item())
    assert all(p.grad is not None for p in model.backbone.parameters())


def test_tensors_outside_backbone_and_laterals_are_unchanged() -> None:
    steps = lineage(BASIC, 1)
    first, last = steps[0].state, steps[-1].state
    outside = [
        name for name in first if not name.startswith(("backbone.layer", "neck.lateral_convs"))
    ]
    assert "adaptor.weight" in outside
    assert "roi_head.bbox_head.fc_cls.weight" in outside
    assert all(first[name] is last[name] for name in outside)


def test_lineage_is_the_same_every_time() -> None:
    first, second = (lineage(BOTTLENECK, 4)[-1] for _ in range(2))
    assert first.architecture == second.architecture
    assert first.notes == second.notes
    assert all(torch.equal(first.state[name], value) for name, value in second.state.items())


@pytest.mark.parametrize(
    "name", ["backbone.layer2.0.conv1.weight", "neck.lateral_convs.1.conv.weight"]
)
def test_weights_of_another_architecture_are_refused(name: str) -> None:
    state = random_state(BASIC)
    state[name] = state[name][:, :-1]
    with pytest.raises(WeightsMismatchError, match=name):
        evolve(BASIC, state, ChannelPruning(), seed=0)
