"""What the commands that show rules share: the text of a rule."""

import re
from collections.abc import Iterator

from labkit.analysis.rule import Rule
from labkit.analysis.severity import LITERAL, RFC9293
from labkit.i18n import _, listed


def severity(rule: Rule) -> str:
    """All severities of a rule, the highest first: `error/note`."""
    return "/".join(_(str(level)) for level in sorted({rule.severity, *rule.otherwise}, reverse=True))


def profiles(rule: Rule) -> str:
    """The profiles that apply a rule, as options of the command line: `document, rfc9293`."""
    return listed(sorted(rule.profiles - {LITERAL})) or f"document --{LITERAL}"


def details(rule: Rule) -> Iterator[tuple[str, str]]:
    """Labels and texts: the text of a finding, with dots in place of its numbers, and where to read on."""
    yield _("Finding"), _pattern(rule.message)
    for level, message in sorted(rule.otherwise.items(), reverse=True):
        yield _("or, as a {severity}").format(severity=_(str(level))), _pattern(message)
    if rule.document is not None and RFC9293 in rule.profiles:
        yield _("With --profile document"), _("a {severity}").format(severity=_(str(rule.document)))
    for label, template in (
        (_("Should be"), rule.should_be),
        (_("Receiver"), rule.receiver),
        (_("Mend"), rule.mend),
    ):
        if template:
            yield label, _pattern(template)
    yield _("Wireshark"), rule.wireshark or _("has no such check")
    if rule.reference:
        yield _("Reference"), _(rule.reference)


def _pattern(template: str) -> str:
    return re.sub(r"\{[^}]*\}", "…", _(template))
