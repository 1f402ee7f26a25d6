"""Settings of data, detector and schedule; shared by the manifest and the requests.

Defaults are the paper's numbers, or mmdet's for Faster R-CNN where the paper is silent.
"""

import re
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import Field, model_serializer, model_validator

from detnas.schema import Count, Flag, Fraction, Positive, Schema, added

Above = Annotated[Fraction, Field(gt=0)]
"""A number above 0."""

RESOLUTION = r"^([1-9][0-9]{0,4})x([1-9][0-9]{0,4})$"
_RESOLUTION = re.compile(RESOLUTION)


@lru_cache(maxsize=1024)  # an operator reads the same few a hundred times for each search
def _parsed_resolution(text: str) -> dict[str, int] | None:
    match = _RESOLUTION.fullmatch(text)
    return None if match is None else {"width": int(match[1]), "height": int(match[2])}


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
        parsed = _parsed_resolution(value) if isinstance(value, str) else None
        if parsed is not None:
            return parsed
        raise ValueError(f"{value!r} is no resolution; write WIDTHxHEIGHT, such as 1333x800")

    @model_serializer
    def _to_text(self) -> str:
        return str(self)


Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val")
"""The splits that a search decides by."""

ALL_SPLITS: tuple[Split, ...] = (*SPLITS, "test")
"""And the one that is scored once, after every decision; a data set need not have it."""


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
        test: test annotations; None if there are none.
        test_images: folder of the test images.
    """

    root: str
    train: str
    val: str
    train_images: str = ""
    val_images: str = ""
    horizontal_flip: Annotated[Fraction, Field(le=1)] = Decimal("0.5")
    test: str | None = added(1)
    test_images: str = added(1, "")

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits that the data set has."""
        return ALL_SPLITS if self.test is not None else SPLITS

    def annotations(self, split: Split) -> str:
        """Path of a split's annotations, relative to the root."""
        return {"train": self.train, "val": self.val, "test": self.test or ""}[split]

    def images(self, split: Split) -> str:
        """Folder of a split's images, relative to the root; empty if that is the root."""
        return {"train": self.train_images, "val": self.val_images, "test": self.test_images}[split]


class DetectorVariant(StrEnum):
    """Whose Faster R-CNN with FPN a detector is, in what its weights do not show."""

    MMDET = "Mmdet"
    TORCHVISION = "Torchvision"


class HeadKind(StrEnum):
    """How often a detector regresses a proposal's box."""

    STANDARD = "Standard"
    CASCADE = "Cascade"


Fractions4 = tuple[Above, Above, Above, Above]
"""One number each for a box's x, y, width and height."""

RPN_STDS = (Decimal(1),) * 4


class BoxStage(Schema):
    """One box head: what it is trained on, and the units of its boxes."""

    iou: Annotated[Fraction, Field(gt=0, le=1)] = Field(
        Decimal("0.5"), description="Least overlap with an object, as IoU, of an RoI that shows it."
    )
    stds: Fractions4 = Field(
        (Decimal("0.1"), Decimal("0.1"), Decimal("0.2"), Decimal("0.2")),
        description="Deviations by which the head's box deltas are divided: x, y, width, height.",
    )
    loss_weight: Fraction = Field(Decimal(1), description="Weight of the head's losses.")


_STAGES: dict[HeadKind, tuple[BoxStage, ...]] = {
    HeadKind.STANDARD: (BoxStage(),),
    HeadKind.CASCADE: tuple(
        BoxStage(
            iou=Decimal(iou),
            stds=(Decimal(centre), Decimal(centre), Decimal(size), Decimal(size)),
            loss_weight=Decimal(weight),
        )
        for iou, centre, size, weight in (
            ("0.5", "0.1", "0.2", "1"),
            ("0.6", "0.05", "0.1", "0.5"),
            ("0.7", "0.033", "0.067", "0.25"),
        )
    ),
}


class PixelOrder(StrEnum):
    """The order of a picture's channels."""

    RGB = "RGB"
    BGR = "BGR"


class Pixels(Schema):
    """How pixels of 0 to 255 are normalised; the defaults are ImageNet's."""

    order: PixelOrder = Field(
        PixelOrder.RGB, description="Channels in the order in which the backbone takes them."
    )
    mean: tuple[Fraction, Fraction, Fraction] = Field(
        (Decimal("123.675"), Decimal("116.28"), Decimal("103.53")),
        description="Subtracted from each channel, in that order.",
    )
    std: tuple[Above, Above, Above] = Field(
        (Decimal("58.395"), Decimal("57.12"), Decimal("57.375")),
        description="Divides each channel then.",
    )


class BoxSelection(Schema):
    """Which of the boxes found are kept."""

    score_threshold: Annotated[Fraction, Field(le=1)] = Field(
        Decimal("0.05"), description="Boxes of a lower score are dropped."
    )
    nms_iou: Annotated[Fraction, Field(gt=0, le=1)] = Field(
        Decimal("0.5"), description="IoU above which the lower of two boxes of a class is dropped."
    )
    max_per_image: Positive = Field(100, description="Most boxes in an image.")


_ANCHOR_SCALE = 8


class DetectorShape(Schema):
    """Faster R-CNN or Cascade R-CNN with an FPN, around the backbone."""

    neck: Positive = Field(256, description="Channels of the FPN.")
    fc: Positive = Field(1024, description="Channels of the box head's two shared layers.")
    proposals: Positive = Field(1000, description="Proposals that reach the box head per image.")
    roi_samples: Positive = Field(512, description="RoIs sampled per training image.")
    anchor_scale: Positive = Field(
        _ANCHOR_SCALE, description="Anchor side in units of each level's stride."
    )
    pad_divisor: Positive = Field(
        32, description="Sides of a batch are padded to multiples of this, in pixels."
    )
    variant: DetectorVariant = added(
        1,
        DetectorVariant.MMDET,
        description="Whose anchors and RoIAlign: mmdet's, or those that weights from torchvision "
        "expect (anchors of whole pixels; two samples a bin, not aligned).",
    )
    head: HeadKind = added(
        1,
        HeadKind.STANDARD,
        description="Standard has one box head with a box per class; Cascade has several, each "
        "with one box for all classes, which correct each other's boxes.",
    )
    stages: Annotated[tuple[BoxStage, ...], Field(max_length=5)] = added(
        1,
        (),
        description="The box heads, in order. Default: one; with Cascade the three of Cascade "
        "R-CNN, whose IoU is 0.5, 0.6 and 0.7.",
    )
    anchor_scales: Annotated[tuple[Positive, ...], Field(max_length=16)] = added(
        1, (), description="Several anchor scales, in place of anchorScale."
    )
    anchor_ratios: Annotated[tuple[Above, ...], Field(min_length=1, max_length=16)] = added(
        1,
        (Decimal("0.5"), Decimal(1), Decimal(2)),
        description="Heights of the anchors divided by their widths.",
    )
    rpn_stds: Fractions4 = added(
        1,
        RPN_STDS,
        description="Deviations by which the RPN's box deltas are divided: x, y, width, height.",
    )
    rpn_beta: Fraction | None = added(
        1,
        description="Where the RPN's box loss turns from quadratic to linear; 0 is L1. Default: 0, "
        "with Cascade 1/9.",
    )
    box_beta: Fraction | None = added(
        1, description="The same of the box heads. Default: 0, with Cascade 1."
    )
    roi_size: Positive = added(1, 7, description="Side of an RoI's features, in cells.")
    roi_finest_scale: Positive = added(
        1,
        56,
        description="RoIs of less than twice this side, in pixels, take their features from the "
        "FPN's finest level, those of less than four times from the second, and so on. Lower it "
        "with the size of the images.",
    )
    training_proposals: Positive | None = added(
        1,
        description="Proposals per training image. Default: as proposals, with Cascade twice as "
        "many.",
    )
    proposal_nms_iou: Annotated[Fraction, Field(gt=0, le=1)] = added(
        1,
        Decimal("0.7"),
        description="IoU above which the lower of two proposals is dropped.",
    )
    pixels: Pixels = added(1, Pixels(), description="How pixels are normalised.")
    boxes: BoxSelection = added(1, BoxSelection(), description="Which of the boxes found are kept.")

    @model_validator(mode="after")
    def _consistent(self) -> "DetectorShape":
        if self.anchor_scales and self.anchor_scale != _ANCHOR_SCALE:
            raise ValueError("give either anchorScale or anchorScales")
        if self.stages and (len(self.stages) > 1) is not self.is_cascade:
            raise ValueError(
                f"head {self.head} has {'at least two' if self.is_cascade else 'one'} of stages, "
                f"not {len(self.stages)}"
            )
        return self

    @property
    def is_cascade(self) -> bool:
        """Whether several box heads follow one another."""
        return self.head is HeadKind.CASCADE

    @property
    def box_stages(self) -> tuple[BoxStage, ...]:
        """The box heads, in order."""
        return self.stages or _STAGES[self.head]

    @property
    def scales(self) -> tuple[int, ...]:
        """Anchor sides in units of each level's stride."""
        return self.anchor_scales or (self.anchor_scale,)

    @property
    def anchors(self) -> int:
        """Anchors at one position of a level."""
        return len(self.scales) * len(self.anchor_ratios)

    @property
    def betas(self) -> tuple[float, float]:
        """Where the box losses of RPN and box heads turn linear; 0 is L1."""
        defaults = (1 / 9, 1.0) if self.is_cascade else (0.0, 0.0)
        given = (self.rpn_beta, self.box_beta)
        rpn, box = (
            default if beta is None else float(beta)
            for beta, default in zip(given, defaults, strict=True)
        )
        return rpn, box

    @property
    def proposals_in_training(self) -> int:
        """Proposals per training image."""
        default = 2 * self.proposals if self.is_cascade else self.proposals
        return self.training_proposals or default


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
