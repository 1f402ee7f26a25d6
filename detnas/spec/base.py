"""`spec.base`: the detector to upgrade, trained by the search or from a checkpoint."""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import Field, model_validator

from detnas.architecture import (
    GROUP_WIDTH,
    WIDEST_GROUP,
    Architecture,
    Block,
    EncodingError,
    Family,
    parse,
)
from detnas.records.settings import Schedule
from detnas.schema import Count, Flag, Fraction, Positive, Schema, added
from detnas.spec.training import Gpus, TrainingSettings


class Model(StrEnum):
    """Well-known base detectors."""

    R18 = "faster-rcnn-r18-fpn"
    R34 = "faster-rcnn-r34-fpn"
    R50 = "faster-rcnn-r50-fpn"
    R101 = "faster-rcnn-r101-fpn"
    X101 = "faster-rcnn-x101-32x4d-fpn"
    MOBILENET_V2 = "faster-rcnn-mobilenetv2-fpn"


_RESNETS = {
    Model.R18: (Family.BASIC, (2, 2, 2, 2)),
    Model.R34: (Family.BASIC, (3, 4, 6, 3)),
    Model.R50: (Family.BOTTLENECK, (3, 4, 6, 3)),
    Model.R101: (Family.BOTTLENECK, (3, 4, 23, 3)),
    Model.X101: (Family.RESNEXT, (3, 4, 23, 3)),
}
_STEM = 64
_MOBILENET_V2 = (
    "[(96, 24)-(144, 24)], [(144, 32)-(192, 32)-(192, 32)], "
    "[(192, 64)-(384, 64)-(384, 64)-(384, 64)-(384, 96)-(576, 96)-(576, 96)], "
    "[(576, 160)-(960, 160)-(960, 160)-(960, 320)]"
)
"""Its sizes after the first, as mmdet divides them for an FPN (out_indices 1, 2, 4 and 7)."""
_STAGES = 4

WeightsAddress = Annotated[str, Field(min_length=1, max_length=1024)]


def model_architecture(model: Model) -> Architecture:
    """The backbone of a well-known model."""
    if model is Model.MOBILENET_V2:
        return parse(_MOBILENET_V2, Family.MOBILENET_V2)
    family, depths = _RESNETS[model]
    blocks = [_block(family, _STEM << stage) for stage in range(len(depths))]
    stages = tuple((block,) * depth for block, depth in zip(blocks, depths, strict=True))
    return Architecture(family=family, stem=_STEM, stages=stages)


def _block(family: Family, width: int) -> Block:
    if family is Family.BASIC:
        return Block(widths=(width, width))
    if family is Family.RESNEXT:  # 32 groups, of 4 channels in stage 1
        return Block(widths=(2 * width, 2 * width, 4 * width), group_width=width // 16)
    return Block(widths=(width, width, 4 * width))


class BaseTraining(TrainingSettings):
    """How the base is trained; the defaults are the paper's 2x schedule."""

    epochs: Positive = Field(24, description="Passes over the training images.")
    learning_rate: Annotated[Fraction, Field(gt=0)] = Field(
        Decimal("0.02"), description="Initial learning rate."
    )
    batch_size: Positive = Field(16, description="Images per step of the entire job.")
    schedule: Schedule = Field(Schedule.STEP, description="How the learning rate falls.")
    warmup_iterations: Count = Field(500, description="Steps of linear warm-up.")


class Base(Schema):
    """The detector to upgrade: a model or an encoding, with weights or a schedule to train it."""

    model: Model | None = Field(None, description="A well-known detector.")
    architecture: Annotated[str, Field(max_length=16384)] | None = Field(
        None, description="The backbone's encoding (paper, Appendix B)."
    )
    family: Family | None = Field(
        None,
        description="Kind of block of the encoding. Default: Basic for pairs, else Bottleneck.",
    )
    stem: Annotated[int, Field(ge=1, le=65536, strict=True)] = Field(
        _STEM, description="Stem channels of the encoding; of the usual MobileNetV2, 16."
    )
    group_width: Annotated[int, Field(ge=1, le=WIDEST_GROUP, strict=True)] = added(
        1,
        GROUP_WIDTH,
        description="Channels of a group in stage 1 of a ResNeXt encoding; it doubles with every "
        "stage.",
    )
    weights: WeightsAddress | None = Field(
        None, description="Checkpoint to start from: a path or an s3:// URI."
    )
    backbone_weights: WeightsAddress | None = added(
        1,
        description="ImageNet weights to start from, of the backbone alone: a path or an s3:// "
        "URI. Neck and heads are initialised, so train is required.",
    )
    frozen_stages: Annotated[int, Field(ge=-1, le=_STAGES, strict=True)] | None = added(
        1,
        description="The stem and this many stages keep their weights while the base is trained; "
        "-1 trains everything. Default: 1 with backboneWeights, else -1.",
    )
    norm_eval: Flag | None = added(
        1,
        description="The backbone's batch norms keep their statistics while the base is trained. "
        "Default: true with backboneWeights, else false.",
    )
    zero_init_residual: Flag = added(
        1,
        default=True,
        description="The last batch norm of every residual branch is initialised at 0, as mmdet "
        "does, so that a block begins as its shortcut; false initialises it at 1, so that every "
        "branch takes part from the first step. It is also that of students that inherit no "
        "weights; on MobileNetV2 it has no effect.",
    )
    train: BaseTraining | None = Field(
        None, description="Train the base before the search; required without weights."
    )
    gpus: Gpus = Field(1, description="GPUs of the base's job, a process on each; 0 uses cores.")

    @model_validator(mode="after")
    def _complete(self) -> "Base":
        if (self.model is None) == (self.architecture is None):
            raise ValueError("give either model or architecture")
        self._check_start()
        try:
            self.resolve()
        except EncodingError as error:
            raise ValueError(str(error)) from error
        return self

    def _check_start(self) -> None:
        if self.weights is not None and self.backbone_weights is not None:
            raise ValueError("give either weights, of a whole detector, or backboneWeights")
        if self.weights is None and self.train is None:
            if self.backbone_weights is not None:
                raise ValueError("give train: with backboneWeights alone the heads are untrained")
            raise ValueError("give weights to start from, or train to train the base first")
        kept = self.frozen_stages is not None or self.norm_eval is not None
        if kept and (self.initial_weights is None or self.train is None):
            raise ValueError(
                "frozenStages and normEval say what a training from weights keeps; give train, and "
                "weights or backboneWeights"
            )
        if not self.zero_init_residual and self.initial_weights is not None:
            raise ValueError(
                "zeroInitResidual says how a training from nothing begins; leave it out with "
                "weights or backboneWeights"
            )

    @property
    def initial_weights(self) -> str | None:
        """Path or URI of the weights that the base starts from, whatever part they are of."""
        return self.weights if self.backbone_weights is None else self.backbone_weights

    @property
    def weights_field(self) -> str:
        """Path, in a manifest's `spec`, of the field that names the initial weights."""
        return "base.weights" if self.backbone_weights is None else "base.backboneWeights"

    @property
    def kept_stages(self) -> int:
        """Stages that keep their weights in training, beside the stem; -1 if all is trained."""
        if self.frozen_stages is not None:
            return self.frozen_stages
        return -1 if self.backbone_weights is None else 1

    @property
    def kept_norms(self) -> bool:
        """Whether the backbone's batch norms keep their statistics in training."""
        if self.norm_eval is not None:
            return self.norm_eval
        return self.backbone_weights is not None

    def resolve(self) -> Architecture:
        """The base's backbone."""
        if self.model is not None:
            return model_architecture(self.model)
        assert self.architecture is not None
        return parse(self.architecture, self.family, self.stem, group_width=self.group_width)
