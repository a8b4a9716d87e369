"""A TCP segment as a plain value.

`Segment` is valid by construction: endpoints send it, the notation writes it, and `scapy_build` turns it into a packet. What
a capture shows, where anything goes, is a `labkit.packet.seen.Seen`.

Control bits: RFC 9293 section 3.1; AE: RFC 9768.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeVar

from labkit.i18n import _
from labkit.tcp import seq as sn

if TYPE_CHECKING:
    from labkit.tcp.options import Option

T = TypeVar("T")

FIN: Final = 1
SYN: Final = 2
RST: Final = 4
PSH: Final = 8
ACK: Final = 16
URG: Final = 32
ECE: Final = 64
CWR: Final = 128
AE: Final = 256
BITS = {"FIN": FIN, "SYN": SYN, "RST": RST, "PSH": PSH, "ACK": ACK, "URG": URG, "ECE": ECE, "CWR": CWR, "AE": AE}

NOT_ECT, ECT1, ECT0, CE = 0, 1, 2, 3
"""The ECN field of the IP header (RFC 3168 section 5)."""


def control_names(ctl: int) -> str:
    """The control bits as words, SYN first and ACK last: `SYN ACK`; `none` if no bit is set."""
    order = (SYN, FIN, RST, PSH, URG, ECE, CWR, AE, ACK)
    names = {bit: name for name, bit in BITS.items()}
    return " ".join(names[bit] for bit in order if ctl & bit) or "none"


def control_bits(names: str) -> int:
    """The control bits named in a text such as `SYN ACK`; `none` is 0. ValueError for another word."""
    bits = 0
    for name in names.upper().split():
        if name != "NONE" and name not in BITS:
            raise ValueError(
                _("{name!r} is not a control bit; expected some of {known}").format(
                    name=name[:20], known=" ".join(BITS)
                )
            )
        bits |= BITS.get(name, 0)
    return bits


@dataclass(frozen=True, slots=True)
class Segment:
    """A TCP segment to be sent. Numbers are absolute; `window` is the header's field, before scaling.

    `ecn` is the IP header's ECN field, which TCP decides. ValueError for a value that its field cannot hold.
    """

    seq: int = 0
    ack: int = 0
    ctl: int = 0
    window: int = 65535
    payload: bytes = b""
    options: "tuple[Option, ...]" = ()
    urgent: int = 0
    ecn: int = NOT_ECT

    def __post_init__(self) -> None:
        # One test, because there are many segments; only the message needs to know which value is wrong.
        if (
            0 <= self.seq <= sn.MASK
            and 0 <= self.ack <= sn.MASK
            and 0 <= self.ctl <= 0xFFF
            and 0 <= self.window <= 0xFFFF
            and 0 <= self.urgent <= 0xFFFF
            and 0 <= self.ecn <= 3
        ):
            return
        for name, value, limit in (
            ("seq", self.seq, sn.MASK),
            ("ack", self.ack, sn.MASK),
            ("ctl", self.ctl, 0xFFF),
            ("window", self.window, 0xFFFF),
            ("urgent", self.urgent, 0xFFFF),
            ("ecn", self.ecn, 3),
        ):
            if not 0 <= value <= limit:
                raise ValueError(_("{name} {value} is outside 0..{limit}").format(name=name, value=value, limit=limit))

    @property
    def length(self) -> int:
        """SEG.LEN: the octets of the payload, and one each for SYN and FIN."""
        return len(self.payload) + (self.ctl & SYN != 0) + (self.ctl & FIN != 0)

    @property
    def end(self) -> int:
        """The sequence number after the segment's last one."""
        return sn.add(self.seq, self.length)

    def option(self, kind: type[T]) -> T | None:
        """The first option of a type, or None."""
        for option in self.options:
            if type(option) is kind:
                return option
        return None

    def with_(self, **changes: object) -> "Segment":
        """A copy with some fields changed."""
        return replace(self, **changes)  # type: ignore[arg-type]

    @property
    def header(self) -> bytes:
        """The options' octets, padded."""
        from labkit.tcp.options import pack  # verifying starts without it

        return pack(self.options)
