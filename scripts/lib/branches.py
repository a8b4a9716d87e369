"""How often each branch of the engine goes which way: with that, a compiler puts what seldom runs out of the way of the rest.

The engine's module is compiled with a counter at each branch, and judges a set of captures. The weights are the counts, in the
form that LLVM has for them ("LLVM Branch Weight Metadata" in its documentation). They change no result.
"""

import ctypes
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from labkit.analysis.native.assembly import Assembly
from labkit.analysis.native.native_verifier import NativeVerifier
from labkit.analysis.native.packed import PackedLibrary
from labkit.analysis.native.pipeline import batches, run
from labkit.analysis.native.reader import Feed
from labkit.analysis.severity import RFC9293
from labkit.build.bulk import build
from labkit.build.scenario import Scenario, shipped
from labkit.capture import open_capture

REAL = Path(__file__).parents[2] / "pcaps" / "real"
COUNTERS = "branches"
USUAL = {
    "http": 500,
    "browser": 500,
    "smtp": 500,
    "conversations": 500,
    "timestamps-loss": 500,
    "cubic": 30,
    "handshake": 2_000,
}
"""Scenarios that are like most traffic, and how many conversations of each: what runs often is what they need."""
UNWEIGHTED = re.compile(r"__ones_sum\.")
"""Functions whose loops are best compiled for long payloads, though most payloads are short."""

FUNCTION_OR_BRANCH = re.compile(r"^define .*$|^  br i1 (?P<test>\S+), label %\S+, label %\S+$", re.MULTILINE)
LARGEST = 1 << 20
"""A weight must fit 32 bits."""

Counts = list[tuple[int, int]]
"""For each branch, how often it went to its first label, and to its second one."""


def weighted(engine: Assembly, work: Path) -> str:
    """The text of an engine with its weights. `work` is an empty folder."""
    return with_weights(engine.text, measured(engine, work))


def with_counters(text: str) -> str:
    """The text with two counters for each branch."""
    number = 0

    def counter(match: re.Match[str]) -> str:
        nonlocal number
        if match["test"] is None:
            return match[0]
        lines, number = list(_counting(number, match["test"])), number + 1
        return "\n".join([*lines, match[0]])

    counters = f"@{COUNTERS} = global [{2 * branches_of(text)} x i64] zeroinitializer"
    return f"{counters}\n\n{FUNCTION_OR_BRANCH.sub(counter, text)}"


def branches_of(text: str) -> int:
    """The number of branches."""
    return sum(each["test"] is not None for each in FUNCTION_OR_BRANCH.finditer(text))


def _counting(number: int, test: str) -> Iterator[str]:
    """Add 1 to the counter of the label that follows a test."""
    name = f"%count{number}"
    yield f"  {name}.at = select i1 {test}, i64 {16 * number}, i64 {16 * number + 8}"
    yield f"  {name}.place = getelementptr i8, ptr @{COUNTERS}, i64 {name}.at"
    yield f"  {name}.before = load i64, ptr {name}.place"
    yield f"  {name}.after = add i64 {name}.before, 1"
    yield f"  store i64 {name}.after, ptr {name}.place"


def with_weights(text: str, counts: Counts) -> str:
    """The text with the weights of its branches, as far as they have run."""
    known, weighs = iter(counts), True
    notes: dict[tuple[int, ...], str] = {}

    def weight(match: re.Match[str]) -> str:
        nonlocal weighs
        if match["test"] is None:
            weighs = UNWEIGHTED.search(match[0]) is None
            return match[0]
        pair = next(known)
        if not weighs or not any(pair):
            return match[0]
        by = max(1, max(pair) // LARGEST)
        note = notes.setdefault(tuple(each // by for each in pair), f"!{len(notes) + first}")
        return f"{match[0]}, !prof {note}"

    first = 1 + max(map(int, re.findall(r"^!(\d+) =", text, re.MULTILINE)), default=0)
    text = FUNCTION_OR_BRANCH.sub(weight, text)
    return text + "".join(f'{note} = !{{!"branch_weights", i32 {a}, i32 {b}}}\n' for (a, b), note in notes.items())


def measured(engine: Assembly, work: Path) -> Counts:
    """The counts of all branches over `captures`."""
    source, made, text = work / "counting.ll", work / "counting.so", engine.text
    source.write_text(with_counters(text))
    compiler = [sys.executable, "-m", "ziglang", "cc"]
    subprocess.run(
        [*compiler, "-O1", "-shared", "-fPIC", "-Wno-override-module", source, "-o", made], cwd=work, check=True
    )
    library = PackedLibrary(str(made), engine.entries)
    for capture in captures(work / "captures"):
        judge(capture, library)
    counts = list((ctypes.c_int64 * (2 * branches_of(text))).in_dll(ctypes.CDLL(str(made)), COUNTERS))
    return list(zip(counts[::2], counts[1::2], strict=True))


def judge(capture: Path, library: PackedLibrary) -> None:
    """Judge a capture in this thread. All hashes have the same seed, so that the counts are the same each time."""
    with open_capture(capture) as opened:
        memory = batches(parallel=False)
        verifier, feed = NativeVerifier(RFC9293, library), Feed(opened, library)
        verifier.context.seed = feed.seed = 1
        whole = run(feed, verifier, memory)
        verifier.verdict(whole.packets, whole.start, RFC9293, feed.unread)


def captures(folder: Path) -> Iterator[Path]:
    """Real captures, those of all shipped scenarios, and larger ones of usual traffic."""
    yield from sorted(REAL.glob("*.pcap*"))
    folder.mkdir()
    for name in shipped():
        Scenario.load(name).play().write(folder / f"{name}.pcapng", edition="student")
        yield folder / f"{name}.pcapng"
    for name, flows in USUAL.items():
        build(name, flows, folder / f"{name}.pcap")
        yield folder / f"{name}.pcap"
