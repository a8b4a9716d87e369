"""What a scenario may say: the model behind the YAML, and its errors in the user's words.

Every key is listed here, once. An unknown key, a value of the wrong kind and a combination that cannot work
are errors with the line, what was expected, and the nearest word.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from netaddr import EUI, AddrFormatError, IPAddress, mac_unix_expanded
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from labkit.endpoint import Config
from labkit.endpoint.congestion import names as congestion_names
from labkit.scenario.source import nearest
from labkit.scenario.units import (
    Chance,
    Duration,
    DurationOrOff,
    DurationRange,
    Number,
    NumberRange,
    Range,
    Rate,
    Size,
    SizeRange,
    or_off,
    ranged,
)
from labkit.scenario.units import duration as read_duration
from labkit.scenario.units import number as read_number

MOST_STEPS = 10_000


class Model(BaseModel):
    """The base of all: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


def _address(value: Any) -> str:
    try:
        return str(IPAddress(str(value), flags=1))
    except (AddrFormatError, ValueError) as error:
        raise ValueError(f"{str(value)[:50]!r} is not an address; expected IPv4 or IPv6, such as 192.0.2.10") from error


def _mac(value: Any) -> str:
    try:
        return str(EUI(str(value), version=48, dialect=mac_unix_expanded))
    except (AddrFormatError, ValueError) as error:
        raise ValueError(f"{str(value)[:50]!r} is not a MAC; expected one such as 02:00:00:00:00:01") from error


def _isn(value: Any) -> Any:
    return None if value == "random" else ranged(read_number)(value)


def _start(value: Any) -> int:
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise ValueError(f"{str(value)[:50]!r} is not a time; expected one such as 2026-01-01T00:00:00Z") from error
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    nanoseconds = int(found.timestamp()) * 1_000_000_000 + found.microsecond * 1_000
    if nanoseconds < 0:
        raise ValueError(f"{str(value)[:50]!r} is before 1970")
    return nanoseconds


def _congestion(value: Any) -> Any:
    if value == "off":
        return None
    if value not in congestion_names():
        raise ValueError(
            f"{str(value)[:50]!r} is not known; expected off, or one of: {', '.join(congestion_names())}"
            f"{nearest(value, congestion_names())}"
        )
    return value


def _cookie(value: Any) -> Any:
    if value in {"off", "request"}:
        return None if value == "off" else b""
    try:
        cookie = bytes.fromhex(str(value))
    except ValueError:
        cookie = b""
    if len(cookie) % 2 or not 4 <= len(cookie) <= 16:
        raise ValueError(f"{str(value)[:50]!r} is no cookie; expected off, request, or 4 to 16 octets in hexadecimal")
    return cookie


def _lines(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class Side(Model):
    """One host: where it is, and how its TCP is set up."""

    address: Annotated[str, BeforeValidator(_address)] | None = None
    port: NumberRange | None = None
    name: Annotated[str, Field(min_length=1, max_length=60)] | None = None
    mac: Annotated[str, BeforeValidator(_mac)] | None = None
    ttl: Annotated[Number, Field(ge=1, le=255)] = 64
    dscp: Annotated[Number, Field(le=63)] = 0
    isn: Annotated[Range | None, BeforeValidator(_isn)] = None
    mss: Annotated[Number, Field(ge=88, le=65495)] | None = None
    window: Annotated[Size, Field(ge=1)] = 65535
    window_scale: Annotated[Annotated[int, Field(le=14)] | None, BeforeValidator(or_off(read_number))] = None
    sack: bool = True
    timestamps: bool = False
    delayed_ack: Annotated[Annotated[int, Field(le=500_000_000)] | None, BeforeValidator(or_off(read_duration))] = (
        40_000_000
    )
    nagle: bool = True
    congestion: Annotated[str | None, BeforeValidator(_congestion)] = "reno"
    initial_window: Annotated[Number, Field(ge=1, le=1000)] = 10
    rto_min: Duration = 1_000_000_000
    msl: Duration = 30_000_000_000
    ecn: bool = False
    fast_open: Annotated[bytes | None, BeforeValidator(_cookie)] = None
    keep_alive: DurationOrOff = None
    keep_alive_interval: Duration = 75_000_000_000
    keep_alive_probes: Annotated[Number, Field(ge=1, le=100)] = 9
    listen: bool = True
    """A server that does not listen refuses."""

    def config(self, iss: int, ipv6: bool, stamp: int) -> Config:
        """The endpoint's configuration; MTU 1500 where no MSS is given. ValueError where parts do not fit."""
        return Config(
            iss=iss,
            mss=self.mss or (1440 if ipv6 else 1460),
            default_mss=1220 if ipv6 else 536,
            window=self.window,
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
            fast_open=self.fast_open,
            keep_alive=self.keep_alive,
            keep_alive_interval=self.keep_alive_interval,
            keep_alive_probes=self.keep_alive_probes,
        )


class Way(Model):
    """What one direction of the path does. Packets are counted from 1."""

    delay: DurationRange | None = None
    jitter: Duration = 0
    bandwidth: Rate | None = None
    queue: Number | None = None
    loss: Chance = 0.0
    lose: tuple[Number, ...] = ()
    duplicate: tuple[Number, ...] = ()
    mark: tuple[Number, ...] = ()
    late: dict[Number, Duration] = {}


class PathModel(Model):
    """The path: a round-trip time for both directions, or a delay for each."""

    rtt: DurationRange = Range(20_000_000, 20_000_000)
    to_server: Way = Way()
    to_client: Way = Way()


class Timing(Model):
    """What every step can say about when it begins."""

    after: DurationRange = Range(0, 0)
    at_once: bool = False


class Connect(Timing):
    """A connection, and octets that are sent with it: a number of them (a readable pattern), text, or
    hexadecimal.
    """

    octets: SizeRange | None = None
    text: str | None = None
    hex: str | None = None

    @property
    def payloads(self) -> int:
        """How many payloads there are."""
        return sum(each is not None for each in (self.octets, self.text, self.hex))

    @model_validator(mode="after")
    def _sound_payload(self) -> "Connect":
        if self.payloads > 1:
            raise ValueError(f"has {self.payloads} payloads; expected one of octets, text, hex")
        if self.hex is not None:
            try:
                bytes.fromhex(self.hex)
            except ValueError as error:
                raise ValueError(f"hex {self.hex[:40]!r} is not pairs of hexadecimal digits") from error
        return self


class Send(Connect):
    """Octets to be sent, and whether as urgent data."""

    urgent: bool = False

    @model_validator(mode="after")
    def _some_payload(self) -> "Send":
        if not self.payloads:
            raise ValueError("has no payload; expected one of octets, text, hex")
        return self


class Receive(Timing):
    """Octets that the application waits for."""

    octets: SizeRange


class Wait(Timing):
    """Time that the application lets pass."""

    time: DurationRange


MAIN = {"send": "octets", "receive": "octets", "wait": "time"}
"""What a bare value after a verb means; for the other verbs it is not allowed."""


class Action(Model):
    """One thing that an application does: exactly one verb."""

    connect: Connect | None = None
    send: Send | None = None
    receive: Receive | None = None
    close: Timing | None = None
    abort: Timing | None = None
    wait: Wait | None = None
    pause: Timing | None = None
    resume: Timing | None = None

    @model_validator(mode="before")
    @classmethod
    def _forms(cls, value: Any) -> Any:
        """`connect`, `send: 99` and `send: {octets: 99}` are three ways to write a verb."""
        if isinstance(value, str):
            value = {value: None}
        if not isinstance(value, Mapping):
            raise ValueError("is no step; expected a verb such as connect, or {send: 99}")  # noqa: TRY004 - pydantic's
        found: dict[Any, Any] = {}
        for verb, details in value.items():
            if details is None:
                found[verb] = {}
            elif verb in MAIN and not isinstance(details, Mapping):
                found[verb] = {MAIN[verb]: details}
            else:
                found[verb] = details
        return found

    @model_validator(mode="after")
    def _one_verb(self) -> "Action":
        if len(self.model_fields_set) != 1:
            raise ValueError(f"has {len(self.model_fields_set) or 'no'} verbs; expected exactly one")
        return self

    @property
    def verb(self) -> str:
        """The verb."""
        return next(iter(self.model_fields_set))

    @property
    def details(self) -> Timing:
        """What stands after the verb."""
        found: Timing = getattr(self, self.verb)
        return found


class Step(Model):
    """One step: which side, and what it does."""

    client: Action | None = None
    server: Action | None = None

    @model_validator(mode="after")
    def _one_side(self) -> "Step":
        if len(self.model_fields_set) != 1:
            raise ValueError("is not one side's step; expected client: or server:")
        return self

    @property
    def side(self) -> str:
        """ "client" or "server"."""
        return "client" if self.client is not None else "server"

    @property
    def action(self) -> Action:
        """What the side does."""
        found = self.client or self.server
        assert found is not None  # noqa: S101 - _one_side holds it
        return found


class ScenarioModel(Model):
    """A whole scenario."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,60}$")]
    summary: Annotated[str, Field(max_length=500)] = ""
    look: Annotated[tuple[str, ...], BeforeValidator(_lines)] = ()
    """What to look at in the capture, a line each."""
    start: Annotated[int, BeforeValidator(_start)] = 1_767_225_600_000_000_000
    capture: Literal["client", "server", "both"] = "client"
    """Where the packets are captured: it decides their times and which of the lost ones are seen."""
    link: Literal["ethernet", "raw"] = "ethernet"
    client: Side = Side()
    server: Side = Side()
    path: PathModel = PathModel()
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=MOST_STEPS)]
