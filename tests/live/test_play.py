"""Scenarios on a wire: a replay of both sides, or one side against a real TCP."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from support import TOP, needs_ip, needs_root

from labkit.build.scenario import Scenario, setup
from labkit.capture import open_capture
from labkit.errors import LinkError, UsageError
from labkit.live.conversation import Conversation, SessionConfig
from labkit.live.guard import Guard, networks
from labkit.live.kernel import KernelSocket
from labkit.live.lab import Lab
from labkit.live.link import Link
from labkit.live.replay import packets, replay
from labkit.live.session import open_replay, open_session
from labkit.live.wiring import KERNELS
from labkit.tcp.state import State

pytestmark = [needs_root, needs_ip]

SHORT = """
name: short
path: {rtt: 2ms}
steps:
  - client: connect
  - client: {send: 99}
  - server: {send: 119}
  - client: close
  - server: close
"""


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Hide running labs."""
    monkeypatch.setattr("labkit.live.lab.RECORDS", tmp_path)
    monkeypatch.delenv("LABKIT_LAB", raising=False)
    yield


@pytest.mark.usefixtures("alone")
class TestBoth:
    """A replay sends every packet of the built capture from its sender's end."""

    @pytest.mark.parametrize("name", ["document", "document-ipv6", "http-vlan", "fragmented-ipv6", "conversations"])
    def test_replayed_frames_equal_the_built_ones(self, name: str) -> None:
        trace = Scenario.load(name).play(seed=3)
        with open_replay(trace, Guard(), None) as frames:
            recorded = list(frames)
        built = list(trace.frames())
        assert sorted(frame.data for frame in recorded) == sorted(octets for _, octets, _ in built)
        assert sorted(frame.comments[0] for frame in recorded) == sorted(comment for _, _, comment in built)
        assert [frame.number for frame in recorded] == list(range(1, len(built) + 1))

    def test_replay_keeps_the_trace_s_times(self) -> None:
        trace = Scenario.parse(SHORT).play()
        for speed in (1.0, 4.0):
            with open_replay(trace, Guard(), speed) as frames:
                recorded = list(frames)
            took = recorded[-1].time - recorded[0].time
            assert took >= (trace.records[-1].time - trace.records[0].time) / speed * 0.9

    def test_only_the_first_capture_point_is_replayed(self) -> None:
        trace = Scenario.parse(SHORT + "capture: both\n").play()
        with open_replay(trace, Guard(), None) as frames:
            assert len(list(frames)) == sum(record.tap == "client" for record in trace)

    def test_a_trace_without_ethernet_is_replayed_in_ethernet_frames(self) -> None:
        trace = Scenario.parse(SHORT + "link: raw\n").play()
        with open_replay(trace, Guard(), None) as frames:
            recorded = [frame.data[14:] for frame in frames]
        assert recorded == [octets for _, octets, _ in trace.frames()]

    def test_replay_on_the_loopback(self) -> None:
        with Lab.temporary() as lab, lab.inside("client"):
            trace = Scenario.parse(SHORT).play()
            with open_replay(trace, Guard(), None, interface="lo") as frames:
                recorded = [frame.data for frame in frames]
            assert recorded == [octets for _, octets, _ in trace.frames()]

    @pytest.mark.skipif(shutil.which("tcpdump") is None, reason="the program 'tcpdump' is missing")
    def test_tcpdump_sees_ten_thousand_packets_unchanged(self, tmp_path: Path) -> None:
        text = SHORT.replace("{send: 119}", "{send: 10MB}").replace("path: {rtt: 2ms}", "path: {rtt: 0ms}")
        trace = Scenario.parse(text).play()
        built = [octets for _, octets, _ in trace.frames()]
        assert len(built) > 10_000
        path = tmp_path / "seen.pcap"
        with Lab.temporary() as lab:
            with lab.inside("server"):
                words = [
                    "tcpdump",
                    "-Z",
                    "root",
                    "-U",
                    "-B",
                    "65536",
                    "-s",
                    "0",
                    "-i",
                    KERNELS["server"].interface,
                    "-w",
                    path,
                ]
                seeing = subprocess.Popen([*words, "tcp"], stderr=subprocess.PIPE, text=True)
            assert seeing.stderr is not None
            while "listening on" not in seeing.stderr.readline():
                assert seeing.poll() is None
            links = {}
            with ExitStack() as stack:
                for side in ("client", "server"):
                    with lab.inside(side):
                        links[side] = stack.enter_context(Link(KERNELS[side].interface, Guard()))
                with lab.inside("client"):
                    tap = stack.enter_context(Link(KERNELS["client"].interface, None, outgoing=True))
                recorded = [frame.data for frame in replay(packets(trace), links, tap, None)]
            wanted, deadline = 24 + sum(16 + len(octets) for octets in built), time.monotonic() + 20
            while path.stat().st_size < wanted and time.monotonic() < deadline:
                time.sleep(0.02)
            seeing.terminate()
            _, errors = seeing.communicate(timeout=30)
        assert "0 packets dropped by kernel" in errors
        with open_capture(path) as capture:
            seen = [frame.data for frame in capture]
        assert sorted(recorded) == sorted(built)
        # Each direction keeps its order; at full speed, how they interleave depends on the machine.
        for sender in (built[0][6:12], built[1][6:12]):
            assert [data for data in seen if data[6:12] == sender] == [data for data in built if data[6:12] == sender]

    def test_the_guard_limits_a_replay(self) -> None:
        trace = Scenario.parse(
            SHORT.replace("path", "client: {address: 10.0.0.1}\nserver: {address: 10.0.0.2}\npath")
        ).play()
        with (
            pytest.raises(LinkError, match=r"10\.0\.0\.\d is outside the lab's networks"),
            open_replay(trace, Guard(), None),
        ):
            pass
        with open_replay(trace, Guard(networks=networks(["10.0.0.0/8"])), None) as frames:
            assert len(list(frames)) == len(trace)
        trace = Scenario.load("keep-alive").play()
        with pytest.raises(LinkError, match=r"takes \d+ seconds.*--speed \d+"), open_replay(trace, Guard(), 1.0):
            pass
        with pytest.raises(LinkError, match="--packets allows more"), open_replay(trace, Guard(packets=3), None):
            pass


@pytest.mark.usefixtures("alone")
class TestKernel:
    """Labkit plays one side, the kernel the other."""

    @pytest.mark.parametrize("ipv6", [False, True])
    @pytest.mark.parametrize("side", ["client", "server"])
    def test_a_conversation(self, side: str, ipv6: bool) -> None:
        config = SessionConfig(Scenario.parse(SHORT), side, peer="kernel", ipv6=ipv6)
        with open_session(config) as conversation:
            frames = list(conversation.frames())
            assert conversation.leave() is False
        trace = conversation.trace()
        assert len(trace) == len(frames)
        assert {host.ip.version for host in (trace.client, trace.server)} == {6 if ipv6 else 4}
        assert sum(len(record.segment.payload) for record in trace) == 99 + 119
        assert (trace.records[-1].client[1], trace.records[-1].server[1]) == (State.TIME_WAIT, State.CLOSED)
        annotated = list(conversation.annotated())
        assert [frame.data for frame in annotated] == [frame.data for frame in frames]
        assert all("seq" in frame.comments[0] for frame in annotated)

    def test_a_hundred_handshakes(self) -> None:
        text = "name: h\npath: {rtt: 0ms}\nclient: {port: %d}\nsteps:\n- client: connect\n- client: abort\n"
        states = []
        with Lab.temporary() as lab:
            for number in range(100):
                scenario = Scenario.parse(text % (40000 + number))
                parts = setup.alone(scenario.model, 0)
                there = replace(parts.hosts["server"], address=KERNELS["server"].ipv4)
                parts = replace(parts, hosts={"client": parts.hosts["client"], "server": there})
                guard = Guard()
                with lab.inside("client"):
                    link = Link(KERNELS["client"].interface, guard)
                kernel = KernelSocket(lab, scenario.model, parts, "server", there, parts.hosts["client"])
                with link:
                    conversation = Conversation(SessionConfig(scenario, "client", guard=guard), parts, link, kernel)
                    list(conversation.frames())
                    conversation.leave()
                states.append([record.why for record in conversation.trace()])
        assert states == [["syn", "syn-ack", "ack", "rst"]] * 100

    @pytest.mark.parametrize(
        ("step", "message"),
        [
            (
                "server: {send: {octets: 119, after: 10s}}",
                r"step 3 \(server send\) begins 10 seconds after step 2 .*",
            ),
            ("client: {receive: 119}", r"step 3 \(client receive\) is not complete"),
        ],
    )
    def test_a_run_that_takes_too_long_names_the_step(self, step: str, message: str) -> None:
        text = SHORT.replace("server: {send: 119}", step)
        if "receive" in step:
            text = text.partition(step)[0] + step
        config = SessionConfig(Scenario.parse(text), "client", peer="kernel", guard=Guard(seconds=0.2))
        with open_session(config) as conversation:
            with pytest.raises(LinkError, match=f"^not over after 0.2 seconds: {message}; --for allows more$"):
                list(conversation.frames())
            assert conversation.leave() is True
            assert len(conversation.trace()) >= 4

    @pytest.mark.parametrize("most", range(2, 9))
    def test_packets_sent_before_the_limit_are_captured(self, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
        sent, really = [], Link.send

        def send(link: Link, octets: bytes) -> None:
            really(link, octets)
            sent.append(octets)

        monkeypatch.setattr(Link, "send", send)
        config = SessionConfig(Scenario.parse(SHORT), "client", peer="kernel", path=False, guard=Guard(packets=most))
        with open_session(config) as conversation, suppress(LinkError):
            list(conversation.frames())
        assert len(sent) <= most
        own = [captured.frame for captured in conversation.captured if captured.sender == "client"]
        # The other frames are ARP.
        assert own == [octets for octets in sent if octets[12:14] == b"\x08\x00"]

    def test_options_that_conflict_are_refused(self) -> None:
        scenario = Scenario.parse(SHORT)
        for config, reason in (
            (SessionConfig(scenario, "client", peer="kernel", interface="lo"), "--on"),
            (SessionConfig(scenario, "server", to=("192.0.2.2", 80)), "--to"),
            (SessionConfig(Scenario.load("conversations"), "client"), "many conversations"),
        ):
            with pytest.raises(UsageError, match=reason), open_session(config):
                pass
        with pytest.raises(LinkError, match="is not up"), open_session(SessionConfig(scenario, "client")):
            pass


class TestCommand:
    """`labkit play` in a `labkit lab exec`."""

    GET = """
name: get
path: {rtt: 2ms}
steps:
  - client: connect
  - client: {send: {http: {path: /, headers: {Connection: close}}}}
  - server: close
  - client: close
"""
    SERVE = """
name: serve
path: {rtt: 2ms}
steps:
  - client: connect
  - client: {send: 10}
  - server: {send: {text: "it is labkit"}}
  - server: close
  - client: close
"""

    def play(self, folder: Path, script: str) -> subprocess.CompletedProcess[str]:
        """Run a shell script in a lab, with `labkit` on its PATH."""
        (folder / "get.yaml").write_text(self.GET)
        (folder / "serve.yaml").write_text(self.SERVE)
        shim = folder / "labkit"
        shim.write_text(f'#!/bin/sh\nPYTHONPATH={TOP} exec {sys.executable} -m labkit "$@"\n')
        shim.chmod(0o755)
        return subprocess.run(
            [shim, "lab", "exec", "--", "sh", "-c", f"PATH=$PWD:$PATH; {script}"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
        )

    SERVER = (
        "import socket; s = socket.create_server(('192.0.2.2', 80)); open('ready', 'w').close(); c, _ = s.accept(); "
        "c.recv(999); c.sendall(b'hello'); c.close()"
    )
    CLIENT = (
        "import socket; s = socket.create_connection(('192.0.2.20', 80), 20); s.sendall(bytes(10)); "
        "print(s.makefile().read()); s.close()"
    )

    def test_labkit_as_a_client(self, tmp_path: Path) -> None:
        done = self.play(
            tmp_path,
            f'labkit lab run server {sys.executable} -c "{self.SERVER}" & '
            "while [ ! -e ready ]; do sleep 0.02; done; labkit play get.yaml --client --verify --capture c.pcapng",
        )
        assert done.returncode == 0, done.stderr
        assert "192.0.2.10:40000 ↔ 192.0.2.2:80" in done.stdout
        assert "PASS" in done.stdout
        with open_capture(tmp_path / "c.pcapng") as capture:
            assert any(b"hello" in frame.data for frame in capture)
            assert capture.names["192.0.2.10"] == "client"

    def test_labkit_as_a_server(self, tmp_path: Path) -> None:
        done = self.play(
            tmp_path,
            "labkit play serve.yaml --server --verify --capture c.pcapng 2> log & "
            "until grep -q waiting log || ! kill -0 $!; do sleep 0.02; done; "
            f'labkit lab run client {sys.executable} -c "{self.CLIENT}"; wait $!',
        )
        assert done.returncode == 0, (tmp_path / "log").read_text() + done.stderr
        assert "it is labkit" in done.stdout
        assert "PASS" in done.stdout

    @pytest.mark.parametrize("allowed", [False, True])
    def test_a_client_outside_the_lab_networks_is_refused(self, allowed: bool, tmp_path: Path) -> None:
        client = self.CLIENT.replace("80), 20", "80), 2, ('10.9.9.9', 0)")
        done = self.play(
            tmp_path,
            "labkit lab run client ip address add 10.9.9.9/32 dev labkit-client; "
            f"labkit play serve.yaml --server {'--allow-network 10.0.0.0/8' if allowed else ''} 2> log & "
            "until grep -q waiting log || ! kill -0 $!; do sleep 0.02; done; "
            f'labkit lab run client {sys.executable} -c "{client}"; wait $!',
        )
        log = (tmp_path / "log").read_text()
        assert done.returncode == (0 if allowed else 4), log
        assert ("it is labkit" in done.stdout) is allowed
        assert ("10.9.9.9 is outside the lab's networks" in log) is not allowed

    def test_ignored_parts_of_a_scenario_are_named(self, tmp_path: Path) -> None:
        tagged = self.SERVE.replace("steps:", "faults: [ack-of-unsent-data]\nvlan: 5\nsteps:")
        (tmp_path / "tagged.yaml").write_text(tagged)
        done = self.play(tmp_path, "labkit play tagged.yaml --client --peer kernel --verify")
        assert (done.returncode, "PASS" in done.stdout) == (0, True), done.stderr
        assert done.stderr.splitlines() == [
            "labkit: serve: ignoring 'faults': only --both plays it",
            "labkit: serve: ignoring 'vlan': only --both plays it",
        ]

    def test_a_server_that_does_not_listen(self, tmp_path: Path) -> None:
        done = self.play(tmp_path, "labkit play get.yaml --client")
        assert (
            done.returncode,
            "the server refused the connection (packet 2; no program listens at 192.0.2.2:80) before step 2"
            in done.stderr,
        ) == (4, True)
        assert "RST" in done.stdout
