"""The configuration of an endpoint, with defaults for conversations that are easy to read."""

from dataclasses import dataclass

from labkit.tcp import seq as sn

MILLISECOND, SECOND = 1_000_000, 1_000_000_000
"""In nanoseconds, the unit of every time in labkit."""


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
    """RFC 6298 section 2."""
    retries: int = 15
    """Retransmissions of one segment before the connection is given up (R2, RFC 9293 section 3.8.3)."""
    syn_retries: int = 6
    msl: int = 30 * SECOND
    """Maximum segment lifetime; TIME-WAIT takes two. RFC 9293 section 3.4.2 says two minutes; stacks use less."""
    ecn: bool | str = False
    """Whether explicit congestion notification is offered and agreed to (RFC 3168); "accurate": AccECN (RFC 9768)."""
    mptcp: bool = False
    """Whether Multipath TCP is offered and agreed to, with one subflow (RFC 8684)."""
    fast_open: bytes | None = None
    """Fast Open (RFC 7413). For an active side: the cookie it has, or an empty one to ask for it. For a passive side: the
    cookie that it gives and accepts. None: no Fast Open."""
    keep_alive: int | None = None
    """Idle time before a keep-alive is sent (RFC 9293 section 3.8.4: off unless asked for)."""
    keep_alive_interval: int = 75 * SECOND
    keep_alive_probes: int = 9

    @property
    def max_payload(self) -> int:
        """The largest payload that this endpoint sends, whatever the peer takes."""
        return self.mss if self.send_mss is None else self.send_mss

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
        ):
            if value is not None and not low <= value <= high:
                raise ValueError(f"{name} {value} is outside {low}..{high}")
        if self.fast_open and (len(self.fast_open) % 2 or not 4 <= len(self.fast_open) <= 16):
            raise ValueError(f"a Fast Open cookie of {len(self.fast_open)} octets; 4 to 16, an even number, can be")
