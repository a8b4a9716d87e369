"""A capture once more, as a pcapng in which each finding is a comment on its packet: the verdict, read in Wireshark.

The capture is read again, twice: its names, and comments on it, may stand anywhere, and come first in what is written. Kept
are the packets with their times, lengths, interfaces, link types and comments, the names, and the comments on the
capture. Not kept are statistics, secrets, and what else a reader of `labkit.capture` passes over. Of a capture that
breaks off the packets before that place are written.
"""

from collections import defaultdict, deque
from itertools import chain
from pathlib import Path

import click

from labkit import __version__
from labkit.analysis.verifier import Finding, Verdict
from labkit.capture import Interface, create, open_capture
from labkit.errors import UsageError
from labkit.i18n import _, printable
from labkit.packet.linktype import ETHERNET
from labkit.report.formats import Options
from labkit.report.formats._plain import expected
from labkit.report.formats.text import headline


def check(path: str, target: str) -> None:
    """Whether a capture can be annotated into a file. UsageError, one line, where it cannot."""
    name = printable(target)
    if path == "-":
        raise UsageError(_("standard input cannot be read again to be annotated; save it to a file first"))
    if Path(target).suffix.lower() not in {".pcapng", ".ntar"}:
        raise UsageError(_("{name}: an annotated capture is a pcapng, and must be called so").format(name=name))
    try:
        same = Path(path).samefile(target)
    except (OSError, ValueError):
        return  # one of them is not there, which others say
    if same:
        raise UsageError(_("{name}: would overwrite the capture itself").format(name=name))


def annotate(verdict: Verdict, target: str, options: Options) -> int:
    """Write the capture of a verdict with its findings; the number of packets that have got a comment.

    The file appears whole or not at all. UsageError as `check` has it; CaptureError where the capture cannot be read
    again, or the target not be written: a pcapng holds no time before 1970, and no packet of more than 262,144 octets.
    """
    check(verdict.path, target)
    with open_capture(verdict.path) as head:
        deque(head, maxlen=0)  # to its end, for what only its blocks hold
    comments, whole = _comments(verdict)
    # A capture that names no interface has no packet: any link type will do.
    first = head.interfaces[0] if head.interfaces else Interface(ETHERNET)
    with (
        open_capture(verdict.path) as capture,
        create(
            target,
            link=first.link,
            format="pcapng",
            comment="\n\n".join([*head.comments, _summary(verdict, options), *whole]),
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
                # A file may say that less was on the wire than it holds.
                wirelen=max(frame.wirelen, len(frame.data)),
                comments=chain(frame.comments, comments.get(frame.number, ())),
                interface=frame.interface,
            )
    return len(comments)


def _comments(verdict: Verdict) -> tuple[dict[int, list[str]], list[str]]:
    """The comments of each packet, by its number, the gravest first; and those that have no packet.

    What is said of a whole conversation stands at its first packet.
    """
    firsts = {each.flow: each.first_packet for each in verdict.conversations}
    packets: dict[int, list[str]] = defaultdict(list)
    whole = []
    for found in sorted(verdict.findings, key=lambda each: -each.severity):
        packet = firsts.get(found.flow) if found.packet is None else found.packet
        if packet:
            packets[packet].append(comment(found))
        else:
            whole.append(comment(found))
    return packets, whole


def comment(found: Finding) -> str:
    """A finding as Wireshark shows it beside its packet."""
    severity = _(str(found.severity))
    lines = [f"{severity}[{found.code}] {found.name}"]
    if found.packet is None:
        lines[0] += f": {_('the whole conversation')}, {found.source} → {found.destination}"
    lines.append(found.message + expected(found))
    if found.receiver:
        lines.append(_("receiver: {text}").format(text=found.receiver))
    source = f"{found.reference}; " if found.reference else ""
    lines.append(_("read on: {text}").format(text=f"{source}labkit explain {found.code}"))
    return "\n".join(lines)


def _summary(verdict: Verdict, options: Options) -> str:
    """The verdict on the whole capture, and what it cannot show."""
    lines = [f"labkit {__version__}: {click.unstyle(headline(verdict, options))}"]
    if verdict.damage is not None:
        lines.append(_("{message}; judged up to there").format(message=verdict.damage.message))
    lines += [limit.message for limit in verdict.limits]
    return "\n".join(lines)
