"""Faults: the verifier finds each fault in each shipped scenario at its packet, and no error before it."""

import json
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from itertools import product
from pathlib import Path
from types import ModuleType

import pytest

from labkit.analysis.catalogue import collect
from labkit.analysis.severity import Severity
from labkit.build.faults import faults, inject
from labkit.build.faults.base import Fault
from labkit.build.scenario import Scenario
from labkit.cli import run
from labkit.errors import UsageError

TOP = Path(__file__).parents[2]
PAGE = TOP / "docs" / "faults.md"

LIMITED = {
    "captured-twice": {"ipv4"},
    "wrong-ip-checksum": {"ipv4"},
    "padding-counted": {"ipv4", "none", "mss"},
    "answered-what-was-not-offered": {"none", "mss"},
    "sack-not-permitted": {"none", "mss"},
    "port-reused-too-low": {"none", "mss"},
    "impossible-sack-block": {"all"},
    "timestamps-missing": {"all"},
    "echo-of-no-timestamp": {"all"},
    "timestamp-goes-back": {"all"},
}
"""The faults that not every kind of conversation can have, with the kinds that can: IPv6 has no identification and no checksum;
what was agreed on cannot be missing; a timestamp lets a port be used again; only what was agreed on can be wrong."""


@pytest.fixture(scope="module", name="matrix")
def _matrix() -> Iterator[ModuleType]:
    """The generator of the page, which injects every fault into every scenario."""
    lib = str(TOP / "scripts" / "lib")
    sys.path.insert(0, lib)
    yield import_module("faults_page")
    sys.path.remove(lib)


@pytest.mark.slow
@pytest.mark.parametrize("fault", faults(), ids=lambda fault: fault.name)
def test_the_verifier_finds_each_fault_at_its_packet(fault: Fault, matrix: ModuleType) -> None:
    found = set()
    for each in matrix.outcomes(fault):
        assert each.early == (), each.scenario
        if each.hidden:
            assert not each.found, f"{each.scenario}: found, although {each.hidden}"
            continue
        assert each.found, each.scenario
        found.add(each.scenario)
    # Not the same conversation over and over: a fault that is found in one place only may be found by chance.
    assert len(found) >= 3
    assert matrix.section(fault) in PAGE.read_text("utf-8"), "docs/faults.md is not current: run scripts/docs"


@pytest.mark.slow
@pytest.mark.parametrize("fault", faults(), ids=lambda fault: fault.name)
def test_options_do_not_hide_a_fault(fault: Fault, matrix: ModuleType) -> None:
    missed = [each for each in matrix.small_outcomes(fault) if not each.hidden and (each.early or not each.found)]
    assert missed == []
    kinds = matrix.small_kinds(fault)
    limits = LIMITED.get(fault.name, set())
    axes = [limits & set(axis) or set(axis) for axis in matrix.AXES]
    assert kinds == set(product(*axes))


def test_nothing_is_found_in_small_conversations_without_a_fault(matrix: ModuleType) -> None:
    for name in matrix.bases():
        found = [each for each in matrix.judged(matrix.sound(name)).findings if each.severity > Severity.NOTE]
        assert found == [], name


def test_each_rule_has_a_fault_or_a_reason_why_not() -> None:
    broken, text = {fault.code for fault in faults()}, PAGE.read_text("utf-8")
    # Several rules may share a code; one of them has the reason.
    reasons: dict[str, str] = {}
    for rule in collect():
        reasons[rule.code] = reasons.get(rule.code, "") or rule.no_fault
    for code, reason in reasons.items():
        assert (code in broken) == (not reason), f"{code}: declare no_fault, or a fault that breaks it"
        assert code in broken or f"\n- {code}: {reason}\n" in text


def test_the_page_has_exactly_the_faults(matrix: ModuleType) -> None:
    text = PAGE.read_text("utf-8")
    assert re.findall(r"^### (\S+)$", text, re.MULTILINE) == [fault.name for fault in faults()]
    assert text.startswith(matrix.HEAD.format(seed=matrix.SEED))


@pytest.mark.parametrize("fault", faults(), ids=lambda fault: fault.name)
def test_the_same_fault_gives_the_same_bytes(fault: Fault, matrix: ModuleType) -> None:
    name, trace = next(matrix.faulty(fault))
    packet, before = trace.injected[0].packet, matrix.sound(name)
    again = inject(before, [f"{fault.name}@{packet - (len(trace) - len(before))}"])
    assert list(again.frames()) == list(trace.frames())
    assert again.injected[0].packet == packet
    assert again.injected[0].changed


def test_several_faults_keep_their_places(matrix: ModuleType) -> None:
    trace = Scenario.load("document").play()
    faulty = inject(trace, ["wrong-tcp-checksum@9", "resent-octets-differ@4"])
    places = [("wrong-tcp-checksum", 10), ("resent-octets-differ", 5)]
    assert [(each.fault, each.packet) for each in faulty.injected] == places
    one_by_one = inject(inject(trace, ["wrong-tcp-checksum@9"]), ["resent-octets-differ@4"])
    assert one_by_one == faulty
    assert {("CK02", 10), ("RTX02", 5)} <= {(each.code, each.packet) for each in matrix.judged(faulty).findings}


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (
            "ack-of-unsent",
            "unknown fault 'ack-of-unsent'; 'labkit build --fault list' lists them; did you mean 'ack-o",
        ),
        ("ack-of-unsent-data@99", "no such packet; the trace has 10"),
        ("ack-of-unsent-data@0", "no such packet"),
        ("ack-of-unsent-data@", "no such packet"),
        ("ack-of-unsent-data@" + "9" * 5000, "no such packet"),
        ("ack-of-unsent-data@x", "no such packet"),
        ("syn-with-fin@4", "syn-with-fin does not apply to packet 4; the first that it applies to is 1"),
        ("goes-on-after-reset", "goes-on-after-reset does not apply to any packet of this scenario"),
    ],
)
def test_an_impossible_fault_is_an_error_of_one_line(wanted: str, message: str) -> None:
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
