"""Feedback for students as text and HTML, and the page of the whole class for teaching assistants.

Every text of a hand-in is escaped; the pages load nothing and run nothing.
"""

from collections.abc import Iterator
from html import escape

from labkit.i18n import _, aside, listed, printable
from labkit.teach.grade.classroom import Grades, Row
from labkit.teach.grade.table import mend_of, remarks_of
from labkit.teach.grade.task import ANSWERS, Mistake, Result, points_text
from labkit.teach.html import page

STYLE = """\
body{font:15px/1.45 system-ui,sans-serif;margin:1.5rem auto;padding:0 1rem;max-width:96rem;color:#111;background:#fff}
table{border-collapse:collapse;width:100%}td,th{border:1px solid #999;padding:.25rem .5rem;text-align:left;vertical-align:top}
th{background:#eee}.n{text-align:right;white-space:nowrap}.full{background:#e2f2e2}.none{background:#f8e0e0}
details{margin:.3rem 0}summary{cursor:pointer}code{background:#eee;padding:0 .2em}.wide{overflow-x:auto}
.wide td:nth-last-child(2){min-width:22rem}
@media(prefers-color-scheme:dark){body{color:#eee;background:#111}th,code{background:#333}.full{background:#1d3b1d}
.none{background:#4a2020}}
@media print{body{max-width:none;color:#000;background:#fff}}"""


def mistake_lines(mistake: Mistake, reveal: str) -> Iterator[str]:
    """A mistake in as many lines as the assignment reveals."""
    place = _("packet {n}: ").format(n=mistake.packet) if mistake.packet is not None else ""
    if reveal == "actual":
        yield f"{place}{mistake.hint or mistake.what}"
        return
    code = f" [{mistake.code}]" if mistake.code else ""
    yield f"{place}{mistake.what}{code}"
    yield from (each for each in (mistake.should_be, mistake.receiver, mistake.mend) if each)


def part_reason(result: Result, at: int) -> str:
    """Why a part has its points, as far as the assignment reveals it."""
    part, reveal = result.parts[at], result.task.reveal
    if reveal == "full" or part.passed or not result.was_read:
        return part.reason
    if reveal == "points":
        return ""
    hints = [next(mistake_lines(each, reveal)) for each in result.mistakes if each.part == part.name]
    return _("; ").join(hints)


def feedback(result: Result) -> Iterator[str]:
    """The feedback for one hand-in, line by line."""
    task = result.task
    yield task.title or task.name
    yield ""
    yield _("{points} of {of} points").format(points=points_text(result.points), of=points_text(result.of))
    if result.file:
        yield _("file: {file}").format(file=result.file)
    if result.conversation:
        yield _("conversation: {name}").format(name=result.conversation)
    yield ""
    if not result.was_read:
        yield from (line for each in result.mistakes for line in mistake_lines(each, "full"))
        return
    for at, part in enumerate(result.parts):
        reason = part_reason(result, at)
        line = f"{points_text(part.points)}/{points_text(part.of)}  {part.name}"
        yield f"{line}{_(': ')}{printable(reason)}" if reason else line
    if result.mistakes and task.reveal != "points" and task.kind != ANSWERS:
        yield ""
        yield _("What to mend, the first mistake first:")
        for each in sorted(result.mistakes, key=lambda each: each.packet or 1 << 40):
            first, *more = map(printable, mistake_lines(each, task.reveal))
            yield f"- {first}"
            yield from (f"  {line}" for line in more)
    if result.notes:
        yield ""
        yield from (f"{_('Note')}{_(': ')}{printable(note)}" for note in result.notes)


def feedback_html(result: Result) -> str:
    """The feedback for one hand-in as a page."""
    return page(result.task.title or result.task.name, "\n".join(_feedback(result)), STYLE)


def fragment(result: Result) -> str:
    """The same without a page around it, and without styles, for a platform that sanitizes HTML."""
    return "\n".join(_feedback(result))


def _feedback(result: Result) -> Iterator[str]:
    task = result.task
    yield f"<h1>{_html(task.title or task.name)}</h1>"
    points = _("{points} of {of} points").format(points=points_text(result.points), of=points_text(result.of))
    about = _(", ").join(filter(None, (result.file, result.conversation)))
    yield f"<p><strong>{points}</strong>{_html(aside('', about)) if about else ''}</p>"
    if not result.was_read:
        for each in result.mistakes:
            yield "<p>" + "<br>".join(map(_html, mistake_lines(each, "full"))) + "</p>"
        return
    yield f"<table><thead><tr><th>{_('part')}</th><th>{_('points')}</th><th>{_('why')}</th></tr></thead><tbody>"
    for at, part in enumerate(result.parts):
        share = f"{points_text(part.points)}/{points_text(part.of)}"
        kind = "full" if part.passed else "none" if part.points <= 0 else ""
        yield (
            f'<tr class="{kind}"><td>{_html(part.name)}</td><td class="n">{share}</td>'
            f"<td>{_html(part_reason(result, at))}</td></tr>"
        )
    yield "</tbody></table>"
    if result.mistakes and task.reveal != "points" and task.kind != ANSWERS:
        yield f"<h2>{_('What to mend')}</h2><ul>"
        for each in sorted(result.mistakes, key=lambda each: each.packet or 1 << 40):
            yield "<li>" + "<br>".join(map(_html, mistake_lines(each, task.reveal))) + "</li>"
        yield "</ul>"
    for note in result.notes:
        yield f"<p>{_html(note)}</p>"


def class_page(grades: Grades) -> str:
    """The page for teaching assistants: the table, what a person should look at, and each student's feedback."""
    return page(grades.task.title or grades.task.name, "\n".join(_class(grades)), STYLE)


def _class(grades: Grades) -> Iterator[str]:
    yield f"<h1>{_html(grades.task.title or grades.task.name)}</h1>"
    if grades.remarks or grades.strangers:
        yield f"<h2>{_('For a person to judge')}</h2><ul>"
        for each in grades.remarks:
            yield f"<li><strong>{_html(listed(each.students))}</strong>{_(': ')}{_html(each.evidence)}</li>"
        for text in grades.strangers:
            yield f"<li>{_('not on the roster')}{_(': ')}{_html(text)}</li>"
        yield "</ul>"
    yield f'<h2>{_("Points")}</h2><div class="wide"><table><thead><tr>'
    head = [
        _("student"),
        _("name"),
        _("points"),
        *(part.name for part in grades.task.parts),
        _("first error"),
        _("remarks"),
    ]
    yield "".join(f"<th>{_html(each)}</th>" for each in head) + "</tr></thead><tbody>"
    for number, row in enumerate(grades.rows, 1):
        yield _table_row(number, row, grades)
    yield f"</tbody></table></div><h2>{_('Feedback')}</h2>"
    for number, row in enumerate(grades.rows, 1):
        inner = "\n".join(_feedback(row.result)).replace("<h1>", "<h3>").replace("</h1>", "</h3>")
        yield f'<details id="s{number}"><summary>{_html(f"{row.student} {row.name}".strip())}</summary>{inner}</details>'


def _table_row(number: int, row: Row, grades: Grades) -> str:
    result, first = row.result, row.result.first
    kind = "full" if result.points >= result.of else "none" if not result.points else ""
    cells = [f'<td><a href="#s{number}">{_html(row.student)}</a></td>', f"<td>{_html(row.name)}</td>"]
    cells.append(f'<td class="n">{points_text(result.points)}/{points_text(result.of)}</td>')
    shares = [f"{points_text(part.points)}/{points_text(part.of)}" for part in result.parts]
    titles = [_html(part.reason) for part in result.parts]
    cells += [f'<td class="n" title="{title}">{share}</td>' for title, share in zip(titles, shares, strict=True)]
    error = ""
    if first is not None:
        place = _("packet {n}: ").format(n=first.packet) if first.packet is not None else ""
        error = "<br>".join(_html(each) for each in (f"{place}{first.what}", mend_of(first)) if each)
    remarks = _("; ").join([*result.notes, *remarks_of(grades, row.student, evidence=False)])
    cells += [f"<td>{error}</td>", f"<td>{_html(remarks)}</td>"]
    return f'<tr class="{kind}">{"".join(cells)}</tr>'


def _html(text: str) -> str:
    return escape(printable(text))
