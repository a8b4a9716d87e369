"""What applications do, a step at a time: the models of `steps`, with their short forms."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import model_validator

from labkit.build.scenario.fields import Model, Timing
from labkit.build.scenario.payloads import Dns, DnsExchange, Http, HttpExchange, SmtpExchange
from labkit.build.scenario.units import DurationRange, Range, SizeRange

PAYLOADS = ("octets", "text", "hex", "file", "http", "dns")


class Connect(Timing):
    """A connection, and what is sent with it: a number of octets (a readable pattern), text, hexadecimal digits, a
    file's content, or a message of HTTP or DNS.
    """

    octets: SizeRange | None = None
    pattern: str | None = None
    """What the octets repeat, where only their number is given."""
    text: str | None = None
    hex: str | None = None
    file: str | None = None
    """A file's name, below the folder of the scenario."""
    http: Http | None = None
    dns: Dns | None = None

    @property
    def payloads(self) -> int:
        """How many payloads there are."""
        return sum(getattr(self, each) is not None for each in PAYLOADS)

    @model_validator(mode="before")
    @classmethod
    def _bare_messages(cls, value: Any) -> Any:
        """`http:` with nothing behind it is a message with all defaults."""
        return _defaults(value, {"http", "dns"})

    @model_validator(mode="after")
    def _sound_payload(self) -> Self:
        if self.payloads > 1:
            raise ValueError(f"has {self.payloads} payloads; expected one of {', '.join(PAYLOADS)}")
        if self.pattern is not None and (self.octets is None or not self.pattern):
            raise ValueError("pattern needs octets, and at least one character")
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
    def _some_payload(self) -> Self:
        if not self.payloads:
            raise ValueError(f"has no payload; expected one of {', '.join(PAYLOADS)}")
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
    shutdown: Timing | None = None
    """The same to TCP as close: FIN. It says that the application goes on reading, as a socket's shutdown does."""
    abort: Timing | None = None
    crash: Timing | None = None
    """The host forgets the connection, and tells nobody."""
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
    def _one_verb(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError(
                f"has {len(self.model_fields_set) or 'no'} verbs; expected exactly one, and a step for each"
            )
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


class Exchange(Timing):
    """Messages of both sides in their turn, by one application's protocol."""

    http: HttpExchange | None = None
    smtp: SmtpExchange | None = None
    dns: DnsExchange | None = None
    think: DurationRange = Range(0, 0)
    """How long after a message the next one comes."""

    @model_validator(mode="before")
    @classmethod
    def _forms(cls, value: Any) -> Any:
        """`http` and `{http: }` are an exchange with all defaults."""
        if isinstance(value, str):
            value = {value: None}
        return _defaults(value, {"http", "smtp", "dns"})

    @model_validator(mode="after")
    def _one_protocol(self) -> Self:
        found = [each for each in ("http", "smtp", "dns") if getattr(self, each) is not None]
        if len(found) != 1:
            raise ValueError(f"has {len(found) or 'no'} protocols; expected one of http, smtp, dns")
        return self

    @property
    def protocol(self) -> HttpExchange | SmtpExchange | DnsExchange:
        """What is exchanged."""
        found = self.http or self.smtp or self.dns
        assert found is not None  # noqa: S101 - _one_protocol holds it
        return found


class Step(Model):
    """One step: which side, and what it does; or an exchange of both."""

    client: Action | None = None
    server: Action | None = None
    exchange: Exchange | None = None

    @model_validator(mode="after")
    def _one_side(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError("is not one side's step; expected client: or server:, or exchange:")
        if self.action is None and self.exchange is None:
            word = next(iter(self.model_fields_set))
            raise ValueError(f"{word}: has nothing behind it; expected {'http' if word == 'exchange' else 'a verb'}")
        return self

    @property
    def side(self) -> str:
        """ "client" or "server": who begins."""
        return "server" if self.server is not None else "client"

    @property
    def action(self) -> Action | None:
        """What the side does; None for an exchange."""
        return self.client or self.server


def _defaults(value: Any, words: set[str]) -> Any:
    """A mapping in which nothing behind one of some words means an empty mapping."""
    if not isinstance(value, Mapping):
        return value
    return {key: {} if key in words and inner is None else inner for key, inner in value.items()}
