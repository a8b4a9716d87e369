"""The page that a student gets, in Markdown and in HTML. It holds neither names nor IDs, and nothing of the solution."""

import re
from collections.abc import Iterator
from html import escape

from labkit.build.trace import Trace
from labkit.i18n import _, aside, listed, ngettext, padded
from labkit.tcp.segment import ACK, control_names
from labkit.teach.assign.material import ANSWER_FILE, Material
from labkit.teach.grade.task import ANSWERS, LIVE, PROGRAM, REPAIR, points_text
from labkit.teach.html import page

MAX_LADDER = 60
"""Segments that the ladder shows."""
LADDER = 50
"""Characters between the two sides of the ladder."""


def markdown(own: Material) -> str:
    """The page in Markdown."""
    return "\n".join(_lines(own)) + "\n"


def _lines(own: Material) -> Iterator[str]:
    model, task = own.assignment.model, own.task
    yield f"# {model.title}"
    yield ""
    yield model.text.strip()
    yield ""
    if model.give == "ladder":
        yield f"## {_('The conversation')}"
        yield ""
        yield _("Fill in the blanks first: the number that each packet has.")
        yield ""
        yield "```"
        yield from ladder(own.trace)
        yield "```"
        yield ""
    if task.kind == ANSWERS:
        yield f"## {_('Questions')}"
        yield ""
        for part in task.parts:
            if part.answer is not None:
                points = ngettext("{points} point", "{points} points", 1 if part.points == 1 else 2)
                worth = points.format(points=points_text(part.points))
                yield f"{part.answer.number}. {aside(' '.join(part.answer.ask.split()), worth)}"
        yield ""
    yield f"## {_('What to hand in')}"
    yield ""
    yield _what(own)
    if model.deadline:
        yield ""
        yield _("It is due at {time}.").format(time=model.deadline)
    yield ""
    yield _("There are {points} points:").format(points=points_text(task.of))
    yield ""
    yield f"| {_('part')} | {_('points')} |"
    yield "| --- | --- |"
    for part in task.parts:
        worth = points_text(part.points)
        if part.penalty:
            worth = _("up to −{points}").format(points=worth)
        yield f"| {part.name} | {'+' if part.bonus else ''}{worth} |"


VARIABLES = ("SIDE", "LINK", "INTERFACE", "ADDRESS", "PORT", "PEER_ADDRESS", "PEER_PORT", "SEND", "RECEIVE", "SEED")
"""What `labkit check-live` tells a program (`labkit.live.trial.surroundings`)."""


def _what(own: Material) -> str:
    kind = own.task.kind
    given = listed(f"`{name}`" for name in own.captures)
    if kind == ANSWERS:
        text = _(
            "The file `{file}` with your answers, one `NUMBER: ANSWER` on each line. The questions are about {given}."
        )
        return text.format(file=ANSWER_FILE, given=given)
    if kind == REPAIR:
        return _("The repaired capture, as a .pcap or .pcapng file. The given capture is {given}.").format(given=given)
    if kind == LIVE:
        return _("The capture of your own run, as a .pcap or .pcapng file.")
    program = own.assignment.model.program
    if kind == PROGRAM and program is not None:
        link = {
            "tun": _(
                "It sends and receives IP packets through the tun device `$LABKIT_INTERFACE`, which is there already."
            ),
            "raw": _("It sends and receives packets by raw sockets; no kernel answers for its port."),
        }[program.link]
        text = _("Your program, which plays the {side}. {link} Its environment says what to do: {names}.")
        names = listed(f"`LABKIT_{name}`" for name in VARIABLES)
        return text.format(side=_(program.side), link=link, names=names)
    return _("One capture, as a .pcap or .pcapng file.")


def ladder(trace: Trace) -> Iterator[str]:
    """The packets of a conversation as a ladder whose numbers are blank."""
    yield f"     {padded(_('client'), 6)}{padded(_('server'), 4 - LADDER)}"
    for number, record in enumerate(trace.records[:MAX_LADDER], 1):
        segment = record.segment
        text = f"{control_names(segment.ctl)} seq=______"
        if segment.ctl & ACK:
            text += " ack=______"
        if segment.payload:
            text += f" len={len(segment.payload)}"
        if record.sender == "client":
            line = f"── {text} {'─' * LADDER}"[: LADDER - 1] + ">"
        else:
            line = "<" + f"{'─' * LADDER} {text} ──"[1 - LADDER :]
        yield f"{number:>4} │{line}│"
    if len(trace.records) > MAX_LADDER:
        yield f"{'':>4} …"


# HTML.


def html(own: Material) -> str:
    """The page in HTML: one file that loads nothing."""
    return page(own.assignment.model.title, rendered(markdown(own)))


def rendered(text: str) -> str:
    """The Markdown that assignments use as HTML: headings, paragraphs, lists, tables, fenced code, code, bold and emphasis."""
    out: list[str] = []
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        line = lines[at]
        if line.startswith("```"):
            end = next((n for n in range(at + 1, len(lines)) if lines[n].startswith("```")), len(lines))
            out.append("<pre>" + escape("\n".join(lines[at + 1 : end])) + "</pre>")
            at = end + 1
            continue
        heading = re.fullmatch(r"(#{1,4}) +(.*)", line)
        if heading is not None:
            level = len(heading[1])
            out.append(f"<h{level}>{_inline(heading[2])}</h{level}>")
            at += 1
            continue
        if not line.strip():
            at += 1
            continue
        block = at
        while at < len(lines) and lines[at].strip() and not lines[at].startswith(("```", "#")):
            at += 1
        out.append(_block(lines[block:at]))
    return "\n".join(out)


ITEM = re.compile(r"\s*(?:([-*])|(\d+)[.)])\s+(.*)")


def _block(lines: list[str]) -> str:
    if lines[0].startswith("|"):
        rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]
        head = "".join(f"<th>{_inline(cell)}</th>" for cell in rows[0])
        body = "".join("<tr>" + "".join(f"<td>{_inline(cell)}</td>" for cell in row) + "</tr>" for row in rows[2:])
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    first = next((n for n, line in enumerate(lines) if ITEM.fullmatch(line)), len(lines))
    out = f"<p>{_inline(' '.join(line.strip() for line in lines[:first]))}</p>" if first else ""
    if first == len(lines):
        return out
    items: list[str] = []
    for line in lines[first:]:
        match = ITEM.fullmatch(line)
        if match is not None:
            items.append(match[3])
        else:
            items[-1] += f" {line.strip()}"
    opening = ITEM.fullmatch(lines[first])
    kind = "ul" if opening is not None and opening[1] else "ol"
    return out + f"<{kind}>" + "".join(f"<li>{_inline(item)}</li>" for item in items) + f"</{kind}>"


def _inline(text: str) -> str:
    pieces = re.split(r"(`[^`]+`)", text)
    for at, piece in enumerate(pieces):
        if at % 2:
            pieces[at] = f"<code>{escape(piece[1:-1])}</code>"
        else:
            plain = escape(piece)
            plain = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", plain)
            pieces[at] = re.sub(r"(?<!\w)\*([^*]+)\*(?!\w)", r"<em>\1</em>", plain)
    return "".join(pieces)
