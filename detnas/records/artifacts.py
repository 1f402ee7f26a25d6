"""Files in the store that records name, and the image listing, which is one of them."""

from typing import Annotated

from pydantic import Field

from detnas.schema import Count, Schema, added


class Artifact(Schema):
    """A file in the store, with the size and digest that prove it complete.

    Attributes:
        key: key relative to the store's root.
        size: bytes.
        sha256: hexadecimal digest of the content.
    """

    key: str
    size: Count
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


IMAGE_LISTING = "pictures"
"""The image listing in stored JSON: as a file of a result, a field of a request."""

TEST_LISTING = "testImages"
"""The listing of the test images, as a file of the prepare job's result: apart from the other, by
which pools are identified."""

EXTERNAL_TEACHER = "teacher"
"""The external teacher, as a file of the prepare job's result."""

COMPARISON = "comparison.jpg"
"""Validation images with the boxes of base and student, as a file of an export's result."""

MAX_COMPARISON_BYTES = 400_000
"""Size that such a picture has at most; it is part of a page."""

ListedImage = tuple[Count, str]
"""Size in bytes, and SHA-256 of the content; empty where only the size is known."""


class ImageListing(Schema):
    """Every annotated image, by its name relative to its split's image folder.

    The SHA-256 of this record's canonical JSON identifies the images: the same files, wherever
    they are, give the same record. A change of its form therefore changes the identity of pools.

    Attributes:
        train: images of the training split, in the order of their names.
        val: images of the validation split, likewise.
        test: images of the test split, likewise; they are listed apart.
    """

    train: dict[str, ListedImage]
    val: dict[str, ListedImage]
    test: dict[str, ListedImage] = added(1, {})
