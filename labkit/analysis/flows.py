"""Assign segments to conversations: find those that belong together, and the first one of the next connection.

A four-tuple may serve many connections, one after the other. A SYN begins a new connection if the old one is over, or was
seen only from its middle. Any other SYN is a retransmission, a second attempt, or a stray.

A capture may show one connection at several points, with an interface for each: on a router, or at both ends. Then it has each
segment several times, and a packet may be lost between two points. Each point has a conversation of its own: once a side was seen
at one interface, its segments at another interface belong to another conversation. But two interfaces that have one direction
each make one conversation.

The decisions are functions over integers, which the compiled engine shares. `FlowTable` is the interpreter's storage.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from mmap import mmap
from typing import Any, Protocol

from labkit.analysis.damage import spoiled
from labkit.analysis.side import OLD_CLOSED, OLD_REFUSED, OLD_RESET, OLD_USED, Side
from labkit.analysis.unread import PAIR_OCTETS, Unread, mark_ends, segment_key, unread_key
from labkit.capture import Frame
from labkit.packet.decode.outcome import FRAGMENT, OTHER, TCP
from labkit.packet.linktype import ETHERNET
from labkit.packet.seen import ABSENT, Record, Seen
from labkit.tcp.flags import ACK, RST, SYN
from labkit.tcp.seq import add, after, diff

MAX_OPEN = 100_000
"""Conversations that are open at a time. Where there are more, the oldest ones are finished."""

MAX_OVER = 16_384
"""Conversations that are over and still remembered, for late segments and for the next connection of the same four-tuple. Where
there are more, those that have been silent for longest are finished."""

ROUND = 8_192
"""Segments of the capture from one look at these two bounds to the next: threads that share the conversations need not wait for
each other at every segment."""

MAX_POINTS = 8
"""Points of capture that are distinguished for one connection. Segments of further points join the last one."""

MAX_HOSTS = 10_000
"""Hosts whose last initial sequence numbers are remembered, as clients or as servers. The first one gives way."""

SYSTEM_PORTS = 1024
"""Ports below it are system ports (RFC 6335 section 6)."""

FIN_RTO = 1_000_000_000
"""Nanoseconds after which a FIN without an ACK was sent again (RFC 6298 section 2)."""

TWO_MSL = 240 * 1_000_000_000
"""Nanoseconds that TIME-WAIT lasts (RFC 9293 section 3.4.2: MSL is 2 minutes)."""

End = tuple[bytes, int]
"""An address in network byte order, and a port."""

Key = tuple[End, End, int]
"""Flow-table key: the lesser end, the greater one, and the point of capture."""


def no_points() -> list[int]:
    """The interfaces of both sides before a segment was seen."""
    return [ABSENT, ABSENT]


@dataclass(slots=True, init=False, eq=False, repr=False)
class HostIsns(Record):
    """The initial sequence numbers of a host, as a client or as a server."""

    last: int = 0
    step: int = 0
    """How far the last one was from the one before."""
    count: int = 0


@dataclass(slots=True, eq=False, repr=False)
class Flow:
    """One conversation: its number (0 is the first one of the capture), its two ends and what is known of them."""

    index: int
    ends: tuple[End, End]
    """The sender of the first segment, and the other end."""
    sides: tuple[Side, Side] = field(default_factory=lambda: (Side(), Side()))
    client: int = 0
    """The side that sent the SYN, or received the SYN ACK. Without either, `likely_client` decides."""
    segments: int = 0
    point: int = 0
    """The number of its point of capture, from 0."""
    seen_at: list[int] = field(default_factory=no_points)
    """The interface of each side's segments; ABSENT before the first."""

    @property
    def key(self) -> Key:
        """Flow-table key."""
        one, other = self.ends
        return (one, other, self.point) if one <= other else (other, one, self.point)

    def name(self, side: int) -> str:
        """`address:port` of a side, an IPv6 address in brackets."""
        return end_name(self.ends[side])


def end_name(end: End) -> str:
    """`address:port`, an IPv6 address in brackets (RFC 3986 section 3.2.2)."""
    address, port = end
    if len(address) == 4:
        return f"{'.'.join(map(str, address))}:{port}"
    from ipaddress import ip_address

    return f"[{ip_address(address)}]:{port}"


def end_of(name: str) -> End:
    """The end with that `end_name`."""
    from ipaddress import ip_address

    address, _, port = name.rpartition(":")
    return ip_address(address.strip("[]")).packed, int(port)


def possible_frames(frames: Iterable[Frame], ends: Collection[tuple[End, End]]) -> Iterator[Frame]:
    """Leave out the frames that cannot belong to these four-tuples, so that most frames need not be decoded.

    Only a whole TCP/IP datagram right behind an Ethernet header can be left out: any other frame may hold a tunnel or a fragment.
    """
    keys = {source + target + sport.to_bytes(2) + dport.to_bytes(2) for (source, sport), (target, dport) in ends}
    for frame in frames:
        data = frame.data
        if frame.link == ETHERNET:
            if data[12:15] == b"\x08\x00\x45":
                if data[23:24] == b"\x06" and not (data[20] & 0x3F or data[21]) and data[26:38] not in keys:
                    continue
            elif data[12:14] == b"\x86\xdd" and data[20:21] == b"\x06" and data[22:58] not in keys:
                continue
        yield frame


class FlowTable:
    """The conversations of a capture. `over` collects finished ones, until the caller clears it."""

    def __init__(
        self, most: int = MAX_OPEN, most_over: int = MAX_OVER, most_hosts: int = MAX_HOSTS, every: int = ROUND
    ) -> None:
        self._open: dict[Key, Flow] = {}
        self._ended: dict[Key, Flow] = {}
        """Those that are over, in the order of their last segments."""
        self._most, self._most_over, self._most_hosts, self._every = most, most_over, most_hosts, every
        self._hosts: dict[bytes, HostIsns] = {}
        self.segments = 0
        self.count = 0
        self.forgotten = 0
        """Open conversations that gave way to others."""
        self.over: list[Flow] = []
        self.pairs: Any = mmap(-1, PAIR_OCTETS)  # pages that are never used take neither memory nor time
        """The addresses and ports of all conversations, as bits (`labkit.analysis.unread`)."""

    def find(self, data: bytes, seg: Seen) -> tuple[Flow, int]:
        """The conversation of a segment, which may begin with it, and the side that sent the segment."""
        self.segments += 1
        source = data[seg.src_at : seg.src_at + seg.addr_len], seg.sport
        target = data[seg.dst_at : seg.dst_at + seg.addr_len], seg.dport
        low, high = (source, target) if source <= target else (target, source)
        key, flow = self._at_point(low, high, source, seg.point)
        if flow is None:
            flow = self._begin(key, source, target)
            mark_ends(self.pairs, data, seg)
        side = 0 if flow.ends[0] == source else 1
        if seg.ctl & SYN:
            me, peer = flow.sides[side], flow.sides[1 - side]
            if flow.segments and begins_anew(seg, me, peer):
                self.over.append(flow)
                flow, side = self._begin(key, source, target), 0
                succeed(seg, *flow.sides, me, peer)
            if compares_isn(seg, flow.sides[side], flow.point):
                self._compare_isn(source[0] + bytes((seg.ctl & ACK,)), seg, flow.sides[side])
        add_segment(flow, seg, side, *flow.sides)
        return flow, side

    def _at_point(self, low: End, high: End, source: End, point: int) -> tuple[Key, Flow | None]:
        """The conversation of a segment at an interface, or None and the key of the conversation that begins with it."""
        half = None
        for number in range(MAX_POINTS):
            key = low, high, number
            flow = self._open.get(key) or self._ended.get(key)
            if flow is None:
                break
            side = 0 if flow.ends[0] == source else 1
            match = compare_points(point, flow.seen_at[side], flow.seen_at[1 - side])
            if match == SAME_POINT:
                return key, flow
            if match == HALF_SEEN and half is None:
                half = key, flow
        else:
            return key, flow
        return half or (key, None)

    def _compare_isn(self, key: bytes, seg: Seen, me: Side) -> None:
        """Compare the ISN with those of the same host. The host that was remembered first gives way."""
        host = self._hosts.get(key)
        if host is not None:
            next_isn(seg, me, host)
            return
        if len(self._hosts) >= self._most_hosts:
            self._hosts.pop(next(iter(self._hosts)))
        self._hosts[key] = host = HostIsns()
        first_isn(seg, me, host)

    def settle(self, flow: Flow) -> None:
        """Keep a conversation with those that are over, if it is over. Call this after each of its segments."""
        if is_over(*flow.sides):
            key = flow.key
            self._open.pop(key, None)
            self._ended.pop(key, None)
            self._ended[key] = flow

    def keep_bounds(self) -> None:
        """Finish what is beyond the bounds, if a round is complete. Call this after each segment."""
        if self.segments % self._every:
            return
        while len(self._ended) > self._most_over:
            self.over.append(self._ended.pop(next(iter(self._ended))))
        while len(self._open) > self._most:
            self.over.append(self._open.pop(next(iter(self._open))))
            self.forgotten += 1

    def close(self) -> Iterator[Flow]:
        """The conversations that are left: those that are over, then the open ones in the order of their beginnings. The table
        is empty afterwards."""
        left = [*self.over, *self._ended.values(), *self._open.values()]
        self.over.clear()
        self._open.clear()
        self._ended.clear()
        return iter(left)

    def _begin(self, key: Key, source: End, target: End) -> Flow:
        self._open.pop(key, None)
        self._ended.pop(key, None)
        flow = Flow(self.count, (source, target), client=likely_client(source[1], target[1]), point=key[2])
        self._open[key] = flow
        self.count += 1
        return flow


def likely_client(source: int, target: int) -> int:
    """The side to take as the client while no SYN was seen: 0 is the sender of the first segment, 1 the receiver.

    Servers listen on system ports (RFC 6335 section 6). If both ports are system ports, or neither is, take the sender.
    """
    return 1 if source < SYSTEM_PORTS <= target else 0


SAME_POINT, HALF_SEEN, OTHER_POINT = 2, 1, 0
"""What `compare_points` finds."""


def compare_points(point: int, mine: int, other: int) -> int:
    """Compare the interface of a segment with those of a conversation's sides (`Flow.seen_at`); `mine` is its sender's.

    HALF_SEEN: the sender was not seen yet, and the other side was seen at another interface.
    """
    if mine == ABSENT:
        return SAME_POINT if other == point else HALF_SEEN
    return SAME_POINT if mine == point else OTHER_POINT


class Counters(Protocol):
    """The integers of a `Flow`, wherever it is stored."""

    segments: int
    client: int
    seen_at: list[int]


def add_segment(flow: Counters, seg: Seen, side: int, one: Side, other: Side) -> None:
    """Count a segment of `side`. The first SYN shows which side is the client."""
    flow.segments += 1
    flow.seen_at[side] = seg.point
    if seg.ctl & SYN and one.syn == 0 and other.syn == 0:
        flow.client = 1 - side if seg.ctl & ACK else side


def is_over(one: Side, other: Side) -> bool:
    """Whether a conversation was reset, or both sides have sent a FIN."""
    return one.rst != 0 or other.rst != 0 or (one.has_fin != 0 and other.has_fin != 0)


def is_closed(seg: Seen, me: Side, peer: Side) -> bool:
    """Whether a conversation was over when a SYN was sent: it was reset, or both FINs are acknowledged. If the capture lacks an
    ACK, both FINs were sent so long ago that they would have been sent again."""
    if me.rst or peer.rst:
        return True
    if not is_over(me, peer):
        return False
    acknowledged = me.has_rcv_nxt and peer.has_rcv_nxt and after(me.rcv_nxt, peer.fin) and after(peer.rcv_nxt, me.fin)
    return bool(acknowledged) or seg.time - max(me.last_time, peer.last_time) > FIN_RTO


def begins_anew(seg: Seen, me: Side, peer: Side) -> bool:
    """Whether a segment is the SYN of a new connection, not of the one that was last seen on its four-tuple."""
    if seg.ctl & (SYN | RST) != SYN or (me.sums_good and spoiled(seg)):
        return False
    over = is_closed(seg, me, peer)
    if seg.ctl & ACK:
        # It answers a SYN in the middle of the old connection, which one host had forgotten (RFC 9293 section 3.5.1).
        answers_other = peer.has_resyn != 0 and seg.ack == add(peer.resyn, 1) and seg.ack != add(peer.isn, 1)
        goes_on = me.has_nxt != 0 and seg.seq == me.nxt  # a segment of the old one, on which SYN is wrong
        return answers_other or (over and me.syn != 0 and seg.seq != me.isn and not goes_on)
    if me.syn:
        return over
    if me.seen:
        return add(seg.seq, 1) != me.first_seq  # it may just be captured after the segments that follow it
    # After the peer's SYN, this is a simultaneous open. Without one, the peer was seen in the middle of a connection.
    return peer.syn == 0 and peer.rst == 0


def succeed(seg: Seen, one: Side, other: Side, me: Side, peer: Side) -> None:
    """Begin a connection whose first segment is `seg`. `me` and `peer` used its four-tuple before."""
    inherit(one, me, peer, seg.time)
    inherit(other, peer, me, seg.time)
    if seg.ctl & ACK and peer.has_resyn:
        remember_syn(other, peer.resyn, peer.resyn_packet)


def inherit(new: Side, old: Side, other: Side, now: int) -> None:
    """Tell a side of a new connection about the connection before on its four-tuple, whose sides were `old` and `other`."""
    closed = old.has_fin and other.has_fin
    refused = not (old.syn and other.syn)
    quiet = now - max(old.last_time, other.last_time)
    new.old_nxt = old.nxt
    # Where time goes back, the old connection may be a copy of the new one.
    new.has_old = OLD_USED
    if closed and 0 <= quiet < TWO_MSL and old.has_nxt:
        new.has_old = OLD_CLOSED
    elif old.rst or other.rst:
        new.has_old = OLD_REFUSED if refused else OLD_RESET


def remember_syn(side: Side, isn: int, packet: int) -> None:
    """Give a side the SYN that was captured before its connection was known to be new."""
    side.syn, side.isn, side.syn_end, side.syn_packet = 1, isn, add(isn, 1), packet
    side.base, side.has_base = isn, 1
    side.nxt, side.has_nxt = add(isn, 1), 1
    side.seen = 1
    side.opt_cut = 1  # nobody has kept its options


def compares_isn(seg: Seen, me: Side, point: int) -> bool:
    """Whether a segment has the ISN of a new connection: the first SYN of its sender, at the first point of capture."""
    return seg.ctl & (SYN | RST) == SYN and point == 0 and me.syn == 0


def first_isn(seg: Seen, me: Side, host: HostIsns) -> None:
    """Remember the first ISN of a host. What a broken SYN of this side was compared with is forgotten, as the host was."""
    me.host_isns = 0
    host.last = seg.seq
    host.step = 0
    host.count = 1


def next_isn(seg: Seen, me: Side, host: HostIsns) -> None:
    """Tell a side the earlier ISNs of its host, and remember its own."""
    me.host_isn, me.host_step, me.host_isns = host.last, host.step, host.count
    host.step = diff(seg.seq, host.last)
    host.last = seg.seq
    host.count += 1


def segments(frames: Iterable[Frame], seg: Seen, unread: Unread | None = None) -> Iterator[tuple[Frame, bytes]]:
    """Fill `seg` for each frame that holds a TCP segment. Gives the frame, and the octets from which positions count.

    For an IP fragment that completes a datagram, these octets are the datagram, not the frame. Frames that cannot be read are
    counted in `unread`.
    """
    from labkit.packet.decode.walk import decode  # compiled code decodes by itself

    unread = unread or Unread()
    reassembler = None
    for frame in frames:
        data = frame.data
        seg.number, seg.time, seg.caplen, seg.point = frame.number, frame.time, len(data), frame.interface
        seg.wirelen = max(frame.wirelen, len(data))
        seg.joined = 0
        status = decode(data, 0, len(data), frame.link, seg)
        if status == FRAGMENT:
            from labkit.packet.reassembly import Reassembler

            reassembler = reassembler or Reassembler()
            whole = reassembler.segment(data, seg)
            unread.add_fragments(reassembler, seg, joined=whole is not None)
            if whole is None:
                continue
            seg.joined = 1
            data = whole
        elif status != TCP:
            if status != OTHER:
                unread.add(unread_key(data, status, seg), seg.number)
            continue
        if not seg.readable:
            unread.add(segment_key(seg), seg.number)
        yield frame, data
    if reassembler is not None:
        unread.add_lost(reassembler.lost(all_=True))
