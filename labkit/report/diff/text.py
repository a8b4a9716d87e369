"""A difference as text, as values for JSON, and as an annotated capture."""

from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import click

from labkit import __version__
from labkit.build.trace import Trace
from labkit.capture import Frame, create
from labkit.errors import UsageError
from labkit.i18n import _, listed, ngettext, padded, printable
from labkit.packet.linktype import ETHERNET
from labkit.report.diff import Compared, Difference, Direction, Event
from labkit.report.diff.fields import Alteration

MAX_SHOWN = 100
"""Events of a conversation that the text shows."""


def render(difference: Difference) -> Iterator[str]:
    """Yield the lines of the text."""
    one, other = map(printable, difference.names)
    for each in difference.conversations:
        title = f"{each.client} ↔ {each.server}"
        yield click.style(title, bold=True) + ("" if each.differs else f"  {_('no difference')}")
        yield f"  {_place(each, one, other)}"
        for direction in each.directions:
            yield f"  {_direction(direction)}"
            yield from (f"    {_alteration(found, direction)}" for found in direction.alterations)
            if text := _resegmented(each, direction):
                yield f"    {text}"
        events = [event for event in each.events if event.kind != "resegmented"]
        for event in events[:MAX_SHOWN]:
            yield f"{padded(_packets(event), -13)}  {_text(event, each)}"
        if len(events) > MAX_SHOWN:
            yield _("  … and {count:,} more; --format json lists all").format(count=len(events) - MAX_SHOWN)
    for name, only in ((one, difference.only_a), (other, difference.only_b)):
        for client, server, count in only:
            text = ngettext("only in {name}: {count} packet", "only in {name}: {count} packets", count)
            yield click.style(f"{client} ↔ {server}", bold=True) + "  " + text.format(name=name, count=count)
    if not (difference.conversations or difference.only_a or difference.only_b):
        yield _("no TCP conversation in {a} and {b}").format(a=one, b=other)


def record(difference: Difference) -> dict[str, Any]:
    """The values for JSON. Times are nanoseconds; `names` are the captures that `a` and `b` stand for."""
    return {
        "labkit": __version__,
        "names": difference.names,
        "differs": difference.differs,
        "conversations": [asdict(each) for each in difference.conversations],
        "only_a": [_only(*each) for each in difference.only_a],
        "only_b": [_only(*each) for each in difference.only_b],
    }


def annotate(difference: Difference, traces: tuple[Trace, Trace], target: str | Path | BinaryIO) -> int:
    """Write both captures into one pcapng file, each packet at its time, with a comment on each packet that differs.

    The interfaces have the names of the captures. Return the number of packets with a comment.
    """
    if isinstance(target, str | Path) and Path(target).suffix.lower() not in {".pcapng", ".ntar"}:
        text = _("{name}: an annotated capture is a pcapng file and needs the suffix .pcapng")
        raise UsageError(text.format(name=printable(str(target))))
    rows: list[tuple[int, int, Frame, int, list[str]]] = []
    interfaces: list[tuple[int, str]] = []
    comments = _comments(difference)
    for trace, name, found in zip(traces, difference.names, comments, strict=True):
        frames = [(frame, frame is each.frames[-1]) for each in trace.records for frame in each.frames]
        links = sorted({frame.link for frame, _last in frames})
        places = {link: len(interfaces) + at for at, link in enumerate(links)}
        interfaces += [(link, name) for link in links]
        for frame, last in frames:
            where = _("packet {number} of {name}").format(number=frame.number, name=printable(name))
            own = [f"{text}\n{where}" for text in found.get(frame.number, []) if last]
            rows.append((frame.time, len(rows), frame, places[frame.link], own))
    (link, name), *more = interfaces or [(ETHERNET, "")]
    with create(target, link=link, format="pcapng", interface_name=name, application=f"labkit {__version__}") as out:
        for link, name in more:
            out.add_interface(link, name=name)
        for time, _order, frame, place, own in sorted(rows, key=lambda row: row[:2]):
            size = max(frame.wirelen, len(frame.data))
            out.write(time, frame.data, wirelen=size, comments=chain(frame.comments, own), interface=place)
    return sum(map(len, comments))


def _comments(difference: Difference) -> tuple[dict[int, list[str]], dict[int, list[str]]]:
    """The comments on the packets of both captures, by their numbers."""
    found: tuple[dict[int, list[str]], dict[int, list[str]]] = {}, {}
    for conversation in difference.conversations:
        for event in conversation.events:
            _comment(found, event.packet_a, event.packet_b, f"{event.kind}{_(': ')}{_text(event, conversation)}")
        for direction in conversation.directions:
            for each in direction.alterations:
                _comment(found, each.packet_a, each.packet_b, _alteration(each, direction))
    return found


def _comment(
    comments: tuple[dict[int, list[str]], dict[int, list[str]]], packet_a: int | None, packet_b: int | None, text: str
) -> None:
    for packet, found in zip((packet_a, packet_b), comments, strict=True):
        if packet is not None:
            found.setdefault(packet, []).append(text)


def _only(client: str, server: str, packets: int) -> dict[str, object]:
    return {"client": client, "server": server, "packets": packets}


def _place(each: Compared, one: str, other: str) -> str:
    if not each.same:
        return _("the conversation happened twice: what was sent is compared, not when")
    if each.near is None:
        return _("captured at the same point, or where labkit cannot tell")
    near, far = (one, other) if each.near == "a" else (other, one)
    return _("{near} is at the client's end of the path, {far} at the server's").format(near=near, far=far)


def _direction(each: Direction) -> str:
    parts = [_("{a:,} and {b:,} packets, {n:,} in both").format(a=each.packets[0], b=each.packets[1], n=each.matched)]
    if each.delay is not None:
        parts.append(_("{time} ms at least by the clocks").format(time=_ms(each.delay)))
    if each.hops:
        parts.append(ngettext("{n} hop", "{n} hops", each.hops).format(n=each.hops))
    return f"{_way(each.side)}{_(': ')}{_(', ').join(parts)}"


def _resegmented(each: Compared, direction: Direction) -> str:
    """The packets whose octets the other capture has in other packets."""
    own = [event for event in each.events if event.kind == "resegmented" and event.side == direction.side]
    if not own:
        return ""
    count = sum(event.packet_a is not None for event in own)
    text = _("{a:,} ↔ {b:,} packets carry the same bytes in other segments")
    return text.format(a=count, b=len(own) - count)


def _way(side: str) -> str:
    return _("client → server") if side == "client" else _("server → client")


def _packets(event: Event) -> str:
    return f"{event.packet_a or '-'} ↔ {event.packet_b or '-'}"


def _text(event: Event, conversation: Compared) -> str:
    """What happened to a packet, in one line."""
    what = f"{_way(event.side)} seq={event.seq}" + (f" len={event.length}" if event.length else "")
    match event.kind:
        case "lost":
            return f"{what}{_(': ')}{_lost(event, conversation)}"
        case "added":
            text = _("only here: not captured there, or sent by somebody on the way")
        case "repeated":
            text = _("arrived twice")
        case "reordered":
            text = _("arrived after a packet that was sent later")
        case "delayed":
            text = _("arrived {time} ms later than the fastest packet").format(time=_ms(event.late))
        case "payload":
            text = _("other bytes at {ranges}").format(ranges=_spans(event))
        case _:
            text = _("its bytes are in other segments there")
    return f"{what}{_(': ')}{text}"


def _lost(event: Event, conversation: Compared) -> str:
    text = _("lost") if conversation.near is not None else _("missing there")
    if event.ranges:
        return text + _("; bytes {ranges} never arrive").format(ranges=_spans(event))
    if event.arrived is not None:
        return text + _("; its bytes arrive with packet {packet}").format(packet=event.arrived)
    return text


def _spans(event: Event) -> str:
    shown = listed(f"{low}-{high - 1}" if high - low > 1 else str(low) for low, high in event.ranges[:5])
    return shown + (", …" if len(event.ranges) > 5 else "")


def _alteration(each: Alteration, direction: Direction) -> str:
    values = f"{each.field} {each.a} → {each.b}"
    if each.count == direction.matched and each.always:
        return _("{values} in every packet").format(values=values)
    if each.count == 1:
        return _("{values} in packet {a} ↔ {b}").format(values=values, a=each.packet_a, b=each.packet_b)
    text = _("{values} in {count:,} packets") if each.always else _("{values} and others in {count:,} packets")
    return text.format(values=values, count=each.count) + f" ({each.packet_a} ↔ {each.packet_b} …)"


def _ms(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e6:.3f}"
