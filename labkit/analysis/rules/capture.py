"""What the capture holds, before anything is judged: broken headers, cut frames, half conversations."""

from labkit.analysis.pending import SAME_MOMENT
from labkit.analysis.rule import BOTH, RFC_ONLY, Scope, Severity, rule
from labkit.analysis.side import Side
from labkit.packet.seen import BAD_OFFSET, CUT, SHORT_IP, SHORT_TCP, SUM_PARTIAL, Seen
from labkit.tcp.segment import RST, SYN


def _wrong_length(seg: Seen, me: Side, peer: Side) -> str:
    return "hdr_len" if seg.fault == BAD_OFFSET else "ip.len"


def _room(seg: Seen, me: Side, peer: Side) -> int:
    """The length that would fit: for a data offset, of the TCP header; else of the IP datagram."""
    if seg.fault == SHORT_TCP:
        return seg.tcp_at + 20 - seg.ip_at
    return 20 if seg.doff < 20 else seg.ip_at + seg.ip_len - seg.tcp_at


@rule(
    "CAP01",
    Severity.ERROR,
    "RFC 9293 3.1",
    "the lengths in the headers do not fit the packet: {seg.ip_len} octets by the IP header, a TCP header of {seg.doff} "
    "octets by the data offset, in a frame of {seg.wirelen}",
    field=_wrong_length,
    expected=_room,
    actual=lambda seg, me, peer: seg.doff if seg.fault == BAD_OFFSET else seg.ip_len,
    scope=Scope.FRAME,
    profiles=RFC_ONLY,
    receiver="It drops the packet: it cannot tell header from data.",
    wireshark="tcp.bogus_header_length",
    good="""
        > S 0:0(0)
    """,
    bad="""
        > S 0:0(0) {doff=4}   # CAP01
    """,
)
def headers_do_not_fit(seg: Seen, me: Side, peer: Side) -> int:
    """The lengths in the headers fit the packet, and each other.

    The data offset counts the TCP header in units of four octets: less than five units cannot hold the fixed header, and
    more than the datagram has would place the data outside of it.
    """
    return seg.fault in (SHORT_TCP, BAD_OFFSET)


@rule(
    "CAP01",
    Severity.ERROR,
    "RFC 791 3.1, RFC 8200 3",
    "the IP header gives the datagram {seg.ip_len} octets, but what holds it (the frame, PPPoE, or a tunnel) has "
    "{seg.room} for it",
    field="ip.len",
    expected="seg.room",
    actual="seg.ip_len",
    scope=Scope.FRAME,
    profiles=RFC_ONLY,
    receiver="It drops the packet: octets are missing.",
    wireshark="tcp.short_segment",
    good="""
        > P. 1:100(99) ack 1
    """,
    bad="""
        > P. 1:100(99) ack 1 {ip.len=200}   # CAP01
    """,
)
def datagram_does_not_fit(seg: Seen, me: Side, peer: Side) -> int:
    """An IP datagram is as long as its header says, and lies whole in the frame, or in the tunnel, that carries it.

    Where a tool has cut the frame's tail, and the record of its length with it, the capture looks the same.
    """
    return seg.fault == SHORT_IP


@rule(
    "CAP02",
    Severity.NOTE,
    "",
    "the frame was cut when it was captured: {seg.caplen} of {seg.wirelen} octets are there; checksums, payload, and what the "
    "options of a SYN would have told, are not judged",
    scope=Scope.FRAME,
    once=True,
    profiles=BOTH,
    limit="truncated",
    good="""
        > P. 1:100(99) ack 1
    """,
    bad="""
        > P. 1:100(99) ack 1 {caplen=80}   # CAP02
    """,
)
def frame_cut_short(seg: Seen, me: Side, peer: Side) -> int:
    """A capture may keep only the first octets of each frame (its snap length); the rest cannot be judged.

    `tcpdump -s 96` does so, for example. The length of the payload is still known from the IP header, so that sequence
    numbers can be followed. Where options of a SYN are missing, nobody knows what was agreed on: timestamps, SACK, by how
    much windows are shifted.
    """
    part = seg.fault == CUT or seg.opt_cut != 0 or seg.data_len < seg.len
    return part and seg.caplen < seg.wirelen


@rule(
    "CAP05",
    Severity.NOTE,
    "",
    "the capture shows only a part of this conversation (its beginning, or one direction, is missing): what depends on "
    "the missing part is not judged",
    scope=Scope.FLOW,
    profiles=BOTH,
    limit={True: "mid-stream", Severity.NOTE: "one-sided"},
    no_fault="says what the capture lacks",
    good="""
        > S  0:0(0)
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
    """,
    bad="""
        > P. 1:100(99) ack 1
        < .  1:1(0) ack 100
        # CAP05
    """,
)
def part_of_a_conversation(seg: Seen, me: Side, peer: Side) -> int:
    """A capture may begin in the middle of a conversation, or show one direction only.

    Then the initial sequence numbers and the options that the handshake agreed on are unknown. Rules that need them are
    silent for this conversation, and relative numbers count from the first segment that was seen.
    """
    one_way = peer.seen == 0 and me.has_rcv_nxt != 0
    started_before = (me.seen > 0 and me.syn == 0) or (peer.seen > 0 and peer.syn == 0)
    # A refused SYN is a whole conversation, though the side that refuses never sends one.
    refused = me.syn == 1 and peer.syn == 0 and peer.rst != 0 and peer.last_ctl & SYN == 0 and me.third == 0
    one_sided = me.seen == 0 or peer.seen == 0
    return (one_way or (started_before and not refused)) and (Severity.NOTE if one_sided else True)


@rule(
    "CAP04",
    Severity.WARNING,
    "RFC 9293 3.7.1",
    "{seg.len} octets of payload are more than the {peer.mss} that the peer can take in one segment",
    otherwise={
        Severity.NOTE: "{seg.len} octets of payload, more than the peer's MSS of {peer.mss}: the capture was taken above "
        "segmentation offload; the network card cuts such a segment into smaller ones, or has joined them"
    },
    field="len",
    expected="peer.mss",
    actual="seg.len",
    profiles=RFC_ONLY,
    once=True,
    receiver="It may have to drop the segment, for it was not ready for its size.",
    limit={Severity.NOTE: "segmentation-offload"},
    good="""
        > S  0:0(0) <mss 1460>
        < S. 0:0(0) ack 1 <mss 536>
        > .  1:1(0) ack 1
        > P. 1:537(536) ack 1
    """,
    bad="""
        > S  0:0(0) <mss 1460>
        < S. 0:0(0) ack 1 <mss 536>
        > .  1:1(0) ack 1
        > P. 1:538(537) ack 1   # CAP04
    """,
)
def payload_beyond_the_mss(seg: Seen, me: Side, peer: Side) -> int:
    """A segment carries no more than the peer's MSS option allows (MUST-16).

    Where the capture comes from a host that lets its network card cut segments (TSO), or join them (GRO), they are larger
    than any that was on the wire.
    """
    if peer.mss <= 0 or seg.len <= peer.mss or seg.ctl & (SYN | RST):
        return False
    offloaded = seg.len >= 2 * peer.mss or seg.sum_state == SUM_PARTIAL or seg.ip_len > 1500 or seg.ip_len == 0
    return Severity.NOTE if offloaded else True


@rule(
    "CAP06",
    Severity.NOTE,
    "",
    "the same packet once more: the capture shows it twice, or the network has delivered it twice",
    profiles=RFC_ONLY,
    once=True,
    limit="duplicated",
    good="""
        > P. 1:100(99) ack 1
        +0.3 > P. 1:100(99) ack 1
    """,
    bad="""
        > P. 1:100(99) ack 1
        +0.0001 > P. 1:100(99) ack 1 {ip.id=1}   # CAP06
    """,
)
def captured_twice(seg: Seen, me: Side, peer: Side) -> int:
    """One packet with one IPv4 identification appears twice within a moment: on loopback, behind a mirror port, or where
    two interfaces were captured."""
    return (
        me.seen > 0
        and seg.ip_id > 0
        and seg.ip_id == me.last_id
        and seg.seq == me.last_seq
        and seg.len == me.last_len
        and seg.ctl == me.last_ctl
        and seg.time - me.last_time <= SAME_MOMENT
        and (seg.ctl & RST != 0 or seg.ack == me.last_ack)
    )


@rule(
    "CAP07",
    Severity.NOTE,
    "",
    "time goes backwards: this packet is older than one that stands before it in the capture",
    profiles=RFC_ONLY,
    once=True,
    limit="clock-stepped-back",
    good="""
        > P. 1:100(99) ack 1
        < .  1:1(0) ack 100
    """,
    bad="""
        1.0 > P. 1:100(99) ack 1
        0.9 < .  1:1(0) ack 100   # CAP07
    """,
)
def time_goes_back(seg: Seen, me: Side, peer: Side) -> int:
    """Packets of several queues or interfaces may be written in another order than they came, or a clock was set back.

    Segments are judged in the order of the capture.
    """
    return (me.seen > 0 and seg.time < me.last_time) or (peer.seen > 0 and seg.time < peer.last_time)


@rule(
    "CAP03",
    Severity.NOTE,
    "RFC 791 3.2, RFC 8200 4.5",
    "the datagram came in fragments; it was put together again, and is judged at its last one",
    scope=Scope.FRAME,
    once=True,
    no_fault="describes what is no fault",
    good="""
        > P. 1:100(99) ack 1
    """,
    bad="""
        > P. 1:1001(1000) ack 1 {fragment=512}   # CAP03
    """,
)
def came_in_fragments(seg: Seen, me: Side, peer: Side) -> int:
    """IP has cut the datagram into pieces; TCP can be read only once they are all there.

    Pieces that never become whole, or that overlap, hold no segment that could be judged.
    """
    return seg.joined != 0
