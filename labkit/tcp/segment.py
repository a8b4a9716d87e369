"""A TCP segment as a plain value.

`Segment` is valid by construction: endpoints send it, the notation writes it, and `scapy_build` turns it into a packet. What
a capture shows, where anything goes, is a `labkit.packet.seen.Seen`.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from labkit.i18n import _
from labkit.tcp import seq as sn
from labkit.tcp.flags import ACK as ACK
from labkit.tcp.flags import AE as AE
from labkit.tcp.flags import BITS as BITS
from labkit.tcp.flags import CE as CE
from labkit.tcp.flags import CWR as CWR
from labkit.tcp.flags import ECE as ECE
from labkit.tcp.flags import ECT0 as ECT0
from labkit.tcp.flags import ECT1 as ECT1
from labkit.tcp.flags import FIN as FIN
from labkit.tcp.flags import NOT_ECT as NOT_ECT
from labkit.tcp.flags import PSH as PSH
from labkit.tcp.flags import RST as RST
from labkit.tcp.flags import SYN as SYN
from labkit.tcp.flags import URG as URG
from labkit.tcp.flags import control_bits as control_bits
from labkit.tcp.flags import control_names as control_names

if TYPE_CHECKING:
    from labkit.tcp.options import Option

T = TypeVar("T")


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
