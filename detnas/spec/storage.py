"""`spec.storage` and `spec.warmStart`: where results are stored, and which are inherited."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from detnas.schema import Schema
from detnas.spec.patterns import SEARCH_REFERENCE, STORE_URI


def _plain(uri: str) -> str:
    if ".." in uri.split("/"):
        raise ValueError(f"{uri!r} contains '..'; write the address itself")
    return uri


StoreUri = Annotated[str, Field(pattern=STORE_URI, max_length=1024), AfterValidator(_plain)]


class Storage(Schema):
    """Where weights and results are stored."""

    uri: StoreUri | None = Field(
        None,
        description="s3://bucket/prefix or file:///folder. Default: the folder runs beside the "
        "manifest, or the operator's storage.default.",
    )
    on_delete: Literal["Retain", "Delete"] = Field(
        "Retain",
        description="What becomes of the search's folder when the resource is deleted from a "
        "cluster; pools always stay.",
    )


class WarmStart(Schema):
    """Another search whose ledger and weights this one inherits."""

    search: Annotated[
        str, Field(pattern=SEARCH_REFERENCE, max_length=1024), AfterValidator(_plain)
    ] = Field(
        alias="from",
        description="Name of a search in this namespace, or the address of its folder.",
    )
