"""The cost of `labkit relay`: throughput of a kernel's TCP through it, and the delay that it adds. Needs root.

    for figure in figures():
        print(figure.name, figure.value, figure.unit)

Each figure has a counterpart in the same lab without a relay. Only their ratios mean something: they depend on the machine.
"""

import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from os import environ
from pathlib import Path
from threading import Thread
from typing import NamedTuple

from labkit.live.lab import Lab

TOP = Path(__file__).parents[2]
SERVER = ("192.0.2.2", 7)
MSS = 1448
"""Octets of payload in a packet: the connections have timestamps."""


class Figure(NamedTuple):
    """One result."""

    name: str
    value: float
    unit: str


@contextmanager
def relayed(lab: Lab, rtt: str) -> Iterator[None]:
    """Run a relay that delays the lab's packets and changes nothing else."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as scenario:
        scenario.write(f"name: bench\npath: {{rtt: {rtt}}}\nsteps: [{{client: connect}}]\n")
        scenario.flush()
        command = [sys.executable, "-m", "labkit", "relay", scenario.name]
        environment = environ | {"PYTHONPATH": str(TOP), "LANGUAGE": "en"} | lab.environment()
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
        ) as running:
            # The relay prints a line when it is ready, or an error.
            said = running.stderr.readline() if running.stderr is not None else ""
            if not said.startswith("labkit: client "):
                raise RuntimeError(said.strip())
            try:
                yield
            finally:
                running.terminate()
                running.communicate()


@contextmanager
def connected(lab: Lab) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Open a connection between the kernels of the two ends."""
    with lab.inside("server"):
        listening = socket.create_server(SERVER)
    with lab.inside("client"):
        client = socket.socket()
    with listening, client:
        client.settimeout(30)
        client.connect(SERVER)
        served, _address = listening.accept()
        with served:
            for each in (client, served):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            yield client, served


def throughput(lab: Lab, seconds: float = 2.0) -> float:
    """Measure the octets a second that one side sends and the other receives."""
    with connected(lab) as (client, served):
        block = bytes(1 << 16)
        end = time.monotonic() + seconds

        def send() -> None:
            while time.monotonic() < end:
                client.sendall(block)
            client.shutdown(socket.SHUT_WR)

        sending = Thread(target=send)
        begin = time.monotonic()
        sending.start()
        count = 0
        while octets := served.recv(1 << 20):
            count += len(octets)
        took = time.monotonic() - begin
        sending.join()
    return count / took


def round_trips(lab: Lab, count: int = 1000) -> list[float]:
    """Measure the seconds that single octets take to the other side and back."""
    found = []
    with connected(lab) as (client, served):
        for _number in range(count):
            begin = time.perf_counter()
            client.send(b"x")
            served.send(served.recv(1))
            client.recv(1)
            found.append(time.perf_counter() - begin)
    return found


def figures(seconds: float = 2.0, trips: int = 1000) -> Iterator[Figure]:
    """Yield all figures. LinkError if labkit cannot make a lab."""
    for through in (False, True):
        name = "through the relay" if through else "over the veth"
        with Lab.temporary(relay=through) as lab, relayed(lab, "0ms") if through else nullcontext():
            rate = throughput(lab, seconds)
            yield Figure(f"TCP {name}", rate * 8 / 1e6, "Mbit/s")
            yield Figure(f"packets {name}", rate / MSS, "packets/s")
            times = sorted(round_trips(lab, trips))
            yield Figure(f"round trip {name}, median", statistics.median(times) * 1e6, "µs")
            yield Figure(f"round trip {name}, 99 % below", times[len(times) * 99 // 100] * 1e6, "µs")
    with Lab.temporary(relay=True) as lab, relayed(lab, "20ms"):
        times = sorted(round_trips(lab, max(10, trips // 20)))
        yield Figure("round trip of a path of 20 ms, median", statistics.median(times) * 1e6, "µs")


if __name__ == "__main__":
    for figure in figures():
        print(f"{figure.name:<45} {figure.value:>12,.0f} {figure.unit}")
