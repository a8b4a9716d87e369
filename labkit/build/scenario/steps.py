"""The models of `steps`, with their short forms."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, WithJsonSchema, model_validator

from labkit.build.scenario.fields import Model, Timing
from labkit.build.scenario.payloads import Dns, DnsExchange, Http, HttpExchange, SmtpExchange
from labkit.build.scenario.scripted import Script, read_lines
from labkit.build.scenario.units import DurationRange, Range, SizeRange
from labkit.i18n import _, listed

PAYLOADS = ("octets", "text", "hex", "file", "http", "dns")


class Connect(Timing):
    """Open a connection, optionally with data: a number of octets (a readable pattern), text, hexadecimal digits, a file's
    content, or an HTTP or DNS message.
    """

    octets: SizeRange | None = None
    pattern: str | None = None
    """The text that `octets` octets repeat."""
    text: str | None = None
    hex: str | None = None
    file: str | None = None
    """The name of a file in the scenario's folder."""
    http: Http | None = None
    dns: Dns | None = None

    @property
    def payloads(self) -> int:
        """The number of payloads."""
        return sum(getattr(self, each) is not None for each in PAYLOADS)

    @model_validator(mode="before")
    @classmethod
    def _bare_messages(cls, value: Any) -> Any:
        """`http:` without a value is a message with all defaults."""
        return _defaults(value, {"http", "dns"})

    @model_validator(mode="after")
    def _sound_payload(self) -> Self:
        if self.payloads > 1:
            raise ValueError(
                _("has {payloads} payloads; expected one of {known}").format(
                    payloads=self.payloads, known=listed(PAYLOADS)
                )
            )
        if self.pattern is not None and (self.octets is None or not self.pattern):
            raise ValueError(_("pattern needs octets and at least one character"))
        if self.hex is not None:
            try:
                bytes.fromhex(self.hex)
            except ValueError as error:
                raise ValueError(
                    _("hex {hex!r} is not pairs of hexadecimal digits").format(hex=self.hex[:40])
                ) from error
        return self


def _reply(value: Any) -> Any:
    if not callable(value):
        text = _("{value!r} is not a function; only a scenario in Python has one")
        raise ValueError(text.format(value=str(value)[:40]))  # noqa: TRY004 - pydantic's
    return value


class Send(Connect):
    """Send octets, optionally as urgent data."""

    urgent: bool = False
    more: bool = False
    """Whether more octets follow: what does not fill a segment waits for them, at most for a retransmission timeout."""
    reply: Annotated[Callable[[bytes], bytes] | None, BeforeValidator(_reply), WithJsonSchema({})] = None
    """In Python only: a function from the octets that were received to those that are sent."""

    @property
    def payloads(self) -> int:
        """The number of payloads."""
        return super().payloads + (self.reply is not None)

    @model_validator(mode="after")
    def _some_payload(self) -> Self:
        if not self.payloads:
            raise ValueError(_("has no payload; expected one of {known}").format(known=listed(PAYLOADS)))
        return self


class Receive(Timing):
    """Wait until the application has received this many octets."""

    octets: SizeRange


class Wait(Timing):
    """Let time pass."""

    time: DurationRange


class Segments(Timing):
    """Send segments exactly as written, beside this side's TCP, or without any."""

    lines: Annotated[Script, BeforeValidator(read_lines), WithJsonSchema({"type": "string"})]
    """One segment for each line, such as `S 0:0(0) <mss 1460>`."""


MAIN = {"send": "octets", "receive": "octets", "wait": "time", "segments": "lines"}
"""The key of a bare value after a verb. Other verbs allow no bare value."""


class Action(Model):
    """One action of an application: exactly one verb."""

    connect: Connect | None = None
    send: Send | None = None
    receive: Receive | None = None
    close: Timing | None = None
    shutdown: Timing | None = None
    """The same as close, which sends a FIN. The name is that of the socket call after which an application goes on reading."""
    abort: Timing | None = None
    crash: Timing | None = None
    """The host forgets the connection and sends nothing."""
    wait: Wait | None = None
    pause: Timing | None = None
    resume: Timing | None = None
    segments: Segments | None = None

    @model_validator(mode="before")
    @classmethod
    def _forms(cls, value: Any) -> Any:
        """`connect`, `send: 99` and `send: {octets: 99}` are three ways to write a verb."""
        if isinstance(value, str):
            value = {value: None}
        if not isinstance(value, Mapping):
            raise ValueError(_("is not a step; expected a verb such as connect, or {send: 99}"))  # noqa: TRY004 - pydantic's
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
                _("has {value} verbs; expected exactly one for each step").format(
                    value=len(self.model_fields_set) or "no"
                )
            )
        return self

    @property
    def verb(self) -> str:
        """The only verb."""
        return next(iter(self.model_fields_set))

    @property
    def details(self) -> Timing:
        """The value of the verb."""
        found: Timing = getattr(self, self.verb)
        return found


class Exchange(Timing):
    """Messages of both sides in turn, in one application protocol."""

    http: HttpExchange | None = None
    smtp: SmtpExchange | None = None
    dns: DnsExchange | None = None
    think: DurationRange = Range(0, 0)
    """The time between a message and the next one."""

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
            raise ValueError(
                _("has {value} protocols; expected one of http, smtp, dns").format(value=len(found) or "no")
            )
        return self

    @property
    def protocol(self) -> HttpExchange | SmtpExchange | DnsExchange:
        """The exchange in its protocol."""
        found = self.http or self.smtp or self.dns
        assert found is not None  # noqa: S101 - checked by _one_protocol
        return found


class Step(Model):
    """One step: an action of one side, or an exchange of both."""

    client: Action | None = None
    server: Action | None = None
    exchange: Exchange | None = None

    @model_validator(mode="after")
    def _one_side(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError(_("is not a step of one side; expected client:, server: or exchange:"))
        if self.action is None and self.exchange is None:
            word = next(iter(self.model_fields_set))
            raise ValueError(
                _("{word}: has no value; expected {value}").format(
                    word=word, value="http" if word == "exchange" else "a verb"
                )
            )
        return self

    @property
    def side(self) -> str:
        """The side that begins: "client" or "server"."""
        return "server" if self.server is not None else "client"

    @property
    def action(self) -> Action | None:
        """The action of the side; None for an exchange."""
        return self.client or self.server


def _defaults(value: Any, words: set[str]) -> Any:
    """The mapping with an empty mapping for each of some keys without a value."""
    if not isinstance(value, Mapping):
        return value
    return {key: {} if key in words and inner is None else inner for key, inner in value.items()}
