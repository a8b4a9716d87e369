"""Assignments: one YAML file says what students do, what they hand in, and what it is worth.

    name: handshake
    title: Craft a conversation
    text: Write the packets of a conversation with port $port of the server.
    hand-in: capture
    draw: {port: 8000..8999}
    scenario: document
    parts:
      - {part: Opening, points: 2, expect: {opened: handshake, server-port: $port}, rules: [handshake]}
      - {part: Close, points: 2, expect: {close-segments: 4}}

`model` has the keys, `draw` the values of each student's own, `questions` what can be asked about a capture, `middlebox` what
can stand between two captures. `Assignment.task` is what grading needs; `material` builds what one student gets, `kit` what a
class gets, and `handout` the page.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib.resources import files
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.build.scenario import SUFFIXES, Scenario
from labkit.build.scenario.source import Key, Source, parse, read_file
from labkit.errors import ScenarioError
from labkit.i18n import N_, _, nearest
from labkit.teach.assign import draw
from labkit.teach.grade.task import ANSWERS, PROGRAM, REPAIR, Check, Part, Task

if TYPE_CHECKING:
    from labkit.teach.assign.model import AssignmentModel


@dataclass(frozen=True, slots=True)
class Assignment:
    """A valid assignment. Its model has the values of an example student; `with_values` gives those of another one."""

    source: Source
    model: "AssignmentModel"
    drawn: Mapping[str, draw.Drawn]
    values: Mapping[str, draw.Value]

    @classmethod
    def load(cls, name: str | Path) -> "Assignment":
        """Load a shipped assignment by its name, or a file: a name with a slash or with the suffix .yaml or .yml.

        ScenarioError, one line, if it does not exist or is not valid.
        """
        text = str(name)
        if isinstance(name, Path) or text.endswith(SUFFIXES) or "/" in text:
            return cls.parse(read_file(Path(text), what=N_("an assignment")), text, Path(text).parent)
        known = shipped()
        if text not in known:
            hint = nearest(text, known) or _("; 'labkit assign list' lists them; the name of a file ends in .yaml")
            raise ScenarioError(_("{text!r} is not a shipped assignment{hint}").format(text=text, hint=hint))
        return cls.parse(shipped_text(text), f"{text}.yaml")

    @classmethod
    def parse(cls, text: str, source: str = "<text>", folder: Path | None = None) -> "Assignment":
        """Read an assignment from its YAML text. Error messages call it `source`. ScenarioError if it is not valid."""
        from labkit.teach.assign.model import AssignmentModel

        found = parse(text, source, folder)
        drawn: Mapping[str, draw.Drawn] = {}
        if "draw" in found.data:
            # The values are needed before the rest can be read.
            drawn = _validated(AssignmentModel, found, {**found.data, **_OTHER_KEYS}).draw
        values = draw.values(drawn, 0)
        made = cls(found, _model(found, values), drawn, values)
        made.scenario  # noqa: B018 - raises for an invalid one
        _check(made)
        return made

    def with_values(self, values: Mapping[str, draw.Value]) -> "Assignment":
        """The assignment of a student with these values. ScenarioError if they do not fit."""
        return replace(self, model=_model(self.source, values), values=dict(values)) if self.drawn else self

    @property
    def name(self) -> str:
        """The assignment's name."""
        return self.model.name

    @property
    def scenario(self) -> Scenario:
        """The right conversation."""
        return self.scenario_of(self.model.scenario, ("scenario",))

    def scenario_of(self, value: Any, key: Key) -> Scenario:
        """A shipped scenario by its name, or the scenario that stands at a key."""
        if isinstance(value, str):
            try:
                return Scenario.load(value)
            except ScenarioError as error:
                raise self.source.error(key, str(error)) from error
        from labkit.build.scenario.check import validate

        data = {"name": self.name, **value}
        lines = {at[len(key) :]: line for at, line in self.source.lines.items() if at[: len(key)] == key}
        source = Source(self.source.name, data, lines, self.source.folder, dumps(data, sort_keys=True))
        return Scenario(source, validate(source))

    @property
    def digest(self) -> bytes:
        """The SHA-256 digest of the assignment's text."""
        return sha256(self.source.text.encode()).digest()

    def task(self) -> Task:
        """What grading needs. The answers to questions that labkit finds, and what was given, come from `material`."""
        model = self.model
        parts = tuple(
            Part(
                name=part.part,
                points=part.points,
                checks=tuple(Check(name, want) for name, want in part.expect.items()),
                rules=part.rules,
                each=part.each,
                partial=part.partial,
                bonus=part.bonus,
                penalty=part.penalty,
            )
            for part in model.parts
        )
        late = (0.0, 86_400, 1.0)
        if model.late is not None:
            late = (model.late.cost, max(1, model.late.per // 1_000_000_000), model.late.most)
        return Task(
            name=model.name,
            title=model.title,
            kind=model.hand_in,
            profile=model.profile,
            # All that a program sends, and all that comes to it, is recorded.
            complete=True if model.hand_in == PROGRAM and model.complete is None else model.complete,
            count=model.count,
            parts=parts,
            reveal=model.reveal,
            several=model.several,
            deadline=model.deadline,
            late=late,
            shared=not self.drawn,
        )


_OTHER_KEYS: dict[str, Any] = {
    "name": "x", "title": "x", "text": "x", "scenario": "document", "parts": [], "questions": [], "hand-ins": [], "faults": [],
    "middlebox": None,
}  # fmt: skip
"""Values of the keys that may use drawn values, while these are read."""


def _validated(model: "type[AssignmentModel]", source: Source, data: Any) -> "AssignmentModel":
    from pydantic import ValidationError

    from labkit.build.scenario.complaints import first_error

    try:
        return model.model_validate(data)
    except ValidationError as error:
        # The messages show the data that was validated, with values in the place of their names.
        raise first_error(replace(source, data=data), error.errors(include_url=False), model) from error


def _model(source: Source, values: Mapping[str, draw.Value]) -> "AssignmentModel":
    from labkit.teach.assign.model import AssignmentModel

    data = {}
    for key, value in source.data.items():
        try:
            data[key] = draw.substituted(_translated(value, key), values)
        except ValueError as error:
            raise source.error((key,), str(error)) from error
    return _validated(AssignmentModel, source, data)


TEXTS = frozenset({"title", "summary", "text", "part", "ask", "why"})
"""The keys whose values a reader sees. Those of shipped assignments have translations."""


def _translated(value: Any, key: str) -> Any:
    """A key's value with its texts in the user's language."""
    if isinstance(value, Mapping):  # of which a text is what somebody sends or hands in
        return {name: _translated(each, name if name != "text" else "") for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_translated(each, key) for each in value]
    return _(value) if key in TEXTS and isinstance(value, str) else value


def _check(made: Assignment) -> None:
    """Check combinations of keys."""
    model, source = made.model, made.source
    if model.hand_in == ANSWERS:
        if model.parts or not model.questions:
            raise source.error(("hand-in",), _("answers need 'questions:', and no 'parts:'"))
        if model.give != "capture":
            raise source.error(("give",), _("answers are about a given capture; expected give: capture"))
    elif model.questions or not model.parts:
        raise source.error(
            ("hand-in",), _("{hand_in} needs 'parts:', and no 'questions:'").format(hand_in=model.hand_in)
        )
    if model.hand_in == REPAIR and (model.give != "capture" or not model.faults):
        raise source.error(("hand-in",), _("a repaired capture needs give: capture, and 'faults:'"))
    if (model.hand_in == PROGRAM) != (model.program is not None):
        raise source.error(("hand-in",), _("live-program needs 'program:', and nothing else has it"))
    if model.hand_in == PROGRAM and (model.give != "nothing" or model.faults or model.middlebox):
        raise source.error(("hand-in",), _("a program has no 'give:', 'faults:' or 'middlebox:'"))
    _check_models(made)
    _check_questions(made)
    _check_parts(made)


def _check_models(made: Assignment) -> None:
    """Check the model hand-ins: those of a program are changes of its solution, and no others are."""
    model, source = made.model, made.source
    if model.solution is not None and model.hand_in != PROGRAM:
        raise source.error(("solution",), _("belongs to hand-in: live-program"))
    solution = model.solution.text if model.solution is not None else ""
    for number, each in enumerate(model.hand_ins):
        key = ("hand-ins", number)
        other = each.faults or each.scenario is not None or each.given or each.text is not None
        if bool(each.change) != (model.hand_in == PROGRAM) or (each.change and other):
            raise source.error(
                key, _("model hand-ins of a program need 'change:' and nothing else, and no others have it")
            )
        for old in each.change:
            if solution.count(old) != 1:
                text = _("change: the solution has {old!r} {n} times; expected once")
                raise source.error(key, text.format(old=old[:60], n=solution.count(old)))


def _check_questions(made: Assignment) -> None:
    from labkit.teach.assign.questions import KINDS
    from labkit.teach.quiz.kinds import kinds

    source = made.source
    for number, question in enumerate(made.model.questions):
        if (question.find is None) == (not question.answer):
            raise source.error(("questions", number), _("needs either 'find:' or 'answer:'"))
        if not question.ask.strip() and question.find not in kinds():
            raise source.error(("questions", number), _("needs 'ask:'"))
        if question.ask.strip() and question.find is not None and question.find not in KINDS:
            text = _("find: {kind} asks a question of its own; leave 'ask:' out")
            raise source.error(("questions", number), text.format(kind=question.find))


def _check_parts(made: Assignment) -> None:
    model, source = made.model, made.source
    for number, part in enumerate(model.parts):
        if not part.expect and not part.rules:
            raise source.error(("parts", number), _("needs 'expect:' or 'rules:'"))
        if part.bonus and part.penalty:
            raise source.error(("parts", number), _("is a bonus and a penalty; expected one of them"))
    if model.late is not None and not model.deadline:
        raise source.error(("late",), _("needs 'deadline:'"))


def shipped() -> list[str]:
    """The names of the shipped assignments, from the first of a course to the last."""
    return list(_shipped())


def shipped_text(name: str) -> str:
    """The YAML of a shipped assignment."""
    return _shipped()[name].read_text("utf-8")


def _shipped() -> dict[str, Path]:
    """The files of the shipped assignments by their names: `1-handshake.yaml` is `handshake`, the first."""
    # The package is always unpacked, so that its files are files.
    folder = Path(str(files("labkit.teach.assign").joinpath("shipped")))
    return {each.stem.partition("-")[2]: each for each in sorted(folder.glob("*.yaml"))}
