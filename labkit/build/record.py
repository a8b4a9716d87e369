"""What a trace consists of: records of captured segments, connections, and injected faults.

`labkit.build.trace` simulates or reads whole traces; these are their parts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from labkit.capture import Damage, Frame, Interface
from labkit.errors import UsageError
from labkit.i18n import _, listed
from labkit.packet.frame_edits import EDITS
from labkit.packet.scapy_build import Host, is_packet, layer_octets
from labkit.tcp import seq as sn
from labkit.tcp.options import Option
from labkit.tcp.quick import maker
from labkit.tcp.segment import Segment, control_bits
from labkit.tcp.state import State

States = tuple[State, State]
"""The state of an end before and after a segment."""


@dataclass(frozen=True, slots=True)
class Record:
    """One captured segment. `time` is in nanoseconds from the trace's start.

    `client` and `server` are the states of both ends. The sender's state changes when it sends the segment, the receiver's
    when the segment arrives. They are None where they are unknown: in a trace written by hand.
    """

    number: int
    time: int
    sender: str
    segment: Segment
    why: str
    """Why the endpoint sent it: a key of SECTIONS. Empty for a segment that is written by hand."""
    step: str
    """The step of the scenario that caused it, or the comment on a segment that is written by hand."""
    client: States | None
    server: States | None
    arrived: bool = True
    """False if the path loses the segment after the capture point."""
    edits: Mapping[str, str] = field(default_factory=dict)
    """Edits of the finished frame (`labkit.packet.frame_edits`), for values that a valid segment cannot have."""
    tap: str = "client"
    """The side that captured it."""
    ident: int | None = None
    """The IPv4 identification. None: the number of the record among those of its sender."""
    label: int = 0
    """The IPv6 flow label."""
    connection: int = 0
    """The position of its connection in `Trace.connections`."""
    cwnd: int | None = field(default=None, compare=False)
    """The sender's congestion window after sending it, in octets; None without congestion control, and where it is unknown."""
    frames: tuple[Frame, ...] = ()
    """The captured frame, or those of the datagram's fragments, in a trace that was read from a capture. They hold everything
    but the segment and the time: link layer, IP header, comments. Number 0: it was inserted."""

    def edit(self, **changes: Any) -> "Record":
        """The record with changes.

        `seq`, `ack` and `time` (nanoseconds) are moved: `ack=+1` adds one, modulo 2**32. The others are set: `flags` (a text
        such as "SYN ACK", or bits), `window`, `urgent`, `ecn`, `payload`, `options`, `segment`, `sender`, `ident`, and `edits`
        of the finished frame (`labkit.packet.frame_edits`), such as `{"sum": "+1"}`. Instead of a value, each takes a function
        of the old one: `ack=lambda ack: 0`. UsageError for an unknown name, a value that the field cannot hold, and a change
        that changes nothing.
        """
        record = self
        try:
            for name, value in changes.items():
                record = record._changed(name, value)
        except (TypeError, ValueError) as error:
            raise UsageError(str(error)) from error
        if record == self:
            what = ", ".join(f"{name}={value!r}" for name, value in changes.items())
            raise UsageError(
                _("edit({what}) changes nothing; seq, ack and time take a difference, such as ack=+1").format(
                    what=what[:80]
                )
            )
        return record

    def _changed(self, name: str, value: Any) -> "Record":
        if name not in FIELDS:
            raise ValueError(
                _("unknown field {name!r}; expected one of {known}").format(name=name, known=listed(FIELDS))
            )
        place = FIELDS[name] or name
        owner: Record | Segment = self if place in RECORD_FIELDS else self.segment
        old = getattr(owner, place)
        if callable(value):
            value = value(old)
        elif name == "time" or name in MOVED:
            _check_kind(name, value)
            value = old + value if name == "time" else sn.add(old, value)
        elif name == "flags" and isinstance(value, str):
            value = control_bits(value)
        elif name == "payload":
            value = layer_octets(value) if is_packet(value) else value
        elif name == "options":
            value = tuple(value)
        _check_kind(name, value)
        if isinstance(owner, Segment):
            return replace(self, segment=owner.with_(**{place: value}))
        if place == "sender" and value not in ("client", "server"):
            raise ValueError(_("{value!r} is not a side; expected client or server").format(value=value))
        return replace(self, **{place: value})


make_record = maker(Record)
"""`Record`, for many."""


def _check_kind(name: str, value: Any) -> None:
    """TypeError for a value that the field cannot hold, whatever its size."""
    if name == "payload":
        fits, expected = isinstance(value, bytes), _("bytes or a Scapy layer")
    elif name == "options":
        fits, expected = all(isinstance(each, Option) for each in value), _("options, such as Mss(1460)")
    elif name == "segment":
        fits, expected = isinstance(value, Segment), "Segment"
    elif name == "edits":
        texts = isinstance(value, Mapping) and all(isinstance(each, str) for each in value.values())
        fits = texts and value.keys() <= EDITS.keys()
        expected = _("a mapping of texts with some of {known}").format(known=listed(EDITS))
    elif name == "sender":
        return
    else:
        fits, expected = isinstance(value, int) or (name == "ident" and value is None), _("a whole number")
    if not fits:
        raise TypeError(
            _("{name}: got {value}; expected {expected}").format(name=name, value=repr(value)[:40], expected=expected)
        )


FIELDS = dict.fromkeys(("seq", "ack", "window", "urgent", "ecn", "payload", "options", "segment", "sender", "time"), "")
FIELDS |= {"flags": "ctl", "ident": "", "edits": ""}
"""What `Record.edit` changes; each with its name in Record or Segment where that differs."""
RECORD_FIELDS = frozenset({"segment", "sender", "time", "ident", "edits"})
MOVED = frozenset({"seq", "ack"})


@dataclass(frozen=True, slots=True)
class Connection:
    """The hosts of a connection, and their initial sequence numbers."""

    client: Host
    server: Host
    client_isn: int
    server_isn: int

    def isns(self, sender: str) -> tuple[int, int]:
        """The initial sequence numbers of a sender and of its peer."""
        isns = self.client_isn, self.server_isn
        return isns if sender == "client" else isns[::-1]


class FilePacket(NamedTuple):
    """A packet of a file. `time` is in nanoseconds since 1970-01-01."""

    record: Record | None
    time: int
    octets: bytes
    wirelen: int
    comments: tuple[str, ...]
    interface: int


@dataclass(frozen=True, slots=True)
class Origin:
    """What a capture holds beside the segments of its trace."""

    interfaces: tuple[Interface, ...]
    names: Mapping[str, str]
    comments: tuple[str, ...]
    """Comments on the capture."""
    others: tuple[Frame, ...]
    """Frames without a readable segment, in the order of the capture."""
    damage: Damage | None = None
    """Why the capture could not be read to its end."""


@dataclass(frozen=True, slots=True)
class Injected:
    """One line of a manifest: a fault in a trace."""

    fault: str
    code: str
    """The rule that the fault breaks."""
    packet: int
    """The number of the packet that breaks it."""
    inserted: bool
    """True if the fault inserted this packet, false if it changed it."""
    changed: str
    """The changed fields, or the inserted segment."""
