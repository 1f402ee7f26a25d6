"""How the commands that look at a search are told which."""

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
        help="Folder or s3:// URI; else the manifest's storage.uri, else runs beside the manifest. "
        "A name is looked up in ./runs.",
    ),
]
NamespaceOption = Annotated[
    str | None, typer.Option("--namespace", "-n", help="Namespace; else the manifest's.")
]
