"""The measurements: reading captures, growth, building, many small captures, simulation, the relay. Each runs once."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import bench_browser
import bench_captures
import bench_live
from bench_captures import LABKIT, Capture, Captures
from bench_quiet import Quiet
from bench_run import FailedError, Measured, Run, climb, in_turn, joined, run, say
from bench_targets import Shares, Target, Targets
from bench_tools import SCAPY_WRITE, SIMULATE, Tool, tools, verify

PAGES = {
    "labkit verify --format html": ["verify", "--format", "html"],
    "labkit show --format html": ["show", "--format", "html"],
    "labkit draw --format html": ["draw", "--format", "html"],
    "labkit draw --what time-sequence": ["draw", "--what", "time-sequence", "--format", "html"],
}
"""The commands that make pages."""

KINDS = ("small", "full", "lossy", "one", "flows")


@dataclass(frozen=True)
class Reading:
    """The measurements of all tools on one capture."""

    capture: Capture
    by_tool: dict[str, Measured]
    failed: tuple[str, ...] = ()
    """Tools that cannot read it."""


@dataclass(frozen=True)
class Page:
    """A page of a capture."""

    command: str
    capture: Capture
    verified: Measured
    made: Measured
    size: int
    """Octets."""
    drawn: tuple[float, float] | None
    """Seconds until Chromium has drawn it, and that a zoom takes at most; None without Chromium."""


class Bench:
    """All measurements, for one folder of captures."""

    def __init__(
        self,
        folder: Path,
        quick: bool,
        runs: int,
        wheel: Path | None = None,
        before: Path | None = None,
        quiet: Quiet | None = None,
    ) -> None:
        self.captures = Captures(folder, quick)
        self.folder, self.quick, self.runs = folder, quick, runs
        self.tools = [tool for tool in tools(folder) if _installed(tool)]
        self.spread = 1.0
        """The largest ratio of a command's longest run to its shortest: 1 on a quiet machine."""
        self.reading = cache(self._reading)
        self.real = cache(self._real)
        self.growth = cache(self._growth)
        self.cold = cache(self._cold)
        self.building = cache(self._building)
        self.many = cache(self._many)
        self.simulation = cache(self._simulation)
        self.pages = cache(self._pages)
        self.live = cache(self._live)
        self._targets = Targets(self.captures, folder, runs, wheel, before, quiet or Quiet(0))
        self.targets: Callable[[], list[Target]] = cache(self._targets.rows)
        self.shares: Callable[[], Shares] = cache(self._targets.shares)

    def warm_up(self) -> None:
        """Compile the engine before anything is measured."""
        for number in (1_000, 60_000):
            run(verify(self.captures.of(f"packets-{number}").path), (0, 1))

    def _reading(self, kind: str) -> Reading:
        """All tools on a capture that labkit builds."""
        return self._on(self.captures.of(kind))

    def _real(self) -> Reading | None:
        """All tools on the largest real capture; None without one."""
        capture = self.captures.largest()
        return None if capture is None else self._on(capture)

    def _on(self, capture: Capture) -> Reading:
        """All tools on a capture; slow ones get only its first packets."""
        # With fewer packets, the start-up time of a program would weigh too much.
        fewest = 10_000 if self.quick else 100_000
        steps = [size for size in (fewest, 1_000_000) if size < capture.packets]
        sizes: dict[str, int] = {}
        commands: dict[str, Callable[[], Run]] = {}
        failed = []
        for tool in self.tools:
            say(f"{capture.what}: {tool.name}")

            def read(size: int, tool: Tool = tool) -> Run:
                return self._read(tool, capture, size)

            try:
                size = climb([*steps, capture.packets], lambda size, read=read: read(size).wall)  # type: ignore[misc]
            except FailedError as error:
                say(str(error))
                failed.append(tool.name)
                continue
            sizes[tool.name] = size
            commands[tool.name] = partial(read, size)
        runs = in_turn(commands, self.runs)
        found = {name: Measured(sizes[name], each) for name, each in runs.items()}
        self.spread = max([self.spread, *(each.spread for each in found.values())])
        return Reading(capture, found, tuple(failed))

    def _read(self, tool: Tool, capture: Capture, packets: int) -> Run:
        return run(tool.command(self.captures.slice(capture, packets).path), tool.expected)

    def _growth(self) -> list[tuple[Capture, Measured]]:
        """labkit on captures of 10**3 to 10**7 packets."""
        found = []
        for exponent in range(3, 6 if self.quick else 8):
            capture = self.captures.of(f"packets-{10**exponent}")
            say(f"growth: {capture.packets} packets")
            first = run(verify(capture.path), (0, 1))
            times = 1 if first.wall > 60 else self.runs
            runs = [first, *(run(verify(capture.path), (0, 1)) for _ in range(times - 1))]
            found.append((capture, Measured(capture.packets, tuple(runs))))
        return found

    def _cold(self) -> dict[str, Measured]:
        """A capture of 20 packets: mostly start-up time."""
        say("20 packets")
        path = self.captures.slice(self.captures.of("packets-1000"), 20).path
        commands: dict[str, Callable[[], Run]] = {"labkit": lambda: run([*LABKIT, "verify", str(path)], (0, 1))}
        if shutil.which("tshark"):
            commands["tshark"] = lambda: run(["tshark", "-r", str(path)])
        return {name: Measured(20, runs) for name, runs in in_turn(commands, 3 * self.runs).items()}

    def _building(self) -> list[tuple[str, Measured]]:
        """`labkit build --flows`, and Scapy's `wrpcap` of existing packets."""
        target = self.folder / "built.pcap"
        sizes = (10_000, 100_000) if self.quick else (10_000, 100_000, 1_000_000, 10_000_000)
        found = []
        for size in sizes:
            say(f"building {size} packets")
            command = [*LABKIT, "build", "document", "--flows", str(size // 10), "-o", str(target)]
            runs = tuple(_anew(target, command) for _ in range(self.runs))
            found.append(("labkit build --flows", Measured(size, runs)))
        size = 2_000 if self.quick else 10_000
        runs = tuple(
            _timed_within([sys.executable, "-c", SCAPY_WRITE, str(size), str(target)])[0] for _ in range(self.runs)
        )
        found.append(("Scapy wrpcap", Measured(size, runs)))
        target.unlink()
        return found

    def _many(self) -> dict[str, Measured]:
        """A thousand small captures, and one tshark process for each of a sample."""
        number = 100 if self.quick else 1_000
        paths = self.captures.handful(number)
        say(f"{number} small captures")
        folder = str(paths[0].parent)
        commands: dict[str, Callable[[], Run]] = {
            "labkit verify": lambda: run([*LABKIT, "verify", folder], (0, 1)),
            "labkit verify --jobs 2": lambda: run([*LABKIT, "verify", folder, "--jobs", "2"], (0, 1)),
        }
        found = {name: Measured(number, runs) for name, runs in in_turn(commands, self.runs).items()}
        if shutil.which("tshark"):
            some = paths[:: max(1, number // 20)]
            say(f"{len(some)} of them by tshark")
            found["tshark for each"] = _for_each([["tshark", "-r", str(path)] for path in some])
        return found

    def _simulation(self) -> list[tuple[str, int, float]]:
        """Simulated scenarios: description, segments, and seconds of processor time for 100,000 segments."""
        found = []
        plays = (
            ("requests and replies", bench_captures.SMALL, 200),
            ("downloads of full-size segments", bench_captures.FULL, 60),
            ("downloads with 1 % loss, SACK and timestamps", bench_captures.LOSSY, 40),
            ("one conversation", bench_captures.ONE.format(octets=6_000_000), 1),
        )
        for what, scenario, times in plays:
            say(f"simulation: {what}")
            path = self.folder / "simulated.yaml"
            path.write_text(scenario)
            command = [sys.executable, "-c", SIMULATE, str(path), str(max(1, times // 10) if self.quick else times)]
            outcomes = [list(map(float, _output(command))) for _ in range(self.runs)]
            seconds, segments = sorted(outcomes)[len(outcomes) // 2]
            found.append((what, int(segments), seconds / segments * 100_000))
        return found

    def _pages(self) -> list[Page]:
        """Pages of the largest real capture, and of a conversation of a million packets."""
        found = []
        with bench_browser.chromium() as session:
            for capture in filter(None, (self.captures.largest(), self.captures.of("long"))):
                say(f"pages of {capture.what}")
                commands: dict[str, Callable[[], Run]] = {"": partial(run, verify(capture.path), (0, 1))}
                for name, words in PAGES.items():
                    commands[name] = partial(run, [*LABKIT, *words, str(capture.path)], (0, 1))
                runs = in_turn(commands, self.runs)
                for name, words in PAGES.items():
                    page = self.folder / "page.html"
                    with page.open("wb") as file:
                        subprocess.run(
                            [*LABKIT, *words, str(capture.path)], stdout=file, stderr=subprocess.DEVNULL, check=False
                        )
                    drawn = bench_browser.drawn(session, page, self.runs) if session is not None else None
                    measured = (Measured(capture.packets, runs[each]) for each in ("", name))
                    found.append(Page(name, capture, *measured, page.stat().st_size, drawn))
        return found

    def _live(self) -> list[bench_live.Figure]:
        """The cost of the relay. LinkError if labkit cannot make a lab."""
        say("the relay")
        return list(bench_live.figures(0.2, 100) if self.quick else bench_live.figures())


def _installed(tool: Tool) -> bool:
    command = tool.command(Path("x"))
    if "-c" in command:
        name = tool.name.lower()
        return (
            subprocess.run([sys.executable, "-c", f"import {name}"], capture_output=True, check=False).returncode == 0
        )
    return shutil.which(command[0]) is not None


def _anew(target: Path, command: Sequence[str]) -> Run:
    """Run a command that writes `target`, which does not exist before."""
    target.unlink(missing_ok=True)
    return run(command)


def _output(command: Sequence[str]) -> list[str]:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def _timed_within(command: Sequence[str]) -> tuple[Run, list[str]]:
    """Run a program that prints its own time."""
    words = _output(command)
    return Run(float(words[0]), float(words[0]), 0, 0), words


def _for_each(commands: Sequence[Sequence[str]]) -> Measured:
    runs = [run(command, (0, 2)) for command in commands]
    return Measured(len(runs), (joined(runs),))
