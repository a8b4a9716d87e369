"""`labkit rules`: the catalogue."""

from typing import TYPE_CHECKING

import click

from labkit.cli._common import Command, emit_json, format_option, note
from labkit.i18n import _

if TYPE_CHECKING:
    from labkit.rule import Rule


@click.command("rules", cls=Command)
@format_option("text", "json")
def command(format_: str) -> None:
    """List the rules by which captures are judged."""
    from labkit.rule import LITERAL, collect

    rules = sorted(collect(), key=lambda each: each.code)
    if format_ == "json":
        emit_json({"rules": [_plain(each) for each in rules]})
        return
    width = max(len(each.name) for each in rules)
    for each in rules:
        profiles = ", ".join(sorted(each.profiles - {LITERAL})) or "document --literal"
        severity = "/".join(str(level) for level in sorted({each.severity, *each.otherwise}, reverse=True))
        code = click.style(f"{each.code:<5}", bold=True)
        line = f"{code}  {each.name:<{width}}  {severity:<13}  {profiles:<18}  {each.reference}"
        click.echo(line.rstrip())
    note(_("'labkit explain CODE' explains one, with a good and a bad example"))


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
        "receiver": _(rule.receiver) if rule.receiver else "",
        "good": rule.good,
        "bad": rule.bad,
    }
