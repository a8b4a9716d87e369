"""Whether packets may be missing in a capture, and which rules depend on it."""

from enum import StrEnum


class Completeness(StrEnum):
    """Whether packets may be missing in a capture."""

    AUTO = "auto"
    """The file tells, conversation by conversation."""
    COMPLETE = "complete"
    """The user says that nothing is missing."""
    TAUGHT = "taught"
    """The introductory text knows no lost packet: a conversation in which nothing is sent twice is complete."""
    PARTIAL = "partial"
    """The user says that something is missing: nothing is looked at a second time."""


NUMBERS = frozenset({"sequence", "acknowledgement", "handshake", "fin", "reset"})
"""Families of rules about the numbers that the accounts hold."""

EXPLAINING = frozenset({"keepalive", "retransmission"})
"""Families whose notes explain a number. Where it is a mistake, the explanation is wrong."""

DECIDED = frozenset(
    code
    for family in (
        "SEQ01 SEQ02 SEQ03",
        "ACK01 ACK02 ACK03 ACK06",
        "HS02 HS03 HS06 HS08",
        "FIN01 FIN02 FIN03 FIN04",
        "RST01 RST03",
    )
    for code in family.split()
)
"""Codes of which the accounts decide whether they stand, in a complete conversation."""

MAX_WHOLE = 20_000
"""Segments of a capture of which every conversation is looked at."""
