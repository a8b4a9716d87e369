"""`labkit watch` verifies the packets of an interface while they pass."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from running import TOP, Running, until
from support import as_nobody, labkit, needs_ip, needs_root

from labkit import verify
from labkit.analysis.verifier import Verifier
from labkit.build.scenario import Scenario
from labkit.capture import open_capture
from labkit.cli import run
from labkit.errors import LinkError
from labkit.live import ethtool
from labkit.live import lab as labs
from labkit.live.guard import Guard
from labkit.live.lab import Lab
from labkit.live.link import Link
from labkit.live.namespace import Namespace
from labkit.live.stop import SIGNALS, Stop
from labkit.live.system import processes_in
from labkit.live.watch import frames, open_link
from labkit.live.wiring import KERNELS, ip

pytestmark = [needs_root, needs_ip]

MANY = bytes(200_000)


def faulty() -> list[bytes]:
    """The frames of a conversation in which packet 6 acknowledges data that was never sent."""
    from labkit.build.faults import inject

    trace = inject(Scenario.load("document").play(), ["ack-of-unsent-data@6"])
    return [bytes(packet) for packet in trace.packets()]


def talk(lab: Lab, server: str, address: str) -> None:
    """A client in the kernel receives many octets from a server in the kernel, and both close."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with lab.inside(server):
        listening = socket.create_server((address, 80), family=family)
    with lab.inside("client"):
        client = socket.socket(family)
    with listening, client:
        client.settimeout(20)
        client.connect((address, 80))
        served, _ = listening.accept()
        with served:
            sent = 0
            while sent < len(MANY):
                sent += served.send(MANY[sent : sent + 10_000])
                got = 0
                while got < 10_000:
                    got += len(client.recv(10_000))
        assert client.recv(1) == b""


def at_client(*words: str) -> tuple[str, ...]:
    """The arguments that run a labkit command at the client's end."""
    return ("lab", "run", "client", sys.executable, "-m", "labkit", *words)


def test_watch_takes_each_loopback_frame_once(lab: Lab) -> None:
    with lab.inside("client"), Stop() as stop, open_link("lo", None) as link:
        talk(lab, "client", "127.0.0.1")
        passing = list(frames(link, stop, seconds=0.2))
    assert [frame.number for frame in passing] == list(range(1, len(passing) + 1))
    verdict = Verifier().run(passing)
    # No frame appears twice, and the rules allow for unfinished checksums and joined segments.
    assert {found.code for found in verdict.findings if found.severity > 2} == set()
    assert not {found.name for found in verdict.findings} & {"retransmission", "duplicate-ack", "syn-retransmission"}
    (conversation,) = verdict.conversations
    assert (conversation.octets, conversation.retransmissions) == ((0, len(MANY)), (0, 0))
    assert (conversation.opened, conversation.closed) == ("handshake", "fin")


@pytest.mark.parametrize("offload", [False, True])
def test_watch_sees_both_directions_of_a_veth(offload: bool) -> None:
    with (
        Lab.temporary(offload=offload) as lab,
        lab.inside("client"),
        Stop() as stop,
        open_link("labkit-client", None) as link,
    ):
        talk(lab, "server", "2001:db8::2")
        verdict = Verifier().run(frames(link, stop, seconds=0.2))
    assert verdict.ok
    (conversation,) = verdict.conversations
    assert (conversation.octets, conversation.retransmissions) == ((0, len(MANY)), (0, 0))


def test_a_finding_is_printed_while_packets_pass(lab: Lab) -> None:
    octets = faulty()
    with Running(lab, *at_client("watch", "lo")) as watching:
        assert watching.first_line == "labkit: watching lo; Ctrl-C stops\n"
        with lab.inside("client"):
            sending = Link("lo", Guard())
        with sending:
            for each in octets[:8]:
                sending.send(each)
            line = watching.line()
            assert (
                "error[ACK01] packet 6, 192.0.2.10:40000 → 192.0.2.20:80: ack 1120 acknowledges bytes that the peer has not sent"
                in line
            )
            for each in octets[8:]:
                sending.send(each)
        assert until(lambda: not select.select([watching.process.stdout], [], [], 0)[0])
        code, printed, errors = watching.end()
    assert (code, errors) == (1, "")
    assert printed.startswith("lo: FAIL  1 error")


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("link set dev labkit-client down", "labkit-client: the interface is down"),
        ("link del dev labkit-client", "labkit-client: the interface was removed during the run"),
    ],
)
def test_what_passed_before_a_failure_counts(lab: Lab, command: str, reason: str, tmp_path: Path) -> None:
    octets = faulty()
    target = tmp_path / "a.pcapng"
    with Running(lab, *at_client("watch", "labkit-client", "--capture", str(target))) as watching:
        with lab.inside("client"):
            sending = Link("labkit-client", Guard())
        with sending:
            for each in octets:
                sending.send(each)
        assert "error[ACK01] packet 6" in watching.line()
        with lab.inside("client"):
            ip([command])
        code, printed, errors = watching.wait()
    assert code == 4
    assert printed.startswith("labkit-client: FAIL  1 error")
    assert errors == f"labkit: {reason}\n"
    with open_capture(target) as capture:
        assert [frame.data for frame in capture if frame.data in octets] == octets


def test_json_lines_and_rule_options(lab: Lab) -> None:
    octets = faulty()
    with (
        Running(lab, *at_client("watch", "lo", "--format", "jsonl")) as one,
        Running(lab, *at_client("watch", "lo", "--ignore", "ACK01", "--for", "5min")) as other,
    ):
        with lab.inside("client"):
            sending = Link("lo", Guard())
        with sending:
            for each in octets:
                sending.send(each)
        found = json.loads(one.line())
        assert (found["path"], found["code"], found["packet"]) == ("lo", "ACK01", 6)
        code, _, errors = one.end()
        assert (code, "lo: FAIL  1 error" in errors) == (1, True)
        code, printed, _ = other.end()
        assert (code, printed.splitlines()[0].startswith("lo: PASS")) == (0, True)
        assert "1 finding left out" in printed


def test_repeated_findings_are_counted(lab: Lab) -> None:
    octets = faulty()
    with Running(lab, *at_client("watch", "lo", "--most", "2", "--select", "ACK01")) as watching:
        with lab.inside("client"):
            sending = Link("lo", Guard())
        with sending:
            for number in range(4):
                # Each copy comes from another port.
                for each in octets:
                    ports = each[34:38].replace(b"\x9c\x40", bytes((0x9C, 0x50 + number)))
                    sending.send(each[:34] + ports + each[38:])
        assert ["error[ACK01]" in watching.line() for _ in range(2)] == [True, True]
        code, printed, _ = watching.end()
    assert code == 1
    assert printed.startswith("lo: FAIL")
    assert printed.splitlines()[-1] == "  error[ACK01] 2 × ack-of-unsent-data"


@pytest.mark.parametrize("name", ["client", "labkit-server"])
def test_watch_records_an_end_of_the_lab(lab: Lab, name: str, tmp_path: Path) -> None:
    target = tmp_path / "a.pcapng"
    with Running(lab, "watch", name, "--capture", str(target)) as watching:
        assert "watching" in watching.first_line
        talk(lab, "server", "192.0.2.2")
        assert processes_in(lab.inodes) == [watching.process.pid]
        assert not target.exists()
        code, printed, _ = watching.end(signal.SIGTERM)
    assert code == 0
    verdict = verify(str(target))
    assert (verdict.ok, verdict.damage) == (True, None)
    assert printed.startswith(f"{name}: PASS")
    assert f"({verdict.packets} packets" in printed
    assert list(tmp_path.iterdir()) == [target]
    with open_capture(target) as capture:
        times = [frame.time for frame in capture]
        assert capture.interfaces[0].name == name
    assert times == sorted(times)
    assert times[0] > 1_700_000_000_000_000_000


def test_watch_ends_after_its_time(lab: Lab) -> None:
    with Running(lab, "watch", "client", "--for", "50ms") as watching:
        code, printed, _ = watching.wait()
    assert code == 1
    verdict, limit = printed.splitlines()
    assert verdict.startswith("client: NOT JUDGED  nothing found (")
    assert "0 conversations" in verdict
    assert "no TCP segment" in limit


def test_it_ends_with_its_parent(lab: Lab, tmp_path: Path) -> None:
    target = tmp_path / "a.pcap"
    words = f"{sys.executable} -m labkit watch client --capture {target} & wait"
    environment = os.environ | {"PYTHONPATH": str(TOP), "LANGUAGE": "en"} | lab.environment()
    with subprocess.Popen(["sh", "-c", words], stderr=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stderr is not None
        assert "watching" in parent.stderr.readline()
        parent.kill()
    assert until(lambda: not processes_in(lab.inodes))
    # The capture up to then is complete.
    assert list(tmp_path.iterdir()) == [target]
    with open_capture(target) as capture:
        # Nothing was sent but what the kernel sends by itself for IPv6.
        assert {frame.data[12:14] for frame in capture} <= {b"\x86\xdd"}
        assert capture.damage is None


def test_watch_ends_with_the_lab() -> None:
    name = f"w{os.getpid()}"
    try:
        with labs.up(name) as lab, Running(lab, "watch", "client", "--lab", name) as watching:
            assert labs.down(name) == (2, 1)
            code, printed, _ = watching.wait()
        assert (code, printed.startswith("client: NOT JUDGED")) == (1, True)
    finally:
        labs.down(name)


def test_watching_another_interface_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with Namespace.new() as space, space.inside():
        ip(["link add name a type veth peer name b", "link set dev a up"])
        with open_link("a", None):
            pass
        monkeypatch.setattr(ethtool, "driver", lambda _: "e1000e")
        refused = r"a: the driver is e1000e; .*--allow-interface a"
        with pytest.raises(LinkError, match=refused), open_link("a", None):
            pass
        with open_link("a", None, ["a"]):
            pass


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["no-such"], 4, "no-such: No such device"),
        (["lo", "--for", "soon"], 2, "'soon' is not a duration"),
        (["lo", "--capture", "a.txt"], 2, "the suffix names no capture format"),
        (["lo", "--capture", "/no/where/a.pcap"], 3, "cannot be written"),
        (["lo", "--select", "NO99"], 2, "NO99"),
        (["eth9", "--lab", "no-such-lab"], 4, "eth9: a lab has no such interface; it has client, "),
        (["client", "--lab", "no-such-lab"], 4, "is not up"),
    ],
)
def test_watch_errors(words: list[str], code: int, expected: str) -> None:
    done = labkit("watch", *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert expected in done.stderr.splitlines()[-1]


def test_missing_privileges_are_named() -> None:
    done = as_nobody("watch", "lo")
    assert (done.returncode, done.stdout) == (4, "")
    assert "CAP_NET_RAW" in done.stderr
    assert "sudo" in done.stderr
    assert "labkit lab exec" in done.stderr


def test_dropped_packets_are_reported(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("LANGUAGE", "en")
    monkeypatch.setattr(Link, "lost", lambda _: 7)
    with Namespace.new() as space, space.inside():
        ip(["link set dev lo up"])
        assert run(["watch", "lo", "--for", "10ms", "--no-config", "--allow-empty"]) == 0
    assert "the kernel dropped 7 packets before labkit read them" in capsys.readouterr().err


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_makes_stop_readable(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Stop() as stop:
        assert (stop.requested, select.select([stop], [], [], 0)[0]) == (False, [])
        for _ in range(3):
            os.kill(os.getpid(), number)
        assert select.select([stop], [], [], 10)[0] == [stop]
        assert stop.requested
    assert signal.getsignal(number) is before


def test_frames_ends_after_a_signal(lab: Lab) -> None:
    with lab.inside("client"), Stop() as stop, open_link("lo", None) as link:
        os.kill(os.getpid(), signal.SIGTERM)
        assert list(frames(link, stop)) == []


def test_lab_interfaces_have_the_names_of_their_ends() -> None:
    from labkit.live.watch import LAB_INTERFACES

    assert LAB_INTERFACES["client"] == LAB_INTERFACES["labkit-client"] == ("client", KERNELS["client"].interface)
    assert {end for end, _ in LAB_INTERFACES.values()} == {"client", "server", "relay"}
