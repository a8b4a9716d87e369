"""The notation of a segment in one line of text, after packetdrill's packet lines.

    +0.010 > P. 1:100(99) ack 1 win 65535 <nop,nop,TS val 7 ecr 3>   # a comment
    +0.010 < P. 1:7(6) ack 100 win 65535 "250 \\r\\n"

A line holds: a time (absolute seconds, which may be negative, or `+` seconds after the line before; may be left out), the
direction (`>` from client to server, `<` back), the control bits, `seq:end(octets)`, then `ack`, `win`, `urg`, `ecn`,
options in angle brackets, the payload in quotation marks, and labkit's own extension: edits in braces, `{sum=0}`, which
name a field of the finished frame and the value to force into it. The braces say what a valid segment cannot.

Letters of the control bits: S F R P . U E W A for SYN FIN RST PSH ACK URG ECE CWR AE; `-` where none is set. `seq:end`
counts payload only, as tcpdump does: a SYN is `0:0(0)`. Numbers are the segment's own (absolute).

The payload is a pattern that follows from the sequence numbers, so that a resend carries the same, unless the line says it:
`"text"`, with Python's escapes `\\r`, `\\n`, `\\t`, `\\"`, `\\\\` and `\\x00`; `{data=00ff}`, in hexadecimal; or one octet
again and again, `{fill=x}` or `{fill=0x00}`. Where `{caplen=N}` says that the capture has less than the whole frame, it may be
shorter than the segment: the pattern goes on. `{reserved=N}` sets the three bits between data offset and control bits.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field

from labkit.errors import ScenarioError
from labkit.i18n import N_, _
from labkit.tcp import options as opt
from labkit.tcp import seq as sn
from labkit.tcp.extension_options import parse as parse_extension
from labkit.tcp.segment import ACK, AE, CWR, ECE, FIN, PSH, RST, SYN, URG, Segment

LETTERS = {"S": SYN, "F": FIN, "R": RST, "P": PSH, "U": URG, "E": ECE, "W": CWR, "A": AE, ".": ACK}

CLIENT, SERVER = 0, 1
"""Who sends: the client's segments are written `>`, the server's `<`."""

MAX_PAYLOAD_OCTETS = 0xFFFF
"""Octets of the longest payload: an IP datagram has no room for more."""

MAX_LINE_CHARACTERS = 5 * MAX_PAYLOAD_OCTETS
"""Characters of the longest line: each octet of a payload takes at most four."""

_ALPHABET = b"abcdefghijklmnopqrstuvwxyz"

_RESERVED = 9
"""The position of the lowest reserved bit above the control bits."""

_PARTS = (
    ("", r"(?a)\s*(?:(?P<sign>[+-]?)(?P<time>\d{1,11}(?:\.\d{1,9})?)\s+)?"),
    (N_("'>' or '<' and a space, after at most a time such as 0.5 or +0.010"), r"(?P<direction>[<>])\s+"),
    (N_("control bits such as S. or -"), r"(?P<ctl>[SFRPUEWA.]+|-)\s+"),
    (N_("numbers such as 1:100(99)"), r"(?P<seq>\d{1,10}):(?P<end>\d{1,10})\((?P<len>\d{1,10})\)(?=[\s#]|$)"),
    ("", r"(?P<words>(?:\s+(?:ack|win|urg|ecn)\s+\d{1,10}(?=[\s#]|$))*)"),
    ("", r"(?:\s+<(?P<options>[^>]*)>)?"),
    ("", r'(?:\s+"(?P<text>[^"\\]*(?:\\.[^"\\]*)*)")?'),
    ("", r"(?:\s+\{(?P<edits>[^}]*)\})?"),
    (
        N_('the line\'s end, or one of ack, win, urg, ecn, <options>, "text", {edits}, # comment, in this order'),
        r"\s*(?:\#\s*(?P<comment>.*))?$",
    ),
)
"""The parts of a line in their order, each with its description for messages."""

_LINE = re.compile("".join(pattern for _expected, pattern in _PARTS))

_ESCAPES = {"r": "\r", "n": "\n", "t": "\t", '"': '"', "\\": "\\"}
_PLAIN = frozenset(range(0x20, 0x7F)) | frozenset(b"\r\n\t")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the notation. `time` is in nanoseconds, after the previous line if `relative`; None without a time."""

    sender: int
    segment: Segment
    time: int | None = None
    relative: bool = False
    edits: dict[str, str] = field(default_factory=dict)
    comment: str = ""


def pattern(number: int, octets: int) -> bytes:
    """The default payload of `octets` octets from sequence number `number`: a retransmission carries the same."""
    room = sn.MASK + 1 - number
    if octets > room > 0:
        return pattern(number, room) + pattern(0, octets - room)
    start = number % 26
    return (_ALPHABET * (octets // 26 + 2))[start : start + octets]


def parse(text: str, source: str = "<text>") -> Iterator[Line]:
    """Read lines of the notation, except empty ones and comments. ScenarioError names source and line."""
    for number, raw in enumerate(text.split("\n"), 1):
        if raw.strip() and not raw.lstrip().startswith("#"):
            try:
                yield parse_line(raw)
            except ValueError as why:
                raise ScenarioError(f"{source}:{number}: {why}") from None


def parse_line(text: str) -> Line:
    """Read one line; ValueError says what is wrong, and what was expected."""
    if len(text) > MAX_LINE_CHARACTERS:
        raise ValueError(
            _("a line of {n} characters; expected at most {max_line_characters}").format(
                n=len(text), max_line_characters=MAX_LINE_CHARACTERS
            )
        )
    match = _LINE.match(text)
    if match is None:
        raise ValueError(_wrong(text))
    words: dict[str, int] = {}
    for name, value in re.findall(r"(ack|win|urg|ecn)\s+(\d+)", match["words"]):
        if name in words:
            raise ValueError(_("{name} is given twice; expected once").format(name=name))
        words[name] = int(value)
    seq, octets = int(match["seq"]), int(match["len"])
    if octets > MAX_PAYLOAD_OCTETS:
        raise ValueError(
            _(
                "a segment of {octets} octets does not fit into an IP datagram; expected at most {max_payload_octets}"
            ).format(octets=octets, max_payload_octets=MAX_PAYLOAD_OCTETS)
        )
    if sn.add(seq, octets) != int(match["end"]):
        raise ValueError(
            _("{seq}:{match}({octets}): {seq} + {octets} is not {match2}; expected {add}").format(
                seq=seq, match=match["end"], octets=octets, match2=match["end"], add=sn.add(seq, octets)
            )
        )
    edits = _edits(match["edits"] or "")
    reserved = _number(edits.pop("reserved", "0"), 7)
    syn = "S" in match["ctl"]  # SYN takes the number before the first octet's
    segment = Segment(
        seq=seq,
        ack=words.get("ack", 0),
        ctl=reserved << _RESERVED | (0 if match["ctl"] == "-" else sum(LETTERS[each] for each in set(match["ctl"]))),
        window=words.get("win", 65535),
        payload=_payload(sn.add(seq, syn), octets, match["text"], edits),
        options=parse_options(match["options"] or ""),
        urgent=words.get("urg", 0),
        ecn=words.get("ecn", 0),
    )
    time = None
    if match["time"] is not None:
        seconds, _point, fraction = match["time"].partition(".")
        time = int(seconds) * 1_000_000_000 + int(fraction.ljust(9, "0"))
        time = -time if match["sign"] == "-" else time
    sender = CLIENT if match["direction"] == ">" else SERVER
    return Line(sender, segment, time, match["sign"] == "+", edits, (match["comment"] or "").strip())


def _wrong(text: str) -> str:
    """The message about a line that does not match: its first part that is missing."""
    known, rest = "", text
    for expected, part in _PARTS:
        match = re.match(known + part, text)
        if match is None:
            found = rest.strip()
            shown = found[:40] + "…" if len(found) > 40 else repr(found)
            return _("{text} is not understood; expected {expected}").format(text=shown, expected=_(expected))
        known, rest = known + part, text[match.end() :]
    return _("{text} is not understood").format(text=repr(text[:40]))


def _payload(seq: int, octets: int, text: str | None, edits: dict[str, str]) -> bytes:
    """The payload of a segment whose first octet has number `seq`. Removes `fill` and `data` from the edits."""
    fill, data = edits.pop("fill", None), edits.pop("data", None)
    if (text is not None) + (fill is not None) + (data is not None) > 1:
        raise ValueError(_('the payload is given twice; expected one of "text", {data=} and {fill=}'))
    if fill is not None:
        return _octet(fill) * octets
    if text is None and data is None:
        return pattern(seq, octets)
    given = _unescaped(text) if text is not None else _hexadecimal(data or "")
    if len(given) != octets and not (len(given) < octets and "caplen" in edits):
        raise ValueError(
            _("the payload has {n} octets, but the segment has {octets}").format(n=len(given), octets=octets)
        )
    return given + pattern(sn.add(seq, len(given)), octets - len(given))


def _octet(text: str) -> bytes:
    match = re.fullmatch(r"0x([0-9A-Fa-f]{2})|([!-~])", text)
    if match is None:
        raise ValueError(_("{{fill={text}}}: expected a character or an octet such as 0x00").format(text=text))
    return bytes.fromhex(match[1]) if match[1] else match[2].encode()


def _hexadecimal(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ValueError(_("{{data={text}}}: expected octets in hexadecimal").format(text=text[:20])) from None


def _unescaped(text: str) -> bytes:
    """The octets of a text with escapes, in UTF-8."""

    def escaped(match: re.Match[str]) -> str:
        word = match[1]
        if word in _ESCAPES:
            return _ESCAPES[word]
        if len(word) < 3:
            raise ValueError(
                _("'\\{word}' is not an escape; expected one of \\r, \\n, \\t, \\\", \\\\, \\x00").format(word=word)
            )
        return chr(0xDC00 + int(word[1:], 16)) if word[1] in "89abcdefABCDEF" else chr(int(word[1:], 16))

    # A non-ASCII octet is a lone surrogate, as in file names.
    return re.sub(r"\\(x[0-9A-Fa-f]{2}|.)", escaped, text).encode("utf-8", "surrogateescape")


def format_line(line: Line) -> str:
    """Write one line: the inverse of `parse_line`."""
    time = ""
    if line.time is not None:
        sign = "-" if line.time < 0 else "+" if line.relative else ""
        time = f"{sign}{abs(line.time) // 1_000_000_000}.{abs(line.time) % 1_000_000_000:09d} "
    segment, edits = line.segment, dict(line.edits)
    text = _spell(segment, edits)
    if segment.ctl >> _RESERVED:
        edits["reserved"] = str(segment.ctl >> _RESERVED)
    forced = " {" + ", ".join(f"{name}={value}" for name, value in edits.items()) + "}" if edits else ""
    comment = f"  # {line.comment}" if line.comment else ""
    return f"{time}{'<' if line.sender else '>'} {format_segment(segment)}{text}{forced}{comment}"


def _spell(segment: Segment, edits: dict[str, str]) -> str:
    """The payload as a text, or as an entry in the edits; empty if it is the pattern."""
    payload = segment.payload
    standing = pattern(sn.add(segment.seq, segment.ctl & SYN != 0), len(payload))
    if payload == standing:
        return ""
    if len(payload) > 1 and payload.count(payload[:1]) == len(payload):
        edits["fill"] = f"0x{payload[0]:02x}"
        return ""
    if "caplen" in edits:
        # The part that the capture does not hold is the pattern.
        payload = payload[: bisect_left(range(len(payload)), True, key=lambda at: payload[at:] == standing[at:])]
    if sum(octet not in _PLAIN for octet in payload) * 10 <= len(payload):
        return f' "{"".join(map(_escaped, payload))}"'
    edits["data"] = payload.hex()
    return ""


def _escaped(octet: int) -> str:
    char = chr(octet)
    if char in '"\\':
        return "\\" + char
    if " " <= char <= "~":
        return char
    return {"\r": "\\r", "\n": "\\n", "\t": "\\t"}.get(char, f"\\x{octet:02x}")


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
            raise ValueError(_("{{{item}}}: expected name=value").format(item=item))
        if name.strip() in edits:
            raise ValueError(
                _("{{{item}}}: {strip} is given twice; expected once").format(item=item, strip=name.strip())
            )
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
    return option.words()


def parse_options(text: str) -> tuple[opt.Option, ...]:
    """The options between the angle brackets; ValueError names one that is malformed."""
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
        if words and (extension := parse_extension(words)):
            return extension
    except ValueError:
        # The message below names the option as it was written.
        words = [*words]
    raise ValueError(
        _(
            "option '{known}' is not understood; expected mss, wscale, sackOK, sack, TS, FO, md5, ao, accecn0, accecn1, "
            "mp_capable, dss or another of MPTCP's, nop, eol or raw"
        ).format(known=" ".join(words))
    )


def _number(text: str, limit: int) -> int:
    number = int(text) if text.isascii() and text.isdecimal() and len(text) <= 10 else -1
    if not 0 <= number <= limit:
        raise ValueError(_("{text!r} is not a number of 0..{limit}").format(text=text[:20], limit=limit))
    return number
