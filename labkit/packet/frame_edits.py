"""Edits of a finished frame: set a named field to any value, however wrong.

An endpoint sends correct segments; a fault is an edit of one. `apply` then corrects the checksums, unless the edit is one of
a checksum, so that only the fault is wrong. `edits_of` gives the edits that reproduce the faults of a frame.
"""

from collections.abc import Callable, Mapping

from labkit.i18n import _, listed
from labkit.packet.decode.layer import ones_sum
from labkit.packet.decode.outcome import TCP
from labkit.packet.decode.walk import decode
from labkit.packet.seen import ABSENT, SUM_BAD, SUM_PARTIAL, SUM_ZERO, Seen

TCP_PROTOCOL, FRAGMENT_HEADER = 6, 44
"""IP protocol numbers."""

WRONG_SUMS = frozenset({SUM_BAD, SUM_PARTIAL, SUM_ZERO})
MIN_FRAGMENT_OCTETS = 8
"""The unit of the fragment offset (RFC 791 section 3.1)."""

Edit = Callable[[bytearray, Seen, str], None]


def apply(frame: bytes, link: int, edits: Mapping[str, str]) -> tuple[bytes, int]:
    """The frame after the edits, and its length on the wire; ValueError for an edit that is unknown or does not fit.

    `edits` maps the names of EDITS to values, numbers in decimal or with 0x.
    """
    seg = Seen(wirelen=len(frame), caplen=len(frame))
    if decode(frame, 0, len(frame), link, seg) != TCP:
        raise ValueError(_("the frame holds no TCP segment"))
    if "caplen" in edits and "fragment" in edits:
        raise ValueError(_("caplen and fragment exclude each other; expected one of them"))
    edited = bytearray(frame)
    for name, value in edits.items():
        if name not in EDITS:
            raise ValueError(_("unknown edit '{name}'; expected one of {known}").format(name=name, known=listed(EDITS)))
        EDITS[name](edited, seg, value)
    if "sum" not in edits:
        _put(edited, seg.tcp_at + 16, _tcp_sum(edited, seg))
    if "ip.sum" not in edits and seg.version == 4:
        _put(edited, seg.ip_at + 10, _ip_sum(edited, seg))
    kept = int(edits["caplen"], 0) if "caplen" in edits else len(edited)
    return bytes(edited[:kept]), len(edited)


def edits_of(frame: bytes, seg: Seen) -> dict[str, str]:
    """The edits that turn a sound Ethernet frame with the same segment into `frame`, which was decoded to `seg`.

    They reproduce wrong checksums and the captured length.
    """
    edits = {}
    if seg.sum_state in WRONG_SUMS:
        partial = ~_tcp_sum(bytearray(frame), seg, partial=True) & 0xFFFF
        edits["sum"] = "partial" if seg.sum == partial else f"0x{seg.sum:04x}"
    if seg.ip_sum_state in WRONG_SUMS:
        edits["ip.sum"] = f"0x{seg.ip_sum:04x}"
    options_end = min(seg.tcp_at + seg.doff, len(frame))
    if seg.data_len < seg.len or options_end < seg.tcp_at + seg.doff:
        network = 20 if seg.version == 4 else 40
        edits["caplen"] = str(14 + network + options_end - seg.tcp_at + seg.data_len)
    return edits


def _data_offset(frame: bytearray, seg: Seen, value: str) -> None:
    frame[seg.tcp_at + 12] = _number(value, 15) << 4 | frame[seg.tcp_at + 12] & 15


def _tcp_checksum(frame: bytearray, seg: Seen, value: str) -> None:
    if value == "partial":
        number = ~_tcp_sum(frame, seg, partial=True) & 0xFFFF
    elif value.startswith("+"):
        number = (_tcp_sum(frame, seg) + _number(value[1:], 0xFFFE)) % 0xFFFF
    else:
        number = _number(value, 0xFFFF)
    _put(frame, seg.tcp_at + 16, number)


def _ip_checksum(frame: bytearray, seg: Seen, value: str) -> None:
    if seg.version != 4:
        raise ValueError(_("IPv6 has no header checksum"))
    off = _number(value[1:], 0xFFFE) if value.startswith("+") else None
    _put(frame, seg.ip_at + 10, _number(value, 0xFFFF) if off is None else (_ip_sum(frame, seg) + off) % 0xFFFF)


def _ip_length(frame: bytearray, seg: Seen, value: str) -> None:
    number = _number(value, 0xFFFF)
    if seg.version == 4:
        _put(frame, seg.ip_at + 2, number)
    else:
        _put(frame, seg.ip_at + 4, max(0, number - 40))


def _identification(frame: bytearray, seg: Seen, value: str) -> None:
    if seg.version != 4:
        raise ValueError(_("IPv6 has an identification only in a fragment"))
    _put(frame, seg.ip_at + 4, _number(value, 0xFFFF))


def _captured_length(frame: bytearray, seg: Seen, value: str) -> None:
    if _number(value, len(frame)) < seg.tcp_at + 20:
        raise ValueError(
            _("caplen {value}: the frame's headers alone take {n} octets").format(value=value, n=seg.tcp_at + 20)
        )


def _fragment_size(_frame: bytearray, _seg: Seen, value: str) -> None:
    if _number(value, 0xFFFF) < MIN_FRAGMENT_OCTETS:
        raise ValueError(
            _("fragments of {value} octets are too small; the minimum is {min_fragment_octets}").format(
                value=value, min_fragment_octets=MIN_FRAGMENT_OCTETS
            )
        )


EDITS: dict[str, Edit] = {
    "doff": _data_offset,
    "sum": _tcp_checksum,
    "ip.len": _ip_length,
    "ip.sum": _ip_checksum,
    "ip.id": _identification,
    "caplen": _captured_length,
    "fragment": _fragment_size,
}
"""`doff`: the TCP data offset, in units of four octets. `sum`: the TCP checksum, `partial` for what checksum offload leaves
in it, or `+N` for one that is off by N. `ip.len`, `ip.sum` (also as `+N`) and `ip.id`: the datagram's length, the IPv4
header's checksum and identification. `caplen`: how many octets of the frame are captured. `fragment`: octets of each of the
IP fragments that the frame is then cut into, by `cut`."""


def _tcp_sum(frame: bytearray, seg: Seen, *, partial: bool = False) -> int:
    """The right TCP checksum; with `partial` the complement of the pseudo-header's sum alone."""
    end = len(frame) if seg.data_at == ABSENT else seg.data_at + seg.len
    length = end - seg.tcp_at
    pseudo = bytes(frame[seg.src_at : seg.src_at + 2 * seg.addr_len]) + length.to_bytes(4) + TCP_PROTOCOL.to_bytes(4)
    segment = (
        b"" if partial else bytes(frame[seg.tcp_at : seg.tcp_at + 16]) + bytes(2) + bytes(frame[seg.tcp_at + 18 : end])
    )
    octets = pseudo + segment
    return ~ones_sum(octets, 0, len(octets)) & 0xFFFF


def _ip_sum(frame: bytearray, seg: Seen) -> int:
    size = (frame[seg.ip_at] & 15) * 4
    header = bytes(frame[seg.ip_at : seg.ip_at + 10]) + bytes(2) + bytes(frame[seg.ip_at + 12 : seg.ip_at + size])
    return ~ones_sum(header, 0, len(header)) & 0xFFFF


def _put(frame: bytearray, at: int, number: int) -> None:
    frame[at : at + 2] = number.to_bytes(2)


def _number(text: str, limit: int) -> int:
    try:
        number = int(text[:20], 0)
    except ValueError:
        raise ValueError(
            _("{text!r} is not a number; expected one in decimal, or with 0x").format(text=text[:20])
        ) from None
    if not 0 <= number <= limit:
        raise ValueError(_("{number} is outside 0..{limit}").format(number=number, limit=limit))
    return number


def cut(frame: bytes, link: int, size: int, ident: int = 1) -> list[bytes]:
    """The frame as IP fragments with at most `size` octets of payload each, rounded down to a multiple of eight.

    RFC 791 section 3.2; RFC 8200 section 4.5 (where `ident` is the fragments' identification). The frame itself where it
    fits. ValueError for a size below eight.
    """
    if size < MIN_FRAGMENT_OCTETS:
        raise ValueError(
            _("fragments of {size} octets are too small; the minimum is {min_fragment_octets}").format(
                size=size, min_fragment_octets=MIN_FRAGMENT_OCTETS
            )
        )
    seg = Seen(wirelen=len(frame), caplen=len(frame))
    if decode(frame, 0, len(frame), link, seg) != TCP:
        raise ValueError(_("the frame holds no TCP segment"))
    step = size // 8 * 8
    body = frame[seg.tcp_at :]
    if len(body) <= size:
        return [frame]
    return [
        _fragment(frame, seg, at, body[at : at + step], at + step < len(body), ident)
        for at in range(0, len(body), step)
    ]


def _fragment(frame: bytes, seg: Seen, at: int, piece: bytes, more: bool, ident: int) -> bytes:
    header = bytearray(frame[: seg.tcp_at])
    if seg.version == 4:
        _put(header, seg.ip_at + 2, seg.tcp_at - seg.ip_at + len(piece))
        _put(header, seg.ip_at + 6, at // 8 | more << 13)
        _put(header, seg.ip_at + 10, _ip_sum(header, seg))
        return bytes(header) + piece
    header[seg.ip_at + 6] = FRAGMENT_HEADER
    _put(header, seg.ip_at + 4, 8 + len(piece))
    return bytes(header) + bytes((TCP_PROTOCOL, 0)) + (at | more).to_bytes(2) + ident.to_bytes(4) + piece
