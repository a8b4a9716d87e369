"""What the pictures of one value over time share: a plot for each direction that carries payload."""

from collections.abc import Callable, Iterator

from labkit.i18n import _
from labkit.report.draw import DrawOptions, _plot, _svg
from labkit.report.draw._curves_page import curve_points, curves_page
from labkit.report.draw._series import Curve, Direction
from labkit.report.draw._subject import Subject
from labkit.report.draw.time_sequence import directions, span_of

Draw = Callable[[Subject, DrawOptions], Iterator[str]]


def formats(
    what: str,
    curve: Callable[[Direction], Curve],
    upwards: str,
    unit: float,
    *,
    steps: bool,
    beside: tuple[str, Callable[[Direction], Curve]] | None = None,
) -> dict[str, Draw]:
    """The formats of a picture. `what` names it; `upwards` names the values, which `unit` divides. Both are message ids.

    `beside` is a second curve with its name; it is drawn where it has values.
    """

    def svg(subject: Subject, options: DrawOptions) -> Iterator[str]:  # noqa: ARG001 - every picture takes options
        parts: list[str] = []
        top = 0.0
        found = directions(subject)
        span = span_of(found)
        for direction in found:
            points = curve_points(curve(direction))
            if not points or not direction.marks:
                continue
            other = curve_points(beside[1](direction)) if beside is not None else []
            highest = max(value for _time, value in [*points, *other])
            axes = _plot.Axes(span, (0, highest * 1.05), top, HEIGHT)
            parts += axes.draw(
                f"{_(what)}{_(': ')}{direction.source} → {direction.target}", _("seconds"), _(upwards), unit
            )
            parts.append(axes.line(points, "arrow data-line", steps=steps))
            if beside is not None and other:
                parts.append(axes.line(other, "arrow warning-line dashed", steps=steps))
                parts += axes.legend(((_(what), "data"), (_(beside[0]), "warning")))
            top += HEIGHT + 24
        if not parts:
            parts.append(_svg.label(8, 24, subject.nothing, "muted"))
        title = _("{name}: {what}").format(name=subject.title, what=_(what))
        yield _svg.document(_plot.WIDTH, max(top, 40), parts, title=title, style=_svg.style())

    def html(subject: Subject, options: DrawOptions) -> Iterator[str]:  # noqa: ARG001 - every picture takes options
        yield from curves_page(subject, directions(subject))

    return {"svg": svg, "html": html}


HEIGHT = 340.0
