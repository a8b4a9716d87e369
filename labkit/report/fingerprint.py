"""Which stack each side of a conversation looks like, by which evidence, and what contradicts it.

The evidence is the handshake (options, window, scale), the IP header (TTL, DF, identifications) and the clock of timestamps, all
compared with the stacks' data (`labkit.tcp.stacks`). A stack that a fact rules out is not a candidate; a setting that an
administrator may change only weakens one. Where the candidates belong to several systems, or nothing distinctive was seen, a side
is unknown.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from ipaddress import ip_address
from itertools import pairwise

from labkit.analysis.flows import segments
from labkit.build.scenario.model import Side as Settings
from labkit.capture import Frame
from labkit.i18n import _, listed
from labkit.packet.seen import ABSENT, Seen
from labkit.tcp import options as opt
from labkit.tcp import stacks
from labkit.tcp.endpoint.config import MAX_FIRST_WINDOW, Config
from labkit.tcp.endpoint.handshake import layout
from labkit.tcp.segment import ACK, RST, SYN
from labkit.tcp.stacks import Stack

MAX_CONVERSATIONS = 10_000
"""Conversations of a capture that are looked at."""
MAX_IDENTS = 64
"""Identifications of one side that are compared."""
MAX_STEP = 64
"""Segments that a burst may have between two captured ones, as identifications count them."""
HOP_LIMITS = (32, 64, 128, 255)
"""The TTLs that hosts begin with."""
USUAL_MTU = 1500
"""The MTU of Ethernet, for a path that has changed the MSS option."""
LEAST_SEGMENT = 88
"""A window is always a multiple of very small segments."""
TICKS_A_SECOND = 1000
"""Timestamps of all the stacks tick each millisecond."""
SHORTEST_SPAN = 200_000_000
"""Nanoseconds that a clock must have been seen for its rate to tell something."""

WORDS: dict[type, str] = {
    opt.Mss: "mss",
    opt.SackPermitted: "sack",
    opt.Timestamps: "timestamps",
    opt.WindowScale: "scale",
    opt.Nop: "nop",
    opt.End: "end",
}
STANDARD = frozenset({"mss", "sack", "timestamps", "scale"})
UNKNOWN = "unknown"


@dataclass(slots=True)
class Shown:
    """What one side of a conversation showed."""

    end: str
    """Its address and port."""
    first: int = 0
    """The number of the packet with its SYN or SYN ACK; 0: none was captured."""
    answers: bool = False
    """Whether that is a SYN ACK."""
    words: tuple[str, ...] = ()
    """Its options in their order."""
    extensions: bool = False
    """Whether it has options beyond RFC 9293, 7323 and 2018: they move the others."""
    mss: int = ABSENT
    scale: int = ABSENT
    window: int = 0
    ttl: int = 0
    dont_fragment: bool = False
    ident: int = ABSENT
    idents: list[int] = field(default_factory=list)
    """The identifications of its segments after the handshake, without those of resets."""
    clock: tuple[int, int] | None = None
    """The time and the timestamp of its first segment that has one."""
    rate: float | None = None
    """Timestamp ticks in a second."""


@dataclass(frozen=True, slots=True)
class Identified:
    """What a side looks like."""

    end: str
    names: tuple[str, ...]
    """The stacks, the most likely first; empty: unknown."""
    family: str
    """The system; "unknown" where there is no name."""
    evidence: tuple[str, ...]
    against: tuple[str, ...]
    """What contradicts it; of an unknown side, why nothing is said."""


@dataclass(slots=True)
class Sides:
    """A conversation and its two sides, the client first."""

    isn: int
    sides: tuple[Shown, Shown]


def identify(frames: Iterable[Frame]) -> Iterator[tuple[Identified, Identified]]:
    """Client and server of each conversation, in the order of the capture; at most MAX_CONVERSATIONS."""
    for each in _conversations(frames):
        yield _side(each.sides[0]), _side(each.sides[1])


def _conversations(frames: Iterable[Frame]) -> list[Sides]:
    found: list[Sides] = []
    current: dict[tuple[bytes, bytes], Sides] = {}
    seg = Seen()
    for _frame, data in segments(frames, seg):
        own = data[seg.src_at : seg.src_at + seg.addr_len] + seg.sport.to_bytes(2)
        peer = data[seg.dst_at : seg.dst_at + seg.addr_len] + seg.dport.to_bytes(2)
        sent = current.get((own, peer))
        known = sent or current.get((peer, own))
        opens = seg.ctl & (SYN | ACK | RST) == SYN
        if known is None or (opens and sent is known and known.isn not in (seg.seq, ABSENT)):
            if len(found) == MAX_CONVERSATIONS:
                continue
            ends = (own, peer) if opens or not seg.ctl & SYN else (peer, own)
            known = Sides(seg.seq if opens else ABSENT, (Shown(_end(ends[0])), Shown(_end(ends[1]))))
            current.pop((peer, own), None)
            current[ends] = known
            found.append(known)
        place = 0 if current.get((own, peer)) is known else 1
        _note(known.sides[place], seg, data)
    return found


def _end(octets: bytes) -> str:
    address, port = ip_address(octets[:-2]), int.from_bytes(octets[-2:])
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def _note(side: Shown, seg: Seen, data: bytes) -> None:
    if seg.ctl & SYN and not side.first and not seg.opt_cut:
        side.first, side.answers = seg.number, bool(seg.ctl & ACK)
        found = opt.unpack(data[seg.tcp_at + 20 : seg.tcp_at + seg.doff])
        side.words = tuple(WORDS[type(option)] for option in found if type(option) in WORDS)
        padding = -sum(option.width for option in found) % 4
        side.words += ("end",) * padding
        side.extensions = any(type(option) not in WORDS for option in found)
        side.mss, side.scale, side.window, side.ttl = seg.mss, seg.wscale, seg.win, seg.ttl
        side.ident = seg.ip_id
        side.dont_fragment = seg.version == 4 and bool(data[seg.ip_at + 6] & 0x40)
    elif seg.ip_id != ABSENT and not seg.ctl & (RST | SYN) and len(side.idents) < MAX_IDENTS:
        side.idents.append(seg.ip_id)
    if seg.tsval == ABSENT:
        return
    if side.clock is None:
        side.clock = seg.time, seg.tsval
    elif seg.time - side.clock[0] >= SHORTEST_SPAN:
        side.rate = ((seg.tsval - side.clock[1]) & 0xFFFFFFFF) * 1_000_000_000 / (seg.time - side.clock[0])


# Judgement: each check says +1 (evidence), -1 (another setting) or -9 (another stack), and why.

Checked = Iterator[tuple[int, str]]


def _side(side: Shown) -> Identified:
    if not side.first:
        return Identified(side.end, (), UNKNOWN, (), (_("the capture has no SYN of this side"),))
    present = STANDARD.intersection(side.words)
    if not {"scale", "timestamps"} & present or len(present) < 3:
        text = _("its options ({options}) are those of many stacks").format(options=" ".join(side.words) or _("none"))
        return Identified(side.end, (), UNKNOWN, (), (text,))
    judged = []
    for name in stacks.names():
        checks = [each for check in CHECKS for each in check(side, stacks.load(name))]
        if min((points for points, _text in checks), default=0) > -9:
            judged.append((sum(points for points, _text in checks), name, checks))
    if not judged:
        return Identified(side.end, (), UNKNOWN, (), tuple(_nearest(side)))
    judged.sort(key=lambda each: -each[0])
    best = [each for each in judged if each[0] == judged[0][0]]
    families = {stacks.load(name).family for _points, name, _checks in best}
    evidence = tuple(text for points, text in best[0][2] if points > 0)
    against = tuple(text for points, text in best[0][2] if points < 0)
    if len(families) > 1 or len(evidence) < 3:
        text = _("it may be one of {names}").format(names=listed(name for _points, name, _checks in best))
        return Identified(side.end, (), UNKNOWN, (), (text,))
    return Identified(side.end, tuple(name for _points, name, _checks in best), families.pop(), evidence, against)


def _nearest(side: Shown) -> Iterator[str]:
    """What rules out each stack with these options in this order."""
    near = False
    for name in stacks.names():
        checks = [each for check in CHECKS for each in check(side, stacks.load(name))]
        if all(points > -9 for points, _text in _options(side, stacks.load(name))):
            near = True
            yield f"{name}{_(': ')}" + _("; ").join(text for points, text in checks if points == -9)
    if not near:
        yield _("no stack has its options in this order: {options}").format(options=" ".join(side.words))


def _options(side: Shown, stack: Stack) -> Checked:
    present = STANDARD.intersection(side.words)
    expected = layout(stack.habits.get("syn_layouts", ()), present)
    expected += ["end"] * (-sum(_width(word) for word in expected) % 4)
    if side.extensions:
        # Further options take the places of padding.
        same = [word for word in side.words if word in STANDARD] == [word for word in expected if word in STANDARD]
    else:
        same = list(side.words) == expected
    yield (1 if same else -9), _("options: {options}").format(options=" ".join(side.words))
    given = _config(stack.name)
    usual = {"mss"} | {
        word
        for word, on in (
            ("sack", given.sack),
            ("timestamps", given.timestamps),
            ("scale", given.window_scale is not None),
        )
        if on
    }
    if (missing := usual - present) and not side.answers:
        yield -1, _("it offers no {options}").format(options=listed(sorted(missing)))
    if further := present - usual:
        yield -9, _("it offers {options}").format(options=listed(sorted(further)))


def _width(word: str) -> int:
    return {"mss": 4, "sack": 2, "timestamps": 10, "scale": 3}.get(word, 1)


@cache
def _config(name: str) -> Config:
    return Settings(stack=name).config(0, ipv6=False, stamp=0)


def _scale(side: Shown, stack: Stack) -> Checked:
    usual = _config(stack.name).window_scale
    if side.scale != ABSENT and usual is not None:
        yield (1 if side.scale == usual else -1), _("window scale {scale}").format(scale=side.scale)


def _window(side: Shown, stack: Stack) -> Checked:
    config = _config(stack.name)
    usual = min(config.window, MAX_FIRST_WINDOW)
    whole = config.whole_segment_syn_ack if side.answers else config.whole_segment_syn
    if not whole:
        yield (1 if side.window == usual else -1), _("window {window}").format(window=side.window)
        return
    usual_mss = USUAL_MTU - (60 if side.end.startswith("[") else 40)
    own = side.mss
    # A socket that has sent a SYN keeps its window for the SYN ACK of a simultaneous open, and the other way round.
    for mss, stamps in ((own, 0), (own, 12), (usual_mss, 0), (usual_mss, 12)):
        segment = mss - stamps
        if segment < LEAST_SEGMENT:
            continue
        count, rest = divmod(side.window, segment)
        if count and not rest:
            text = _("window {window} = {count} segments of {size}")
            full = usual // segment == count
            changed = "" if mss == own else _(", and the path has changed the MSS to {mss}").format(mss=own)
            yield (1 if full else -1), text.format(window=side.window, count=count, size=segment) + changed
            return
    yield -9, _("window {window} is not of whole segments").format(window=side.window)


def _ttl(side: Shown, stack: Stack) -> Checked:
    usual = _config_ttl(stack.name)
    first = next(each for each in HOP_LIMITS if each >= side.ttl)
    yield (1 if first == usual else -9), _("TTL {ttl}").format(ttl=side.ttl)


@cache
def _config_ttl(name: str) -> int:
    return Settings(stack=name).ttl


def _idents(side: Shown, stack: Stack) -> Checked:
    if side.ident == ABSENT:
        return
    if not side.dont_fragment:
        yield -9, _("its SYN may be fragmented (no DF)")
    policy = stack.header.ident
    found = [side.ident, *side.idents]
    if policy == "zero":
        yield (
            (-9 if any(found) else 1),
            _("identifications are 0") if not any(found) else _("identifications are not 0"),
        )
        return
    if policy == "socket":
        if side.answers:
            yield (-9 if side.ident else 1), (_("the SYN ACK's identification is {ident}").format(ident=side.ident))
            found = found[1:]
        elif not side.ident and side.idents:
            yield -9, _("the SYN's identification is 0")
    elif not any(found[:2]):
        yield -9, _("identifications are 0")
    # Packets may overtake each other.
    steps = [(b - a + MAX_STEP) & 0xFFFF for a, b in pairwise(found) if a and b]
    if len(steps) >= 2:
        counted = sum(step <= 2 * MAX_STEP for step in steps)
        yield (
            (1 if counted * 5 >= len(steps) * 4 else -9),
            (_("identifications count: {counted} of {all} steps").format(counted=counted, all=len(steps))),
        )


def _clock(side: Shown, stack: Stack) -> Checked:
    if side.rate is not None and _config(stack.name).timestamps:
        near = 0.8 * TICKS_A_SECOND <= side.rate <= 1.25 * TICKS_A_SECOND
        yield (1 if near else -9), _("timestamps tick {rate} times a second").format(rate=round(side.rate))


CHECKS = (_options, _scale, _window, _ttl, _idents, _clock)
