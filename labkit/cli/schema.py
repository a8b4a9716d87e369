"""`labkit schema`: what a scenario may say, for editors."""

import click

from labkit.cli._common import Command, emit_json


@click.command("schema", cls=Command)
def command() -> None:
    """Print the JSON schema of scenario files.

    An editor that knows YAML and JSON schemas completes keys by it: save it, and begin a scenario with the line
    '# yaml-language-server: $schema=labkit.schema.json'.
    """
    from labkit.build.scenario.schema import schema

    emit_json(schema())
