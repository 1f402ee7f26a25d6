"""The four actions on a student (paper, 3.1.2 and A.1.2) as typed values.

The two pruning actions name no place: the weights decide, in the trainer, which channels or which
block are removed; the trial's result states them.
"""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from detnas.architecture import Place
from detnas.schema import Fraction, Positive, Schema, Tagged

Stage = Annotated[int, Field(ge=0, le=3)]
LayerNorm = Literal["Sum", "Mean", "WithinStage", "LastGamma"]
"""How layer pruning ranks blocks.

``Sum`` is the L1 norm of a block's parameters, ``Mean`` their mean magnitude, ``WithinStage`` the
L1 norm over the mean one of the stage's blocks, ``LastGamma`` the mean magnitude of the weight of
the branch's last batch norm.
"""


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
        8,
        description="Channels that stay in every convolution, whatever their importance; between "
        "the convolutions of a ResNeXt block, one group.",
    )
    channel_divisor: Positive = Field(
        1, description="Widths after pruning are multiples of this; 8 suits most hardware."
    )
    layer_norm: LayerNorm = Field(
        "WithinStage",
        description="Rank of a block in layer pruning: Sum of its parameters' magnitudes (the "
        "paper's L1 norm) or their Mean; WithinStage, the sum over the mean one of the stage; or "
        "LastGamma, the mean magnitude of the branch's last batch norm weight.",
    )


class ChannelPruning(Tagged):
    """Removes the channels of smallest batch norm weight, ranked over the whole backbone."""

    kind: Literal[ActionKind.CHANNEL_PRUNING] = ActionKind.CHANNEL_PRUNING
    fraction: Annotated[Fraction, Field(gt=0, lt=1)] = Decimal("0.05")
    minimum_channels: Positive = 8
    channel_divisor: Positive = 1


class LayerPruning(Tagged):
    """Removes the least block among those whose shortcut is the identity.

    Attributes:
        norm: how blocks are ranked; a request that does not state it means ``Sum``.
        protected: places of recently added blocks, which are not pruned: a new block is an
            identity and would always have the smallest norm.
    """

    kind: Literal[ActionKind.LAYER_PRUNING] = ActionKind.LAYER_PRUNING
    norm: LayerNorm = "Sum"
    protected: Annotated[tuple[Place, ...], Field(max_length=64)] = ()


class AddLayer(Tagged):
    """Appends an identity block to the end of a stage (counted from 0)."""

    kind: Literal[ActionKind.ADD_LAYER] = ActionKind.ADD_LAYER
    stage: Stage


class Rearrange(Tagged):
    """Moves the last block of a stage to the next one, or the first block to the previous one.

    Attributes:
        source: stage that the block is taken from, from 0.
        target: stage that it is moved to: of ``source + 1`` it becomes the first block, of
            ``source - 1`` the last.
    """

    kind: Literal[ActionKind.REARRANGE] = ActionKind.REARRANGE
    source: Stage
    target: Stage


Action = Annotated[
    ChannelPruning | LayerPruning | AddLayer | Rearrange, Field(discriminator="kind")
]
