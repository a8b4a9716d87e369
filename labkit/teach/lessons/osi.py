"""The seven layers of the introductory text that labkit implements, laid over the octets of a real packet."""

import re
from collections.abc import Iterator, Sequence
from ipaddress import ip_address

import click

from labkit.analysis.flows import segments
from labkit.capture import Frame, lacking, open_capture
from labkit.capture.budget import Budget, Meter
from labkit.errors import UsageError
from labkit.i18n import N_, _
from labkit.packet.linktype import ETHERNET
from labkit.packet.seen import ABSENT, Seen
from labkit.tcp.segment import control_names

SUMMARY = N_("the seven layers, laid over the bytes of a real packet: osi [CAPTURE [PACKET]]")

REQUEST = b"GET /index.html HTTP/1.1\r\nHost: www.example.com\r\n\r\n"

WIDTH = 16
"""Octets on a line."""

MAX_LINES = 8
"""Lines of octets for one layer."""


def lines(arguments: Sequence[str]) -> Iterator[str]:
    """The layers of a packet of a capture, or of an HTTP request."""
    if len(arguments) > 2:
        raise UsageError(_("expected: labkit explain osi [CAPTURE [PACKET]]"))
    seg = Seen()
    if arguments:
        number = int(arguments[1]) if len(arguments) == 2 and re.fullmatch(r"[0-9]{1,18}", arguments[1]) else None
        if len(arguments) == 2 and number is None:
            raise UsageError(_("'{word}' is not a packet number").format(word=arguments[1]))
        data, link = _of_capture(arguments[0], number, seg)
    else:
        data, link = _built(seg)
    yield from _layers(data, link, seg)


def _of_capture(path: str, number: int | None, seg: Seen) -> tuple[bytes, int]:
    """Decode packet `number` of a capture, or the first one with data."""
    with open_capture(path, Meter(Budget())) as capture:
        for frame, data in segments(capture, seg):
            if number is None and seg.data_len == 0:
                continue
            if frame.number == number or number is None:
                return data, frame.link
    if number is None:
        raise lacking(_("{path}: there is no TCP segment with data in it").format(path=path), capture.damage)
    text = _("{path}: packet {n} does not exist or is not a TCP segment")
    raise lacking(text.format(path=path, n=number), capture.damage)


def _built(seg: Seen) -> tuple[bytes, int]:
    from labkit.packet.scapy_build import Host, packet
    from labkit.tcp.segment import ACK, PSH, Segment

    segment = Segment(seq=1, ack=1, ctl=PSH | ACK, payload=REQUEST)
    client = Host("192.0.2.10", 40000, mac="02:00:00:00:00:01")
    server = Host("192.0.2.20", 80, mac="02:00:00:00:00:02")
    octets = bytes(packet(segment, client, server))
    frame, data = next(segments([Frame(1, 0, ETHERNET, octets, len(octets))], seg))
    return data, frame.link


def _layers(data: bytes, link: int, seg: Seen) -> Iterator[str]:
    end = seg.data_at + seg.data_len if seg.data_at != ABSENT else len(data)
    payload = data[seg.data_at : end] if seg.data_at != ABSENT else b""
    yield _layer("7 6 5", _("application, presentation, session"), _("the messages of the two programs"))
    yield _(
        "       TCP/IP does not separate these three layers: the program, or a library such as TLS, does the work of"
    )
    yield _("       presentation (translation, encryption, compression) and session.")
    yield from _octets(data, end - len(payload), end, text=True)
    if not payload:
        yield "       " + _("this segment carries no data")
    yield _layer("4", _("transport"), _("end to end: every byte from program to program, once and in order"))
    numbers = f"seq {seg.seq}{_(', ')}ack {seg.ack}{_(', ')}{control_names(seg.ctl)}{_(', ').rstrip()}"
    yield f"       TCP{_(': ')}{_('port')} {seg.sport} → {seg.dport}{_(', ')}{numbers}"
    header = _("header of {n} bytes").format(n=seg.doff)
    yield f"       {_('window')} {seg.win}{_(', ')}{_('checksum')} {seg.sum:#06x}{_(', ')}{header}"
    yield from _octets(data, seg.tcp_at, seg.tcp_at + seg.doff)
    yield _layer("3", _("network"), _("addresses and routes: from host to host"))
    source = ip_address(data[seg.src_at : seg.src_at + seg.addr_len])
    target = ip_address(data[seg.dst_at : seg.dst_at + seg.addr_len])
    lengths = f"{_('time to live')} {seg.ttl}{_(', ')}{_('length')} {seg.ip_len}"
    yield f"       IPv{seg.version}{_(': ')}{source} → {target}{_(', ')}{lengths}"
    yield from _octets(data, seg.ip_at, seg.tcp_at)
    yield _layer("2", _("data link"), _("from one network card to another on the same link"))
    if seg.ip_at and link == ETHERNET:
        target_mac, source_mac = (":".join(f"{octet:02x}" for octet in data[at : at + 6]) for at in (0, 6))
        yield f"       {_('Ethernet')}{_(': ')}{source_mac} → {target_mac}{_(', ')}{_('type')} 0x{data[12:14].hex()}"
    yield from _octets(data, 0, seg.ip_at)
    if not seg.ip_at:
        yield "       " + _("this capture begins at layer 3")
    if end < len(data):
        yield "       " + _("padding at the end of the frame:")
        yield from _octets(data, end, len(data))
    yield _layer("1", _("physical"), _("volts, light, timing"))
    yield "       " + _("no capture shows this layer: preamble, bits and frame check sequence stay in the network card")


def _layer(number: str, name: str, meaning: str) -> str:
    return f"{click.style(f'{number:<5}  {name}', bold=True)}{_(': ')}{meaning}"


def _octets(data: bytes, start: int, end: int, *, text: bool = False) -> Iterator[str]:
    """The octets from `start` to `end` with their offsets, in hexadecimal and optionally as text."""
    for count, at in enumerate(range(start, end, WIDTH)):
        if count == MAX_LINES:
            yield f"       {'':>6}  … {_('{n} more bytes').format(n=end - at)}"
            return
        piece = data[at : min(at + WIDTH, end)]
        shown = "".join(chr(octet) if 32 <= octet < 127 else "." for octet in piece) if text else ""
        yield f"       {at:>6}  {piece.hex(' '):<{WIDTH * 3}}  {shown}".rstrip()
