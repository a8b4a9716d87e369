"""What a scenario may say: the model behind the YAML, and its errors in the user's words.

Every key is listed here, once. An unknown key, a value of the wrong kind and a combination that cannot work
are errors with the line, what was expected, and the nearest word.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, get_args

from netaddr import EUI, AddrFormatError, IPAddress, mac_unix_expanded
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticUndefined

from labkit.endpoint import Config
from labkit.endpoint.congestion import names as congestion_names
from labkit.scenario.source import Key, Source, nearest
from labkit.scenario.units import (
    Chance,
    Duration,
    DurationOrOff,
    DurationRange,
    Number,
    NumberOrOff,
    NumberRange,
    Range,
    Rate,
    Size,
    SizeRange,
    ranged,
)
from labkit.scenario.units import number as read_number

MOST_STEPS = 10_000


class Model(BaseModel):
    """The base of all: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


def _address(value: Any) -> str:
    try:
        return str(IPAddress(str(value), flags=1))
    except (AddrFormatError, ValueError) as error:
        raise ValueError(
            f"{str(value)[:50]!r} is not an address; expected IPv4 or IPv6, such as 192.0.2.10"
        ) from error


def _mac(value: Any) -> str:
    try:
        return str(EUI(str(value), version=48, dialect=mac_unix_expanded))
    except (AddrFormatError, ValueError) as error:
        raise ValueError(
            f"{str(value)[:50]!r} is not a MAC; expected one such as 02:00:00:00:00:01"
        ) from error


def _isn(value: Any) -> Any:
    return None if value == "random" else ranged(read_number)(value)


def _start(value: Any) -> int:
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise ValueError(
            f"{str(value)[:50]!r} is not a time; expected one such as 2026-01-01T00:00:00Z"
        ) from error
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
    window_scale: Annotated[NumberOrOff, Field(le=14)] = None
    sack: bool = True
    timestamps: bool = False
    delayed_ack: Annotated[DurationOrOff, Field(le=500_000_000)] = 40_000_000
    nagle: bool = True
    congestion: Annotated[str | None, BeforeValidator(_congestion)] = "reno"
    initial_window: Annotated[Number, Field(ge=1, le=1000)] = 10
    rto_min: Duration = 1_000_000_000
    msl: Duration = 30_000_000_000
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


class Send(Timing):
    """Octets to be sent: a number of them (a readable pattern), a text, or hexadecimal digits."""

    octets: SizeRange | None = None
    text: str | None = None
    hex: str | None = None

    @model_validator(mode="after")
    def _one_payload(self) -> "Send":
        given = [name for name in ("octets", "text", "hex") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"has {len(given) or 'no'} payloads; expected one of octets, text, hex")
        if self.hex is not None:
            try:
                bytes.fromhex(self.hex)
            except ValueError as error:
                raise ValueError(f"hex {self.hex[:40]!r} is not pairs of hexadecimal digits") from error
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

    connect: Timing | None = None
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
    capture: Literal["client", "server"] = "client"
    """Where the packets are captured: it decides their times and which of the lost ones are seen."""
    link: Literal["ethernet", "raw"] = "ethernet"
    client: Side = Side()
    server: Side = Side()
    path: PathModel = PathModel()
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=MOST_STEPS)]


def validate(source: Source) -> ScenarioModel:
    """The model of a scenario's values; ScenarioError for the first thing that is wrong, by line."""
    try:
        model = ScenarioModel.model_validate(source.data)
    except ValidationError as error:
        found = [(_key(each["loc"]), each) for each in error.errors(include_url=False)]
        # What is wrong inside of something comes before what that does to the whole.
        inner = [(key, each) for key, each in found if not any(_holds(key, other) for other, _ in found)]
        key, first = min(inner, key=lambda item: source.line(item[0]))
        raise source.error(key, _message(key, first)) from error
    _check_hosts(model, source)
    return model


def _check_hosts(model: ScenarioModel, source: Source) -> None:
    """What only both hosts together can get wrong."""
    versions = {side: getattr(model, side).address for side in ("client", "server")}
    given = {side: ":" in address for side, address in versions.items() if address is not None}
    if len(given) == 2 and given["client"] != given["server"]:
        raise source.error(("server", "address"), "is of another family than the client's; expected the same")
    for side in ("client", "server"):
        port, isn = getattr(model, side).port, getattr(model, side).isn
        if port is not None and not 1 <= port.low <= port.high <= 65535:
            raise source.error((side, "port"), f"{port.high} is not a port; expected 1 to 65535")
        if isn is not None and isn.high > 0xFFFFFFFF:
            raise source.error(
                (side, "isn"), f"{isn.high} is not a sequence number; expected at most 4294967295"
            )
        try:
            getattr(model, side).config(0, ipv6=any(given.values()), stamp=0)
        except ValueError as error:
            raise source.error((side,), f"{error}") from error


def _key(location: tuple[int | str, ...]) -> Key:
    """Where an error is, without the names that pydantic adds for its own types."""
    return tuple(part for part in location if isinstance(part, int) or "[" not in part)


def _holds(key: Key, other: Key) -> bool:
    """Whether `other` lies inside of `key`."""
    return len(other) > len(key) and other[: len(key)] == key


def _message(key: Key, error: ErrorDetails) -> str:
    """Pydantic's error as a sentence: what is wrong; expected; did you mean."""
    kind, given, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "extra_forbidden":
        words = sorted(_fields(key[:-1]))
        return f"is not known here; expected one of {', '.join(words)}{nearest(key[-1], words)}"
    if kind == "missing":
        return "is missing"
    if kind == "value_error":
        return str(context.get("error", error["msg"]))
    if kind == "literal_error":
        words = [word.strip(" '") for word in context["expected"].replace(" or ", ",").split(",")]
        return f"{_shown(given)} is not known; expected one of {', '.join(words)}{nearest(given, words)}"
    if kind in {"model_type", "model_attributes_type", "dict_type"}:
        return f"{_shown(given)} is no mapping; expected keys and values"
    if kind in {"bool_type", "bool_parsing"}:
        return f"{_shown(given)} is neither true nor false; expected one of them"
    if kind == "string_type":
        return f"{_shown(given)} is no text; expected text, in quotes where it looks like a number"
    if kind in {"too_short", "too_long"}:
        return (
            "is empty; expected at least one"
            if kind == "too_short"
            else f"has more than {MOST_STEPS} entries"
        )
    if kind == "string_pattern_mismatch":
        return f"{_shown(given)} has other characters than letters, digits, dot, dash and underscore"
    message = error["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return f"{_shown(given)} does not fit; expected {message}"


def _shown(value: Any) -> str:
    if isinstance(value, Mapping | list | tuple):
        return "a mapping" if isinstance(value, Mapping) else "a list"
    return "nothing" if value is None or value is PydanticUndefined else repr(value)[:60]


def _fields(key: Key) -> set[str]:
    """The keys that a mapping at `key` may have."""
    model: type[BaseModel] = ScenarioModel
    for part in key:
        if isinstance(part, int) or part not in model.model_fields:
            continue
        annotation = model.model_fields[part].annotation
        for option in (annotation, *get_args(annotation)):
            if isinstance(option, type) and issubclass(option, BaseModel):
                model = option
        if part == "steps":
            model = Step
    return set(model.model_fields)
