"""Conversations around messages from elsewhere."""

from collections import defaultdict
from io import BytesIO

import pytest
from scapy.layers.dns import DNS, DNSQR
from scapy.layers.inet import IP

from labkit.analysis.verifier import verify
from labkit.build.scenario import Scenario
from labkit.cli import Exit, run
from labkit.errors import ScenarioError, UsageError
from labkit.tcp.options import Timestamps
from labkit.tcp.segment import FIN, RST

MESSAGES = [("client", b"GET / HTTP/1.1\r\n\r\n"), ("server", b"HTTP/1.1 204 No Content\r\n\r\n")]


def streams(trace):
    """What each side has sent, by sequence numbers."""
    found = defaultdict(dict)
    for record in trace:
        start = trace.relative(record)[0]
        for place, octet in enumerate(record.segment.payload):
            found[record.sender][start + place] = octet
    return {side: bytes(octets[at] for at in sorted(octets)) for side, octets in found.items()}


def passes(trace):
    target = BytesIO()
    trace.write(target)
    target.seek(0)
    return verify(target).ok


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"path": {"to_server": {"lose": [3]}, "to_client": {"loss": "5%"}}},
        {"vlan": [12, 13], "client": {"timestamps": True}, "server": {"timestamps": True}},
        {"client": {"address": "2001:db8::7", "isn": 0xFFFFFFFF}},
        {"link": "raw", "close": "server"},
        {"close": "client-reset"},
        {"close": "server-reset"},
        {"close": "none", "think": "30ms"},
    ],
)
def test_the_messages_arrive_in_a_sound_conversation(values):
    messages = [*MESSAGES, ("server", b"\0" * 5000), ("client", b"\xff\x00")]
    trace = Scenario.from_payloads(messages, **values).play()
    assert streams(trace) == {
        "client": MESSAGES[0][1] + b"\xff\x00",
        "server": MESSAGES[1][1] + b"\0" * 5000,
    }
    assert passes(trace)
    ends = [record.segment.ctl & (FIN | RST) for record in trace if record.segment.ctl & (FIN | RST)]
    assert set(ends) == {"none": set(), "client-reset": {RST}, "server-reset": {RST}}.get(values.get("close"), {FIN})


def test_scapy_layers_and_other_octets_are_messages():
    query = DNS(id=7, qd=DNSQR(qname="www.example"))
    trace = Scenario.from_payloads(
        [("client", query), ("server", bytearray(b"a")), ("server", memoryview(b"b"))]
    ).play()
    assert streams(trace)["client"] == bytes(query)
    assert streams(trace)["server"] == b"ab"


def test_options_are_those_of_the_scenario():
    trace = Scenario.from_payloads(MESSAGES, client={"timestamps": True}, server={"timestamps": True}).play()
    assert all(record.segment.option(Timestamps) for record in trace)


@pytest.mark.parametrize(
    ("messages", "values", "message"),
    [
        ([], {}, "there is no message; expected at least one"),
        ([("me", b"x")], {}, "message 1: 'me' is not a side; expected client or server"),
        ([("client", b"x"), b"y"], {}, "message 2: is not a pair"),
        ([("client", "text")], {}, "message 1: is a str; expected bytes or a Scapy layer"),
        ([("client", b"")], {}, "message 1: has no octets"),
        ([("client", DNS(id="x"))], {}, "Scapy cannot build the packet"),
        (MESSAGES, {"close": "soon"}, "close='soon' is not an end; expected one of client, server"),
        (MESSAGES, {"steps": []}, "the messages are the steps"),
    ],
)
def test_what_is_no_message_is_one_line(messages, values, message):
    with pytest.raises(UsageError) as error:
        Scenario.from_payloads(messages, **values)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_wrong_keys_are_those_of_the_model():
    with pytest.raises(ScenarioError, match=r"path\.rt: is not known here"):
        Scenario.from_payloads(MESSAGES, path={"rt": "3ms"})


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, (_side, octets) in zip(("request", "response"), MESSAGES, strict=True):
        (tmp_path / name).write_bytes(octets)
    (tmp_path / "empty").touch()
    return tmp_path


def test_the_command_writes_the_same(files):
    options = ["--client", "10.0.0.1:4000", "--server", "10.0.0.2", "--vlan", "12", "--set", "client.timestamps=true"]
    assert run(["wrap", "request", "response", *options, "-o", "a.pcap"]) == Exit.OK
    want = Scenario.from_payloads(
        MESSAGES,
        client={"address": "10.0.0.1", "port": 4000, "timestamps": True},
        server={"address": "10.0.0.2"},
        vlan=12,
    ).play()
    want.write("b.pcap")
    assert (files / "a.pcap").read_bytes() == (files / "b.pcap").read_bytes()


def test_the_sides_take_turns_or_are_named(files):
    assert run(["wrap", "server:request", "response", "response", "client:request", "-o", "a.pcapng"]) == Exit.OK
    from labkit.build.trace import Trace

    trace = Trace.from_capture("a.pcapng")
    assert streams(trace) == {"server": MESSAGES[0][1] + MESSAGES[1][1], "client": MESSAGES[1][1] + MESSAGES[0][1]}
    assert IP in trace.packets()[0]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], Exit.USAGE, "missing PAYLOADS"),
        (["nothing"], Exit.UNREADABLE, "nothing: cannot be read: No such file"),
        (["empty"], Exit.UNREADABLE, "empty: is empty; expected a message"),
        (["request", "--client", "[::1"], Exit.USAGE, "--client [::1: expected an address and a port"),
        (["request", "--client", "300.1.1.1"], Exit.USAGE, "client.address: '300.1.1.1' is not an address"),
        (["request", "--set", "rtt"], Exit.USAGE, "--set rtt: expected KEY=VALUE"),
        (["request", "--set", "vlan=5", "--set", "vlan.id=5"], Exit.USAGE, "'vlan' has a value already"),
        (["request", "--set", "path.rtt=[1"], Exit.USAGE, "--set path.rtt"),
        (["request", "--vlan", "x"], Exit.USAGE, "vlan"),
        (["request", "--loss", "200%"], Exit.USAGE, "loss"),
        (["request", "-o", "a.txt"], Exit.USAGE, "a.txt"),
    ],
)
def test_wrong_usage_is_one_line(files, capsys, arguments, code, message):
    before = sorted(files.iterdir())
    assert run(["wrap", *arguments]) == code
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert sorted(files.iterdir()) == before
