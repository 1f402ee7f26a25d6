"""`detnas schema`: the manifest's JSON schema, for editors."""

from detnas.cli.output import Format, print_record


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
