"""The page `docs/benchmarks.md`: the measurements as tables."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import cpu_count

from bench_parts import KINDS, Bench, Reading
from bench_quiet import LIMIT, Quiet
from bench_run import Measured

from labkit.analysis.native.shards import threads as divided
from labkit.errors import LinkError

Row = list[str]

WALL = (
    "Wall times are those of whole processes with their start: the median of {runs} runs, in which the programs took turns. "
    "Memory is the peak of the largest process. The longest run of a command took up to {spread:.1f} times as long as its "
    "shortest; on a quiet machine this number is 1."
)
QUIET = (
    "Where two programs take turns in the part “As it is installed”, a fixed piece of work was done before and after each turn: "
    "Python starts and imports some modules. There it took up to {worst:.2f} times as long as at its fastest. A turn beside "
    "which it took more than {limit:.2f} times as long was taken again, while there was patience: {again} of them."
)


@dataclass(frozen=True)
class Goal:
    """A goal: labkit's time divided by another program's, for the same number of packets."""

    work: str
    against: str
    ratio: float | None
    """None if the other program is not installed."""
    limit: float


def goals(bench: Bench) -> list[Goal]:
    """Return the goals with the measured ratios."""
    read = bench.reading("small")
    ours = read.by_tool["labkit"]
    work = f"verify {read.capture.packets:,} packets, all rules and checksums"
    found = [
        Goal(work, against, _ratio(ours, read.by_tool.get(tool)), limit)
        for tool, against, limit in (
            ("tcptrace", "`tcptrace -n`", 0.6),
            ("tshark", "`tshark -Y tcp.analysis.flags`", 1 / 25),
            ("tcpdump", "`tcpdump -r F -w COPY`", 2.0),
        )
    ]
    cold = bench.cold()
    found.append(Goal("verify 20 packets, cold", "`tshark -r F`", _ratio(cold["labkit"], cold.get("tshark")), 0.6))
    built = bench.building()
    size = max(each.units for name, each in built if name.startswith("labkit") and each.units <= 1_000_000)
    labkit = next(each for name, each in built if each.units == size and name.startswith("labkit"))
    scapy = next(each for name, each in built if name.startswith("Scapy"))
    found.append(
        Goal(f"build {size:,} packets to a file", "Scapy's `wrpcap`, for a packet", _ratio(labkit, scapy), 1 / 300)
    )
    many = bench.many()
    ours, theirs = many["labkit verify"], many.get("tshark for each")
    found.append(
        Goal(f"verify {ours.units:,} small captures", "one `tshark -r` for each", _ratio(ours, theirs), 1 / 20)
    )
    slowest = max(seconds for _what, _segments, seconds in bench.simulation())
    found.append(Goal("simulate 100,000 segments", "3 s of a processor", slowest / 3, 1.0))
    return found


def _ratio(ours: Measured, theirs: Measured | None) -> float | None:
    return None if theirs is None else ours.each / theirs.each


def ratio(value: float | None) -> str:
    """`0.55`, or `1/27` for a value below 0.1."""
    if value is None:
        return "not measured"
    return f"1/{1 / value:,.0f}" if value < 0.1 else f"{value:.2f}"


def goals_part(bench: Bench) -> str:
    """The goals."""
    rows = [
        [goal.work, goal.against, ratio(goal.ratio), f"{ratio(goal.limit)} or less", _reached(goal)]
        for goal in goals(bench)
    ]
    return table(["work", "against", "ratio", "goal", ""], rows)


def _reached(goal: Goal) -> str:
    return "" if goal.ratio is None else "reached" if goal.ratio <= goal.limit else "missed"


def targets_part(bench: Bench) -> str:
    """The wheel against other programs and an earlier version."""
    rows = []
    for each in bench.targets():
        reached = "" if each.ratio is None else "reached" if each.ratio <= each.limit else "missed"
        figures = [_figure(value, each.unit) for value in (each.ours, each.theirs)]
        rows.append([each.work, each.against, *figures, ratio(each.ratio), f"{ratio(each.limit)} or less", reached])
    return table(["work", "against", "labkit", "the other", "ratio", "target", ""], rows)


def _figure(value: float | None, unit: str) -> str:
    return "" if value is None else memory(int(value)) if unit == "B" else seconds(value)


def cores_part(bench: Bench) -> str:
    """The shares of one thread's time, and how they divide over more threads."""
    found = bench.shares()
    parts = {
        "start of the process": found.start,
        "reading the file": found.read,
        "finding and decoding segments": found.decode,
        "judging them": found.judge,
        "the verdict": found.verdict,
    }
    total = sum(parts.values())
    shares = [[name, seconds(each), f"{each / total:.0%}"] for name, each in parts.items()]
    more = [
        ["finding where records end", seconds(found.find)],
        ["judging, all threads together", seconds(found.judge_shared)],
        ["what runs across conversations", seconds(found.join)],
    ]
    times = []
    for threads in THREADS:
        judges, decoders = divided(threads) if threads > 2 else (1, 0)
        value = found.seconds(threads)
        times.append([str(threads), str(judges), str(decoders), seconds(value), f"{total / value:.1f}"])
    return "\n".join(
        [
            f"{found.packets:,} packets, in one thread:\n",
            table(["part", "time", "share"], shares),
            CORES,
            table(["part", "time"], more),
            PLAN.format(n=cpu_count()),
            table(["threads", "that judge", "that decode", "time", "times as fast"], times),
        ]
    )


THREADS = (1, 2, 3, 4, 8, 64)
CORES = """Where there are two processors, one thread reads and decodes, and one judges. Where there are more, conversations are
divided among the threads that judge, by a hash of their ends, and each thread has its own tables; other threads decode. Four
things run across conversations, and are put together in the order of the capture: the bounds of open conversations, the last
initial sequence numbers of a host, which host a rule has reported once, and the numbers of conversations. The verdict is the same
for any number of threads. It costs, on the same capture:
"""
PLAN = """Reading stays with one thread, which limits them all. This machine has {n} processors. For more threads than that, the
time is computed from these figures by Amdahl's law: it is that of the longest part that runs at the same time.
"""


def captures_part(bench: Bench) -> str:
    """Every tool on every capture."""
    parts = [_reading(bench.reading(kind)) for kind in KINDS]
    real = bench.real()
    none = "There is no real capture: `LABKIT_CAPTURES` does not name a folder of captures.\n"
    return "\n".join([*parts, none if real is None else _reading(real)])


def _reading(found: Reading) -> str:
    ours = found.by_tool["labkit"]
    rows = [
        [
            name,
            f"{each.units:,}",
            seconds(each.wall),
            f"{each.each * 1e6:,.2f}",
            memory(each.peak),
            "" if name == "labkit" else ratio(_ratio(ours, each)),
        ]
        for name, each in found.by_tool.items()
    ]
    what = found.capture.what
    head = f"### {what[0].upper()}{what[1:]}\n\n"
    about = f"{found.capture.packets:,} packets, {found.capture.size / 1e6:,.1f} MB.\n\n"
    failed = f"\nPrograms that could not read it: {', '.join(found.failed)}.\n" if found.failed else ""
    return (
        head
        + about
        + table(["program", "packets", "wall", "µs a packet", "peak memory", "labkit / program"], rows)
        + failed
    )


def growth_part(bench: Bench) -> str:
    """labkit on growing captures."""
    rows = [
        [
            f"{capture.packets:,}",
            f"{capture.size / 1e6:,.1f} MB",
            seconds(each.wall),
            f"{each.each * 1e6:,.2f}",
            memory(each.peak),
        ]
        for capture, each in bench.growth()
    ]
    return table(["packets", "file", "wall", "µs a packet", "peak memory"], rows)


def building_part(bench: Bench) -> str:
    """Building files."""
    rows = [
        [name, f"{each.units:,}", seconds(each.wall), f"{each.each * 1e6:,.2f}", memory(each.peak) if each.peak else ""]
        for name, each in bench.building()
    ]
    return table(["program", "packets", "wall", "µs a packet", "peak memory"], rows)


def many_part(bench: Bench) -> str:
    """Many small captures."""
    rows = [
        [name, f"{each.units:,}", seconds(each.wall), f"{each.each * 1e3:,.2f}", memory(each.peak)]
        for name, each in bench.many().items()
    ]
    return table(["command", "captures", "wall", "ms a capture", "peak memory"], rows)


def simulation_part(bench: Bench) -> str:
    """Simulated scenarios."""
    rows = [[what, f"{segments:,}", f"{each:.2f} s"] for what, segments, each in bench.simulation()]
    return table(["scenario", "segments", "processor time for 100,000"], rows)


def pages_part(bench: Bench) -> str:
    """Pages, and Chromium with them."""
    rows = [
        [
            each.command,
            f"{each.capture.packets:,}",
            seconds(each.made.wall),
            f"{each.made.wall / each.verified.wall:.1f}",
            f"{each.size / 1e6:.1f} MB",
            seconds(each.drawn[0]) if each.drawn else "not measured",
            f"{each.drawn[1] * 1e3:.0f} ms" if each.drawn and each.drawn[1] else "",
        ]
        for each in bench.pages()
    ]
    return table(["page", "packets", "making", "making / verifying", "size", "drawn", "longest zoom"], rows)


def live_part(bench: Bench) -> str:
    """A lab with a relay and without one."""
    try:
        found = bench.live()
    except LinkError as error:
        return f"Not measured: {error}.\n"
    return table(["figure", "value"], [[each.name, f"{each.value:,.0f} {each.unit}"] for each in found])


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    title: str
    text: str
    part: Callable[[Bench], str]


SECTIONS: dict[str, Section] = {
    "goals": Section(
        "Goals",
        "A ratio is labkit's time divided by the other program's, for the same number of packets. Less is better.",
        goals_part,
    ),
    "targets": Section(
        "As it is installed",
        "labkit from its wheel, in an environment of its own. The earlier version is the one before the wheel, with `[fast]`; "
        "`scripts/bench --wheel FILE --before CHECKOUT` measures both in turn.",
        targets_part,
    ),
    "cores": Section("More cores", "How verifying a large capture divides over threads.", cores_part),
    "captures": Section(
        "Captures",
        "The programs do different work: tcpdump copies, tcptrace follows connections and ignores checksums, dpkt and Scapy "
        "only decode. A slow program gets only the first packets of a capture; ratios always compare times for one packet.",
        captures_part,
    ),
    "growth": Section("Growth", "`labkit verify` on captures of one kind and growing size.", growth_part),
    "building": Section(
        "Building",
        "labkit: whole processes with their start. Scapy: only writing packets that exist already.",
        building_part,
    ),
    "many": Section("Many small captures", "The shipped scenarios, each with many seeds.", many_part),
    "simulation": Section(
        "Simulation", "Simulated scenarios, without files. The goal is 3 s or less.", simulation_part
    ),
    "pages": Section(
        "Pages",
        "Pages of the largest real capture and of a conversation of a million packets, in headless Chromium. The columns have "
        "the time from the address to the painted page, and the longest one from a key to the zoomed plots. The goals: making a "
        "page takes at most 3 times as long as verifying; a page has at most 15 MB, and is drawn within 2 s and zoomed within "
        "100 ms.",
        pages_part,
    ),
    "live": Section(
        "The relay",
        "Two kernels' TCP in a lab, with `labkit relay` between them and without it. This part needs root.",
        live_part,
    ),
}


def page(
    parts: Mapping[str, str],
    machine: Mapping[str, str],
    versions: Mapping[str, str | None],
    runs: int,
    spread: float = 1.0,
    quick: bool = False,
    quiet: Quiet | None = None,
) -> str:
    """The whole page."""
    lines = ["# Benchmarks", "", "`scripts/bench` measures everything and writes this page.", ""]
    if quick:
        lines += ["A quick run: the captures are small, so start-up times weigh more.", ""]
    lines += ["## Machine", "", table(list(machine), [list(machine.values())])]
    there = ", ".join(f"{name} {each}" for name, each in versions.items() if each is not None)
    lines += [f"Programs: {there}.", ""]
    missing = [name for name, each in versions.items() if each is None]
    if missing:
        lines += [f"Not installed: {', '.join(missing)}.", ""]
    lines += [
        WALL.format(runs=runs, spread=spread),
        "",
    ]
    if quiet is not None and quiet.waits:
        lines += [QUIET.format(worst=quiet.worst, limit=LIMIT, again=quiet.again), ""]
    for name, text in parts.items():
        lines += [f"## {SECTIONS[name].title}", "", SECTIONS[name].text, "", text]
    return "\n".join(lines).rstrip() + "\n"


def table(header: Row, rows: list[Row]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def seconds(value: float) -> str:
    """`0.123 s`, `12.3 s`."""
    return f"{value:.3f} s" if value < 10 else f"{value:.1f} s"


def memory(octets: int) -> str:
    """`12 MB`, in millions of octets."""
    return f"{octets / 1e6:,.0f} MB"
