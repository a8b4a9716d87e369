"""Axes and curves as SVG. Where many values fall on one column of the picture, their least and greatest are drawn."""

import math
from collections.abc import Iterable, Iterator, Sequence

from labkit.i18n import width
from labkit.report.draw import _svg

WIDTH, HEIGHT = 1040.0, 520.0
LEFT, RIGHT, TOP, BOTTOM = 92.0, 20.0, 46.0, 48.0

COLUMNS = 1200
"""Columns of a picture that are told apart."""

TICKS = 8


class Axes:
    """The axes of one plot, `top` below the upper edge of the picture."""

    def __init__(
        self, times: tuple[int, int], values: tuple[float, float], top: float = 0.0, height: float = HEIGHT
    ) -> None:
        self.times = times if times[1] > times[0] else (times[0], times[0] + 1)
        self.values = values if values[1] > values[0] else (values[0], values[0] + 1)
        self.top, self.height = top + TOP, height - TOP - BOTTOM

    def x(self, time: float) -> float:
        """The place of a time."""
        first, last = self.times
        return LEFT + (time - first) * (WIDTH - LEFT - RIGHT) / (last - first)

    def y(self, value: float) -> float:
        """The height of a value."""
        low, high = self.values
        return self.top + self.height - (value - low) * self.height / (high - low)

    def column(self, time: int) -> int:
        """The column of a time."""
        first, last = self.times
        return (time - first) * COLUMNS // (last - first + 1)

    def draw(self, title: str, across: str, upwards: str, unit: float = 1.0) -> Iterator[str]:
        """Yield the frame, the ticks and their values; `unit` divides values for their labels."""
        bottom = self.top + self.height
        yield _svg.label(LEFT, self.top - 24, title, "ink title")
        yield _svg.label(LEFT, self.top - 8, upwards, "muted small")
        yield _svg.label(WIDTH - RIGHT, bottom + 38, across, "muted small", anchor="end")
        for value in ticks(self.values[0] / unit, self.values[1] / unit):
            y = self.y(value * unit)
            yield _svg.path(((LEFT, y), (WIDTH - RIGHT, y)), class_="thin line-line")
            yield _svg.label(LEFT - 8, y + 4, f"{value:,.10g}", "muted small", anchor="end")
        for value in ticks(self.times[0] / 1e9, self.times[1] / 1e9):
            x = self.x(value * 1e9)
            yield _svg.path(((x, bottom), (x, bottom + 5)), class_="thin muted-line")
            yield _svg.label(x, bottom + 19, f"{value:,.10g}", "muted small", anchor="middle")
        yield _svg.path(((LEFT, self.top), (LEFT, bottom), (WIDTH - RIGHT, bottom)), class_="thin muted-line")

    def legend(self, entries: Sequence[tuple[str, str]]) -> Iterator[str]:
        """Yield what the lines are, each in its colour, at the upper right."""
        x = WIDTH - RIGHT
        for text, colour in reversed(entries):
            yield _svg.label(x, self.top - 8, text, f"{colour} small strong", anchor="end")
            x -= 7.6 * width(text) + 14

    def line(self, points: Sequence[tuple[int, int]], class_: str, *, steps: bool = False) -> str:
        """A curve through points; as steps, a value holds until the next one."""
        places: list[tuple[float, float]] = []
        for time, value in reduced(self, points):
            if steps and places:
                places.append((self.x(time), places[-1][1]))
            places.append((self.x(time), self.y(value)))
        if steps and places:
            places.append((self.x(self.times[1]), places[-1][1]))
        return _svg.path(places, class_=class_) if places else ""


def reduced(axes: Axes, points: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Points in the order of time, of each column the first, the least, the greatest and the last."""
    held: list[tuple[int, int]] = []
    column = -1
    for point in points:
        at = axes.column(point[0])
        if at != column:
            yield from _extremes(held)
            held, column = [], at
        held.append(point)
    yield from _extremes(held)


def _extremes(points: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    if len(points) <= 4:
        yield from points
        return
    places = {0, len(points) - 1}
    places.add(min(range(len(points)), key=lambda at: points[at][1]))
    places.add(max(range(len(points)), key=lambda at: points[at][1]))
    yield from (points[at] for at in sorted(places))


def ticks(low: float, high: float) -> list[float]:
    """Round values from `low` to `high`, about TICKS of them."""
    rough = (high - low) / TICKS
    if rough <= 0:
        return [low]
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(each * power for each in (1, 2, 5, 10) if each * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(each * step, 12) for each in range(first, last + 1)]
