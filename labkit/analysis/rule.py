"""What a rule is, how it is declared, and where rules come from.

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

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager, suppress
from enum import IntEnum
from functools import cache, wraps
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from labkit.analysis.limit_kinds import BY_WORD, LimitKind
from labkit.errors import UsageError
from labkit.i18n import N_, _, listed, printable, unfolded, unreadable
from labkit.modules import modules_in

if TYPE_CHECKING:
    from pathlib import Path


class Severity(IntEnum):
    """The severity of a finding. 1 is not used, because a predicate's True means the declared severity."""

    NOTE = 2
    WARNING = 3
    ERROR = 4

    def __str__(self) -> str:
        return self.name.lower()


SEVERITIES = N_("note"), N_("warning"), N_("error")
"""The words that `_(str(severity))` translates."""


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


RFC9293, DOCUMENT, LITERAL = "rfc9293", "document", "literal"
EVERY_PROFILE = RFC9293, DOCUMENT, LITERAL
BOTH = frozenset(EVERY_PROFILE)
"""Profiles. `document` teaches what the introductory text means, `literal` what it says."""
RFC_ONLY = frozenset({RFC9293})
TAUGHT = frozenset({DOCUMENT})
AS_IT_STANDS = frozenset({LITERAL})

MAX_NUMBERS = 4
"""Numbers in a finding's text: the compiled engine keeps this many for each finding, besides `expected` and `actual`."""

FAMILIES = "labkit.analysis.rules"
"""The package of labkit's own rules."""

GROUP = "labkit.rules"
"""The group of entry points by which an installed package adds rules: each names a module that declares some."""

MAX_SOURCE_OCTETS = 1_048_576
"""Octets of a file of rules."""

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
        from labkit.analysis.template import numbers  # most captures are judged without a rule's words

        return numbers(self)

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
            from labkit.analysis.template import numbers

            numbers(made)
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
def shipped() -> tuple[Rule, ...]:
    """Every rule of labkit's own: families in the order of their files, rules in their order there."""
    package = import_module(FAMILIES)
    return tuple(
        found
        for name in modules_in(package.__path__)
        for found in _rules_of(import_module(f"{package.__name__}.{name}"))
    )


def collect(extra: tuple[str, ...] = ()) -> tuple[Rule, ...]:
    """Every rule: the shipped ones, those of installed packages (entry points of the group `labkit.rules`), and those of the
    files `extra`. UsageError for a source that has no usable rules. A file is read again only if it has changed."""
    return _collected(extra, tuple(map(_stamp, extra)), tuple(sys.path))


def _stamp(path: str) -> tuple[str, int, int] | None:
    from pathlib import Path
    from stat import S_ISREG

    with suppress(OSError, ValueError):
        place = Path(path).absolute()
        found = place.stat()
        if not S_ISREG(found.st_mode):  # a pipe can be read once, and its time changes then
            return str(place), found.st_dev, found.st_ino
        return str(place), found.st_mtime_ns, found.st_size
    return None


def only_shipped() -> bool:
    """Whether no installed package adds rules: `collect()` then gives what `shipped` does, which may not be imported yet."""
    return not _adds_rules(tuple(sys.path))


@cache
def _adds_rules(path: tuple[str, ...]) -> bool:
    return any(map(_has_entry_points, path))


@cache
def _collected(
    extra: tuple[str, ...],
    stamps: tuple[object, ...],  # noqa: ARG001 - for the cache, as the folders that Python looks into
    folders: tuple[str, ...],  # noqa: ARG001
) -> tuple[Rule, ...]:
    rules = shipped()
    for source, added in _installed():
        rules += _new(added, rules, source)
    for path in extra:
        rules += _new(_rules_in(path), rules, path)
    return rules


def load_rules(path: "str | Path") -> tuple[Rule, ...]:
    """The rules of a Python file. UsageError for a file that cannot be imported, has no rule, or has a code that exists."""
    return collect((str(path),))[len(collect()) :]


def _rules_of(module: ModuleType) -> Iterator[Rule]:
    for value in vars(module).values():
        found = getattr(value, "rule", None)
        if isinstance(found, Rule) and value.__module__ == module.__name__:
            yield found


def _installed() -> Iterator[tuple[str, tuple[Rule, ...]]]:
    """The rules of each installed package that has some. To import `importlib.metadata` takes longer than all else."""
    if only_shipped():
        return
    from importlib.metadata import entry_points

    for point in entry_points(group=GROUP):
        source = f"{GROUP}: {point.name} = {point.value}"
        with _complaints(source, ""):
            added = tuple(_rules_of(import_module(point.value)))
        yield source, added


def _has_entry_points(folder: str) -> bool:
    """Whether a package in a folder of `sys.path` names the group. Python skips folders that it cannot read, and so does this."""
    with suppress(OSError), os.scandir(folder or ".") as entries:
        return any(_names_group(entry.path) for entry in entries if entry.name.endswith("-info"))
    return False


def _names_group(folder: str) -> bool:
    with suppress(OSError), open(f"{folder}/entry_points.txt", "rb") as file:  # noqa: PTH123 - no pathlib yet
        return GROUP.encode() in file.read()
    return False


def _rules_in(path: str) -> tuple[Rule, ...]:
    """Run a file as a module of its own; nothing is written beside it."""
    from pathlib import Path

    name = printable(path)
    try:
        with Path(path).open("rb") as file:
            source = file.read(MAX_SOURCE_OCTETS + 1)
    except (OSError, ValueError) as error:
        raise UsageError(unreadable(path, error)) from None
    if len(source) > MAX_SOURCE_OCTETS:
        raise UsageError(_("{file}: the file is larger than {most} bytes").format(file=name, most=MAX_SOURCE_OCTETS))
    stem = Path(path).stem
    module = ModuleType(f"labkit_rules_{abs(hash(path)):x}.{stem}")
    module.__file__ = path
    sys.modules[module.__name__] = module  # dataclasses look for it there
    with _complaints(name, path):
        exec(compile(source, path, "exec"), module.__dict__)  # noqa: S102 - the user names a file to be run
        return tuple(_rules_of(module))


@contextmanager
def _complaints(source: str, path: str) -> Iterator[None]:
    """Turn what goes wrong in the code of others into one line, with the line in their file."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{source}{_(': ')}{error}") from None
    except MemoryError:
        raise  # the capture's fault, not the rule's
    except (Exception, SystemExit) as error:
        from traceback import walk_tb  # it takes a while to be imported

        lines = [line for frame, line in walk_tb(error.__traceback__) if frame.f_code.co_filename == path]
        place = _("{file}, line {n}").format(file=source, n=lines[-1]) if lines else source
        reason = printable(f"{type(error).__name__}: {error}")
        raise UsageError(_("{file}: cannot be used: {reason}").format(file=place, reason=reason)) from None


def _new(added: tuple[Rule, ...], known: tuple[Rule, ...], source: str) -> tuple[Rule, ...]:
    """The rules of a source from outside, so that a mistake in one of them ends in a line that names it."""
    name = printable(source)
    if not added:
        raise UsageError(_("{file}: there is no rule in it").format(file=name))
    names = {folded(rule.code): rule.name for rule in known}
    kinds = {kind.word: kind for rule in known for kind in rule.limits.values()}
    for rule in added:
        if (other := names.get(folded(rule.code))) is not None:
            text = _("{file}: rule {code} ({name}): its code is taken by {other}")
            raise UsageError(text.format(file=name, code=rule.code, name=rule.name, other=other))
        for kind in rule.limits.values():
            if kinds.setdefault(kind.word, kind) != kind:
                text = _(
                    "{file}: rule {code} ({name}): another rule declares the limit '{word}' with other texts; expected the same"
                )
                raise UsageError(text.format(file=name, code=rule.code, name=rule.name, word=kind.word))
    return tuple(_guarded(rule, name) for rule in dict.fromkeys(added))  # a function may have two names


def _guarded(rule: Rule, source: str) -> Rule:
    """The rule, with functions that raise UsageError and nothing else, and change nothing."""
    from labkit.analysis.rule_check import ReadOnly

    label = f"{source}: {rule.code} ({rule.name})"

    def guard(function: Any, fits: Callable[[object], bool], expected: str) -> Any:
        if not callable(function):
            return function
        code = getattr(function, "__code__", None)  # not every callable has one

        @wraps(function)
        def guarded(*arguments: object) -> Any:
            with _complaints(label, code.co_filename if code else ""):
                found = function(*map(ReadOnly, arguments))
                if not fits(found):
                    text = _("answers {value}; expected {expected}")
                    raise UsageError(text.format(value=printable(repr(found)[:40]), expected=_(expected)))
                return found

        return guarded

    answers = (False, True, *Severity)
    number = N_("an integer, or None")
    return rule._replace(
        predicate=guard(rule.predicate, lambda found: found in answers, N_("True, False or a Severity")),
        field=guard(rule.field, lambda found: isinstance(found, str), N_("a text")),
        expected=guard(rule.expected, lambda found: found is None or isinstance(found, int), number),
        actual=guard(rule.actual, lambda found: found is None or isinstance(found, int), number),
    )


def folded(word: str) -> str:
    """A word for rules as it is compared: in lower case, with dashes for underscores."""
    return word.strip().lower().replace("_", "-")


def lookup(text: str, rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """The rules with a code or a name, in whatever case; several where profiles differ; none where there is none."""
    wanted = folded(text)
    return tuple(each for each in rules if wanted in {folded(each.code), folded(each.name)})


def _trimmed(text: str) -> str:
    return "\n".join(line.strip() for line in text.strip().splitlines())
