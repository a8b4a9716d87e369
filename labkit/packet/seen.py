"""A TCP segment as one frame of a capture shows it: plain integers, where anything goes.

`decode` fills it, rules read it. One `Seen` is filled again for every frame.
"""

from dataclasses import dataclass
from typing import Annotated

# What `Seen.fault` says of headers that do not fit the packet (rule CAP01). CUT is the capture's doing, not the
# sender's: the TCP header was there, but not all of its first twenty octets were kept.
SOUND, SHORT_IP, SHORT_TCP, BAD_OFFSET, CUT = 0, 1, 2, 3, 4

# What is known of a checksum (rules CK01 to CK03). PARTIAL: only the pseudo-header's sum, left for hardware to complete.
SUM_UNKNOWN, SUM_GOOD, SUM_BAD, SUM_ZERO, SUM_PARTIAL = 0, 1, 2, 3, 4

# What is wrong with an option list (rule OPT01 and OPT05).
OPT_SOUND, OPT_LENGTH, OPT_OVERRUN = 0, 1, 2

ABSENT = -1

OWN, PEER = "own", "peer"
Seq = Annotated[int, OWN]
"""A sequence number of the sender. Reports show it relative to the sender's ISN."""
PeerSeq = Annotated[int, PEER]
"""A sequence number of the other side, such as an ack. Reports show it relative to that side's ISN."""


@dataclass(slots=True)
class Seen:
    """A TCP segment as one frame of a capture shows it. Only integers, so that the same rules can be compiled.

    Positions (`*_at`) count octets from the start of the frame; ABSENT (-1) where the thing is not there. Values are
    the packet's own, unscaled and unjudged; where a header is broken (`fault`), what could still be read is there.
    """

    # The frame.
    number: int = 0
    """As Wireshark counts: 1 is the first frame of the capture."""
    time: int = 0
    """Nanoseconds since 1970-01-01."""
    caplen: int = 0
    """Octets of the frame that the capture holds."""
    wirelen: int = 0
    """Octets that the frame had on the wire."""
    point: int = 0
    """Where it was captured: the index of the capture's interface."""
    fault: int = SOUND

    # The IP header.
    version: int = 0
    ip_at: int = ABSENT
    src_at: int = ABSENT
    dst_at: int = ABSENT
    addr_len: int = 0
    """4 or 16 octets at `src_at` and `dst_at`."""
    ip_len: int = 0
    """The length that the IP header gives to the whole datagram; 0 where it leaves it open (TSO)."""
    room: int = 0
    """Octets that there are for the datagram in what holds it: the frame, PPPoE, a tunnel; 0 where its length fits."""
    ip_id: int = ABSENT
    """The IPv4 identification; ABSENT for IPv6. A datagram that the network delivers twice keeps it."""
    ttl: int = 0
    ecn: int = 0
    ip_sum: int = 0
    """The IPv4 header checksum as sent."""
    ip_sum_want: int = 0
    """What it should be, where it was verified."""
    ip_sum_state: int = SUM_UNKNOWN

    joined: int = 0
    """1 where the datagram came in fragments, and was put together again."""

    # The TCP header.
    tcp_at: int = ABSENT
    sport: int = 0
    dport: int = 0
    seq: Seq = 0
    ack: PeerSeq = 0
    doff: int = 0
    """Header length in octets, as the data offset gives it."""
    ctl: int = 0
    win: int = 0
    sum: int = 0
    sum_want: int = 0
    sum_state: int = SUM_UNKNOWN
    urg: int = 0

    # The payload.
    data_at: int = ABSENT
    len: int = 0
    """Octets of payload on the wire, as the IP length gives them."""
    data_len: int = 0
    """Octets of payload that the capture holds: fewer than `len` where the frame was cut."""

    # The options.
    opt_fault: int = OPT_SOUND
    opt_at: int = ABSENT
    """The option that `opt_fault` is about."""
    opt_twice: int = ABSENT
    """The kind of an option that stands in the list twice."""
    opt_after_end: int = 0
    """1 where something other than zeros follows the end-of-list option."""
    opt_cut: int = 0
    """1 where the capture holds only a part of the list: what was not read may have been there."""
    mss: int = ABSENT
    wscale: int = ABSENT
    sack_ok: int = 0
    tsval: int = ABSENT
    tsecr: int = ABSENT
    tfo_len: int = ABSENT
    """Octets of the Fast Open cookie; 0 asks for one."""
    sack_n: int = 0
    """SACK blocks; the first four stand below."""
    sack_l0: int = 0
    sack_r0: int = 0
    sack_l1: int = 0
    sack_r1: int = 0
    sack_l2: int = 0
    sack_r2: int = 0
    sack_l3: int = 0
    sack_r3: int = 0

    # What is known only from the segments before it; `track.look` fills these.
    seg_len: int = 0
    """SEG.LEN: the payload, and one each for SYN and FIN."""
    end: Seq = 0
    """The sequence number after the segment's last one."""
    seq_offset: int = 0
    """How far `seq` lies beyond SND.NXT as the capture shows it: 0 in order, negative for numbers used before."""
    new_octets: int = 0
    """Sequence numbers of the segment that were never seen before."""
    conflict: Seq = ABSENT
    """The first sequence number whose octet differs from the one that was sent under it before."""

    @property
    def readable(self) -> bool:
        """Whether the TCP header is all there. Where only the IP length is too great, it still says what was sent."""
        return self.fault in (SOUND, SHORT_IP)
