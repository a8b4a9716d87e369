"""Who is right if labkit and tshark disagree: reasons that a program checks, without lists of files.

Each reason is a condition on the facts (`accuracy_facts`), which do not come from labkit's rules. The first reason that holds
decides. Without one, labkit counts as wrong.
"""

from collections.abc import Callable
from dataclasses import dataclass

from accuracy_facts import Fact

LABKIT, NOBODY, TSHARK = "labkit", "cannot be told", "Wireshark"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one of the two is right about a segment that only one of them counts in a class."""

    group: str
    only: str
    """Who counts the segment in the class: LABKIT or TSHARK."""
    right: str
    holds: Callable[[Fact], bool]
    why: str


CUT = (
    "The capture cuts the frame inside its options. Wireshark ignores a segment with an incomplete header, although the numbers, "
    "control bits and window are complete."
)

CHALLENGED = (
    "A SYN inside the connection was answered with an ACK of the old numbers: it was challenged, and the connection goes on "
    "(RFC 9293 section 3.10.7.4, fourth check). Wireshark begins a new conversation at the SYN, and compares what follows "
    "with nothing that stood before it."
)

AHEAD = (
    "The peer's last ACK covers octets that the capture had not shown by then, because it lacks them or has them later. "
    "Wireshark counts the window from that ACK, labkit from the one before it, which the octets in the capture prove."
)

REASONS = (
    *(
        Reason(group, only, LABKIT, lambda fact: fact.challenged, CHALLENGED)
        for group in ("duplicate ACK", "keep-alive", "answer to a keep-alive", "window update")
        for only in (LABKIT, TSHARK)
    ),
    Reason("lost segment", TSHARK, LABKIT, lambda fact: fact.challenged, CHALLENGED),
    Reason("retransmission family", LABKIT, LABKIT, lambda fact: fact.challenged and fact.old > 0, CHALLENGED),
    Reason(
        "retransmission family",
        TSHARK,
        LABKIT,
        lambda fact: fact.challenged and fact.syn,
        "A SYN inside the connection, which its peer challenges. It opens nothing, so that no SYN is sent again.",
    ),
    *(Reason("window full", only, NOBODY, lambda fact: fact.ahead, AHEAD) for only in (LABKIT, TSHARK)),
    Reason(
        "retransmission family",
        TSHARK,
        LABKIT,
        lambda fact: fact.early,
        "It begins before the number of its sender's SYN, where there can be no octet: none of it was sent before. Wireshark "
        "takes every number below the next one for a resend.",
    ),
    Reason(
        "lost segment",
        TSHARK,
        NOBODY,
        lambda fact: fact.gap and fact.meets_ack,
        "It begins where the peer's last ACK ends, so that nothing is missing at the peer. The octets before it were sent before "
        "the capture began, as a keep-alive or a window probe shows, or that ACK is wrong, and labkit reports the ACK.",
    ),
    Reason(
        "lost segment",
        LABKIT,
        LABKIT,
        lambda fact: fact.damaged and (fact.gap or fact.shown),
        "An earlier segment of its sender has a wrong checksum. Its receiver drops that, and still lacks the octets before it.",
    ),
    Reason(
        "duplicate ACK",
        LABKIT,
        LABKIT,
        lambda fact: fact.stale and fact.again,
        "Its sender has acknowledged this number before, and greater ones since: the path has delayed it. When it was sent it "
        "repeated the greatest acknowledgement (RFC 5681 section 2). Wireshark compares it with the segment that overtook it.",
    ),
    Reason(
        "duplicate ACK",
        LABKIT,
        NOBODY,
        lambda fact: fact.same,
        "It is equal to its sender's segment before it: captured twice, duplicated on the way, or sent twice. Wireshark counts "
        "only segments at its sender's next number, and data with later numbers has overtaken this one.",
    ),
    Reason(
        "answer to a keep-alive",
        TSHARK,
        LABKIT,
        lambda fact: fact.answers_stale,
        "The segment before it is not a keep-alive: it acknowledges less than its sender did before, so it was overtaken, and "
        "begins before its sender's FIN because it is older than that.",
    ),
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
        "The connection was captured at several interfaces, and at this one the segment has new octets. What "
        "Wireshark takes for "
        "a resend is what another interface has shown before.",
    ),
    Reason(
        "lost segment",
        LABKIT,
        LABKIT,
        lambda fact: fact.several and fact.gap,
        "The connection was captured at several interfaces, and this one has not seen the numbers before it. "
        "Wireshark has, at "
        "another one.",
    ),
    Reason(
        "duplicate ACK",
        TSHARK,
        LABKIT,
        lambda fact: fact.several and not fact.repeats,
        "The connection was captured at several interfaces, and at this one the ACK is new. Wireshark has seen it"
        " at another.",
    ),
    Reason(
        "answer to a keep-alive",
        TSHARK,
        LABKIT,
        lambda fact: fact.several,
        "The connection was captured at several interfaces. What Wireshark takes for a keep-alive and its answer are segments "
        "that two interfaces show one after the other; at this one they were overtaken, or the ACK is new.",
    ),
    Reason(
        "duplicate ACK",
        LABKIT,
        LABKIT,
        lambda fact: fact.several and fact.repeats,
        "The connection was captured at several interfaces, and at this one it repeats its sender's last ACK. Wireshark compares "
        "it with another one that a different interface shows in between.",
    ),
    Reason(
        "duplicate ACK",
        TSHARK,
        LABKIT,
        lambda fact: fact.dsack,
        "Its first SACK block lies below its ack: it reports octets that came twice (RFC 2883 section 4), and asks for none.",
    ),
    Reason(
        "retransmission family",
        TSHARK,
        LABKIT,
        lambda fact: fact.seg_len > 0 and fact.old == 0,
        "None of its octets stood in the capture before: it fills a gap, and the capture has the ACK that covers it first.",
    ),
    Reason(
        "keep-alive",
        TSHARK,
        LABKIT,
        lambda fact: fact.several and fact.shown,
        "The connection was captured at several interfaces, and at this one the segment starts where its sender's"
        " last one "
        "ended.",
    ),
    Reason(
        "retransmission family",
        LABKIT,
        LABKIT,
        lambda fact: 0 < fact.old < fact.seg_len and not fact.acked,
        "Some of its octets stood in the capture before, and are not acknowledged: the first octet, for instance,"
        " which a "
        "probe of the closed window had carried. Wireshark does not count what a probe carries.",
    ),
    Reason(
        "retransmission family",
        TSHARK,
        LABKIT,
        lambda fact: fact.crossing,
        "A simultaneous open: the SYN ACK answers the peer's SYN, as RFC 9293 section 3.5 has it (figure 7). It "
        "takes the "
        "number of its sender's SYN because it is the same SYN; it is not a resend.",
    ),
    Reason(
        "retransmission family",
        TSHARK,
        LABKIT,
        lambda fact: fact.refused and fact.old == fact.seg_len,
        "A SYN that was refused with RST is sent once more, with the same number. The RST ended that attempt and "
        "deleted "
        "its TCB (RFC 9293 section 3.10.7.3): this SYN opens another connection, and labkit begins one there.",
    ),
    Reason(
        "retransmission family",
        TSHARK,
        LABKIT,
        lambda fact: fact.first_fin and fact.old == 1,
        "The sender's first FIN, on a number that another octet, or its SYN, took before: that number is wrong "
        "(FIN01). A retransmission needs an earlier FIN.",
    ),
    Reason(
        "retransmission family",
        TSHARK,
        LABKIT,
        lambda fact: fact.seg_len > 0 and fact.old == 0 and not fact.beyond,
        "The capture showed neither its octets nor later ones before: the segment is new. The capture has the ACK"
        " that answers it first (two interfaces, or a clock that steps back), and Wireshark trusts that ACK.",
    ),
    Reason(
        "retransmission family",
        LABKIT,
        LABKIT,
        lambda fact: fact.length == fact.seg_len == fact.old == 1 and not fact.acked,
        "One octet is sent again that is not acknowledged yet. Wireshark takes any single octet before SND.NXT for a "
        "keep-alive; a keep-alive belongs to an idle connection (RFC 9293 section 3.8.4), and this one has data "
        "under way.",
    ),
    Reason(
        "retransmission family",
        LABKIT,
        LABKIT,
        lambda fact: 0 < fact.seg_len == fact.old,
        "The capture showed all its octets, or its SYN, before. Wireshark ignores segments whose header it "
        "believes to be cut, for example in FabricPath frames, whose last octets it takes for a frame check "
        "sequence.",
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
        "Nothing is missing: the frame before it lost its tail in storage. Its IP length, under a correct header "
        "checksum, reaches up to this segment, and the peer acknowledges that many octets. Wireshark counts only "
        "the stored octets.",
    ),
    Reason(
        "lost segment",
        TSHARK,
        NOBODY,
        lambda fact: fact.far,
        "Its number lies further from all other numbers of its sender than the largest window, so it is neither "
        "ahead nor behind. Wireshark calls it both a lost segment and a resend.",
    ),
    Reason(
        "lost segment",
        LABKIT,
        LABKIT,
        lambda fact: fact.gap and fact.shown,
        "The numbers before it are not in the capture. Wireshark says so at the pure ACK before it, which starts "
        "at the "
        "same number; labkit repeats it at the segment whose octets stand behind the gap.",
    ),
    Reason(
        "duplicate ACK",
        TSHARK,
        LABKIT,
        lambda fact: fact.stale,
        "It acknowledges less than its sender did before: it was overtaken. A duplicate ACK repeats the greatest "
        "acknowledgement (RFC 5681 section 2, d); Wireshark compares with the segment before it, which was "
        "overtaken too.",
    ),
    Reason(
        "duplicate ACK",
        LABKIT,
        LABKIT,
        lambda fact: fact.after_stale and fact.repeats and fact.under_way,
        "It repeats the greatest acknowledgement, with the window that came with it, while data is under way (RFC 5681 "
        "section 2). An ACK that was overtaken stands between them in the capture, and Wireshark compares with "
        "that one.",
    ),
    Reason(
        "duplicate ACK",
        TSHARK,
        NOBODY,
        lambda fact: fact.alone,
        "The other direction is not in the capture, and no SACK block tells that data is under way: it may be a "
        "duplicate "
        "ACK, or the answer to a keep-alive. labkit says nothing.",
    ),
    Reason(
        "duplicate ACK",
        TSHARK,
        LABKIT,
        lambda fact: not fact.under_way,
        "No data is in flight: everything that the peer has sent is acknowledged. RFC 5681 section 2 requires "
        "outstanding data (a). The segment is a frame captured twice, an ACK for each read, or the answer to a "
        "spurious retransmission (a D-SACK).",
    ),
    Reason(
        "keep-alive",
        TSHARK,
        LABKIT,
        lambda fact: fact.closed,
        "The peer's window is closed: it asks whether it has opened. Linux sends its window probes with an old "
        "number and no "
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
        "Earlier data of its sender is not acknowledged, so this is not a keep-alive of an idle connection (RFC "
        "9293 section 3.8.4). It is one octet sent again, or an ACK that a later one overtook.",
    ),
    Reason(
        "window update",
        TSHARK,
        LABKIT,
        lambda fact: fact.first,
        "It is the first segment of its sender in the connection, so there is no earlier window to update.",
    ),
    Reason(
        "window update",
        TSHARK,
        LABKIT,
        lambda fact: fact.stale,
        "It acknowledges less than its sender did before: it was overtaken, and its window is not to be used (RFC"
        " 9293 section "
        "3.10.7.4, SND.WL1 and SND.WL2).",
    ),
    Reason(
        "window update",
        LABKIT,
        LABKIT,
        lambda fact: fact.after_stale and fact.repeats,
        "It acknowledges nothing new, and its window is another than that of the ACK before it, once those that "
        "were overtaken "
        "are left out; Wireshark compares with one of them.",
    ),
    Reason(
        "window update",
        TSHARK,
        LABKIT,
        lambda fact: fact.after_syn and fact.rounded,
        "The window of a SYN is never scaled (RFC 7323 section 2.2): the field in the next segment is another, "
        "the window is the "
        "same, but for the rounding that a scale brings. Wireshark compares the fields.",
    ),
    Reason(
        "window update",
        LABKIT,
        LABKIT,
        lambda fact: fact.after_syn and fact.repeats and not fact.rounded,
        "The window of a SYN is never scaled (RFC 7323 section 2.2), so that the same field in the next segment "
        "is a larger "
        "window. Wireshark compares the fields, and calls it a duplicate ACK.",
    ),
    Reason(
        "checksum",
        TSHARK,
        LABKIT,
        lambda fact: fact.short,
        "The IP length goes beyond the frame, so octets that the checksum covers are missing. labkit reports that"
        " (CAP01) and does not judge a checksum that it cannot compute. Wireshark sums the octets that are left.",
    ),
    Reason(
        "checksum",
        TSHARK,
        LABKIT,
        lambda fact: fact.joined and fact.good_sum,
        "Fragments overlap with different octets. The checksum is right if the first octets stay, as labkit joins"
        " them, so those octets were sent. Wireshark joins them in another way.",
    ),
)


def adjudicate(group: str, only: str, fact: Fact | None) -> int | None:
    """Return the index in REASONS of the first reason that holds; None without one: then labkit is wrong."""
    if fact is None:
        return None
    for number, reason in enumerate(REASONS):
        if reason.group == group and reason.only == only and reason.holds(fact):
            return number
    return None
