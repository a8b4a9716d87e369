"""The expectations that an assignment can name, such as `server-port: 8080` or `close-segments: 4`.

Each is one function with `@check`: it gets a conversation and the wanted value, and returns an `Outcome`. Add one here, and
assignments, their JSON schema and the documentation have it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from labkit.analysis.entry import CLIENT, SERVER
from labkit.i18n import N_, _, listed, ngettext
from labkit.tcp.segment import FIN
from labkit.teach.grade.facts import Conversation
from labkit.teach.grade.task import Given

SIDES = {"client": CLIENT, "server": SERVER}
OPTIONS = ("mss", "window-scale", "sack", "timestamps")
MAX_NUMBER = (1 << 32) - 1
"""The largest number that a check compares."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether an expectation holds."""

    ok: bool
    is_: str
    """What the capture shows, in a few words."""
    should: str
    """What was expected, in a few words."""
    packet: int | None = None
    """The packet that shows it."""


Function = Callable[[Conversation, Any, Given], Outcome]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of check."""

    name: str
    values: str
    """What its value is: `number`, `network`, `text`, `options`, `flag`, or words that are separated by `|`."""
    summary: str
    function: Function
    identifies: bool
    """Whether it says which of several conversations is meant."""
    mend: str
    """What a student who does not meet it should do."""


KINDS: dict[str, Kind] = {}


def check(name: str, values: str, mend: str, *, identifies: bool = False) -> Callable[[Function], Function]:
    """Declare a check. Its docstring is its summary."""

    def declare(function: Function) -> Function:
        KINDS[name] = Kind(name, values, (function.__doc__ or "").strip(), function, identifies, mend)
        return function

    return declare


def read(name: str, value: Any) -> Any:
    """The value of a check, as a `Check` has it. ValueError with what was expected."""
    kind = KINDS[name].values
    if kind == "number":
        return _range(value)
    if kind == "flag":
        if value is not True:
            raise ValueError(_("{value!r} does not fit; expected true").format(value=str(value)[:40]))
        return True
    if kind == "network":
        try:
            return str(ip_network(str(value), strict=False))
        except ValueError as error:
            raise ValueError(_("{value!r} is not an address or a network").format(value=str(value)[:50])) from error
    if kind == "text":
        if not isinstance(value, str) or not value:
            raise ValueError(_("{value!r} is not text; expected text, in quotes").format(value=str(value)[:40]))
        return value
    if kind == "options":
        words = value if isinstance(value, list) else [value]
        for word in words:
            if word not in OPTIONS:
                raise ValueError(
                    _("{word!r} is not known; expected some of {known}").format(
                        word=str(word)[:40], known=listed(OPTIONS)
                    )
                )
        return list(words)
    words = kind.split("|")
    if str(value) not in words:
        raise ValueError(
            _("{value!r} is not known; expected one of {known}").format(value=str(value)[:40], known=listed(words))
        )
    return str(value)


def schema(name: str) -> dict[str, Any]:
    """The JSON schema of a check's value."""
    kind = KINDS[name]
    found: dict[str, Any] = {"description": kind.summary}
    if kind.values == "number":
        return {**found, "type": ["integer", "string"], "pattern": r"^(\d+(\.\.\d*)?|\.\.\d+|\$[a-z].*)$", "minimum": 0}
    if kind.values == "flag":
        return {**found, "const": True}
    if kind.values == "options":
        return {**found, "type": ["string", "array"], "items": {"enum": list(OPTIONS)}}
    if kind.values in ("text", "network"):
        return {**found, "type": "string"}
    words = kind.values.split("|")
    return {**found, "enum": [int(word) if word.isdecimal() else word for word in words]}


def _range(value: Any) -> list[int]:
    match = re.fullmatch(r"(\d{1,12})?(?:(\.\.)(\d{1,12})?)?", str(value).strip(), re.ASCII)
    if isinstance(value, bool) or match is None or not (match[1] or match[3]):
        raise ValueError(
            _("{value!r} is not a number; expected one such as 99, or a range: 1..200, 1..").format(
                value=str(value)[:40]
            )
        )
    low = int(match[1] or 0)
    high = low if not match[2] else int(match[3]) if match[3] else MAX_NUMBER
    if low > high:
        raise ValueError(
            _("{value!r} is not a range; expected LOW..HIGH with LOW at most HIGH").format(value=str(value)[:40])
        )
    return [low, high]


def _wanted(want: list[int]) -> str:
    low, high = want
    if low == high:
        return str(low)
    if high >= MAX_NUMBER:
        return _("{low} or more").format(low=low)
    return _("{low} to {high}").format(low=low, high=high)


def _within(number: int, want: list[int]) -> bool:
    return bool(want[0] <= number <= want[1])


def _first(conversation: Conversation) -> int | None:
    return conversation.segments[0].packet if conversation.segments else None


# The two ends.


def _port(side: str) -> Function:
    def function(conversation: Conversation, want: Any, given: Given) -> Outcome:
        port = conversation.ports[SIDES[side]]
        texts = {
            "client": (_("the client's port is {port}"), _("client port {want}")),
            "server": (_("the server's port is {port}"), _("server port {want}")),
        }
        is_, should = texts[side]
        return Outcome(
            _within(port, want), is_.format(port=port), should.format(want=_wanted(want)), _first(conversation)
        )

    function.__doc__ = f"The port of the {side}."
    return function


def _address(side: str) -> Function:
    def function(conversation: Conversation, want: Any, given: Given) -> Outcome:
        address = conversation.addresses[SIDES[side]]
        network = ip_network(want)
        ok = ip_address(address) in network
        text = str(network.network_address) if network.num_addresses == 1 else str(network)
        texts = {
            "client": (_("the client's address is {address}"), _("client address {want}")),
            "server": (_("the server's address is {address}"), _("server address {want}")),
        }
        is_, should = texts[side]
        return Outcome(ok, is_.format(address=address), should.format(want=text), _first(conversation))

    function.__doc__ = f"The address of the {side}, or a network that holds it."
    return function


def _isn(side: str) -> Function:
    def function(conversation: Conversation, want: Any, given: Given) -> Outcome:
        isn = conversation.isns[SIDES[side]]
        should = _("the SYN of the {side} with seq {want}").format(side=_(side), want=_wanted(want))
        if isn is None:
            return Outcome(False, _("the {side} sends no SYN").format(side=_(side)), should)
        seg = next(seg for seg in conversation.segments if seg.side == SIDES[side] and seg.seq == isn)
        return Outcome(
            _within(isn, want),
            _("the SYN of the {side} has seq {isn}").format(side=_(side), isn=isn),
            should,
            seg.packet,
        )

    function.__doc__ = f"The initial sequence number of the {side}, raw."
    return function


def _sends(side: str) -> Function:
    def function(conversation: Conversation, want: Any, given: Given) -> Outcome:
        octets = conversation.octets[SIDES[side]]
        text = ngettext("the {side} sends {n} byte", "the {side} sends {n} bytes", octets)
        first = conversation.first_data(SIDES[side])
        return Outcome(
            _within(octets, want),
            text.format(side=_(side), n=octets),
            _("{want} bytes from the {side}").format(side=_(side), want=_wanted(want)),
            first.packet if first else None,
        )

    function.__doc__ = f"The bytes of data that the {side} sends; bytes that are sent again count once."
    return function


def _text(side: str) -> Function:
    def function(conversation: Conversation, want: Any, given: Given) -> Outcome:
        ok = want.encode() in conversation.streams[SIDES[side]]
        first = conversation.first_data(SIDES[side])
        is_ = _("the data of the {side} has the text") if ok else _("the data of the {side} does not have the text")
        should = _('the text "{text}" in the data of the {side}').format(side=_(side), text=want[:60])
        return Outcome(ok, is_.format(side=_(side)), should, first.packet if first else None)

    function.__doc__ = f"A text that the data of the {side} contains."
    return function


_PORT = N_("Use the port of your hand-out in all packets of both directions.")
_ADDRESS = N_("Use the address of your hand-out in all packets of both directions.")
_ISN = N_("Begin with the number of your hand-out, and count all later numbers from it.")
_SENDS = N_("Give the payload the right length; the numbers after it follow.")
_TEXT = N_("Put the text into the payload.")

for _side in SIDES:
    check(f"{_side}-port", "number", _PORT, identifies=True)(_port(_side))
    check(f"{_side}-address", "network", _ADDRESS, identifies=True)(_address(_side))
    check(f"{_side}-isn", "number", _ISN, identifies=True)(_isn(_side))
    check(f"{_side}-sends", "number", _SENDS)(_sends(_side))
    check(f"{_side}-text", "text", _TEXT)(_text(_side))


def _delivers(side: str) -> Function:
    def function(conversation: Conversation, want: Any, given: Given) -> Outcome:
        octets = conversation.delivered[SIDES[side]]
        texts = {
            "client": _("the server acknowledges {n} bytes of the client"),
            "server": _("the client acknowledges {n} bytes of the server"),
        }
        should = _("{want} bytes that arrive").format(want=_wanted(want))
        return Outcome(_within(octets, want), texts[side].format(n=octets), should)

    function.__doc__ = f"The bytes of the {side}'s data that the other side acknowledges."
    return function


def _answers_resent(side: str) -> Function:
    def function(conversation: Conversation, want: Any, given: Given) -> Outcome:
        ignored = conversation.unanswered(SIDES[side])
        should = _("an ACK after each segment that comes again")
        if ignored is None:
            return Outcome(True, _("each segment that comes again is acknowledged"), should)
        text = _("nothing answers packet {n}, which is sent again")
        return Outcome(False, text.format(n=ignored.packet), should, ignored.packet)

    function.__doc__ = f"Whether the {side} acknowledges each segment that it gets again (RFC 9293 section 3.10.7.4)."
    return function


for _side in SIDES:
    check(f"{_side}-delivers", "number", N_("Send again what is not acknowledged, until it is."))(_delivers(_side))
    check(f"{_side}-answers-resent", "flag", N_("Answer a segment that came before with an ACK, and drop it."))(
        _answers_resent(_side)
    )


# The course of the conversation.


@check("opened", "handshake|simultaneous|refused|unanswered", N_("Write all segments of the opening, in this order."))
def opened(conversation: Conversation, want: Any, given: Given) -> Outcome:
    """How the connection was opened: `handshake` has SYN, SYN ACK and the third ACK."""
    texts = {
        "handshake": _("SYN, SYN ACK and ACK are there"),
        "simultaneous": _("both sides send a SYN at the same time"),
        "refused": _("the SYN is refused by a RST"),
        "half-open": _("the ACK that ends the handshake is missing"),
        "unanswered": _("the SYN ACK is missing"),
        "not-seen": _("the client's SYN is missing"),
    }
    wanted = {
        "handshake": _("a handshake: SYN, SYN ACK, ACK"),
        "simultaneous": _("a simultaneous open: two SYNs that cross"),
        "refused": _("a SYN that is refused by a RST"),
        "unanswered": _("a SYN that nobody answers"),
    }
    # What is missing is at no packet.
    packet = _first(conversation) if conversation.opened in ("handshake", "refused") else None
    return Outcome(conversation.opened == want, texts[conversation.opened], wanted[want], packet)


@check("closed", "fin|reset|half-closed|open", N_("Write all segments of the close, in their order."))
def closed(conversation: Conversation, want: Any, given: Given) -> Outcome:
    """How the connection was closed: `fin` has a FIN of each side, and an ACK after the second."""
    fins = [side for side in (CLIENT, SERVER) if conversation.first(FIN, side)]
    half = _("only the {side} sends a FIN").format(side=_("client") if fins == [CLIENT] else _("server"))
    if len(fins) == 2:
        half = _("nobody acknowledges the second FIN")
    texts = {
        "fin": _("both sides send a FIN, and the last one is acknowledged"),
        "reset": _("the connection is reset"),
        "half-closed": half,
        "open": _("nobody sends a FIN"),
    }
    wanted = {
        "fin": _("a close with a FIN of each side, both acknowledged"),
        "reset": _("a close by RST"),
        "half-closed": _("a FIN of one side only"),
        "open": _("a connection that stays open"),
    }
    fin = conversation.first(FIN)
    return Outcome(conversation.closed == want, texts[conversation.closed], wanted[want], fin.packet if fin else None)


@check("close-segments", "3|4", N_("Decide whether the ACK of the first FIN travels alone or with the second FIN."))
def close_segments(conversation: Conversation, want: Any, given: Given) -> Outcome:
    """The segments of the close: 4 (FIN, ACK, FIN, ACK), or 3 if the second FIN carries the first acknowledgement."""
    number, fin = conversation.close_segments, conversation.first(FIN)
    should = {
        "3": _("a close of three segments: FIN, FIN ACK, ACK"),
        "4": _("a close of four segments: FIN, ACK, FIN, ACK"),
    }[want]
    if number is None:
        return Outcome(False, _("the close is not complete"), should, fin.packet if fin else None)
    is_ = _("the close takes {n} segments").format(n=number)
    return Outcome(number == int(want), is_, should, fin.packet if fin else None)


@check("closes-first", "client|server", N_("Let the other side send its FIN first."))
def closes_first(conversation: Conversation, want: Any, given: Given) -> Outcome:
    """The side that sends the first FIN."""
    fin = conversation.first(FIN)
    should = _("the first FIN from the {side}").format(side=_(want))
    if fin is None:
        return Outcome(False, _("nobody sends a FIN"), should)
    side = "client" if fin.side == CLIENT else "server"
    return Outcome(side == want, _("the {side} sends the first FIN").format(side=_(side)), should, fin.packet)


@check("segments", "number", N_("Compare your packets with the steps of the exercise, one by one."))
def segments(conversation: Conversation, want: Any, given: Given) -> Outcome:
    """The segments of the conversation."""
    count = len(conversation.segments)
    text = ngettext("the conversation has {n} segment", "the conversation has {n} segments", count)
    return Outcome(_within(count, want), text.format(n=count), _("{want} segments").format(want=_wanted(want)))


@check("options", "options", N_("Add the options to both SYN and SYN ACK."))
def options(conversation: Conversation, want: Any, given: Given) -> Outcome:
    """The options that both SYN and SYN ACK offer."""
    missing = [each for each in want if not all(each in offered for offered in conversation.options)]
    is_ = _("SYN and SYN ACK have the options") if not missing else _("SYN or SYN ACK lacks {names}")
    should = _("SYN and SYN ACK with {names}").format(names=listed(want))
    return Outcome(not missing, is_.format(names=listed(missing)), should, _first(conversation))


@check("retransmissions", "number", N_("Count the segments that carry numbers which were sent before."))
def retransmissions(conversation: Conversation, want: Any, given: Given) -> Outcome:
    """The segments that are sent again."""
    text = ngettext("{n} segment is sent again", "{n} segments are sent again", conversation.resent)
    should = _("{want} retransmissions").format(want=_wanted(want))
    return Outcome(_within(conversation.resent, want), text.format(n=conversation.resent), should)


@check(
    "as-given", "flag", N_("Begin with your own given capture again, and change wrong numbers only."), identifies=True
)
def as_given(conversation: Conversation, want: Any, given: Given) -> Outcome:
    """Whether the given capture's conversation was kept: its ends, initial numbers, data, and number of segments."""
    should = _("the given conversation, with nothing changed but its mistakes")
    if given.ends is not None and conversation.ends != given.ends:
        text = _("it is a conversation of {mine}, not of {given}")
        return Outcome(False, text.format(mine=conversation.name, given=" > ".join(given.ends)), should)
    if given.isns is not None and conversation.isns != given.isns:
        return Outcome(False, _("the initial sequence numbers are not those of the given capture"), should)
    for side, name in enumerate(SIDES):
        if given.streams is not None and conversation.digest(side) != given.streams[side]:
            return Outcome(
                False, _("the data of the {side} is not that of the given capture").format(side=_(name)), should
            )
    if given.segments is not None and len(conversation.segments) != given.segments:
        text = _("it has {mine} segments; the given conversation has {given}")
        return Outcome(False, text.format(mine=len(conversation.segments), given=given.segments), should)
    return Outcome(True, _("the given conversation was kept"), should)
