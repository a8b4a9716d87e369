"""Pages in Chromium: how long it takes to draw them, and to zoom curves. The browser's helper is that of the tests."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

TESTS = str(Path(__file__).resolve().parents[2] / "tests")

DRAW = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done));"
"""Ends when the frame after the next one begins, so that the next one is painted."""

ZOOM = """
const done = arguments[0], canvas = document.querySelector('canvas'), found = [];
if (!canvas) return done(found);
const keys = [...'++++++++'].concat(Array(8).fill('ArrowRight'), [...'--------0']);
function step() {
    if (!keys.length) return done(found);
    const begin = performance.now();
    canvas.dispatchEvent(new KeyboardEvent('keydown', {key: keys.shift()}));
    requestAnimationFrame(() => requestAnimationFrame(() => { found.push((performance.now() - begin) / 1000); step(); }));
}
step();
"""
"""Zooms in, moves and zooms out by keys; gives the seconds from each key to the painted plots."""


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser; None where Chromium or ChromeDriver is not installed."""
    sys.path.insert(0, TESTS)
    try:
        from chromium import CHROMIUM, DRIVER, browser
    finally:
        sys.path.remove(TESTS)
    if not (CHROMIUM and DRIVER):
        yield None
        return
    with browser() as session:
        yield session


def drawn(session: Any, page: Path, runs: int) -> tuple[float, float]:
    """Seconds: from the address to the drawn page, the median; from a key to the zoomed plots, the longest, 0 without plots."""
    times, zooms = [], [0.0]
    for _ in range(runs):
        begin = perf_counter()
        session.open(page)
        session.run_async(DRAW)
        times.append(perf_counter() - begin)
        zooms += session.run_async(ZOOM)
    return median(times), max(zooms)
