"""What a rule is, and how it is declared.

A rule is one function in `labkit/analysis/rules/` with the decorator `rule`, which declares everything that is said of the rule:
tests, `labkit explain` and the documentation read it from there.

The function is a predicate over plain integers. It is asked before the segment is added to what is known:

    predicate(seg: Seen, me: Side, peer: Side) -> bool or Severity
    predicate(seg: Seen, me: Side, peer: Side, resolved: Resolved) -> bool or Severity      (scope PENDING)

`me` is the sender's side, `peer` the other one, so that one rule judges both. True finds the fault at the declared severity. A
`Severity` finds another form of it, whose message is in `otherwise`. False finds nothing. A predicate changes nothing, keeps
nothing, and uses `labkit.tcp.seq` for sequence numbers.

A finding's text answers four questions: `message` says what is wrong, `should_be` what would be right, `receiver` what a
receiver does, and `mend` how to mend it. Each is a template and a gettext message id of its own. `{seg.ack}` is a field of
`Seen`, `{me.nxt}` one of `Side`. A field that is declared as `Seq` or `PeerSeq` is a sequence number: it is shown relative to
its side's ISN and, where that differs, raw. `{expected}` and `{actual}` are the values that the rule declares for its field.
"""

import re
from collections.abc import Callable, Mapping, Set
from dataclasses import fields
from enum import IntEnum
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from labkit.analysis.findings import MAX_NUMBERS
from labkit.analysis.limit_kinds import BY_WORD, LimitKind
from labkit.analysis.pending import Resolved
from labkit.analysis.severity import AS_IT_STANDS as AS_IT_STANDS
from labkit.analysis.severity import BOTH as BOTH
from labkit.analysis.severity import DOCUMENT as DOCUMENT
from labkit.analysis.severity import EVERY_PROFILE as EVERY_PROFILE
from labkit.analysis.severity import LITERAL as LITERAL
from labkit.analysis.severity import RFC9293 as RFC9293
from labkit.analysis.severity import RFC_ONLY as RFC_ONLY
from labkit.analysis.severity import TAUGHT as TAUGHT
from labkit.analysis.severity import Severity as Severity
from labkit.analysis.side import Side
from labkit.errors import UsageError
from labkit.i18n import N_, _, listed, printable, unfolded
from labkit.packet.seen import OWN, PEER, Seen


class Scope(IntEnum):
    """When a rule is asked."""

    FRAME = 0
    """For each segment, even with broken headers: of such a segment, the rule must not read `me` and `peer`."""
    SEGMENT = 1
    """For each segment with sound headers."""
    PENDING = 2
    """For each segment of `me` whose open question was answered (`labkit.analysis.pending`): `resolved`. `seg` is the segment
    that answered it, or an empty one at the end of the conversation."""
    SIDE = 3
    """For each side at the end of a conversation; `seg` is empty. Without `at`, the finding is about the conversation."""
    FLOW = 4
    """Once at the end of a conversation; `me` sent the first segment, and `seg` is empty."""
    LEDGER = 5
    """For each entry in the accounts of a whole conversation (`labkit.analysis.ledger`), which is the only argument. The first
    rule that fits names the mistake; its templates may name what `labkit.analysis.examine` knows of the entry."""


NUMBER = re.compile(r"\{((?:seg|me|peer|resolved)\.\w+|expected|actual)(?::([^{}]*))?\}")
"""A number in a template, such as `{seg.ack}` or `{expected}`, and its format."""


@cache
def spaces() -> dict[str, str]:
    """Each name that a rule may use, and whose sequence number it holds: "me", "peer", or "" for another kind of number."""
    found = {}
    for name, kind in (("seg", Seen), ("me", Side), ("peer", Side), ("resolved", Resolved)):
        owner, other = ("peer", "me") if name == "peer" else ("me", "peer")
        owners = {OWN: owner, PEER: other}
        for each in fields(kind):
            found[f"{name}.{each.name}"] = owners.get(next(iter(getattr(each.type, "__metadata__", ())), ""), "")
    return found


FAMILIES = "labkit.analysis.rules"
"""The package of labkit's own rules."""

Predicate = Callable[..., int]
Number = Callable[..., int]
Name = Callable[..., str]
"""Functions of (seg, me, peer), or for scope PENDING of (seg, me, peer, resolved)."""
Kind = LimitKind | str
"""A kind of limit, or the word of one of labkit's own."""
P = TypeVar("P", bound=Predicate)


class Rule(NamedTuple):
    """One rule of the catalogue, as the decorator declares it. It equals no other rule."""

    code: str
    severity: Severity
    reference: str
    message: str
    name: str
    """The predicate's name with dashes, which names the fault."""
    predicate: Predicate
    family: str
    """The name of its module."""
    examples: tuple[str, str]
    """Conversations without and with the fault, as they are declared: `good` and `bad`."""
    otherwise: Mapping[Severity, str]
    limits: Mapping[int, LimitKind]
    """The capture limit that a finding shows, by the predicate's answer: True or a `Severity`."""
    field: str | Name
    """The header field that is wrong, in Wireshark's short names: seq, ack, window, flags, checksum, ..."""
    expected: str | Number | None
    """The value that `field` should have: a name such as "peer.nxt", or a function of (seg, me, peer)."""
    actual: str | Number | None
    at: str
    """The packet of the finding, if it is not `seg` (scope PENDING: `resolved`): "me.syn" stands for `me.syn_packet`."""
    should_be: str
    """A template like `message`: the right value, and where it comes from."""
    receiver: str
    """What a receiver does with such a segment."""
    mend: str
    """A template like `message`: how to change the capture or its sender. Empty if the capture shows nothing wrong."""
    wireshark: str | None
    profiles: frozenset[str]
    document: Severity | None
    """The severity in the document's profiles, if it differs."""
    scope: Scope
    once: bool
    """Reported at most once for each host: a property of the host or of the capture."""
    unless: tuple[str, ...]
    """Codes that say the same more precisely: with one of them at the same packet, this finding is dropped."""
    sums_up: bool
    """Scope SIDE: the finding replaces all findings of its code about the same sender."""
    retransmission: bool
    """Each finding is one segment that was sent again. No segment is found by two such rules."""
    no_fault: str
    """Why no fault (`labkit.build.faults`) breaks rules of this code. Empty: a fault declares this code."""
    place: tuple[str, str] | None
    """The names of the packet and the time that the finding is about. None, or a packet that there is not (0): the whole
    conversation."""

    def __eq__(self, other: object) -> bool:
        return self is other

    def __ne__(self, other: object) -> bool:
        return self is not other

    def __hash__(self) -> int:
        return object.__hash__(self)

    @property
    def good(self) -> str:
        """A conversation, in the notation, without the fault."""
        return _trimmed(self.examples[0])

    @property
    def bad(self) -> str:
        """A conversation with the fault; its comments say where."""
        return _trimmed(self.examples[1])

    @property
    def numbers(self) -> tuple[str, ...]:
        """The numbers that the text shows, such as "seg.ack": at most MAX_NUMBERS. UsageError for a declaration that no engine
        could follow."""
        return _numbers(self)

    @property
    def explanation(self) -> str:
        """The predicate's docstring: its paragraphs, each on one line."""
        return N_(unfolded(self.predicate.__doc__ or ""))

    @property
    def revises(self) -> bool:
        """Whether findings are about an earlier packet: they take the place of earlier findings there with the same code."""
        return self.place is not None and self.place[0] != "seg.number"

    def severity_in(self, profile: str, found: int) -> Severity:
        """The severity of a predicate's answer, under a profile."""
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
    profiles: Set[str] = BOTH,
    document: Severity | None = None,
    scope: Scope = Scope.SEGMENT,
    once: bool = False,
    unless: tuple[str, ...] | list[str] = (),
    sums_up: bool = False,
    limit: Kind | Mapping[int, Kind] = "",
    retransmission: bool = False,
    no_fault: str = "",
) -> Callable[[P], P]:
    """Declare the decorated predicate as a rule; the parameters are the fields of `Rule`.

    `limit` is a new kind, or the word of one of labkit's own; alone it means `{True: limit}`. UsageError, naming the rule, for a
    declaration that no engine could follow; a rule that is not labkit's own is checked as a whole (`labkit.analysis.rule_check`).

    `good` and `bad` are conversations in the notation of `labkit.tcp.notation`. In `bad`, the comment `# CODE` stands at
    each line where the rule must find its fault (on a line of its own: a finding about the whole conversation), in
    `good` nowhere.
    """
    given = locals()

    def declare(predicate: P) -> P:
        name = predicate.__name__.replace("_", "-")
        label = f"{code} ({name})"
        own = predicate.__module__.startswith(f"{FAMILIES}.")
        if not own:
            from labkit.analysis.rule_check import check

            check(label, given, rule, BOTH)
        place = _place(scope, at)
        made = predicate.__dict__["rule"] = Rule(
            code=code,
            severity=severity,
            reference=reference,
            message=N_(message),
            name=name,
            predicate=predicate,
            family=predicate.__module__.rpartition(".")[2],
            examples=(good, bad),
            otherwise=otherwise or {},
            field=field,
            expected=expected,
            actual=actual,
            at=at,
            should_be=N_(should_be),
            receiver=N_(receiver),
            mend=N_(mend),
            wireshark=wireshark,
            profiles=frozenset(profiles),
            document=document,
            scope=scope,
            once=once,
            unless=tuple(unless),
            sums_up=sums_up,
            limits=_limits(label, limit, own=own, packets=place is not None),
            retransmission=retransmission,
            no_fault=no_fault,
            place=place,
        )
        if not own:
            _numbers(made)
        return predicate

    return declare


def _limits(rule: str, limit: Kind | Mapping[int, Kind], *, own: bool, packets: bool) -> dict[int, LimitKind]:
    given = limit if isinstance(limit, Mapping) else {int(True): limit} if limit else {}
    found = {}
    for answer, kind in given.items():
        if answer not in (True, *Severity):
            text = _("rule {rule}: there is a limit for the answer {value}; expected True or a Severity")
            raise UsageError(text.format(rule=rule, value=printable(repr(answer)[:40])))
        if isinstance(kind, str) and kind not in BY_WORD:
            text = _("rule {rule}: there is no limit '{word}'; name one of {known}, or declare a LimitKind")
            raise UsageError(text.format(rule=rule, word=printable(kind), known=listed(BY_WORD)))
        found[answer] = BY_WORD[kind] if isinstance(kind, str) else kind
    if not own:
        from labkit.analysis.rule_check import check_limit

        for kind in found.values():
            check_limit(rule, kind, packets=packets)
    return found


def _place(scope: Scope, at: str) -> tuple[str, str] | None:
    if scope == Scope.FLOW:
        return None
    if at:
        return f"{at}_packet", f"{at}_time"
    if scope == Scope.SIDE:
        return None  # `seg` is empty
    return ("resolved.packet", "resolved.time") if scope == Scope.PENDING else ("seg.number", "seg.time")


@cache
def _numbers(declared: Rule) -> tuple[str, ...]:
    """The numbers that a rule's templates show. UsageError for too many, for a name that does not exist in this scope, and for a
    format that numbers do not have."""
    scope = declared.scope
    if scope == Scope.LEDGER:
        return ()  # `labkit.analysis.examine` fills in its templates
    rule = f"{declared.code} ({declared.name})"
    templates = declared.message, *declared.otherwise.values(), declared.should_be, declared.receiver, declared.mend
    values = declared.expected, declared.actual
    shown: dict[str, None] = {}
    for match in (match for template in templates for match in NUMBER.finditer(template)):
        shown[match[1]] = None
        try:
            format(0, match[2] or "")
        except ValueError:
            text = _("rule {rule}: '{name}' is a number, which cannot be shown with the format '{format}'")
            raise UsageError(text.format(rule=rule, name=match[1], format=printable(match[2]))) from None
    known = {name for name, value in zip(("expected", "actual"), values, strict=True) if value is not None}
    absent = (
        ("seg.", "resolved.") if scope in (Scope.SIDE, Scope.FLOW) else () if scope == Scope.PENDING else ("resolved.",)
    )
    for name in (*shown, *values, *(declared.place or ())):
        if not isinstance(name, str) or name in known:
            continue
        if name not in spaces() or name.startswith(absent):
            text = _("rule {rule}: '{name}' does not exist in scope {scope}")
            raise UsageError(text.format(rule=rule, name=printable(name), scope=scope.name))
    found = tuple(name for name in shown if name in spaces())
    if len(found) > MAX_NUMBERS:
        text = _("rule {rule}: its text shows {n} numbers ({names}); at most {most} are possible")
        raise UsageError(text.format(rule=rule, n=len(found), names=listed(found), most=MAX_NUMBERS))
    return found


def _trimmed(text: str) -> str:
    return "\n".join(line.strip() for line in text.strip().splitlines())


if not TYPE_CHECKING:  # mypy would take any name for one of this module

    def __getattr__(name: str) -> Any:
        """The names that stood here before the catalogue, which builds upon this module, had them."""
        if name not in ("collect", "load_rules", "shipped"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__package__}.catalogue"), name)
