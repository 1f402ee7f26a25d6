"""Options of every command that names a search by its manifest."""

from typing import Annotated

import typer

StoreOption = Annotated[
    str | None,
    typer.Option("--store", help="Folder or s3:// URI; else the manifest's, else ./runs."),
]
NamespaceOption = Annotated[
    str | None, typer.Option("--namespace", "-n", help="Namespace; else the manifest's.")
]
