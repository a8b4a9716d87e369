"""Annotated captures: a pcapng copy of a capture in which each finding is a comment on its packet, for Wireshark.

The capture is read twice more, because names and comments on the capture may stand anywhere in it and come first in the copy.
The copy keeps the packets with their times, lengths, interfaces, link types and comments, the names, and the comments on the
capture. It drops statistics, secrets and whatever else `labkit.capture` skips. A damaged capture is copied up to the damage.
"""

from array import array
from collections import deque
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import click

from labkit import __version__
from labkit.analysis.finding import Finding
from labkit.analysis.findings import outlines
from labkit.analysis.verdict import Verdict
from labkit.capture import Interface, create, open_capture
from labkit.capture.pcapng_blocks import MAX_TEXT_OCTETS
from labkit.errors import UsageError
from labkit.i18n import _, printable
from labkit.packet.linktype import ETHERNET
from labkit.report.formats import ReportOptions
from labkit.report.formats._finding_text import labelled_lines
from labkit.report.formats._judged import COMPLETENESS, completeness, limit_text
from labkit.report.formats.text import headline


def check(path: str | None, target: str) -> None:
    """Raise UsageError, with a message of one line, if a capture cannot be annotated into the file `target`.

    `path` is None for a capture in memory.
    """
    name = printable(target)
    if path == "-":
        raise UsageError(_("cannot annotate standard input, which can be read only once; save it to a file first"))
    if Path(target).suffix.lower() not in {".pcapng", ".ntar"}:
        raise UsageError(
            _("{name}: an annotated capture is a pcapng file and needs the suffix .pcapng").format(name=name)
        )
    if path is None:
        return
    try:
        same = Path(path).samefile(target)
    except (OSError, ValueError):
        return  # one of them does not exist; opening it raises the error
    if same:
        raise UsageError(_("{name}: this would overwrite the capture itself").format(name=name))


def annotate(verdict: Verdict, target: str, options: ReportOptions) -> tuple[int, set[str]]:
    """Write the capture of a verdict with its findings as comments.

    The number of packets that got one, and what the copy lacks (`Reader.skipped`).

    The file appears whole or not at all. UsageError as in `check`. CaptureError if the capture cannot be read again or the target
    cannot be written: a pcapng file holds no time before 1970, and no packet of more than 262,144 octets.
    """
    check(verdict.path if verdict.content is None else None, target)
    with open_capture(verdict.source) as head:
        if head.format != "pcap":  # whose head says all
            deque(head, maxlen=0)  # reads to the end, for the names and comments
    comments = _Comments(verdict)
    # A capture that names no interface has no packet, so any link type will do.
    first = head.interfaces[0] if head.interfaces else Interface(ETHERNET)
    with (
        open_capture(verdict.source) as capture,
        create(
            target,
            link=first.link,
            format="pcapng",
            comment="\n\n".join([*head.comments, _summary(verdict, options), *comments.whole()]),
            names=head.names,
            snaplen=first.snaplen,
            interface_name=first.name,
            interface_description=first.description,
            fcs=first.fcs,
            application=f"labkit {__version__}",
        ) as out,
    ):
        for each in head.interfaces[1:]:
            out.add_interface(
                each.link, snaplen=each.snaplen, name=each.name, description=each.description, fcs=each.fcs
            )
        for frame in capture:
            out.write(
                frame.time,
                frame.data,
                # A file may claim that fewer octets were on the wire than it holds.
                wirelen=max(frame.wirelen, len(frame.data)),
                comments=chain(frame.comments, comments.of(frame.number)),
                interface=frame.interface,
            )
    return comments.packets, head.skipped


class _Comments:
    """The findings of a verdict as comments, made when their packets are written.

    A finding about a whole conversation is a comment on its first packet, or on the capture if that packet is not known.
    """

    def __init__(self, verdict: Verdict) -> None:
        self._findings = verdict.findings
        firsts = {each.flow: each.first_packet for each in verdict.conversations}
        self._places: dict[int, list[int]] = {}
        """The places of findings about conversations, by their first packets."""
        self._whole = array("I")
        """The places of those whose packets are not known."""
        numbers = array("I")
        for place, found in enumerate(outlines(verdict.findings)):
            if found.packet is not None:
                numbers.append(found.packet)
            elif packet := firsts.get(found.flow):
                self._places.setdefault(packet, []).append(place)
            else:
                self._whole.append(place)
        self.packets = len({*numbers, *self._places})
        """Packets with comments."""
        self._numbers = numbers
        """The packets of the first findings: those about packets come first, in the packets' order."""
        self._next = 0

    def whole(self) -> Iterator[str]:
        """The comments on the capture, the most severe first, as many as fit."""
        octets = 0
        for text in self._texts(list(self._whole)):
            if octets > MAX_TEXT_OCTETS:
                return
            octets += len(text)
            yield text

    def of(self, packet: int) -> Iterator[str]:
        """The comments on a packet, the most severe first. Packets are asked for in their order."""
        begin = self._next
        while self._next < len(self._numbers) and self._numbers[self._next] <= packet:
            self._next += 1
        return self._texts([*range(begin, self._next), *self._places.get(packet, ())])

    def _texts(self, places: list[int]) -> Iterator[str]:
        if len(places) < 2:
            return (comment(self._findings[place]) for place in places)
        return map(comment, sorted(map(self._findings.__getitem__, places), key=lambda each: -each.severity))


def comment(found: Finding) -> str:
    """A finding as a comment on its packet: a line for programs, the rule's name, and the labelled lines of its text.

    The first line is the same in every language, and `labkit.report.wireshark` reads it: `labkit error ACK01 ack=121
    expected=120`. What is not known is not there. Sequence numbers are relative; a line `raw: ` has them as they are sent.
    """
    relative, raw = (_numbers(found, *each) for each in _both(found))
    lines = [f"labkit {found.severity} {found.code}{relative}", found.name]
    if found.packet is None:
        lines[1] += f"{_(': ')}{_('the whole conversation')}{_(', ')}{found.source} → {found.destination}"
    if raw != relative:
        lines.append(f"raw:{raw}")
    return "\n".join([*lines, *(f"{label}{_(': ')}{text}" for label, text in labelled_lines(found))])


def _both(found: Finding) -> tuple[tuple[int | None, int | None], tuple[int | None, int | None]]:
    """The actual and the expected value, relative where there is such a number, and raw."""
    actual = found.actual if found.actual_relative is None else found.actual_relative
    expected = found.expected if found.expected_relative is None else found.expected_relative
    return (actual, expected), (found.actual, found.expected)


def _numbers(found: Finding, actual: int | None, expected: int | None) -> str:
    """The values of a finding's field, each with a space before it."""
    named = ((found.field, actual), ("expected", expected)) if found.field else ()
    return "".join(f" {name}={value}" for name, value in named if value is not None)


def _summary(verdict: Verdict, options: ReportOptions) -> str:
    """The verdict on the whole capture, and its limits."""
    lines = [f"labkit {__version__}: {click.unstyle(headline(verdict, options))}"]
    if options.config_line:
        lines.append(_("configuration: {file}").format(file=options.config_line))
    if verdict.segments:
        lines.append(_(COMPLETENESS[completeness(verdict)[1]]))
    lines += [limit_text(limit, verdict) for limit in verdict.limits]
    return "\n".join(lines)
