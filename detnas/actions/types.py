"""The four actions on a student (paper, 3.1.2 and A.1.2) as typed values.

The two pruning actions name no place: which channels or which block go is decided by the
weights, in the trainer; the trial's result says what was removed.
"""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from detnas.architecture import Place
from detnas.schema import Fraction, Positive, Schema, Tagged

Stage = Annotated[int, Field(ge=0, le=3)]


class ActionKind(StrEnum):
    """Name of an action."""

    CHANNEL_PRUNING = "ChannelPruning"
    LAYER_PRUNING = "LayerPruning"
    ADD_LAYER = "AddLayer"
    REARRANGE = "Rearrange"


class ActionOptions(Schema):
    """How the pruning actions work; the defaults are the project's reading of the paper."""

    channel_fraction: Annotated[Fraction, Field(gt=0, lt=1)] = Field(
        Decimal("0.05"), description="Share of the prunable channels that one action removes."
    )
    minimum_channels: Positive = Field(
        8, description="Channels that stay in every convolution, whatever their importance."
    )
    channel_divisor: Positive = Field(
        1, description="Widths after pruning are multiples of this; 8 suits most hardware."
    )
    layer_norm: Literal["Sum", "Mean"] = Field(
        "Sum", description="L1 norm of a block: sum over its parameters (the paper's) or mean."
    )


class ChannelPruning(Tagged):
    """Removes the channels whose batch norm weights are least, ranked over the whole backbone."""

    kind: Literal[ActionKind.CHANNEL_PRUNING] = ActionKind.CHANNEL_PRUNING
    fraction: Annotated[Fraction, Field(gt=0, lt=1)] = Decimal("0.05")
    minimum_channels: Positive = 8
    channel_divisor: Positive = 1


class LayerPruning(Tagged):
    """Removes the block of least L1 norm among those without a projection.

    Attributes:
        norm: how the norm of a block is taken.
        protected: places of blocks added a short while ago, which are not candidates: a fresh
            block is an identity and would always be the least.
    """

    kind: Literal[ActionKind.LAYER_PRUNING] = ActionKind.LAYER_PRUNING
    norm: Literal["Sum", "Mean"] = "Sum"
    protected: Annotated[tuple[Place, ...], Field(max_length=64)] = ()


class AddLayer(Tagged):
    """Appends an identity block to the end of a stage (counted from 0)."""

    kind: Literal[ActionKind.ADD_LAYER] = ActionKind.ADD_LAYER
    stage: Stage


class Rearrange(Tagged):
    """Moves a block to the neighbouring stage: the last one onward, or the first one back.

    Attributes:
        source: stage that gives the block, from 0.
        target: stage that takes it; ``source + 1`` takes the source's last block at its head,
            ``source - 1`` takes the source's first block at its end.
    """

    kind: Literal[ActionKind.REARRANGE] = ActionKind.REARRANGE
    source: Stage
    target: Stage


Action = Annotated[
    ChannelPruning | LayerPruning | AddLayer | Rearrange, Field(discriminator="kind")
]
