"""What the capture shows of one sender, in integers. `labkit.analysis.tracker` and `pending` keep them up to date.

Every field is an integer or a fixed row of integers, so that rules can be compiled. Sequence numbers are absolute. `has_*` says
whether a number is known, because 0 is a valid sequence number. RFC 9293 section 3.3.1 names the variables: `nxt` is SND.NXT, and
`rcv_nxt` is what the side acknowledges, its RCV.NXT.
"""

from dataclasses import dataclass, field

from labkit.packet.seen import ABSENT, I8, I16, I32, U8, U16, U32, PeerSeq, Record, Seq

OLD_USED, OLD_CLOSED, OLD_REFUSED, OLD_RESET = 1, 2, 3, 4
"""How the connection before on a four-tuple ended: both sides closed it within 2 MSL, a reset refused it, or it was open and was
reset. OLD_USED: in another way, or not at all."""

MAX_PENDING = 8
"""Pending segments of a side; a full table loses its oldest row."""


COLD = {"cold": True}
"""Metadata of the fields that the compiled engine keeps apart from the others, in a cold row, as those in SELDOM: most sides have
no pending segment at any one time, and pending segments take more memory than everything else about a side."""


def _row() -> list[int]:
    return [0] * MAX_PENDING


@dataclass(slots=True, init=False, eq=False, repr=False)
class Side(Record):
    """What the capture shows of one sender."""

    seen: U32 = 0
    """Segments seen from this side."""
    base: Seq = 0
    """The number that reports show as 0: the ISN, or one before the first number."""
    has_base: U8 = 0

    # The opening.
    syn: U8 = 0
    """1 once a SYN without ACK was seen, 2 once a SYN with ACK was."""
    isn: Seq = 0
    syn_end: Seq = 0
    """The number after the SYN and any data on it."""
    syn_packet: U32 = 0
    syn_time: int = 0
    syn_ctl: U16 = 0
    sack_ok: U8 = 0
    syn_echo: U32 = 0
    """TSecr of the SYN; 0 where it has none."""
    stamps: U8 = 0
    """1: the SYN carried timestamps."""
    default_mss: U8 = 0
    """1: the SYN has no MSS option, so `mss` is the default of RFC 9293."""
    oversized: U8 = 0
    """1: it has sent a segment that is larger than the peer's MSS, and was so on the wire."""
    opt_cut: U8 = 0
    """1: the options of the SYN are not known: the capture holds only a part of them, or nothing tells which SYN counts."""
    copies: U8 = 0
    """COPIES_* of `labkit.analysis.tracker`: what copies of its SYN ACK differ in, until a segment tells which one counts."""
    tfo_len: I16 = ABSENT
    """Octets of the Fast Open cookie on the SYN; ABSENT: no such option."""
    syn_ecn: U8 = 0
    """The ECN field of the IP header on its SYN."""
    mp_keys: U8 = 0
    """1: its SYN ACK has a key of MPTCP."""
    mp_key: U32 = 0
    """The low four octets of that key."""
    old_nxt: Seq = 0
    """SND.NXT at the end of the connection that used the same four-tuple before."""
    has_old: U8 = 0
    """How that ended: one of OLD_*; 0: there was none."""
    low_edge: PeerSeq = 0
    """The lowest right edge that the side has offered to the left of `right_edge`, beyond what it has acknowledged."""
    has_low_edge: U8 = 0
    advances: U8 = 0
    """1: its last ACK acknowledges something new."""
    host_isns: U32 = 0
    """Earlier connections in this capture that this host opened, or answered."""
    host_isn: U32 = 0
    """The ISN of the last of them."""
    host_step: I32 = 0
    """Its distance from the one before."""
    resyn: Seq = 0
    """ISN of a SYN that arrived in the middle of the connection."""
    has_resyn: U8 = 0
    resyn_packet: U32 = 0
    resyn_time: int = 0
    resyn_nxt: Seq = 0
    """SND.NXT when it was sent."""
    challenge: U8 = 0
    """How the peer answers it: WAITS or PASSED of `labkit.analysis.tracker`; 0: it has challenged it."""
    early_packet: U32 = 0
    """The first data that the server sent before the client's third segment; 0: none."""
    early_time: int = 0
    third: U8 = 0
    """1: this side must still send the third segment of the handshake; 2: it has."""
    first_packet: U32 = 0
    first_time: int = 0
    first_seq: Seq = 0
    first_ctl: U16 = 0

    # Sequence numbers.
    nxt: Seq = 0
    has_nxt: U8 = 0
    top: Seq = 0
    """The highest number that a segment ended at, also of a pure ACK beyond `nxt`; known where `nxt` is."""
    last_seq: Seq = 0
    last_len: U32 = 0
    last_ctl: U16 = 0
    last_win: U16 = 0
    last_sum: U16 = 0
    """Its checksum."""
    ids_differ: U8 = 0
    """1: not all of its IPv4 identifications are the same; 2: they do not count with the packets of the capture either."""
    last_ack: PeerSeq = 0
    has_last_ack: U8 = 0
    """1: `last_ack` is the ack field of the last segment that had one."""
    last_id: I32 = ABSENT
    newest_id: I32 = ABSENT
    """The IPv4 identification that is furthest ahead, for a host that counts them."""
    last_packet: U32 = 0
    last_time: int = 0
    data_seq: Seq = 0
    """Start of the last segment that carried new octets in order, and its length."""
    data_len: U32 = 0
    data_tsval: U32 = 0
    """Its timestamp, if the receiver keeps it: it came in order, and its ack was not old. Otherwise the least one."""
    since: int = 0
    """The time of the oldest octet that is not acknowledged, or of the one that filled the gap before the others; 0: all are
    acknowledged."""
    octets: int = 0
    """Octets of payload seen for the first time."""
    last_piece: U32 = 0
    """The number of the segment whose payload was kept last (`labkit.analysis.payload`); 0: none."""
    resent: U32 = 0
    """Segments without new sequence numbers."""
    resent_end: Seq = 0
    """Where the last of them ended."""
    missed: U32 = 0
    """Gaps that the receiver acknowledged: the capture lacks packets of this side."""
    run: U32 = 0
    """Segments since the last one of the other side."""
    piped: U8 = 0
    """1: it sent new numbers while others were in flight, so that it is not in lock-step with the other side."""
    probe: U8 = 0
    """1: the last segment was a keep-alive or a window probe."""
    probed: U8 = 0
    """1: it has sent one."""
    probe_octet: U8 = 0
    """1: its last new octet was that of a window probe; 2: it has sent it again with others, from `data_seq` on."""

    delay: int = 0
    """Nanoseconds from the peer's SYN to this side's answer: the least time of an answer, at the point of capture."""

    # What this side acknowledges, and the window that it offers.
    rcv_nxt: PeerSeq = 0
    has_rcv_nxt: U8 = 0
    sack_top: PeerSeq = 0
    """The highest right edge of its SACK blocks, where the capture begins in the middle of the conversation."""
    has_sack_top: U8 = 0
    win: U32 = 0
    """The last window, in octets."""
    raw_win: U16 = 0
    echo_packet: U32 = 0
    """Its segment with a TSecr that the peer's later segments must explain; 0: none."""
    echo_time: int = 0
    echo_value: U32 = 0
    block_packet: U32 = 0
    """Its segment with a SACK block that the peer's later segments must explain; 0: none."""
    block_time: int = 0
    block_left: PeerSeq = 0
    block_right: PeerSeq = 0
    closed_time: int = 0
    """When the window closed."""
    closed_nxt: Seq = 0
    """SND.NXT of the segment that closed it, and the numbers that this segment took."""
    closed_len: U32 = 0
    right_edge: PeerSeq = 0
    """The right-most edge of its windows so far: ack + window."""
    has_right_edge: U8 = 0
    wscale: I16 = ABSENT
    """The shift count on its SYN; ABSENT: no such option."""
    mss: I32 = ABSENT
    tsval: int = ABSENT
    """The latest timestamp."""
    least_tsval: int = ABSENT
    """The earliest timestamp."""
    max_win: U32 = 0
    """The largest window so far, in octets."""
    same_acks: I8 = 0
    """Duplicate ACKs in a row (RFC 5681 section 2), up to the three that ask for a retransmission; ANSWERED after it."""
    part_packet: U32 = 0
    """The last segment that acknowledged all but the last octet of a segment; 0: none did."""
    part_time: int = 0
    part_ack: PeerSeq = 0

    # Options that every segment has.
    signed: U8 = 0
    """The options that sign its first segment: AUTH_* of `labkit.packet.seen`."""
    last_signed: U8 = 0
    """The same of its last one."""
    mptcp: U16 = 0
    """Subtypes of MPTCP on its segments so far: bits as in `Seen.mptcp`."""
    data_ack: U32 = 0
    """The low four octets of its last Data ACK."""
    has_data_ack: U8 = 0
    ect_n: U32 = 0
    """Packets that could be marked with CE, or were, before the network card joined them."""
    ce_n: U32 = 0
    """Segments with data that were marked with CE."""
    ce: U8 = 0
    """1: its last packet that was ECN-capable has data, and was marked with CE."""

    # Its checksums (`labkit.analysis.damage.count_sums`).
    sums_good: U8 = 0
    """Right ones, 255 at most."""
    sums_bad: U32 = 0
    sums_alike: U8 = 0
    """What all wrong ones have in common: SUMS_* of `labkit.analysis.damage`."""
    sum_off: U16 = 0
    """The difference of the first wrong one from the right one."""
    sum_rest: U16 = 0
    """The first wrong one, minus the segment's length."""
    sum_want: U16 = 0
    """The right value for the last wrong one."""
    ips_good: U8 = 0
    """The same for IPv4 headers."""
    ips_bad: U32 = 0
    ips_alike: U8 = 0
    ip_off: U16 = 0
    ip_want: U16 = 0

    # The end.
    fin: Seq = 0
    """The number that FIN takes."""
    has_fin: U8 = 0
    fin_packet: U32 = 0
    fin_spoiled: U8 = 0
    """1: its receiver drops the first segment with a FIN, `fin`. With a wrong checksum, it counts only once the peer acknowledges
    it; as an old segment, it was sent."""
    fin_time: int = 0
    fin_data: U8 = 0
    """1: the segment with the FIN has octets too, so that whoever has them has the FIN."""
    rst: U8 = 0
    """1: it has sent a reset; 2: one with SND.NXT."""
    rst_seq: Seq = 0
    """The highest number of one."""

    # Pending segments of this side (`labkit.analysis.pending`): pending_n rows, one column for each field.
    pending_n: I8 = 0
    pending_kind: list[U8] = field(default_factory=_row, metadata=COLD)
    pending_state: list[U8] = field(default_factory=_row, metadata=COLD)
    pending_packet: list[U32] = field(default_factory=_row, metadata=COLD)
    pending_time: list[int] = field(default_factory=_row, metadata=COLD)
    pending_want: list[U32] = field(default_factory=_row, metadata=COLD)
    """The number that was expected: SND.NXT of whoever sends these octets."""
    pending_low: list[U32] = field(default_factory=_row, metadata=COLD)
    """GAP: the first number that is still missing. UNSENT: the right edge of the window that came with the ack."""
    pending_high: list[U32] = field(default_factory=_row, metadata=COLD)
    """GAP: the first number that is not missing."""
    pending_seen: list[U32] = field(default_factory=_row, metadata=COLD)
    """The number that was there instead: GAP: the segment's seq; UNSENT: its ack."""
    pending_seg_len: list[int] = field(default_factory=_row, metadata=COLD)
    pending_ctl: list[U16] = field(default_factory=_row, metadata=COLD)
    pending_mark: list[U8] = field(default_factory=_row, metadata=COLD)
    """A mark (`labkit.analysis.pending`), or 0."""


RARE = frozenset(
    (
        *("base", "syn_end", "syn_packet", "syn_time", "syn_echo", "syn_ecn", "sack_ok", "default_mss", "tfo_len"),
        *("first_packet", "first_time", "first_seq", "first_ctl", "host_isns", "host_isn", "host_step", "old_nxt"),
        *("fin", "fin_packet", "fin_time", "fin_data"),
    )
)
"""Fields that the next data or ACK of an open connection neither reads nor changes. The compiled engine puts them behind the
others, so that such a segment takes less from memory."""

SELDOM = frozenset(
    (
        *("oversized", "resent_end", "sack_top", "has_sack_top", "mp_keys", "mp_key", "data_ack", "has_data_ack"),
        *("early_time", "low_edge", "has_low_edge", "resyn", "has_resyn", "resyn_packet", "resyn_time", "resyn_nxt"),
        *("echo_time", "echo_value", "block_time", "block_left", "block_right", "part_time", "part_ack"),
        *("closed_time", "closed_nxt", "closed_len", "probe_octet", "rst_seq", "ect_n", "ce_n", "ce"),
        *("sums_bad", "sums_alike", "sum_off", "sum_rest", "sum_want", "ips_bad", "ips_alike", "ip_off", "ip_want"),
    )
)
"""Fields that stay 0 in most conversations, from their first packet to their last. The compiled engine keeps them in the cold
row, which most sides need not have."""
