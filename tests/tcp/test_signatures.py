"""Signatures: the test vectors of RFC 9235, tcpdump as the judge of MD5, and ends that drop what is not signed."""

import shutil
import subprocess
from pathlib import Path

import pytest

from labkit.analysis.severity import Severity
from labkit.analysis.verifier import Verifier
from labkit.build.bulk.template import prepare
from labkit.build.scenario import Scenario
from labkit.capture import open_capture
from labkit.errors import ScenarioError, UsageError
from labkit.tcp.options import unpack
from labkit.tcp.segment import ACK, SYN, Segment
from labkit.tcp.signatures import AoSigner, Flow, Md5Signer, ao_mac, traffic_key

CLIENT, SERVER = bytes((10, 11, 12, 13)), bytes((172, 27, 28, 29))
SYN_PACKET = bytes.fromhex(
    "45e0004cdd0f4000ff06bf6b0a0b0c0dac1b1c1d"
    "e9d700b3fbfbab5a00000000e002ffffcac40000"
    "020405b4010303080402080a00155ab7000000001d103d542ee437c6f8ede6d7c4d602e7"
)
"""RFC 9235 section 4.1.1, the SYN of the client; the master key is `testvector`."""


def test_the_first_vector_of_rfc_9235() -> None:
    flow = Flow(CLIENT, SERVER, 0xE9D7, 179)
    assert SYN_PACKET[12:20] == CLIENT + SERVER
    key = traffic_key(b"testvector", flow, 0xFBFBAB5A, 0)
    assert key.hex() == "6d63ef1b02fe1509d4b1402707fd7b0416abb74f"
    syn = Segment(seq=0xFBFBAB5A, ctl=SYN, window=0xFFFF, options=unpack(SYN_PACKET[40:]))
    assert ao_mac(syn, flow, key, 0).hex() == "2ee437c6f8ede6d7c4d602e7"


FLOW = Flow(bytes(16), bytes(15) + b"\x01", 40000, 80)


@pytest.mark.parametrize("signer", [Md5Signer, AoSigner])
@pytest.mark.parametrize("family", [4, 16])
def test_only_the_same_segment_with_the_same_key_is_accepted(signer: type, family: int) -> None:
    flow = Flow(bytes(family), bytes(family - 1) + b"\x01", 40000, 80)
    sender, receiver = signer(flow, b"key"), signer(flow.reversed(), b"key")
    sent = sender.sign(Segment(seq=2**32 - 5, ack=9, ctl=ACK, payload=b"1234567890"), 2**32 - 10, 8)
    assert receiver.accepts(sent, 8, 2**32 - 10)
    assert len(sent.header) % 4 == 0
    assert sender.sign(sent, 2**32 - 10, 8) == sent
    for changed in (
        sent.with_(seq=2**32 - 4),
        sent.with_(ack=10),
        sent.with_(window=1),
        sent.with_(payload=b"1234567891"),
        sent.with_(options=()),
    ):
        assert not receiver.accepts(changed, 8, 2**32 - 10)
    assert not signer(flow.reversed(), b"other").accepts(sent, 8, 2**32 - 10)
    assert not signer(Flow(flow.target, flow.source, 80, 40001), b"key").accepts(sent, 8, 2**32 - 10)


def test_keys_of_tcp_ao_belong_to_one_connection_and_count_the_wraps() -> None:
    sender, receiver = AoSigner(FLOW, b"key"), AoSigner(FLOW.reversed(), b"key")
    before = sender.sign(Segment(seq=0, ack=9, ctl=ACK), 0, 8)
    wrapped = sender.sign(Segment(seq=0, ack=9, ctl=ACK), 2**32 - 1, 8)
    assert before != wrapped
    assert receiver.accepts(wrapped, 8, 2**32 - 1)
    assert not receiver.accepts(before, 8, 2**32 - 1)
    assert not receiver.accepts(wrapped, 9, 2**32 - 1)


def played(**keys: str) -> Scenario:
    sides = "".join(f"{side}: {{{words}}}\n" for side, words in keys.items())
    return Scenario.parse(
        f"name: signed\n{sides}path: {{rtt: 20ms, to_client: {{lose: [4]}}}}\nsteps:\n  - client: connect\n"
        "  - client: {send: 99}\n  - server: {send: 9000}\n  - client: close\n  - server: close\n"
    )


EXTRAS = "timestamps: true, window_scale: 7, ecn: accurate, isn: 4294967290"


@pytest.mark.parametrize("kind", ["md5", "ao"])
@pytest.mark.parametrize("extras", ["sack: false", EXTRAS])
@pytest.mark.parametrize("address", ["", ", address: '2001:db8::9'"])
def test_every_segment_is_signed_whatever_else_it_carries(tmp_path: Path, kind: str, extras: str, address: str) -> None:
    side = f"{kind}: secret, {extras}"
    trace = played(client=side + address, server=side).play(seed=1)
    assert {len(record.segment.header) <= 40 for record in trace.records} == {True}
    path = tmp_path / "a.pcap"
    trace.write(path)
    with open_capture(path) as capture:
        verdict = Verifier().run(capture)
    assert [each.code for each in verdict.findings if each.severity > Severity.NOTE] == []
    assert all(any(option.kind in (19, 29) for option in record.segment.options) for record in trace.records)
    if kind == "md5" and shutil.which("tcpdump"):
        command = ["tcpdump", "-M", "secret", "-nvr", str(path)]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        if "can't check" not in text:
            assert text.count("md5 valid") == len(trace.records)


@pytest.mark.parametrize(
    ("client", "server"), [("md5: a", "md5: b"), ("md5: a", "ao: a"), ("ao: a", "ao: b"), ("ao: a", "")]
)
def test_a_side_with_another_key_does_not_connect(client: str, server: str) -> None:
    text = f"name: x\nclient: {{{client}}}\nserver: {{{server}}}\nsteps:\n  - client: connect\n"
    trace = Scenario.parse(text).play(seed=1)
    assert not any(record.segment.ctl == ACK for record in trace.records)


def test_two_kinds_at_once_are_refused() -> None:
    with pytest.raises(ScenarioError, match="expected one of the two"):
        Scenario.parse("name: x\nclient: {md5: a, ao: b}\nsteps:\n  - client: connect\n")


def test_signed_conversations_are_not_copied() -> None:
    with pytest.raises(UsageError, match="signs its segments"):
        prepare(Scenario.load("md5"), 3, 1)
