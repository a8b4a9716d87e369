"""The model of a scenario's YAML. `steps` has the models of steps; `fields` and `units` have the types of values.

This is the only list of keys. An unknown key, a value of the wrong type and an impossible combination are errors with the
line, the expected value, and the nearest word.
"""

from contextlib import suppress
from functools import cache, cached_property
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from labkit.build.scenario.fields import (
    Address,
    AddressPool,
    ArrivalProcess,
    Arrivals,
    Congestion,
    Cookie,
    Faults,
    Flags,
    Isn,
    Key,
    Lines,
    Mac,
    Model,
    Packets,
    Ports,
    Stack,
    Start,
)
from labkit.build.scenario.steps import Step
from labkit.build.scenario.units import (
    DURATION_OR_OFF,
    Chance,
    Duration,
    DurationOrOff,
    DurationRange,
    Number,
    NumberRange,
    Range,
    Rate,
    Size,
    or_off,
)
from labkit.build.scenario.units import duration as read_duration
from labkit.build.scenario.units import number as read_number
from labkit.build.scenario.units import size as read_size
from labkit.i18n import _
from labkit.tcp import stacks
from labkit.tcp.endpoint import Config
from labkit.tcp.stacks import DEFAULT

MAX_STEPS = 10_000
"""Steps of a scenario."""
MAX_CONVERSATIONS = 10_000
"""Conversations of a scenario."""
DEFAULT_MTU = 1500


def _half_second(value: Any) -> int:
    """A duration of at most 500 ms, the longest delay of an ACK (RFC 9293 section 3.8.6.3)."""
    found = read_duration(value)
    if found > 500_000_000:
        raise ValueError(
            _("{value!r} is too long for an acknowledgement to wait; expected at most 500ms").format(
                value=str(value)[:40]
            )
        )
    return found


class Side(Model):
    """One host: its address, and the settings of its TCP."""

    stack: Stack = DEFAULT
    """The host that its traffic looks like. A stack sets the other keys that this side does not."""
    address: Address | None = None
    port: NumberRange | None = None
    name: Annotated[str, Field(min_length=1, max_length=60)] | None = None
    mac: Mac | None = None
    ttl: Annotated[Number, Field(ge=1, le=255)] = 64
    dscp: Annotated[Number, Field(le=63)] = 0
    isn: Isn = None
    mss: Annotated[Number, Field(ge=88, le=65495)] | None = None
    window: Annotated[Size, Field(ge=1)] = 65535
    window_scale: Annotated[
        Annotated[int, Field(le=14)] | None,
        BeforeValidator(or_off(read_number)),
        WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0, "maximum": 14}, {"enum": ["off"]}]}),
    ] = None
    sack: bool = True
    timestamps: bool = False
    delayed_ack: Annotated[int | None, BeforeValidator(or_off(_half_second)), DURATION_OR_OFF] = 40_000_000
    nagle: bool = True
    congestion: Congestion = "reno"
    initial_window: Annotated[Number, Field(ge=1, le=1000)] = 10
    rto_min: Duration = 1_000_000_000
    msl: Duration = 30_000_000_000
    ecn: bool | Literal["accurate"] = False
    fast_open: Cookie = None
    mptcp: bool = False
    md5: Key = None
    ao: Key = None
    syn_cookies: bool = False
    keep_alive: DurationOrOff = None
    keep_alive_interval: Duration = 75_000_000_000
    keep_alive_probes: Annotated[Number, Field(ge=1, le=100)] = 9
    listen: bool = True
    """Whether the server listens. It refuses connections otherwise."""

    @model_validator(mode="before")
    @classmethod
    def _settings(cls, given: Any) -> Any:
        """The keys of the stack under those of the side. An unknown stack is an error of its own key."""
        stack = given.get("stack", DEFAULT) if isinstance(given, dict) else None
        if stack not in stacks.names():
            return given
        settings = stacks.load(stack).settings
        merged = {**settings, **given}
        if "window" in given and "window_scale" in settings and "window_scale" not in given:
            # The scale fits the buffer.
            with suppress(ValueError, TypeError):
                merged["window_scale"] = max(read_size(given["window"]).bit_length() - 16, 0)
        return merged

    def config(self, iss: int, ipv6: bool, stamp: int, mtu: int = DEFAULT_MTU) -> Config:
        """The endpoint's configuration; the default MSS follows from the MTU. ValueError for impossible combinations."""
        room = mtu - (60 if ipv6 else 40)
        window = self.window
        if "window" in stacks.load(self.stack).settings:
            # A stack's buffer is larger than what a smaller scale can express.
            window = min(window, 0xFFFF << (self.window_scale or 0))
        return Config(
            iss=iss,
            mss=self.mss or room,
            # A segment that exceeds the MTU leaves in fragments.
            send_mss=max(room, self.mss or room),
            default_mss=1220 if ipv6 else 536,
            window=window,
            window_scale=self.window_scale,
            sack=self.sack,
            timestamps=self.timestamps,
            timestamp_offset=stamp,
            delayed_ack=self.delayed_ack,
            nagle=self.nagle,
            congestion=self.congestion,
            initial_window=self.initial_window,
            rto_min=self.rto_min,
            msl=self.msl,
            ecn=self.ecn,
            mptcp=self.mptcp,
            fast_open=self.fast_open,
            syn_cookies=self.syn_cookies,
            keep_alive=self.keep_alive,
            keep_alive_interval=self.keep_alive_interval,
            keep_alive_probes=self.keep_alive_probes,
            **_habits(self.stack),
        )


@cache
def _habits(stack: str) -> dict[str, Any]:
    """The habits of a stack as fields of `Config`."""

    def value(written: Any) -> Any:
        if isinstance(written, list):
            return tuple(written)
        return read_duration(written) if isinstance(written, str) else written

    return {name: value(written) for name, written in stacks.load(stack).habits.items()}


class Burst(Model):
    """Losses in bursts (Gilbert's model): each packet begins a burst with this chance."""

    chance: Chance
    length: Annotated[Number, Field(ge=1, le=1_000_000)] = 3
    """The mean number of packets in a burst."""


class Way(Model):
    """One direction of the path. Packets are counted from 1."""

    delay: DurationRange | None = None
    jitter: Duration = 0
    bandwidth: Rate | None = None
    queue: Number | None = None
    mark_queue: Number | None = None
    """The queue length at which the path marks ECN-capable packets as congested."""
    loss: Chance = 0.0
    burst: Burst | None = None
    lose: Packets = ()
    duplicate: Packets = ()
    mark: Packets = ()
    late: dict[Number, Duration] = Field(default_factory=dict)


class PathModel(Model):
    """The path: its round-trip time, or the delay of each direction, and its largest datagrams."""

    rtt: DurationRange = Range(20_000_000, 20_000_000)
    mtu: Annotated[Number, Field(ge=128, le=65535)] = DEFAULT_MTU
    """Octets of the largest datagram; the default MSS of both sides follows from it."""
    fragment: Annotated[Number, Field(ge=68, le=65535)] | None = None
    """Octets of the largest datagram that is not fragmented."""
    hops: Annotated[Number, Field(le=254)] = 0
    """The number of routers. Each decrements the TTL."""
    to_server: Way = Way()
    to_client: Way = Way()


class VlanModel(Model):
    """A VLAN tag."""

    id: Annotated[Number, Field(le=4095)]
    priority: Annotated[Number, Field(le=7)] = 0
    service: bool = False
    """Whether this is a service tag (802.1ad)."""


def _tags(value: Any) -> Any:
    """One tag or several, each a number or a mapping."""
    return tuple(
        each if isinstance(each, dict) else {"id": each} for each in (value if isinstance(value, list) else [value])
    )


class Conversations(Model):
    """Many conversations with the same steps, each with its own random values."""

    count: Annotated[Number, Field(ge=1, le=MAX_CONVERSATIONS)]
    clients: AddressPool | None = None
    """The pool of client addresses; without it, all conversations have the same client address."""
    ports: NumberRange = Range(32768, 60999)
    """The range of client ports."""
    server_ports: Ports | None = None
    """The server's ports. The conversations take turns."""
    listening: Ports | None = None
    """The server's ports that listen; by default all. On the other ports only the first connect is attempted."""
    arrivals: ArrivalProcess = Arrivals(10_000_000, poisson=True)


class ScenarioModel(Model):
    """A scenario."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,60}$")]
    summary: Annotated[str, Field(max_length=500)] = ""
    look: Lines = ()
    """What to look for in the capture, one line each."""
    wireshark: Flags = ()
    """The names of the Wireshark analysis flags that the capture raises."""
    start: Start = 1_767_225_600_000_000_000
    capture: Literal["client", "server", "both"] = "client"
    """The capture point. It determines the times, and which lost packets are in the capture."""
    link: Literal["ethernet", "raw"] = "ethernet"
    vlan: Annotated[tuple[VlanModel, ...], Field(min_length=1, max_length=8), BeforeValidator(_tags)] | None = None
    """The VLAN tags of each frame, the outer one first: numbers or mappings."""
    client: Side = Side()
    server: Side = Side()
    path: PathModel = PathModel()
    conversations: Conversations | None = None
    faults: Faults = ()
    """Faults to inject, in this order: NAME, or NAME@N for packet N."""
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=MAX_STEPS)]

    @cached_property
    def scripted(self) -> frozenset[str]:
        """The sides without a TCP: they only send what `segments` steps write down, and wait."""
        verbs: dict[str, set[str]] = {"client": set(), "server": set()}
        for step in self.steps:
            for side in verbs if step.action is None else (step.side,):
                verbs[side].add(step.action.verb if step.action is not None else "exchange")
        return frozenset(side for side, found in verbs.items() if "segments" in found and found <= {"segments", "wait"})
