"""What an assignment's questions can ask about the given capture. Each kind finds its own answer there.

The answers follow from the capture that is handed out: from the trace that made it, and from labkit's own verdict on it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from random import Random

from labkit.analysis.finding import Finding
from labkit.build.trace import Record, Trace
from labkit.errors import ScenarioError
from labkit.i18n import _
from labkit.tcp.segment import FIN
from labkit.teach.quiz.subject import subject


@dataclass(frozen=True, slots=True)
class Subject:
    """What a question is about."""

    trace: Trace
    errors: tuple[Finding, ...]
    """The errors in the given capture, the first one first."""
    middlebox: str = ""

    @property
    def error(self) -> Finding:
        """The first error. ScenarioError if there is none."""
        if not self.errors:
            raise ScenarioError(_("the given capture has no error; give it one with 'faults:'"))
        return self.errors[0]

    def packet(self, record: Record) -> int:
        """The number of a record's packet."""
        return self.trace.numbers()[self.trace.records.index(record)]

    def first(self, choice: Callable[[Record], bool], what: str) -> Record:
        """The first record that fits. ScenarioError if there is none."""
        found = next(filter(choice, self.trace.records), None)
        if found is None:
            raise ScenarioError(_("the given capture has no {what}").format(what=what))
        return found


Right = tuple[tuple[str, ...], str]
"""The accepted answers, the best first, and why they are right."""


def _wrong_packet(subject: Subject) -> Right:
    found = subject.error
    return (str(found.packet),), found.message


def _wrong_field(subject: Subject) -> Right:
    return (subject.error.field,), subject.error.message


def _right_number(subject: Subject) -> Right:
    found = subject.error
    if found.expected is None:
        raise ScenarioError(_("the rule {code} names no right number").format(code=found.code))
    numbers = (found.expected, found.expected_relative)
    return tuple(str(each) for each in numbers if each is not None), found.should_be or found.message


def _rule(subject: Subject) -> Right:
    found = subject.error
    return (found.code, found.name), found.reference


def _client_isn(subject: Subject) -> Right:
    return (str(subject.trace.client_isn),), _("the seq of the client's SYN")


def _server_isn(subject: Subject) -> Right:
    return (str(subject.trace.server_isn),), _("the seq of the SYN ACK")


def _lost_packet(subject: Subject) -> Right:
    record = subject.first(lambda each: not each.arrived, _("lost packet"))
    return (str(subject.packet(record)),), _("its bytes are sent again, and the peer does not acknowledge them before")


def _resent_packet(subject: Subject) -> Right:
    record = subject.first(lambda each: each.why.startswith("retransmission"), _("retransmission"))
    return (str(subject.packet(record)),), _("it has the sequence number of an earlier packet")


def _resent_why(subject: Subject) -> Right:
    record = subject.first(lambda each: each.why.startswith("retransmission"), _("retransmission"))
    if record.why == "retransmission-fast":
        return ("duplicate ACKs", "duplicate acks", "dup acks", "fast retransmit"), _(
            "three duplicate ACKs came before"
        )
    return ("timer", "timeout", "rto"), _("nothing came before it: the retransmission timer expired")


def _duplicate_acks(subject: Subject) -> Right:
    count, last = 0, {"client": -1, "server": -1}
    for record in subject.trace.records:
        # The first ACK that out-of-order data causes may acknowledge something new: it is not a duplicate.
        count += record.why == "duplicate-ack" and record.segment.ack == last[record.sender]
        last[record.sender] = record.segment.ack
    return (str(count),), _("the ACKs that repeat an earlier acknowledgement and carry no data")


def _first_closer(subject: Subject) -> Right:
    record = subject.first(lambda each: bool(each.segment.ctl & FIN), _("FIN"))
    return (record.sender,), _("packet {n} has the first FIN").format(n=subject.packet(record))


def _sent_by(side: str) -> Callable[[Subject], Right]:
    def find(subject: Subject) -> Right:
        start = [subject.trace.relative(each)[0] for each in subject.trace.records if each.sender == side]
        ends = [
            at + len(each.segment.payload)
            for at, each in zip(start, (each for each in subject.trace.records if each.sender == side), strict=True)
            if each.segment.payload
        ]
        octets = max(ends, default=1) - 1
        return (str(octets),), _("the last byte has the relative number {n}, and the SYN took 0").format(n=octets)

    return find


def _middlebox(subject: Subject) -> Right:
    from labkit.teach.assign.middlebox import MIDDLEBOXES

    if not subject.middlebox:
        raise ScenarioError(_("the assignment has no middlebox"))
    return (subject.middlebox,), _(MIDDLEBOXES[subject.middlebox][0])


def asked(kind: str, capture: bytes, seed: int) -> tuple[str, Right]:
    """A question of a quiz about the given capture, and its answer. ScenarioError if the capture allows none that fits on a line.

    The seed decides which of several it is.
    """
    from labkit.teach.quiz.kinds import find

    about = subject(_("the given capture"), BytesIO(capture))
    found = [each for talk in about.talks for each in find(kind).find(talk) if not each.figure]
    if not found:
        text = _("the given capture allows no question of the kind {kind}, which needs {needs}")
        raise ScenarioError(text.format(kind=kind, needs=_(find(kind).needs)))
    question = Random(f"{seed} {kind}").choice(found)
    return question.stem, ((question.right.text, *question.also), question.right.why)


KINDS: dict[str, Callable[[Subject], Right]] = {
    "wrong-packet": _wrong_packet,
    "wrong-field": _wrong_field,
    "right-number": _right_number,
    "rule": _rule,
    "client-isn": _client_isn,
    "server-isn": _server_isn,
    "lost-packet": _lost_packet,
    "resent-packet": _resent_packet,
    "resent-why": _resent_why,
    "duplicate-acks": _duplicate_acks,
    "first-closer": _first_closer,
    "client-bytes": _sent_by("client"),
    "server-bytes": _sent_by("server"),
    "middlebox": _middlebox,
}
"""The kinds of answers, by the word after `find:`."""
