"""What the commands that show rules share: the severity, the profiles and the message of a rule as text."""

import re

from labkit.analysis.rule import LITERAL, Rule
from labkit.i18n import _


def severity(rule: Rule) -> str:
    """All severities of a rule, the highest first: `error/note`."""
    return "/".join(str(level) for level in sorted({rule.severity, *rule.otherwise}, reverse=True))


def profiles(rule: Rule) -> str:
    """The profiles that apply a rule, as options of the command line: `document, rfc9293`."""
    return ", ".join(sorted(rule.profiles - {LITERAL})) or f"document --{LITERAL}"


def texts(rule: Rule) -> list[tuple[str, str]]:
    """The templates of a finding's text after its message, with their labels; without empty ones."""
    found = ((_("Should be"), rule.should_be), (_("Receiver"), rule.receiver), (_("Mend"), rule.mend))
    return [(label, template) for label, template in found if template]


def pattern(template: str) -> str:
    """A message in the user's language, with dots in place of its numbers."""
    return re.sub(r"\{[^}]*\}", "…", _(template))
