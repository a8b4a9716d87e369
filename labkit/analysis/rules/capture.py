"""Limits and damage of the capture: broken headers, cut frames, incomplete conversations."""

from labkit.analysis.order import SAME_MOMENT
from labkit.analysis.relations import before_segmentation, exceeds_mss
from labkit.analysis.rule import BOTH, RFC_ONLY, Scope, Severity, rule
from labkit.analysis.side import Side
from labkit.packet.seen import BAD_OFFSET, CUT, SHORT_IP, SHORT_TCP, Seen
from labkit.tcp.flags import RST, SYN


def _wrong_field(seg: Seen, me: Side, peer: Side) -> str:
    return "hdr_len" if seg.fault == BAD_OFFSET else "ip.len"


def _right_length(seg: Seen, me: Side, peer: Side) -> int:
    """The length that fits: of the TCP header if the data offset is wrong, otherwise of the IP datagram."""
    if seg.fault == SHORT_TCP:
        return seg.tcp_at + 20 - seg.ip_at
    return 20 if seg.doff < 20 else seg.ip_at + seg.ip_len - seg.tcp_at


@rule(
    "CAP01",
    Severity.ERROR,
    "RFC 9293 3.1",
    "the header lengths do not fit the packet: IP length {seg.ip_len}, TCP header {seg.doff}, frame {seg.wirelen} "
    "bytes",
    field=_wrong_field,
    expected=_right_length,
    actual=lambda seg, me, peer: seg.doff if seg.fault == BAD_OFFSET else seg.ip_len,
    scope=Scope.FRAME,
    profiles=RFC_ONLY,
    should_be="a length of {expected} bytes instead of {actual}",
    receiver="It drops the packet, because it cannot tell the header from the data.",
    mend="Correct the length, or let Scapy compute it (del packet[IP].len, packet[TCP].dataofs).",
    wireshark="tcp.bogus_header_length",
    good="""
        > S 0:0(0)
    """,
    bad="""
        > S 0:0(0) {doff=4}   # CAP01
    """,
)
def headers_do_not_fit(seg: Seen, me: Side, peer: Side) -> int:
    """The lengths in the headers must fit the packet and each other.

    The data offset counts the TCP header in units of four bytes. Fewer than five units cannot hold the fixed header.
    More units than the datagram has room for would place the data outside it.
    """
    return seg.fault in (SHORT_TCP, BAD_OFFSET)


@rule(
    "CAP01",
    Severity.ERROR,
    "RFC 791 3.1, RFC 8200 3",
    "the IP header says {seg.ip_len} bytes, but the frame or the tunnel has room for {seg.room}",
    field="ip.len",
    expected="seg.room",
    actual="seg.ip_len",
    scope=Scope.FRAME,
    profiles=RFC_ONLY,
    should_be="an IP length of {expected} bytes at most",
    receiver="It drops the packet, because bytes are missing.",
    mend="Correct the IP length, or add the missing bytes to the packet.",
    wireshark="tcp.short_segment",
    good="""
        > P. 1:100(99) ack 1
    """,
    bad="""
        > P. 1:100(99) ack 1 {ip.len=200}   # CAP01
    """,
)
def datagram_does_not_fit(seg: Seen, me: Side, peer: Side) -> int:
    """An IP datagram is as long as its header says, and lies entirely in its frame or tunnel.

    The same shows if a tool has cut the end of the frame and has written the shorter length into the capture.
    """
    return seg.fault == SHORT_IP


@rule(
    "CAP08",
    Severity.ERROR,
    "RFC 894",
    "the IP length {seg.ip_len} counts {seg.padding} bytes that only pad the Ethernet frame",
    field="ip.len",
    expected=lambda seg, me, peer: seg.ip_len - seg.padding,
    actual="seg.ip_len",
    scope=Scope.FRAME,
    should_be="an IP length of {expected} bytes, without the padding",
    receiver="It takes the zeros for data: the sender's next segment has their numbers again.",
    mend="Set the IP length to {expected}, or let Scapy compute it (del packet[IP].len).",
    good="""
        > .  1:1(0) ack 1
    """,
    bad="""
        > .  1:7(6) ack 1 {ip.len=46,fill=0x00}   # CAP08
    """,
)
def padding_counted(seg: Seen, me: Side, peer: Side) -> int:
    """Ethernet pads a frame to 60 bytes without its checksum. The padding is not part of the IP datagram.

    Six zeros at most that end with such a frame, on an IPv4 segment without PSH, are padding. labkit judges the segment as one
    without data.
    """
    return seg.padding > 0


@rule(
    "CAP02",
    Severity.NOTE,
    "",
    "the capture keeps {seg.caplen} of the frame's {seg.wirelen} bytes; labkit does not judge the rest",
    scope=Scope.FRAME,
    once=True,
    profiles=BOTH,
    limit="truncated",
    mend="Capture whole frames, for example with tcpdump -s 0.",
    good="""
        > P. 1:100(99) ack 1
    """,
    bad="""
        > P. 1:100(99) ack 1 {caplen=80}   # CAP02
    """,
)
def frame_cut_short(seg: Seen, me: Side, peer: Side) -> int:
    """A capture may keep only the first bytes of each frame (its snap length).

    labkit then judges neither checksums nor payload, nor what depends on the missing options of a SYN: timestamps,
    SACK and the window scale. It still follows the sequence numbers, because the IP header gives the length of the
    payload. `tcpdump -s 96` makes such captures.
    """
    part = seg.fault == CUT or seg.opt_cut != 0 or seg.data_len < seg.len
    return part and seg.caplen < seg.wirelen


@rule(
    "CAP05",
    Severity.NOTE,
    "",
    "the capture lacks the beginning or one direction of this conversation; labkit does not judge what depends on it",
    scope=Scope.FLOW,
    profiles=BOTH,
    limit={True: "mid-stream", Severity.NOTE: "one-sided"},
    no_fault="says what the capture lacks",
    mend="Start the capture before the connection opens, at a point that sees both directions.",
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
    """A capture may begin in the middle of a conversation, or show only one of its directions.

    The initial sequence numbers and the options of the handshake are then unknown. Rules that need them are silent
    for this conversation. Relative numbers count from the first segment of the capture.
    """
    one_way = peer.seen == 0 and me.has_rcv_nxt != 0
    started_before = (me.seen > 0 and me.syn == 0) or (peer.seen > 0 and peer.syn == 0)
    # A refused SYN is a complete conversation, although the refusing side sends no SYN.
    refused = me.syn == 1 and peer.syn == 0 and peer.rst != 0 and peer.last_ctl & SYN == 0 and me.third == 0
    one_sided = me.seen == 0 or peer.seen == 0
    return (one_way or (started_before and not refused)) and (Severity.NOTE if one_sided else True)


@rule(
    "CAP04",
    Severity.WARNING,
    "RFC 9293 3.7.1",
    "a payload of {seg.len} bytes exceeds the peer's MSS of {peer.mss}",
    field="len",
    expected="peer.mss",
    actual="seg.len",
    profiles=RFC_ONLY,
    should_be="{expected} bytes at most, the MSS option of the peer",
    receiver="It may drop the segment, because it is not prepared for this size.",
    mend="Split the data into segments of at most {expected} bytes.",
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
    """A segment carries no more bytes than the MSS option of the peer allows (MUST-16).

    labkit reports the first such segment of each side of a conversation.
    """
    return exceeds_mss(seg, peer) and me.oversized == 0 and peer.default_mss == 0


@rule(
    "CAP04",
    Severity.WARNING,
    "RFC 9293 3.7.1",
    "a payload of {seg.len} bytes exceeds the default MSS of {peer.mss}: the peer's SYN has no MSS option",
    field="len",
    expected="peer.mss",
    actual="seg.len",
    profiles=RFC_ONLY,
    once=True,
    should_be="{expected} bytes at most, the MSS of a peer that names none",
    receiver="It may drop the segment, because it is not prepared for this size.",
    mend="Split the data into segments of at most {expected} bytes, or put an MSS option on the peer's SYN.",
    good="""
        > S  0:0(0) <mss 1460>
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > P. 1:537(536) ack 1
    """,
    bad="""
        > S  0:0(0) <mss 1460>
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1
        > P. 1:1401(1400) ack 1   # CAP04
    """,
)
def payload_beyond_the_default_mss(seg: Seen, me: Side, peer: Side) -> int:
    """To a peer whose SYN has no MSS option, a segment carries no more than the default MSS (MUST-15).

    RFC 9293 section 3.7.1: the default is 536 bytes for IPv4 and 1220 bytes for IPv6, so that the packet fits a
    datagram that every host can receive. An MSS of 0 counts as none. Of a peer whose SYN is not in the capture, nothing is known.
    """
    return exceeds_mss(seg, peer) and peer.default_mss != 0


@rule(
    "CAP04",
    Severity.NOTE,
    "RFC 9293 3.7.1",
    "a payload of {seg.len} bytes exceeds the peer's MSS of {peer.mss}, because the capture was taken above "
    "segmentation offload",
    field="len",
    expected="peer.mss",
    actual="seg.len",
    profiles=RFC_ONLY,
    once=True,
    limit="segmentation-offload",
    good="""
        > S  0:0(0) <mss 1460>
        < S. 0:0(0) ack 1 <mss 1000>
        > .  1:1(0) ack 1
        > P. 1:1001(1000) ack 1
    """,
    bad="""
        > S  0:0(0) <mss 1460>
        < S. 0:0(0) ack 1 <mss 1000>
        > .  1:1(0) ack 1
        > P. 1:2001(2000) ack 1   # CAP04
    """,
)
def payload_before_segmentation(seg: Seen, me: Side, peer: Side) -> int:
    """Larger segments are normal in a capture from a host whose network card splits segments (TSO) or joins them (GRO).

    They never were on the wire in this size.
    """
    return 0 < peer.mss < seg.len and seg.ctl & (SYN | RST) == 0 and before_segmentation(seg, peer)


@rule(
    "CAP06",
    Severity.NOTE,
    "",
    "the capture shows the same packet twice, or the network delivered it twice",
    profiles=RFC_ONLY,
    once=True,
    limit="duplicated",
    mend="Capture at one interface only, or remove the copies, for example with editcap -d.",
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
    """The same packet, with the same IPv4 identification, appears twice.

    Captures of the loopback interface, of a mirror port or of several interfaces show packets twice, perhaps late, or cut the
    second time. The network may also duplicate a packet. Where all identifications are the same, labkit takes only what
    follows within a moment for the same packet.
    """
    same = (
        me.seen > 0
        and seg.ip_id > 0
        and seg.ip_id == me.last_id
        and seg.seq == me.last_seq
        and seg.len == me.last_len
        and seg.ctl == me.last_ctl
        and seg.win == me.last_win
        and seg.sum == me.last_sum
        and (seg.ctl & RST != 0 or seg.ack == me.last_ack)
    )
    return same and (me.ids_differ != 0 or seg.time - me.last_time <= SAME_MOMENT)


@rule(
    "CAP07",
    Severity.NOTE,
    "",
    "this packet is older than a packet before it in the capture",
    profiles=RFC_ONLY,
    once=True,
    limit="clock-stepped-back",
    mend="Sort the packets by time, for example with reordercap.",
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
    """The time of a packet lies before that of an earlier packet in the capture.

    A capture of several queues or interfaces may hold packets out of order, or somebody set the clock back. labkit
    judges the packets in the order of the capture.
    """
    return (me.seen > 0 and seg.time < me.last_time) or (peer.seen > 0 and seg.time < peer.last_time)


@rule(
    "CAP03",
    Severity.NOTE,
    "RFC 791 3.2, RFC 8200 4.5",
    "the datagram came in fragments; labkit judges it at the last fragment",
    scope=Scope.FRAME,
    once=True,
    no_fault="describes what is not a fault",
    mend="Use a smaller MSS, so that IP does not have to fragment.",
    good="""
        > P. 1:100(99) ack 1
    """,
    bad="""
        > P. 1:1001(1000) ack 1 {fragment=512}   # CAP03
    """,
)
def came_in_fragments(seg: Seen, me: Side, peer: Side) -> int:
    """IP has split the datagram into fragments.

    labkit joins the fragments and judges the segment when the last one has arrived. It cannot judge a datagram with
    missing or overlapping fragments.
    """
    return seg.joined != 0
