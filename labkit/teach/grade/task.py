"""What is graded: a task's parts, with their points, and what each part expects of a hand-in.

A task is plain data that goes to JSON and back. An assignment becomes one task for all students, or one for each student with
numbers of their own. `labkit.teach.assign` makes tasks; grading needs nothing else.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from json import dumps, loads
from typing import Any

CAPTURE, LIVE, ANSWERS, REPAIR = "capture", "live-capture", "answers", "repaired-capture"
PROGRAM = "live-program"
KINDS = (CAPTURE, LIVE, ANSWERS, REPAIR, PROGRAM)
"""What is handed in: a capture that the student crafts, a capture of the student's own live run, answers to questions, the
given capture without its mistakes, or a program that is run in a lab."""

MAX_PARTS = 256
"""Parts of tasks that are kept, to be the same object for many students."""

OTHERS = "others"
"""Among the rules of a part: every rule that no part names."""


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation: the name of a check of `labkit.teach.grade.checks`, and the value that it wants."""

    name: str
    want: Any
    """A text, a pair of numbers (from, to), or a list of texts."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a task, with its points."""

    name: str
    points: float
    checks: tuple[Check, ...] = ()
    rules: tuple[str, ...] = ()
    """Codes of rules: an error against one of them is a mistake in this part."""
    each: float | None = None
    """Points that each mistake costs; None: a mistake costs all points of the part."""
    partial: bool = False
    """Whether each check earns its share of the points; otherwise all checks must hold."""
    bonus: bool = False
    """Whether the points are on top of the total."""
    penalty: bool = False
    """Whether the points are taken off if something is wrong, and earn nothing otherwise."""
    answer: "Answer | None" = None
    """For a question: the right answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The right answer to a question."""

    number: int
    """The question's number, from 1."""
    ask: str
    right: tuple[str, ...]
    """The accepted answers. Numbers are compared as numbers, words without regard to capitals."""
    because: str = ""
    """Why it is right."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a student was given: evidence of whose work a hand-in is, and what a repaired capture must keep."""

    sha256: str = ""
    isns: tuple[int, int] | None = None
    octets: tuple[int, int] | None = None
    streams: tuple[str, str] | None = None
    """Digests of both sides' data."""
    ends: tuple[str, str] | None = None
    segments: int | None = None
    solution: str = ""
    """A digest of the packets of the solution that labkit builds (`honesty.packets_digest`)."""


@dataclass(frozen=True, slots=True)
class Task:
    """What one student has to hand in, and how it is graded."""

    name: str
    title: str = ""
    kind: str = CAPTURE
    profile: str = "rfc9293"
    complete: bool | None = None
    """Whether packets may be missing in a hand-in; None: the capture tells."""
    count: str = "error"
    """The lowest severity of a finding that is a mistake."""
    parts: tuple[Part, ...] = ()
    reveal: str = "full"
    """What feedback shows: `full`, `actual` (not the right number), `points` (the points of each part only)."""
    several: str = "best"
    """Which of several files counts: `best`, `last` or `none`."""
    deadline: str = ""
    """A time in ISO 8601; empty: none."""
    late: tuple[float, int, float] = (0.0, 86_400, 1.0)
    """The share of the points that each period of lateness costs, the seconds of a period, and the most that is taken off."""
    shared: bool = True
    """Whether all students have the same task."""
    judged: str = ""
    """The address whose mistakes count; empty: those of both sides."""
    given: Given = field(default_factory=Given)

    @property
    def of(self) -> float:
        """The points of a perfect hand-in, without bonus."""
        return round(sum(part.points for part in self.parts if not part.bonus and not part.penalty), 2)

    def to_json(self) -> dict[str, Any]:
        """The task as values for JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Task":
        """The task of `to_json`."""
        parts = tuple(_part(dumps(each)) for each in value["parts"])
        given: dict[str, Any] = {
            key: tuple(each) if isinstance(each, list) else each for key, each in value["given"].items()
        }
        return cls(**{**value, "parts": parts, "given": Given(**given), "late": tuple(value["late"])})


@lru_cache(MAX_PARTS)
def _part(text: str) -> Part:
    """A part from its JSON. Most parts are the same for the whole class, and there once."""
    value = loads(text)
    checks = tuple(Check(**each) for each in value["checks"])
    answer = value["answer"]
    if answer is not None:
        answer = Answer(**{**answer, "right": tuple(answer["right"])})
    return Part(**{**value, "checks": checks, "rules": tuple(value["rules"]), "answer": answer})


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong in a hand-in."""

    part: str
    what: str
    """What is wrong, in one sentence."""
    packet: int | None = None
    code: str = ""
    """The rule; empty for an expectation of the assignment."""
    should_be: str = ""
    receiver: str = ""
    mend: str = ""
    hint: str = ""
    """What is wrong, without the right number."""


@dataclass(frozen=True, slots=True)
class PartResult:
    """The points of one part."""

    name: str
    points: float
    of: float
    reason: str
    """Why: what is right, or what is wrong."""
    packet: int | None = None
    bonus: bool = False
    penalty: bool = False

    @property
    def passed(self) -> bool:
        """Whether the part has all its points."""
        return self.points >= (0 if self.penalty else self.of)


GRADED, DAMAGED, NOTHING, EMPTY, NO_TCP, WRONG_TYPE, UNREADABLE, REFUSED = STATUSES = (
    "graded",
    "damaged",
    "nothing",
    "empty",
    "no-tcp",
    "wrong-type",
    "unreadable",
    "refused",
)
"""`graded`; `damaged`: the file breaks off, and was graded up to there; `nothing` was handed in; `empty`: no octet, or no packet;
`no-tcp`: no TCP conversation; `wrong-type`: another kind of file; `unreadable`; `refused`: an archive that labkit does not open,
or more files than the assignment allows."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a program that was handed in."""

    seed: int
    """The seed, by which the run can be repeated."""
    points: float
    packets: int
    ended: str
    """Why it ended early, or what was wrong with the program; empty if the conversation was whole."""
    exit_code: int | None
    """The program's exit code; None if labkit ended it."""
    output: str
    """What the program printed, up to a bound."""


@dataclass(frozen=True, slots=True)
class Result:
    """The grade of one hand-in: what every platform's output is made of."""

    task: Task
    status: str
    points: float = 0.0
    parts: tuple[PartResult, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    notes: tuple[str, ...] = ()
    """Further remarks, each a sentence."""
    file: str = ""
    sha256: str = ""
    conversation: str = ""
    """The conversation that was graded, as its two ends."""
    packets: int = 0
    runs: tuple[Run, ...] = ()
    """The runs of a program."""

    @property
    def of(self) -> float:
        """The points of a perfect hand-in."""
        return self.task.of

    @property
    def share(self) -> float:
        """The points as a share from 0 to 1; more with a bonus."""
        return self.points / self.of if self.of else 0.0

    @property
    def was_read(self) -> bool:
        """Whether there was something to grade."""
        return self.status in (GRADED, DAMAGED)

    @property
    def first(self) -> Mistake | None:
        """The first mistake: that of the lowest packet number, else the first of the task."""
        numbered = [each for each in self.mistakes if each.packet is not None]
        return min(numbered, key=lambda each: each.packet or 0) if numbered else next(iter(self.mistakes), None)


def points_text(points: float) -> str:
    """Points without needless zeros."""
    return f"{round(points, 2):g}"
