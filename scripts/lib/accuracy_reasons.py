"""Who is right where labkit and tshark disagree: reasons that a program can check, none of them a list of files.

Each reason is a condition on the facts (`accuracy_facts`), which do not come from labkit's rules. The first that holds
counts; where none does, labkit is held to be wrong.
"""

from collections.abc import Callable
from dataclasses import dataclass

from accuracy_facts import Fact

LABKIT, NOBODY, TSHARK = "labkit", "cannot be told", "Wireshark"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one of them is right about a segment of which only one of them says that it belongs to a class."""

    group: str
    only: str
    """Who says so: LABKIT or TSHARK."""
    right: str
    holds: Callable[[Fact], bool]
    why: str


CUT = (
    "The capture cuts the frame within its options. Wireshark says nothing of a segment whose header it has not whole; its "
    "numbers, control bits and window are there."
)

REASONS = (
    *(
        Reason(group, LABKIT, LABKIT, lambda fact: fact.cut, CUT)
        for group in (
            "retransmission family",
            "lost segment",
            "duplicate ACK",
            "zero window",
            "window update",
            "window full",
        )
    ),
    Reason(
        "retransmission family",
        TSHARK,
        LABKIT,
        lambda fact: fact.several and fact.old < fact.seg_len,
        "The connection was captured at several interfaces, and at this one the segment has new octets. What Wireshark takes for "
        "a resend is what another interface has shown before.",
    ),
    Reason(
        "lost segment",
        LABKIT,
        LABKIT,
        lambda fact: fact.several and fact.gap,
        "The connection was captured at several interfaces, and this one has not seen the numbers before it. Wireshark has, at "
        "another one.",
    ),
    Reason(
        "duplicate ACK",
        TSHARK,
        LABKIT,
        lambda fact: fact.several and not fact.repeats,
        "The connection was captured at several interfaces, and at this one the ACK is new. Wireshark has seen it at another.",
    ),
    Reason(
        "keep-alive",
        TSHARK,
        LABKIT,
        lambda fact: fact.several and fact.shown,
        "The connection was captured at several interfaces, and at this one the segment starts where its sender's last one "
        "ended.",
    ),
    Reason(
        "retransmission family",
        LABKIT,
        LABKIT,
        lambda fact: 0 < fact.old < fact.seg_len and not fact.acked,
        "Some of its octets stood in the capture before, and are not acknowledged: the first octet, for instance, which a "
        "probe of the closed window had carried. Wireshark does not count what a probe carries.",
    ),
    Reason(
        "retransmission family",
        TSHARK,
        LABKIT,
        lambda fact: fact.crossing,
        "A simultaneous open: the SYN ACK answers the peer's SYN, as RFC 9293 section 3.5 has it (figure 7). It takes the "
        "number of its sender's SYN because it is the same SYN; it is no resend.",
    ),
    Reason(
        "retransmission family",
        TSHARK,
        LABKIT,
        lambda fact: fact.refused and fact.old == fact.seg_len,
        "A SYN that was refused with RST is sent once more, with the same number. The RST ended that attempt and deleted "
        "its TCB (RFC 9293 section 3.10.7.3): this SYN opens another connection, and labkit begins one there.",
    ),
    Reason(
        "retransmission family",
        TSHARK,
        LABKIT,
        lambda fact: fact.first_fin and fact.old == 1,
        "The sender's first FIN, on a number that another octet, or its SYN, took before: that number is wrong (FIN01). A FIN "
        "that was never sent cannot be sent again.",
    ),
    Reason(
        "retransmission family",
        TSHARK,
        LABKIT,
        lambda fact: fact.seg_len > 0 and fact.old == 0 and not fact.beyond,
        "None of its octets stood in the capture before, and nothing that lies behind them: it is new. The capture holds "
        "the ACK that answers it first (two interfaces, or a clock that steps), and Wireshark goes by that ACK.",
    ),
    Reason(
        "retransmission family",
        LABKIT,
        LABKIT,
        lambda fact: fact.length == fact.seg_len == fact.old == 1 and not fact.acked,
        "One octet is sent again that is not acknowledged yet. Wireshark takes any single octet before SND.NXT for a "
        "keep-alive; a keep-alive belongs to an idle connection (RFC 9293 section 3.8.4), and this one has data under way.",
    ),
    Reason(
        "retransmission family",
        LABKIT,
        LABKIT,
        lambda fact: 0 < fact.seg_len == fact.old,
        "All its octets, or its SYN, stood in the capture before. Wireshark does not look where it holds the header to be cut: "
        "in FabricPath frames, for instance, whose last octets it takes for a frame check sequence.",
    ),
    Reason(
        "retransmission family",
        LABKIT,
        LABKIT,
        lambda fact: fact.seg_len > 0 and fact.old == 0 and fact.beyond,
        "It fills a gap: its octets are new, and numbers behind them stood in the capture before.",
    ),
    Reason(
        "lost segment",
        TSHARK,
        LABKIT,
        lambda fact: not fact.gap and fact.torn,
        "Nothing is missing: the frame before it lost its tail when it was stored. Its IP length, under a header checksum "
        "that is right, reaches up to this segment, and the peer acknowledges so much. Wireshark counts what is stored.",
    ),
    Reason(
        "lost segment",
        TSHARK,
        NOBODY,
        lambda fact: fact.far,
        "Its number lies further from all others of its sender than the largest window, on the other side of the ring: it is "
        "neither ahead nor behind. Wireshark calls it both a lost segment and a resend.",
    ),
    Reason(
        "lost segment",
        LABKIT,
        LABKIT,
        lambda fact: fact.gap and fact.shown,
        "The numbers before it are not in the capture. Wireshark says so at the pure ACK before it, which starts at the "
        "same number; labkit repeats it at the segment whose octets stand behind the gap.",
    ),
    Reason(
        "duplicate ACK",
        TSHARK,
        LABKIT,
        lambda fact: fact.stale,
        "It acknowledges less than its sender did before: it was overtaken. A duplicate ACK repeats the greatest "
        "acknowledgement (RFC 5681 section 2, d); Wireshark compares with the segment before it, which was overtaken too.",
    ),
    Reason(
        "duplicate ACK",
        LABKIT,
        LABKIT,
        lambda fact: fact.after_stale and fact.repeats and fact.under_way,
        "It repeats the greatest acknowledgement, with the window that came with it, while data is under way (RFC 5681 "
        "section 2). An ACK that was overtaken stands between them in the capture, and Wireshark compares with that one.",
    ),
    Reason(
        "duplicate ACK",
        TSHARK,
        NOBODY,
        lambda fact: fact.alone,
        "The other direction is not in the capture, and no SACK block tells that data is under way: it may be a duplicate "
        "ACK, or the answer to a keep-alive. labkit says nothing.",
    ),
    Reason(
        "duplicate ACK",
        TSHARK,
        LABKIT,
        lambda fact: not fact.under_way,
        "Nothing is under way: all that the peer has sent is acknowledged. RFC 5681 section 2 asks for outstanding data (a). "
        "It is the same frame captured twice, an ACK of its own for every read, or the answer to a spurious "
        "retransmission (a D-SACK).",
    ),
    Reason(
        "keep-alive",
        TSHARK,
        LABKIT,
        lambda fact: fact.closed,
        "The peer's window is closed: it asks whether it has opened. Linux sends its window probes with an old number and no "
        "octet, which must be answered as well (RFC 9293 section 3.8.6.1).",
    ),
    Reason(
        "window probe",
        LABKIT,
        LABKIT,
        lambda fact: fact.closed and fact.seg_len <= 1,
        "The same: a probe of a closed window, as Linux sends it.",
    ),
    Reason(
        "answer to a window probe",
        LABKIT,
        LABKIT,
        lambda fact: fact.probed,
        "The answer to such a probe.",
    ),
    Reason(
        "keep-alive",
        TSHARK,
        LABKIT,
        lambda fact: not fact.idle,
        "Not all that its sender sent before is acknowledged, so that this is no keep-alive of an idle connection (RFC 9293 "
        "section 3.8.4): it is one octet sent again, or an older ACK that was overtaken.",
    ),
    Reason(
        "window update",
        TSHARK,
        LABKIT,
        lambda fact: fact.first,
        "It is the first segment of its sender in the connection: there is no window before it that it could update.",
    ),
    Reason(
        "window update",
        TSHARK,
        LABKIT,
        lambda fact: fact.stale,
        "It acknowledges less than its sender did before: it was overtaken, and its window is not to be used (RFC 9293 section "
        "3.10.7.4, SND.WL1 and SND.WL2).",
    ),
    Reason(
        "window update",
        LABKIT,
        LABKIT,
        lambda fact: fact.after_stale and fact.repeats,
        "It acknowledges nothing new, and its window is another than that of the ACK before it, once those that were overtaken "
        "are left out; Wireshark compares with one of them.",
    ),
    Reason(
        "window update",
        TSHARK,
        LABKIT,
        lambda fact: fact.after_syn and fact.rounded,
        "The window of a SYN is never scaled (RFC 7323 section 2.2): the field in the next segment is another, the window is the "
        "same, but for the rounding that a scale brings. Wireshark compares the fields.",
    ),
    Reason(
        "window update",
        LABKIT,
        LABKIT,
        lambda fact: fact.after_syn and fact.repeats and not fact.rounded,
        "The window of a SYN is never scaled (RFC 7323 section 2.2), so that the same field in the next segment is a larger "
        "window. Wireshark compares the fields, and calls it a duplicate ACK.",
    ),
    Reason(
        "checksum",
        TSHARK,
        LABKIT,
        lambda fact: fact.short,
        "The IP length goes beyond the frame: octets that the checksum covers are not there. labkit reports that (CAP01) and "
        "does not judge a checksum that it cannot compute; Wireshark sums up what is left.",
    ),
    Reason(
        "checksum",
        TSHARK,
        LABKIT,
        lambda fact: fact.joined and fact.good_sum,
        "Fragments that overlap with other octets: as labkit joins them (the first ones stay), the checksum is right, so that "
        "these are the octets that were sent. Wireshark joins them in another way.",
    ),
)


def adjudicate(group: str, only: str, fact: Fact | None) -> int | None:
    """The number in REASONS of what decides a disagreement; None where nothing does, so that labkit is wrong."""
    if fact is None:
        return None
    for number, reason in enumerate(REASONS):
        if reason.group == group and reason.only == only and reason.holds(fact):
            return number
    return None
