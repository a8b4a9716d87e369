"""labkit as it is installed from a wheel, against other programs and against an earlier version in the same run.

The wheel and the earlier version each get an environment of their own, with what they require and nothing else. What a row
needs and does not find is not measured.
"""

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import bench_captures
from bench_captures import LABKIT, Capture, Captures
from bench_quiet import Quiet
from bench_run import Measured, Run, in_turn, joined, run, say

from labkit.analysis.native.shards import threads as divided
from labkit.capture import create, open_capture
from labkit.packet.linktype import ETHERNET

FILE = "F"

PAIRS = 9
"""Installations whose first two runs are compared: they differ by less than the runs of one."""

HANDIN = (
    """
name: hand-in
summary: About a hundred packets
path: {rtt: 5ms}
client: {isn: random}
server: {isn: random}
steps:
  - client: connect
"""
    + "".join("  - client: {send: 60}\n  - server: {send: 200}\n" for _ in range(46))
    + """
  - client: close
  - server: close
"""
)

PACKETS = """
import sys
from pathlib import Path
from time import perf_counter
from labkit import Scenario
trace = Scenario.load(Path(sys.argv[1])).play()
begin = perf_counter()
for packet in trace.packets(): pass
print(perf_counter() - begin)
"""

SHARES = """
import sys
from collections import Counter
from time import perf_counter, thread_time
from labkit.analysis.native import library
from labkit.analysis.native.native_verifier import NativeVerifier
from labkit.analysis.native.packed import Library
from labkit.analysis.native.reader import Batch, Feed
from labkit.analysis.native.shards import ShardedVerifier
from labkit.capture import open_capture
code = library.library(lambda _why: None)
spent = Counter()
def timed(name, function):
    def run(*arguments):
        begin = thread_time()
        result = function(*arguments)
        spent[name] += thread_time() - begin
        return result
    return run
watched = Library()
watched.entries = {name: timed(name, entry) for name, entry in code.entries.items()}
with open_capture(sys.argv[1]) as capture:
    capture.into = timed("read", capture.into)
    verifier, batch, feed = NativeVerifier("rfc9293", watched), Batch(), Feed(capture, watched)
    while feed.fill(batch):
        verifier.take(batch)
begin = perf_counter()
verifier.verdict(batch.row.packets, batch.row.start, "rfc9293", feed.unread)
print(spent["read"], spent["decode_batch"], spent["process_batch"], perf_counter() - begin)
spent.clear()
with open_capture(sys.argv[1]) as capture:
    ShardedVerifier("rfc9293", watched, 2, decoders=1).run(Feed(capture, watched), "rfc9293", lambda packets: None)
joined = spent["compare_isns"] + spent["plan_round"] + spent["merge_findings"]
print(spent["find_records"], spent["process_shard"] + spent["finish_shard"], joined)
"""


@dataclass(frozen=True)
class Target:
    """A row: labkit's figure divided by another one's."""

    work: str
    against: str
    limit: float
    ours: float | None = None
    theirs: float | None = None
    unit: str = "s"

    @property
    def ratio(self) -> float | None:
        """None if one of both was not measured."""
        return None if self.ours is None or not self.theirs else self.ours / self.theirs


@dataclass
class Shares:
    """Seconds of a processor for the parts of verifying a large capture."""

    packets: int
    start: float
    read: float
    decode: float
    judge: float
    verdict: float
    find: float
    """Finding where records end, so that others decode them."""
    judge_shared: float
    """Judging by several threads, all together."""
    join: float
    """What runs across conversations that several threads judge."""

    def seconds(self, threads: int) -> float:
        """How long it takes with so many threads: the longest of those that work at the same time, by Amdahl's law."""
        serial = self.start + self.verdict
        if threads == 1:
            return serial + self.read + self.decode + self.judge
        if threads == 2:
            return serial + max(self.read + self.decode, self.judge)
        judges, decoders = divided(threads)
        reading = self.read + self.join + (self.find if decoders else self.decode)
        return serial + max(reading, self.decode / max(1, decoders), self.judge_shared / judges)


@dataclass
class Targets:
    """The measurements of all rows."""

    captures: Captures
    folder: Path
    runs: int
    wheel: Path | None = None
    before: Path | None = None
    """A checkout of the earlier version."""
    quiet: Quiet = field(default_factory=partial(Quiet, 0))
    """Says when to measure."""
    _labkit: list[str] = field(default_factory=lambda: list(LABKIT))
    _python: str = sys.executable
    _old: str | None = None
    """The earlier version's Python."""

    def install(self) -> None:
        """Make both environments."""
        if self.wheel is not None:
            say(f"installing {self.wheel.name}")
            self._python = _environment(self.folder / "wheel", str(self.wheel))
            self._labkit = [self._python, "-m", "labkit"]
        if self.before is not None:
            say(f"installing {self.before}")
            self._old = _environment(self.folder / "before", f"{_copied(self.before, self.folder)}[fast]")

    def rows(self) -> list[Target]:
        """All rows of the table."""
        self.install()
        one, mega = self.captures.of("one"), self.captures.of("packets-1000000")
        small, flows, real = self.captures.of("small"), self.captures.of("flows"), self.captures.largest()
        cold = replace(self.captures.slice(self.captures.of("packets-1000"), 20), what="cold")
        copied = ["tcpdump", "-r", FILE, "-w", str(self.folder / "copy")]
        flags = ["tshark", "-n", "-r", FILE, "-Y", "tcp.analysis.flags"]
        every: list[Callable[[], Target | list[Target]]] = [
            partial(self._first, mega),
            self._size,
            partial(self._verify, small, copied, "`tcpdump -r F -w COPY`", 0.45),
            partial(self._verify, real, flags, "`tshark -Y tcp.analysis.flags`", 1 / 8),
            partial(self._show, mega),
            partial(self._flow, mega),
            self._build,
            self._packets,
            partial(self._findings, mega),
            partial(self._verify, cold, ["tshark", "-r", FILE], "`tshark -r F`", 0.35),
            self._handins,
            partial(self._verify, one, ["tcptrace", "-n", FILE], "`tcptrace -n`", 1.2),
            partial(self._verify, flows, copied, "`tcpdump -r F -w COPY`", 1.0),
        ]
        found: list[Target] = []
        for each in every:
            self.quiet.renew()
            row = each()
            found += row if isinstance(row, list) else [row]
            say(f"{found[-1].work}, against {found[-1].against}: {found[-1].ratio}")
        return found

    def shares(self) -> Shares:
        """The parts of verifying the largest capture that labkit builds here."""
        capture = self.captures.of("small")
        lines = [self._output([self._python, "-c", SHARES, str(capture.path)]) for _ in range(self.runs)]
        parts = sorted(tuple(map(float, text.split())) for text in lines)[len(lines) // 2]
        tiny = self.captures.slice(self.captures.of("packets-1000"), 20)
        start = Measured(
            1, tuple(self._run(["verify", "--engine", "compiled", str(tiny.path)]) for _ in range(self.runs))
        )
        return Shares(capture.packets, start.wall, *parts)

    def _output(self, command: Sequence[str]) -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=self.folder).stdout

    def _run(self, arguments: Sequence[str], python: str | None = None, cache: Path | None = None) -> Run:
        command = [python, "-m", "labkit"] if python else self._labkit
        folder = (
            {}
            if cache is None
            else {"LABKIT_CACHE": str(cache), "XDG_CACHE_HOME": str(cache), "NUMBA_CACHE_DIR": str(cache)}
        )
        return run([*command, *arguments], (0, 1), {"PYTHONSAFEPATH": "1", **folder})

    def _first(self, capture: Capture) -> list[Target]:
        """The first verdict where nothing was compiled before, and the second one."""
        arguments = ["verify", "--engine", "compiled", str(capture.path)]
        count = self.runs if self.captures.quick else max(self.runs, PAIRS)
        pairs = [self._twice(arguments) for _ in range(count if self.wheel else 1)]
        first, second = (Measured(1, runs).wall for runs in zip(*pairs, strict=True))
        theirs = None
        if self._old:
            with TemporaryDirectory() as fresh:
                theirs = self._run(arguments, self._old, Path(fresh)).wall
        work = f"first verdict on {capture.packets:,} packets, just installed"
        return [
            Target(work, "the earlier version's with `[fast]`", 1 / 30, first, theirs),
            Target(work, "the second verdict", 1.1, first, second),
        ]

    def _twice(self, arguments: list[str]) -> tuple[Run, Run]:
        """The first and the second run after an installation."""
        with TemporaryDirectory(dir=self.folder) as fresh:
            folder, cache = Path(fresh, "wheel"), Path(fresh, "cache")
            python = str(folder / "bin" / "python") if self.wheel else None

            def install() -> None:
                shutil.rmtree(cache, ignore_errors=True)
                cache.mkdir()
                if self.wheel:
                    shutil.rmtree(folder, ignore_errors=True)
                    _environment(folder, str(self.wheel))
                os.sync()  # the disk's work for the installation is not part of the first run

            def both() -> tuple[Run, Run]:
                self._run(arguments)  # of another installation, so that both runs find the same machine
                return self._run(arguments, python, cache), self._run(arguments, python, cache)

            return self.quiet.measure(both, install)

    def _size(self) -> Target:
        ours = _installed(self._python) if self.wheel is not None else None
        theirs = _installed(self._old) if self._old else None
        return Target(
            "installed size, with what is required", "the earlier version's with `[fast]`", 1 / 4, ours, theirs, "B"
        )

    def _verify(self, capture: Capture | None, other: list[str], name: str, limit: float) -> Target:
        """`verify` against a program that reads the same capture."""
        if capture is None:
            return Target("verify the largest real capture", name, limit)
        work = f"verify {capture.packets:,} packets, {capture.what}"
        return self._turns(work, name, limit, capture, ["verify", FILE], other)

    def _show(self, capture: Capture) -> Target:
        work, name = f"`show` {capture.packets:,} packets", "`tshark -r F`, its list"
        return self._turns(work, name, 0.5, capture, ["show", FILE], ["tshark", "-n", "-r", FILE])

    def _flow(self, capture: Capture) -> Target:
        """One conversation of many."""
        with open_capture(capture.path) as frames:
            data = next(iter(frames)).data
        one, other = (".".join(map(str, data[at : at + 4])) for at in (26, 30))
        command = ["tcpdump", "-n", "-r", FILE, f"host {one} and host {other}"]
        work = f"`show --flow 1` in {capture.packets:,} packets"
        return self._turns(work, "`tcpdump -r F host …`", 3.0, capture, ["show", FILE, "--flow", "1"], command)

    def _turns(
        self, work: str, name: str, limit: float, capture: Capture, arguments: list[str], other: list[str]
    ) -> Target:
        """Both commands in turn. FILE stands for the capture."""
        if shutil.which(other[0]) is None:
            return Target(work, name, limit)
        mine, theirs = ([str(capture.path) if each == FILE else each for each in words] for words in (arguments, other))
        commands = {"ours": lambda: self._run(mine), "theirs": lambda: run(theirs)}
        found = self._in_turn(commands)
        return Target(work, name, limit, found["ours"], found["theirs"])

    def _in_turn(self, commands: dict[str, Callable[[], Run]]) -> dict[str, float]:
        """Seconds of each command: the median."""
        return {key: Measured(1, runs).wall for key, runs in in_turn(commands, self.runs, self.quiet.measure).items()}

    def _scenario(self) -> Path:
        path = self.folder / "long.yaml"
        path.write_text(bench_captures.ONE.format(octets=460_000 if self.captures.quick else 23_000_000))
        return path

    def _build(self) -> Target:
        path = self._scenario()
        targets = [str(self.folder / name) for name in ("ours.pcapng", "theirs.pcapng")]
        arguments = [["build", str(path), "-o", target] for target in targets]
        commands = {"ours": lambda: self._run(arguments[0])}
        if self._old:
            commands["theirs"] = lambda: self._run(arguments[1], self._old)
        found = self._in_turn(commands)
        with open_capture(targets[0]) as frames:
            packets = sum(1 for _frame in frames)
        return Target(
            f"build one conversation of {packets:,} packets, with its file",
            "the earlier version",
            0.4,
            found["ours"],
            found.get("theirs"),
        )

    def _packets(self) -> Target:
        path = str(self._scenario())
        found: list[float | None] = []
        for python in (self._python, self._old):
            lines = [self._output([python, "-c", PACKETS, path]) for _ in range(self.runs)] if python else []
            found.append(sorted(map(float, lines))[len(lines) // 2] if lines else None)
        return Target("`trace.packets()` of that conversation, all read", "the earlier version", 0.25, *found)

    def _findings(self, capture: Capture) -> Target:
        """The peak memory of a report with as many findings as are kept."""
        path = self.folder / "faulty.pcap"
        if not path.exists():
            say("building faulty.pcap")
            with open_capture(capture.path) as frames, create(path, link=ETHERNET) as writer:
                for frame in frames:
                    at = 14 + (frame.data[14] & 15) * 4 + 16
                    writer.write(frame.time, frame.data[:at] + bytes((frame.data[at] ^ 0x55,)) + frame.data[at + 1 :])
        arguments = ["verify", "--engine", "compiled", "--format", "json", str(path)]
        ours = self._run(arguments).peak
        theirs = self._run(arguments, self._old).peak if self._old else None
        return Target(
            f"{capture.packets:,} findings as JSON: peak memory", "the earlier version", 1 / 10, ours, theirs, "B"
        )

    def _handins(self) -> Target:
        """A folder of hand-ins, and one process of tshark for each of some."""
        number = 100 if self.captures.quick else 1_000
        folder = self.folder / f"hand-ins-{number}"
        if not folder.exists():
            from labkit.build.scenario import Scenario

            folder.mkdir()
            wanted = Scenario.parse(HANDIN)
            for place in range(number):
                wanted.play(place).write(folder / f"{place:04}.pcapng", edition="student")
        work, name = f"verify {number:,} hand-ins of 100 packets", "one `tshark -r` for each"
        commands = {"ours": lambda: self._run(["verify", str(folder)])}
        if shutil.which("tshark") is not None:
            some = sorted(folder.iterdir())[:: number // 4]
            commands["theirs"] = lambda: joined([run(["tshark", "-r", str(each)]) for each in some])
        found = self._in_turn(commands)
        theirs = found["theirs"] / len(some) if "theirs" in found else None
        return Target(work, name, 1 / 150, found["ours"] / number, theirs)


def _environment(folder: Path, package: str) -> str:
    """A new environment with a package; its Python."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        free = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        subprocess.run([python, "-m", "pip", "install", "-q", package], check=True, env=free)
    return str(python)


def _copied(checkout: Path, folder: Path) -> Path:
    """The sources of a checkout, so that building leaves nothing there."""
    target = folder / "before-sources"
    if not target.exists():
        shutil.copytree(checkout, target, ignore=shutil.ignore_patterns(".git", ".venv*", "build", "*.egg-info"))
    return target


def _installed(python: str) -> int:
    """Octets of all packages of an environment but those that every environment has."""
    (folder,) = Path(python).parents[1].glob("lib/python*/site-packages")
    own = ("pip", "setuptools", "pkg_resources", "_distutils_hack", "distutils-precedence")
    each = [place for place in folder.iterdir() if not place.name.startswith(own)]
    files = [file for place in each for file in ([place] if place.is_file() else place.rglob("*")) if file.is_file()]
    return sum(file.stat().st_size for file in files)
