"""What the second look must not lose: mistakes beside a stray SYN, in long conversations, and among many."""

import pytest
from scapy.layers.inet import IP, TCP
from scapy.packet import Packet, Raw

from labkit import verify
from labkit.analysis.catalogue import collect
from labkit.analysis.examine import Completeness, examine
from labkit.analysis.finding import Finding
from labkit.analysis.severity import Severity
from labkit.analysis.verdict import Verdict
from labkit.analysis.verifier import Verifier
from labkit.tcp.notation import parse
from labkit.teach.examples import frames

OPENING = "> S 0:0(0)\n< S. 0:0(0) ack 1\n> . 1:1(0) ack 1\n"


def judged(text: str, assume: Completeness = Completeness.COMPLETE) -> Verdict:
    """The verdict on a conversation in the notation, the second look included."""
    everything = list(frames(list(parse(text, "test")), isns=(1000, 5000)))
    return examine(Verifier().run(everything), lambda: everything, collect(), assume)


def errors(verdict: Verdict) -> list[Finding]:
    return [found for found in verdict.findings if found.severity == Severity.ERROR and found.caused_by is None]


def named(verdict: Verdict) -> list[tuple[int | None, str | None, int | None]]:
    """Packet, field and right number of each error."""
    return [(found.packet, found.field, found.expected_relative) for found in errors(verdict)]


STRAY_SYN = {
    "SYN ACK instead of the last ACK": (
        f"{OPENING}> P. 1:4(3) ack 1\n< P. 1:3(2) ack 4\n> F. 4:4(0) ack 3\n< F. 3:3(0) ack 5\n> S. 5:5(0) ack 4",
        [(8, "flags", None)],
    ),
    "seq one too high and kept up, and a SYN ACK instead of the last ACK": (
        (
            f"{OPENING}> P. 2:5(3) ack 1\n< P. 1:3(2) ack 5\n> . 5:5(0) ack 3\n> F. 5:5(0) ack 3\n< F. 3:3(0) ack 6\n"
            "> S. 6:6(0) ack 4"
        ),
        [(4, "seq", 1), (9, "flags", None)],
    ),
    "ack too high, seq too high, and an old SYN between": (
        (
            f"{OPENING}> P. 1:11(10) ack 1\n< . 1:1(0) ack 32\n> P. 511:521(10) ack 1\n< . 1:1(0) ack 521\n"
            "> S 99077:99077(0)\n< . 1:1(0) ack 521\n> F. 521:521(0) ack 1\n< F. 1:1(0) ack 522\n> . 522:522(0) ack 2"
        ),
        [(5, "ack", 11), (6, "seq", 11)],
    ),
    "ack one too high, behind an old SYN": (
        (
            f"{OPENING}> S 99077:99077(0)\n> P. 1:11(10) ack 1\n< P. 1:21(20) ack 11\n> . 11:11(0) ack 22\n"
            "> F. 11:11(0) ack 21\n< F. 21:21(0) ack 12\n> . 12:12(0) ack 22"
        ),
        [(7, "ack", 21)],
    ),
}


@pytest.mark.parametrize(("text", "want"), STRAY_SYN.values(), ids=STRAY_SYN.keys())
def test_a_stray_syn_hides_no_mistake(text: str, want: list[tuple[int, str, int | None]]) -> None:
    assert named(judged(text)) == want


NO_MISTAKE = {
    "a SYN ACK that is sent again after the close": (
        f"{OPENING}> P. 1:101(100) ack 1\n< . 1:1(0) ack 101\n> F. 101:101(0) ack 1\n< F. 1:1(0) ack 102\n"
        "> . 102:102(0) ack 2\n< S. 0:0(0) ack 1\n> . 102:102(0) ack 2"
    ),
    "a SYN ACK that is sent again while data is lost": (
        f"{OPENING}> P. 1:101(100) ack 1\n< S. 0:0(0) ack 1\n> . 101:101(0) ack 1\n"
        "+0.3 > P. 1:101(100) ack 1\n< . 1:1(0) ack 101"
    ),
    "a FIN that is lost, and a keep-alive": (
        f"{OPENING}> P. 1:101(100) ack 1\n< . 1:1(0) ack 101\n> F. 101:101(0) ack 1\n"
        "+1.0 > . 100:101(1) ack 1 {fill=0x00}\n< . 1:1(0) ack 101"
    ),
    "a Fast Open whose data is not taken": (
        "> S 0:20(20) <mss 1460,FO a1b2c3d4a1b2c3d4,nop,nop>\n< S. 0:0(0) ack 1 <mss 1460>\n"
        "> P. 1:21(20) ack 1\n< . 1:1(0) ack 21"
    ),
}


@pytest.mark.parametrize("isns", [(0, 0), (2**32 - 1, 2**32 - 50), (1000, 5000)])
@pytest.mark.parametrize("text", NO_MISTAKE.values(), ids=NO_MISTAKE.keys())
def test_what_hosts_do_is_no_mistake(text: str, isns: tuple[int, int]) -> None:
    """Each host counts its IPv4 identifications, which shows that no packet is missing."""
    ids = {"<": 0, ">": 0}
    lines = []
    for line in text.splitlines():
        side = "<" if "< " in line.split("<mss")[0] else ">"
        ids[side] += 1
        told = f"ip.id={ids[side]}"
        lines.append(line.replace("{", f"{{{told},") if "{" in line else f"{line} {{{told}}}")
    everything = list(frames(list(parse("\n".join(lines), "test")), isns=isns))
    verdict = examine(Verifier().run(everything), lambda: everything, collect())
    assert [found for found in verdict.findings if found.severity > Severity.NOTE] == []


FOLLOWS = {
    "a forged refusal, and the SYN ACK": (
        "> S 1000:1000(0)\n< R. 0:0(0) ack 1000\n< S. 0:0(0) ack 1001\n> . 1001:1001(0) ack 1",
        [2],
    ),
    "a wrong ack in the SYN ACK, and the right reset": ("> S 0:0(0)\n< S. 0:0(0) ack 2\n> R 2:2(0)", [2]),
    "a FIN one too high, and an ACK that counts it": (
        (
            f"{OPENING}< P. 1:101(100) ack 1\n> . 1:1(0) ack 101\n< F. 102:102(0) ack 1\n> . 1:1(0) ack 101\n"
            "> F. 1:1(0) ack 101\n< . 103:103(0) ack 2"
        ),
        [6],
    ),
}


@pytest.mark.parametrize(("text", "packets"), FOLLOWS.values(), ids=FOLLOWS.keys())
def test_what_follows_from_a_mistake_is_no_other_one(text: str, packets: list[int]) -> None:
    assert [found.packet for found in errors(judged(text, Completeness.AUTO))] == packets


ONE_MISTAKE = {
    "data after a FIN, which is acknowledged": (
        (
            f"{OPENING}> P. 1:4(3) ack 1\n< P. 1:4(3) ack 4\n> F. 4:4(0) ack 4\n< . 4:4(0) ack 5\n> P. 5:9(4) ack 4\n"
            "< . 4:4(0) ack 9\n< F. 4:4(0) ack 9\n> . 9:9(0) ack 5"
        ),
        (8, "length", None),
    ),
    "FIN on a request, which nobody counts": (
        f"{OPENING}> FP. 1:4(3) ack 1\n< P. 1:3(2) ack 4\n> P. 4:8(4) ack 3\n< P. 3:5(2) ack 8\n> . 8:8(0) ack 5",
        (4, "flags", None),
    ),
    "sent again under another number": (
        (
            f'{OPENING}> P. 1:12(11) ack 1 "hello world"\n> P. 2:13(11) ack 1 "hello world"\n< . 1:1(0) ack 12\n'
            "> F. 12:12(0) ack 1\n< F. 1:1(0) ack 13\n> . 13:13(0) ack 2"
        ),
        (5, "seq", 1),
    ),
    "seq too low once, and the bytes are all the same": (
        (
            f'{OPENING}> P. 1:6(5) ack 1 "GGGGG"\n< . 1:1(0) ack 6\n> P. 4:9(5) ack 1 "GGGGG"\n< . 1:1(0) ack 11\n'
            "> F. 11:11(0) ack 1\n< F. 1:1(0) ack 12\n> . 12:12(0) ack 2"
        ),
        (6, "seq", 6),
    ),
    "seq too high once, and its numbers come later": (
        (
            f'{OPENING}< P. 21:27(6) ack 1 "220 hi"\n> P. 1:5(4) ack 7 "HELO"\n< P. 7:31(24) ack 5 "250 ok there, hello you!"\n'
            "> . 5:5(0) ack 31\n> F. 5:5(0) ack 31\n< F. 31:31(0) ack 6\n> . 6:6(0) ack 32"
        ),
        (4, "seq", 1),
    ),
}


@pytest.mark.parametrize(("text", "want"), ONE_MISTAKE.values(), ids=ONE_MISTAKE.keys())
def test_one_mistake_is_one_error(text: str, want: tuple[int, str, int | None]) -> None:
    for assume in (Completeness.COMPLETE, Completeness.AUTO):
        assert named(judged(text, assume)) == [want]


def test_flags_in_a_mend_line_are_python() -> None:
    verdict = judged(
        f"{OPENING}> P. 1:4(3) ack 1\n< P. 1:3(2) ack 4\n> F. 4:4(0) ack 3\n< F. 3:3(0) ack 5\n> S. 5:5(0) ack 4"
    )
    (found,) = errors(verdict)
    assert found.mend.endswith('In Scapy: packets[7][TCP].flags = "A"')


def long_talk(messages: int, mistake: int = -1) -> str:
    """A request and its ACK, many times. With a mistake, seq is one too high from that message on, and both keep it up."""
    lines, at = [OPENING], 1
    for number in range(messages):
        at += number == mistake
        lines.append(f"> P. {at}:{at + 21}(21) ack 1\n< . 1:1(0) ack {at + 21}\n")
        at += 21
    return "".join(lines) + f"> F. {at}:{at}(0) ack 1\n< F. 1:1(0) ack {at + 1}\n> . {at + 1}:{at + 1}(0) ack 2"


def test_a_mistake_in_a_long_conversation_is_found() -> None:
    verdict = judged(long_talk(600, mistake=100))
    assert named(verdict) == [(204, "seq", 2101)]
    assert (verdict.completeness, verdict.limits) == ("complete", [])


BOUNDS = {
    "too many segments": ("labkit.analysis.talks.MAX_SEGMENTS", 20),
    "too many in all": ("labkit.analysis.talks.MAX_ALL_SEGMENTS", 20),
    "too many mistakes": ("labkit.analysis.ledger.MAX_MISTAKES", 0),
}


@pytest.mark.parametrize(("name", "value"), BOUNDS.values(), ids=BOUNDS.keys())
def test_what_was_not_accounted_for_is_said(name: str, value: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(name, value)
    verdict = judged(long_talk(20, mistake=3))
    assert [(limit.kind, limit.count) for limit in verdict.limits if limit.kind == "not-accounted"] == [
        ("not-accounted", 1)
    ]
    assert verdict.completeness != "complete"


def test_when_the_time_is_over_the_rest_is_not_accounted_for() -> None:
    everything = list(frames(list(parse(long_talk(20, mistake=3), "test"))))
    verdict = examine(
        Verifier().run(everything), lambda: everything, collect(), Completeness.COMPLETE, over=lambda: True
    )
    assert [limit.kind for limit in verdict.limits if limit.kind == "not-accounted"]
    assert verdict.completeness == "auto"


def test_a_large_capture_says_which_conversations_have_no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labkit.analysis.examine.MAX_WHOLE", 20)
    verdict = judged(long_talk(20), Completeness.AUTO)
    assert [(limit.kind, limit.count) for limit in verdict.limits] == [("not-accounted", 1)]
    assert verdict.completeness == "auto"


def exchanges(*starts: int, size: int = 20) -> str:
    """Messages of one length with these sequence numbers, each acknowledged as though it were right."""
    lines = [OPENING]
    for count, start in enumerate(starts, 1):
        lines.append(f"> P. {start}:{start + size}({size}) ack 1\n< . 1:1(0) ack {1 + count * size}\n")
    end = 1 + len(starts) * size
    return "".join(lines) + f"> F. {end}:{end}(0) ack 1\n< F. 1:1(0) ack {end + 1}\n> . {end + 1}:{end + 1}(0) ack 2"


@pytest.mark.parametrize("drift", [20, 40, 60, 100])
def test_messages_of_one_length_are_counted_once(drift: int) -> None:
    verdict = judged(exchanges(1 + drift, 21, 41, 61, 81, 101))
    assert [(found.packet, found.field, found.expected_relative) for found in errors(verdict)] == [(4, "seq", 1)]


def typed(*lines: str, each_alone: bool = False) -> list[Packet]:
    """Packets whose IP identifications count, for both hosts together or for each alone, one second apart. A line is
    `> flags seq ack length`."""
    packets = []
    counts = {">": 100, "<": 5000}
    for number, line in enumerate(lines):
        way, flags, seq, ack, length = line.split()
        ends = {"src": "192.0.2.1", "dst": "192.0.2.2"} if way == ">" else {"src": "192.0.2.2", "dst": "192.0.2.1"}
        ports = {"sport": 40000, "dport": 80} if way == ">" else {"sport": 80, "dport": 40000}
        counts[way] += 1
        packet = IP(**ends, id=counts[way] if each_alone else 100 + number)
        packet /= TCP(**ports, flags=flags, seq=int(seq), ack=int(ack)) / Raw(bytes(range(int(length))))
        packet.time = float(number)
        packets.append(packet)
    return packets


HANDSHAKE = ["> S 0 0 0", "< SA 0 1 0", "> A 1 1 0"]
AHEAD = {
    "one too high": (
        ["> PA 1 1 10", "< PA 1 11 15", "> A 12 16 0", "> FA 11 16 0", "< FA 16 12 0", "> A 12 17 0"],
        (6, 11),
    ),
    "counts the data that it sends next": (
        ["> PA 1 1 10", "< A 21 11 0", "< PA 1 11 20", "> A 11 21 0", "> FA 11 21 0", "< FA 21 12 0", "> A 12 22 0"],
        (5, 1),
    ),
}


@pytest.mark.parametrize("each_alone", [False, True], ids=["together", "apart"])
@pytest.mark.parametrize(("lines", "want"), AHEAD.values(), ids=AHEAD.keys())
def test_a_pure_ack_ahead_of_its_sender_overtook_nothing_where_identifications_count(
    lines: list[str], want: tuple[int, int], each_alone: bool
) -> None:
    verdict = verify(typed(*HANDSHAKE, *lines, each_alone=each_alone))
    assert [(found.packet, found.field, found.expected) for found in errors(verdict)] == [(want[0], "seq", want[1])]


def test_a_wrong_third_ack_is_not_missing() -> None:
    verdict = judged(
        "> S 0:0(0)\n< S. 0:0(0) ack 1\n> . 1:1(0) ack 3\n< P. 1:21(20) ack 1\n> . 1:1(0) ack 21\n> F. 1:1(0) ack 21\n"
        "< F. 21:21(0) ack 2\n> . 2:2(0) ack 22"
    )
    assert named(verdict) == [(3, "ack", 1)]


def test_a_forgotten_fin_flag_is_named() -> None:
    verdict = judged(
        f"{OPENING}> P. 1:4(3) ack 1\n< P. 1:3(2) ack 4\n> . 4:4(0) ack 3\n> . 4:4(0) ack 3\n< . 3:3(0) ack 5\n"
        "< F. 3:3(0) ack 5\n> . 5:5(0) ack 4"
    )
    (found,) = errors(verdict)
    assert (found.packet, found.code, found.expected_relative) == (8, "FIN04", 4)
    assert found.mend.startswith("Set FIN in packet 7, ")


def test_a_wrong_port_has_a_line_for_scapy() -> None:
    packets = typed(
        *HANDSHAKE, "> PA 1 1 10", "< PA 1 11 15", "> A 11 16 0", "> FA 11 16 0", "< FA 16 12 0", "> A 12 17 0"
    )
    packets[5][TCP].dport = 8080
    (found,) = errors(verify(packets))
    assert found.mend.endswith("In Scapy: packets[5][TCP].dport = 80")


REST = ["> PA 1 1 10", "< PA 1 11 15", "> A 11 16 0", "> FA 11 16 0", "< FA 16 12 0", "> A 12 17 0"]


def two(lines: list[str], *, counted: bool) -> list[Packet]:
    """Two conversations of the same hosts, packet by packet: the client's port 40000 with other lines, and 40010 with the usual
    ones. IP identifications count over both, or there is no IPv4."""
    pairs = zip(typed(*HANDSHAKE, *lines), typed(*HANDSHAKE, *REST), strict=True)
    packets = [packet for pair in pairs for packet in pair]
    for number, packet in enumerate(packets):
        if number % 2:
            name = "sport" if packet[TCP].dport == 80 else "dport"
            setattr(packet[TCP], name, 40010)
        packet[IP].id = 100 + number if counted else 0
        packet.time = float(number)
    return packets


def test_identifications_count_over_several_conversations() -> None:
    lines = ["> PA 1 1 10", "< PA 1 11 15", "> A 12 16 0", *REST[3:]]
    (found,) = errors(verify(two(lines, counted=True)))
    assert (found.packet, found.field, found.expected) == (11, "seq", 11)


@pytest.mark.parametrize("counted", [False, True])
def test_a_segment_with_the_port_of_another_conversation(counted: bool) -> None:
    packets = two(REST, counted=counted)
    for packet in packets[::2]:  # the conversation of port 40000 has other numbers
        mine, other = (70_000, 300_000) if packet[TCP].sport == 80 else (300_000, 70_000)
        packet[TCP].seq += mine
        packet[TCP].ack += other if packet[TCP].flags.A else 0
    assert errors(verify(packets, complete=True)) == []
    packets[9][TCP].dport = 40000
    (found,) = errors(verify(packets, complete=True))
    assert (found.packet, found.code, found.expected) == (10, "PORT01", 40010)


@pytest.mark.parametrize("complete", [None, True])
def test_a_wrong_data_offset_is_one_error(complete: bool | None) -> None:
    packets = typed(*HANDSHAKE, *REST)
    packets[3][TCP].dataofs = 4
    (found,) = errors(verify(packets, complete=complete))
    assert (found.packet, found.field, found.expected) == (4, "hdr_len", 20)


def test_what_nothing_proves_is_one_error_too() -> None:
    """Without evidence the first pass judges each segment; the accounts know that the errors have one cause."""
    lines = [
        "> PA 1 1 10",
        "< PA 1 12 15",
        "> A 11 16 0",
        "< PA 16 12 15",
        "> FA 11 31 0",
        "< FA 31 13 0",
        "> A 12 32 0",
    ]
    packets = typed(*HANDSHAKE, *lines)
    for packet in packets:
        packet[IP].id = 0
    verdict = verify(packets)
    (found,) = errors(verdict)
    assert (found.packet, found.field, found.expected) == (5, "ack", 11)
    assert {each.packet for each in verdict.findings if each.caused_by is not None} == {7, 9}


def test_where_a_window_never_changes_the_first_segment_beyond_it_is_the_error() -> None:
    packets = typed(*HANDSHAKE, "> PA 1 1 10", "< PA 1 11 15", "> PA 11 16 10", "< PA 16 21 15", "> A 21 31 0")
    for packet in packets:
        packet[IP].id = 0
        packet[TCP].window = 3 if packet[TCP].sport == 80 else 8192
    assert [(found.packet, found.code) for found in errors(verify(packets))] == [(4, "WIN01")]


def test_a_last_ack_with_a_wrong_checksum_is_one_error() -> None:
    packets = typed(
        *HANDSHAKE, "> PA 1 1 10", "> FA 11 1 0", "< A 1 12 0", "< PA 1 12 15", "> A 12 16 0", "< FA 16 12 0"
    )
    packets += typed("> A 12 17 0")
    packets[-1].time = 20.0
    packets[-1][TCP].chksum = 0xBEEF
    for packet in packets:
        packet[IP].id = 0
    assert [(found.packet, found.code) for found in errors(verify(packets))] == [(10, "CK02")]


def test_a_packet_that_was_not_read_is_named_where_it_may_explain_an_error() -> None:
    packets = typed(*HANDSHAKE, *REST)
    packets[4][IP].flags = "MF"
    verdict = verify(packets, complete=True)
    (found,) = errors(verdict)
    assert (found.packet, found.field) == (6, "ack")
    assert found.message.endswith("; packet 5, which could not be read, may hold what is missing")
    assert [(limit.kind, limit.packet) for limit in verdict.limits] == [("not-read", 5)]


def test_a_pure_ack_that_was_not_read_leaves_a_limit() -> None:
    packets = typed(*HANDSHAKE, *REST)
    packets[5][IP].flags = "MF"
    verdict = verify(packets, complete=True)
    assert verdict.ok
    assert [(limit.kind, limit.packet) for limit in verdict.limits] == [("not-read", 6)]
    assert not verify(packets, complete=True, strict=True).ok


def test_swapped_numbers_are_mended_together() -> None:
    packets = typed(*HANDSHAKE, *REST)
    for packet in packets:
        mine, other = (1000, 7000) if packet[TCP].sport == 40000 else (7000, 1000)
        packet[TCP].seq += mine
        packet[TCP].ack += other if packet[TCP].flags.A else 0
    packets[3][TCP].seq, packets[3][TCP].ack = packets[3][TCP].ack, packets[3][TCP].seq
    (found,) = errors(verify(packets))
    assert found.mend.endswith("In Scapy: packets[3][TCP].seq = 1001; packets[3][TCP].ack = 7001")


def test_without_a_syn_a_complete_conversation_has_no_limit() -> None:
    verdict = verify(typed(*HANDSHAKE, *REST)[1:], complete=True)
    assert [(found.packet, found.code) for found in errors(verdict)] == [(1, "HS13")]
    assert verdict.limits == []


def test_a_conversation_in_which_everything_comes_again() -> None:
    # An account that goes through all resends for each ACK would take minutes.
    exchange = "> P. {at}:{end}(10) ack 1\n< . 1:1(0) ack {at}\n" * 2
    text = OPENING + "".join(exchange.format(at=at, end=at + 10) for at in range(1, 20_000, 10))
    verdict = judged(text)
    assert verdict.segments == 8003
    assert not errors(verdict)
