"""A self-contained page: one HTML file that loads nothing, runs only its own script, and treats every text as text.

Its Content-Security-Policy forbids everything but the style and the script in the file, which it names by their SHA-256 digests.
"""

from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import NamedTuple

from labkit import __version__
from labkit.analysis.severity import Severity
from labkit.i18n import _, aside, language
from labkit.report.draw import Draw, DrawOptions, _svg
from labkit.report.draw._conversation import Arrow, Conversation
from labkit.report.draw._folding import Fold, Part, folded
from labkit.report.draw._ladder_svg import WIDTH, Ladder, draw, faults_of, ladder_of
from labkit.report.draw._subject import Subject
from labkit.report.draw._svg import text_of

MAX_UNFOLDED = 1_500
"""Folded segments of a page that can be unfolded; with more, a fold names the command that draws them."""

MAX_IN_FOLD = 400
"""Segments of one fold that can be unfolded."""


def document(title: str, body: Iterable[str], scripts: Iterable[str] = ("page.js",)) -> Iterator[str]:
    """Yield the lines of a page. `body` is HTML already; `scripts` are files of this package."""
    style = f"{_svg.style()}{_file('page.css')}"
    texts = [_file(name) for name in scripts]
    digests = " ".join(f"'{_digest(text)}'" for text in texts)
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src {digests}; base-uri 'none'; form-action 'none'"
    )
    yield "<!DOCTYPE html>"
    yield f'<html lang="{language()}">'
    yield "<head>"
    yield '<meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield '<meta name="referrer" content="no-referrer">'
    yield f"<title>{text_of(title)}</title>"
    yield f"<style>{style}</style>"
    yield "</head>"
    yield "<body>"
    yield f'<a class="skip" href="#main">{text_of(_("Skip to the content"))}</a>'
    yield from body
    yield f'<footer><p class="muted">labkit {text_of(__version__)}</p></footer>'
    yield f'<aside id="inspector" aria-live="polite" aria-label="{text_of(_("Segment"))}" hidden></aside>'
    yield from (f"<script>{text}</script>" for text in texts)
    yield "</body>"
    yield "</html>"


@cache
def _file(name: str) -> str:
    return files("labkit.report.draw").joinpath(name).read_text("utf-8")


def _digest(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def tag(name: str, content: str, /, **attributes: object) -> str:
    """An element; its content is HTML already, values of attributes are escaped."""
    return _svg.element(name, content, **attributes)


def table(
    caption: str, columns: Iterable[tuple[str, str]], rows: Iterable[Iterable[str]], *, searched: bool = False
) -> Iterator[str]:
    """Yield a table. A column has a name and a class; cells are HTML already."""
    named = list(columns)
    yield f'<section class="scroll" tabindex="0" aria-label="{text_of(caption)}"><table>'
    yield f"<caption>{text_of(caption)}</caption>"
    head = "".join(tag("th", text_of(name), scope="col", class_=class_ or None) for name, class_ in named)
    yield f"<thead><tr>{head}</tr></thead>"
    yield "<tbody data-searched>" if searched else "<tbody>"
    for row in rows:
        cells = "".join(
            tag("td", cell, class_=class_ or None) for cell, (_name, class_) in zip(row, named, strict=True)
        )
        yield f"<tr>{cells}</tr>"
    yield "</tbody></table></section>"


def tools(counts: "Counter[Severity] | None" = None) -> Iterator[str]:
    """Yield the fields that filter: a search, and the severities if there are findings."""
    yield '<div class="tools" role="search">'
    yield f'<label>{text_of(_("Search"))} <input type="search" id="search" autocomplete="off"></label>'
    if counts is not None:
        yield f"<fieldset><legend>{text_of(_('Show'))}</legend>"
        # Notes are many; they are shown at once only where there is nothing graver.
        grave = any(counts[each] for each in Severity if each > Severity.NOTE)
        for severity in sorted(Severity, reverse=True):
            on = " checked" if severity > Severity.NOTE or not grave else ""
            yield (
                f'<label><input type="checkbox" data-shows="{severity}"{on}> '
                f"{text_of(aside(_(str(severity)), f'{counts[severity]:,}'))}</label>"
            )
        yield "</fieldset>"
    yield '<span id="count" class="muted" role="status"></span>'
    keys = [("/", _("search")), ("e", _("open all folds"))]
    if counts is not None:
        keys = [("j", _("next finding")), ("k", _("previous finding")), *keys]
    text = _(", ").join(f"<kbd>{key}</kbd> {text_of(what)}" for key, what in keys)
    yield f'<span class="keys muted">{text}</span>'
    yield "</div>"


class Unfolding:
    """Counts the folded segments that a page holds."""

    def __init__(self, command: str) -> None:
        self.left = MAX_UNFOLDED
        self.command = command
        """The command that draws the rest, up to its option --packets."""

    def takes(self, fold: Fold) -> bool:
        """Whether the page holds the segments of a fold; it counts them."""
        count = len(fold.arrows)
        if count > min(self.left, MAX_IN_FOLD):
            return False
        self.left -= count
        return True


def whole_ladder(subject: Subject, conversation: Conversation, unfolding: Unfolding, most: int) -> Iterator[str]:
    """Yield a conversation's ladder in pieces, with folds between them that open."""
    ladder = ladder_of(conversation, subject.names_of(conversation), subject.start, page=True)
    run: list[Part] = []
    first = True
    yield "<figure>"
    for part in [*folded(conversation, most), None]:
        if isinstance(part, Arrow):
            run.append(part)
            continue
        if run:
            yield piece(ladder, run, head=first)
            first = False
        run = []
        if part is not None:
            yield from _opening_fold(ladder, part, unfolding)
    yield "</figure>"
    for line in faults_of(conversation):
        yield tag("p", text_of(line), class_="error")


def _opening_fold(ladder: Ladder, fold: Fold, unfolding: Unfolding) -> Iterator[str]:
    summary = f'⋮ {fold}<span class="muted">{text_of(aside("", fold.details))}</span>'
    yield f'<details class="fold"><summary>{summary}</summary>'
    if unfolding.takes(fold):
        yield piece(ladder, fold.arrows, head=False)
    else:
        from labkit.report.draw._ladder_layout import move

        for arrow in fold.arrows:
            move(ladder.states, arrow)
        numbers = [arrow.number for arrow in fold.arrows if arrow.number is not None]
        if numbers:
            last = min(max(numbers), min(numbers) + 999)
            yield tag("p", tag("code", text_of(f"{unfolding.command} --packets {min(numbers)}-{last}")))
    yield "</details>"


def piece(ladder: Ladder, parts: Iterable[Part], *, head: bool) -> str:
    """Some segments of a ladder as a picture of the page."""
    shown = list(parts)
    height, drawn = draw(ladder, shown, head=head)
    numbers = [part.number for part in shown if isinstance(part, Arrow) and part.number is not None]
    title = _("segments")
    if numbers:
        title = _("packets {first} to {last}").format(first=min(numbers), last=max(numbers))
    return _svg.inline(WIDTH, height, drawn, title=title)


class Drawing(NamedTuple):
    """A picture that is one drawing."""

    title: str
    caption: str
    """What stands below it on a page."""
    width: float
    height: float
    parts: Iterable[str]
    """Elements of SVG."""


def drawing_formats(drawn: Callable[[Subject, DrawOptions], Drawing]) -> dict[str, Draw]:
    """The formats `svg` and `html` of a picture that is one drawing."""

    def svg(subject: Subject, options: DrawOptions) -> Iterator[str]:
        title, _caption, width, height, parts = drawn(subject, options)
        yield _svg.document(width, height, parts, title=title, style=_svg.style())

    def html(subject: Subject, options: DrawOptions) -> Iterator[str]:
        title, caption, width, height, parts = drawn(subject, options)
        picture = _svg.inline(width, height, parts, title=caption)
        # A picture is wider than a narrow window: the keyboard moves it too.
        figure = tag("figure", f"{picture}{tag('figcaption', text_of(caption))}", tabindex=0)
        heading = tag("h1", text_of(subject.title))
        yield from document(title, [f'<header>{heading}</header><main id="main">', figure, "</main>"])

    return {"svg": svg, "html": html}
