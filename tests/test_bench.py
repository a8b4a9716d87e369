"""`scripts/bench`: how it measures, what it decides, and the page that it writes."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from labkit import verify
from labkit.analysis.severity import Severity
from labkit.build.scenario import Scenario
from labkit.errors import LinkError

TOP = Path(__file__).parents[1]
LIB = str(TOP / "scripts" / "lib")


@pytest.fixture(scope="module", autouse=True)
def _scripts() -> Iterator[None]:
    sys.path.insert(0, LIB)
    yield
    sys.path.remove(LIB)


def module(name: str) -> ModuleType:
    return import_module(name)


# How it measures.


def test_a_process_is_measured() -> None:
    code = "octets = bytearray(80_000_000); sum(range(3_000_000)); print('x' * 100_000)"
    found = module("bench_run").run([sys.executable, "-c", code])
    assert found.code == 0
    assert found.peak > 80_000_000
    assert found.cpu > 0
    assert found.wall > 0
    assert module("bench_run").run([sys.executable, "-c", "raise SystemExit(1)"], (0, 1)).code == 1


def test_a_small_process_is_not_as_large_as_its_parent() -> None:
    held = bytearray(100_000_000)
    held[::4096] = b"x" * len(held[::4096])
    found = module("bench_run").run(["sleep", "0.2"])
    assert 0 < found.peak < 50_000_000


def test_a_program_that_fails_is_no_measurement() -> None:
    with pytest.raises(module("bench_run").FailedError, match=r"ended with 3: no$"):
        module("bench_run").run([sys.executable, "-c", "import sys; print('no', file=sys.stderr); sys.exit(3)"])


@pytest.mark.parametrize(
    ("each", "start", "chosen"),
    [
        (1e-6, 0.0, 5_000_000),
        (1e-6, 0.5, 5_000_000),  # 1 s at a million: the start counts once
        (1e-5, 0.0, 100_000),
        (1e-5, 0.9, 10_000),  # a start of 0.9 s may be all that there is, but nobody knows
        (3e-4, 0.0, 10_000),
        (9.0, 0.0, 10_000),
    ],
)
def test_as_many_packets_as_can_be_waited_for(each: float, start: float, chosen: int) -> None:
    sizes = [10_000, 100_000, 1_000_000, 5_000_000]
    assert module("bench_run").climb(sizes, lambda size: start + size * each, patience=8.0) == chosen
    assert module("bench_run").climb([7], lambda _size: 99.0, patience=8.0) == 7


def test_programs_take_turns() -> None:
    seen: list[str] = []

    def command(name: str) -> Callable[[], object]:
        return lambda: seen.append(name)

    found = module("bench_run").in_turn({name: command(name) for name in "ab"}, 3)
    assert "".join(seen) == "ababab"
    assert {name: len(each) for name, each in found.items()} == {"a": 3, "b": 3}


@pytest.mark.parametrize(
    ("patience", "seconds", "taken", "worst", "again"),
    [
        (60, [1.0, 1.0], "a", 1.0, 0),
        (60, [1.0, 1.09], "a", 1.09, 0),
        (60, [1.0, 2.0, 2.0, 1.2, 1.1, 1.05], "b", 1.1, 1),  # disturbed, waited for, quiet
        (60, [1.0, 0.5, 0.5, 0.5], "b", 1.0, 1),  # the first look was no quiet one
        (1e-9, [1.0, 2.0], "a", 2.0, 0),  # no time is left
        (0, [], "a", 1.0, 0),
    ],
)
def test_a_turn_beside_which_the_machine_is_not_quiet_is_taken_again(
    patience: float, seconds: list[float], taken: str, worst: float, again: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = module("bench_quiet")
    for name, value in (("PROBES", 1), ("FIRST_PROBES", 1), ("PAUSE", 0)):
        monkeypatch.setattr(quiet, name, value)
    looks, turns, prepared = iter(seconds), iter("abc"), iter("abc")
    waiting = quiet.Quiet(patience, lambda: next(looks))
    waiting.renew()
    assert waiting.measure(lambda: next(turns), lambda: next(prepared)) == taken
    assert next(prepared) == next(turns)  # once before each
    assert (waiting.worst, waiting.again, next(looks, None)) == (pytest.approx(worst), again, None)


def test_the_work_that_tells_whether_the_machine_is_quiet() -> None:
    assert module("bench_quiet").work() > 0


def measured(units: int, *walls: float, peak: int = 50_000_000) -> object:
    run = module("bench_run")
    return run.Measured(units, tuple(run.Run(wall, wall, peak + place, 0) for place, wall in enumerate(walls)))


def test_the_median_counts() -> None:
    found = measured(10, 1.0, 9.0, 2.0)
    assert (found.wall, found.each, found.peak, found.spread) == (2.0, 0.2, 50_000_002, 9.0)


# What it measures on.


@pytest.mark.parametrize("name", ["SMALL", "FULL", "LOSSY", "ONE", "LONG", "FLOOD"])
def test_its_scenarios_are_what_they_are_called(name: str) -> None:
    captures = module("bench_captures")
    text = getattr(captures, name)
    trace = Scenario.parse(text.format(octets=50_000) if name in ("ONE", "LONG") else text).play(1)
    sizes = [len(record.segment.payload) for record in trace]
    lost = [record for record in trace if not record.arrived]
    expected = {
        "SMALL": 0 < max(sizes) <= 200,
        "FULL": sizes.count(1460) > 100,
        "LOSSY": bool(lost) and all(record.segment.options for record in trace),
        "ONE": len(trace.connections) == 1 and max(sizes) == 536,
        "LONG": len(trace.connections) == 1 and max(sizes) == 256,
        "FLOOD": len(trace) == 3 and max(sizes) == 0,
    }
    assert expected[name]


def test_captures_are_built_once_and_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TOP))
    captures = module("bench_captures").Captures(tmp_path, quick=True)
    found = captures.of("packets-1000")
    assert 800 < found.packets < 1_200
    before = found.path.stat().st_mtime_ns
    assert captures.of("packets-1000") == found
    assert found.path.stat().st_mtime_ns == before
    verdict = verify(found.path)
    assert verdict.packets == found.packets
    assert verdict.passes(Severity.WARNING)
    part = captures.slice(found, 20)
    assert verify(part.path).packets == part.packets == 20
    assert captures.slice(found, found.packets) == found


def test_a_tool_that_cannot_read_a_capture_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TOP))
    parts, tools = module("bench_parts"), module("bench_tools")
    bench = parts.Bench(tmp_path, quick=True, runs=2)
    bench.tools = [
        tools.Tool("good", "", lambda path: [sys.executable, "-c", "import sys; open(sys.argv[1])", str(path)]),
        tools.Tool("bad", "", lambda _path: [sys.executable, "-c", "raise SystemExit(5)"]),
    ]
    found = bench.reading("packets-1000")
    assert list(found.by_tool) == ["good"]
    assert len(found.by_tool["good"].runs) == 2
    assert found.failed == ("bad",)
    assert "Programs that could not read it: bad." in module("bench_page")._reading(
        parts.Reading(found.capture, {"labkit": found.by_tool["good"]}, found.failed)
    )


def test_the_largest_real_capture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    captures = module("bench_captures").Captures(tmp_path / "work", quick=True)
    captures.folder.mkdir()
    monkeypatch.delenv("LABKIT_CAPTURES", raising=False)
    assert captures.largest() is None
    folder = tmp_path / "real"
    folder.mkdir()
    monkeypatch.setenv("LABKIT_CAPTURES", str(folder))
    assert captures.largest() is None
    (folder / "notes").write_text("x" * 100_000)
    Scenario.load("document").play().write(folder / "small.pcapng")
    Scenario.load("slow-start").play().write(folder / "large.pcapng")
    found = captures.largest()
    assert found.packets == len(Scenario.load("slow-start").play())
    assert found.path.read_bytes()[:4] == bytes.fromhex("4d3cb2a1")


# The page.


@dataclass
class Fake:
    """Measurements that nobody has made."""

    fast: bool
    others: bool = True

    def reading(self, kind: str) -> object:
        return self._on(module("bench_captures").Capture(kind, f"what {kind} is", Path(__file__), 5_000_000))

    def real(self) -> object:
        return self.reading("real") if self.others else None

    def _on(self, capture: object) -> object:
        ours = measured(5_000_000, 1.5 if self.fast else 150.0)
        others = {
            "tcpdump": measured(5_000_000, 2.0),
            "tcptrace": measured(5_000_000, 3.0),
            "tshark": measured(10_000, 1.0),
        }
        return module("bench_parts").Reading(capture, {"labkit": ours, **(others if self.others else {})})

    def cold(self) -> dict[str, object]:
        return {"labkit": measured(20, 0.1), **({"tshark": measured(20, 0.4)} if self.others else {})}

    def building(self) -> list[tuple[str, object]]:
        return [
            ("labkit build --flows", measured(1_000_000, 0.9 if self.fast else 9.0)),
            ("labkit build --flows", measured(10_000_000, 4.0)),
            ("Scapy wrpcap", measured(1_000, 0.3, peak=0)),
        ]

    def many(self) -> dict[str, object]:
        each = {"tshark for each": measured(20, 6.0)} if self.others else {}
        return {"labkit verify": measured(1_000, 2.0), **each}

    def growth(self) -> list[tuple[object, object]]:
        capture = module("bench_captures").Capture("packets-1000", "", Path(__file__), 1_000)
        return [(capture, measured(1_000, 0.2))]

    def simulation(self) -> list[tuple[str, int, float]]:
        return [("downloads", 50_000, 2.5 if self.fast else 3.5)]

    def pages(self) -> list[object]:
        capture = module("bench_captures").Capture("long", "a long one", Path(__file__), 1_000_000)
        page = partial(module("bench_parts").Page, "labkit draw", capture, measured(1_000_000, 0.5))
        others = [page(measured(1_000_000, 1.4), 7_300_000, (0.9, 0.045))] if self.others else []
        return [page(measured(1_000_000, 0.8), 20_000, None), *others]

    def targets(self) -> list[object]:
        kind = module("bench_targets").Target
        work = ("show", "tshark", 0.5)
        return [kind(*work, 1.0, 4.0 if self.fast else 1.0), kind("size", "before", 0.25, 5e6, None, "B")]

    def shares(self) -> object:
        return module("bench_targets").Shares(
            1_000_000, 0.1, 0.1, 0.4, 0.4, 0.0, find=0.05, judge_shared=0.5, join=0.02
        )

    def live(self) -> list[object]:
        if not self.others:
            raise LinkError("a lab needs root")
        return [module("bench_live").Figure("TCP through the relay", 512.3, "Mbit/s")]


def written(bench: Fake, versions: dict[str, str | None] | None = None) -> str:
    page = module("bench_page")
    parts = {name: section.part(bench) for name, section in page.SECTIONS.items()}
    return page.page(parts, {"processor": "one", "cores": "2"}, versions or {"labkit": "1", "tcptrace": None}, 5)


def headings(text: str) -> list[str]:
    return [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]


def test_the_page_says_what_was_reached() -> None:
    lines = written(Fake(fast=True)).splitlines()
    goals = [line for line in lines if line.endswith("reached |")]
    assert [line.split(" | ")[2] for line in goals] == [
        "0.50",
        "1/333",
        "0.75",
        "0.25",
        "1/333",
        "1/150",
        "0.83",
        "1.000 s",
    ]
    missed = [line for line in written(Fake(fast=False)).splitlines() if line.endswith("missed |")]
    assert [line.split(" | ")[2] for line in missed] == ["50.00", "0.30", "75.00", "1/33", "1.17", "1.000 s"]


def test_what_is_not_installed_is_left_out_with_a_word() -> None:
    text = written(Fake(fast=True, others=False))
    assert "Not installed: tcptrace." in text
    assert text.count("not measured") == 7
    assert "There is no real capture" in text
    assert "Not measured: a lab needs root." in text


def test_the_page_says_how_quiet_the_machine_was() -> None:
    page, quiet = module("bench_page"), module("bench_quiet")
    seconds = iter([1.0] * quiet.FIRST_PROBES + [1.04] * quiet.PROBES)
    waiting = quiet.Quiet(60, lambda: next(seconds))
    waiting.measure(bool)
    text = page.page({}, {}, {}, 5, quiet=waiting)
    assert "up to 1.04 times as long" in text
    assert "more than 1.10 times as long was taken again, while there was patience: 0 of them" in text
    assert "patience" not in page.page({}, {}, {}, 5, quiet=quiet.Quiet(0))


def test_targets_and_what_more_threads_would_bring() -> None:
    text = written(Fake(fast=True))
    assert "| show | tshark | 1.000 s | 4.000 s | 0.25 | 0.50 or less | reached |" in text
    assert "| show | tshark | 1.000 s | 1.000 s | 1.00 | 0.50 or less | missed |" in written(Fake(fast=False))
    assert "| size | before | 5 MB |  | not measured | 0.25 or less |  |" in text
    assert "| judging them | 0.400 s | 40% |" in text
    assert "| 2 | 1 | 0 | 0.600 s | 1.7 |" in text
    assert "| 3 | 2 | 0 | 0.620 s | 1.6 |" in text
    assert "| 4 | 2 | 1 | 0.500 s | 2.0 |" in text
    assert "| 64 | 8 | 8 | 0.270 s | 3.7 |" in text  # one thread reads the file


def test_what_is_installed_is_counted_without_what_every_environment_has(tmp_path: Path) -> None:
    packages = tmp_path / "lib" / "python3" / "site-packages"
    for name, size in (("labkit/a.py", 100), ("labkit/b/c.so", 30), ("pip/x.py", 5_000), ("setuptools/y.py", 700)):
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).write_bytes(bytes(size))
    assert module("bench_targets")._installed(str(tmp_path / "bin" / "python")) == 130


def test_a_wheel_and_an_earlier_version_are_optional(tmp_path: Path) -> None:
    targets = module("bench_targets")
    captures = module("bench_captures").Captures(tmp_path, quick=True)
    found = targets.Targets(captures, tmp_path, 1)
    assert found._size().ratio is None
    assert found._verify(None, ["tshark", "F"], "tshark", 1 / 8).ratio is None
    capture = module("bench_captures").Capture("x", "nothing", tmp_path / "x.pcap", 1)
    assert found._verify(capture, ["no-such-program", "F"], "it", 1.0).ratio is None


def test_the_relay_s_figures_are_there() -> None:
    assert "| TCP through the relay | 512 Mbit/s |" in written(Fake(fast=True))


def test_pages_are_compared_with_verifying() -> None:
    lines = written(Fake(fast=True)).splitlines()
    assert "| labkit draw | 1,000,000 | 0.800 s | 1.6 | 0.0 MB | not measured |  |" in lines
    assert "| labkit draw | 1,000,000 | 1.400 s | 2.8 | 7.3 MB | 0.900 s | 45 ms |" in lines


def test_a_slower_tool_is_compared_packet_by_packet() -> None:
    row = next(line for line in written(Fake(fast=True)).splitlines() if line.startswith("| tshark | 10,000"))
    assert row == "| tshark | 10,000 | 1.000 s | 100.00 | 50 MB | 1/333 |"


def test_the_page_that_is_there_has_the_sections_that_it_writes() -> None:
    there = (TOP / "docs" / "benchmarks.md").read_text("utf-8")
    assert headings(there) == headings(written(Fake(fast=True)))
    tables = [
        line
        for line in written(Fake(fast=True)).splitlines()
        if line.startswith(("| program", "| work", "| packets", "| part", "| threads"))
    ]
    assert set(tables) <= set(there.splitlines())


def test_it_names_no_machine_but_its_kind() -> None:
    assert set(module("bench_tools").machine()) == {"processor", "cores", "memory", "system"}
