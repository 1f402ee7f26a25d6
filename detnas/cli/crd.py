"""`detnas crd`: the CustomResourceDefinition of DetNASSearch."""

from enum import StrEnum
from typing import Annotated

import typer

from detnas.cli.output import Format, print_record


class DocumentFormat(StrEnum):
    """Format of a document for the API server."""

    YAML = "yaml"
    JSON = "json"


def crd(
    output: Annotated[
        DocumentFormat, typer.Option("--output", "-o", help="yaml or json.")
    ] = DocumentFormat.YAML,
) -> None:
    """Print the CustomResourceDefinition of DetNASSearch; the chart installs the same.

    Examples:
        detnas crd | kubectl apply --server-side -f -
    """
    from detnas.resource import custom_resource_definition  # the other commands do not need it

    print_record(custom_resource_definition(), Format(output))
