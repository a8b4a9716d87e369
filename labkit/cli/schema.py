"""`labkit schema`: print the JSON schema of scenarios or of assignments, for editors."""

from typing import Any

import click

from labkit.cli._common import Command, emit_json
from labkit.i18n import _


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

    emit_json(_spoken(schema()))


def _spoken(value: Any) -> Any:
    """A schema with its descriptions in the user's language."""
    if isinstance(value, list):
        return [_spoken(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _(each) if key == "description" and isinstance(each, str) else _spoken(each) for key, each in value.items()
    }
