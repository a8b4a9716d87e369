"""The command line of `scripts/bench`."""

import argparse
import sys
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

import bench_page
from bench_parts import Bench
from bench_quiet import Quiet
from bench_run import FailedError, say
from bench_tools import machine, versions

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"


def main() -> int:
    """Measure, print, write the page."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measure labkit and other programs.")
    parser.add_argument("--quick", action="store_true", help="use small captures and few runs; do not write the page")
    parser.add_argument(
        "--only", action="append", choices=list(bench_page.SECTIONS), help="measure one part; do not write the page"
    )
    parser.add_argument("--runs", type=int, help="runs of each command")
    parser.add_argument("--page", help="write the page to this file; - only prints")
    parser.add_argument("--folder", help="keep the captures in this folder")
    parser.add_argument("--wheel", metavar="FILE", help="a wheel of labkit (scripts/wheel), for the part targets")
    parser.add_argument(
        "--before", metavar="FOLDER", help="a checkout of an earlier version, to compare with in that part"
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=0,
        metavar="SECONDS",
        help="so long for each row, that part waits for a quiet machine, and measures again what was disturbed",
    )
    parser.add_argument("--from", dest="start", default=".", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    runs = asked.runs or (2 if asked.quick else 5)
    wanted = asked.only or list(bench_page.SECTIONS)
    target = asked.page or ("-" if asked.quick or asked.only else str(PAGE))
    with (
        nullcontext(str(Path(asked.start, asked.folder).resolve()))
        if asked.folder
        else TemporaryDirectory(prefix="bench-") as folder
    ):
        Path(folder).mkdir(parents=True, exist_ok=True)
        wheel, before = (Path(asked.start, each).resolve() if each else None for each in (asked.wheel, asked.before))
        quiet = Quiet(asked.patience)
        bench = Bench(Path(folder), asked.quick, runs, wheel, before, quiet)
        try:
            bench.warm_up()
            parts = {name: bench_page.SECTIONS[name].part(bench) for name in wanted}
        except FailedError as error:
            say(str(error))
            return 1
    text = bench_page.page(parts, machine(), versions(), runs, bench.spread, asked.quick, quiet)
    print(text, end="")
    if target != "-":
        Path(asked.start, target).write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
