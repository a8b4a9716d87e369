"""What scripts/fuzz feeds to labkit: good inputs, how they are damaged, and what must take them.

A target is a function of a `Draw`. It raises LabkitError for an input that labkit refuses; anything else is a mistake of labkit.
"""

import gzip
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import replace
from functools import cache
from io import BytesIO
from mmap import MADV_DONTNEED
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

TOP = Path(__file__).resolve().parents[2]
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of this process alone is made in it

MAX_PACKETS = 6
"""Packets of a good input: many short inputs find more in an hour than a few long ones."""
MAX_MADE = 16
"""Packets of a damaged one."""
INTERESTING = (0, 1, 2, 4, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)
STEPS = (1, -1, 2, -2, 4, 100, -100, 1460, -1460, 1 << 16, -(1 << 16), (1 << 31) - 1, 1 << 31, -(1 << 31) + 1)
"""What is added to a number."""
FIELDS = (
    ("H", 0),
    ("H", 2),
    ("I", 4),
    ("I", 4),
    ("I", 8),
    ("I", 8),
    ("B", 12),
    ("B", 13),
    ("B", 13),
    ("H", 14),
    ("H", 18),
)
"""The fields of a TCP header (RFC 9293 section 3.1): ports, numbers, offset, control bits, window, urgent pointer."""
WORDS = (
    "0", "-1", "1e999", "4294967296", "~", "null", "[]", "{}", "&a", "*a", "!!python/object:os.system", "inf", "nan", "''",
    "0x", "1..2", "2..1", "random", "\x1b[2J", "\u202e", "- ", ": ", "#", "\t", "'", '"', "999999999999s", "1ns", "ack 1", "S.",
    "<mss 1>", "0:0(0)", "4294967295:0(1)", "{", "}", "%", "win 0", "=", "[", "]",
)  # fmt: skip


class MistakeError(Exception):
    """What labkit must not do with any input."""


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

    def of(self, items: Sequence[T]) -> T:
        """One of these."""
        return items[self.number(len(items))]

    def base(self, items: Sequence[T]) -> T:
        """A good input. The first quarter of them, the shortest, is taken most often."""
        return items[self.number(len(items) if self.number(4) == 3 else 1 + len(items) // 4)]

    @property
    def left(self) -> bool:
        return self._at < len(self._octets)


# Good captures.


def pieces(octets: bytes) -> list[bytes]:
    """The header and the records of a pcap, or the blocks of a pcapng."""
    found = []
    if octets.startswith(b"\x0a\x0d\x0d\x0a"):
        order, at = (">" if octets[8:12] == b"\x1a\x2b\x3c\x4d" else "<"), 0
        while at < len(octets):
            (length,) = struct.unpack_from(f"{order}I", octets, at + 4)
            found.append(octets[at : at + length])
            at += length
        return found
    order, at = (">" if octets[0] == 0xA1 else "<"), 24
    found.append(octets[:24])
    while at < len(octets):
        (length,) = struct.unpack_from(f"{order}I", octets, at + 8)
        found.append(octets[at : at + 16 + length])
        at += 16 + length
    return found


def begun(found: list[bytes]) -> list[bytes]:
    """The first packets of a capture in pieces, with everything between them."""
    kinds = (b"\x06\0\0\0", b"\x03\0\0\0", b"\x02\0\0\0")
    is_pcapng = found[0].startswith(b"\x0a\x0d\x0d\x0a")
    places = [at for at, each in enumerate(found) if at and (not is_pcapng or each[:4] in kinds)]
    return found[: places[MAX_PACKETS]] if len(places) > MAX_PACKETS else found


def other_forms(frames: Sequence[bytes]) -> list[list[bytes]]:
    """The same packets in forms that labkit reads and does not write."""
    made = []
    for order, magic, extra in ((">", 0xA1B2C3D4, 0), (">", 0xA1B23C4D, 0), ("<", 0xA1B2CD34, 8)):
        head = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 65535, 1)
        records = (
            struct.pack(f"{order}IIII", at, 7, len(data), len(data)) + bytes(extra) + data
            for at, data in enumerate(frames)
        )
        made.append([head, *records])
    for order in ("<", ">"):

        def block(kind: int, body: bytes, order: str = order) -> bytes:
            body += bytes(-len(body) & 3)
            length = struct.pack(f"{order}I", len(body) + 12)
            return struct.pack(f"{order}I", kind) + length + body + length

        section = block(0x0A0D0D0A, struct.pack(f"{order}IHHqHH4sI", 0x1A2B3C4D, 1, 0, -1, 1, 4, b"talk", 0))
        interface = block(1, struct.pack(f"{order}HHIHHB3xI", 1, 0, 0, 9, 1, 6, 0))
        named = block(4, struct.pack(f"{order}HH4s6s2xI", 1, 10, bytes((192, 0, 2, 10)), b"hosts\0", 0))
        packets = [
            block(3, struct.pack(f"{order}I", len(data)) + data)
            if at % 3 == 0
            else block(2, struct.pack(f"{order}HHIIII", 0, 77, 0, at, len(data), len(data)) + data)
            if at % 3 == 1
            else block(6, struct.pack(f"{order}IIIII", 0, 0, at, len(data), len(data)) + data)
            for at, data in enumerate(frames)
        ]
        made.append([section, interface, named, *packets[:4], section, interface, interface, *packets[4:]])
    return made


@cache
def captures() -> list[list[bytes]]:
    """Good captures in pieces, the shortest ones first."""
    whole = [path.read_bytes() for path in sorted((TOP / "pcaps").rglob("*.pcap*")) if path.suffix != ".gz"]
    found = [begun(pieces(each)) for each in whole]
    found += [pieces(each) for each in whole if len(each) < 5000]
    for talk in conversations()[:3]:
        found += other_forms([each.data for each in talk])
    return sorted(found, key=lambda each: sum(map(len, each)))


class Packet(NamedTuple):
    """A frame of a good capture."""

    time: int
    data: bytes
    seg: Any
    """Its segment (`labkit.packet.seen.Seen`), if the frame holds one whole."""


@cache
def conversations() -> list[list[Packet]]:
    """The first frames of good captures of Ethernet."""
    from labkit.analysis.flows import segments
    from labkit.capture import open_capture
    from labkit.packet.seen import Seen

    found = []
    for path in sorted((TOP / "pcaps").rglob("*.pcap*")):
        with open_capture(path) as capture:
            frames = [frame for frame, _number in zip(capture, range(MAX_PACKETS), strict=False)]
        seg, talk = Seen(), []
        if any(frame.link != 1 for frame in frames):
            continue
        for frame in frames:
            held = next(iter(segments([frame], seg)), None)
            whole = (
                held is not None
                and not seg.joined
                and seg.readable
                and seg.tcp_at + seg.doff + seg.len <= len(frame.data)
            )
            talk.append(Packet(frame.time, frame.data, copy(seg) if whole else None))
        found.append(talk)
    return sorted(found, key=lambda talk: sum(len(each.data) for each in talk))


# Damage.


def change(draw: Draw, data: bytearray) -> None:
    """Change, remove, repeat or put in some octets; half of the changes are at the beginning, where the fields are."""
    kind, at = draw.number(12), draw.number(len(data))
    if kind > 5:
        kind, at = kind - 6, at % 48 % len(data)
    if kind == 0:
        data[at] ^= 1 << draw.number(8)
    elif kind == 1:
        form = draw.of(("<I", ">I", "<H", ">H", "B"))
        value = draw.of(INTERESTING) & (1 << 8 * struct.calcsize(form)) - 1
        data[at : at + struct.calcsize(form)] = struct.pack(form, value)
    elif kind == 2:
        del data[at : at + 1 + draw.number(64)]
    elif kind == 3:
        data[at:at] = data[at : at + 1 + draw.number(256)]
    elif kind == 4:
        data[at] = draw.number(256)
    else:
        data[at:at] = bytes(1 + draw.number(16))


def damaged(draw: Draw, octets: bytes) -> bytes:
    """Octets with some changes."""
    data = bytearray(octets)
    while draw.left and data:
        change(draw, data)
    return bytes(data)


def moved(draw: Draw, items: list[T]) -> int | None:
    """Remove, repeat or move one of the items; or the place of one that is to be changed."""
    kind, at = draw.number(8), draw.number(8 * len(items))
    at = at // 8 if at % 8 == 0 else 1 + at % max(1, len(items) - 1)
    at = min(at, len(items) - 1)  # the first one is spared mostly: without the head of a file nothing is read
    if kind == 0:
        del items[at]
    elif kind == 1:
        items.insert(1 + draw.number(len(items)), items[at])
    elif kind == 2:
        items.insert(1 + draw.number(len(items)), items.pop(at))
    elif kind == 3:
        items[at:at] = items[at : at + draw.number(4)] * (1 + draw.number(3))
    else:
        return at
    return None


def damaged_capture(draw: Draw) -> bytes:
    """A capture file: its records and blocks moved, and their octets changed."""
    found = list(draw.base(captures()))
    while draw.left and found:
        at = moved(draw, found)
        if at is not None and found[at]:
            data = bytearray(found[at])
            change(draw, data)
            found[at] = bytes(data)
    return b"".join(found[: MAX_MADE + 4])


def changed_packet(draw: Draw, packet: Packet) -> Packet:
    """A packet with another time, another field of TCP and the right checksum, or other octets."""
    from labkit.packet.rewrite import with_checksum

    time, data, seg = packet
    kind = draw.number(8)
    if kind == 0:
        return Packet(max(0, time + draw.of(STEPS) * 10 ** draw.number(12)), data, seg)
    octets = bytearray(data)
    if seg is None or kind == 1 or not octets:
        if octets:
            change(draw, octets)
        return Packet(time, bytes(octets), None)
    if kind == 2:
        return Packet(time, data[: draw.number(len(data))], None)
    if kind == 3 and seg.doff + seg.len > 20:  # an octet of the options or of the payload
        octets[seg.tcp_at + 20 + draw.number(seg.doff + seg.len - 20)] = draw.number(256)
    else:
        form, at = draw.of(FIELDS)
        size = struct.calcsize(form)
        at += seg.tcp_at
        value = int.from_bytes(octets[at : at + size], "big")
        value = value + draw.of(STEPS) if size > 1 else value ^ 1 << draw.number(8)
        octets[at : at + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "big")
    return Packet(time, with_checksum(bytes(octets), seg), seg)


def damaged_text(draw: Draw, text: str) -> str:
    """Text with lines moved, and words put in the place of others."""
    lines = text.splitlines()
    while draw.left and lines:
        kind, at = draw.number(5), draw.number(len(lines))
        word = draw.of(WORDS)
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


# What takes captures.


@cache
def library() -> Any:
    """The compiled engine, if it is built."""
    from labkit.analysis.native import library as native

    return native.library(lambda _why: None) if native.is_built() else None


SMALL = 8, 4, 20, 8, 8, 1
"""Bounds of what is kept (`labkit.analysis.verdict.Bounds`)."""


class Kept:
    """A `NativeVerifier` that serves many inputs: its memory is set back, which takes less than to make it."""

    def __init__(self, made: Any) -> None:
        """`made` by `engine._compiled`: the verifier and its batches."""
        native, batches = made
        self._native, self._batches = native, tuple(batches)
        memories = [*native._memory.values(), native._context_memory]
        self._small = [(each.view, bytes(each.view)) for each in memories if len(each.view) < LARGE]
        self._large = [each.view for each in memories if len(each.view) >= LARGE]
        for view in self._large:
            if any(bytes(view)):
                raise AssertionError("a large table is not empty")

    def again(self) -> Any:
        """The same, as it was made."""
        for view, octets in self._small:
            view[:] = octets
        for view in self._large:
            view.obj.madvise(MADV_DONTNEED)
        return self._native, list(self._batches)


LARGE = 1 << 16
"""Octets of a table from which its pages are given back, and not written."""


@contextmanager
def reused_memory() -> Iterator[None]:
    """Have the compiled engine use the same memory for all inputs."""
    from labkit.analysis.native import engine

    made: dict[Any, Kept] = {}
    make = engine._compiled

    def again(*given: Any, **more: Any) -> Any:
        bounds = more.get("bounds")
        if bounds is None or tuple(bounds) != SMALL:
            return make(*given, **more)
        profile = given[1]
        if profile not in made:
            made[profile] = Kept(make(*given, **more))
        return made[profile].again()

    engine._compiled = again
    try:
        yield
    finally:
        engine._compiled = make


class Process:
    """What this process has."""

    compared = 0
    """How many inputs both engines have judged."""
    place = Path()
    """The folder of its files."""


def judge(octets: bytes, form: int) -> None:
    """Judge a capture with each engine, and report it in one format."""
    from labkit.analysis.catalogue import collect
    from labkit.analysis.examine import Completeness, examine
    from labkit.analysis.native import COMPILED, INTERPRETED, engine
    from labkit.analysis.severity import DOCUMENT, RFC9293
    from labkit.analysis.verdict import Bounds
    from labkit.capture import open_capture
    from labkit.capture.budget import Budget, Meter
    from labkit.report.formats import ReportOptions, names, renderer

    # Small bounds are met by small inputs, and their tables are made fast.
    bounds = Bounds() if form == 0 else Bounds(*SMALL)
    profile = DOCUMENT if form % 4 == 1 else RFC9293
    completeness = ("auto", "auto", "complete", "partial")[form // 4 % 4]
    whole = form % 8 == 0

    def verdict(which: str) -> Any:
        with open_capture(BytesIO(octets), Meter(Budget(octets=1 << 24))) as capture:
            how = completeness if whole else "partial"
            found = engine.verify_capture(capture, profile, engine=which, bounds=bounds, completeness=how, alone=False)
        return replace(found, findings=list(found.findings), conversations=list(found.conversations))

    one = verdict(INTERPRETED)
    if library() is not None:
        if one != verdict(COMPILED):
            raise MistakeError("the engines do not agree")
        Process.compared += 1
    if not whole:  # the second look depends on the verdict alone: once is enough mostly
        one = examine(one, lambda: open_capture(BytesIO(octets)), collect(), Completeness(completeness))
    one = replace(one, path="a.pcapng", content=octets)
    name = names()[form % len(names())]
    if name in ("sarif", "junit", "html") and form >= 32:  # they list all rules, or draw: costly for each input
        name = "text"
    for _line in renderer(name)([one], ReportOptions(one.fail_on)):
        pass


def pcap(draw: Draw) -> None:
    """A capture file: its headers, records and blocks."""
    form, compress, cut = draw.number(256), draw.number(32) == 31, draw.number(9)
    octets = damaged_capture(draw)
    judge(gzip.compress(octets, 1)[: -1 - cut] if compress else octets, form)


def frames(draw: Draw) -> None:
    """The frames of a sound capture."""
    from labkit.capture import create

    form, kind, talk = draw.number(256), draw.of(("pcap", "pcapng")), list(draw.base(conversations()))
    link = (1, 101, 113, 276, 0, 12, 228, 229)[draw.number(8) if draw.number(32) == 31 else 0]
    while draw.left and talk:
        at = moved(draw, talk)
        if at is not None:
            talk[at] = changed_packet(draw, talk[at])
    target = BytesIO()
    with create(target, link=link, format=kind) as capture:
        for packet in talk[:MAX_MADE]:
            capture.write(packet.time, packet.data[:65535])
    judge(target.getvalue(), form)


def show(draw: Draw) -> None:
    """A capture file, for `labkit show`."""
    from labkit.analysis.native import COMPILED, INTERPRETED, engine
    from labkit.capture import open_capture
    from labkit.report.conversation_table import FORMATS, TableStyle, TextTable

    name, both = draw.of(list(FORMATS)), draw.number(8) == 0
    octets = damaged_capture(draw)

    def shown(which: str) -> list[str]:
        with open_capture(BytesIO(octets)) as reader:
            style = TableStyle(name == "text", True, reader.names, reader.interfaces)
            table = TextTable(style) if name == "text" else None
            rows: Any = engine.observe_capture(reader, engine=which, table=table)
            return list(table.lines(rows) if table is not None else FORMATS[name](rows, style))

    one = shown(INTERPRETED)
    if both and name != "notation" and library() is not None:  # the notation has what only the interpreter knows
        if one != shown(COMPILED):
            raise MistakeError("the engines do not agree")
        Process.compared += 1


def draw_(draw: Draw) -> None:
    """A capture file, for `labkit draw`."""
    from labkit.capture import open_capture
    from labkit.report import draw as pictures
    from labkit.report.draw import _subject

    name = draw.of(pictures.names())
    form = draw.of(pictures.formats(name))
    octets = damaged_capture(draw)
    found = _subject.of_capture("a", lambda: open_capture(BytesIO(octets)), None)
    if found.conversations:
        for _piece in pictures.picture(name, form)(found, pictures.DrawOptions()):
            pass


def repair(draw: Draw) -> None:
    """The frames of a capture, for `labkit repair`."""
    from labkit.build.trace import Trace
    from labkit.report.repair import repair as repaired

    repaired(Trace.from_capture(BytesIO(damaged_capture(draw))))


def quiz(draw: Draw) -> None:
    """A capture file, for `labkit quiz`."""
    from labkit.teach.quiz import questions, subject

    seed = draw.number(256)
    questions(subject.subject("a", BytesIO(damaged_capture(draw))), seed=seed)


# What takes texts.


@cache
def scenarios() -> list[str]:
    found = [path.read_text("utf-8") for path in (TOP / "labkit" / "build" / "scenarios").glob("*.yaml")]
    return sorted(found, key=len)


@contextmanager
def place() -> Iterator[None]:
    """Have a folder for the files of this process: in memory, where the system has such a folder."""
    with TemporaryDirectory(prefix="labkit-fuzz-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        Process.place = Path(folder)
        yield


def _written(text: str, name: str, use: Callable[[Path], object]) -> None:
    path = Process.place / name
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    use(path)


def scenario(draw: Draw) -> None:
    """A scenario, which is played where it is sound and short."""
    from labkit.build.scenario import Scenario

    def use(path: Path) -> None:
        found = Scenario.load(path)
        if found.model.conversations is None:
            found.play(seed=1)

    _written(damaged_text(draw, draw.base(scenarios())), "a.yaml", use)


@cache
def notations() -> list[str]:
    found = re.split(r"^==.*\n", (TOP / "tests" / "conversations.txt").read_text(), flags=re.MULTILINE)
    texts = (each.partition("\n--")[0] for each in found)
    return sorted((each for each in texts if re.search(r"^[><]", each, re.MULTILINE)), key=len)


def pkt(draw: Draw) -> None:
    """A conversation in the notation."""
    from labkit.build import script

    _written(damaged_text(draw, draw.base(notations())), "a.pkt", script.load)


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
    """The shipped assignments, the shortest first: text, task and the octets of a good hand-in."""
    from labkit.teach import assign
    from labkit.teach.assign.material import models

    found = []
    for name in assign.shipped():
        made = assign.Assignment.load(name)
        if made.model.program is None:
            own, model = next(iter(models(made)))
            found.append((assign.shipped_text(name), own.task, model.octets))
    return sorted(found, key=lambda each: len(each[0]))


def assignment(draw: Draw) -> None:
    """An assignment: its text, from which a student's material is made."""
    from labkit.teach.assign import Assignment
    from labkit.teach.assign.material import material

    text = draw.of(tasks())[0]
    _written(damaged_text(draw, text), "a.yaml", lambda path: material(Assignment.load(path), 1))


def grade(draw: Draw) -> None:
    """What was handed in for an assignment."""
    from labkit.teach.grade.judging import grade as graded

    _text, task, octets = draw.of(tasks())
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
