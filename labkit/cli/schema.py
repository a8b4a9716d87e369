"""`labkit schema`: print the JSON schema of scenarios or of assignments, for editors."""

import click

from labkit.cli._common import Command, emit_json


@click.command(
    "schema", cls=Command, section="build", examples=("labkit schema > labkit.schema.json", "labkit schema | less")
)
@click.argument("kind", type=click.Choice(["scenario", "assignment"]), default="scenario")
def command(kind: str) -> None:
    """Print the JSON schema of scenarios, or of assignments.

    An editor that supports JSON schemas for YAML completes the keys of a file: save the schema, and begin the file
    with the line '# yaml-language-server: $schema=labkit.schema.json'.
    """
    if kind == "assignment":
        from labkit.teach.assign.schema import schema
    else:
        from labkit.build.scenario.schema import schema

    emit_json(schema())
