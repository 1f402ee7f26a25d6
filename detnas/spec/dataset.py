"""`spec.dataset`: a detection data set in COCO format, and where it is stored."""

from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from detnas.schema import Fraction, Schema, added
from detnas.spec.patterns import INNER_PATH, OBJECT_NAME, S3_URI

Path = Annotated[str, Field(min_length=1, max_length=1024)]


def _stays_inside(path: str) -> str:
    if ".." in path.split("/"):
        raise ValueError(f"{path!r} leads out of its folder; write a path without '..'")
    return path


InnerPath = Annotated[
    str, Field(pattern=INNER_PATH, max_length=1024), AfterValidator(_stays_inside)
]


class VolumeClaim(Schema):
    """A folder in a persistent volume; jobs mount it read-only."""

    claim_name: Annotated[str, Field(pattern=OBJECT_NAME, max_length=253)] = Field(
        description="Name of a PersistentVolumeClaim in the search's namespace."
    )
    path: InnerPath = Field("", description="The data set's folder in the volume.")


class DataSource(Schema):
    """Where the data set is: a folder for one machine, a volume or a bucket for a cluster."""

    directory: Path | None = Field(
        None,
        description="A folder on this machine, relative to the manifest's folder; a cluster needs "
        "persistentVolumeClaim or s3.",
    )
    persistent_volume_claim: VolumeClaim | None = Field(
        None, description="A folder in a volume of the cluster."
    )
    s3: Annotated[str, Field(pattern=S3_URI, max_length=1024)] | None = Field(
        None, description="A folder in a bucket, s3://bucket/prefix; jobs on a cluster fetch it."
    )

    @model_validator(mode="after")
    def _one_for_each(self) -> "DataSource":
        if self.persistent_volume_claim is not None and self.s3 is not None:
            raise ValueError("give either persistentVolumeClaim or s3, not both")
        if self.directory is None and not self.on_cluster:
            raise ValueError(
                "give directory for one machine, or persistentVolumeClaim or s3 for a cluster"
            )
        return self

    @property
    def on_cluster(self) -> bool:
        """Whether a cluster's jobs can reach the data set."""
        return self.persistent_volume_claim is not None or self.s3 is not None


class Dataset(Schema):
    """A detection data set in COCO format."""

    source: DataSource
    train: Path = Field(description="Training annotations, relative to the source.")
    val: Path = Field(description="Validation annotations, relative to the source.")
    train_images: Annotated[str, Field(max_length=1024)] = Field(
        "", description="Folder of the training images, relative to the source."
    )
    val_images: Annotated[str, Field(max_length=1024)] = Field(
        "", description="Folder of the validation images, relative to the source."
    )
    test: Path | None = added(
        1,
        description="Test annotations, relative to the source: images that decide nothing, on "
        "which base and student are scored once, at the end. Default: none, and a gain is stated "
        "for the validation images, on which the student was selected.",
    )
    test_images: Annotated[str, Field(max_length=1024)] = added(
        1, "", description="Folder of the test images, relative to the source."
    )
    horizontal_flip: Annotated[Fraction, Field(le=1)] = Field(
        Decimal("0.5"),
        description="Probability of mirroring a training image; 0 if left and right differ.",
    )

    @model_validator(mode="after")
    def _test_images_are_annotated(self) -> "Dataset":
        if self.test_images and self.test is None:
            raise ValueError("testImages is the folder of what test annotates; give test")
        return self

    @model_validator(mode="after")
    def _inside_the_source(self) -> "Dataset":
        paths = [self.train, self.val, self.train_images, self.val_images, self.test_images]
        if self.test is not None:
            paths.append(self.test)
        for path in paths if self.source.on_cluster else ():
            if path.startswith("/") or ".." in path.split("/"):
                raise ValueError(
                    f"{path!r} leads out of the source; write a path below it, without '..' and "
                    "without a slash at its beginning"
                )
        return self
