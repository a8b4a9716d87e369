"""MPTCP with one subflow (RFC 8684): keys, data sequence numbers, DATA_FIN and fallback, with tshark as a judge."""

import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest
from helpers import ConnectionPair

from labkit.analysis.severity import Severity
from labkit.analysis.verifier import Verifier
from labkit.build.scenario import Scenario
from labkit.build.trace import Trace
from labkit.capture import open_capture
from labkit.errors import ScenarioError
from labkit.tcp.endpoint import Config
from labkit.tcp.endpoint.multipath import first_number
from labkit.tcp.multipath import Multipath
from labkit.tcp.segment import FIN, SYN, Segment

BOTH = Config(iss=100, mptcp=True), Config(iss=300, mptcp=True)


def fields(segment: Segment) -> dict[str, int]:
    option = segment.option(Multipath)
    return {} if option is None else {"": option.subtype, **dict(option.fields)}  # type: ignore[dict-item]


def test_the_first_number_is_the_end_of_the_keys_hash() -> None:
    key = 0x0102030405060708
    assert first_number(key).to_bytes(8) == sha256(bytes(range(1, 9))).digest()[24:]


def test_both_keys_come_back_in_the_third_segment() -> None:
    pair = ConnectionPair(*BOTH).connect()
    syn, answer, third = (fields(segment) for _, _, segment, _ in pair.log)
    assert syn == {"": "mp_capable", "version": 1, "flags": 1}
    assert third["receiver"] == answer["sender"] == pair.server.multipath.key
    assert third["sender"] == pair.client.multipath.key == pair.server.multipath.peer_key


@pytest.mark.parametrize(("client", "server"), [(True, False), (False, True), (False, False)])
def test_without_one_side_it_is_plain_tcp(client: bool, server: bool) -> None:
    pair = ConnectionPair(Config(iss=100, mptcp=client), Config(iss=300, mptcp=server)).connect()
    pair.client.send(b"x" * 3000, pair.now)
    pair.flush()
    pair.run(pair.now + 1_000_000_000)
    assert bytes(pair.read["server"]) == b"x" * 3000
    assert all(not fields(segment) for _, _, segment, _ in pair.log[1:])


def test_a_third_segment_without_keys_falls_back() -> None:
    pair = ConnectionPair(*BOTH)
    pair.server.listen()
    pair.client.open(0)
    (syn,) = [out.segment for out in pair.client.segments(0)]
    pair.server.receive(syn, 0)
    (answer,) = [out.segment for out in pair.server.segments(0)]
    pair.client.receive(answer, 0)
    (third,) = [out.segment for out in pair.client.segments(0)]
    pair.server.receive(third.with_(options=()), 0)
    assert not pair.server.multipath.agreed
    pair.server.send(b"data", 0)
    assert all(not fields(out.segment) for out in pair.server.segments(0))


def conversation(side: str, lose: str = "[]", steps: str = "") -> Trace:
    steps = steps or "  - client: {send: 99}\n  - server: {send: 9000}\n  - client: close\n  - server: close\n"
    return Scenario.parse(
        f"name: subflow\nclient: {{{side}, isn: 4294967290}}\nserver: {{{side}, isn: 7}}\n"
        f"path: {{rtt: 20ms, to_client: {{lose: {lose}}}}}\nsteps:\n  - client: connect\n{steps}"
    ).play(seed=3)


EXTRAS = ["", ", timestamps: true, window_scale: 3", ", ecn: accurate", ", timestamps: true, ecn: accurate, sack: true"]


@pytest.mark.parametrize("extras", EXTRAS)
@pytest.mark.parametrize("lose", ["[]", "[3]", "[2, 5]", "[1]"])
def test_every_octet_is_mapped_once_and_acknowledged(tmp_path: Path, extras: str, lose: str) -> None:
    trace = conversation(f"mptcp: true{extras}", lose)
    keys = {}
    for record in trace.records:
        found = fields(record.segment)
        if "sender" in found:
            keys[record.sender] = found["sender"]
    first = {side: first_number(key) for side, key in keys.items()}
    for record in trace.records:
        segment, found = record.segment, fields(record.segment)
        assert len(segment.header) <= 40
        assert found
        if found[""] != "dss":
            continue
        other = "server" if record.sender == "client" else "client"
        isn = {"client": 4294967290, "server": 7}
        assert (found["ack8"] - first[other]) % 2**32 == (segment.ack - isn[other]) % 2**32
        if segment.payload or segment.ctl & FIN:
            assert (found["dsn8"] - first[record.sender]) % 2**32 == (segment.seq - isn[record.sender]) % 2**32
            assert found["length"] == segment.length
            assert found["ssn"] == ((segment.seq - isn[record.sender]) % 2**32 if segment.payload else 0)
    path = tmp_path / "a.pcap"
    trace.write(path)
    with open_capture(path) as capture:
        verdict = Verifier().run(capture)
    assert [each.code for each in verdict.findings if each.severity > Severity.NOTE] == []


def test_a_server_may_speak_first() -> None:
    steps = "  - server: {send: 500}\n  - client: {send: 99}\n  - server: close\n  - client: close\n"
    trace = conversation("mptcp: true", steps=steps)
    subtypes = [(record.sender, fields(record.segment)[""]) for record in trace.records if not record.segment.ctl & SYN]
    assert subtypes[0] == ("client", "mp_capable")
    assert {name for _, name in subtypes[1:]} == {"dss"}


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_finds_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    conversation("mptcp: true, timestamps: true").write(path)
    names = [
        "tcp.options.mptcp.subtype",
        "mptcp.connection.echoed_key_mismatch",
        "mptcp.dss.missing_mapping",
        "mptcp.ack",
    ]
    wanted = [word for name in names for word in ("-e", name)]
    command = ["tshark", "-n", "-r", str(path), "-o", "mptcp.analyze_mptcp:TRUE", "-T", "fields", *wanted]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    rows = [line.split("\t") for line in lines]
    assert all(row[0] and not row[1] and not row[2] for row in rows)
    assert rows[-1][3] == "9002"  # 9,000 octets, and DATA_FIN


@pytest.mark.parametrize("kind", ["md5", "ao"])
def test_signatures_have_no_room_beside_it(kind: str) -> None:
    with pytest.raises(ScenarioError, match="no room"):
        Scenario.parse(f"name: x\nclient: {{mptcp: true, {kind}: a}}\nsteps:\n  - client: connect\n")
