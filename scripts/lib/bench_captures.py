"""The captures to measure on. labkit builds all but one; sizes are approximate numbers of packets."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench_run import say

from labkit.capture import create, open_capture
from labkit.errors import CaptureError
from labkit.packet.linktype import ETHERNET

LABKIT = [sys.executable, "-m", "labkit"]

SMALL = (
    """
name: small
summary: Requests and replies of a few octets
conversations: {count: 1, clients: 10.0.0.0/8, arrivals: poisson 1ms}
path: {rtt: 1ms..20ms}
client: {isn: random}
server: {isn: random}
steps:
  - client: connect
"""
    + "".join("  - client: {send: 1..80}\n  - server: {send: 1..200}\n" for _ in range(21))
    + """
  - client: close
  - server: close
"""
)

FULL = """
name: full
summary: Downloads in segments of full size
conversations: {count: 1, clients: 10.0.0.0/8, arrivals: poisson 10ms}
path: {rtt: 5ms..30ms}
server: {window: 1MiB, window_scale: 7}
client: {window: 1MiB, window_scale: 7}
steps:
  - client: connect
  - client: {send: 120}
  - server: {send: 200kB}
  - server: close
  - client: close
"""

LOSSY = """
name: lossy
summary: Downloads with 1 % loss, SACK and timestamps
conversations: {count: 1, clients: 10.0.0.0/8, arrivals: poisson 10ms}
path: {rtt: 5ms..30ms, to_server: {loss: 1%}, to_client: {loss: 1%}}
server: {timestamps: true, window: 1MiB, window_scale: 7, mss: 536}
client: {timestamps: true, window: 1MiB, window_scale: 7, mss: 536}
capture: server
steps:
  - client: connect
  - client: {send: 120}
  - server: {send: 100kB}
  - server: close
  - client: close
"""

ONE = """
name: one
summary: One long conversation
path: {{rtt: 2ms, mtu: 576}}
server: {{window: 1MiB, window_scale: 7}}
client: {{window: 1MiB, window_scale: 7}}
steps:
  - client: connect
  - server: {{send: {octets}}}
  - server: close
  - client: close
"""

LONG = """
name: long
summary: One conversation of a million packets
path: {{rtt: 2ms, mtu: 296}}
capture: server
server: {{window: 1MiB, window_scale: 7}}
client: {{window: 1MiB, window_scale: 7}}
steps:
  - client: connect
  - server: {{send: {octets}}}
  - server: {{send: {octets}}}
  - server: {{send: {octets}}}
  - server: close
  - client: close
"""

FLOOD = """
name: flows
summary: Connections that open and carry no data
conversations: {count: 1, clients: 10.0.0.0/8, ports: 1024..65535, arrivals: every 20us}
path: {rtt: 1ms}
client: {isn: random}
server: {isn: random}
steps:
  - client: connect
"""


@dataclass(frozen=True)
class Capture:
    """A capture file."""

    name: str
    what: str
    path: Path
    packets: int

    @property
    def size(self) -> int:
        """Octets of the file."""
        return self.path.stat().st_size


class Captures:
    """A folder of captures, each built on first use."""

    def __init__(self, folder: Path, quick: bool) -> None:
        self.folder = folder
        self.quick = quick

    def of(self, name: str) -> Capture:
        """Return a capture by name: small, full, lossy, one, long, flows, or packets-N."""
        kind, _, number = name.partition("-")
        if kind == "packets":
            packets = int(number)
            return self._built(name, f"{packets:,} packets", SMALL, flows=max(1, round(packets / 46)))
        scale = 50 if self.quick else 1
        match kind:
            case "small":
                return self._built(name, "small segments", SMALL, flows=108_000 // scale)
            case "full":
                return self._built(name, "full-size segments", FULL, flows=8_000 // scale)
            case "lossy":
                return self._built(name, "1 % loss, SACK, timestamps", LOSSY, flows=16_000 // scale)
            case "one":
                return self._built(name, "one conversation", ONE.format(octets=f"{60_000_000 // scale}"))
            case "long":
                return self._built(name, "a conversation of a million packets", LONG.format(octets=60_000_000 // scale))
            case _:
                return self._built(name, "a million conversations", FLOOD, flows=1_000_000 // scale)

    def _built(self, name: str, what: str, scenario: str, flows: int | None = None) -> Capture:
        what = what.replace("a million", f"{flows:,}") if flows is not None and flows != 1_000_000 else what
        path = self.folder / f"{name}{'-quick' if self.quick else ''}.pcap"
        if not path.exists():
            say(f"building {path.name}")
            source = self.folder / f"{name}.yaml"
            source.write_text(scenario)
            many = ["--flows", str(flows)] if flows is not None else ["--edition", "student"]
            subprocess.run(
                [*LABKIT, "build", str(source), *many, "-o", str(path)], check=True, stderr=subprocess.DEVNULL
            )
        return Capture(name, what, path, self._count(path))

    def _count(self, path: Path) -> int:
        """Count the packets once, and keep the number in a file."""
        note = path.with_suffix(".count")
        if not note.exists():
            note.write_text(str(count(path)))
        return int(note.read_text())

    def slice(self, capture: Capture, packets: int) -> Capture:
        """Copy the first packets of a capture to a file."""
        if packets >= capture.packets:
            return capture
        path = self.folder / f"{capture.path.stem}-first-{packets}.pcap"
        if not path.exists():
            with open_capture(capture.path) as frames, create(path, link=frames.interfaces[0].link) as writer:
                for frame in frames:
                    writer.write(frame.time, frame.data, wirelen=frame.wirelen)
                    if frame.number == packets:
                        break
        return Capture(capture.name, capture.what, path, packets)

    def largest(self) -> Capture | None:
        """Return the largest real capture as a pcap file, which every program reads; None if LABKIT_CAPTURES has none."""
        folder = os.environ.get("LABKIT_CAPTURES")
        files = [path for path in Path(folder).rglob("*") if path.is_file()] if folder else []
        for path in sorted(files, key=lambda each: -each.stat().st_size):
            try:
                packets = self._plain(path, self.folder / "real.pcap")
            except CaptureError:
                continue
            if packets:
                return Capture("real", "the largest real one", self.folder / "real.pcap", packets)
        return None

    def _plain(self, path: Path, target: Path) -> int:
        """Write a capture as a pcap file; return the number of packets, 0 if one is not an Ethernet frame."""
        packets = 0
        with open_capture(path) as frames, create(target, link=ETHERNET) as writer:
            for frame in frames:
                if frame.link != ETHERNET:
                    return 0
                writer.write(frame.time, frame.data, wirelen=frame.wirelen)
                packets = frame.number
        return packets

    def handful(self, number: int) -> list[Path]:
        """Build a number of small captures from the shipped scenarios."""
        folder = self.folder / f"many-{number}"
        if not folder.exists():
            from labkit.build.scenario import Scenario, shipped

            say(f"building {number} small captures")
            folder.mkdir()
            known = [Scenario.load(name) for name in shipped()]
            for place in range(number):
                trace = known[place % len(known)].play(place // len(known))
                trace.write(folder / f"{place:04}.pcapng", edition="student")
        return sorted(folder.iterdir())


def count(path: Path) -> int:
    """Count the packets of a capture."""
    with open_capture(path) as frames:
        return sum(1 for _frame in frames)
