"""Settings of data, detector and schedule; shared by the manifest and the requests.

Defaults are the paper's numbers, or mmdet's for Faster R-CNN where the paper is silent.
"""

import re
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, model_serializer, model_validator

from detnas.schema import Count, Flag, Fraction, Positive, Schema, added

RESOLUTION = r"^([1-9][0-9]{0,4})x([1-9][0-9]{0,4})$"
_RESOLUTION = re.compile(RESOLUTION)


class Resolution(Schema):
    """A nominal image size, written ``1333x800``; images keep their aspect ratio within it.

    Attributes:
        width: pixels.
        height: pixels.
    """

    width: Positive
    height: Positive

    @property
    def pixels(self) -> int:
        """Width times height: the R of the score (paper, 3.1.4)."""
        return self.width * self.height

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if isinstance(value, dict | Resolution):
            return value
        match = _RESOLUTION.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            raise ValueError(f"{value!r} is no resolution; write WIDTHxHEIGHT, such as 1333x800")
        return {"width": int(match[1]), "height": int(match[2])}

    @model_serializer
    def _to_text(self) -> str:
        return str(self)


Split = Literal["train", "val"]
SPLITS: tuple[Split, ...] = ("train", "val")


class DataLocation(Schema):
    """A detection data set in COCO form, as the job sees it.

    Attributes:
        root: folder that every other path is relative to.
        train: training annotations.
        val: validation annotations.
        train_images: folder of the training images.
        val_images: folder of the validation images.
        horizontal_flip: probability of mirroring a training image; 0 where left and right mean
            different things, as with digits.
    """

    root: str
    train: str
    val: str
    train_images: str = ""
    val_images: str = ""
    horizontal_flip: Annotated[Fraction, Field(le=1)] = Decimal("0.5")

    def annotations(self, split: Split) -> str:
        """Path of a split's annotations, relative to the root."""
        return self.train if split == "train" else self.val

    def images(self, split: Split) -> str:
        """Folder of a split's images, relative to the root; empty if that is the root."""
        return self.train_images if split == "train" else self.val_images


class DetectorVariant(StrEnum):
    """Whose Faster R-CNN with FPN a detector is, in what its weights do not show."""

    MMDET = "Mmdet"
    TORCHVISION = "Torchvision"


class DetectorShape(Schema):
    """Faster R-CNN with an FPN around the backbone."""

    neck: Positive = Field(256, description="Channels of the FPN.")
    fc: Positive = Field(1024, description="Channels of the box head's two shared layers.")
    proposals: Positive = Field(1000, description="Proposals that reach the box head per image.")
    roi_samples: Positive = Field(512, description="RoIs sampled per training image.")
    anchor_scale: Positive = Field(8, description="Anchor side in units of each level's stride.")
    pad_divisor: Positive = Field(
        32, description="Sides of a batch are padded to multiples of this, in pixels."
    )
    variant: DetectorVariant = added(
        1,
        DetectorVariant.MMDET,
        description="Whose anchors and RoIAlign: mmdet's, or those that weights from torchvision "
        "expect (anchors of whole pixels; two samples a bin, not aligned).",
    )


class Schedule(StrEnum):
    """How the learning rate falls (paper, A.1.3 and A.1.4)."""

    COSINE = "Cosine"
    STEP = "Step"


class Precision(StrEnum):
    """Floating point numbers of a training; weights and statistics have 32 bits always."""

    AUTO = "Auto"
    FLOAT32 = "Float32"
    BFLOAT16 = "BFloat16"
    FLOAT16 = "Float16"


MICRO_BATCH = (
    "Images of a batch whose gradients are computed at once; the gradients are added up. Without "
    "it the entire batch, or half of it if memory runs out."
)
PRECISION = (
    "Type of activations: BFloat16 or Float16, Float32, or Auto, which is BFloat16 on a GPU that "
    "has it and Float32 elsewhere."
)

ACTIVATION_CHECKPOINTING = (
    "A residual block of the backbone keeps its input alone for the backward pass, and is computed "
    "twice: less memory, slower steps, the same gradients."
)


class Training(Schema):
    """One run of stochastic gradient descent."""

    epochs: Count = Field(description="Passes over the training images; 0 trains nothing.")
    learning_rate: Annotated[Fraction, Field(gt=0)] = Field(description="Peak learning rate.")
    batch_size: Positive = Field(description="Images per step of the entire job.")
    schedule: Schedule = Field(
        Schedule.COSINE, description="Cosine to zero, or a tenth at 2/3 and 11/12 of the epochs."
    )
    warmup_iterations: Count = Field(
        0, description="Steps over which the learning rate rises linearly from a thousandth."
    )
    momentum: Annotated[Fraction, Field(lt=1)] = Field(Decimal("0.9"), description="Momentum.")
    weight_decay: Fraction = Field(Decimal("0.0001"), description="L2 weight decay.")
    gradient_clip: Fraction = Field(
        Decimal("35"), description="Largest gradient norm (L2); 0 turns clipping off."
    )
    micro_batch: Positive | None = added(1, description=MICRO_BATCH)
    precision: Precision | None = added(1, description=PRECISION)
    activation_checkpointing: Flag = added(1, default=False, description=ACTIVATION_CHECKPOINTING)
    ema: Annotated[Fraction, Field(lt=1)] | None = added(
        1, description="Decay of the weights' exponential moving average; none is taken without."
    )

    def iterations(self, images: int) -> int:
        """Steps that show each of so many images ``epochs`` times; the last may go beyond."""
        return -(-self.epochs * images // self.batch_size)


class Distillation(Schema):
    """Weights and forms of the distillation losses (paper, 3.2 and tables 11, 12)."""

    features: Literal["Proposal", "Whole", "AnchorMask", "GaussianMask", "None"] = Field(
        "Proposal",
        description="Where features are compared: on the student's RoIs; on the neck's maps: all "
        "of them, near anchors that match an object, or by a Gaussian in each object's box; or "
        "not.",
    )
    localization: Literal["ClassAware", "Plain", "None"] = Field(
        "ClassAware", description="Box regression: weighted by the teacher's classes, or plain."
    )
    feature_weight: Fraction = Field(
        Decimal("0.01"),
        description="Weight of the feature loss. At 1 its gradient is some hundred times that of "
        "detection, because the squares are summed over channels.",
    )
    classification_weight: Fraction = Field(
        Decimal("1.0"), description="Weight of the soft classification loss."
    )
    localization_weight: Fraction = Field(
        Decimal("1.0"), description="Weight of the localization loss."
    )
    bn_weight: Fraction = Field(
        Decimal("0.00001"), description="Weight of the batch norms' L1 norm (paper: lambda)."
    )
