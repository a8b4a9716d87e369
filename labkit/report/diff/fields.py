"""Header fields that differ between two captures of the same packets, as a middlebox alters them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from labkit.report.diff.matching import Matching
from labkit.report.diff.packets import SIDES, Packet, Pair
from labkit.tcp.notation import format_option
from labkit.tcp.options import Mss, Nop, Option, Sack, SackPermitted, Timestamps, WindowScale
from labkit.tcp.segment import control_names
from labkit.tcp.seq import MASK


@dataclass(frozen=True, slots=True)
class Alteration:
    """A field that differs in some packets."""

    field: str
    packet_a: int
    """The first such packet in both captures."""
    packet_b: int
    a: str
    """Its value in the first capture; `-` if the field is not there."""
    b: str
    count: int
    """The number of packets in which it differs."""
    always: bool
    """Whether these two values stand for all of them."""


Reader = Callable[[Packet], object]

NAMES: dict[str, Reader] = {
    "source": lambda each: each.source,
    "destination": lambda each: each.target,
    "dscp": lambda each: each.dscp,
    "ecn": lambda each: each.segment.ecn,
    "df": lambda each: each.dont_fragment,
    "flags": lambda each: control_names(each.segment.ctl),
    "window": lambda each: each.segment.window,
    "urgent": lambda each: each.segment.urgent,
}
ON_PATH: dict[str, Reader] = {"ident": lambda each: each.ident, "ttl": lambda each: each.ttl}
"""Fields that say nothing if the conversation happened twice."""

OPTIONS: dict[str, type[Option]] = {
    "mss": Mss,
    "window scale": WindowScale,
    "sack permitted": SackPermitted,
    "timestamps": Timestamps,
    "sack": Sack,
}


def altered(found: Matching, pair: Pair, side: str, *, from_a: bool, on_path: bool) -> tuple[Alteration, ...]:
    """The altered fields of one direction.

    A lower TTL at the receiver's capture does not count, nor do other times and numbers of a conversation that happened twice.
    """
    seen: dict[str, list[tuple[Packet, Packet, str, str]]] = {}
    for i, j in found.pairs:
        one, other = found.a[i], found.b[j]
        for name, mine, theirs in _fields(one, other, pair, side, same=pair.same):
            if name == "ttl" and on_path and (one.ttl >= other.ttl) == from_a:
                continue
            seen.setdefault(name, []).append((one, other, mine, theirs))
    made = []
    for name, cases in seen.items():
        first = cases[0]
        always = all(case[2:] == first[2:] for case in cases)
        made.append(Alteration(name, first[0].number, first[1].number, first[2], first[3], len(cases), always))
    return tuple(made)


def _fields(one: Packet, other: Packet, pair: Pair, side: str, *, same: bool) -> Iterator[tuple[str, str, str]]:
    names = NAMES | ON_PATH if same else {name: NAMES[name] for name in ("flags", "window", "urgent", "ecn")}
    for name, read in names.items():
        mine, theirs = read(one), read(other)
        if mine != theirs:
            yield name, str(mine), str(theirs)
    place = SIDES.index(side)
    if same and pair.moved[place]:
        yield "isn", str(pair.isns[place]), str(pair.isns[place] + pair.moved[place] & MASK)
    if one.ack != other.ack:
        yield "ack", str(one.ack), str(other.ack)
    if one.options != other.options:
        yield from _options(one, other, pair, side, same=same)


def _options(one: Packet, other: Packet, pair: Pair, side: str, *, same: bool) -> Iterator[tuple[str, str, str]]:
    for name, kind in OPTIONS.items():
        mine, theirs = one.segment.option(kind), other.segment.option(kind)
        if kind is Timestamps and not same and (mine is None) == (theirs is None):
            continue  # another clock
        if kind is Sack:
            base = pair.moved[1 - SIDES.index(side)]
            mine, theirs = _blocks(mine, 0), _blocks(theirs, base)
            if not same and (mine is None) == (theirs is None):
                continue
        if mine != theirs:
            yield name, _shown(mine), _shown(theirs)
    rest = [
        [option for option in each.options if not isinstance(option, (Nop, *OPTIONS.values()))] for each in (one, other)
    ]
    if rest[0] != rest[1]:
        one_shown, other_shown = (" ".join(map(format_option, each)) or "-" for each in rest)
        yield "options", one_shown, other_shown


def _blocks(option: Option | None, moved: int) -> Option | None:
    if not isinstance(option, Sack):
        return None
    return Sack(tuple(((left - moved) & MASK, (right - moved) & MASK) for left, right in option.blocks))


def _shown(option: Option | None) -> str:
    return "-" if option is None else format_option(option)
