"""The verifier finds a wrong number at its packet, accepts correct traffic, and survives hostile input."""

import gc
import os
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit import verify
from labkit.analysis.catalogue import collect
from labkit.analysis.finding import Finding
from labkit.analysis.findings import Group, tally
from labkit.analysis.flows import Flow
from labkit.analysis.rule import Rule
from labkit.analysis.severity import DOCUMENT, RFC9293, Severity
from labkit.analysis.verdict import Bounds, Verdict
from labkit.analysis.verifier import Verifier
from labkit.build.scenario import Scenario
from labkit.capture import Frame, open_capture
from labkit.capture import create as create_capture
from labkit.errors import CaptureError, UsageError
from labkit.packet.linktype import ETHERNET
from labkit.tcp.notation import parse
from labkit.teach.examples import frames

TOP = Path(__file__).parents[2]

HANDSHAKE = """
    > S  0:0(0)
    < S. 0:0(0) ack 1
    > .  1:1(0) ack 1
"""


def judge(text: str, profile: str = RFC9293, *, literal: bool = False) -> Verdict:
    return Verifier(profile, literal=literal).run(frames(list(parse(text))))


def grave(verdict: Verdict) -> list[Finding]:
    return [finding for finding in verdict.findings if finding.severity > Severity.NOTE]


def codes(verdict: Verdict) -> list[tuple[str, int | None]]:
    return [(finding.code, finding.packet) for finding in grave(verdict)]


# One number of a scenario changed, as a student would in Scapy.


def changed(name: str, number: int, **fields: int) -> Iterator[Frame]:
    """A scenario's frames, one packet's fields moved by so much in Scapy, its checksum made right again."""
    from scapy.layers.inet import TCP

    trace = Scenario.load(name).play()
    for count, packet in enumerate(trace.packets(), 1):
        time = int(packet.time * 10**9)
        if count == number:
            for field, by in fields.items():
                setattr(packet[TCP], field, (getattr(packet[TCP], field) + by) % 2**32)
        octets = bytes(packet)
        yield Frame(count, time, ETHERNET, octets, len(octets))


def right_number(name: str, number: int, field: str) -> int:
    value: int = getattr(Scenario.load(name).play().records[number - 1].segment, field)
    return value


CODES = {
    2: {"HS02"},
    3: {"HS03"},
    8: {"ACK01", "ACK02", "FIN02"},
    10: {"ACK01", "ACK02", "FIN02"},
}
"""The rules that may find a wrong ack in the document's packets; others for the other packets."""
OTHERS = {"ACK01", "ACK02", "ACK03", "ACK06"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["document", "document-ipv6", "seq-wraparound"])
@pytest.mark.parametrize("profile", [RFC9293, DOCUMENT])
@pytest.mark.parametrize("by", [1, -1, 10, 1000])
@pytest.mark.parametrize("number", range(2, 11))
def test_one_wrong_ack_is_found_at_its_packet(name: str, profile: str, by: int, number: int) -> None:
    verdict = Verifier(profile).run(changed(name, number, ack=by))
    want = right_number(name, number, "ack")
    found = [finding for finding in grave(verdict) if finding.packet is not None]
    assert [finding.packet for finding in found] == [number]
    (finding,) = found
    if name != "seq-wraparound":
        assert finding.code in CODES.get(number, OTHERS)
    assert finding.field == "ack"
    assert finding.expected == want
    assert finding.actual == (want + by) % 2**32


WRONG_SEQ = [
    # (packet, by, the rule that finds it)
    (3, 1, "HS03"),
    (3, -1, "HS03"),
    (3, 1000, "HS03"),
    (4, 1, "SEQ02"),
    (4, 10, "SEQ01"),
    (4, 1000, "SEQ01"),
    (4, -1, "SEQ02"),
    (5, 10, "SEQ01"),
    (5, 1000, "SEQ01"),
    (6, 10, "SEQ01"),
    (6, -1, "SEQ01"),
    (7, 1, "FIN01"),
    (7, 10, "FIN01"),
    (7, -1, "FIN01"),
    (9, 1, "FIN01"),
    (9, -10, "FIN01"),
    (10, 1, "SEQ01"),
    (10, -1, "SEQ02"),
    (10, 1000, "SEQ01"),
]


@pytest.mark.parametrize(("number", "by", "code"), WRONG_SEQ)
def test_one_wrong_seq_is_found_at_its_packet(number: int, by: int, code: str) -> None:
    verdict = Verifier().run(changed("document", number, seq=by))
    found = [finding for finding in grave(verdict) if finding.packet == number]
    assert [finding.code for finding in found] == [code]
    assert found[0].field == "seq"
    assert found[0].expected == right_number("document", number, "seq")
    # What follows from it may be found too, but nothing before it.
    assert all(finding.packet is None or finding.packet >= number for finding in grave(verdict))


def test_message_has_relative_and_raw_numbers() -> None:
    lines = list(parse(HANDSHAKE + "> P. 1:100(99) ack 1\n< . 1:1(0) ack 101\n> P. 100:110(10) ack 1"))
    verdict = Verifier().run(frames(lines, isns=(4_000_000_000, 17)))
    (finding,) = grave(verdict)
    assert finding.code == "ACK01"
    assert "101 (raw 4000000101)" in finding.message
    assert "100 (raw 4000000100)" in finding.should_be
    assert (finding.expected, finding.actual) == (4_000_000_100, 4_000_000_101)
    assert (finding.expected_relative, finding.actual_relative) == (100, 101)


# The document's profile.


def test_literal_rules_pass_the_document_and_fail_a_server_that_sends_first() -> None:
    own = Verifier(DOCUMENT, literal=True).run(_frames("document"))
    assert grave(own) == []
    other = Verifier(DOCUMENT, literal=True).run(_frames("server-speaks-first"))
    assert ("ACK03", 4) in codes(other)
    assert grave(Verifier(DOCUMENT).run(_frames("server-speaks-first"))) == []


def _frames(name: str) -> Iterator[Frame]:
    return changed(name, 0)


def test_literal_belongs_to_the_document() -> None:
    with pytest.raises(UsageError, match="document"):
        Verifier(RFC9293, literal=True)
    with pytest.raises(UsageError, match="there is no profile 'rfc793'"):
        Verifier("rfc793")


# What only looks like a fault.

LOOKS_WRONG = {
    "loss before the capture": HANDSHAKE
    + """
        > P. 101:201(100) ack 1
        > P. 201:301(100) ack 1
        < .  1:1(0) ack 1
        +0.3 > P. 1:101(100) ack 1
        < .  1:1(0) ack 301
    """,
    "a gap filled from both sides and the middle": HANDSHAKE
    + """
        > P. 601:701(100) ack 1
        > P. 201:301(100) ack 1
        > P. 401:501(100) ack 1
        > P. 1:201(200) ack 1
        > P. 501:601(100) ack 1
        > P. 301:401(100) ack 1
        < .  1:1(0) ack 701
        > P. 701:711(10) ack 1
    """,
    "a resend cut differently": HANDSHAKE
    + """
        > P. 1:101(100) ack 1
        > P. 101:201(100) ack 1
        +0.3 > P. 1:151(150) ack 1
        +0.3 > P. 151:201(50) ack 1
        < .  1:1(0) ack 201
    """,
    "a keep-alive with an octet of garbage": HANDSHAKE
    + """
        > P. 1:101(100) ack 1
        < .  1:1(0) ack 101
        +60 > . 100:101(1) ack 1 {fill=?}
        < .  1:1(0) ack 101
    """,
    "a delayed ACK of two segments": HANDSHAKE
    + """
        > P. 1:101(100) ack 1
        > P. 101:201(100) ack 1
        +0.04 < . 1:1(0) ack 201
    """,
    "an answer captured before its cause": HANDSHAKE
    + """
        < .  1:1(0) ack 101
        +0.0005 > P. 1:101(100) ack 1
        > P. 101:111(10) ack 1
        < .  1:1(0) ack 111
    """,
    "FIN seen before the last data": HANDSHAKE
    + """
        > F. 101:101(0) ack 1
        +0.0005 > P. 1:101(100) ack 1
        < F. 1:1(0) ack 102
        > .  102:102(0) ack 2
    """,
    "one direction only": """
        > S  0:0(0)
        > .  1:1(0) ack 1
        > P. 1:101(100) ack 1
        > P. 101:201(100) ack 500
        > F. 201:201(0) ack 9000
        > .  202:202(0) ack 9001
    """,
    "the middle of a conversation": """
        > P. 5000:5100(100) ack 900
        < .  900:900(0) ack 5100 win 5
        > P. 5100:5200(100) ack 900
        < P. 900:950(50) ack 5200 win 5
    """,
    "a four-tuple used again": HANDSHAKE
    + """
        > F. 1:1(0) ack 1
        < F. 1:1(0) ack 2
        > .  2:2(0) ack 2
        +70 > S 700000:700000(0)
        < S. 900:900(0) ack 700001
        > .  700001:700001(0) ack 901
        > R. 700001:700001(0) ack 901
    """,
    "a half-open connection is found out": HANDSHAKE
    + """
        +9 > S 5000:5000(0)
        < .  1:1(0) ack 1
        > R  1:1(0)
        +1 > S 5000:5000(0)
        < S. 800:800(0) ack 5001
        > .  5001:5001(0) ack 801
    """,
    "a probe of a closed window": """
        > S  0:0(0)
        < S. 0:0(0) ack 1 win 100
        > .  1:1(0) ack 1
        > P. 1:101(100) ack 1
        < .  1:1(0) ack 101 win 0
        +1 > . 101:102(1) ack 1
        < .  1:1(0) ack 101 win 0
        +1 > . 100:100(0) ack 1
        < .  1:1(0) ack 101 win 500
    """,
    "a simultaneous close": HANDSHAKE
    + """
        > F. 1:1(0) ack 1
        < F. 1:1(0) ack 1
        > .  2:2(0) ack 2
        < .  2:2(0) ack 2
    """,
    "an ACK that the network delivers twice after a FIN": HANDSHAKE
    + """
        > P. 1:101(100) ack 1
        < .  1:1(0) ack 101
        > F. 101:101(0) ack 1
        < .  1:1(0) ack 102
        < F. 1:1(0) ack 102
        > .  102:102(0) ack 2
    """,
}


@pytest.mark.parametrize("text", LOOKS_WRONG.values(), ids=LOOKS_WRONG.keys())
@pytest.mark.parametrize("isns", [(0, 0), (2**32 - 101, 2**32 - 1), (2**32 - 1, 2**32 - 50)])
def test_correct_traffic_is_not_accused(text: str, isns: tuple[int, int]) -> None:
    verdict = Verifier().run(frames(list(parse(text)), isns=isns))
    assert [(finding.code, finding.packet, finding.message) for finding in grave(verdict)] == []


def test_data_in_flight_may_exceed_a_window_that_shrinks() -> None:
    """The receiver may be blamed, a little; the sender may not."""
    text = """
        > P. 1:101(100) ack 1
        < .  1:1(0) ack 101 win 65435
        > P. 101:601(500) ack 1
        < .  1:1(0) ack 101 win 100
        < .  1:1(0) ack 601 win 100
    """
    assert codes(judge(HANDSHAKE + text)) == [("WIN02", 7)]


def test_an_acknowledged_gap_means_that_the_capture_lacks_packets() -> None:
    verdict = judge(HANDSHAKE + "> P. 501:601(100) ack 1\n< . 1:1(0) ack 601")
    assert [(each.code, each.packet, each.severity) for each in grave(verdict)] == [("SEQ01", 4, Severity.WARNING)]


def test_conversations_do_not_mix() -> None:
    """The same conversation twice, between other ports, interleaved: each is judged by itself."""
    one = list(frames(list(parse(HANDSHAKE + "> P. 1:100(99) ack 1\n< . 1:1(0) ack 101\n> . 100:100(0) ack 1"))))
    swap = bytes.fromhex("9c400050"), bytes.fromhex("9c410050")
    mixed = []
    for frame in one:
        other = frame.data.replace(*swap).replace(swap[0][2:] + swap[0][:2], swap[1][2:] + swap[1][:2])
        mixed += [frame, frame._replace(data=other)]
    mixed = [frame._replace(number=number) for number, frame in enumerate(mixed, 1)]
    verdict = Verifier().run(mixed)
    assert verdict.flows == 2
    wrong = [(each.code, each.packet, each.flow) for each in grave(verdict) if each.code not in {"CK02", "ISN01"}]
    assert wrong == [("ACK01", 9, 0), ("ACK01", 10, 1)]


# Hostile and broken input.


def written(text: str) -> bytes:
    stream = BytesIO()
    with create_capture(stream, link=ETHERNET, format="pcap") as capture:
        for frame in frames(list(parse(text))):
            capture.write(frame.time, frame.data, wirelen=frame.wirelen)
    return stream.getvalue()


GOOD = written(HANDSHAKE + "> P. 1:100(99) ack 1\n< P. 1:120(119) ack 100\n> F. 100:100(0) ack 120")


@given(cut=st.integers(24, len(GOOD) - 1))
def test_a_capture_cut_short_is_judged_up_to_the_cut(cut: int) -> None:
    verdict = verify(BytesIO(GOOD[:cut]))
    whole = verify(BytesIO(GOOD))
    assert verdict.packets <= whole.packets
    assert (verdict.damage is None) == (verify_ends(cut))
    assert grave(verdict) == []


def verify_ends(cut: int) -> bool:
    """Whether a cut falls between two records."""
    at = 24
    while at < cut:
        at += 16 + int.from_bytes(GOOD[at + 8 : at + 12], "little")
    return at == cut


@settings(max_examples=200)
@given(edits=st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_mutated_captures_give_a_verdict_or_one_line(edits: list[tuple[int, int]]) -> None:
    octets = bytearray(GOOD)
    for at, value in edits:
        octets[at] = value
    try:
        verdict = verify(BytesIO(octets))
    except CaptureError as error:
        assert "\n" not in str(error)
    else:
        assert all(finding.message and "\n" not in finding.message for finding in verdict.findings)


@settings(max_examples=100)
@given(
    segments=st.lists(
        st.tuples(
            st.sampled_from("><"),
            st.sets(st.sampled_from("SFRPUEW.")),
            st.integers(0, 40) | st.sampled_from([2**32 - 1, 2**31]),
            st.integers(0, 3),
            st.integers(0, 40),
        ),
        max_size=40,
    )
)
def test_any_segments_give_a_verdict(segments: Iterable[tuple[str, set[str], int, int, int]]) -> None:
    """Whatever is sent, in both profiles: a verdict, and the same one twice."""
    lines = [
        f"{direction} {''.join(bits) or '-'} {seq}:{(seq + octets) % 2**32}({octets}) ack {ack}"
        for direction, bits, seq, octets, ack in segments
    ]
    for profile in (RFC9293, DOCUMENT):
        first, second = (judge("\n".join(lines), profile) for _ in range(2))
        assert first.findings == second.findings


# Captures that nobody here made.

CAPTURES = os.environ.get("LABKIT_CAPTURES")
KERNEL = sorted((Path(CAPTURES) / "kernel").glob("*.pcap*")) if CAPTURES else []


@pytest.mark.skipif(not KERNEL, reason="LABKIT_CAPTURES names no folder with kernel captures")
@pytest.mark.parametrize("profile", [RFC9293, DOCUMENT])
def test_a_kernel_is_never_accused(profile: str) -> None:
    """A real kernel's captures: loss, reordering, offload, reuse; only the one that is spoiled on purpose fails."""
    failed = {path.name: codes(verdict) for path in KERNEL if not (verdict := verify(path, profile=profile)).ok}
    assert failed == {"uk_kernel_rst_spoils_handshake.on.pcap": [("RST04", 6)]}


def test_every_rule_has_a_profile_that_asks_it() -> None:
    asked = {
        code
        for profile in (RFC9293, DOCUMENT)
        for rule in collect()
        if profile in rule.profiles
        for code in [rule.code]
    }
    assert asked == {rule.code for rule in collect()}


class TestFindingsAsTheyCome:
    """`on_finding` gets the findings of the verdict while frames still come."""

    @staticmethod
    def agree(source: Iterable[Frame], profile: str) -> None:
        told: list[Finding] = []
        verdict = Verifier(profile).run(source, None, told.append)
        assert [found for found in verdict.findings if found not in told] == []
        assert len({(found.flow, found.packet, found.code, found.name) for found in told}) == len(told)
        at_last = {(found.flow, found.packet, found.code): found for found in verdict.findings}
        unless = {(rule.code, rule.name): rule.unless for rule in collect()}
        later = {(rule.code, rule.name) for rule in collect() if rule.revises}
        summed = {(rule.code, rule.name) for rule in collect() if rule.sums_up}
        sums = {(found.code, found.source) for found in verdict.findings if (found.code, found.name) in summed}
        for found in told:
            better = ((found.flow, found.packet, code) in at_last for code in unless[found.code, found.name])
            instead = at_last.get((found.flow, found.packet, found.code), found)
            replaced = instead.name != found.name and (instead.code, instead.name) in later
            assert found in verdict.findings or any(better) or replaced or (found.code, found.source) in sums

    @pytest.mark.parametrize("profile", [RFC9293, DOCUMENT])
    @pytest.mark.parametrize("rule", collect(), ids=lambda rule: f"{rule.code}-{rule.name}")
    def test_of_examples(self, rule: Rule, profile: str) -> None:
        for text in (rule.good, rule.bad):
            self.agree(frames(list(parse(text))), profile)

    @pytest.mark.parametrize("path", sorted((TOP / "pcaps" / "real").glob("*.pcap*")), ids=lambda path: path.name)
    def test_of_real_captures(self, path: Path) -> None:
        with open_capture(path) as capture:
            self.agree(capture, RFC9293)

    def test_a_fault_is_reported_before_the_next_packet(self) -> None:
        heard: list[Finding] = []
        at = []

        def source() -> Iterator[Frame]:
            for frame in changed("document", 6, ack=1):
                at.append([found.packet for found in heard if found.code == "ACK01"])
                yield frame

        Verifier().run(source(), None, heard.append)
        # Whether the server has sent more is known with its next segment, packet 8.
        assert at[:8] == [[]] * 8
        assert at[8:] == [[6]] * 2

    def test_a_fault_of_one_segment_is_reported_at_once(self) -> None:
        heard: list[Finding] = []
        counts = []

        def source() -> Iterator[Frame]:
            for frame in frames(list(parse("> SF 0:0(0)\n< R. 0:0(0) ack 2"))):
                counts.append(sum(found.code == "FL01" for found in heard))
                yield frame

        Verifier().run(source(), None, heard.append)
        assert counts == [0, 1]


def test_two_faults_of_one_packet_are_both_reported() -> None:
    text = """
        > S  0:0(0)
        < S. 0:0(0) ack 1 win 100
        > .  1:1(0) ack 1
        > P. 1:101(100) ack 1 win 0
    """
    verdict = Verifier().run(frames(list(parse(text))))
    assert [each.name for each in verdict.findings if (each.packet, each.code) == (4, "WIN03")] == [
        "zero-window",
        "window-full",
    ]


SUMS = [
    ("all 0", "{sum=0}", True),
    ("off by the same", "{sum=+513}", True),
    ("one of its own for each", None, False),
]


@pytest.mark.parametrize(("_name", "edit", "alike"), SUMS)
@pytest.mark.parametrize("isn", [0, 2**32 - 1])
def test_wrong_checksums_with_a_common_cause_are_one_warning(
    _name: str, edit: str | None, alike: bool, isn: int
) -> None:
    edits = [edit or f"{{sum={n}}}" for n in (0x1111, 0x2345, 0x7777)]
    text = f"""
        > S  0:0(0) {edits[0]}
        < S. 0:0(0) ack 1
        > .  1:1(0) ack 1 {edits[1]}
        > P. 1:100(99) ack 1 {edits[2]}
        < .  1:1(0) ack 100
    """
    found = [each for each in Verifier().run(frames(list(parse(text)), isns=(isn, 7))).findings if each.code == "CK02"]
    if alike:
        assert [(each.packet, each.severity, each.name) for each in found] == [
            (1, Severity.WARNING, "checksums-all-wrong")
        ]
    else:
        assert [(each.packet, each.severity) for each in found] == [(n, Severity.ERROR) for n in (1, 3, 4)]


def test_one_right_checksum_shows_that_the_wrong_ones_are_wrong() -> None:
    text = "> S 0:0(0) {sum=0}\n< S. 0:0(0) ack 1\n> . 1:1(0) ack 1\n> P. 1:100(99) ack 1 {sum=0}"
    found = [each for each in Verifier().run(frames(list(parse(text)))).findings if each.code == "CK02"]
    assert [(each.packet, each.severity) for each in found] == [(1, Severity.ERROR), (4, Severity.ERROR)]


def test_one_frame_captured_twice_proves_nothing_about_checksums() -> None:
    text = "> S 0:0(0) {sum=4660}\n> S 0:0(0) {sum=4660}\n< S. 0:0(0) ack 1"
    found = [each for each in Verifier().run(frames(list(parse(text)))).findings if each.code == "CK02"]
    assert [(each.packet, each.severity) for each in found] == [(1, Severity.ERROR), (2, Severity.ERROR)]


def test_findings_of_each_severity_are_bounded() -> None:
    text = "> S 0:0(0)\n< S. 0:0(0) ack 1\n> . 1:1(0) ack 1\n" + "< . 1:1(0) ack 7\n" * 5 + "> . 1:1(0) ack 1\n"
    found = list(frames(list(parse(text))))
    whole, bounded = Verifier().run(found), Verifier(bounds=Bounds(findings=2)).run(found)
    assert not whole.beyond
    assert "findings-not-kept" not in {limit.kind for limit in whole.limits}
    kept = tally(bounded.findings)
    assert max(kept.values()) == 2
    # What is only counted is not compared with what else is said of its packet.
    assert tally(bounded.findings, bounded.beyond) >= tally(whole.findings)
    assert tally(bounded.findings, bounded.beyond)[Severity.ERROR] == tally(whole.findings)[Severity.ERROR] == 5
    assert {group.severity for group in bounded.beyond if kept[group.severity] < 2} == set()
    (limit,) = [limit for limit in bounded.limits if limit.kind == "findings-not-kept"]
    assert limit.count == sum(group.count for group in bounded.beyond)


def test_findings_that_were_only_counted_fail_a_capture() -> None:
    verdict = Verdict("a.pcap", RFC9293, beyond=[Group("ACK01", "ack-of-unsent-data", Severity.ERROR, 3)])
    assert verdict.worst() == Severity.ERROR
    assert not verdict.ok


def test_a_finished_conversation_is_released() -> None:
    conversation = list(frames(list(parse(HANDSHAKE + "> R. 1:1(0) ack 1"))))
    held = []

    def found() -> Iterator[Frame]:
        for _ in range(40):
            yield from conversation
        held.append(conversations())

    def conversations() -> int:
        return sum(type(each) is Flow for each in gc.get_objects())  # a proxy is asked for nothing

    before = conversations()
    assert Verifier().run(found()).flows == 40
    assert held[0] - before <= 2
