"""A scenario from a trace, or from a capture: what the applications did comes back."""

from pathlib import Path

import pytest

from labkit import Scenario, Trace, UsageError, inject, verify
from labkit.build.scenario import shipped
from labkit.build.scenario.from_trace import _Stream
from labkit.tcp.segment import SYN

SAME = {
    "delayed-ack", "dns", "document", "document-111", "document-ipv6", "four-segment-close", "handshake", "nagle", "refused",
    "refused-ipv6", "seq-zero", "server-speaks-first", "smtp", "three-segment-close",
}  # fmt: skip
"""Scenarios that come back with all their packets. In the others, the path or a setting is not in the capture."""


def streams(trace: Trace) -> list[bytes]:
    """The octets of both sides of the first connection."""
    found = []
    for side in ("client", "server"):
        records = [each for each in trace if (each.sender, each.connection) == (side, 0) and each.tap == trace[0].tap]
        stream = _Stream(next((each.segment.seq for each in records if each.segment.ctl & SYN), 0))
        found.append(b"".join(stream.take(each) for each in records))
    return found


@pytest.mark.parametrize("name", shipped())
@pytest.mark.parametrize("seed", [1, 2])
def test_the_applications_of_a_shipped_scenario_come_back(name: str, seed: int) -> None:
    trace = Scenario.load(name).play(seed)
    again = Scenario.from_trace(trace).play(seed)
    assert streams(again) == streams(trace)
    verdict = verify(again)
    assert verdict, verdict.text()
    here = verify(trace).conversations[0]
    assert verdict.conversations[0].closed == here.closed
    assert (verdict.conversations[0].client, verdict.conversations[0].server) == (here.client, here.server)
    if name in SAME:
        assert [each[:2] for each in again.frames()] == [each[:2] for each in trace.frames()]


def test_a_capture_becomes_a_scenario(tmp_path: Path) -> None:
    Scenario.load("http-vlan").play(seed=4).write(tmp_path / "my capture.pcap")
    scenario = Scenario.from_trace(Trace.from_capture(tmp_path / "my capture.pcap"))
    assert scenario.name == "my-capture"
    assert verify(scenario.play(), fail_on="warning")


def test_each_connection_is_a_scenario() -> None:
    trace = Scenario.load("polling").play(seed=1)
    assert len(trace.connections) == 3
    made = [Scenario.from_trace(trace, number).play() for number in range(3)]
    assert [each.client_isn for each in made] == [each.client_isn for each in trace.connections]
    with pytest.raises(UsageError, match="there is no connection 3; the trace has 3, from 0"):
        Scenario.from_trace(trace, 3)


def test_what_a_trace_lacks_is_said() -> None:
    trace = Scenario.load("http").play(seed=1)
    with pytest.raises(UsageError, match="the trace does not show the client's SYN"):
        Scenario.from_trace(trace[3:])
    data = next(record.number for record in trace if len(record.segment.payload) == 1460)
    with pytest.raises(UsageError, match="octets of the server are missing after its first 0"):
        Scenario.from_trace(trace.remove(data))


def test_a_trace_shows_itself() -> None:
    trace = Scenario.load("document").play(seed=1)
    lines = str(trace).splitlines()
    assert lines[0] == "document: 10 segments"
    assert lines[6] == "    6    0.080000 > . 100:100(0) ack 120 win 65535"
    assert repr(trace) == "<Trace 'document': 10 segments>"
    assert trace._repr_mimebundle_() == {"text/plain": str(trace)}
    many = str(Scenario.load("conversations").play(seed=1)).splitlines()
    assert many[-1] == "… and 978 more"
    assert "connections" in many[0]


def test_one_fault_by_its_place() -> None:
    trace = Scenario.load("document").play(seed=1)
    assert inject(trace, "ack-goes-back", at=8) == inject(trace, ["ack-goes-back@8"])
    assert inject(trace, "ack-goes-back") == inject(trace, ["ack-goes-back"])
    with pytest.raises(UsageError, match="at=N is for one fault"):
        inject(trace, ["ack-goes-back"], at=8)
