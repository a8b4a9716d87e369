"""Add each command that the README does not name to the last row of its table of commands."""

from pathlib import Path

import click

from labkit.cli import cli

HEAD = "| command | what it does |\n"
PAGE = Path(__file__).parents[2] / "README.md"


def completed(text: str) -> str:
    """The page with all commands."""
    table = text[text.index(HEAD) :].partition("\n\n")[0]
    last = table.rpartition("\n")[2]
    names, summaries = last.removesuffix(" |").split(" | ")
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        if f"`{name}`" not in table and command is not None:
            names += f", `{name}`"
            summary = command.get_short_help_str(100).rstrip(".")
            summaries += f"; {summary[:1].lower()}{summary[1:]}"
    return text.replace(last, f"{names} | {summaries} |")


if __name__ == "__main__":
    PAGE.write_text(completed(PAGE.read_text("utf-8")), "utf-8")
