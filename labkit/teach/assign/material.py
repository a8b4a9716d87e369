"""What one student gets, and what is kept of it: the given captures, the task with its right answers, the solution."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from io import BytesIO

from labkit.analysis.finding import Finding
from labkit.analysis.severity import Severity
from labkit.build.faults import inject
from labkit.build.scenario import Scenario
from labkit.build.scenario import shipped as shipped_scenarios
from labkit.build.trace import Trace
from labkit.capture import open_capture
from labkit.errors import ScenarioError, UsageError
from labkit.i18n import N_, _
from labkit.teach.assign import Assignment, draw
from labkit.teach.assign.middlebox import behind
from labkit.teach.assign.questions import KINDS, Subject, asked
from labkit.teach.grade.facts import conversations
from labkit.teach.grade.honesty import packets_digest
from labkit.teach.grade.judging import judged
from labkit.teach.grade.task import ANSWERS, LIVE, PROGRAM, REPAIR, Answer, Given, Part, Task
from labkit.teach.grade.task import CAPTURE as CRAFTED

CAPTURE, CLIENT, SERVER = "capture.pcapng", "client.pcapng", "server.pcapng"
"""The names of the given captures: one, or one of each side of a middlebox."""
ANSWER_FILE = "answers.txt"


@dataclass(frozen=True, slots=True)
class Material:
    """What one student gets, and the solution."""

    assignment: Assignment
    """With the student's own values."""
    task: Task
    trace: Trace
    """The right conversation."""
    captures: dict[str, bytes]
    """The given captures by file name."""


def material(assignment: Assignment, seed: int, place: int = 0) -> Material:
    """Build what the student with a seed gets; `place` among the students decides over lists. ScenarioError if the values
    do not fit, a fault does not apply, or a question has no answer."""
    own = assignment.with_values(draw.values(assignment.drawn, seed, place))
    model = own.model
    trace = own.scenario.play(seed)
    given = _faulty(own, trace)
    captures: dict[str, bytes] = {}
    if model.give == "capture" and model.middlebox is None:
        captures[CAPTURE] = octets(given)
    elif model.give == "capture":
        captures[CLIENT] = octets(given)
        captures[SERVER] = octets(behind(_at_server(own, seed), str(model.middlebox)))
    task = own.task()
    first = next(iter(captures.values()), b"")
    if model.hand_in == ANSWERS:
        errors = _errors(task, first)
        parts = _questions(own, Subject(given, errors, model.middlebox or ""), first, seed)
        task = replace(task, parts=parts, shared=False)
    if model.hand_in in (CRAFTED, LIVE):
        task = replace(task, given=Given(solution=_digest(trace)))
    elif captures:
        task = replace(task, given=_given(trace, first, whole=model.hand_in == REPAIR), shared=False)
    return Material(own, task, trace, captures)


def octets(trace: Trace) -> bytes:
    """A trace as a capture without comments or other hints."""
    stream = BytesIO()
    replace(trace, seed=None).write(stream, format="pcapng", edition="student")
    return stream.getvalue()


def _faulty(own: Assignment, trace: Trace) -> Trace:
    try:
        return inject(trace, own.model.faults)
    except UsageError as error:
        raise own.source.error(("faults",), str(error)) from error


def _at_server(own: Assignment, seed: int) -> Trace:
    """The same conversation, captured at the server."""
    scenario = own.scenario
    return Scenario(scenario.source, scenario.model.model_copy(update={"capture": "server"})).play(seed)


def _errors(task: Task, capture: bytes) -> tuple[Finding, ...]:
    verdict, _talks = judged(task, capture)
    return tuple(each for each in verdict.findings if each.severity >= Severity.ERROR and each.caused_by is None)


def _given(trace: Trace, capture: bytes, *, whole: bool) -> Given:
    """What identifies a given capture; with `whole`, what a repaired one must keep."""
    digest = sha256(capture).hexdigest()
    isns = trace.client_isn, trace.server_isn
    if not whole:
        return Given(sha256=digest, isns=isns)
    with open_capture(BytesIO(octets(trace))) as right:
        talk = next(conversations(right))
    streams = talk.digest(0), talk.digest(1)
    return Given(digest, isns, talk.octets, streams, talk.ends, len(talk.segments))


def _questions(own: Assignment, subject: Subject, capture: bytes, seed: int) -> tuple[Part, ...]:
    parts = []
    for number, question in enumerate(own.model.questions, 1):
        ask, right, because = question.ask, question.answer, question.because
        if question.find is not None:
            try:
                if ask.strip():
                    right, found = KINDS[question.find](subject)
                else:
                    ask, (right, found) = asked(question.find, capture, seed)
            except ScenarioError as error:
                raise own.source.error(("questions", number - 1), str(error)) from error
            because = because or found
        answer = Answer(number, ask, right, because)
        name = _("Question {n}").format(n=number)
        parts.append(Part(name, question.points, bonus=question.bonus, answer=answer))
    return tuple(parts)


def template(task: Task) -> str:
    """The file in which a student writes the answers."""
    questions = [part.answer for part in task.parts if part.answer]
    lines = [f"# {' '.join(each.ask.split())}\n{each.number}: " for each in questions]
    return "\n".join(lines) + "\n"


def known_captures(assignment: Assignment) -> dict[str, str]:
    """The captures of the assignment's own scenario that labkit writes, by the digest of their packets, each with a name.

    Nobody should hand in one of them: the shipped scenario, the solution of the example student, or the document's.
    """
    if assignment.model.hand_in in (ANSWERS, REPAIR):
        return {}
    scenarios = {_("the example of the assignment"): assignment.scenario}
    for name in (assignment.name, "document", "handshake", "four-segment-close", "three-segment-close"):
        if name in shipped_scenarios():
            scenarios[_("the scenario {name}").format(name=name)] = Scenario.load(name)
    return {_digest(each.play(0)): name for name, each in scenarios.items()}


def _digest(trace: Trace) -> str:
    return packets_digest([frame for _time, frame, _comment in trace.frames()])


# Model hand-ins.


@dataclass(frozen=True, slots=True)
class Model:
    """A model hand-in of an assignment."""

    name: str
    file: str
    octets: bytes
    points: float
    """The points that it must get."""
    why: str


def models(assignment: Assignment, seed: int = 0, place: int = 0) -> Iterator[tuple[Material, Model]]:
    """The solution, as `right`, and the model hand-ins of an assignment, each with the task of its student."""
    own = material(assignment, seed, place)
    if own.task.kind == PROGRAM:
        yield from ((own, each) for each in _programs(own))
        return
    yield own, _right(own)
    for number, each in enumerate(own.assignment.model.hand_ins):
        if each.text is not None:
            content = _filled(each.text, own.task.parts).encode()
            yield own, Model(each.name, ANSWER_FILE, content, each.points, each.why)
            continue
        if each.given:
            content = next(iter(own.captures.values()), b"")
        else:
            trace = own.trace
            if each.scenario is not None:
                trace = own.assignment.scenario_of(each.scenario, ("hand-ins", number, "scenario")).play(seed)
            content = octets(inject(trace, each.faults))
        yield own, Model(each.name, f"{each.name}.pcapng", content, each.points, each.why)


def _programs(own: Material) -> Iterator[Model]:
    """The solution, and those that differ from it. ScenarioError if there is none."""
    model = own.assignment.model
    if model.solution is None:
        raise ScenarioError(_("{name}: has no 'solution:', of which model hand-ins are made").format(name=model.name))
    file, solution = model.solution.file, model.solution.text
    yield Model("right", file, solution.encode(), _most(own.task), _("the solution"))
    for each in model.hand_ins:
        text = solution
        for old, new in each.change.items():
            text = text.replace(old, new)
        yield Model(each.name, file, text.encode(), each.points, each.why)


def _most(task: Task) -> float:
    """All points, and those of the bonus."""
    return task.of + sum(part.points for part in task.parts if part.bonus)


def _right(own: Material) -> Model:
    points = _most(own.task)
    if own.task.kind == ANSWERS:
        lines = [f"{part.answer.number}: {part.answer.right[0]}" for part in own.task.parts if part.answer]
        return Model("right", ANSWER_FILE, ("\n".join(lines) + "\n").encode(), points, N_("the solution"))
    return Model("right", "right.pcapng", octets(own.trace), points, N_("the solution"))


def _filled(text: str, parts: Sequence[Part]) -> str:
    for part in parts:
        if part.answer is not None:
            text = text.replace("{" + str(part.answer.number) + "}", part.answer.right[0])
    return text
