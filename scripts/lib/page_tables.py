"""Add what is new to the tables of written pages: commands to the README, kinds and formats of quizzes, teaching platforms."""

from collections.abc import Iterator
from pathlib import Path

import click

from labkit.cli import cli
from labkit.teach import platforms
from labkit.teach.quiz import formats
from labkit.teach.quiz.kinds import kinds

TOP = Path(__file__).parents[2]


def commands() -> Iterator[tuple[str, str]]:
    """The name and summary of each command."""
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        if command is not None:
            summary = command.get_short_help_str(100).rstrip(".")
            yield name, summary[:1].lower() + summary[1:]


def table(text: str, head: str) -> str:
    """The table that begins with a head."""
    return text[text.index(f"| {head} |") :].partition("\n\n")[0]


def with_rows(text: str, head: str, rows: Iterator[tuple[str, ...]]) -> str:
    """The page with a row for each name that the table lacks."""
    old = table(text, head)
    new = [f"| `{name}` | {' | '.join(cells)} |" for name, *cells in rows if f"`{name}`" not in old]
    return text.replace(old, "\n".join([old, *new]))


def readme(text: str) -> str:
    """The README, whose last row names further commands: it may not grow."""
    old = table(text, "command")
    last = old.rpartition("\n")[2]
    names, summaries = last.removesuffix(" |").split(" | ")
    for name, summary in commands():
        if f"`{name}`" not in old:
            names, summaries = f"{names}, `{name}`", f"{summaries}; {summary}"
    return text.replace(last, f"{names} | {summaries} |")


def quiz(text: str) -> str:
    """The page about quizzes."""
    found = ((each.name, each.summary, each.summary) for each in map(formats.format_of, formats.names()))
    text = with_rows(text, "format", found)
    return with_rows(text, "kind", ((each.name, each.summary, each.needs) for each in kinds().values()))


def teaching(text: str) -> str:
    """The page for teachers."""
    return with_rows(
        text, "`--format`", ((each.name, each.summary) for each in map(platforms.platform, platforms.names()))
    )


if __name__ == "__main__":
    for name, change in (("README.md", readme), ("docs/quiz.md", quiz), ("docs/teaching.md", teaching)):
        page = TOP / name
        page.write_text(change(page.read_text("utf-8")), "utf-8")
