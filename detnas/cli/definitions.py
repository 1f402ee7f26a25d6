"""`detnas crd` and `detnas schema`: what checks manifests elsewhere, an API server or an editor."""

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


def schema() -> None:
    """Print the JSON schema of a manifest, by which editors complete and check it.

    `detnas init` writes it beside a manifest, whose first line names it. In another manifest, write
    the line yourself:

        # yaml-language-server: $schema=detnas.schema.json

    Examples:
        detnas schema > detnas.schema.json
    """
    from detnas.spec.json_schema import manifest_schema  # the other commands do not need it

    print_record(manifest_schema(), Format.JSON)
