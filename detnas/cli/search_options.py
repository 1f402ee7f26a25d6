"""Options by which commands name a search."""

from typing import Annotated

import typer

SearchArgument = Annotated[
    str,
    typer.Argument(
        help="A manifest, the folder or URI of a search in the store, or a search's name there."
    ),
]
StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        help="Folder or s3:// URI of the store. Default: the manifest's storage.uri, else runs "
        "beside the manifest; for a name ./runs.",
    ),
]
NamespaceOption = Annotated[
    str | None, typer.Option("--namespace", "-n", help="Namespace. Default: the manifest's.")
]
