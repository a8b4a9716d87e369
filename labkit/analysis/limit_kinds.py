"""The kinds of limits that are counted: what a capture may not show, or show differently from the wire.

A rule whose findings show such a limit names its kind, or declares one of its own:

    @rule(..., limit="truncated")
    @rule(..., limit=LimitKind("old-clock", "{n:,} packet is ...", "{n:,} packets are ...", "its times cannot be verified"))
"""

from typing import NamedTuple

from labkit.i18n import _, ngettext

NOTHING = ("no-segments", "none-wanted")
"""Kinds of limits that leave nothing to judge."""

MEMORY, TIME = "memory", "time"
BUDGETS = (MEMORY, "size", TIME)
"""Kinds of limits that the budget of a capture sets (`labkit.capture.budget`)."""


class LimitKind(NamedTuple):
    """A kind of limit that is counted. Its texts are templates and gettext message ids."""

    word: str
    """For programs, and for `--strict`: small letters, digits and dashes."""
    one: str
    many: str
    """What was counted, in the singular and the plural: `{n}` is the number, and `{packet}` the first such packet, or 0."""
    rest: str
    """What it means for the verdict."""

    def message(self, count: int, packet: int | None) -> str:
        """The limit in the user's language."""
        text = f"{ngettext(self.one, self.many, count)}{_(': ')}{_(self.rest)}"
        return text.format(n=count, packet=packet or 0)


COUNTED = (
    LimitKind(
        "mid-stream",
        "{n:,} conversation began before the capture",
        "{n:,} conversations began before the capture",
        "its handshake, windows and negotiated options cannot be verified",
    ),
    LimitKind(
        "one-sided",
        "{n:,} conversation has packets in one direction only",
        "{n:,} conversations have packets in one direction only",
        "acknowledgements and windows cannot be compared with what the other side sent",
    ),
    LimitKind(
        "truncated",
        "{n:,} packet was cut off by the capture (packet {packet})",
        "{n:,} packets were cut off by the capture (the first is packet {packet})",
        "their checksums and payload, and the options of such a SYN, cannot be verified",
    ),
    LimitKind(
        "checksum-offload",
        "{n:,} packet has a checksum that the network card completes later (packet {packet})",
        "{n:,} packets have a checksum that the network card completes later (the first is packet {packet})",
        "such checksums cannot be verified",
    ),
    LimitKind(
        "segmentation-offload",
        "{n:,} segment is larger than on the wire, because of segmentation offload (packet {packet})",
        "{n:,} segments are larger than on the wire, because of segmentation offload (the first is packet {packet})",
        "the size of each segment on the wire, and the number of its ACKs, cannot be verified",
    ),
    LimitKind(
        "duplicated",
        "{n:,} packet appears twice (packet {packet})",
        "{n:,} packets appear twice (the first is packet {packet})",
        "a copy may look like a retransmission",
    ),
    LimitKind(
        "several-points",
        "{n:,} conversation appears again, from another interface",
        "{n:,} conversations appear again, from other interfaces",
        "each interface is verified by itself",
    ),
    LimitKind(
        "forgotten",
        "{n:,} open conversation was dropped for a later one",
        "{n:,} open conversations were dropped for later ones",
        "too many were open at a time; their later packets were verified as if they began before the capture",
    ),
    LimitKind(
        "findings-not-kept",
        "{n:,} finding was only counted",
        "{n:,} findings were only counted",
        "labkit keeps a limited number of findings of each severity",
    ),
    LimitKind(
        "clock-stepped-back",
        "{n:,} packet has an earlier time than the one before it (packet {packet})",
        "{n:,} packets have an earlier time than the one before them (the first is packet {packet})",
        "labkit follows the order of the capture; times across such a step cannot be verified",
    ),
    LimitKind(
        "packets-missing",
        "{n:,} gap was acknowledged by the peer, but the capture lacks its bytes",
        "{n:,} gaps were acknowledged by the peer, but the capture lacks their bytes",
        "anything that the missing packets could explain is not counted as an error",
    ),
    LimitKind(
        "multipath",
        "{n:,} conversation is a subflow of an MPTCP connection",
        "{n:,} conversations are subflows of MPTCP connections",
        "their windows are those of the whole connection, and are not verified",
    ),
    LimitKind(
        "not-accounted",
        "{n:,} conversation was judged segment by segment only",
        "{n:,} conversations were judged segment by segment only",
        "the capture is too large or too wrong, or the time was over, for an account of all their numbers",
    ),
)
"""labkit's own kinds, the gravest first."""

BY_WORD = {each.word: each for each in COUNTED}

KINDS = ("not-read", "damaged", *BUDGETS, *BY_WORD)
"""All kinds of limits of labkit's own besides NOTHING."""
