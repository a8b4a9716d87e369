"""Feed hostile input to labkit, and keep what makes it fail; see scripts/fuzz.

An input is a string of octets from which `Draw` takes decisions: which good file to begin with, and how to damage it. So
coverage-guided octets of atheris, octets of Hypothesis and octets by chance make structured inputs alike. An input fails if
anything but a LabkitError is raised, if it takes longer than MAX_SECONDS or more than MAX_GROWTH of memory at any time, or if the
two engines do not agree.
"""

import argparse
import atexit
import gzip
import json
import os
import random
import re
import resource
import shutil
import signal
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from hashlib import sha256
from importlib import import_module
from io import BytesIO
from pathlib import Path
from tempfile import mkdtemp
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


@cache
def formats() -> list[str]:
    from labkit.report.formats import names

    return names()


def judge(octets: bytes, form: int = 0) -> None:
    """Judge a capture with each engine, and report it in one format."""
    from labkit.analysis.native import COMPILED, INTERPRETED, engine
    from labkit.capture import open_capture
    from labkit.capture.budget import Budget, Meter
    from labkit.report.formats import ReportOptions, renderer

    def verdict(which: str) -> Any:
        with open_capture(BytesIO(octets), Meter(Budget(octets=1 << 24))) as capture:
            return engine.verify_capture(capture, engine=which)

    one = verdict(INTERPRETED)
    if library() is not None:
        other = verdict(COMPILED)
        said = [(list(each.findings), each.limits, each.damage, each.packets) for each in (one, other)]
        if said[0] != said[1]:
            raise MistakeError("the engines do not agree")
    for _line in renderer(formats()[form % len(formats())])([one], ReportOptions(one.fail_on)):
        pass


def pcap(draw: Draw) -> None:
    """A capture file: its headers, records and blocks."""
    form, compress, cut = draw.number(256), draw.number(8) == 7, draw.number(9)
    octets = damaged(draw, captures()[draw.number(len(captures()))])
    judge(gzip.compress(octets, 1)[: -1 - cut] if compress else octets, form)


def frames(draw: Draw) -> None:
    """The frames of a sound capture."""
    from labkit.capture import create

    form, found = draw.number(256), list(conversations()[draw.number(len(conversations()))])
    link = (1, 101, 113, 276, 0, 12, 228, 229)[draw.number(8) if draw.number(8) == 7 else 0]
    target = BytesIO()
    with create(target, link=link, format="pcap") as capture:
        each = draw.number(len(found))
        for number, frame in enumerate(found):
            data = damaged(draw, frame.data) if number == each else frame.data
            capture.write(max(0, frame.time), data[:65535])
    judge(target.getvalue(), form)


def show(draw: Draw) -> None:
    """A capture file, for `labkit show`."""
    from labkit.analysis.states import observe
    from labkit.capture import open_capture
    from labkit.report.conversation_table import FORMATS, TableStyle

    name = list(FORMATS)[draw.number(len(FORMATS))]
    octets = damaged(draw, captures()[draw.number(len(captures()))])
    with open_capture(BytesIO(octets)) as reader:
        for _line in FORMATS[name](
            observe(reader, None), TableStyle(name == "text", True, reader.names, reader.interfaces)
        ):
            pass


def draw_(draw: Draw) -> None:
    """A capture file, for `labkit draw`."""
    from labkit.capture import open_capture
    from labkit.report import draw as pictures
    from labkit.report.draw import _subject

    name = pictures.names()[draw.number(len(pictures.names()))]
    known = pictures.formats(name)
    form = known[draw.number(len(known))]
    octets = damaged(draw, captures()[draw.number(len(captures()))])
    found = _subject.of_capture("a", lambda: open_capture(BytesIO(octets)), None)
    if found.conversations:
        for _piece in pictures.picture(name, form)(found, pictures.DrawOptions()):
            pass


def repair(draw: Draw) -> None:
    """The frames of a capture, for `labkit repair`."""
    from labkit.build.trace import Trace
    from labkit.report.repair import repair as repaired

    octets = damaged(draw, captures()[draw.number(len(captures()))])
    repaired(Trace.from_capture(BytesIO(octets)))


def quiz(draw: Draw) -> None:
    """A capture file, for `labkit quiz`."""
    from labkit.teach.quiz import questions, subject

    seed = draw.number(256)
    octets = damaged(draw, captures()[draw.number(len(captures()))])
    questions(subject.subject("a", BytesIO(octets)), seed=seed)


@cache
def scenarios() -> list[str]:
    return [path.read_text() for path in sorted((TOP / "labkit" / "build" / "scenarios").glob("*.yaml"))]


@cache
def _place() -> Path:
    """A folder for the files of this process."""
    place = Path(mkdtemp(prefix="labkit-fuzz-"))
    atexit.register(shutil.rmtree, place, True)
    return place


def _written(text: str, name: str, use: Callable[[Path], object]) -> None:
    path = _place() / name
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


@cache
def notations() -> list[str]:
    found = re.split(r"^==.*\n", (TOP / "tests" / "conversations.txt").read_text(), flags=re.MULTILINE)
    texts = (each.partition("\n--")[0] for each in found)
    return [each for each in texts if re.search(r"^[><]", each, re.MULTILINE)]


def pkt(draw: Draw) -> None:
    """A conversation in the notation."""
    from labkit.build import script

    _written(damaged_text(draw, notations()[draw.number(len(notations()))]), "a.pkt", script.load)


def roster(draw: Draw) -> None:
    """The list of a class."""
    from labkit.teach.roster import read_roster

    _written(damaged_text(draw, "id,name\n1,Ann\n2,Bo\n3,Čd\n"), "a.csv", read_roster)


def configuration(draw: Draw) -> None:
    """A configuration of rules and severities."""
    from labkit.analysis.report_config import load

    text = 'profile = "document"\nselect = ["SEQ", "ack-of-unsent-data"]\nstrict = true\n\n[severity]\nSEQ01 = "note"\n'
    _written(damaged_text(draw, text), "labkit.toml", load)


@cache
def tasks() -> list[tuple[str, Any, bytes]]:
    """The shipped assignments: text, task and the octets of a good hand-in."""
    from labkit.teach import assign
    from labkit.teach.assign.material import models

    found = []
    for name in assign.shipped():
        made = assign.Assignment.load(name)
        if made.model.program is None:
            own, model = next(iter(models(made)))
            found.append((assign.shipped_text(name), own.task, model.octets))
    return found


def assignment(draw: Draw) -> None:
    """An assignment: its text, from which a student's material is made."""
    from labkit.teach.assign import Assignment
    from labkit.teach.assign.material import material

    text = tasks()[draw.number(len(tasks()))][0]
    _written(damaged_text(draw, text), "a.yaml", lambda path: material(Assignment.load(path), 1))


def grade(draw: Draw) -> None:
    """What was handed in for an assignment."""
    from labkit.teach.grade.judging import grade as graded

    _text, task, octets = tasks()[draw.number(len(tasks()))]
    graded(task, damaged(draw, octets), "a.pcapng")


@cache
def answer() -> str:
    """What a machine of a cluster answers."""
    from labkit.jobs.answers import encode
    from labkit.report.verdict import verify

    return encode([verify(str(TOP / "pcaps" / "document.pcapng"))])


def answers(draw: Draw) -> None:
    """What another machine answers."""
    from labkit.jobs.answers import AnswerError, decode

    with suppress(AnswerError):
        decode(damaged(draw, answer().encode()).decode("utf-8", "surrogateescape"), ["a.pcapng"])


TARGETS: dict[str, Callable[[Draw], None]] = {
    each.__name__.strip("_"): each
    for each in (
        pcap,
        frames,
        show,
        draw_,
        repair,
        quiz,
        scenario,
        pkt,
        assignment,
        grade,
        roster,
        configuration,
        answers,
    )
}


def attempt(target: Callable[[Draw], None], octets: bytes) -> None:
    """Run one input. Any exception is a failure of labkit, a LabkitError is not."""
    from labkit.errors import LabkitError

    def hang(*_: object) -> None:
        raise Hang(f"longer than {MAX_SECONDS} s")

    signal.signal(signal.SIGPROF, hang)
    before = peak()
    signal.setitimer(signal.ITIMER_PROF, MAX_SECONDS)
    try:
        target(Draw(octets))
    except LabkitError as error:
        if "\n" in str(error):
            raise MistakeError("an error of several lines") from error
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    if peak() - before > MAX_GROWTH:
        raise MistakeError("too much memory")


def peak() -> int:
    """The most octets of memory that this process has taken."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


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
        max_examples=50,
        derandomize=False,  # in continuous integration, Hypothesis would try the same inputs again and again
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


def by_chance(name: str, seconds: float, seed: int) -> int:
    """Run a target with inputs that a seed draws, which costs least; return their number. What fails is raised, and kept."""
    draw, count, until = random.Random(f"{name} {seed}"), 0, time.monotonic() + seconds
    while time.monotonic() < until:
        for _ in range(10):
            octets = draw.randbytes(draw.choice((8, 12, 16, 24, 40, 80, 400)))
            try:
                attempt(TARGETS[name], octets)
            except BaseException:
                print(f"fuzz: {name}: failed: {keep(name, octets)}", file=sys.stderr)
                raise
        count += 10
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


def enter(name: str, count: int, seconds: float) -> None:
    """Add a run in which nothing failed to the figures of all runs."""
    path = folder() / "figures.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    known = figures()
    before = known.get(name, [0, 0.0])
    path.write_text(json.dumps({**known, name: [before[0] + count, before[1] + seconds]}))


def figures() -> dict[str, Any]:
    """The inputs and seconds of the processor of each target, of all runs with this cache folder."""
    path = folder() / "figures.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def table() -> str:
    """The figures of all runs, as docs/security.md shows them."""
    rows = ["| target | inputs | seconds of the processor | inputs in an hour of it |", "| --- | --- | --- | --- |"]
    known = {name: value for name in TARGETS if (value := figures().get(name))}
    for name, (count, seconds) in known.items():
        rows.append(f"| `{name}` | {count:,} | {seconds:,.0f} | {round(count / seconds * 3600, -2):,.0f} |")
    count, seconds = (sum(value[at] for value in known.values()) for at in (0, 1))
    return "\n".join([*rows, f"| all | {count:,} | {seconds:,.0f} | |"])


def main() -> int:
    """Run the targets."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description="Feed labkit hostile input.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all by default")
    parser.add_argument("--seconds", type=float, default=60, help="time for all targets together")
    parser.add_argument("--replay", metavar="FILE", help="run one kept input again")
    parser.add_argument("--seed", type=int, help="draw inputs by chance: most inputs in an hour, for long runs")
    parser.add_argument("--figures", action="store_true", help="print how many inputs all runs have tried")
    parser.add_argument("--list", action="store_true", help="list the targets")
    given = parser.parse_args()
    if given.list:
        print("\n".join(f"{name:<14} {(target.__doc__ or '').splitlines()[0]}" for name, target in TARGETS.items()))
        return 0
    if given.figures:
        print(table())
        return 0
    if unknown := set(given.targets) - set(TARGETS):
        parser.error(f"unknown target: {', '.join(sorted(unknown))}")
    targets = given.targets or list(TARGETS)
    if given.replay:
        attempt(TARGETS[targets[0]], Path(given.replay).read_bytes())
        return 0
    try:
        import_module("atheris")
        run: Callable[[str, float], Any] = by_atheris
    except ImportError:
        run = by_hypothesis
    if given.seed is not None:
        run = partial(by_chance, seed=given.seed)
    code = 0
    for name in targets:
        began = time.process_time()
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
            seconds = time.process_time() - began
            enter(name, count, seconds)
            print(f"{name:<14} {count:>9,} inputs in {seconds:.0f} s of the processor", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
