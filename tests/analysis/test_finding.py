"""The text and the relative numbers of findings."""

import pytest

from labkit.analysis.catalogue import collect
from labkit.analysis.finding import OWNERS, Evidence, Finding, finding
from labkit.analysis.rule import NUMBER, Rule, Scope
from labkit.analysis.severity import RFC9293, Severity
from labkit.analysis.verifier import Verifier
from labkit.tcp.notation import parse
from labkit.teach.examples import frames

ISNS = (1000, 70_000)
ISN_RULES = {"port-reused-too-low", "initial-number-can-be-foretold"}
"""Rules that judge a new ISN; nothing comes before it, so its relative number is the raw one."""


def found_by(rule: Rule, isns: tuple[int, int]) -> list[Finding]:
    """What the rule finds in its bad example, with these initial sequence numbers."""
    profile = RFC9293 if RFC9293 in rule.profiles else "document"
    verdict = Verifier(profile, literal=rule.profiles == {"literal"}).run(frames(list(parse(rule.bad)), isns=isns))
    return [each for each in verdict.findings if each.name == rule.name]


@pytest.mark.parametrize(
    "rule",
    [each for each in collect() if each.name not in ISN_RULES and each.scope != Scope.LEDGER],
    ids=lambda rule: rule.name,
)
def test_relative_numbers_do_not_depend_on_the_isns(rule: Rule) -> None:
    at_zero, shifted = found_by(rule, (0, 0)), found_by(rule, ISNS)
    assert at_zero
    numbers = [(each.packet, each.expected_relative, each.actual_relative) for each in at_zero]
    assert [(each.packet, each.expected_relative, each.actual_relative) for each in shifted] == numbers
    for each in shifted:
        assert (each.expected_relative is None) == (each.expected is None or each.field not in {"seq", "ack"})


RULE = next(rule for rule in collect() if rule.name == "ack-goes-back")
EVIDENCE = Evidence(6, 0, 0, "a:1", "b:2", "ack", 70_001, 70_051, {"seg.ack": 70_051}.__getitem__, ISNS)


def test_expected_and_actual_are_shown_relative_and_raw() -> None:
    rule = RULE._replace(message="ack {actual}", should_be="ack {expected}", mend="Set ack to {expected}.")
    text = finding(rule, 1, RFC9293, EVIDENCE)
    assert text.message == "ack 51 (raw 70051)"
    assert text.should_be == "ack 1 (raw 70001)"
    assert text.mend == f"Set ack to 1 (raw 70001). In Scapy: packets[{(EVIDENCE.packet or 0) - 1}][TCP].ack = 70001"


def test_a_legal_form_of_a_fault_has_a_message_only() -> None:
    text = finding(RULE, Severity.NOTE, RFC9293, EVIDENCE._replace(value=lambda _name: 70_051))
    assert text.severity == Severity.NOTE
    assert text.message
    assert (text.should_be, text.receiver, text.mend) == ("", "", "")


def test_only_seq_and_ack_have_an_owner() -> None:
    assert {name for name, _ in OWNERS} == {"seq", "ack"}
    assert [match[1] for match in NUMBER.finditer("{seg.ack} {me.nxt:#x} {expected} {other}")] == [
        "seg.ack",
        "me.nxt",
        "expected",
    ]
