"""`labkit rules`: list the rules as a table, as JSON, or as the page `docs/rules.md`."""

import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import click

from labkit.cli._common import Command, echo, emit_json, format_option, note, rules_option
from labkit.i18n import _, padded, width

if TYPE_CHECKING:
    from labkit.analysis.rule import Rule


@click.command("rules", cls=Command, section="verify", examples=("labkit rules", "labkit rules --format json"))
@format_option("text", "json", "markdown")
@rules_option
def command(format_: str, extra: tuple[str, ...]) -> None:
    """List the rules that captures must keep."""
    from labkit.analysis.catalogue import collect
    from labkit.cli._rules import profiles, severity

    rules = sorted(collect(extra), key=lambda each: each.code)
    if format_ == "json":
        emit_json({"rules": [_plain(each) for each in rules]})
        return
    if format_ == "markdown":
        for line in _page(rules):
            echo(line)
        return
    columns = [(each.code, each.name, severity(each), profiles(each), _(each.reference)) for each in rules]
    widths = [max(map(width, column)) for column in zip(*columns, strict=True)]
    for row in columns:
        code, *rest = (padded(cell, columns) for cell, columns in zip(row, widths, strict=True))
        echo("  ".join((click.style(code, bold=True), *rest)).rstrip())
    note(_("'labkit explain CODE' explains a rule, with a good and a bad example"))


def _plain(rule: "Rule") -> dict[str, object]:
    return {
        "code": rule.code,
        "name": rule.name,
        "severity": str(rule.severity),
        "severities": sorted({str(each) for each in (rule.severity, *rule.otherwise)}),
        "profiles": sorted(rule.profiles),
        "reference": rule.reference,
        "wireshark": rule.wireshark,
        "message": _(rule.message),
        "explanation": _(rule.explanation),
        "should_be": _(rule.should_be),
        "receiver": _(rule.receiver),
        "mend": _(rule.mend),
        "good": rule.good,
        "bad": rule.bad,
    }


# The page: families in the order of their files, and within them the codes.


def _page(rules: Sequence["Rule"]) -> Iterator[str]:
    yield f"# {_('The rules')}"
    yield ""
    yield _("`scripts/docs` writes this page from the declarations in `labkit/analysis/rules/`; do not edit it.")
    yield ""
    yield _(
        "Several rules may share a code: they find the same fault in different places, or for different profiles. A rule "
        "with two severities also finds a lesser form of its fault. The examples use the notation of "
        "`labkit show --format notation`, with relative numbers. A comment with a code marks the line where the rule finds its "
        "fault. The tests run every example. `labkit explain CODE` shows the same in the terminal."
    )
    ordered = sorted(rules, key=lambda each: (each.family, each.code))
    for module, members in groupby(ordered, lambda each: each.predicate.__module__):
        title = (sys.modules[module].__doc__ or module).split("\n")[0].rstrip(".")
        yield ""
        yield f"## {title}"
        for each in members:
            yield ""
            yield from _section(each)


def _section(rule: "Rule") -> Iterator[str]:
    from labkit.cli._rules import details, profiles, severity

    yield f"### {rule.code} {rule.name}"
    yield ""
    yield f"{_('Severity')}{_(': ')}{severity(rule)}{_('. ')}{_('Profile')}{_(': ')}{profiles(rule)}{_('. ').rstrip()}"
    yield ""
    yield _escaped(_(rule.explanation))
    yield ""
    for label, text in details(rule):
        yield f"- {label}{_(': ')}{_escaped(text)}"
    for label, example in ((_("Good:"), rule.good), (_("Bad:"), rule.bad)):
        if example:  # the notation cannot write a wrong port
            yield from ("", label, "", "```notation", *example.splitlines(), "```")


def _escaped(text: str) -> str:
    """Escape what Markdown would interpret: RFCs write segments as `<SEQ=0>`."""
    return text.replace("<", "\\<").replace("*", "\\*")
