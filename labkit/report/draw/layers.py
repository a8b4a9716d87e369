"""The seven layers of the introductory text that labkit implements, laid over the octets of one packet."""

from collections.abc import Iterator
from dataclasses import dataclass

from labkit.i18n import N_, _
from labkit.packet.linktype import ETHERNET
from labkit.packet.seen import ABSENT
from labkit.report.draw import DrawOptions, _svg
from labkit.report.draw._page import Drawing, drawing_formats
from labkit.report.draw._subject import Subject

SUMMARY = N_("the seven layers over the bytes of a packet: --packets N")

CONVERSATIONS = 1

WIDTH = 1040.0
TOP, GAP = 56.0, 10.0
LINE = 17.0
AT = 460.0
OCTETS = 16
MAX_LINES = 6
"""Lines of octets of one layer."""

COLOURS = ("opening", "established", "closing", "waiting", "closed")


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer, or several that TCP/IP does not separate."""

    numbers: str
    name: str
    meaning: str
    octets: bytes
    at: int
    """Where its octets begin in the frame."""
    text: bool = False


def layers(subject: Subject, packet: int | None) -> tuple[str, list[Layer]]:
    """A title, and the layers of a packet from the top; without a packet, of the first one with data."""
    text = _("{capture}: packet {n} does not exist or is not a TCP segment")
    if packet is None:
        text = _("{capture}: there is no TCP segment with data in it")
    frame, data, seg = subject.segment(
        lambda seg: seg.number == packet or (packet is None and seg.data_len > 0),
        text.format(capture=subject.title, n=packet),
    )
    end = seg.data_at + seg.data_len if seg.data_at != ABSENT else len(data)
    start = seg.data_at if seg.data_at != ABSENT else end
    link = _("Ethernet") if frame.link == ETHERNET else _("link")
    upper = _("application, presentation, session"), _("the messages of the programs")
    header, datagram = data[seg.tcp_at : seg.tcp_at + seg.doff], data[seg.ip_at : seg.tcp_at]
    found = [
        Layer("7 6 5", *upper, data[start:end], start, text=True),
        Layer("4", _("transport: TCP"), _("from program to program"), header, seg.tcp_at),
        Layer("3", _("network: IPv{n}").format(n=seg.version), _("from host to host"), datagram, seg.ip_at),
        Layer("2", _("data link: {name}").format(name=link), _("from card to card"), data[: seg.ip_at], 0),
        Layer("1", _("physical"), _("volts, light, timing: no capture shows them"), b"", 0),
    ]
    return _("{name}, packet {n}: layers").format(name=subject.title, n=frame.number), found


def _drawing(subject: Subject, options: DrawOptions) -> Drawing:
    title, found = layers(subject, options.packet)
    parts = [_svg.label(16, 28, title, "ink title")]
    y = TOP
    for layer, colour in zip(found, COLOURS, strict=True):
        lines = list(_lines(layer))
        height = max(len(lines), 2) * LINE + 18
        parts.append(_svg.element("rect", x=16.0, y=y, width=WIDTH - 32, height=height, rx=5, class_="band"))
        parts.append(_svg.element("rect", x=16.0, y=y, width=10.0, height=height, class_=colour))
        parts.append(_svg.label(40, y + 20, layer.numbers, "ink strong"))
        parts.append(_svg.label(92, y + 20, layer.name, "ink strong"))
        parts.append(_svg.label(92, y + 20 + LINE, layer.meaning, "muted small"))
        for place, (at, octets, text) in enumerate(lines):
            line = y + 20 + place * LINE
            parts.append(_svg.label(AT, line, at, "muted small", anchor="end"))
            parts.append(_svg.label(AT + 14, line, octets, "ink small"))
            parts.append(_svg.label(AT + 350, line, text, "muted small"))
        y += height + GAP
    return Drawing(title, title, WIDTH, y + 6, parts)


def _lines(layer: Layer) -> Iterator[tuple[str, str, str]]:
    """Where 16 octets begin, the octets in hexadecimal and, of the top layer, as text."""
    for place, at in enumerate(range(0, len(layer.octets), OCTETS)):
        if place == MAX_LINES:
            yield "", _("… {n} more bytes").format(n=len(layer.octets) - at), ""
            return
        piece = layer.octets[at : at + OCTETS]
        shown = "".join(chr(octet) if 32 <= octet < 127 else "." for octet in piece) if layer.text else ""
        yield f"{layer.at + at}", piece.hex(" "), shown
    if not layer.octets and layer.at:
        yield "", _("this segment carries no data"), ""


FORMATS = drawing_formats(_drawing)
