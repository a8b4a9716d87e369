"""Feed hostile input to labkit, and keep what makes it fail; see scripts/fuzz.

An input is a string of octets from which `Draw` takes decisions: which good file to begin with, and how to damage it. So
coverage-guided octets of atheris and octets of Hypothesis make structured inputs alike. An input fails if anything but a
LabkitError is raised, if it takes longer than MAX_SECONDS or grows the process by more than MAX_GROWTH, or if the two engines
do not agree.
"""

import argparse
import gzip
import os
import re
import signal
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

TOP = Path(__file__).resolve().parents[2]

MAX_SECONDS = 5
"""Of the processor, so that a busy machine fails no input."""
MAX_GROWTH = 512_000_000
MAX_INPUT = 4096
"""Octets of decisions."""
INTERESTING = (0, 1, 2, 4, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)
WORDS = (
    "0", "-1", "1e999", "4294967296", "~", "null", "[]", "{}", "&a", "*a", "!!python/object:os.system", "inf", "nan", "''",
    "0x", "1..2", "2..1", "random", "\x1b[2J", "\u202e", "- ", ": ", "#", "\t", "'", '"', "999999999999s", "1ns", "ack 1", "S.",
    "<mss 1>", "0:0(0)", "4294967295:0(1)", "{", "}", "%", "win 0", "=", "[", "]",
)  # fmt: skip


class MistakeError(Exception):
    """What labkit must not do with any input."""


class Hang(BaseException):
    """An input took longer than MAX_SECONDS. No handler of labkit catches it."""


class Draw:
    """Decisions from octets; 0 where they end."""

    def __init__(self, octets: bytes) -> None:
        self._octets, self._at = octets, 0

    def number(self, below: int) -> int:
        """A number from 0 up to one less than `below`."""
        size = (below.bit_length() + 7) // 8
        value = int.from_bytes(self._octets[self._at : self._at + size], "big")
        self._at += size
        return value % below if below else 0

    @property
    def left(self) -> bool:
        return self._at < len(self._octets)


@cache
def captures() -> list[bytes]:
    """Small good captures, plain."""
    found = [path.read_bytes() for path in sorted((TOP / "pcaps").rglob("*.pcap*")) if path.suffix != ".gz"]
    return [each for each in found if len(each) < 20_000] or found[:1]


@cache
def conversations() -> list[Any]:
    """The frames of the good captures."""
    from labkit.capture import open_capture

    return [list(open_capture(BytesIO(each))) for each in captures()]


def damaged(draw: Draw, octets: bytes) -> bytes:
    """Octets with some changed, removed, repeated or put in."""
    data = bytearray(octets)
    while draw.left and data:
        kind, at = draw.number(6), draw.number(len(data))
        if kind == 0:
            data[at] ^= 1 << draw.number(8)
        elif kind == 1:
            form = ("<I", ">I", "<H", ">H", "B")[draw.number(5)]
            value = INTERESTING[draw.number(len(INTERESTING))] & (1 << 8 * struct.calcsize(form)) - 1
            data[at : at + struct.calcsize(form)] = struct.pack(form, value)
        elif kind == 2:
            del data[at : at + 1 + draw.number(64)]
        elif kind == 3:
            data[at:at] = data[at : at + 1 + draw.number(256)]
        elif kind == 4:
            data[at] = draw.number(256)
        else:
            data[at:at] = bytes(1 + draw.number(16))
    return bytes(data)


def damaged_text(draw: Draw, text: str) -> str:
    """Text with lines moved, and words put in the place of others."""
    lines = text.splitlines()
    while draw.left and lines:
        kind, at = draw.number(5), draw.number(len(lines))
        word = WORDS[draw.number(len(WORDS))]
        if kind == 0:
            lines.insert(draw.number(len(lines)), lines[at])
        elif kind == 1:
            del lines[at]
        elif kind == 2:
            place = draw.number(len(lines[at]) + 1)
            lines[at] = lines[at][:place] + word + lines[at][place:]
        elif kind == 3:
            parts = lines[at].split(" ")
            parts[draw.number(len(parts))] = word
            lines[at] = " ".join(parts)
        else:
            lines[at] = word * draw.number(300) + lines[at]
    return "\n".join(lines) + "\n"


@cache
def library() -> Any:
    """The compiled engine, if it is built."""
    from labkit.analysis.native import library as native

    return native.library(lambda: None) if native.is_built() else None


def judge(octets: bytes) -> None:
    """Judge a capture with each engine, and report it in every format."""
    from labkit.analysis.native import COMPILED, INTERPRETED, engine
    from labkit.capture import open_capture
    from labkit.capture.budget import Budget, Meter
    from labkit.report.formats import ReportOptions, names, renderer

    def verdict(which: str) -> Any:
        with open_capture(BytesIO(octets), Meter(Budget(octets=1 << 24))) as capture:
            return engine.verify_capture(capture, engine=which)

    one = verdict(INTERPRETED)
    if library() is not None:
        other = verdict(COMPILED)
        said = [(list(each.findings), each.limits, each.damage, each.packets) for each in (one, other)]
        if said[0] != said[1]:
            raise MistakeError("the engines do not agree")
    for name in names():
        for _line in renderer(name)([one], ReportOptions(one.fail_on)):
            pass


def pcap(draw: Draw) -> None:
    """A capture file: its headers, records and blocks."""
    octets = captures()[draw.number(len(captures()))]
    octets, compress = damaged(draw, octets), draw.number(8) == 7
    judge(gzip.compress(octets, 1)[: -1 - draw.number(9)] if compress else octets)


def frames(draw: Draw) -> None:
    """The frames of a sound capture."""
    from labkit.capture import create

    found = list(conversations()[draw.number(len(conversations()))])
    link = (1, 101, 113, 276, 0, 12, 228, 229)[draw.number(8) if draw.number(8) == 7 else 0]
    target = BytesIO()
    with create(target, link=link, format="pcap") as capture:
        each = draw.number(len(found))
        for number, frame in enumerate(found):
            data = damaged(draw, frame.data) if number == each else frame.data
            capture.write(max(0, frame.time), data[:65535])
    judge(target.getvalue())


def show(draw: Draw) -> None:
    """A capture file, for `labkit show`."""
    from labkit.analysis.states import observe
    from labkit.capture import open_capture
    from labkit.report.conversation_table import FORMATS, TableStyle

    octets = damaged(draw, captures()[draw.number(len(captures()))])
    for name, form in FORMATS.items():
        with open_capture(BytesIO(octets)) as reader:
            for _line in form(observe(reader, None), TableStyle(name == "text", True, reader.names, reader.interfaces)):
                pass


@cache
def scenarios() -> list[str]:
    return [path.read_text() for path in sorted((TOP / "labkit" / "build" / "scenarios").glob("*.yaml"))]


def _written(text: str, name: str, use: Callable[[Path], object]) -> None:
    with TemporaryDirectory(prefix="labkit-fuzz-") as folder:
        path = Path(folder, name)
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        use(path)


def scenario(draw: Draw) -> None:
    """A scenario, which is played where it is sound and short."""
    from labkit.build.scenario import Scenario

    def use(path: Path) -> None:
        found = Scenario.load(path)
        if found.model.conversations is None:
            found.play(seed=1)

    _written(damaged_text(draw, scenarios()[draw.number(len(scenarios()))]), "a.yaml", use)


def pkt(draw: Draw) -> None:
    """A conversation in the notation."""
    from labkit.build import script

    found = re.split(r"^==.*\n", (TOP / "tests" / "conversations.txt").read_text(), flags=re.MULTILINE)
    texts = (each.partition("\n--")[0] for each in found)
    lines = [each for each in texts if re.search(r"^[><]", each, re.MULTILINE)]
    _written(damaged_text(draw, lines[draw.number(len(lines))]), "a.pkt", script.load)


def roster(draw: Draw) -> None:
    """The list of a class."""
    from labkit.teach.roster import read_roster

    _written(damaged_text(draw, "id,name\n1,Ann\n2,Bo\n3,Čd\n"), "a.csv", read_roster)


def configuration(draw: Draw) -> None:
    """A configuration of rules and severities."""
    from labkit.analysis.report_config import load

    text = 'profile = "document"\nselect = ["SEQ", "ack-of-unsent-data"]\nstrict = true\n\n[severity]\nSEQ01 = "note"\n'
    _written(damaged_text(draw, text), "labkit.toml", load)


TARGETS: dict[str, Callable[[Draw], None]] = {
    each.__name__: each for each in (pcap, frames, show, scenario, pkt, roster, configuration)
}


def attempt(target: Callable[[Draw], None], octets: bytes) -> None:
    """Run one input. Any exception is a failure of labkit, a LabkitError is not."""
    from labkit.capture.budget import resident
    from labkit.errors import LabkitError

    def hang(*_: object) -> None:
        raise Hang(f"longer than {MAX_SECONDS} s")

    signal.signal(signal.SIGPROF, hang)
    before = resident()
    signal.setitimer(signal.ITIMER_PROF, MAX_SECONDS)
    try:
        target(Draw(octets))
    except LabkitError as error:
        if "\n" in str(error):
            raise MistakeError("an error of several lines") from error
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    if resident() - before > MAX_GROWTH:
        raise MistakeError("too much memory")


def folder() -> Path:
    """Where inputs are kept."""
    base = os.environ.get("LABKIT_CACHE") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base, "labkit-fuzz")


def keep(name: str, octets: bytes) -> Path:
    path = folder() / "failed" / f"{name}-{sha256(octets).hexdigest()[:16]}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(octets)
    return path


def by_hypothesis(name: str, seconds: float) -> int:
    """Run a target for some time; return the number of inputs. What fails is raised, after it was kept."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import strategies as st
    from hypothesis.database import DirectoryBasedExampleDatabase

    count, until, failed = 0, time.monotonic() + seconds, b""

    @settings(
        max_examples=1000,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.reuse, Phase.generate, Phase.target, Phase.shrink),
        database=DirectoryBasedExampleDatabase(folder() / "corpus" / name),
    )
    @given(st.binary(max_size=MAX_INPUT) | st.binary(min_size=4, max_size=40))
    def one(octets: bytes) -> None:
        nonlocal count, failed
        if time.monotonic() > until and not failed:
            return
        count += 1
        try:
            attempt(TARGETS[name], octets)
        except BaseException as error:
            failed = octets
            if isinstance(error, Hang):
                raise MistakeError(str(error)) from error
            raise

    try:
        while time.monotonic() < until:
            one()
    except BaseException:
        if failed:
            print(f"fuzz: {name}: failed: {keep(name, failed)}", file=sys.stderr)
        raise
    return count


def by_atheris(name: str, seconds: float) -> None:
    """Run a target for some time under libFuzzer, which ends this process."""
    import atheris

    corpus = folder() / "corpus" / f"{name}-atheris"
    corpus.mkdir(parents=True, exist_ok=True)
    atheris.instrument_all()
    words = [f"-max_total_time={int(seconds)}", f"-max_len={MAX_INPUT}", f"-artifact_prefix={folder()}/failed-{name}-"]
    atheris.Setup([sys.argv[0], *words, str(corpus)], lambda octets: attempt(TARGETS[name], octets))
    atheris.Fuzz()


def main() -> int:
    """Run the targets."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description="Feed labkit hostile input.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all by default")
    parser.add_argument("--seconds", type=float, default=60, help="time for all targets together")
    parser.add_argument("--replay", metavar="FILE", help="run one kept input again")
    parser.add_argument("--list", action="store_true", help="list the targets")
    given = parser.parse_args()
    if given.list:
        print("\n".join(f"{name:<14} {(target.__doc__ or '').splitlines()[0]}" for name, target in TARGETS.items()))
        return 0
    if unknown := set(given.targets) - set(TARGETS):
        parser.error(f"unknown target: {', '.join(sorted(unknown))}")
    targets = given.targets or list(TARGETS)
    if given.replay:
        attempt(TARGETS[targets[0]], Path(given.replay).read_bytes())
        return 0
    try:
        import atheris  # noqa: F401

        run: Callable[[str, float], Any] = by_atheris
    except ImportError:
        run = by_hypothesis
    code = 0
    for name in targets:
        began = time.monotonic()
        if run is by_atheris and len(targets) > 1:
            # libFuzzer ends its process.
            child = os.fork()
            if child == 0:
                run(name, given.seconds / len(targets))
                os._exit(0)
            code = max(code, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0)
            continue
        from labkit.errors import LabkitError

        with suppress(LabkitError):
            TARGETS[name](Draw(b""))  # what is imported and compiled first is not the input's fault
        try:
            count = run(name, given.seconds / len(targets))
        except Exception:
            import traceback

            traceback.print_exc()
            code = 1
        else:
            print(f"{name:<14} {count:>9,} inputs in {time.monotonic() - began:.0f} s", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
