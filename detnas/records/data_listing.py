"""What the pictures of a data set were when its search was prepared: a file of the prepare job."""

from detnas.schema import Count, Schema

Picture = tuple[Count, str]
"""Size in bytes, and SHA-256 of the content; empty where only the size is known."""


class DataListing(Schema):
    """Every annotated picture, by its name relative to its split's image folder.

    The SHA-256 of this record's canonical JSON stands for the pictures: the same files, wherever
    they lie, give the same record. A change of its form therefore changes the identity of pools.

    Attributes:
        train: pictures of the training split, in the order of their names.
        val: pictures of the validation split, likewise.
    """

    train: dict[str, Picture]
    val: dict[str, Picture]
