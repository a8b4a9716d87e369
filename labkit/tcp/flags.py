"""The control bits of a TCP header, and the ECN field of the IP header around it.

Control bits: RFC 9293 section 3.1; AE: RFC 9768.
"""

from typing import Final

from labkit.i18n import _

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
