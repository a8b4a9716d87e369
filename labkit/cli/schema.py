"""`labkit schema`: print the JSON schema of scenario files, for editors."""

import click

from labkit.cli._common import Command, emit_json


@click.command(
    "schema", cls=Command, section="build", examples=("labkit schema > labkit.schema.json", "labkit schema | less")
)
def command() -> None:
    """Print the JSON schema of scenario files.

    An editor that supports JSON schemas for YAML completes the keys of a scenario: save the schema, and begin the scenario
    with the line '# yaml-language-server: $schema=labkit.schema.json'.
    """
    from labkit.build.scenario.schema import schema

    emit_json(schema())
