"""The configuration of an endpoint, with defaults for conversations that are easy to read."""

from dataclasses import dataclass

from labkit.tcp import seq as sn

MILLISECOND, SECOND = 1_000_000, 1_000_000_000
"""In nanoseconds, the unit of every time in labkit."""
SYN_WORDS = frozenset({"mss", "sack", "timestamps", "scale", "nop", "end"})
"""What a layout of a SYN's options consists of."""
MAX_FIRST_WINDOW = 0xFFFF
"""A SYN's window is not scaled (RFC 7323 section 2.2)."""


@dataclass(frozen=True, slots=True)
class Config:
    """The configuration of one endpoint. Times are nanoseconds, sizes octets. ValueError for an impossible value.

    The defaults are a modern stack's where that does not hide the numbers: no window scale and no timestamps, so that a
    window is what its field says, and SACK permitted, which shows only where something is lost.
    """

    iss: int | None = None
    """The initial send sequence number; None draws it from the endpoint's generator."""
    mss: int = 1460
    """The largest payload that this endpoint takes, as its MSS option says."""
    send_mss: int | None = None
    """The largest payload that its own link carries (MMS_S of RFC 9293 section 3.7.1, less the header); None: as `mss`."""
    default_mss: int = 536
    """What to send to a peer without an MSS option (RFC 9293 section 3.7.1: 536 for IPv4, 1220 for IPv6)."""
    window: int = 65535
    """The receive buffer, and so the largest window that is offered."""
    window_scale: int | None = None
    """The shift that is offered (RFC 7323 section 2.2); None does not offer the option."""
    sack: bool = True
    timestamps: bool = False
    timestamp_offset: int | None = None
    """What the timestamp clock (one tick a millisecond) shows at time 0; None draws it."""
    delayed_ack: int | None = 40 * MILLISECOND
    """The longest delay of an acknowledgement (RFC 9293 section 3.8.6.3: below 0.5 s); None: no delay."""
    nagle: bool = True
    congestion: str | None = "reno"
    """The name of a module in `labkit.tcp.endpoint.congestion`; None: only the peer's window limits what is sent."""
    initial_window: int = 10
    """The first congestion window in full-sized segments (RFC 6928 section 2)."""
    rto_initial: int = SECOND
    rto_min: int = SECOND
    rto_max: int = 60 * SECOND
    """The longest retransmission timeout, and the longest time between window probes (RFC 6298 section 2: 60 s at least)."""
    retries: int = 15
    """Retransmissions of one segment before the connection is given up (R2, RFC 9293 section 3.8.3)."""
    syn_retries: int = 6
    """Retransmissions of a SYN, or of a SYN ACK where `syn_ack_retries` is None."""
    msl: int = 30 * SECOND
    """Maximum segment lifetime; TIME-WAIT takes two. RFC 9293 section 3.4.2 says two minutes; stacks use less."""
    ecn: bool | str = False
    """Whether explicit congestion notification is offered and agreed to (RFC 3168); "accurate": AccECN (RFC 9768)."""
    mptcp: bool = False
    """Whether Multipath TCP is offered and agreed to, with one subflow (RFC 8684)."""
    fast_open: bytes | None = None
    """Fast Open (RFC 7413). For an active side: the cookie it has, or an empty one to ask for it. For a passive side: the
    cookie that it gives and accepts. None: no Fast Open."""
    syn_cookies: bool = False
    """Whether a passive side keeps nothing of a SYN, and learns its MSS and options from the handshake's last ACK (RFC 4987)."""
    keep_alive: int | None = None
    """Idle time before a keep-alive is sent (RFC 9293 section 3.8.4: off unless asked for)."""
    keep_alive_interval: int = 75 * SECOND
    keep_alive_probes: int = 9

    # Habits of real stacks (`labkit.tcp.stacks`), which the RFCs leave open. The defaults are the simplest ones.
    syn_layouts: tuple[str, ...] = ()
    """Orders of the options in a SYN, each as words (mss, sack, timestamps, scale, nop, end). A SYN has the first that has all
    its options and no other; else they are in labkit's own order."""
    pad_with_nop: bool = False
    """Whether NOPs follow a Fast Open cookie up to the next whole word, instead of zeros."""
    whole_segment_syn: bool = False
    """Whether a SYN offers a window of whole segments."""
    whole_segment_syn_ack: bool = False
    """Whether a SYN ACK offers a window of whole segments."""
    window_growth: int = 0
    """The window begins with at most 65,535 octets, and each segment in order raises it by this many of the largest segments so
    far, up to `window` and to the free buffer, which grows with what the application reads; 0: all of `window` at once."""
    round_window_up: bool = False
    """Whether a scaled window is rounded up, so that it may exceed the buffer by less than the scale, and one without a scale has
    whole segments."""
    update_when_doubled: bool = False
    """Whether a window update is sent only when the window has doubled; otherwise when it has grown by two segments."""
    syn_linear_timeouts: int = 0
    """How many timeouts of a SYN do not double the next one."""
    syn_ack_retries: int | None = None
    """Retransmissions of a SYN ACK; None: as `syn_retries`."""
    cookie_sizes: tuple[int, ...] = (536, 1300, 1440, 1460)
    """With SYN cookies over IPv4, the peer's MSS counts as the next lower one of these, or as the lowest."""
    cookie_sizes_ipv6: tuple[int, ...] = (1220, 1420, 1440, 8940)
    """The same over IPv6."""
    ecn_on_retry: bool = True
    """Whether a SYN that is sent again still asks for ECN (RFC 3168 section 6.1.1.1 lets a host try without)."""
    accurate_if_answered: bool = False
    """Whether a SYN that asks for classic ECN (RFC 3168) leads to AccECN (RFC 9768) if the SYN ACK answers so."""
    mark_all: bool = False
    """Whether all segments are ECN-capable once AccECN is agreed on, also those without new data."""
    least_mss: int = 1
    """The smallest MSS that a peer may ask for; where it is above 1, an MSS of 0 counts as no option."""
    third_with_data: bool = False
    """Whether data that waits for the handshake (Fast Open) is its third segment, instead of following a pure ACK."""
    quick_acks: int = 0
    """How many first segments are acknowledged at once, to open the peer's congestion window, beside those that raise the window
    (`window_growth`). No more than half of the segments in a window."""
    interactive_acks: bool = False
    """Whether acknowledgements wait, also quick ones, once the application has answered within `delayed_ack`, until one has
    waited in vain."""
    ack_at_arrival: bool = False
    """Whether an acknowledgement that is due goes out before the application can answer."""
    ack_when_read: bool = False
    """Whether a segment that may be the end of a write (it is smaller than others so far, or has PSH) is acknowledged once
    everything has been read. Where acknowledgements wait for answers, it takes a second, small segment."""
    ack_before_due: bool = False
    """Whether a segment is acknowledged at once if a delayed acknowledgement is due within a quarter of the delay."""
    ack_above_seen: bool = False
    """Whether more octets than the largest segment so far had (at least 536) count as a second segment."""
    read_bursts: bool = False
    """Whether the application reads only when all segments of a burst have arrived, as one that has to be woken does."""
    ack_needs_reader: bool = False
    """Whether a second segment is acknowledged at once only if the window is no smaller than before: if the application reads."""
    delayed_fin_ack: bool = False
    """Whether the acknowledgement of a FIN in ESTABLISHED may wait like any other, once data has arrived."""
    compress_acks: int | None = None
    """The longest delay of acknowledgements of segments beyond a gap, after the first three; None: no delay."""
    push_bursts: bool = False
    """Whether the last segment of a burst has PSH. A burst is what the connection sends within a millisecond at its pace, at
    least two segments, at most half of the congestion window."""
    defer_partial_bursts: bool = False
    """Whether what the congestion window lets out beyond whole bursts waits for the next ACK, if that is due soon."""
    keep_window: bool = False
    """Whether a smaller window, but not 0, is ignored where neither SEG.SEQ nor SEG.ACK is new."""
    minshall: bool = False
    """Whether a small segment waits only while another small one is unacknowledged (Minshall's variant of Nagle's rule), also one
    that fills the peer's window."""
    floor_variation: bool = False
    """Whether `rto_min` is the least that is added to the smoothed round-trip time, instead of the least sum."""
    reordering_timer: bool = False
    """Whether a segment counts as lost a quarter of the shortest round trip after a later one has arrived, and a retransmission
    once something that was sent after it has arrived (RFC 8985 section 6)."""
    adaptive_reordering: bool = False
    """Whether that quarter becomes two quarters, and so on up to the whole round trip, when D-SACKs show that segments were only
    late (RFC 8985 section 6.2, step 4)."""
    proportional_reduction: bool = False
    """Whether a recovery with `reordering_timer` lets out segments in proportion to those that arrive (RFC 9937), instead of
    as many as fit into the reduced window."""
    undo_reductions: bool = False
    """Whether the congestion window is restored once timestamps or D-SACKs show that a retransmission was needless (RFC 4015,
    RFC 3708)."""
    detect_spurious_timeouts: bool = False
    """Whether new data follows the first retransmission of a timeout, to find out whether it was needless (RFC 5682)."""
    tail_loss_probe: bool = False
    """Whether two round trips without an acknowledgement draw a probe before the timeout (RFC 8985 section 7)."""
    merge_retransmissions: bool = False
    """Whether a retransmission is as large as it may be, instead of as large as it was."""
    probe_with_old: bool = False
    """Whether a zero window is probed by the number before SND.UNA without an octet, instead of by the next octet."""
    accept_repeated_end: bool = False
    """Whether a segment of old octets that ends where the last acknowledgement stands counts as acceptable, so that its timestamp
    and its acknowledgement are used."""
    stamp_after_ack: bool = False
    """Whether a segment's timestamp is kept only if its acknowledgement is acceptable."""
    refuse_beyond_window: bool = False
    """Whether a segment that reaches beyond the window is dropped as a whole while the application has octets to read."""
    small_time_wait: bool = False
    """Whether a smaller record stands for a connection in TIME-WAIT: its acknowledgements report nothing new."""
    answer_interval: int = 0
    """The shortest time between two answers to unacceptable segments without data (RFC 5961 section 7)."""
    rst_like_others: bool = False
    """Whether a RST of a connection has the window and the options of its other segments."""
    rst_after_keep_alives: bool = False
    """Whether the peer gets a RST if it has answered no keep-alive."""
    rst_at_sack_edge: bool = False
    """Whether a RST at the right edge of the highest SACK block counts as one at RCV.NXT."""
    dsack_of_old: bool = False
    """Whether the acknowledgement of a segment with an old timestamp (PAWS) reports its octets in a D-SACK block."""
    dsack_of_syn: bool = False
    """Whether the SYN ACK of a simultaneous open is answered by an ACK that reports the SYN in a D-SACK block."""
    next_iss_step: int = 1 << 16
    """How far from the last number of the connection before the next one begins, where the clock has not got that far."""
    next_iss_from_last: bool = False
    """Whether the number after a connection in TIME-WAIT follows from that one's last number, whatever the clock says."""

    @property
    def max_payload(self) -> int:
        """The largest payload that this endpoint sends, whatever the peer takes."""
        return self.mss if self.send_mss is None else self.send_mss

    def __reduce__(self) -> "tuple[type[Config], tuple[object, ...]]":
        """How to copy and pickle it, compiled or not."""
        return type(self), tuple(getattr(self, name) for name in self.__match_args__)

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("iss", self.iss, 0, sn.MASK),
            ("mss", self.mss, 88, 65495),
            ("send_mss", self.send_mss, 88, 65495),
            ("default_mss", self.default_mss, 88, 65495),
            ("window", self.window, 1, 0xFFFF << max(self.window_scale or 0, 0)),
            ("window_scale", self.window_scale, 0, 14),
            ("timestamp_offset", self.timestamp_offset, 0, sn.MASK),
            ("delayed_ack", self.delayed_ack, 0, SECOND // 2),
            ("initial_window", self.initial_window, 1, 1000),
            ("least_mss", self.least_mss, 1, 536),
            ("window_growth", self.window_growth, 0, 100),
            ("quick_acks", self.quick_acks, 0, 1000),
            ("compress_acks", self.compress_acks, 0, SECOND // 2),
        ):
            if value is not None and not low <= value <= high:
                raise ValueError(f"{name} {value} is outside {low}..{high}")
        if self.fast_open and (len(self.fast_open) % 2 or not 4 <= len(self.fast_open) <= 16):
            raise ValueError(f"a Fast Open cookie of {len(self.fast_open)} octets; 4 to 16, an even number, can be")
        for layout in self.syn_layouts:
            if unknown := set(layout.split()) - SYN_WORDS:
                raise ValueError(f"unknown options in {layout!r}: {', '.join(sorted(unknown))}")
