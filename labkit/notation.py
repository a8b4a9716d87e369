"""The one-line text form of a segment, and back: packetdrill's packet lines, which the field knows.

    +0.010 > P. 1:100(99) ack 1 win 65535 <nop,nop,TS val 7 ecr 3>   # a comment

A line holds: a time (absolute seconds, or `+` seconds after the line before; may be left out), the direction (`>` from
client to server, `<` back), the control bits, `seq:end(octets)`, then `ack`, `win`, `urg`, `ecn`, options in angle
brackets, and labkit's own extension: edits in braces, `{sum=0}`, which name a field of the finished frame and the value
to force into it. The braces say what a valid segment cannot.

Letters of the control bits: S F R P . U E W A for SYN FIN RST PSH ACK URG ECE CWR AE; `-` where none is set. `seq:end`
counts payload only, as tcpdump does: a SYN is `0:0(0)`. Numbers are the segment's own (absolute).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from labkit import options as opt
from labkit import seq as sn
from labkit.errors import ScenarioError
from labkit.segment import ACK, AE, CWR, ECE, FIN, PSH, RST, SYN, URG, Segment

LETTERS = {"S": SYN, "F": FIN, "R": RST, "P": PSH, "U": URG, "E": ECE, "W": CWR, "A": AE, ".": ACK}

CLIENT, SERVER = 0, 1
"""Who sends: the client's segments are written `>`, the server's `<`."""

_ALPHABET = b"abcdefghijklmnopqrstuvwxyz"

_LINE = re.compile(
    r"""\s*(?:(?P<plus>\+?)(?P<time>\d+(?:\.\d{1,9})?)\s+)?
    (?P<direction>[<>])\s+
    (?P<ctl>[SFRPUEWA.]+|-)\s+
    (?P<seq>\d+):(?P<end>\d+)\((?P<len>\d+)\)
    (?P<words>(?:\s+(?:ack|win|urg|ecn)\s+\d+)*)
    (?:\s+<(?P<options>[^>]*)>)?
    (?:\s+\{(?P<edits>[^}]*)\})?
    \s*(?:\#\s*(?P<comment>.*))?$""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the notation. `time` is in nanoseconds; `relative`: after the line before. None: not said."""

    sender: int
    segment: Segment
    time: int | None = None
    relative: bool = False
    edits: dict[str, str] = field(default_factory=dict)
    comment: str = ""


def pattern(number: int, octets: int) -> bytes:
    """The payload that stands for `octets` octets from sequence number `number`: a resend carries the same."""
    start = number % 26
    return (_ALPHABET * (octets // 26 + 2))[start : start + octets]


def parse(text: str, source: str = "<text>") -> Iterator[Line]:
    """Read lines of the notation; empty ones and comments are passed over. ScenarioError names source and line."""
    for number, raw in enumerate(text.splitlines(), 1):
        if raw.strip() and not raw.lstrip().startswith("#"):
            try:
                yield parse_line(raw)
            except ValueError as why:
                raise ScenarioError(f"{source}:{number}: {why}") from None


def parse_line(text: str) -> Line:
    """Read one line; ValueError says what is wrong with it."""
    match = _LINE.match(text)
    if match is None:
        raise ValueError(f"{text.strip()!r} is not a segment; expected e.g. '> P. 1:100(99) ack 1 win 65535'")
    words = dict(re.findall(r"(ack|win|urg|ecn)\s+(\d+)", match["words"]))
    seq, octets = int(match["seq"]), int(match["len"])
    if sn.add(seq, octets) != int(match["end"]):
        raise ValueError(f"{match['seq']}:{match['end']}({match['len']}): {seq} + {octets} is not {match['end']}")
    if octets > 0xFFFF:
        raise ValueError(f"a segment of {octets} octets does not fit into an IP datagram")
    edits = _edits(match["edits"] or "")
    fill = edits.pop("fill", None)
    if fill == "":
        raise ValueError("{fill=}: expected a character to fill the payload with")
    segment = Segment(
        seq=seq,
        ack=int(words.get("ack", 0)),
        ctl=0 if match["ctl"] == "-" else sum(LETTERS[letter] for letter in set(match["ctl"])),
        window=int(words.get("win", 65535)),
        payload=pattern(seq, octets) if fill is None else fill.encode()[:1] * octets,
        options=parse_options(match["options"] or ""),
        urgent=int(words.get("urg", 0)),
        ecn=int(words.get("ecn", 0)),
    )
    time = None
    if match["time"] is not None:
        seconds, _, fraction = match["time"].partition(".")
        time = int(seconds) * 1_000_000_000 + int(fraction.ljust(9, "0"))
    sender = CLIENT if match["direction"] == ">" else SERVER
    return Line(sender, segment, time, match["plus"] == "+", edits, (match["comment"] or "").strip())


def format_line(line: Line) -> str:
    """Write one line: the inverse of `parse_line`, but for the octets of the payload."""
    time = ""
    if line.time is not None:
        time = f"{'+' if line.relative else ''}{line.time // 1_000_000_000}.{line.time % 1_000_000_000:09d} "
    edits = " {" + ", ".join(f"{name}={value}" for name, value in line.edits.items()) + "}" if line.edits else ""
    comment = f"  # {line.comment}" if line.comment else ""
    return f"{time}{'<' if line.sender else '>'} {format_segment(line.segment)}{edits}{comment}"


def format_segment(segment: Segment) -> str:
    """A segment in the notation, without time and direction."""
    end = sn.add(segment.seq, len(segment.payload))
    parts = [control_letters(segment.ctl), f"{segment.seq}:{end}({len(segment.payload)})"]
    if segment.ctl & ACK or segment.ack:
        parts.append(f"ack {segment.ack}")
    parts.append(f"win {segment.window}")
    if segment.urgent:
        parts.append(f"urg {segment.urgent}")
    if segment.ecn:
        parts.append(f"ecn {segment.ecn}")
    if segment.options:
        parts.append(f"<{','.join(map(format_option, segment.options))}>")
    return " ".join(parts)


def control_letters(ctl: int) -> str:
    """The control bits as letters, `-` where none is set."""
    return "".join(letter for letter, bit in LETTERS.items() if ctl & bit) or "-"


def _edits(text: str) -> dict[str, str]:
    edits = {}
    for item in filter(None, (item.strip() for item in text.split(","))):
        name, equals, value = item.partition("=")
        if not equals:
            raise ValueError(f"{{{item}}}: expected name=value")
        edits[name.strip()] = value.strip()
    return edits


def format_option(option: opt.Option) -> str:
    """One option in the notation."""
    match option:
        case opt.End():
            return "eol"
        case opt.Nop():
            return "nop"
        case opt.Mss(size):
            return f"mss {size}"
        case opt.WindowScale(shift):
            return f"wscale {shift}"
        case opt.SackPermitted():
            return "sackOK"
        case opt.Sack(blocks):
            return "sack " + " ".join(f"{left}:{right}" for left, right in blocks)
        case opt.Timestamps(value, echo):
            return f"TS val {value} ecr {echo}"
        case opt.FastOpen(cookie):
            return f"FO {cookie.hex()}".rstrip()
        case opt.Raw(octets):
            return f"raw {octets.hex()}"


def parse_options(text: str) -> tuple[opt.Option, ...]:
    """The options between the angle brackets; ValueError names the one that is not understood."""
    return tuple(_option(item.split()) for item in filter(None, (item.strip() for item in text.split(","))))


def _option(words: list[str]) -> opt.Option:
    try:
        match words:
            case ["eol"]:
                return opt.End()
            case ["nop"]:
                return opt.Nop()
            case ["mss", size]:
                return opt.Mss(_number(size, 0xFFFF))
            case ["wscale", shift]:
                return opt.WindowScale(_number(shift, 0xFF))
            case ["sackOK"]:
                return opt.SackPermitted()
            case ["sack", *blocks] if blocks:
                edges = [block.split(":") for block in blocks]
                return opt.Sack(tuple((_number(left, sn.MASK), _number(right, sn.MASK)) for left, right in edges))
            case ["TS", "val", value, "ecr", echo]:
                return opt.Timestamps(_number(value, sn.MASK), _number(echo, sn.MASK))
            case ["FO", *cookie] if len(cookie) <= 1:
                return opt.FastOpen(bytes.fromhex("".join(cookie)))
            case ["raw", octets]:
                return opt.Raw(bytes.fromhex(octets))
    except ValueError:
        # Fall through: the message below names the option as it was written.
        words = [*words]
    raise ValueError(
        f"option '{' '.join(words)}' is not understood; expected mss, wscale, sackOK, sack, TS, FO, nop, eol or raw"
    )


def _number(text: str, limit: int) -> int:
    number = int(text)
    if not 0 <= number <= limit:
        raise ValueError(f"{number} is outside 0..{limit}")
    return number
