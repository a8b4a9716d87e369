"""The lessons: the packets of each erratum prove it."""

from collections.abc import Callable
from pathlib import Path

import click
import pytest

from labkit.analysis.states import Row
from labkit.analysis.verifier import verify
from labkit.build.scenario import Scenario
from labkit.errors import CaptureError, UsageError
from labkit.tcp.segment import ACK, FIN, SYN
from labkit.tcp.state import State
from labkit.teach.lessons import lesson, names, osi, summary
from labkit.teach.lessons.document import ERRATA, Erratum, rows

POINTS = {erratum.code: erratum for erratum in ERRATA}


def lines(name: str, *arguments: str) -> list[str]:
    return [click.unstyle(line) for line in lesson(name)(arguments)]


def proof(code: str) -> list[Row]:
    erratum = POINTS[code]
    found = rows(erratum.scenario)
    return [found[packet - 1 if packet > 0 else packet] for packet in erratum.packets]


def test_every_lesson_has_a_summary() -> None:
    assert {*names()} >= {"document", "osi", "stack", "states"}
    for name in names():
        assert summary(name)
        assert "\n" not in summary(name)
        assert lines(name)


# The document's errata.


def test_the_errata_are_e1_to_e9() -> None:
    assert list(POINTS) == [f"E{number}" for number in range(1, 10)]
    assert all(erratum.source.startswith("RFC 9293 3.") for erratum in ERRATA)


def e1(found: list[Row]) -> bool:
    reply, ack = found
    return (reply.length, reply.relative_seq, reply.relative_ack, ack.relative_ack) == (119, 1, 100, 120)


def e2(found: list[Row]) -> bool:
    third, last = found
    return third.ctl == FIN | ACK and third.relative_seq == 120 and last.relative_ack == 121


def e3(found: list[Row]) -> bool:
    ack, data = found
    return ack.ctl == ACK and not ack.length and ack.relative_seq == 1 and data.length > 0 and data.relative_ack == 1


def e4(found: list[Row]) -> bool:
    first, second = found
    return first.sender == second.sender and second.relative_seq == first.relative_seq + first.length > 1


def e5(found: list[Row]) -> bool:
    states = [tuple(row.states) for row in found]
    return len(set(states)) == 3


def e6(found: list[Row]) -> bool:
    seen = {state for row in found for state in row.states}
    return {State.SYN_SENT, State.SYN_RECEIVED, State.CLOSED} <= seen


def e7(found: list[Row]) -> bool:
    return all(row.ctl & SYN and row.seq > 1 for row in found) and found[0].seq != found[1].seq


def e8(found: list[Row]) -> bool:
    first, second, third = found
    return (
        [row.ctl for row in found] == [FIN | ACK, FIN | ACK, ACK]
        and first.sender == third.sender != second.sender
        and second.relative_ack == first.relative_seq + 1
    )


def e9(found: list[Row]) -> bool:
    lost, again, answer = found
    return (
        lost.ctl == answer.ctl == ACK and again.ctl == FIN | ACK and lost.ack == answer.ack and lost.seq == answer.seq
    )


@pytest.mark.parametrize("proves", [e1, e2, e3, e4, e5, e6, e7, e8, e9])
def test_the_packets_prove_the_erratum(proves: Callable[[list[Row]], bool]) -> None:
    assert proves(proof(proves.__name__.upper()))


def test_the_last_ack_of_time_wait_is_lost() -> None:
    assert not Scenario.load("time-wait").play().records[-3].arrived


def test_the_literal_rules_fail_the_capture_of_e3(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    Scenario.load(POINTS["E3"].scenario).play().write(path)
    assert verify(path).ok
    assert verify(path, "document").ok
    assert not verify(path, "document", literal=True).ok


def test_with_111_octets_the_ack_is_112() -> None:
    found = rows("document-111")
    assert (found[4].length, found[4].relative_ack, found[5].relative_ack) == (111, 100, 112)


@pytest.mark.parametrize("erratum", ERRATA, ids=lambda erratum: erratum.code)
def test_each_erratum_shows_its_packets(erratum: Erratum) -> None:
    text = lines("document", erratum.code.lower())
    assert text[0] == f"{erratum.code}  {erratum.says}"
    assert erratum.right in text[1]
    assert erratum.source in text[1]
    assert f"labkit build {erratum.scenario}" in text[2]
    assert [line.split()[1] in "→←" for line in text[3:-1]] == [True] * len(erratum.packets)
    assert text[-1].split(None, 1) == ["see", erratum.proof]


def test_all_errata_together() -> None:
    together = "\n".join(lines("document"))
    assert together == "\n\n".join("\n".join(lines("document", code)) for code in POINTS)


def test_an_unknown_erratum() -> None:
    with pytest.raises(UsageError, match="there is no erratum E99; expected one of E1, E2"):
        lines("document", "E1", "e99")


# The seven layers.

LAYERS = ["7 6 5", "4", "3", "2", "1"]


def headings(text: list[str]) -> list[str]:
    return [line[:5].strip() for line in text if line[0] != " "]


def octets_of(text: list[str]) -> dict[int, bytes]:
    """The lines of octets: the offset in the frame, and the octets."""
    found = {}
    for line in text:
        offset, _, rest = line.strip().partition("  ")
        if line.startswith("       ") and offset.isdigit():
            found[int(offset)] = bytes.fromhex(rest[: osi.WIDTH * 3].strip())
    return found


def test_the_layers_of_the_built_packet() -> None:
    text = lines("osi")
    assert headings(text) == LAYERS
    whole = "\n".join(text)
    for words in ("GET /index.html", "port 40000 → 80", "IPv4: 192.0.2.10 → 192.0.2.20", "Ethernet: 02:00:00:00:00:01"):
        assert words in whole
    assert all(line == line.rstrip() for line in text)


def test_every_octet_of_the_packet_is_shown_once() -> None:
    from labkit.packet.scapy_build import Host, packet
    from labkit.tcp.segment import PSH, Segment

    found = octets_of(lines("osi"))
    shown = b"".join(found[at] for at in sorted(found))
    sent = bytes(
        packet(
            Segment(seq=1, ack=1, ctl=PSH | ACK, payload=osi.REQUEST),
            Host("192.0.2.10", 40000, mac="02:00:00:00:00:01"),
            Host("192.0.2.20", 80, mac="02:00:00:00:00:02"),
        )
    )
    assert shown == sent


@pytest.fixture
def capture(tmp_path: Path) -> str:
    path = tmp_path / "document.pcap"
    Scenario.load("document").play().write(path)
    return str(path)


def test_the_layers_of_the_first_packet_with_data(capture: str) -> None:
    text = lines("osi", capture)
    assert headings(text) == LAYERS
    assert text == lines("osi", capture, "4")
    assert "seq 1, ack 1, PSH ACK" in "\n".join(text)


def test_a_packet_without_data(capture: str) -> None:
    text = "\n".join(lines("osi", capture, "1"))
    assert "this segment carries no data" in text
    assert "seq 0, ack 0, SYN" in text


def test_much_data_is_cut_short(tmp_path: Path) -> None:
    path = str(tmp_path / "bulk.pcap")
    Scenario.load("slow-start").play().write(path)
    (more,) = [line.strip() for line in lines("osi", path, "5") if line.endswith("more bytes")]
    assert rows("slow-start")[4].length == 1460
    assert more == f"… {1460 - osi.MAX_LINES * osi.WIDTH} more bytes"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("CAPTURE", "x"), "'x' is not a packet number"),
        (("CAPTURE", "-1"), "'-1' is not a packet number"),
        (("CAPTURE", "9" * 5000), "is not a packet number"),
        (("CAPTURE", "11"), "packet 11 does not exist or is not a TCP segment"),
        (("CAPTURE", "0"), "packet 0 does not"),
        (("CAPTURE", "1", "2"), "expected: labkit explain osi"),
    ],
)
def test_wrong_arguments(arguments: tuple[str, ...], words: str, capture: str) -> None:
    with pytest.raises(UsageError) as caught:
        lines("osi", *(capture if each == "CAPTURE" else each for each in arguments))
    assert words in str(caught.value)


def test_no_data_at_all(tmp_path: Path) -> None:
    path = str(tmp_path / "handshake.pcap")
    Scenario.load("refused").play().write(path)
    with pytest.raises(UsageError, match="there is no TCP segment with data in it"):
        lines("osi", path)


def test_no_capture(tmp_path: Path) -> None:
    with pytest.raises(CaptureError):
        lines("osi", str(tmp_path / "nowhere.pcap"))
