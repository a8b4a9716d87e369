"""A capture becomes a scenario that builds the same conversation."""

from io import BytesIO
from pathlib import Path

import pytest

from labkit.analysis.verifier import verify
from labkit.build.scenario import Scenario, shipped
from labkit.build.trace import Trace
from labkit.capture import create
from labkit.errors import LabkitError, UsageError
from labkit.packet.linktype import ETHERNET
from labkit.tcp.segment import FIN, RST, SYN

REAL = sorted((Path(__file__).parents[3] / "pcaps" / "real").glob("*.pcap*"))


def captured(trace):
    target = BytesIO()
    trace.write(target)
    target.seek(0)
    return Trace.from_capture(target)


def streams(trace, connection=0):
    """The octets of both sides by their numbers."""
    found = {"client": {}, "server": {}}
    for record in trace:
        if record.connection == connection:
            start = trace.relative(record)[0] + (record.segment.ctl & SYN != 0)
            for at, octet in enumerate(record.segment.payload, start):
                found[record.sender].setdefault(at, octet)
    return {side: bytes(octets[at] for at in sorted(octets)) for side, octets in found.items()}


def ends(trace):
    """Which sides close, in order."""
    bits = [(record.sender, record.segment.ctl & (FIN | RST)) for record in trace if record.connection == 0]
    return list(dict.fromkeys(each for each in bits if each[1]))


@pytest.mark.slow
@pytest.mark.parametrize("name", shipped())
def test_the_octets_the_numbers_and_the_ends_are_the_same(name):
    trace = captured(Scenario.load(name).play())
    made = trace.to_scenario()
    again = made.play()
    assert streams(again) == streams(trace)
    assert again.connections[0].isns("client") == trace.connections[0].isns("client")
    if name not in {"challenge-ack", "old-reset", "port-reuse", "half-open-connections", "time-wait"}:
        assert sorted(ends(again)) == sorted(ends(trace))
    target = BytesIO()
    again.write(target)
    target.seek(0)
    assert verify(target).ok


@pytest.mark.parametrize(
    "name",
    [
        "document",
        "document-ipv6",
        "delayed-ack",
        "dns",
        "polling",
        "refused",
        "reset-close",
        "smtp",
        "three-segment-close",
    ],
)
def test_a_plain_conversation_has_the_same_segments(name):
    trace = captured(Scenario.load(name).play())
    again = trace.to_scenario().play()

    def shown(each, record):
        return record.sender, each.relative(record), record.segment.ctl, record.segment.payload

    assert [shown(again, record) for record in again] == [
        shown(trace, record) for record in trace if record.connection == 0
    ]


def test_the_document_is_built_again_to_the_octet_and_the_nanosecond():
    built = Scenario.load("document").play()
    again = captured(built).to_scenario().play()
    assert [(record.time, record.segment) for record in again] == [(record.time, record.segment) for record in built]


def test_its_text_is_a_scenario():
    """JSON is YAML: saved, it is a file for `labkit build`."""
    made = captured(Scenario.load("http-vlan").play()).to_scenario()
    assert list(Scenario.parse(made.source.text).play().frames()) == list(made.play().frames())
    assert made.model.vlan is not None


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_real_captures_become_scenarios_or_one_line(path):
    trace = Trace.from_capture(path)
    for connection in range(min(3, len(trace.connections))):
        try:
            again = trace.to_scenario(connection).play()
        except LabkitError as error:
            assert "\n" not in str(error)
            continue
        assert streams(again)["client"].startswith(streams(trace, connection)["client"][:20])


def test_no_conversation_is_one_line():
    source = BytesIO()
    with create(source, link=ETHERNET) as out:
        out.write(0, bytes(60))
    source.seek(0)
    with pytest.raises(UsageError, match="has no conversation 0; it has 0, from 0"):
        Trace.from_capture(source).to_scenario()
