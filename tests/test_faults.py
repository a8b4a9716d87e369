"""Every fault, on every shipped scenario that it applies to: found as its rule at its packet, and nothing before it."""

import json
from functools import cache
from io import BytesIO
from pathlib import Path

import pytest

from labkit.cli import run
from labkit.errors import UsageError
from labkit.faults import faults, inject
from labkit.faults.base import Fault
from labkit.rule import RFC9293, Severity, collect
from labkit.scenario import Scenario, shipped
from labkit.trace import Trace
from labkit.verifier import Verdict, verify

OTHERWISE: dict[tuple[str, str], str] = {
    ("fast-open", "opened-without-syn"): "HS02 cannot tell: the SYN's data is acknowledged",
    ("fast-open-fallback", "ack-inside-a-segment"): "the resend of the SYN's data is no new segment",
    ("fast-open-fallback", "sequence-number-skips"): "the data was on the SYN before: its octets differ (RTX02)",
    ("fast-open-fallback", "syn-ack-acks-wrong-number"): "the SYN carries data: one more is the first octet of it",
    ("syn-ack-lost", "opened-without-syn"): "the true SYN follows",
    ("syn-lost", "opened-without-syn"): "the true SYN follows",
    ("time-wait", "fin-not-acknowledged"): "the FIN was acknowledged before: the ack goes back (ACK02)",
}
"""Scenarios where a fault is no such fault, and why."""

FURTHER = {
    "stamped": """
name: stamped
client: {address: "2001:db8::1", timestamps: true}
server: {timestamps: true}
steps:
  - client: connect
  - server: {send: 3000}
  - client: {send: 2000}
  - client: close
  - server: close
""",
    "stamped-loss": """
name: stamped-loss
client: {timestamps: true, isn: 4294967200}
server: {timestamps: true, sack: false}
path: {to_server: {lose: [5]}}
steps:
  - client: connect
  - client: {send: 30000}
  - server: {send: {octets: 500, after: 2s}}
  - server: {send: {octets: 500, after: 10ms}}
  - client: close
  - server: {close: {after: 5ms}}
""",
    "no-sack": """
name: no-sack
client: {sack: false, isn: 0, mss: 536}
server: {isn: 4294967295}
steps:
  - client: connect
  - client: {send: 2000}
  - server: {send: 5000}
  - server: close
  - client: {close: {after: 5ms}}
""",
    "small-segments": """
name: small-segments
client: {sack: false, address: "2001:db8::1", mss: 1000}
server: {sack: false, mss: 500}
steps:
  - client: connect
  - client: {send: 3000}
  - server: {send: 4000}
  - client: {abort: {after: 1s}}
""",
}
"""Scenarios that are not shipped, for faults that need what few of those have."""

RULES_WITHOUT_A_FAULT = {
    "ACK03": "the document's: ack-inside-a-segment breaks it under that profile",
    "SEQ03": "the document's: sequence-number-skips breaks it under that profile",
    "CAP05": "says what the capture lacks",
    "FIN06": "says what the capture lacks",
    "FIN04": "is about a packet that is not there",
    "KA01": "describes what is no fault",
    "ACK05": "describes what is no fault",
    "CAP03": "describes what is no fault",
    "CAP06": "describes what is no fault",
    "CAP07": "describes what is no fault",
    "FIN05": "describes what is no fault",
    "HS06": "describes what is no fault",
    "HS07": "describes what is no fault",
    "ISN01": "is about several connections",
    "ST02": "is about several connections",
    "RTX05": "describes what is no fault",
    "RTX06": "describes what is no fault",
    "WIN03": "describes what is no fault",
    "ZWP01": "describes what is no fault",
    "RTX01": "describes what is no fault",
    "RTX03": "describes what is no fault",
    "RTX04": "describes what is no fault",
}


@cache
def sound(name: str) -> Trace:
    """A scenario's trace without faults."""
    scenario = Scenario.parse(FURTHER[name]) if name in FURTHER else Scenario.load(name)
    return scenario.play(seed=3)


MOST_PACKETS = 400
"""More of the same shows nothing new, and takes long to judge fifty times."""


def judged(trace: Trace) -> Verdict:
    stream = BytesIO()
    trace.write(stream, format="pcapng")
    stream.seek(0)
    return verify(stream, RFC9293)


def applied(fault: Fault) -> list[tuple[str, Trace, int]]:
    """The scenarios that a fault applies to, faulty, and the packet where it is."""
    found = []
    for name in (*shipped(), *FURTHER):
        if len(sound(name)) > MOST_PACKETS:
            continue
        try:
            trace = inject(sound(name), [fault.name])
        except UsageError:
            continue
        found.append((name, trace, trace.injected[0].packet))
    return found


@pytest.mark.parametrize("fault", faults(), ids=lambda fault: fault.name)
def test_fault_is_found_where_it_is(fault: Fault) -> None:
    cases = applied(fault)
    # Not the same conversation over and over: a fault that is found in one place only may be found by chance.
    assert len({name for name, _, _ in cases} - {name for name, other in OTHERWISE if other == fault.name}) >= 3
    for name, trace, packet in cases:
        verdict = judged(trace)
        found = {(finding.code, finding.packet) for finding in verdict.findings}
        if (name, fault.name) in OTHERWISE:
            assert (fault.code, packet) not in found, f"{name}: it is found after all"
            continue
        assert (fault.code, packet) in found, name
        errors = [each for each in verdict.findings if each.severity == Severity.ERROR and each.packet]
        assert all(each.packet >= packet for each in errors if each.packet), name


def test_every_rule_that_a_packet_can_break_has_a_fault() -> None:
    codes = {rule.code for rule in collect()}
    assert codes - {fault.code for fault in faults()} == set(RULES_WITHOUT_A_FAULT)


@pytest.mark.parametrize("fault", faults(), ids=lambda fault: fault.name)
def test_the_same_fault_gives_the_same_bytes(fault: Fault) -> None:
    name, trace, packet = applied(fault)[0]
    again = inject(sound(name), [f"{fault.name}@{packet - (len(trace) - len(sound(name)))}"])
    assert list(again.frames()) == list(trace.frames())
    assert again.injected[0].packet == packet
    assert again.injected[0].changed


def test_several_faults_keep_their_places() -> None:
    trace = Scenario.load("document").play()
    faulty = inject(trace, ["wrong-tcp-checksum@9", "resent-octets-differ@4"])
    places = [("wrong-tcp-checksum", 10), ("resent-octets-differ", 5)]
    assert [(each.fault, each.packet) for each in faulty.injected] == places
    one_by_one = inject(inject(trace, ["wrong-tcp-checksum@9"]), ["resent-octets-differ@4"])
    assert one_by_one == faulty
    assert {("CK02", 10), ("RTX02", 5)} <= {(each.code, each.packet) for each in judged(faulty).findings}


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("ack-of-unsent", "there is no fault 'ack-of-unsent'; did you mean 'ack-of-unsent-data'?"),
        ("ack-of-unsent-data@99", "there is no such packet; there are 10"),
        ("ack-of-unsent-data@0", "there is no such packet"),
        ("ack-of-unsent-data@", "there is no such packet"),
        ("ack-of-unsent-data@" + "9" * 5000, "there is no such packet"),
        ("ack-of-unsent-data@x", "there is no such packet"),
        ("syn-with-fin@4", "syn-with-fin does not apply to packet 4"),
        ("goes-on-after-reset", "goes-on-after-reset applies to no packet of this scenario"),
    ],
)
def test_what_cannot_be_made_is_said_in_a_line(wanted: str, message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("?", r"\?")):
        inject(Scenario.load("document").play(), [wanted])


def test_scapy_packets_have_the_fault_too() -> None:
    trace = inject(Scenario.load("document").play(), ["wrong-tcp-checksum@4"])
    assert bytes(trace.packets()[3]) == list(trace.frames())[3][1]


def test_build_writes_the_manifest_beside_the_capture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "faulty.pcapng"
    assert run(["build", "document", "--fault", "ack-of-unsent-data@6", "-o", str(target)]) == 0
    manifest = json.loads((tmp_path / "faulty.manifest.json").read_text("utf-8"))
    assert manifest["capture"] == "faulty.pcapng"
    assert manifest["faults"] == [
        {
            "fault": "ack-of-unsent-data",
            "code": "ACK01",
            "packet": 6,
            "inserted": False,
            "changed": "ack: 120 -> 1120",
        }
    ]
    capsys.readouterr()
    assert run(["verify", "--format", "json", str(target)]) == 1
    findings = json.loads(capsys.readouterr().out)["captures"][0]["findings"]
    assert [(each["code"], each["packet"]) for each in findings if each["severity"] == "error"] == [("ACK01", 6)]


def test_faults_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["build", "--fault", "list"]) == 0
    out = capsys.readouterr().out
    assert all(fault.name in out and fault.code in out for fault in faults())
