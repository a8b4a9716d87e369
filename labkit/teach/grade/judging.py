"""Grade one hand-in: the file's octets become a `Result`."""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from gzip import GzipFile
from hashlib import sha256
from io import BytesIO
from itertools import islice

from labkit.analysis.examine import Completeness
from labkit.analysis.finding import Finding
from labkit.analysis.limit_kinds import BUDGETS
from labkit.analysis.native import engine
from labkit.analysis.report_config import SEVERITIES
from labkit.analysis.verdict import Verdict
from labkit.capture import open_capture
from labkit.capture.budget import Budget, Meter
from labkit.errors import CaptureError, InputError
from labkit.i18n import _, joined, ngettext, printable
from labkit.teach.grade import answers, checks
from labkit.teach.grade.facts import Conversation, conversations
from labkit.teach.grade.filetype import GZIP, described
from labkit.teach.grade.task import (
    ANSWERS,
    DAMAGED,
    EMPTY,
    GRADED,
    MAX_PARTS,
    NO_TCP,
    NOTHING,
    OTHERS,
    PROGRAM,
    REFUSED,
    UNREADABLE,
    WRONG_TYPE,
    Mistake,
    Part,
    PartResult,
    Result,
    Task,
    points_text,
)

MAX_MISTAKES = 100
"""Mistakes that a result keeps."""
MAX_PACKETS = 200_000
"""Packets of a hand-in: the time that one may take."""
MAX_PLAIN = 64 << 20
"""Octets of a compressed hand-in, uncompressed."""
MAX_SECONDS = 60
"""Seconds for which a hand-in is read."""


def default_budget() -> Budget:
    """What grading one file may cost unless somebody says otherwise."""
    return Budget(octets=MAX_PLAIN, seconds=MAX_SECONDS)


def grade(task: Task, octets: bytes, file: str = "", budget: Budget | None = None) -> Result:
    """Grade the file that a student handed in. Whatever it holds, a Result says so; nothing is raised."""
    budget = budget or default_budget()
    file = printable(file)
    digest = sha256(octets).hexdigest()
    if not octets:
        return without(task, EMPTY, _("the file is empty"), file=file, sha256=digest)
    if task.kind == ANSWERS:
        return _grade_answers(task, octets, file, digest)
    kind = described(octets)
    if kind is not None:
        reason = _("the file is not a capture: it is {kind}").format(kind=kind)
        return without(task, WRONG_TYPE, reason, file=file, sha256=digest)
    if _is_too_large(octets, budget.octets):
        text = _("the file is larger than {most:,} bytes when it is uncompressed (--max-bytes)")
        reason = text.format(most=budget.octets)
        return without(task, REFUSED, reason, file=file, sha256=digest)
    try:
        if _has_too_many(octets):
            text = _("the capture has more than {most:,} packets; hand in your conversation alone")
            return without(task, REFUSED, text.format(most=MAX_PACKETS), file=file, sha256=digest)
        verdict, talks = judged(task, octets, budget)
    except CaptureError as error:
        # The reader calls the file `the stream`.
        reason = str(error).partition(": ")[2] or str(error)
        return without(
            task, UNREADABLE, _("the file cannot be read: {reason}").format(reason=reason), file=file, sha256=digest
        )
    return _grade_capture(task, verdict, talks, file, digest)


def _is_too_large(octets: bytes, most: int | None) -> bool:
    """Whether a file is larger than it may be, uncompressed. Damaged gzip data is judged as far as it goes."""
    if most is None or not octets.startswith(GZIP):
        return most is not None and len(octets) > most
    total = 0
    try:
        with GzipFile(fileobj=BytesIO(octets)) as file:
            while total <= most and (piece := file.read(1 << 20)):
                total += len(piece)
    except (OSError, EOFError, zlib.error):
        pass
    return total > most


def _has_too_many(octets: bytes) -> bool:
    """Whether a capture has more packets than are graded. CaptureError if it cannot be read."""
    if len(octets) < MAX_PACKETS and not octets.startswith(GZIP):
        return False  # a packet takes more than an octet
    with open_capture(BytesIO(octets)) as capture:
        return any(number > MAX_PACKETS for number, _frame in enumerate(capture, 1))


def without(task: Task, status: str, reason: str, *, file: str = "", sha256: str = "", packets: int = 0) -> Result:
    """The result of a hand-in in which there is nothing to grade."""
    parts = tuple(
        _lost(part.name, 0.0 if part.penalty else part.points, reason, part.bonus, part.penalty) for part in task.parts
    )
    mistake = Mistake("", reason, hint=reason, mend=_mend(status, task))
    return Result(task, status, 0.0, parts, (mistake,), (), printable(file), sha256, packets=packets)


@lru_cache(MAX_PARTS)
def _lost(name: str, points: float, reason: str, bonus: bool, penalty: bool) -> PartResult:
    """A part without points; the same one for all who handed in nothing."""
    return PartResult(name, 0.0, points, reason, bonus=bonus, penalty=penalty)


def _mend(status: str, task: Task) -> str:
    if task.kind == ANSWERS:
        return _("Hand in the text file with your answers, one 'NUMBER: ANSWER' on each line.")
    if task.kind == PROGRAM:
        return _("Run your program with 'labkit check-live', and look at what it prints and sends.")
    return {
        NOTHING: _("Hand in a capture file (.pcap or .pcapng)."),
        EMPTY: _("Write the packets into the file, open it in Wireshark, and hand it in again."),
        NO_TCP: _("Check in Wireshark that the filter 'tcp' shows your conversation."),
        REFUSED: _("Hand in one capture file, as it is: without a password, an archive or other traffic."),
        WRONG_TYPE: _("Hand in the capture itself (.pcap or .pcapng); renaming another file does not make it one."),
    }.get(status, _("Save the capture again, open it in Wireshark, and hand it in again."))


def judged(task: Task, octets: bytes, budget: Budget | None = None) -> tuple[Verdict, list[Conversation]]:
    """The verdict on a capture, and its conversations. CaptureError if it cannot be read."""
    meter = Meter(budget or default_budget())
    completeness = {None: Completeness.AUTO, True: Completeness.COMPLETE, False: Completeness.PARTIAL}[task.complete]
    with open_capture(BytesIO(octets), meter) as capture:
        verdict = engine.verify_capture(capture, task.profile, alone=False, completeness=completeness)
    if not verdict.segments:
        return verdict, []
    with open_capture(BytesIO(octets)) as capture:
        return verdict, list(conversations(islice(capture, verdict.packets)))


def _grade_capture(task: Task, verdict: Verdict, talks: Sequence[Conversation], file: str, digest: str) -> Result:
    if not talks:
        if not verdict.packets and verdict.damage is None:
            return without(task, EMPTY, _("the capture has no packet"), file=file, sha256=digest)
        text = _("no packet of the capture is a TCP segment that can be read")
        if not verdict.packets and verdict.damage is not None:
            text = _("the file is damaged before its first packet: {reason}").format(reason=verdict.damage.message)
            return without(task, UNREADABLE, text, file=file, sha256=digest)
        return without(task, NO_TCP, text, file=file, sha256=digest, packets=verdict.packets)
    errors = _errors(task, verdict)
    chosen = _choose(task, talks, errors)
    parts, mistakes = _scored(task, chosen, errors.get(chosen.flow, ()))
    return Result(
        task=task,
        status=GRADED if verdict.damage is None else DAMAGED,
        points=_total(parts),
        parts=tuple(parts),
        mistakes=tuple(mistakes[:MAX_MISTAKES]),
        notes=tuple(_notes(verdict, chosen, talks)),
        file=file,
        sha256=digest,
        conversation=chosen.name,
        packets=verdict.packets,
    )


def _notes(verdict: Verdict, chosen: Conversation, talks: Sequence[Conversation]) -> list[str]:
    notes = []
    if len(talks) > 1:
        others = len(talks) - 1
        text = ngettext(
            "graded the conversation {name}, which fits the assignment best; {n} other was not graded",
            "graded the conversation {name}, which fits the assignment best; {n} others were not graded",
            others,
        )
        notes.append(text.format(name=chosen.name, n=others))
    if verdict.damage is not None:
        text = _("the file is damaged: {reason}; graded up to packet {n}")
        if verdict.damage.kind in BUDGETS:
            text = _("the rest was not graded: {reason}; graded up to packet {n}")
        notes.append(text.format(reason=verdict.damage.message, n=verdict.packets))
    notes += [
        _("the capture has a limit: {text}").format(text=limit.message)
        for limit in verdict.limits
        if limit.kind in NOTED
    ]
    return notes


NOTED = ("truncated", "mid-stream", "one-sided", "not-read", "packets-missing")
"""Kinds of limits that a student can mend."""


def _choose(task: Task, talks: Sequence[Conversation], errors: Mapping[int, Sequence[Finding]]) -> Conversation:
    """The conversation that fits the assignment best: the one whose ends fit, then the one with the most points."""
    if len(talks) == 1:
        return talks[0]

    def rank(talk: Conversation) -> tuple[int, float, int]:
        fitting = sum(
            _outcome(each.name, each.want, talk, task).ok
            for part in task.parts
            for each in part.checks
            if checks.KINDS[each.name].identifies
        )
        parts, _mistakes = _scored(task, talk, errors.get(talk.flow, ()))
        return fitting, _total(parts), -talk.segments[0].packet

    return max(talks, key=rank)


def _outcome(name: str, want: object, talk: Conversation, task: Task) -> checks.Outcome:
    return checks.KINDS[name].function(talk, want, task.given)


def _errors(task: Task, verdict: Verdict) -> dict[int, list[Finding]]:
    """The findings that are mistakes, by conversation."""
    found: dict[int, list[Finding]] = {}
    for each in mistakes_of(task, verdict):
        found.setdefault(each.flow, []).append(each)
    return found


def mistakes_of(task: Task, verdict: Verdict) -> Iterator[Finding]:
    """Select the findings that are mistakes of the student: not their consequences, and not what the other side did."""
    least = SEVERITIES[task.count]
    for each in verdict.findings:
        of_judged = not task.judged or each.source.rpartition(":")[0].strip("[]") == task.judged
        if each.severity >= least and each.caused_by is None and of_judged:
            yield each


def _scored(task: Task, talk: Conversation, errors: Sequence[Finding]) -> tuple[list[PartResult], list[Mistake]]:
    named = {code for part in task.parts for code in part.rules if code != OTHERS}
    parts, mistakes = [], []
    counted: set[int] = set()
    for part in task.parts:
        own = [each for each in errors if each.code in part.rules or (OTHERS in part.rules and each.code not in named)]
        counted |= {id(each) for each in own}
        result, wrong = _part(part, task, talk, own)
        parts.append(result)
        mistakes += wrong
    mistakes += [_mistake("", each) for each in errors if id(each) not in counted]
    return parts, mistakes


def _part(part: Part, task: Task, talk: Conversation, errors: Sequence[Finding]) -> tuple[PartResult, list[Mistake]]:
    outcomes = [(each, _outcome(each.name, each.want, talk, task)) for each in part.checks]
    failed = [outcome for _check, outcome in outcomes if not outcome.ok]
    worth = abs(part.points)
    earned = worth
    if failed:
        earned = worth * (1 - len(failed) / len(outcomes)) if part.partial else 0.0
    if errors:
        earned = max(0.0, earned - part.each * len(errors)) if part.each is not None else 0.0
    mistakes = [_unmet(part, each.name, outcome) for each, outcome in outcomes if not outcome.ok]
    mistakes += [_mistake(part.name, each) for each in errors]
    # Without partial credit the first unmet expectation has cost all points.
    told = failed if part.partial else failed[:1]
    reasons = [joined(_("{is_}; expected {should}").format(is_=each.is_, should=each.should)) for each in told]
    reasons += [_error_text(each) for each in errors[:3]]
    if len(errors) > 3:
        reasons.append(_("and {n} more mistakes").format(n=len(errors) - 3))
    packet = min((each.packet for each in mistakes if each.packet is not None), default=None)
    if not reasons:
        reasons = [outcome.is_ for _check, outcome in outcomes] or [_("no mistake")]
    of, points = worth, earned
    if part.penalty:
        of, points = 0.0, earned - worth
    result = PartResult(part.name, round(points, 2), of, _("; ").join(reasons), packet, part.bonus, part.penalty)
    return result, mistakes


def _unmet(part: Part, name: str, outcome: checks.Outcome) -> Mistake:
    should_be = joined(_("expected {should}").format(should=outcome.should))
    return Mistake(
        part.name,
        outcome.is_,
        outcome.packet,
        should_be=should_be,
        mend=_(checks.KINDS[name].mend),
        hint=outcome.is_,
    )


def _error_text(found: Finding) -> str:
    if found.packet is None:
        return f"{found.message} [{found.code}]"
    return _("packet {n}: {message} [{code}]").format(n=found.packet, message=found.message, code=found.code)


def _mistake(part: str, found: Finding) -> Mistake:
    hint = (
        _("the {field} of this packet is wrong").format(field=found.field)
        if found.field
        else _("a rule is broken here")
    )
    return Mistake(
        part,
        found.message,
        found.packet,
        found.code,
        found.should_be,
        found.receiver,
        found.mend,
        f"{hint} [{found.code}]",
    )


def _total(parts: Sequence[PartResult]) -> float:
    return round(max(0.0, sum(part.points for part in parts)), 2)


# Answers.


def _grade_answers(task: Task, octets: bytes, file: str, digest: str) -> Result:
    kind = described(octets, text=True)
    if kind is not None:
        reason = _("the file is not a text with answers: it is {kind}").format(kind=kind)
        return without(task, WRONG_TYPE, reason, file=file, sha256=digest)
    try:
        given = answers.read(octets)
    except InputError as error:
        return without(task, WRONG_TYPE, str(error), file=file, sha256=digest)
    if not any(given.values()):
        return without(task, EMPTY, _("the file has no line 'NUMBER: ANSWER'"), file=file, sha256=digest)
    parts, mistakes = [], []
    for part in task.parts:
        assert part.answer is not None  # noqa: S101 - every part of such a task is a question
        text = given.get(part.answer.number, "")
        if text and answers.is_right(part.answer, text):
            parts.append(
                PartResult(
                    part.name,
                    part.points,
                    part.points,
                    _("right: {text}").format(text=printable(text)),
                    bonus=part.bonus,
                )
            )
            continue
        is_ = _("the answer is {text}").format(text=printable(text)) if text else _("there is no answer")
        should = _("expected {right}").format(right=part.answer.right[0])
        parts.append(PartResult(part.name, 0.0, part.points, f"{is_}{_('; ')}{should}", bonus=part.bonus))
        mistakes.append(Mistake(part.name, is_, None, should_be=should, receiver=part.answer.because, hint=is_))
    return Result(task, GRADED, _total(parts), tuple(parts), tuple(mistakes), (), file, digest)


def summary(result: Result) -> str:
    """The points and the status in a few words."""
    points = _("{points} of {of} points").format(points=points_text(result.points), of=points_text(result.of))
    return points if result.was_read else f"{points}{_(': ')}{result.mistakes[0].what}"
