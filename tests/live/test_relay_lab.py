"""`labkit relay` applies a scenario's path to the packets of real programs."""

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from running import TOP, Running, until
from support import labkit, needs_ip, needs_root

from labkit.analysis.verifier import Verifier
from labkit.build.path import CLIENT
from labkit.build.scenario import Scenario, setup
from labkit.capture import Frame
from labkit.live import ethtool
from labkit.live.guard import Guard
from labkit.live.lab import Lab
from labkit.live.link import Link
from labkit.live.system import processes_in
from labkit.live.watch import frames
from labkit.live.wiring import KERNELS
from labkit.packet.scapy_build import Host
from labkit.packet.stamp import Stamp
from labkit.tcp.segment import Segment

pytestmark = [needs_root, needs_ip]

OCTETS = bytes(range(251)) * 1200

LOSSY = """
name: lossy
path:
  rtt: 4ms
  to_server: {loss: 3%, jitter: 1ms, lose: [5]}
  to_client: {loss: 3%, duplicate: [8], late: {20: 5ms}, lose: [12, 13]}
steps:
- client: connect
"""


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab.temporary(relay=True) as made:
        yield made


@pytest.fixture
def lossy(tmp_path: Path) -> str:
    path = tmp_path / "lossy.yaml"
    path.write_text(LOSSY)
    return str(path)


class Fetch:
    """A client in the kernel fetches many octets from a server in the kernel, and closes."""

    def __init__(self, lab: Lab, version: int) -> None:
        family = socket.AF_INET6 if version == 6 else socket.AF_INET
        with lab.inside("server"):
            self.listening = socket.create_server((KERNELS["server"].address(version), 80), family=family)
        with lab.inside("client"):
            self.client = socket.socket(family)
        self.client.settimeout(60)
        self.received = b""

    def serve(self) -> None:
        served, _ = self.listening.accept()
        with served:
            assert served.recv(100) == b"please"
            served.sendall(OCTETS)
            served.shutdown(socket.SHUT_WR)
            assert served.recv(100) == b""

    def run(self) -> None:
        """Run client and server."""
        serving = Thread(target=self.serve)
        with self.listening, self.client:
            serving.start()
            self.client.connect(self.listening.getsockname())
            self.client.sendall(b"please")
            while octets := self.client.recv(1 << 16):
                self.received += octets
        serving.join()


class Done:
    """A replacement for `Stop` that a test can request."""

    requested = False

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()

    def fileno(self) -> int:
        return self._reading

    def request(self) -> None:
        self.requested = True
        os.write(self._writing, b"x")


def recorded(lab: Lab, fetch: Fetch) -> list[Frame]:
    """Run the fetch and return the frames that pass the client's end."""
    with lab.inside("client"):
        link = Link(KERNELS["client"].interface, None, outgoing=True)
    done = Done()
    found: list[Frame] = []
    listening = Thread(target=lambda: found.extend(frames(link, done)))  # type: ignore[arg-type]
    with link:
        listening.start()
        fetch.run()
        done.request()
        listening.join()
        assert link.lost() == 0
    return found


@pytest.mark.parametrize(("version", "sack"), [(4, True), (4, False), (6, True)])
def test_kernel_tcp_delivers_all_octets_over_a_lossy_path(lab: Lab, lossy: str, version: int, sack: bool) -> None:
    if not sack:
        with lab.inside("client"):
            Path("/proc/sys/net/ipv4/tcp_sack").write_text("0")
    with Running(lab, "relay", lossy, "--seed", "3", "--format", "json") as relay:
        assert "the path of lossy, seed 3" in relay.first_line
        fetch = Fetch(lab, version)
        captured = recorded(lab, fetch)
        code, printed, errors = relay.end()
    assert fetch.received == OCTETS
    assert (code, errors) == (0, "")
    counts = json.loads(printed)
    assert min(counts[way]["lost"] for way in ("to_server", "to_client")) > 0
    assert counts["to_client"]["repeated"] == 1
    assert counts["overrun"] == 0
    verdict = Verifier().run(captured)
    assert [found.message for found in verdict.findings if found.severity > 2] == []
    (conversation,) = verdict.conversations
    assert sum(conversation.retransmissions) > 0
    assert conversation.octets[1] == len(OCTETS)


def sent(lab: Lab, count: int) -> list[int]:
    """Send numbered packets from the client's end; return the numbers that arrive at the server's end, in order."""
    hosts = Host("192.0.2.77", 1000, mac="02:00:00:00:00:77"), Host("192.0.2.88", 2000)
    stamp = Stamp(*hosts)
    with lab.inside("client"):
        sending = Link(KERNELS["client"].interface, Guard())
    with lab.inside("server"):
        hearing = Link(KERNELS["server"].interface, None)
    found: list[int] = []

    def hear() -> bool:
        while (arrived := hearing.receive()) is not None:
            if len(arrived.data) == 58:
                found.append(int.from_bytes(arrived.data[-4:]))
        return count in found

    with sending, hearing:
        for number in range(1, count):
            sending.send(stamp.frame(Segment(number, payload=number.to_bytes(4)), number))
        # When a later packet has arrived, all earlier ones have. It may be lost and need several attempts.
        assert until(lambda: sending.send(stamp.frame(Segment(payload=count.to_bytes(4)), 0)) or hear())
    return [number for number in found if number != count]


def test_the_same_seed_loses_the_same_packets_as_a_simulation(lab: Lab, lossy: str) -> None:
    model = Scenario.load(lossy).model
    for seed in (1, 2):
        way = setup.path(model, seed).ways[CLIENT]
        # The packets leave back to back, so late ones arrive after the next ones.
        expected = [number for number in range(1, 200) for _ in way.carry(44, number)]
        with Running(lab, "relay", lossy, "--seed", str(seed)) as relay:
            found = sent(lab, 200)
            assert relay.end()[0] == 0
        assert found == expected
        assert len(expected) < 199


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_relay_ends_on_a_signal(lab: Lab, number: int) -> None:
    with Running(lab, "relay", "document") as relay:
        code, printed, errors = relay.end(number)
    assert (code, errors) == (0, "")
    assert printed.startswith("→ 0 packets, 0 octets")
    assert not processes_in(lab.inodes)


def test_the_relay_ends_after_its_time(lab: Lab) -> None:
    with Running(lab, "relay", "document", "--for", "100ms") as relay:
        assert relay.wait()[0] == 0


def test_it_ends_with_its_parent(lab: Lab) -> None:
    words = f"{sys.executable} -m labkit relay document & wait"
    environment = os.environ | {"PYTHONPATH": str(TOP), "LANGUAGE": "en"} | lab.environment()
    with subprocess.Popen(["sh", "-c", words], stderr=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stderr is not None
        assert "the path of document" in parent.stderr.readline()
        assert len(processes_in(lab.inodes)) == 1
        parent.kill()
    assert until(lambda: not processes_in(lab.inodes))


def test_a_second_relay_is_refused(lab: Lab) -> None:
    with Running(lab, "relay", "document"), Running(lab, "relay", "document") as other:
        assert "another relay" in other.first_line
        assert other.wait()[0] == 4
    with Running(lab, "relay", "document") as third:
        assert third.end()[0] == 0


def test_a_relay_needs_a_lab_with_a_relay_end(lab: Lab) -> None:
    with Lab.temporary() as without, Running(without, "relay", "document") as relay:
        assert "has no relay" in relay.first_line
        assert relay.wait()[0] == 4


def test_a_lab_with_offloads_is_refused() -> None:
    with Lab.temporary(relay=True, offload=True) as lab, Running(lab, "relay", "document") as relay:
        assert "--offload off" in relay.first_line
        assert relay.wait()[0] == 4


def test_an_unfinished_checksum_ends_the_relay(lab: Lab) -> None:
    with Running(lab, "relay", "document") as relay:
        with lab.inside("client"):
            # ETHTOOL_STXCSUM: leave checksums to hardware, which a veth does not have.
            switch = bytearray(struct.pack("@II", ethtool.SET_OFFLOADS["tx checksums"], 1))
            ethtool._ioctl(KERNELS["client"].interface, ethtool.SIOCETHTOOL, switch)
            client = socket.socket()
        with client:
            client.setblocking(False)
            client.connect_ex(("192.0.2.2", 80))
            code, _, errors = relay.wait()
    assert (code, "--offload off" in errors) == (4, True)


def test_the_number_of_packets_is_bounded(lab: Lab) -> None:
    with Running(lab, "relay", "document", "--packets", "5") as relay:
        with lab.inside("client"):
            sending = Link(KERNELS["client"].interface, Guard())
        with sending:
            for _ in range(8):
                sending.send(Stamp(Host("192.0.2.77", 1), Host("192.0.2.88", 2)).frame(Segment(), 0))
        code, _, errors = relay.wait()
    assert (code, "5 packets" in errors) == (4, True)


def test_relay_and_watch_without_root() -> None:
    """`labkit lab exec` without root has the privileges of a user namespace."""
    knock = "import socket; socket.create_connection(('192.0.2.2', 9))"
    script = f"""
        {sys.executable} -m labkit relay document --format json & relay=$!
        {sys.executable} -m labkit watch client --format jsonl -v & watch=$!
        {sys.executable} -m labkit lab run client {sys.executable} -c "
import socket, time
for _ in range(300):
    try:
        {knock}
    except ConnectionRefusedError:
        break
    except OSError:
        time.sleep(0.05)
"
        kill $watch $relay; wait $watch; wait $relay
    """
    words = [sys.executable, "-m", "labkit", "lab", "exec", "--relay", "--", "sh", "-c", script]
    shell = ["unshare", "--user", "--map-current-user", "--keep-caps"]
    if shutil.which("unshare") is None or subprocess.run([*shell, "true"], check=False, capture_output=True).returncode:
        pytest.skip("there are no user namespaces here")
    environment = os.environ | {"PYTHONPATH": str(TOP), "LANGUAGE": "en"}
    done = subprocess.run([*shell, *words], capture_output=True, text=True, check=False, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    assert counts["to_server"]["packets"] == counts["to_client"]["packets"] >= 1
    assert "client: PASS" in done.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["document", "--for", "1 year"], "'1 year' is not a duration"),
        (["document", "--for", "0s"], "must be longer than 0"),
        (["no-such-scenario"], "not a shipped scenario"),
        (["document", "--seed", "-1"], "seed"),
    ],
)
def test_wrong_usage(words: list[str], expected: str) -> None:
    done = labkit("relay", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert expected in done.stderr
    assert done.stderr.count("\n") == 1
