"""`spec.base`: the detector to upgrade, trained by the search or from a checkpoint."""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import Field, model_validator

from detnas.architecture import Architecture, Block, EncodingError, Family, parse
from detnas.records.settings import Schedule
from detnas.schema import Count, Fraction, Positive, Schema
from detnas.spec.training import Gpus, TrainingSettings


class Model(StrEnum):
    """Well-known base detectors."""

    R18 = "faster-rcnn-r18-fpn"
    R34 = "faster-rcnn-r34-fpn"
    R50 = "faster-rcnn-r50-fpn"
    R101 = "faster-rcnn-r101-fpn"


_MODELS = {
    Model.R18: (Family.BASIC, (2, 2, 2, 2)),
    Model.R34: (Family.BASIC, (3, 4, 6, 3)),
    Model.R50: (Family.BOTTLENECK, (3, 4, 6, 3)),
    Model.R101: (Family.BOTTLENECK, (3, 4, 23, 3)),
}
_STEM = 64


def model_architecture(model: Model) -> Architecture:
    """The backbone of a well-known model."""
    family, depths = _MODELS[model]
    blocks = [_block(family, _STEM << stage) for stage in range(len(depths))]
    stages = tuple((block,) * depth for block, depth in zip(blocks, depths, strict=True))
    return Architecture(family=family, stem=_STEM, stages=stages)


def _block(family: Family, width: int) -> Block:
    if family is Family.BASIC:
        return Block(widths=(width, width))
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
        _STEM, description="Stem channels of the encoding."
    )
    weights: Annotated[str, Field(min_length=1, max_length=1024)] | None = Field(
        None, description="Checkpoint to start from: a path or an s3:// URI."
    )
    train: BaseTraining | None = Field(
        None, description="Train the base before the search; required without weights."
    )
    gpus: Gpus = Field(1, description="GPUs of the base's job on a cluster; 0 uses its cores.")

    @model_validator(mode="after")
    def _complete(self) -> "Base":
        if (self.model is None) == (self.architecture is None):
            raise ValueError("give either model or architecture")
        if self.weights is None and self.train is None:
            raise ValueError("give weights to start from, or train to train the base first")
        try:
            self.resolve()
        except EncodingError as error:
            raise ValueError(str(error)) from error
        return self

    def resolve(self) -> Architecture:
        """The base's backbone."""
        if self.model is not None:
            return model_architecture(self.model)
        assert self.architecture is not None
        return parse(self.architecture, self.family, self.stem)
