"""Scenarios: a few lines of YAML that say what two applications do, and what the path between them does.

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

Steps run in their order. A step begins when the step before it is complete, and `after` (think time, 0 where
it is not given) has passed. What complete means depends on whose step it was:

- The same side's. `connect`: when this side is ESTABLISHED or the attempt has failed. `receive: N`: when N more octets have been
  delivered to the application. `wait: TIME`: when the time has passed. `send`, `close`, `shutdown`, `abort`,
  `pause`, `resume`: at once.
- The peer's. `connect`: when this side is ESTABLISHED. `send`: when all its octets have been delivered here,
  so that a reply carries their acknowledgement; but for a `close`, when the acknowledgement has also reached
  the peer: who closes has nothing more to say. A `receive` before the `close` makes it close at once, and the
  FIN carries the acknowledgement. `close`: when its FIN has arrived here, before that is acknowledged; a
  `close` at that moment merges both. `abort`: when its RST has arrived here. `receive`, `wait`, `pause`,
  `resume`, `crash`: as for the peer itself.

A step with `at_once: true` does not wait for the step before it to be complete, only to have begun: two
`close` steps of this kind are a simultaneous close. `pause` stops an application from reading, so that its
window fills; `resume` lets it read again. `crash` makes a host forget the connection; what arrives for it is then
answered with a reset. An `exchange` is several `send` steps: the messages of both sides in their turn.

A `connect` begins another connection between the same addresses and ports where its side has connected before, or one
of the steps since then was a `close`, an `abort` or a `crash`. Each later step belongs to it. A server that listens
takes it when the connection before is gone, or in TIME-WAIT and the SYN is newer. With `conversations` all steps are
done by many clients, each with its own chances, and all of it is captured together.

The packets are captured at the client, unless `capture: server` is given: those that the client sends have
the time at which they were sent, those of the server the time at which they arrived, and what the path lost
on its way to the client is not there. `capture: both` takes every packet at each side that it passes; a
pcapng file has an interface for either, other formats cannot hold it.

`faults` lists rules to be broken on purpose, each as the name of a fault, or NAME@N for packet N.

Ranges (`send: 50..400`, `rtt: 10ms..50ms`, `isn: random`) are drawn from the seed, each by itself.
"""

from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.build.scenario.source import Source, parse, read_file
from labkit.errors import ScenarioError, UsageError
from labkit.i18n import nearest

if TYPE_CHECKING:
    from labkit.build.scenario.model import ScenarioModel
    from labkit.build.trace import Trace

SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario that validates."""

    source: Source
    model: "ScenarioModel"

    @classmethod
    def load(cls, name: str | Path) -> "Scenario":
        """A shipped scenario by its name, or a file: whatever ends in .yaml or .yml, or names a folder.

        ScenarioError, one line, where there is none, or where it does not validate.
        """
        text = str(name)
        if isinstance(name, Path) or text.endswith(SUFFIXES) or "/" in text:
            return cls.parse(read_file(Path(text)), text, Path(text).parent)
        known = shipped()
        if text not in known:
            hint = nearest(text, known) or "; 'labkit scenarios' lists them, and a file's name ends in .yaml"
            raise ScenarioError(f"{text!r} is no shipped scenario{hint}")
        return cls.parse(_shipped_file(text).read_text("utf-8"), f"{text}.yaml")

    @classmethod
    def parse(cls, text: str, source: str = "<text>", folder: Path | None = None) -> "Scenario":
        """A scenario from its YAML text; `source` is what errors call it, `folder` holds the files that it names.

        ScenarioError where it does not validate.
        """
        from labkit.build.scenario.check import validate

        found = parse(text, source, folder)
        return cls(found, validate(found))

    @property
    def name(self) -> str:
        """Its name."""
        return self.model.name

    @property
    def summary(self) -> str:
        """What it shows, in a line."""
        return self.model.summary

    @property
    def look(self) -> tuple[str, ...]:
        """What to look at in the capture."""
        return self.model.look

    @property
    def wireshark(self) -> tuple[str, ...]:
        """The flags that Wireshark will show, by the names of its fields."""
        return self.model.wireshark

    @property
    def digest(self) -> bytes:
        """SHA-256 of the scenario's text and of the files that it names: 32 octets."""
        found = sha256(self.source.text.encode())
        for name, octets in sorted(self.source.files.items()):
            found.update(sha256(name.encode()).digest() + sha256(octets).digest())
        return found.digest()

    def play(self, seed: int = 0) -> "Trace":
        """What is captured of the conversation, or of all of them, with what is left to chance drawn from `seed`:
        the same seed gives the same trace. The scenario's faults are made in it.

        ScenarioError where a step cannot be done or never begins, or a fault does not apply.
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
