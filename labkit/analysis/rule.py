"""What a rule is, how it is declared, and how all of them are found.

A rule is one function in `labkit/analysis/rules/`, declared by the decorator `rule`: its code, severity, source, message and
examples stand there and nowhere else; the tests, `labkit explain` and the documentation read them from there.

The function is a predicate over plain integers, called before the segment is added to what is known:

    predicate(seg: Seen, me: Side, peer: Side) -> bool or Severity

`me` is the sender's side, `peer` the other: the same rule judges both. True finds the fault at the declared severity;
another severity finds its lesser form, for which `otherwise` holds the message; False or 0 finds nothing. It changes
nothing, keeps nothing, and uses `labkit.tcp.seq` for sequence numbers.

A finding's text answers four questions: `message` says what is wrong, `should_be` what would be right, `receiver` what a
receiver does, and `mend` how to mend it. Each is a template and a gettext message id of its own. `{seg.ack}` and `{me.nxt}`
are numbers of the segment and of the sides; a name in SPACES is a sequence number, shown relative to its side's ISN and,
where that differs, raw. `{expected}` and `{actual}` are the values that the rule declares for its field.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TypeVar

from labkit.analysis.side import Side
from labkit.i18n import N_
from labkit.packet.seen import Seen


class Severity(IntEnum):
    """How bad a finding is. (1 is not used: True stands for a rule's own severity.)"""

    NOTE = 2
    WARNING = 3
    ERROR = 4

    def __str__(self) -> str:
        return self.name.lower()


class Scope(IntEnum):
    """When a rule is asked."""

    FRAME = 0
    """For each segment, also where its headers are broken; `me` and `peer` are not to be read."""
    SEGMENT = 1
    """For each segment whose headers are sound."""
    PENDING = 2
    """For each answered doubt about a segment of `me` (`labkit.analysis.tracker`); `seg` is the segment that answered it, or the
    conversation's last one."""
    SIDE = 3
    """For each side at the end of a conversation; `seg` is an empty one."""
    FLOW = 4
    """Once at the end of a conversation, `me` being the side whose segment was seen first; `seg` is an empty
    one."""


RFC9293, DOCUMENT, LITERAL = "rfc9293", "document", "literal"
BOTH = frozenset({RFC9293, DOCUMENT, LITERAL})
"""Profiles. `document` is the source document's teaching, mended; `literal` is its text as it stands."""
RFC_ONLY = frozenset({RFC9293})
TAUGHT = frozenset({DOCUMENT})
AS_IT_STANDS = frozenset({LITERAL})

SPACES = {
    "seg.seq": "me",
    "seg.end": "me",
    "seg.ack": "peer",
    "seg.conflict": "me",
    "me.nxt": "me",
    "me.isn": "me",
    "me.resyn": "me",
    "me.syn_end": "me",
    "me.fin": "me",
    "me.rcv_nxt": "peer",
    "me.right_edge": "peer",
    "me.first_seq": "me",
    "me.odd_want": "me",
    "me.odd_seq": "me",
    "me.odd_ack_want": "peer",
    "me.odd_ack": "peer",
    "me.part_ack": "peer",
    "me.last_seq": "me",
    "me.old_nxt": "me",
    "peer.last_ack": "me",
    "me.last_ack": "peer",
    "peer.nxt": "peer",
    "peer.isn": "peer",
    "peer.syn_end": "peer",
    "peer.fin": "peer",
    "peer.rcv_nxt": "me",
    "peer.right_edge": "me",
    "peer.data_seq": "peer",
    "peer.last_seq": "peer",
}
"""The names that hold sequence numbers, and whose numbers they are."""

Predicate = Callable[[Seen, Side, Side], int]
Number = Callable[[Seen, Side, Side], int]
Name = Callable[[Seen, Side, Side], str]
P = TypeVar("P", bound=Predicate)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the catalogue, as the decorator declares it."""

    code: str
    severity: Severity
    reference: str
    message: str
    name: str
    """The predicate's name with dashes: the fault that it finds."""
    explanation: str
    """The predicate's docstring."""
    predicate: Predicate
    family: str
    """The module that holds it."""
    good: str
    bad: str
    otherwise: Mapping[Severity, str] = field(default_factory=dict)
    field: str | Name = ""
    """The header field that is wrong, in Wireshark's short names: seq, ack, window, flags, checksum, ..."""
    expected: str | Number | None = None
    """The value that `field` should have: a name such as "peer.nxt", or a function of (seg, me, peer)."""
    actual: str | Number | None = None
    at: str = ""
    """Where the finding belongs if not to `seg`: a prefix p, `p_packet` and `p_time` being the frame."""
    should_be: str = ""
    """A template like `message`: the right value, and where it comes from."""
    receiver: str = ""
    """What a receiver does with such a segment."""
    mend: str = ""
    """A template like `message`: how to change the capture or its sender. Empty where the capture shows nothing wrong."""
    wireshark: str | None = None
    profiles: frozenset[str] = BOTH
    document: Severity | None = None
    """The severity in the document's profiles, where it is another."""
    scope: Scope = Scope.SEGMENT
    once: bool = False
    """Found at most once for each sender: a property of the host or of the capture."""
    unless: tuple[str, ...] = ()
    """Codes of which one, found at the same packet, says the same more precisely."""
    sums_up: bool = False
    """Scope SIDE: what it finds stands for all that rules of its code have found of the same sender."""

    def severity_in(self, profile: str, found: int) -> Severity:
        """The severity of what the predicate answered, under a profile."""
        if found > 1:
            return Severity(found)
        return self.document if self.document is not None and profile != RFC9293 else self.severity


def rule(
    code: str,
    severity: Severity,
    reference: str,
    message: str,
    *,
    good: str,
    bad: str,
    field: str | Name = "",
    expected: str | Number | None = None,
    actual: str | Number | None = None,
    at: str = "",
    should_be: str = "",
    receiver: str = "",
    mend: str = "",
    wireshark: str | None = None,
    otherwise: Mapping[Severity, str] | None = None,
    profiles: frozenset[str] = BOTH,
    document: Severity | None = None,
    scope: Scope = Scope.SEGMENT,
    once: bool = False,
    unless: tuple[str, ...] = (),
    sums_up: bool = False,
) -> Callable[[P], P]:
    """Declare the decorated predicate as a rule; the parameters are the fields of `Rule`.

    `good` and `bad` are conversations in the notation of `labkit.tcp.notation`. In `bad`, the comment `# CODE` stands at
    each line where the rule must find its fault (on a line of its own: a finding about the whole conversation), in
    `good` nowhere.
    """

    def declare(predicate: P) -> P:
        predicate.__dict__["rule"] = Rule(
            code=code,
            severity=severity,
            reference=reference,
            message=N_(message),
            name=predicate.__name__.replace("_", "-"),
            explanation=N_(_unfolded(predicate.__doc__ or "")),
            predicate=predicate,
            family=predicate.__module__.rpartition(".")[2],
            good=_trimmed(good),
            bad=_trimmed(bad),
            otherwise=otherwise or {},
            field=field,
            expected=expected,
            actual=actual,
            at=at,
            should_be=N_(should_be),
            receiver=N_(receiver),
            mend=N_(mend),
            wireshark=wireshark,
            profiles=profiles,
            document=document,
            scope=scope,
            once=once,
            unless=unless,
            sums_up=sums_up,
        )
        return predicate

    return declare


@cache
def collect() -> tuple[Rule, ...]:
    """Every rule of the catalogue: families in the order of their files, rules as they stand in them."""
    return tuple(found for module in _families() for found in _rules_of(module))


def _families() -> Iterator[str]:
    package = import_module("labkit.analysis.rules")
    return (
        f"labkit.analysis.rules.{name}" for _, name, _ in sorted(iter_modules(package.__path__), key=lambda m: m.name)
    )


def _rules_of(module: str) -> Iterator[Rule]:
    for value in vars(import_module(module)).values():
        found = getattr(value, "rule", None)
        if isinstance(found, Rule) and value.__module__ == module:
            yield found


def lookup(text: str, rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """The rules with a code or a name, in whatever case; several where profiles differ; none where there is none."""
    wanted = text.strip().lower().replace("_", "-")
    return tuple(each for each in rules if wanted in {each.code.lower(), each.name})


def _trimmed(text: str) -> str:
    return "\n".join(line.strip() for line in text.strip().splitlines())


def _unfolded(text: str) -> str:
    """A docstring as paragraphs, each on one line."""
    paragraphs = (" ".join(line.split()) for line in _blocks(text))
    return "\n\n".join(filter(None, paragraphs))


def _blocks(text: str) -> list[str]:
    blocks = [""]
    for line in text.splitlines():
        if line.strip():
            blocks[-1] += line.strip() + " "
        else:
            blocks.append("")
    return blocks
