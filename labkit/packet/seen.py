"""A TCP segment as one frame of a capture shows it: plain integers, where anything goes.

`decode` fills it, rules read it. One `Seen` is filled again for every frame.
"""

from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from typing import Annotated, Any

# What `Seen.fault` says of headers that do not fit the packet (rule CAP01). CUT is the capture's doing, not the
# sender's: the TCP header was there, but not all of its first twenty octets were kept.
SOUND, SHORT_IP, SHORT_TCP, BAD_OFFSET, CUT = 0, 1, 2, 3, 4

# What is known of a checksum (rules CK01 to CK03). PARTIAL: only the pseudo-header's sum, left for hardware to complete.
SUM_UNKNOWN, SUM_GOOD, SUM_BAD, SUM_ZERO, SUM_PARTIAL = 0, 1, 2, 3, 4

# What is wrong with an option list (rule OPT01 and OPT05).
OPT_SOUND, OPT_LENGTH, OPT_OVERRUN = 0, 1, 2

# Options that sign a segment (rules OPT07 to OPT09), and the kinds of AccECN's option, as bits.
AUTH_MD5, AUTH_AO = 1, 2
ACCECN_0, ACCECN_1 = 1, 2
"""AccECN0 (kind 172) has the counter of ECT(0) first, AccECN1 (kind 174) that of ECT(1) (RFC 9768 section 3.2.3)."""

MP_CAPABLE, MP_JOIN, MP_DSS = 1, 2, 4
"""Subtypes of the MPTCP option as bits of `Seen.mptcp` (RFC 8684 section 8.2)."""
DSS_ACK, DSS_ACK_8, DSS_MAP, DSS_MAP_8, DSS_FIN = 1, 2, 4, 8, 16
"""Flags of the DSS option (RFC 8684 section 3.3): what it holds, in four or eight octets, and DATA_FIN."""

ABSENT = -1

U8 = Annotated[int, "u1"]
U16 = Annotated[int, "u2"]
U32 = Annotated[int, "u4"]
I8 = Annotated[int, "i1"]
I16 = Annotated[int, "i2"]
I32 = Annotated[int, "i4"]
"""Integers that need fewer than eight octets in the memory of the compiled engine. What counts packets of a capture is a U32:
`labkit.analysis.native.reader` reads no more packets than that."""

OWN, PEER = "own", "peer"
Seq = Annotated[int, OWN, "u4"]
"""A sequence number of the sender. Reports show it relative to the sender's ISN."""
PeerSeq = Annotated[int, PEER, "u4"]
"""A sequence number of the other side, such as an ack. Reports show it relative to that side's ISN."""
SeqOrAbsent = Annotated[int, OWN]

MAX_SACK_BLOCKS = 4
"""RFC 2018 section 3: a TCP header has room for no more."""


class Record:
    """A dataclass of integers, and of rows of them, each of which has a value from the beginning.

    The methods that `dataclass` would write for so many fields take longer to compile than a small capture to be judged.
    """

    __slots__ = ()

    def __init__(self, **known: Any) -> None:
        kind: Any = type(self)
        for name, value, make in _blank(kind):
            setattr(self, name, make() if make else value)
        for name, value in known.items():
            setattr(self, name, value)

    def __eq__(self, other: object) -> bool:
        kind: Any = type(self)
        names = [name for name, _value, _make in _blank(kind)]
        return type(self) is type(other) and all(getattr(self, name) == getattr(other, name) for name in names)

    __hash__ = None  # type: ignore[assignment]  # its values change


@cache
def _blank(kind: Any) -> list[tuple[str, Any, Any]]:
    """Each field: its name, its value, and what makes its value, if that is a row."""
    made = ((each.name, each.default, each.default_factory) for each in fields(kind))
    return [(name, value, None if make is MISSING else make) for name, value, make in made]


def _sack_edges() -> list[int]:
    return [0] * MAX_SACK_BLOCKS


@dataclass(slots=True, init=False, eq=False, repr=False)
class Seen(Record):
    """A TCP segment as one frame of a capture shows it. Only integers, so that the same rules can be compiled.

    Positions (`*_at`) count octets from the start of the frame; ABSENT (-1) where the thing is not there. Values are
    the packet's own, unscaled and unjudged; where a header is broken (`fault`), what could still be read is there.
    """

    # The frame.
    number: U32 = 0
    """As Wireshark counts: 1 is the first frame of the capture."""
    time: int = 0
    """Nanoseconds since 1970-01-01."""
    caplen: I32 = 0
    """Octets of the frame that the capture holds."""
    wirelen: int = 0
    """Octets that the frame had on the wire."""
    point: I32 = 0
    """Where it was captured: the index of the capture's interface."""
    fault: U8 = SOUND

    # The IP header.
    version: U8 = 0
    ip_at: I32 = ABSENT
    src_at: I32 = ABSENT
    dst_at: I32 = ABSENT
    addr_len: U8 = 0
    """4 or 16 octets at `src_at` and `dst_at`."""
    ip_len: int = 0
    """The length of the whole datagram in the IP header; 0 where segmentation offload (TSO) left that field 0."""
    room: U32 = 0
    """Octets that the frame, PPPoE or the tunnel has for the datagram; 0 where its length fits."""
    ip_id: I32 = ABSENT
    """The IPv4 identification; ABSENT for IPv6. A datagram that the network delivers twice keeps it."""
    ttl: U8 = 0
    ecn: U8 = 0
    ip_sum: U16 = 0
    """The IPv4 header checksum as sent."""
    ip_sum_want: U16 = 0
    """What it should be, where it was verified."""
    ip_sum_state: U8 = SUM_UNKNOWN

    joined: U8 = 0
    """1 where the datagram came in fragments, and was put together again."""

    unread: I32 = 0
    """The number of the link type or IP protocol because of which `decode` does not read the frame."""

    # The TCP header.
    tcp_at: I32 = ABSENT
    sport: U16 = 0
    dport: U16 = 0
    seq: Seq = 0
    ack: PeerSeq = 0
    doff: U16 = 0
    """Header length in octets, as the data offset gives it."""
    ctl: U16 = 0
    win: U32 = 0
    sum: U16 = 0
    sum_want: U16 = 0
    sum_state: U8 = SUM_UNKNOWN
    urg: U16 = 0

    # The payload.
    data_at: I32 = ABSENT
    len: int = 0
    """Octets of payload on the wire, as the IP length gives them."""
    data_len: U32 = 0
    """Octets of payload that the capture holds: fewer than `len` where the frame was cut."""
    padding: U8 = 0
    """Octets that the IP length counts, but that only pad the Ethernet frame; they are not in `len`."""

    # The options.
    opt_fault: U8 = OPT_SOUND
    opt_at: I32 = ABSENT
    """The option that `opt_fault` is about."""
    opt_twice: I16 = ABSENT
    """The kind of an option that stands in the list twice."""
    opt_after_end: U8 = 0
    """1 where something other than zeros follows the end-of-list option."""
    opt_cut: U8 = 0
    """1 where the capture holds only a part of the list: what was not read may have been there."""
    mss: I32 = ABSENT
    wscale: I16 = ABSENT
    sack_ok: U8 = 0
    tsval: int = ABSENT
    tsecr: int = ABSENT
    tfo_len: I16 = ABSENT
    """Octets of the Fast Open cookie; 0 asks for one."""
    sack_n: U8 = 0
    """Number of SACK blocks."""
    sack_left: list[U32] = field(default_factory=_sack_edges)
    """Left edges of the first `sack_n` blocks, then 0."""
    sack_right: list[U32] = field(default_factory=_sack_edges)
    auth: U8 = 0
    """The options that sign it: AUTH_MD5 (RFC 2385), AUTH_AO (RFC 5925)."""
    accecn: U8 = 0
    """The options with AccECN's counters of octets: ACCECN_0, ACCECN_1."""
    mptcp: U16 = 0
    """MPTCP options: one bit for each subtype, from MP_CAPABLE (1) on."""
    mp_keys: U8 = 0
    """Keys on the MP_CAPABLE option: 0 to 2."""
    mp_key: U32 = 0
    """The low four octets of its first key, the sender's."""
    mp_echo: U32 = 0
    """The low four octets of its second key, the receiver's."""
    dss: U8 = 0
    """Flags of the DSS option."""
    data_ack: U32 = 0
    """The low four octets of its Data ACK."""

    # What is known only from the segments before it; `track.look` fills these.
    seg_len: int = 0
    """SEG.LEN: the payload, and one each for SYN and FIN."""
    end: Seq = 0
    """The sequence number after the segment's last one."""
    seq_offset: I32 = 0
    """How far `seq` lies beyond SND.NXT as the capture shows it: 0 in order, negative for numbers used before."""
    new_octets: int = 0
    """Sequence numbers of the segment that were never seen before."""
    conflict: SeqOrAbsent = ABSENT
    """The first sequence number whose octet differs from the one that was sent under it before."""
    former: U8 = 0
    """1 where it is a late one of the connection before on its four-tuple (`labkit.analysis.former`)."""

    @property
    def readable(self) -> bool:
        """Whether the TCP header is all there. Where only the IP length is too great, it still says what was sent."""
        return self.fault in (SOUND, SHORT_IP)
