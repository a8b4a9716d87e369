"""A trace shows its segments, in a terminal and in a notebook; a fault is injected at a packet."""

import pytest

from labkit import Scenario, UsageError, inject


def test_a_trace_shows_its_segments() -> None:
    trace = Scenario.load("document").play(seed=1)
    lines = str(trace).splitlines()
    assert lines[0] == "document: 10 segments"
    assert lines[6] == "    6    0.080000 > . 100:100(0) ack 120 win 65535"
    assert repr(trace) == "<Trace 'document': 10 segments>"
    assert trace._repr_mimebundle_()["text/plain"] == str(trace)


def test_a_long_trace_shows_its_beginning() -> None:
    lines = str(Scenario.load("conversations").play(seed=1)).splitlines()
    assert len(lines) == 202
    assert lines[-1] == "… and 978 more"
    assert "connections" in lines[0]


def test_one_fault_by_its_place() -> None:
    trace = Scenario.load("document").play(seed=1)
    assert inject(trace, "ack-goes-back", at=8) == inject(trace, ["ack-goes-back@8"])
    assert inject(trace, "ack-goes-back") == inject(trace, ["ack-goes-back"])
    with pytest.raises(UsageError, match="at=N is for one fault"):
        inject(trace, ["ack-goes-back"], at=8)
