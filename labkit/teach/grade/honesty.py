"""Compare the hand-ins of a class: copies, near-copies, and work that carries another student's numbers.

Each remark has its evidence and is for a person to judge. Numbers that the assignment prescribes, or that many students share
(a program's defaults), are not evidence.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from itertools import combinations

from labkit.analysis.entry import CLIENT, SERVER
from labkit.capture import open_capture
from labkit.errors import CaptureError, InputError
from labkit.i18n import N_, _, listed
from labkit.tcp.segment import SYN
from labkit.teach.grade import answers, checks
from labkit.teach.grade.facts import Conversation, conversations
from labkit.teach.grade.task import ANSWERS, Task

COMMON = 3
"""A value that more than this number of hand-ins share is not evidence."""
ENOUGH = 3
"""Choices that two hand-ins must share to be near-copies."""
MAX_PAIRS = 200
"""Remarks about pairs of students."""
MAX_COMPARED = 1_000
"""Hand-ins that are compared with each other."""
MAX_OCTETS = 4 << 20
"""Octets of a hand-in whose conversation is compared."""

CHOICES = {
    "client-isn": N_("the client's initial sequence number"),
    "server-isn": N_("the server's initial sequence number"),
    "client-port": N_("the client's port"),
    "client-address": N_("the client's address"),
    "client-data": N_("the client's data"),
    "server-data": N_("the server's data"),
    "identifications": N_("the IP identifications"),
    "windows": N_("the windows"),
    "gaps": N_("the times between the packets"),
    "shape": N_("sequence of segments"),
}
"""What a student chooses freely unless the assignment prescribes it."""

PRESCRIBED = {
    "client-data": "client-text",
    "server-data": "server-text",
}


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that a person should look at."""

    kind: str
    """`identical`, `same-packets`, `near-identical`, `someone-elses`, `given-solution`."""
    students: tuple[str, ...]
    evidence: str


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What is compared of one hand-in."""

    student: str
    task: Task
    sha256: str
    packets: str = ""
    """A digest of all frames, without their times and the format of the file."""
    choices: tuple[tuple[str, str], ...] = ()
    talk: Conversation | None = None
    answers: Mapping[int, str] = field(default_factory=dict)
    """The answers to questions by their numbers."""


def fingerprint(student: str, task: Task, octets: bytes, name: str) -> Fingerprint:
    """Take from a hand-in what is compared; `name` is the conversation that was graded."""
    digest = sha256(octets).hexdigest()
    if task.kind == ANSWERS:
        with suppress(InputError):
            return Fingerprint(student, task, digest, answers=answers.read(octets))
    if not name or len(octets) > MAX_OCTETS:
        return Fingerprint(student, task, digest)
    frames = sha256()
    try:
        with open_capture(BytesIO(octets)) as capture:
            kept = []
            for frame in capture:
                frames.update(len(frame.data).to_bytes(4) + frame.data)
                kept.append(frame)
        talk = next((each for each in conversations(kept) if each.name == name), None)
    except CaptureError:
        talk = None
    if talk is None:
        return Fingerprint(student, task, digest)
    return Fingerprint(student, task, digest, frames.hexdigest(), tuple(_choices(talk)), talk)


def _choices(talk: Conversation) -> Iterator[tuple[str, str]]:
    for name, side in (("client", CLIENT), ("server", SERVER)):
        isn = talk.isns[side]
        if isn is not None and isn > 1:  # nobody chooses 0 and 1
            yield f"{name}-isn", str(isn)
        if len(talk.streams[side]) > 4 and len(set(talk.streams[side])) > 3:
            yield f"{name}-data", talk.digest(side)
    yield "client-port", str(talk.ports[CLIENT])
    yield "client-address", talk.addresses[CLIENT]
    first = talk.segments[0]
    idents = [seg.ip_id for seg in talk.segments]
    if len(set(idents)) > 2 and idents != list(range(idents[0], idents[0] + len(idents))):
        yield "identifications", str(idents)
    yield "windows", str([seg.window for seg in talk.segments])
    yield "gaps", str([seg.time - first.time for seg in talk.segments])
    base = {side: talk.isns[side] or 0 for side in (CLIENT, SERVER)}
    shape = [
        (seg.side, seg.ctl, seg.length, seg.seq - base[seg.side], 0 if seg.ctl == SYN else seg.ack - base[1 - seg.side])
        for seg in talk.segments
    ]
    yield "shape", str(shape)


def packets_digest(frames: Sequence[bytes]) -> str:
    """The digest of frames, as `Fingerprint.packets` has it."""
    found = sha256()
    for frame in frames:
        found.update(len(frame).to_bytes(4) + frame)
    return found.hexdigest()


def remarks(prints: Sequence[Fingerprint], tasks: Mapping[str, Task], *, given: Mapping[str, str]) -> list[Remark]:
    """Compare all hand-ins. `tasks` holds the task of each student, `given` names captures by the digest of their packets."""
    found = [*_groups(prints), *_others(prints, tasks), *_given(prints, given)]
    grouped = {frozenset(pair) for each in found for pair in combinations(each.students, 2)}
    found += [each for each in _near(prints[:MAX_COMPARED]) if frozenset(each.students) not in grouped][:MAX_PAIRS]
    return found


def _groups(prints: Sequence[Fingerprint]) -> Iterator[Remark]:
    together: set[tuple[str, ...]] = set()
    kinds: tuple[tuple[str, Callable[[Fingerprint], str], str], ...] = (
        ("identical", lambda each: each.sha256, _("the files are the same, byte for byte ({digest})")),
        ("same-packets", lambda each: each.packets, _("all packets are the same; only times or the file format differ")),
    )  # fmt: skip
    for kind, key, text in kinds:
        same: dict[str, list[str]] = defaultdict(list)
        for each in prints:
            if key(each) and _is_own_work(each):
                same[key(each)].append(each.student)
        for digest, students in same.items():
            group = tuple(dict.fromkeys(students))
            if len(group) > 1 and group not in together:
                together.add(group)
                yield Remark(kind, group, text.format(digest=f"SHA-256 {digest[:12]}…"))


def _is_own_work(each: Fingerprint) -> bool:
    """Two answers to the same questions may be the same words."""
    return each.task.kind != ANSWERS or not each.task.shared


def _others(prints: Sequence[Fingerprint], tasks: Mapping[str, Task]) -> Iterator[Remark]:
    """Hand-ins that have the numbers of another student's task, and not those of their own."""
    for each in prints:
        if (each.talk is None and not each.answers) or each.task.shared:
            continue
        own = _fit(each, each.task)
        if own is None or own[0] == own[1]:
            continue
        for student, task in tasks.items():
            if student == each.student:
                continue
            fit = _fit(each, task)
            if fit is not None and fit[0] == fit[1] > own[0] and fit[1] > 1:
                text = _(
                    "the capture has all {n} numbers that {other} was given, and {m} of those that {student} was given"
                )
                if each.answers:
                    text = _("all {n} answers are right for the capture of {other}, and {m} for that of {student}")
                evidence = text.format(n=fit[1], other=student, m=own[0], student=each.student)
                yield Remark("someone-elses", (each.student, student), evidence)


def _fit(each: Fingerprint, task: Task) -> tuple[int, int] | None:
    """How many of a task's own numbers, or of its right answers, a hand-in has, and how many there are."""
    if each.answers:
        asked = [part.answer for part in task.parts if part.answer is not None]
        return sum(answers.is_right(one, each.answers.get(one.number, "")) for one in asked), len(asked)
    assert each.talk is not None  # noqa: S101 - checked by the caller
    wanted = [check for part in task.parts for check in part.checks if checks.KINDS[check.name].identifies]
    if task.given.isns is not None:
        return sum(isn == own for isn, own in zip(each.talk.isns, task.given.isns, strict=True)), 2
    if not wanted:
        return None
    return sum(checks.KINDS[one.name].function(each.talk, one.want, task.given).ok for one in wanted), len(wanted)


def _given(prints: Sequence[Fingerprint], given: Mapping[str, str]) -> Iterator[Remark]:
    for each in prints:
        if each.packets and each.packets == each.task.given.solution:
            text = _("all packets are those of the solution that labkit builds for this student")
            yield Remark("given-solution", (each.student,), text)
        elif each.packets in given:
            text = _("all packets are those of {name}, which labkit writes")
            yield Remark("given-solution", (each.student,), text.format(name=given[each.packets]))


def _near(prints: Sequence[Fingerprint]) -> Iterator[Remark]:
    holders: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, each in enumerate(prints):
        prescribed = {check.name for part in each.task.parts for check in part.checks}
        for name, value in each.choices:
            if name not in prescribed and PRESCRIBED.get(name, name) not in prescribed:
                holders[name, value].append(place)
    shared: Counter[tuple[int, int]] = Counter()
    what: dict[tuple[int, int], list[str]] = defaultdict(list)
    for (name, _value), places in holders.items():
        if 1 < len(places) <= COMMON:
            for pair in combinations(places, 2):
                shared[pair] += 1
                what[pair].append(name)
    for pair, count in shared.most_common():
        strong = any(name in ("client-isn", "server-isn", "identifications", "gaps") for name in what[pair])
        if count >= ENOUGH and strong and prints[pair[0]].student != prints[pair[1]].student:
            names = listed(_(CHOICES[name]) for name in CHOICES if name in what[pair])
            text = _("both have the same, which few others have: {names}")
            students = prints[pair[0]].student, prints[pair[1]].student
            yield Remark("near-identical", students, text.format(names=names))
