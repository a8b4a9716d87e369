"""Scenarios: a few lines of YAML describe what two applications and the path between them do.

    name: document
    client: {address: 192.0.2.10, port: 40000, isn: 0}
    server: {address: 192.0.2.20, port: 80, isn: 0}
    path: {rtt: 20ms}
    steps:
      - client: connect
      - client: {send: 99}
      - server: {send: 119}
      - client: close
      - server: {close: {after: 5ms}}

Steps run in order. A step begins when the previous step is complete and `after` (think time, 0 by default) has passed. When a
step is complete depends on its side:

- The same side. `connect`: when this side is ESTABLISHED or the attempt has failed. `receive: N`: when N more octets have been
  delivered to the application. `wait: TIME`: when the time has passed. `send`, `close`, `shutdown`, `abort`,
  `pause`, `resume`, `segments`: at once.
- The peer. `connect`: when this side is ESTABLISHED. `send`: when all octets have been delivered here, so that a reply carries
  their acknowledgement. If the next step is a `close`, the acknowledgement must also have reached the peer; with a `receive`
  before the `close`, this side closes at once, and its FIN carries the acknowledgement. `close`: when the FIN has arrived here,
  before this side acknowledges it; a `close` at that moment merges ACK and FIN. `abort`: when the RST has arrived here.
  `receive`, `wait`, `pause`, `resume`, `crash`: when the step is complete for the peer. `segments`: when the last one has
  arrived, or is lost.

A step with `at_once: true` begins as soon as the previous step has begun: two such `close` steps are a simultaneous close.
`pause` stops an application from reading, so that its window fills; `resume` lets it read again. `crash` makes a host forget
the connection; it then answers segments of this connection with a reset. An `exchange` is several `send` steps: the two sides
take turns.

A `connect` begins another connection between the same addresses and ports if its side has connected before, or after a
`close`, an `abort` or a `crash`. All later steps belong to the new connection. A listening server accepts it if the old
connection is gone, or is in TIME-WAIT and the SYN is newer. With `conversations`, many clients perform the steps, each with its
own random values, and one capture holds all conversations.

The capture point is the client, or the server with `capture: server`. A packet that the captured side sends has the time of its
sending, a packet of the other side the time of its arrival; a packet that is lost on the way to the capture point is missing.
`capture: both` captures every packet at both sides. A pcapng file then has two interfaces; other formats cannot hold such a
capture.

`faults` lists faults to inject, each as NAME, or as NAME@N for packet N.

Each range (`send: 50..400`, `rtt: 10ms..50ms`, `isn: random`) is drawn from the seed, independently of the others.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.build.scenario.source import Source, parse, read_file
from labkit.errors import ScenarioError, UsageError
from labkit.i18n import _, nearest

if TYPE_CHECKING:
    from scapy.packet import Packet

    from labkit.build.scenario.code import ScenarioBuilder
    from labkit.build.scenario.model import ScenarioModel
    from labkit.build.trace import Trace

SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True, repr=False)
class Scenario:
    """A valid scenario."""

    source: Source
    model: "ScenarioModel"

    @classmethod
    def load(cls, name: str | Path) -> "Scenario":
        """Load a shipped scenario by its name, or a file: a name with a slash or with the suffix .yaml or .yml.

        ScenarioError, one line, if it does not exist or is not valid.
        """
        text = str(name)
        if isinstance(name, Path) or text.endswith(SUFFIXES) or "/" in text:
            return cls.parse(read_file(Path(text)), text, Path(text).parent)
        known = shipped()
        if text not in known:
            hint = nearest(text, known) or _("; 'labkit scenarios' lists them; the name of a file ends in .yaml")
            raise ScenarioError(_("{text!r} is not a shipped scenario{hint}").format(text=text, hint=hint))
        return cls.parse(_shipped_file(text).read_text("utf-8"), f"{text}.yaml")

    @classmethod
    def parse(cls, text: str, source: str = "<text>", folder: Path | None = None) -> "Scenario":
        """Read a scenario from its YAML text. Error messages call it `source`; `folder` holds the files that it names.

        ScenarioError if it is not valid.
        """
        from labkit.build.scenario.check import validate

        found = parse(text, source, folder)
        return cls(found, validate(found))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], folder: Path | None = None) -> "Scenario":
        """A scenario from plain values, with the keys of a scenario file. `folder` holds the files that it names.

        Beyond a file's values, `send` and `connect` take bytes, and `send` a function (`labkit.build.scenario.code`).
        ScenarioError if the values are not valid.
        """
        from labkit.build.scenario.check import validate
        from labkit.build.scenario.code import source_of

        found = source_of(values, folder)
        return cls(found, validate(found))

    @classmethod
    def build(cls, name: str, **values: Any) -> "ScenarioBuilder":
        """Begin a scenario step by step: `Scenario.build("a").client.connect().client.send(b"hello").play()`.

        `values` are the other keys of a scenario file, such as `client={"port": 4000}` and `path={"rtt": "30ms"}`.
        """
        from labkit.build.scenario.code import ScenarioBuilder

        return ScenarioBuilder(cls.from_dict, {"name": name, **values})

    @classmethod
    def from_payloads(
        cls,
        messages: "Iterable[tuple[str, bytes | Packet]]",
        *,
        name: str = "payloads",
        close: str = "client",
        think: str | None = None,
        **values: Any,
    ) -> "Scenario":
        """A finished conversation around messages: the client connects, the sides send them in order, and close.

        Each message is a side, "client" or "server", and its octets, or a Scapy layer. A message follows when the one before has
        arrived, and `think` (such as "5ms") has passed if the other side sent that. `close`: the side that closes first;
        "client-reset" or "server-reset"; "none". `values` are the other keys of a scenario file: `path={"rtt": "30ms"}`,
        `vlan=12`, `client={"timestamps": True}`. UsageError for a message that cannot be sent, ScenarioError for wrong values.
        """
        from labkit.build.scenario.wrap import values_of

        return cls.from_dict(values_of(messages, name, close, think, values))

    @classmethod
    def from_trace(cls, trace: "Trace", connection: int = 0) -> "Scenario":
        """A scenario that builds a conversation of a trace again, such as one that was read from a capture.

        It has the same hosts, initial numbers, options, messages and ends, and their times; it has no loss and no retransmission.
        `connection` is a position in `trace.connections`. UsageError if there is none, ScenarioError if labkit cannot build it.
        """
        from labkit.build.scenario.imitate import values_of

        return cls.from_dict(values_of(trace, connection))

    def __repr__(self) -> str:
        return f"<Scenario {self.name!r}: {len(self.model.steps)} steps>"

    @property
    def name(self) -> str:
        """The scenario's name."""
        return self.model.name

    @property
    def summary(self) -> str:
        """What the scenario shows, in one line, in the user's language if it is a shipped one."""
        return _(self.model.summary)

    @property
    def look(self) -> tuple[str, ...]:
        """What to look for in the capture."""
        return tuple(map(_, self.model.look))

    @property
    def wireshark(self) -> tuple[str, ...]:
        """The names of the Wireshark analysis flags that the capture raises."""
        return self.model.wireshark

    @property
    def digest(self) -> bytes:
        """The SHA-256 digest of the scenario's text and of the files that it names."""
        found = sha256(self.source.text.encode())
        for name, octets in sorted(self.source.files.items()):
            found.update(sha256(name.encode()).digest() + sha256(octets).digest())
        return found.digest()

    def play(self, seed: int = 0) -> "Trace":
        """Simulate the scenario and inject its faults. The same seed always gives the same trace.

        ScenarioError if a step is impossible or never begins, or a fault does not apply.
        """
        from labkit.build.scenario.merge import play

        trace = play(self.model, self.source, seed)
        for place, fault in enumerate(self.model.faults):
            from labkit.build.faults import inject

            try:
                trace = inject(trace, [fault])
            except UsageError as error:
                raise self.source.error(("faults", place), str(error)) from error
        return trace


def shipped() -> list[str]:
    """The names of the shipped scenarios."""
    folder = files("labkit.build").joinpath("scenarios")
    return sorted(Path(each.name).stem for each in folder.iterdir() if each.name.endswith(SUFFIXES[0]))


def _shipped_file(name: str) -> Path:
    # The package is always unpacked, so that its files are files.
    return Path(str(files("labkit.build").joinpath("scenarios", f"{name}.yaml")))
