"""Files in the store that a record names."""

from typing import Annotated

from pydantic import Field

from detnas.schema import Count, Schema


class Artifact(Schema):
    """A file in the store, with what proves that it arrived whole.

    Attributes:
        key: key relative to the store's root.
        size: bytes.
        sha256: hexadecimal digest of the content.
    """

    key: str
    size: Count
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
