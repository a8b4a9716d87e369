"""The model of an assignment's YAML. This is the only list of its keys."""

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema

from labkit.build.scenario.fields import Faults, Model
from labkit.build.scenario.units import duration
from labkit.i18n import _, listed
from labkit.teach.assign import draw
from labkit.teach.assign.middlebox import MIDDLEBOXES
from labkit.teach.assign.questions import KINDS as QUESTIONS
from labkit.teach.grade import checks
from labkit.teach.grade.task import CAPTURE, OTHERS
from labkit.teach.quiz.kinds import kinds

MAX_RUNS = 100
"""Runs of a program that is handed in."""
MAX_PARTS = 50
"""Parts of an assignment."""


class Strict(Model):
    """A part of an assignment. Keys of several words have dashes."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        arbitrary_types_allowed=True,
        alias_generator=lambda name: name.replace("_", "-"),
    )


def _points(value: Any) -> float:
    match = re.fullmatch(r"-?\d{1,4}(\.\d{1,2})?", str(value).strip(), re.ASCII)
    if isinstance(value, bool) or match is None:
        raise ValueError(
            _("{value!r} is not a number of points; expected one such as 2 or 0.5").format(value=str(value)[:40])
        )
    return float(value)


def _positive(value: Any) -> float:
    points = _points(value)
    if points <= 0:
        raise ValueError(_("{value!r} is not more than 0; expected one such as 2 or 0.5").format(value=str(value)[:40]))
    return points


def _expect(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        raise ValueError(_("is not a mapping; expected one such as {server-port: 8080}"))
    found = {}
    for name, want in value.items():
        if name not in checks.KINDS:
            from labkit.i18n import nearest

            known = listed(checks.KINDS)
            raise ValueError(
                _("there is no expectation {name!r}; expected one of {known}{nearest}").format(
                    name=str(name)[:40], known=known, nearest=nearest(str(name), checks.KINDS)
                )
            )
        try:
            found[name] = checks.read(name, want)
        except ValueError as error:
            raise ValueError(f"{name}{_(': ')}{error}") from error
    return found


def _rules(value: Any) -> tuple[str, ...]:
    """Rule words as codes."""
    from labkit.analysis.catalogue import collect
    from labkit.analysis.report_config import rules_named

    found: dict[str, None] = {}
    for word in value if isinstance(value, list | tuple) else [value]:
        if word == OTHERS:
            found[OTHERS] = None
            continue
        named = rules_named(str(word), collect())
        if not named:
            from labkit.i18n import nearest

            known = [name for rule in collect() for name in (rule.code, rule.family)]
            raise ValueError(
                _("{word!r} is not a rule, family or beginning of codes, nor 'others'{nearest}").format(
                    word=str(word)[:40], nearest=nearest(str(word), known)
                )
            )
        found |= {rule.code: None for rule in named}
    return tuple(found)


def _draws(value: Any) -> dict[str, draw.Drawn]:
    if not isinstance(value, dict):
        raise ValueError(_("is not a mapping; expected one such as {port: [8080, 8443]}"))  # noqa: TRY004 - pydantic's
    found = {}
    for name, choices in value.items():
        if not draw.NAME.fullmatch(name):
            raise ValueError(
                _("the name {name!r} does not fit; expected small letters, digits and dashes").format(name=name[:40])
            )
        try:
            found[name] = draw.read(choices)
        except ValueError as error:
            raise ValueError(f"{name}{_(': ')}{error}") from error
    return found


def _scenario(value: Any) -> Any:
    if not isinstance(value, str | dict):
        raise ValueError(_("is not a scenario; expected the name of a shipped one, or its keys"))  # noqa: TRY004 - pydantic's
    return value


def _texts(value: Any) -> tuple[str, ...]:
    values = value if isinstance(value, list | tuple) else [value]
    if not values or any(isinstance(each, dict | list) or each is None for each in values):
        raise ValueError(_("is not an answer; expected a number or a text, or a list of them"))
    return tuple(str(each) for each in values)


def _deadline(value: Any) -> str:
    try:
        when = datetime.fromisoformat(str(value))
    except ValueError as error:
        text = _("{value!r} is not a time; expected one such as 2026-11-30T23:59:00+01:00")
        raise ValueError(text.format(value=str(value)[:50])) from error
    if when.tzinfo is None:
        raise ValueError(
            _("{value!r} has no time zone; expected one such as 2026-11-30T23:59:00+01:00").format(
                value=str(value)[:50]
            )
        )
    return when.isoformat()


def _share(value: Any) -> float:
    match = re.fullmatch(r"(\d{1,3})\s*%", str(value).strip(), re.ASCII)
    if match is None or not 0 <= int(match[1]) <= 100:
        raise ValueError(_("{value!r} is not a share; expected one such as 10%").format(value=str(value)[:40]))
    return int(match[1]) / 100


def _middlebox(value: Any) -> str | None:
    if value is not None and value not in MIDDLEBOXES:
        raise ValueError(
            _("{value!r} is not known; expected one of {known}").format(
                value=str(value)[:40], known=listed(MIDDLEBOXES)
            )
        )
    return value  # type: ignore[no-any-return]


FINDABLE = tuple(dict.fromkeys((*QUESTIONS, *kinds())))
"""The kinds of answers to a question that is asked, and the kinds of questions that labkit asks itself."""


def _question(value: Any) -> str:
    if value not in FINDABLE:
        from labkit.i18n import nearest

        raise ValueError(
            _("{value!r} is not known; expected one of {known}{nearest}").format(
                value=str(value)[:40], known=listed(FINDABLE), nearest=nearest(str(value), FINDABLE)
            )
        )
    return str(value)


_SHARE = {"type": "string", "pattern": r"^\d{1,3} ?%$", "examples": ["10%"]}
_RULES = {"type": ["string", "array"], "items": {"type": "string"}, "examples": [["SEQ", "ACK"], "others"]}
_ANY = {"type": ["string", "number", "array"]}

Points = Annotated[float, BeforeValidator(_positive), WithJsonSchema({"type": "number", "exclusiveMinimum": 0})]
Expected = Annotated[
    dict[str, Any],
    BeforeValidator(_expect),
    WithJsonSchema(
        {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": False,
            "properties": {name: checks.schema(name) for name in checks.KINDS},
        }
    ),
]
Rules = Annotated[tuple[str, ...], BeforeValidator(_rules), WithJsonSchema(_RULES)]
Share = Annotated[float, BeforeValidator(_share), WithJsonSchema(_SHARE)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_texts), WithJsonSchema(_ANY)]
Name = Annotated[str, Field(min_length=1, max_length=80)]


class PartModel(Strict):
    """A part of the assignment, with its points."""

    part: Name
    points: Points
    expect: Expected = Field(default_factory=dict)
    """What the conversation must show. All of it is needed for the points, unless `partial` is true."""
    rules: Rules = ()
    """Rules, families or beginnings of codes whose errors are mistakes of this part; `others`: all that no part names."""
    each: Points | None = None
    """The points that each mistake costs; by default it costs all points of the part."""
    partial: bool = False
    """Whether each expectation earns its share of the points."""
    bonus: bool = False
    """Whether the points come on top."""
    penalty: bool = False
    """Whether the points are taken off if something is wrong."""


class QuestionModel(Strict):
    """A question about the given capture."""

    ask: Annotated[str, Field(max_length=1000)] = ""
    """The question. Without it, labkit asks one of the kind that `find` names (`labkit.teach.quiz`)."""
    points: Points = 1.0
    find: Annotated[str, BeforeValidator(_question), WithJsonSchema({"enum": list(FINDABLE)})] | None = None
    """The kind of answer that labkit finds in the capture."""
    answer: Texts = ()
    """The right answer, if labkit does not find it; several are alternatives."""
    because: Annotated[str, Field(max_length=1000)] = ""
    """Why it is right, for the feedback."""
    bonus: bool = False


class LateModel(Strict):
    """What lateness costs."""

    cost: Share
    """The share of the points that each period costs."""
    per: Annotated[int, BeforeValidator(duration), WithJsonSchema({"type": "string", "examples": ["1440min"]})] = (
        86_400_000_000_000
    )
    """The period."""
    most: Share = 1.0
    """The most that is taken off."""


class ProgramModel(Strict):
    """How a program that is handed in is run."""

    side: Literal["client", "server"]
    """The program's side."""
    peer: Literal["labkit", "kernel"] = "labkit"
    """The TCP of the other side: labkit's, or the kernel's."""
    link: Literal["tun", "raw"] = "tun"
    """How it sends packets: through a tun device, or by raw sockets."""
    runs: Annotated[int, Field(ge=1, le=MAX_RUNS)] = 3
    """How many runs, with the seeds from 1."""
    time: Annotated[int, BeforeValidator(duration), WithJsonSchema({"type": "string", "examples": ["10s"]})] = (
        10_000_000_000
    )
    """How long a run may take."""


class SolutionModel(Strict):
    """A program that solves the assignment."""

    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,60}$")]
    """The name of its file."""
    text: Annotated[str, Field(max_length=200_000)]


def _change(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(each, str) for pair in value.items() for each in pair):
        raise ValueError(_("is not a mapping of texts; expected one such as {old text: new text}"))
    return value


class HandInModel(Strict):
    """A model hand-in: what somebody may hand in, and the points that it must get."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,60}$")]
    points: Annotated[float, BeforeValidator(_points), WithJsonSchema({"type": "number", "minimum": 0})]
    faults: Faults = ()
    """Faults in the solution."""
    scenario: Annotated[Any, BeforeValidator(_scenario), WithJsonSchema({"type": ["string", "object"]})] = None
    """Another scenario than the solution."""
    given: bool = False
    """Whether the given capture is handed in as it is."""
    text: str | None = None
    """A file with this text; `{1}` is the right answer to question 1."""
    change: Annotated[dict[str, str], BeforeValidator(_change), WithJsonSchema({"type": "object"})] = Field(
        default_factory=dict
    )
    """Texts of the `solution` that are replaced, each by another one."""
    why: Annotated[str, Field(max_length=500)] = ""


class AssignmentModel(Strict):
    """An assignment."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,60}$")]
    title: Annotated[str, Field(min_length=1, max_length=200)]
    summary: Annotated[str, Field(max_length=500)] = ""
    text: Annotated[str, Field(max_length=20_000)]
    """What the student reads, in Markdown."""
    hand_in: Literal["capture", "live-capture", "answers", "repaired-capture", "live-program"] = CAPTURE  # type: ignore[assignment]
    """What is handed in."""
    profile: Literal["rfc9293", "document"] = "rfc9293"
    complete: bool | None = None
    """Whether no packet is missing in what is handed in; without it, the capture tells."""
    count: Literal["error", "warning"] = "error"
    """The lowest severity that is a mistake."""
    draw: Annotated[dict[str, Any], BeforeValidator(_draws), WithJsonSchema({"type": "object"})] = Field(
        default_factory=dict
    )
    """Values of their own for each student: a list that is spread evenly, a range, or `random`."""
    scenario: Annotated[Any, BeforeValidator(_scenario), WithJsonSchema({"type": ["string", "object"]})]
    """The right conversation: a shipped scenario's name, or a scenario."""
    faults: Faults = ()
    """Faults in the given capture."""
    middlebox: Annotated[str | None, BeforeValidator(_middlebox), WithJsonSchema({"enum": list(MIDDLEBOXES)})] = None
    """What is between the two sides; both sides' captures are given."""
    give: Literal["nothing", "ladder", "capture"] = "nothing"
    """What the hand-out shows of the conversation: a ladder with blanks, or the capture with its faults."""
    program: ProgramModel | None = None
    """How the program that is handed in is run."""
    parts: Annotated[tuple[PartModel, ...], Field(max_length=MAX_PARTS)] = ()
    questions: Annotated[tuple[QuestionModel, ...], Field(max_length=MAX_PARTS)] = ()
    reveal: Literal["full", "actual", "points"] = "full"
    """What feedback shows: everything, no right numbers, or points only."""
    several: Literal["best", "last", "none"] = "best"
    """Which of several files counts."""
    deadline: Annotated[str, BeforeValidator(_deadline), WithJsonSchema({"type": "string"})] = ""
    late: LateModel | None = None
    solution: SolutionModel | None = None
    """The program that solves it."""
    hand_ins: tuple[HandInModel, ...] = ()
    """Model hand-ins, with the points that they must get."""
