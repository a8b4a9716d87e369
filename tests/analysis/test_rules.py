"""Every rule's examples, run: in `bad` each marked line is found and nothing else above a note is, in `good`
nothing of that rule."""

import re

import pytest

from labkit.analysis.catalogue import collect
from labkit.analysis.rule import Rule, Scope
from labkit.analysis.rule import rule as declares
from labkit.analysis.severity import BOTH, DOCUMENT, LITERAL, RFC9293, Severity
from labkit.analysis.side import Side
from labkit.analysis.verifier import Verifier
from labkit.errors import UsageError
from labkit.packet.seen import Seen
from labkit.tcp.notation import parse
from labkit.teach.examples import frames

ISNS = {
    "zero": (0, 0),
    "wraps": (2**32 - 1, 2**32 - 50),
    "ends-at-zero": (2**32 - 100, 2**32 - 1),
    "half": (2**31 - 60, 2**31 + 7),
}


def profile_of(rule: Rule) -> tuple[str, bool]:
    """The profile under which a rule's examples are run, and whether it is the literal one."""
    for profile in (RFC9293, DOCUMENT):
        if profile in rule.profiles:
            return profile, False
    return DOCUMENT, True


def found(text: str, rule: Rule, version: int, isns: tuple[int, int]) -> dict[tuple[int | None, str], Severity]:
    profile, literal = profile_of(rule)
    lines = list(parse(text, rule.code))
    verdict = Verifier(profile, literal=literal).run(frames(lines, version=version, isns=isns))
    assert verdict.segments == len(lines)
    if rule.bad == text:
        # Another form of the same code does not count for this one.
        assert any(finding.name == rule.name for finding in verdict.findings)
    return {(finding.packet, finding.code): finding.severity for finding in verdict.findings}


def marked(text: str) -> set[tuple[int | None, str]]:
    """What the comments of an example promise: a code at a line, or on a line of its own."""
    promised: set[tuple[int | None, str]] = set()
    number = 0
    for line in text.splitlines():
        segment, _, comment = line.partition("#")
        number += bool(segment.strip())
        promised |= {(number if segment.strip() else None, code) for code in re.findall(r"[A-Z]+\d\d", comment)}
    return promised


# Rules about accounts need the second look: tests/analysis/test_ledger.py has their examples.
RULES = [rule for rule in collect() if rule.scope != Scope.LEDGER]
EACH = pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.code}-{rule.name}")
# What an example shows of its conversation is often a part of one.
CONTEXT = {"CAP05", "FIN06"}


@EACH
@pytest.mark.parametrize("isns", ISNS.values(), ids=ISNS.keys())
@pytest.mark.parametrize("version", [4, 6])
def test_bad_example_is_found(rule: Rule, version: int, isns: tuple[int, int]) -> None:
    if "{ip." in rule.bad and version == 6:
        pytest.skip("IPv6 has no header checksum, and no identification")
    promised = marked(rule.bad)
    assert rule.code in {code for _, code in promised}
    got = found(rule.bad, rule, version, isns)
    assert promised <= got.keys()
    others = {place for place, severity in got.items() if severity > Severity.NOTE} - promised
    assert others <= {(None, code) for code in CONTEXT}


@EACH
@pytest.mark.parametrize("isns", ISNS.values(), ids=ISNS.keys())
@pytest.mark.parametrize("version", [4, 6])
def test_good_example_is_clean(rule: Rule, version: int, isns: tuple[int, int]) -> None:
    got = found(rule.good, rule, version, isns)
    assert rule.code not in {code for _, code in got}
    assert {place for place, severity in got.items() if severity > Severity.NOTE} <= {(None, code) for code in CONTEXT}


def texts_of(rule: Rule) -> list[str]:
    """All that a user reads of a rule."""
    return [rule.message, *rule.otherwise.values(), rule.should_be, rule.receiver, rule.mend, rule.explanation]


@pytest.mark.parametrize("rule", collect(), ids=lambda rule: f"{rule.code}-{rule.name}")
def test_declaration_is_whole(rule: Rule) -> None:
    assert re.fullmatch(r"[A-Z]+\d\d", rule.code)
    assert rule.explanation.endswith(".")
    assert rule.message
    assert not rule.message.endswith(".")
    assert rule.profiles
    assert rule.profiles <= BOTH
    assert rule.severity in Severity
    # An error or a warning answers all four questions, and names the section that it comes from.
    if max(rule.severity, rule.document or Severity.NOTE) > Severity.NOTE:
        assert rule.should_be
        assert rule.receiver
        assert rule.mend
        assert rule.reference
    assert not rule.should_be.endswith(".")
    assert all(text.endswith(".") and text[0].isupper() for text in (rule.receiver, rule.mend) if text)
    assert not [text for text in texts_of(rule) if "octet" in text], "users read of bytes"
    assert rule.wireshark is None or rule.wireshark.startswith(("tcp.", "ip."))


def test_rules_with_one_code_belong_to_one_family() -> None:
    """Several functions may find the same fault in different places; a profile is not a reason for another code."""
    by_code: dict[str, set[str]] = {}
    for rule in RULES:
        by_code.setdefault(rule.code, set()).add(rule.family)
    assert all(len(families) == 1 for families in by_code.values())


def test_literal_rules_stand_alone() -> None:
    assert [rule.code for rule in collect() if rule.profiles == {LITERAL}] == ["ACK03", "SEQ03"]


def declare(message: str, **named: object) -> object:
    def too_much(seg: Seen, me: Side, peer: Side) -> int:
        """Never found."""
        return 0

    return declares("EX01", Severity.NOTE, "", message, good="", bad="", **named)(too_much)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("message", "named", "reason"),
    [
        (
            "{seg.seq} {seg.ack} {seg.win} {seg.urg} {seg.len}",
            {},
            "its text shows 5 numbers (seg.seq, seg.ack, seg.win, seg.urg, seg.len); at most 4 are possible",
        ),
        (
            "{seg.seq}",
            {"otherwise": {Severity.NOTE: "{me.nxt} {me.top} {me.win} {me.fin}"}},
            "its text shows 5 numbers",
        ),
        ("{peer.window}", {}, "rule EX01 (too-much): 'peer.window' does not exist"),
        ("", {"mend": "Set ack to {expected}."}, "rule EX01 (too-much): 'expected' does not exist"),
        ("{resolved.seq}", {}, "rule EX01 (too-much): 'resolved.seq' does not exist"),
        ("", {"at": "me.sin"}, "rule EX01 (too-much): 'me.sin_packet' does not exist"),
        ("", {"expected": "seg.ak"}, "rule EX01 (too-much): 'seg.ak' does not exist"),
        ("", {"limit": "cut"}, "rule EX01 (too-much): there is no limit 'cut'; name one of mid-stream, one-sided, "),
    ],
)
def test_a_declaration_that_no_engine_can_follow_is_refused(
    message: str, named: dict[str, object], reason: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(reason)):
        declare(message, **named)


def test_a_text_may_show_four_numbers() -> None:
    declare("{seg.seq:,} {seg.ack} {seg.win} {seg.urg} {seg.seq}", expected="me.nxt", actual="peer.top")
