"""Payloads of applications: HTTP/1.1, SMTP and DNS-over-TCP messages, and whole exchanges of them.

Each message is as small as possible, yet valid: other programs decode it without errors.
"""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from random import Random
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from labkit.build.scenario.fields import Model
from labkit.build.scenario.units import Number, Range, Size, SizeRange
from labkit.build.scenario.units import number as read_number
from labkit.i18n import _

REASONS = {
    200: "OK",
    201: "Created",
    204: "No Content",
    301: "Moved Permanently",
    302: "Found",
    304: "Not Modified",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
"""Reason phrases of common status codes (RFC 9110 section 15). The phrase is optional; other codes have none."""

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "MX": 15, "TXT": 16, "AAAA": 28}
"""DNS record types (RFC 1035 section 3.2.2, RFC 3596)."""

LINE = b"abcdefghijklmnopqrstuvwxyz, ABCDEFGHIJKLMNOPQRSTUVWXYZ.\r\n"
"""The end of each line of a pattern, after six digits and a space."""

Turn = tuple[str, str, bytes]
"""One message of an exchange: the sending side, a description, and the octets."""


def pattern(count: int) -> bytes:
    """A payload of `count` octets: lines of 64 octets. Each line begins with its position in the payload.

    So a segment shows which octets of the payload it carries. The last line ends with a line break too.
    """
    if count < 2:
        return _lines(1024)[:count]
    whole, rest = divmod(count - 2, 1_000_000)
    millions = [_lines(1_000_000)] * whole if whole else []
    return b"".join((*millions, _lines(1 << max(count, 1024).bit_length())[:rest], b"\r\n"))


@lru_cache(maxsize=4)
def _lines(count: int) -> bytes:
    """The lines of a pattern at positions below `count` and below a million."""
    return b"".join(b"%06d %s" % (place, LINE) for place in range(0, min(count, 1_000_000), 64))


def _token(value: Any) -> str:
    """Text for one line of a protocol: printable ASCII."""
    text = "" if value is None or isinstance(value, list | dict) else str(value)
    if not text or not text.isascii() or not text.isprintable():
        raise ValueError(_("{text!r} is not a line of text; expected printable ASCII").format(text=text[:40]))
    return text


def _domain(value: Any) -> str:
    text = _token(value).removesuffix(".")
    if len(text) > 253 or any(not 1 <= len(label) <= 63 or " " in label for label in text.split(".")):
        raise ValueError(
            _("{text!r} is not a domain name; expected labels of 1 to 63 characters").format(text=text[:40])
        )
    return text


def _type(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


Token = Annotated[str, BeforeValidator(_token), WithJsonSchema({"type": "string"})]
Domain = Annotated[str, BeforeValidator(_domain), WithJsonSchema({"type": "string", "format": "hostname"})]
Status = Annotated[int, BeforeValidator(read_number), Field(ge=200, le=599)]


class Http(Model):
    """One HTTP/1.1 message (RFC 9112): a response if it has a `status`, else a request."""

    method: Annotated[str, Field(pattern=r"^[A-Z]{1,20}$")] = "GET"
    path: Annotated[Token, Field(pattern=r"^\S+$")] = "/"
    host: Domain = "www.example"
    status: Status | None = None
    headers: dict[Token, Token] = Field(default_factory=dict)
    body: SizeRange = Range(0, 0)
    """Octets of the body: readable lines."""

    def octets(self, seed: int, key: str) -> bytes:
        """The message; `key` names the drawn length of its body."""
        body = self.body.draw(seed, f"{key}.body")
        return request(self, body) if self.status is None else response(self.status, self.headers, body)

    @property
    def words(self) -> str:
        """A description for comments."""
        return f"HTTP {self.method} {self.path}" if self.status is None else f"HTTP {self.status}"


class HttpExchange(Model):
    """A request and its response."""

    method: Annotated[str, Field(pattern=r"^[A-Z]{1,20}$")] = "GET"
    path: Annotated[Token, Field(pattern=r"^\S+$")] = "/"
    host: Domain = "www.example"
    upload: SizeRange = Range(0, 0)
    """Octets of the request's body."""
    status: Status = 200
    body: SizeRange = Range(200, 200)
    """Octets of the response's body."""

    def turns(self, seed: int, key: str) -> list[Turn]:
        """The messages."""
        asked = Http(method=self.method, path=self.path, host=self.host)
        body = 0 if self.method == "HEAD" else self.body.draw(seed, f"{key}.body")
        return [
            ("client", asked.words, request(asked, self.upload.draw(seed, f"{key}.upload"))),
            ("server", f"HTTP {self.status}", response(self.status, {}, body)),
        ]


def request(asked: Http, body: int) -> bytes:
    """A request with a body of this many octets."""
    headers = {"Host": asked.host, "User-Agent": "labkit", "Accept": "*/*", **asked.headers}
    return _message(f"{asked.method} {asked.path} HTTP/1.1", headers, body, always=asked.method in {"POST", "PUT"})


def response(status: int, headers: dict[str, str], body: int) -> bytes:
    """A response with a body of this many octets."""
    bodiless = status in {204, 304}
    line = f"HTTP/1.1 {status} {REASONS.get(status, '')}"
    return _message(line, {"Server": "labkit", **headers}, 0 if bodiless else body, always=not bodiless)


def _message(line: str, headers: dict[str, str], body: int, *, always: bool) -> bytes:
    if body or always:
        headers = {**headers, "Content-Type": "text/plain", "Content-Length": str(body)}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{line}\r\n{head}\r\n".encode() + pattern(body)


class Dns(Model):
    """One DNS message over TCP (RFC 1035 section 4, RFC 7766): a response if it has `answers`, else a query."""

    name: Domain = "www.example"
    type: Annotated[Literal["A", "AAAA", "CNAME", "MX", "NS", "TXT"], BeforeValidator(_type)] = "A"
    answers: tuple[Token, ...] | None = None
    """The data of the answers: addresses, names (an MX record has preference 10), or texts."""
    ttl: Annotated[Number, Field(le=2**31 - 1)] = 3600
    id: Annotated[Number, Field(le=65535)] | None = None
    """The message's ID. By default name and type determine it, so that a query and its response have the same ID."""

    @model_validator(mode="after")
    def _sound_answers(self) -> Self:
        for answer in self.answers or ():
            self._data(answer)
        return self

    def octets(self, seed: int, key: str) -> bytes:  # noqa: ARG002 - the signature of all payloads
        """The message, with its length before it in two octets."""
        number = Random(f"{seed}/dns {self.name} {self.type}").getrandbits(16) if self.id is None else self.id
        answers = self.answers or ()
        # RD in the query, RD and RA in the response.
        flags = 0x0100 if self.answers is None else 0x8180
        head = b"".join(each.to_bytes(2) for each in (number, flags, 1, len(answers), 0, 0))
        kind = TYPES[self.type].to_bytes(2) + b"\0\1"
        message = head + _labels(self.name) + kind
        for answer in answers:
            data = self._data(answer)
            # 0xC00C points to the question's name (section 4.1.4).
            message += b"\xc0\x0c" + kind + self.ttl.to_bytes(4) + len(data).to_bytes(2) + data
        return len(message).to_bytes(2) + message

    def _data(self, answer: str) -> bytes:
        """The RDATA of an answer; ValueError if it does not fit the type."""
        try:
            match self.type:
                case "A":
                    return IPv4Address(answer).packed
                case "AAAA":
                    return IPv6Address(answer).packed
                case "TXT":
                    text = answer.encode()[:255]
                    return bytes([len(text)]) + text
                case _:
                    return (b"\0\x0a" if self.type == "MX" else b"") + _labels(_domain(answer))
        except ValueError as error:
            raise ValueError(
                _("answer {answer!r} does not fit type {type}").format(answer=answer[:40], type=self.type)
            ) from error

    @property
    def words(self) -> str:
        """A description for comments."""
        return f"DNS {'query' if self.answers is None else 'response'} {self.name} {self.type}"


class DnsExchange(Dns):
    """A query and its response."""

    answers: tuple[Token, ...] = ("192.0.2.80",)

    @model_validator(mode="before")
    @classmethod
    def _fitting(cls, value: Any) -> Any:
        """Choose default answers that fit the type."""
        if isinstance(value, dict) and str(value.get("type", "A")).upper() != "A" and "answers" not in value:
            return {**value, "answers": ["2001:db8::80"] if str(value["type"]).upper() == "AAAA" else ["other.example"]}
        return value

    def turns(self, seed: int, key: str) -> list[Turn]:
        """The messages."""
        query = Dns(name=self.name, type=self.type, id=self.id)
        answer = Dns(name=self.name, type=self.type, id=self.id, ttl=self.ttl, answers=self.answers)
        return [
            ("client", query.words, query.octets(seed, key)),
            ("server", answer.words, answer.octets(seed, key)),
        ]


def _labels(name: str) -> bytes:
    """A domain name on the wire (RFC 1035 section 3.1)."""
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


class SmtpExchange(Model):
    """The transfer of one mail, from the server's greeting to its last reply (RFC 5321 appendix D)."""

    host: Domain = "mail.example"
    client: Domain = "client.example"
    sender: Annotated[Token, Field(pattern=r"^\S+@\S+$")] = "alice@example"
    to: Annotated[Token, Field(pattern=r"^\S+@\S+$")] = "bob@example"
    subject: Token = "Greetings"
    body: Size = 128
    """Octets of the mail's text: readable lines."""

    def turns(self, seed: int, key: str) -> list[Turn]:  # noqa: ARG002 - the signature of all exchanges
        """The messages."""
        head = f"From: <{self.sender}>\r\nTo: <{self.to}>\r\nSubject: {self.subject}\r\n\r\n"
        # The text ends with a line break: the dot that ends the mail is alone on its line.
        mail = head.encode() + (pattern(max(self.body, 2)) if self.body else b"") + b".\r\n"
        return [
            _line("server", f"220 {self.host} ready"),
            _line("client", f"EHLO {self.client}"),
            _line("server", f"250 {self.host}"),
            _line("client", f"MAIL FROM:<{self.sender}>"),
            _line("server", "250 OK"),
            _line("client", f"RCPT TO:<{self.to}>"),
            _line("server", "250 OK"),
            _line("client", "DATA"),
            _line("server", "354 End with a dot"),
            ("client", "SMTP mail", mail),
            _line("server", "250 OK"),
            _line("client", "QUIT"),
            _line("server", "221 Bye"),
        ]


def _line(side: str, line: str) -> Turn:
    return side, f"SMTP {line.split()[0]}", f"{line}\r\n".encode()
