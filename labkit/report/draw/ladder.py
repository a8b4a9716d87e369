"""The ladder: both ends with their states, and an arrow for each segment."""

from collections.abc import Iterator

import click

from labkit.i18n import N_, _, ngettext
from labkit.report.draw import DrawOptions, _ladder_text, _svg
from labkit.report.draw._folding import MAX_DRAWN, folded
from labkit.report.draw._ladder_svg import WIDTH, draw, faults_of, ladder_of
from labkit.report.draw._subject import Subject

SUMMARY = N_("the segments as arrows between both ends, with states, losses and faults")

CONVERSATIONS = DrawOptions().most

HEADING = 30.0
"""The height of a conversation's heading, where there are several."""


def svg(subject: Subject, options: DrawOptions) -> Iterator[str]:
    """Draw the first conversations below each other."""
    parts: list[str] = []
    top = 0.0
    chosen = subject.conversations[: options.most]
    for conversation in chosen:
        if subject.total > 1:
            parts.append(_svg.label(8, top + 20, _("conversation {n}").format(n=conversation.index), "ink title"))
            top += HEADING
        ladder = ladder_of(conversation, subject.names_of(conversation), subject.start)
        height, drawn = draw(ladder, folded(conversation, MAX_DRAWN // len(chosen), whole=options.whole))
        parts.append(_svg.group(drawn, transform=f"translate(0 {_svg.number_of(top)})"))
        top += height
        for line in faults_of(conversation):
            parts.append(_svg.label(WIDTH / 2, top + 10, line, "fault strong", anchor="middle"))
            top += 22
    for line in remarks(subject, options):
        parts.append(_svg.label(8, top + 20, line, "muted"))
        top += 24
    yield _svg.document(WIDTH, max(top + 8, 40), parts, title=title(subject), style=_svg.style())


def title(subject: Subject) -> str:
    """The picture's title."""
    return _("{name}: ladder").format(name=subject.title)


def remarks(subject: Subject, options: DrawOptions) -> Iterator[str]:
    """Yield what the picture leaves out."""
    more = subject.total - options.most
    if more > 0:
        text = ngettext(
            "{n:,} more conversation is not drawn: --flow N chooses one",
            "{n:,} more conversations are not drawn: --flow N chooses one",
            more,
        )
        yield text.format(n=more)
    if subject.cut:
        yield _("only the first {n:,} packets are drawn").format(n=subject.read)
    if not subject.conversations:
        yield subject.nothing


def terminal(subject: Subject, options: DrawOptions) -> Iterator[str]:
    """Draw with box characters, in colour where the terminal has it."""
    chosen = subject.conversations[: options.most]
    for place, conversation in enumerate(chosen):
        if place:
            yield ""
        if subject.total > 1:
            yield click.style(_("conversation {n}").format(n=conversation.index), bold=True)
        parts = folded(conversation, MAX_DRAWN // len(chosen), whole=options.whole)
        yield from _ladder_text.terminal(conversation, parts, subject.names_of(conversation), subject.start)
    yield from remarks(subject, options)


def mermaid(subject: Subject, options: DrawOptions) -> Iterator[str]:
    """Draw the first conversation for Mermaid, which takes one diagram at a time."""
    for conversation in subject.conversations[:1]:
        parts = folded(conversation, whole=options.whole)
        yield from _ladder_text.mermaid(conversation, parts, subject.names_of(conversation))


def dot(subject: Subject, options: DrawOptions) -> Iterator[str]:
    """Draw the first conversation for Graphviz."""
    for conversation in subject.conversations[:1]:
        parts = folded(conversation, whole=options.whole)
        yield from _ladder_text.dot(conversation, parts, subject.names_of(conversation))


def html(subject: Subject, options: DrawOptions) -> Iterator[str]:
    """Draw a page on which folds open, and that has all segments in a table."""
    from labkit.report.draw._segments_page import page

    yield from page(subject, options, remarks(subject, options))


FORMATS = {"svg": svg, "html": html, "terminal": terminal, "mermaid": mermaid, "dot": dot}
