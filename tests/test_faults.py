"""Every fault, on every shipped scenario that it applies to: found as its rule at its packet, and nothing before it."""

import json
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

RULES_WITHOUT_A_FAULT = {
    "ACK03": "the document's: ack-inside-a-segment breaks it under that profile",
    "SEQ03": "the document's: sequence-number-skips breaks it under that profile",
    "CAP05": "says what the capture lacks",
    "FIN06": "says what the capture lacks",
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


def judged(trace: Trace) -> Verdict:
    stream = BytesIO()
    trace.write(stream, format="pcapng")
    stream.seek(0)
    return verify(stream, RFC9293)


def applied(fault: Fault) -> list[tuple[str, Trace, int]]:
    """The scenarios that a fault applies to, faulty, and the packet where it is."""
    found = []
    for name in shipped():
        try:
            trace, (injected,) = inject(Scenario.load(name).play(seed=3), [fault.name])
        except UsageError:
            continue
        found.append((name, trace, injected.packet))
    return found


@pytest.mark.parametrize("fault", faults(), ids=lambda fault: fault.name)
def test_fault_is_found_where_it_is(fault: Fault) -> None:
    cases = applied(fault)
    assert cases
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
    again, manifest = inject(Scenario.load(name).play(seed=3), [f"{fault.name}@{packet - _inserted(trace, name)}"])
    assert list(again.frames()) == list(trace.frames())
    assert manifest[0].packet == packet
    assert manifest[0].changed


def _inserted(trace: Trace, name: str) -> int:
    return len(trace) - len(Scenario.load(name).play(seed=3))


def test_several_faults_keep_their_places() -> None:
    trace = Scenario.load("document").play()
    _, manifest = inject(trace, ["wrong-tcp-checksum@9", "resent-octets-differ@4"])
    assert [(each.fault, each.packet) for each in manifest] == [("wrong-tcp-checksum", 10), ("resent-octets-differ", 5)]
    faulty, _ = inject(trace, ["wrong-tcp-checksum@9", "resent-octets-differ@4"])
    assert {("CK02", 10), ("RTX02", 5)} <= {(each.code, each.packet) for each in judged(faulty).findings}


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("ack-of-unsent", "there is no fault 'ack-of-unsent'; did you mean 'ack-of-unsent-data'?"),
        ("ack-of-unsent-data@99", "there is no such packet; there are 10"),
        ("ack-of-unsent-data@0", "there is no such packet"),
        ("ack-of-unsent-data@x", "there is no such packet"),
        ("syn-with-fin@4", "syn-with-fin does not apply to packet 4"),
        ("goes-on-after-reset", "goes-on-after-reset applies to no packet of this scenario"),
    ],
)
def test_what_cannot_be_made_is_said_in_a_line(wanted: str, message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("?", r"\?")):
        inject(Scenario.load("document").play(), [wanted])


def test_scapy_packets_have_the_fault_too() -> None:
    trace, _ = inject(Scenario.load("document").play(), ["wrong-tcp-checksum@4"])
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
