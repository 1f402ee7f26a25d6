"""The DetNASSearch manifest: what a user writes, on a laptop as on a cluster."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, model_validator

from detnas.records.settings import DetectorShape, Distillation, Resolution
from detnas.schema import Fraction, Positive, Schema
from detnas.spec.base import Base
from detnas.spec.patterns import LABEL, NAMESPACE, STORE_URI
from detnas.spec.search import Evaluation, Finetune, Retention, Search
from detnas.spec.teachers import Teachers

API_VERSION = "detnas.dev/v1alpha1"
KIND = "DetNASSearch"
Path = Annotated[str, Field(min_length=1, max_length=1024)]
Label = Annotated[str, Field(pattern=LABEL, max_length=48)]


class Metadata(Schema):
    """Name of the search; a DNS-1035 label of at most 48 characters.

    Labels and annotations are carried for the cluster's tools and change nothing here.
    """

    name: Label
    namespace: Annotated[str, Field(pattern=NAMESPACE, max_length=63)] = "local"
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class DataSource(Schema):
    """Where the data set lies."""

    directory: Path = Field(
        description="A folder on this machine; relative to the manifest's folder."
    )


class Dataset(Schema):
    """A detection data set in COCO form."""

    source: DataSource
    train: Path = Field(description="Training annotations, relative to the source.")
    val: Path = Field(description="Validation annotations, relative to the source.")
    train_images: str = Field(
        "", max_length=1024, description="Folder of the training images, relative to the source."
    )
    val_images: str = Field(
        "", max_length=1024, description="Folder of the validation images, relative to the source."
    )
    horizontal_flip: Annotated[Fraction, Field(le=1)] = Field(
        Decimal("0.5"),
        description="Probability of mirroring a training image; 0 where left and right differ.",
    )


class Storage(Schema):
    """Where weights and results are kept."""

    uri: Annotated[str, Field(pattern=STORE_URI, max_length=1024)] = Field(
        description="s3://bucket/prefix or file:///folder."
    )


PAPER_RESOLUTIONS = tuple(
    Resolution(width=width, height=height)
    for width, height in ((512, 512), (800, 600), (1080, 720), (1333, 800))
)


class SearchSpec(Schema):
    """Everything a search is told; every default is the paper's."""

    base: Base
    dataset: Dataset
    detector: DetectorShape = Field(
        DetectorShape(), description="Shape of neck and heads, shared by base and students."
    )
    resolutions: tuple[Resolution, ...] = Field(
        PAPER_RESOLUTIONS,
        min_length=1,
        max_length=16,
        description="Sizes drawn in training and evaluated; the largest is the base resolution.",
    )
    teachers: Teachers = Field(Teachers(), description="The elastic teacher pool.")
    search: Search = Field(Search(), description="Hill climbing.")
    evaluation: Evaluation = Field(Evaluation(), description="Training of each trial.")
    distillation: Distillation = Field(Distillation(), description="Losses under a teacher.")
    finetune: Finetune | None = Field(
        None, description="Train the best student on after the search; left out, it is not."
    )
    retention: Retention = Field(Retention(), description="Which weights stay in the store.")
    storage: Storage | None = Field(
        None, description="On one machine this may be left out; the run's folder is used."
    )
    evaluation_batch: Positive = Field(8, description="Images evaluated at once.")

    @model_validator(mode="after")
    def _distinct_resolutions(self) -> "SearchSpec":
        for number, resolution in enumerate(self.resolutions):
            if resolution in self.resolutions[:number]:
                raise ValueError(f"resolutions: {resolution} is listed twice; list each once")
        return self

    @property
    def base_resolution(self) -> Resolution:
        """R_base of the score: the largest listed."""
        return max(self.resolutions, key=lambda resolution: resolution.pixels)


class DetNASSearch(Schema):
    """A search for a smaller, better detector."""

    api_version: Literal["detnas.dev/v1alpha1"]
    kind: Literal["DetNASSearch"]
    metadata: Metadata
    spec: SearchSpec
