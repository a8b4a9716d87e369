"""`labkit explain`: explain a rule with examples, or give a lesson."""

import sys
from collections.abc import Iterator
from shutil import get_terminal_size
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from labkit.cli._common import Command, complete_rules, echo, rules_option
from labkit.errors import UsageError
from labkit.i18n import _, listed, nearest, wrapped
from labkit.teach.lessons import lesson, names, summary

if TYPE_CHECKING:
    from labkit.analysis.rule import Rule


WIDTH = 100
"""Columns of a text, except in a narrower terminal."""


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    lessons = [CompletionItem(name, help=summary(name)) for name in names() if name.startswith(incomplete)]
    return lessons + complete_rules(ctx, param, incomplete)


@click.command(
    "explain", cls=Command, section="teach", examples=("labkit explain ACK01", "labkit explain osi document.pcapng 4")
)
@click.argument("topic", required=False, shell_complete=_complete)
@click.argument("arguments", nargs=-1, metavar="[ARGUMENTS]...")
@rules_option
def command(topic: str | None, arguments: tuple[str, ...], extra: tuple[str, ...]) -> None:
    """Explain a rule by code or name, or give a lesson.

    Lessons: 'document' (the errors of the introductory text that labkit implements, with proof), 'osi' (its seven layers on
    a real packet), 'stack' (the system that each side of a capture looks like, and why) and 'states' (the states of a
    connection, also as a diagram). Without TOPIC, labkit lists all topics.
    """
    if topic is None:
        for name in names():
            echo(f"{click.style(name, bold=True)}  {_(summary(name))}")
        echo(_("rules: {codes}").format(codes=listed(_codes(extra))))
        return
    if topic in names():
        lines = lesson(topic)(arguments)
    else:
        if arguments:
            raise UsageError(_("'{topic}' takes no arguments").format(topic=topic))
        lines = _rules(topic, extra)
    for line in lines:
        echo(line)


def _codes(extra: tuple[str, ...]) -> list[str]:
    from labkit.analysis.catalogue import collect

    return sorted({each.code for each in collect(extra)})


def _rules(topic: str, extra: tuple[str, ...]) -> Iterator[str]:
    from labkit.analysis.catalogue import collect, lookup

    found = lookup(topic, collect(extra))
    if not found:
        known = [*_codes(extra), *(each.name for each in collect(extra)), *names()]
        raise UsageError(_("there is no rule or lesson '{topic}'").format(topic=topic) + nearest(topic, known))
    for number, each in enumerate(found):
        if number:
            yield ""
        yield from _rule(each)


def _rule(rule: "Rule") -> Iterator[str]:
    from labkit.cli._rules import details, profiles, severity

    scope = _(" ({severity}; profile {name})").format(severity=severity(rule), name=profiles(rule))
    yield click.style(f"{rule.code} {rule.name}", bold=True) + scope
    for paragraph in _(rule.explanation).split("\n\n"):
        yield ""
        yield from _wrapped(paragraph)
    yield ""
    for label, text in details(rule):
        yield from _wrapped(_("{label}: {text}").format(label=label, text=text), "  ")
    yield ""
    for label, example in ((_("Good:"), rule.good), (_("Bad:"), rule.bad)):
        if example:  # the notation cannot write a wrong port
            yield label
            yield from (f"    {line}" for line in example.splitlines())


def _wrapped(text: str, indent: str = "") -> list[str]:
    columns = min(WIDTH, get_terminal_size().columns) if sys.stdout is not None and sys.stdout.isatty() else WIDTH
    return wrapped(text, columns, indent, indent + ("  " if indent else ""))
