"""The kernels: the judge and the decoder as one text, made of the interpreter's source and of the catalogue.

What the catalogue adds is a function for each scope, which asks its rules one after the other, and for each rule one that
writes down what it has found, with the numbers that its message shows.
"""

from collections.abc import Callable, Iterator, Mapping
from ctypes import sizeof
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from labkit.analysis.native import judging, table
from labkit.analysis.native.judging import Event, Hit, Piece, Said
from labkit.analysis.native.loader import Source
from labkit.analysis.native.records import FREE, WHERE, beside, columns
from labkit.analysis.native.table import Conversation, Host, State
from labkit.analysis.native.translate import Translation, UntranslatableError
from labkit.analysis.rule import Rule, Scope, Severity, shipped
from labkit.analysis.side import Side
from labkit.errors import UncompilableError
from labkit.i18n import _
from labkit.packet.seen import Seen

ASKED = {
    Scope.FRAME: judging.ask_frame,
    Scope.SEGMENT: judging.ask_segment,
    Scope.PENDING: judging.ask_pending,
    Scope.SIDE: judging.ask_side,
    Scope.FLOW: judging.ask_flow,
}
SIGNATURE = "seg, me, peer, row, side, t, events, hits, asked, said, kept"

COUNTS = max(Severity) + 1
"""Counters, by severity, of the findings that are kept; and after these, for each rule, of those that are not."""

ENDS = ("family", "a0", "a1", "a2", "a3", "a_port", "b0", "b1", "b2", "b3", "b_port")
"""What events copy of a conversation."""


@dataclass(frozen=True, slots=True)
class Kernels:
    """The text, and the names of functions in it."""

    text: str
    names: Mapping[Callable[..., Any], str]


@cache
def words() -> tuple[str, ...]:
    """What the numbers in `Event.word` stand for."""
    return tuple(_fields(Translation()))


def _fields(whole: Translation) -> list[str]:
    """Translate the functions by which rules choose a field; the strings that there are in them."""
    for rule in shipped():
        if callable(rule.field):
            whole.add(rule.field)
    return whole.words


@cache
def kernels() -> Kernels:
    """All that is compiled."""
    whole = Translation(
        {
            table.clear: "clear",
            judging.house: "house",
            judging.behind: "behind",
            judging.fetch: "fetch",
            judging.keep: "keep",
            **{each: each.__name__ for each in ASKED.values()},
        }
    )
    _fields(whole)  # before all else, so that `words` need not translate that
    rules = shipped()
    codes = list(dict.fromkeys(rule.code for rule in rules))
    texts = [_clear(), HOUSE]
    asking: dict[Scope, list[str]] = {scope: [] for scope in Scope}
    for number, rule in enumerate(rules):
        predicate = _predicate(rule, whole)
        asking[rule.scope] += [
            f"    found = {predicate}(seg, me, peer)",
            "    if found:",
            f"        found_{number}(found, {SIGNATURE})",
        ]
        texts.append("\n".join(_found(number, rule, codes.index(rule.code), whole)))
    for scope, lines in asking.items():
        texts.append("\n".join([f"@njit(**SETTINGS)\ndef {ASKED[scope].__name__}({SIGNATURE}):", *lines, "    return"]))
    before = whole.text
    for function in (judging.judge, judging.finish):
        whole.add(function)
    after = whole.text[len(before) :]
    return Kernels("\n\n\n".join([before, *texts, after]), dict(whole.names))


def _predicate(rule: Rule, whole: Translation) -> str:
    """The name of a rule's translated predicate. UncompilableError, naming the rule, where it cannot be translated."""
    try:
        return whole.add(rule.predicate)
    except UntranslatableError as error:
        text = _("rule {code} ({name}) cannot be compiled: {reason}")
        raise UncompilableError(text.format(code=rule.code, name=rule.name, reason=error)) from None


def _clear() -> str:
    lines = ["@njit(**SETTINGS)\ndef clear(side, spare, t):"]
    lines += [f"    side.{each.name} = {each.default}" for each in fields(Side) if not columns(Side)[each.name].beside]
    lines += [f"    side.{WHERE} = t.doubts_at + spare * {SIZE}", "    return"]
    return "\n".join(lines)


SIZE = sizeof(beside(Side))
SPARES = 2
"""Rows beside that are nobody's own: one for all first ends without doubts, and one for all second ends."""
HOUSE = f"""
@njit(**SETTINGS)
def house(side, spare, t, doubts):
    own = t.doubts_at + spare * {SIZE}
    if side.pending_n:
        if side.{WHERE} == own:
            number = t.doubts_free
            if number < 0:
                number = t.doubts
                t.doubts += 1
            else:
                t.doubts_free = doubts[number].{FREE}
            doubts[number] = doubts[spare]
            side.{WHERE} = t.doubts_at + number * {SIZE}
    elif side.{WHERE} != own:
        number = (side.{WHERE} - t.doubts_at) // {SIZE}
        doubts[number].{FREE} = t.doubts_free
        t.doubts_free = number
        side.{WHERE} = own
    return
"""
"""Gives a side a row beside once there are doubts about it, and takes it back when there are none. Until then it has a spare
one: between two segments nothing stands there."""


def _found(number: int, rule: Rule, code: int, whole: Translation) -> Iterator[str]:
    """The function that writes down what a rule has found."""
    packet, time = ("0", "0") if rule.scope == Scope.FLOW else _place(rule)
    yield f"@njit(**SETTINGS)\ndef found_{number}(found, {SIGNATURE}):"
    yield f"    packet = {packet}"
    # A predicate that answers anything else is wrong, and the interpreter says so; no memory may be written for it.
    yield f"    answer = max(1, min(found, {max(Severity):d}))"
    if rule.limits:
        yield f"    hit = hits[{COUNTS * number} + answer]"
        yield "    if hit.count == 0:"
        yield "        hit.packet = packet"
        yield "    hit.count = hit.count + 1"
    if rule.retransmission:
        yield "    if side:"
        yield "        row.b_resent = row.b_resent + 1"
        yield "    else:"
        yield "        row.a_resent = row.a_resent + 1"
    yield f"    own = asked[{number}]"
    yield "    if not own or not row.wanted:"
    yield "        return"
    sender = "1 - side" if rule.at.startswith("peer") else "side"
    yield f"    sender = {sender}"
    if rule.once:
        said = whole.add(judging.said_before)
        yield f"    if {said}({code}, row, sender, t, said):"
        yield "        return"
    yield "    severity = answer if answer > 1 else own"
    yield "    if kept[severity] == t.most_kept:"
    yield f"        kept[{(number + 1) * COUNTS} + severity] += 1"
    yield "        return"
    yield "    kept[severity] += 1"
    yield "    event = events[t.events]"
    yield "    t.events = t.events + 1"
    values = {
        "rule": str(number),
        "found": "found",
        "side": "sender",
        "flow": "row.index",
        **{name: f"row.{name}" for name in ENDS},
        "packet": "packet",
        "time": time,
        "base_me": "me.base",
        "base_peer": "peer.base",
        "word": _number(rule.field if callable(rule.field) else None, whole),
        "expected": _number(rule.expected, whole),
        "actual": _number(rule.actual, whole),
    }
    for place, name in enumerate(rule.numbers):
        values[f"v{place}"] = f"{name}"
    for name, value in values.items():
        yield f"    event.{name} = {value}"
    yield "    return"


def _place(rule: Rule) -> tuple[str, str]:
    if not rule.at:
        return "seg.number", "seg.time"
    return f"{rule.at}_packet", f"{rule.at}_time"


def _number(wanted: object, whole: Translation) -> str:
    if wanted is None:
        return "0"
    if callable(wanted):
        return f"{whole.add(wanted)}(seg, me, peer)"
    return f"{wanted}"


ARRAYS: tuple[tuple[str, type | str], ...] = (
    ("segs", Seen),
    ("blank", Seen),
    ("t", State),
    ("rows", Conversation),
    ("sides", Side),
    ("doubts", beside(Side)),
    ("heads", "i4"),
    ("hosts", Host),
    ("host_heads", "i4"),
    ("events", Event),
    ("hits", Hit),
    ("asked", "u1"),
    ("said", Said),
    ("kept", "i8"),
    ("pieces", Piece),
    ("ring", "u1"),
    ("described", Conversation),
    ("described_sides", Side),
    ("chosen", "i8"),
)
"""What an entry is given the addresses of, in this order, after its numbers; and of what each consists."""


def sources() -> Mapping[str, Source]:
    """The entries `judge(count, octets, places, hashes, *ARRAYS)` and `finish(*ARRAYS)`, to be compiled.

    ImportError without Numba.
    """
    from numba import int64, njit, types

    from labkit.analysis.native.memory import SETTINGS, fetch, keep, numbers, rows, shift

    made = kernels()
    space: dict[str, Any] = {
        "njit": njit,
        "int64": int64,
        "SETTINGS": SETTINGS,
        "behind": shift,
        "fetch": fetch,
        "keep": keep,
    }
    names = ", ".join(name for name, _ in ARRAYS)
    judged = (
        "segs, blank[0], t[0], rows, sides, doubts, heads, hosts, host_heads, events, hits, asked, said, kept, pieces, "
        "ring, described, described_sides, chosen"
    )
    finished = "blank[0], t[0], rows, sides, doubts, events, hits, asked, said, kept, described, described_sides"
    entries = f"""
def judge(count, octets, places, hashes, {names}):
    return {made.names[judging.judge]}(count, octets, places, hashes, {judged})

def finish({names}):
    return {made.names[judging.finish]}({finished})
"""
    exec(compile(f"{made.text}\n{entries}", "labkit.analysis.native.kernels", "exec"), space)  # noqa: S102 - labkit's own source
    pointers = [numbers(kind) if isinstance(kind, str) else rows(kind) for _, kind in ARRAYS]
    octets, places = numbers("u1"), numbers("i8")
    return {
        "judge": Source(space["judge"], types.int64(types.int64, octets, places, places, *pointers)),
        "finish": Source(space["finish"], types.int64(*pointers)),
    }
