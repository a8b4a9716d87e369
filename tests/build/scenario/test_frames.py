"""Frames of a scenario: VLAN tags, fragments, TTL and MTU."""

import shutil
import subprocess

import pytest
from scapy.layers.inet import IP, TCP, defragment
from scapy.layers.l2 import Dot1Q

from labkit.analysis.severity import Severity
from labkit.analysis.verifier import verify
from labkit.build.scenario import Scenario
from labkit.build.trace import Trace
from labkit.capture import open_capture
from labkit.errors import ScenarioError

TALK = "steps:\n  - client: connect\n  - client: {send: 3000}\n  - server: {send: 99}\n"
IPV6 = "client: {address: '2001:db8::1'}\n"


def play(rest: str) -> Trace:
    return Scenario.parse(f"name: test\n{rest}{TALK}", "f.yaml").play()


def sizes(trace: Trace) -> list[int]:
    """The size of each datagram in octets."""
    return [len(octets) - 14 for _, octets, _ in trace.frames()]


@pytest.mark.parametrize(
    ("given", "tags"),
    [
        ("7", "81000007"),
        ("[7]", "81000007"),
        ("[100, {id: 200, priority: 7}]", "810000648100e0c8"),
        ("{id: 4095, priority: 1, service: true}", "88a82fff"),
    ],
)
def test_vlan_tags(given, tags):
    plain, tagged = (list(play(rest).frames()) for rest in ("", f"vlan: {given}\n"))
    for (_, octets, _), (_, bare, _) in zip(tagged, plain, strict=True):
        assert octets == bare[:12] + bytes.fromhex(tags) + bare[12:]
    assert play(f"vlan: {given}\n").packets()[0].haslayer(TCP)


def test_scapy_packets_have_the_tags():
    packet = play("vlan: [3, {id: 4, priority: 5}]\n").packets()[0]
    assert [(packet[Dot1Q:n].vlan, packet[Dot1Q:n].prio) for n in (1, 2)] == [(3, 0), (4, 5)]


@pytest.mark.parametrize(("rest", "limit", "most"), [("", 576, 572), (IPV6, 1280, 1280)])
def test_datagrams_are_fragmented(rest, limit, most, tmp_path):
    whole, cut = play(rest), play(f"{rest}path: {{fragment: {limit}}}\n")
    assert max(sizes(whole)) == 1500
    assert max(sizes(cut)) == most
    assert [record.segment for record in whole] == [record.segment for record in cut]
    packets = cut.write(tmp_path / "a.pcapng")
    assert packets == len(sizes(cut)) == cut.numbers()[-1] > len(cut)
    verdict = verify(tmp_path / "a.pcapng")
    assert (verdict.packets, verdict.segments) == (packets, len(cut))
    assert [each for each in verdict.findings if each.severity > Severity.NOTE] == []


def test_scapy_reassembles_the_fragments():
    rest = "path: {fragment: 300}\n"
    whole = [bytes(packet[TCP]) for packet in play("").packets()]
    pieces = play(rest).packets()
    assert [bytes(piece) for piece in pieces] == [octets for _, octets, _ in play(rest).frames()]
    flags = {str(piece[IP].flags) for piece in pieces}
    assert flags == {"", "MF"}
    assert sorted(bytes(packet[TCP]) for packet in defragment(pieces)) == sorted(whole)


def test_fragments_have_comments(tmp_path):
    play("path: {fragment: 576}\n").write(tmp_path / "a.pcapng")
    with open_capture(tmp_path / "a.pcapng") as reader:
        comments = [frame.comments[0] for frame in reader]
    assert comments[0].startswith("step 1: client connect")
    assert [comment.splitlines()[0] for comment in comments[3:6]] == [
        f"fragment {number} of 3 of a datagram" for number in (1, 2, 3)
    ]
    assert comments[3].splitlines()[1] == "step 2: client send 3000 octets"


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
@pytest.mark.parametrize("rest", ["path: {fragment: 576}\n", f"{IPV6}path: {{fragment: 1280}}\n"])
def test_tshark_reassembles_the_fragments(rest, tmp_path):
    target = tmp_path / "a.pcapng"
    trace = play(rest)
    trace.write(target)
    checks = ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"]
    fields = ["-e", "tcp.len", "-e", "tcp.checksum.status"]
    command = ["tshark", "-n", *checks, "-r", str(target), "-Y", "tcp", "-T", "fields", *fields]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert shown == [f"{len(record.segment.payload)}\t1" for record in trace]


def test_each_router_decrements_the_ttl():
    for place, own, peer in (("client", 64, 128 - 5), ("server", 128, 64 - 5)):
        trace = play(f"capture: {place}\nserver: {{ttl: 128}}\npath: {{hops: 5}}\n")
        found = {record.sender: octets[22] for record, (_, octets, _) in zip(trace, trace.frames(), strict=True)}
        assert found == {place: own, "server" if place == "client" else "client": peer}
        assert [bytes(packet) for packet in trace.packets()] == [octets for _, octets, _ in trace.frames()]


@pytest.mark.parametrize(
    ("rest", "mss", "most"),
    [
        ("", 536, 576),
        ("client: {mss: 400}\nserver: {mss: 400}\n", 400, 440),
        ("client: {mss: 400}\n", 400, 576),
    ],
)
def test_the_mss_follows_from_the_mtu(rest, mss, most):
    trace = play(f"{rest}path: {{mtu: 576}}\n")
    assert trace.records[0].segment.options[0].size == mss
    assert max(sizes(trace)) == most


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("vlan: 4096\n", "f.yaml:2: vlan: 4096 is too large; expected at most 4095"),
        ("vlan: [1, {id: 2, prio: 3}]\n", "f.yaml:2: vlan[2].prio: is not known here; expected one of id, priority"),
        ("vlan: []\n", "f.yaml:2: vlan: is empty"),
        ("vlan: 5\nlink: raw\n", "f.yaml:2: vlan: link raw has no VLAN tags; expected link ethernet"),
        ("path: {fragment: 60}\n", "f.yaml:2: path.fragment: 60 is too small; expected at least 68"),
        (f"{IPV6}path: {{fragment: 600}}\n", "f.yaml:3: path.fragment: 600 is below IPv6's smallest MTU"),
        (f"{IPV6}path: {{mtu: 600}}\n", "f.yaml:3: path.mtu: 600 is below IPv6's smallest MTU"),
        ("client: {mss: 1461}\n", "client.mss: 1461 makes datagrams larger than the path's MTU of 1500"),
        ("client: {syn_cookies: true}\n", "client.syn_cookies: is for a server, which answers SYNs"),
        (
            "server: {window: 127, window_scale: 7}\n",
            "server.window: 127 is less than one unit of window_scale 7; expected at least 128",
        ),
        ("path: {hops: 64}\n", "client.ttl: 64 is too small for 64 hops; expected at least 65"),
        ("path: {to_server: {burst: {length: 4}}}\n", "f.yaml:2: path.to_server.burst.chance: is missing"),
        ("path: {to_server: {burst: {chance: 2%, lenght: 4}}}\n", "did you mean 'length'?"),
        (
            "wireshark: retransmission\n",
            "wireshark: 'retransmission' does not fit; expected a name such as tcp.analysis.retransmission",
        ),
    ],
)
def test_impossible_frames_are_refused(rest, message):
    with pytest.raises(ScenarioError) as caught:
        play(rest)
    assert message in str(caught.value)
