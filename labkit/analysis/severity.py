"""The severities of findings, and the profiles by which a capture is judged."""

from enum import IntEnum

from labkit.i18n import N_


class Severity(IntEnum):
    """The severity of a finding. 1 is not used, because a predicate's True means the declared severity."""

    NOTE = 2
    WARNING = 3
    ERROR = 4

    def __str__(self) -> str:
        return self.name.lower()


SEVERITIES = N_("note"), N_("warning"), N_("error")
"""The words that `_(str(severity))` translates."""


RFC9293, DOCUMENT, LITERAL = "rfc9293", "document", "literal"
EVERY_PROFILE = RFC9293, DOCUMENT, LITERAL
BOTH = frozenset(EVERY_PROFILE)
"""Profiles. `document` teaches what the introductory text means, `literal` what it says."""
RFC_ONLY = frozenset({RFC9293})
TAUGHT = frozenset({DOCUMENT})
AS_IT_STANDS = frozenset({LITERAL})
