"""Scenarios in Python: from plain values, or step by step.

    scenario = (
        Scenario.build("greeting", path={"rtt": "30ms"})
        .client.connect()
        .client.send(b"hello")
        .server.send(lambda received: received.upper(), after="5ms")
        .client.close()
        .server.close()
        .scenario()
    )

Keys and values are those of a scenario file, checked by the same model. Beyond that, `send` and `connect` take bytes, and `send`
takes a function: when the step begins, the function gets the octets that its side has received and that no earlier function got,
and returns the octets to send.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.build.scenario.source import MAX_DEPTH, Key, Source
from labkit.errors import ScenarioError
from labkit.i18n import _

if TYPE_CHECKING:
    from labkit.build.scenario import Scenario
    from labkit.build.trace import Trace

Reply = Callable[[bytes], bytes]
"""From the octets that an application has received to those that it sends."""

AS_TEXT = (IPv4Address, IPv6Address, IPv4Network, IPv6Network, Path)
"""Types of values that a scenario's file has as text."""


def source_of(values: Mapping[str, Any], folder: Path | None) -> Source:
    """The source of a scenario that is given as values. `folder` holds the files that it names."""
    if not isinstance(values, Mapping):
        raise ScenarioError(
            _("a scenario is not a {name}; expected a mapping with keys such as 'steps'").format(
                name=type(values).__name__
            )
        )
    source = Source(str(values.get("name", "<scenario>"))[:80], folder=folder, in_code=True)
    source.data = _plain(values, (), source)
    # What tells one scenario from another. A function is known by its name.
    source.text = dumps(source.data, default=lambda value: getattr(value, "__qualname__", repr(value)))
    return source


def _plain(value: Any, key: Key, source: Source) -> Any:
    """A value as a file would have it, with the order of its keys in `source.lines`."""
    source.lines[key] = len(source.lines) + 1
    if len(key) > 2 * MAX_DEPTH:
        raise ScenarioError(
            _("{name}: lists and mappings are nested more than {n} deep").format(name=source.name, n=2 * MAX_DEPTH)
        )
    if key[-1:] in {("send",), ("connect",)}:
        if isinstance(value, bytes | bytearray | memoryview):
            value = {"hex": bytes(value).hex()}
        elif callable(value):
            value = {"reply": value}
    if isinstance(value, Mapping):
        return {name: _plain(inner, (*key, name), source) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, (*key, place), source) for place, inner in enumerate(value)]
    return str(value) if isinstance(value, AS_TEXT) else value


@dataclass(frozen=True)
class ScenarioBuilder:
    """A scenario that grows step by step. Each step gives a new builder, so that one beginning may have several ends."""

    make: Callable[[Mapping[str, Any]], "Scenario"] = field(repr=False)
    """`Scenario.from_dict`."""
    values: Mapping[str, Any]
    """The scenario so far, without `steps`."""
    steps: tuple[Mapping[str, Any], ...] = ()

    @property
    def client(self) -> "SideBuilder":
        """The next step is the client's."""
        return SideBuilder(self, "client")

    @property
    def server(self) -> "SideBuilder":
        """The next step is the server's."""
        return SideBuilder(self, "server")

    def exchange(self, protocol: str, **details: Any) -> "ScenarioBuilder":
        """Messages of both sides in turn: "http", "smtp" or "dns". `details` are those of the protocol, and `think`, `after`."""
        own = {name: details.pop(name) for name in ("think", "after", "at_once") if name in details}
        return self._with({"exchange": {protocol: details, **own}})

    def scenario(self) -> "Scenario":
        """The finished scenario. ScenarioError if it is not valid."""
        return self.make({**self.values, "steps": self.steps})

    def play(self, seed: int = 0) -> "Trace":
        """Simulate the finished scenario, as `Scenario.play`."""
        return self.scenario().play(seed)

    def _with(self, step: Mapping[str, Any]) -> "ScenarioBuilder":
        return replace(self, steps=(*self.steps, step))


@dataclass(frozen=True)
class SideBuilder:
    """The steps of one side. Each takes `after` (a think time, such as "5ms") and `at_once`, as in a scenario's file."""

    builder: ScenarioBuilder = field(repr=False)
    side: str

    def connect(self, payload: bytes | str | int | None = None, **details: Any) -> ScenarioBuilder:
        """Open a connection, optionally with data in the SYN (Fast Open)."""
        return self._step("connect", {**_payload(payload), **details})

    def send(self, payload: bytes | str | int | Reply | None = None, **details: Any) -> ScenarioBuilder:
        """Send octets: bytes, text, a number of octets, or what a function makes of the octets received.

        Without a payload, `details` has one as in a file, such as `http={"path": "/"}` or `octets="50..400"`.
        """
        return self._step("send", {**_payload(payload), **details})

    def receive(self, octets: int | str, **details: Any) -> ScenarioBuilder:
        """Wait until this side has received that many more octets."""
        return self._step("receive", {"octets": octets, **details})

    def wait(self, time: str, **details: Any) -> ScenarioBuilder:
        """Let time pass, such as "200ms"."""
        return self._step("wait", {"time": time, **details})

    def close(self, **details: Any) -> ScenarioBuilder:
        """Close: send a FIN after everything that was sent."""
        return self._step("close", details)

    def shutdown(self, **details: Any) -> ScenarioBuilder:
        """The same as close: this side may go on receiving."""
        return self._step("shutdown", details)

    def abort(self, **details: Any) -> ScenarioBuilder:
        """Reset the connection."""
        return self._step("abort", details)

    def crash(self, **details: Any) -> ScenarioBuilder:
        """Forget the connection, and send nothing."""
        return self._step("crash", details)

    def pause(self, **details: Any) -> ScenarioBuilder:
        """Stop reading, so that the window fills."""
        return self._step("pause", details)

    def resume(self, **details: Any) -> ScenarioBuilder:
        """Read again."""
        return self._step("resume", details)

    def segments(self, lines: str, **details: Any) -> ScenarioBuilder:
        """Send segments exactly as written, one for each line."""
        return self._step("segments", {"lines": lines, **details})

    def _step(self, verb: str, details: Mapping[str, Any]) -> ScenarioBuilder:
        return self.builder._with({self.side: {verb: dict(details)}})


def _payload(payload: bytes | str | int | Reply | None) -> dict[str, Any]:
    """The payload of a step as a key of its details. The model checks the value."""
    if payload is None:
        return {}
    if callable(payload):
        return {"reply": payload}
    if isinstance(payload, bytes | bytearray | memoryview):
        return {"hex": bytes(payload).hex()}
    return {"text" if isinstance(payload, str) else "octets": payload}
