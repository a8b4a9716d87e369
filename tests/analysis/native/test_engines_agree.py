"""Both engines give the same verdict on every capture: findings, limits, conversations and counts."""

import os
import pickle
from collections import Counter
from io import BytesIO
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import product
from pathlib import Path

import pytest
from engines import PROFILES, agree, agree_about_rows, compiled
from frames import CLIENT6, SERVER6, ether, ip4, ip6, n16, tcp
from situations import PACES, at_pace, situations
from tricks import TRICKS
from unread_cases import CASES

from labkit.analysis.catalogue import collect
from labkit.analysis.findings import groups
from labkit.analysis.flow_filter import FlowFilter
from labkit.analysis.native.context import SPARE_ROWS
from labkit.analysis.native.found import Findings
from labkit.analysis.native.native_verifier import NativeVerifier
from labkit.analysis.native.packed import Library
from labkit.analysis.native.reader import Batch, Feed
from labkit.analysis.payload import KEPT_OCTETS, MAX_OCTETS, MAX_PIECES
from labkit.analysis.report_config import ReportConfig
from labkit.analysis.severity import RFC9293, Severity
from labkit.analysis.verdict import Bounds
from labkit.analysis.verifier import Verifier
from labkit.build.faults import faults, inject
from labkit.build.scenario import Scenario
from labkit.capture import Frame, open_capture
from labkit.errors import CaptureError, LabkitError
from labkit.tcp.notation import parse
from labkit.tcp.segment import RST, SYN
from labkit.teach.examples import frames

PCAPS = Path(__file__).parents[3] / "pcaps"
FOLDER = os.environ.get("LABKIT_CAPTURES")
LARGEST = 60_000
"""Larger captures are left out: they show little else."""
FILES = [
    each
    for folder in filter(None, (PCAPS, FOLDER))
    for each in sorted(Path(folder).rglob("*.pcap*"))
    if each.is_file() and each.stat().st_size < LARGEST
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_captures(path: Path, code: Library) -> None:
    try:
        with open_capture(path) as capture:
            found = list(capture)
    except CaptureError as why:
        pytest.skip(str(why))
    # A profile only chooses among the rules; the captures of the project are enough for the others.
    for profile in PROFILES if path.parent == PCAPS else (RFC9293,):
        agree(found, code, profile)
    agree_about_rows(found, code)


@pytest.mark.parametrize("isns", [(0, 0), (2**32 - 1, 2**32 - 50)])
def test_examples_of_rules(isns: tuple[int, int], code: Library) -> None:
    for rule in collect():
        for text in (rule.good, rule.bad):
            for profile in PROFILES if isns[0] == 0 else (RFC9293,):
                agree(list(frames(list(parse(text)), isns=isns)), code, profile)


@pytest.mark.parametrize("version", [4, 6])
def test_situations(version: int, code: Library) -> None:
    for text, pace in product(situations().values(), PACES):
        agree(
            list(frames(list(parse(at_pace(text, pace))), version=version, isns=(2**32 - 1, 2**32 - 50))), code, RFC9293
        )


def networks(*names: str) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(name) for name in names)


@pytest.mark.parametrize(
    ("wanted", "reported"),
    [
        (FlowFilter(), 6),
        (FlowFilter(flows=(0,)), 1),
        (FlowFilter(flows=(5, 1, 99)), 2),
        (FlowFilter(flows=(2**64, -(2**64))), 0),
        (FlowFilter(hosts=networks("192.0.2.10/32")), 3),
        (FlowFilter(hosts=networks("2001:db8::20/128")), 3),
        (FlowFilter(hosts=networks("2001:db8::/48", "192.0.2.16/29")), 6),
        (FlowFilter(hosts=networks("2001:db8::11/128", "2001:db8::21/128", "2001:db8:0:1::10/128")), 0),
        (FlowFilter(hosts=networks("::/0")), 3),
        (FlowFilter(hosts=networks("0.0.0.0/0")), 3),
        (FlowFilter(hosts=networks("192.0.2.0/29")), 0),
        (FlowFilter(ports=(40001,)), 2),
        (FlowFilter(ports=(80, 40001)), 6),
        (FlowFilter(ports=(1,)), 0),
        (FlowFilter(flows=(0, 1, 2, 3), hosts=networks("2001:db8::/64"), ports=(40000, 40001)), 2),
    ],
    ids=str,
)
def test_filters(wanted: FlowFilter, reported: int, code: Library) -> None:
    found = []
    for port, number in product(range(3), range(3)):
        one = ether(ip4(tcp(b"octets", seq=1000 + 60 * number)))
        other = ether(ip6(tcp(b"octets", seq=1000 + 60 * number, addresses=CLIENT6 + SERVER6)), 0x86DD)
        # The sum is wrong by as much: a finding in each of them.
        found += [one[:35] + bytes([port + 64]) + one[36:], other[:55] + bytes([port + 64]) + other[56:]]
    whole = [Frame(number, number, 1, octets, len(octets)) for number, octets in enumerate(found, 1)]
    agree(whole, code, RFC9293, wanted=wanted)
    agree_about_rows(whole, code, wanted)
    verdict = compiled(whole, code, RFC9293, Bounds(), wanted)
    assert (verdict.flows, verdict.reported, len(verdict.conversations)) == (6, reported, reported)
    assert len({finding.flow for finding in verdict.findings}) == reported


@pytest.mark.parametrize(
    "bounds",
    [Bounds(), Bounds(open=300, over=280, findings=500, every=1), Bounds(over=9, every=64)],
    ids=["as-usual", "small", "rounds"],
)
def test_many_conversations(bounds: Bounds, code: Library) -> None:
    """Hundreds of conversations are open at a time, then over, then continued."""
    found = []
    for ctl, ports in product((0x02, 0x04, 0x10), range(700)):
        octets = ip4(tcp(ctl=ctl))
        found.append(ether(octets[:20] + (1024 + ports).to_bytes(2) + octets[22:]))
    whole = [Frame(number, number * 1000, 1, octets, len(octets)) for number, octets in enumerate(found, 1)]
    agree(whole, code, RFC9293, bounds)


def moved(frame: bytes, host: int, port: int = 0) -> bytes:
    """The frame from another host and another port, with the same checksums."""
    words = [int.from_bytes(frame[at : at + 2]) for at in (26, 28, 34, 36)]
    changed = [word + change for word, change in zip(words, (-host, host, port, -port), strict=True)]
    source, ports = (b"".join(map(n16, pair)) for pair in (changed[:2], changed[2:]))
    return frame[:26] + source + frame[30:34] + ports + frame[38:]


def elsewhere(frame: Frame, host: int) -> Frame:
    """A frame of IPv4 with both ends on other hosts, with the same checksums."""
    words = [int.from_bytes(frame.data[at : at + 2]) for at in range(26, 34, 2)]
    ends = b"".join(n16(word + change) for word, change in zip(words, 2 * (-host, host), strict=True))
    return frame._replace(data=frame.data[:26] + ends + frame.data[34:])


def numbered(found: list[bytes]) -> list[Frame]:
    return [Frame(number, number * 1000, 1, octets, len(octets)) for number, octets in enumerate(found, 1)]


def codes(whole: list[Frame], code: Library, bounds: Bounds) -> Counter[str]:
    """The number of findings of each rule. Both engines must agree."""
    agree(whole, code, RFC9293, bounds)
    return Counter(each.code for each in compiled(whole, code, RFC9293, bounds).findings)


@pytest.mark.parametrize(("said", "times"), [(1, 90), (29, 90), (30, 30), (100, 30)])
def test_findings_that_are_reported_once_per_host(said: int, times: int, code: Library) -> None:
    """Each host breaks a rule three times. With too many hosts to remember, the rule reports each time."""
    syn = ether(ip4(tcp(ctl=SYN)))
    whole = numbered([moved(syn, host, port) for port, host in product(range(4), range(30))])
    assert codes(whole, code, Bounds(once=said))["ISN01"] == times


def test_a_host_is_remembered_right_after_all_were_forgotten(code: Library) -> None:
    """The key that makes the engine forget all others is itself remembered."""
    syn = ether(ip4(tcp(ctl=SYN)))
    found = [moved(syn, host, port) for host in range(200) for port in range(4)]
    assert codes(numbered(found), code, Bounds(once=8))["ISN01"] == 200


def test_more_hosts_than_are_remembered(code: Library) -> None:
    """The first hosts and their initial sequence numbers are forgotten."""
    syn = ether(ip4(tcp(ctl=SYN)))
    found = [moved(syn, host) for host in range(120)] + [moved(syn, host, 1) for host in reversed(range(50))]
    assert codes(numbered(found), code, Bounds(hosts=100))["ISN01"] == 30


@pytest.mark.parametrize(("hosts", "flows"), [((0, 1, 2, 0), 4), ((0, 1, 0, 2, 0), 3), ((0, 1, 0, 2, 1), 4)])
def test_conversations_that_are_over_and_remembered(hosts: tuple[int, ...], flows: int, code: Library) -> None:
    """The one that was silent for longest gives way: its later segments begin another conversation."""
    reset = ether(ip4(tcp(ctl=RST)))
    whole, bounds = numbered([moved(reset, host) for host in hosts]), Bounds(over=2, every=1)
    agree(whole, code, RFC9293, bounds)
    assert compiled(whole, code, RFC9293, bounds).flows == flows


def test_payload_of_a_forgotten_conversation(code: Library) -> None:
    """A conversation in a reused row is not compared with the payload of the one before."""
    one, other = (ether(ip4(tcp(fill * 99))) for fill in (b"a", b"b"))
    reset = ether(ip4(tcp(ctl=RST, seq=1099)))
    whole = numbered([one, reset, moved(other, 1), moved(other, 1), moved(one, 1)])
    assert codes(whole, code, Bounds(over=0, every=1))["RTX02"] == 1


@pytest.mark.parametrize("together", [2, 60])
def test_conversations_that_take_turns(together: int, code: Library) -> None:
    """What is known of the sides of one is not taken for what is known of another's, also where rows are used again."""
    texts = list(situations().values()) + [text for rule in collect() for text in (rule.good, rule.bad)]
    for start in range(0, len(texts), together):
        found = [
            elsewhere(frame, host)
            for host, text in enumerate(texts[start : start + together])
            for frame in frames(list(parse(text)))
        ]
        found.sort(key=lambda frame: frame.time)
        whole = [frame._replace(number=number) for number, frame in enumerate(found, 1)]
        agree(whole, code, RFC9293)
        agree(whole, code, RFC9293, Bounds(open=together // 2, over=1, every=9))


def test_cold_rows_are_used_again(code: Library) -> None:
    """A hundred gaps, each filled before the next one."""
    found = [ether(ip4(tcp(b"a" * 9, seq=1000 + 9 * (number ^ 1)))) for number in range(200)]
    whole, batch = numbered(found), Batch()
    agree(whole, code, RFC9293)
    verifier, feed = NativeVerifier(RFC9293, code), Feed(whole, code)
    while feed.fill(batch):
        verifier.take(batch)
    assert verifier.context.cold_used == SPARE_ROWS + 2
    assert (
        Counter(
            each.code for each in verifier.verdict(batch.row.packets, batch.row.start, RFC9293, feed.unread).findings
        )["RTX03"]
        >= 99
    )


@pytest.mark.parametrize(
    ("size", "pieces", "conflicts"),
    [(10, MAX_PIECES - 1, 1), (10, MAX_PIECES, 0), (1000, MAX_OCTETS // 1000 - 1, 1), (1000, MAX_OCTETS // 1000, 0)],
)
def test_more_payload_of_one_sender_than_is_kept(size: int, pieces: int, conflicts: int, code: Library) -> None:
    sent = [ether(ip4(tcp(b"a" * size, seq=1000 + number * size))) for number in range(pieces + 1)]
    assert codes(numbered([*sent, ether(ip4(tcp(b"b" * size)))]), code, Bounds())["RTX02"] == conflicts


@pytest.mark.parametrize(("between", "conflicts"), [(260, 2), (261, 1)])
def test_more_payload_of_all_senders_than_is_kept(between: int, conflicts: int, code: Library) -> None:
    """Retransmitted payload is compared until all sides have sent too much since."""
    assert 260 * 64_000 + 99 < KEPT_OCTETS < 261 * 64_000
    zeros, other = ether(ip4(tcp(bytes(64_000)))), ether(ip4(tcp(bytes(63_999) + b"z")))
    found = [ether(ip4(tcp(b"a" * 99))), *(moved(zeros, host) for host in range(1, between + 1))]
    found += [ether(ip4(tcp(b"b" * 99))), moved(other, between)]
    assert codes(numbered(found), code, Bounds())["RTX02"] == conflicts


@pytest.mark.parametrize("name", ["document", "fast-retransmit-sack", "keep-alive", "http-ipv6"])
def test_faults(name: str, code: Library, tmp_path: Path) -> None:
    trace = Scenario.load(name).play(seed=5)
    tried = 0
    for fault in faults():
        try:
            spoiled = inject(trace, [fault.name])
        except LabkitError:
            continue  # it does not apply to this scenario
        tried += 1
        spoiled.write(tmp_path / "a.pcapng")
        with open_capture(tmp_path / "a.pcapng") as capture:
            agree(list(capture), code, RFC9293)
    assert tried > 10


LARGE = 2**32 - 1
JUMBO = bytes((6, 0, 0xC2, 4)) + LARGE.to_bytes(4)
"""A hop-by-hop header with the length of a jumbogram (RFC 2675)."""


@pytest.mark.parametrize(
    "frame",
    [
        ether(ip6(JUMBO + tcp(b"octets", addresses=CLIENT6 + SERVER6), 0, length=0), 0x86DD),
        ether(ip4(tcp(b"octets"), length=0)),
        ether(ip4(tcp(b"octets", ctl=0x13), length=0)),
    ],
    ids=["jumbogram", "segments-together", "on-a-syn"],
)
@pytest.mark.parametrize("wirelen", [LARGE, 2**31 + 20])
def test_lengths_that_fill_their_fields(frame: bytes, wirelen: int, code: Library) -> None:
    agree([Frame(1, time, 1, frame, wirelen) for time in range(3)], code, RFC9293)


@pytest.mark.parametrize(
    "choices",
    [
        ReportConfig(),
        ReportConfig(select=("OPT", "FIN", "ACK01")),
        ReportConfig(ignore=("ACK01",)),
        ReportConfig(severity={"ACK01": Severity.NOTE, "OPT06": Severity.ERROR}),
    ],
)
def test_report_configurations(choices: ReportConfig, code: Library) -> None:
    text = "> S 0:0(0)\n< S. 0:0(0) ack 1\n> . 1:1(0) ack 1\n" + "< . 1:1(0) ack 7\n" * 3 + "> . 1:1(0) ack 1\n"
    found, bounds = list(frames(list(parse(text)))), Bounds(findings=2)
    one = choices.apply(Verifier(bounds=bounds).run(found))
    other = choices.apply(compiled(found, code, RFC9293, bounds))
    assert isinstance(other.findings, Findings)  # no finding was made
    assert other == one
    assert groups(other.findings, None) == groups(one.findings, None)
    assert pickle.loads(pickle.dumps(other)) == one  # noqa: S301 - our own


@pytest.mark.parametrize("found", [case[0] for case in CASES.values()], ids=list(CASES))
def test_frames_that_cannot_be_read(found: list[Frame], code: Library) -> None:
    agree(found, code, RFC9293)


@pytest.mark.parametrize("name", TRICKS)
def test_tricks(name: str, code: Library) -> None:
    trace = inject(Scenario.load("document").play(), ["ack-of-unsent-data"])
    found = [
        Frame(number, trace.start + record.time, 1, data, wirelen)
        for number, (record, data, wirelen, _comment) in enumerate(trace.captured(), 1)
    ]
    for place in (0, trace.injected[0].packet - 1, len(found) - 1):
        changed = TRICKS[name](found, place)
        if isinstance(changed, bytes):
            with open_capture(BytesIO(changed)) as capture:
                changed = list(capture)
        agree(changed, code, RFC9293)
