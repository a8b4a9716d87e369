"""A SYN without an MSS option stands for the default MSS of RFC 9293; a SYN that nobody saw stands for nothing."""

import pytest

from labkit.analysis.severity import Severity
from labkit.analysis.verdict import Verdict
from labkit.analysis.verifier import Verifier
from labkit.tcp.notation import parse
from labkit.teach.examples import frames

DEFAULTS = [(4, 536), (6, 1220)]
BARE = "< S. 0:0(0) ack 1"


def judged(version: int, *lines: str) -> Verdict:
    return Verifier().run(frames(list(parse("\n".join(lines), "test")), version=version))


def codes(verdict: Verdict) -> list[tuple[str, int | None, Severity]]:
    return [(each.code, each.packet, each.severity) for each in verdict.findings if each.code in ("CAP04", "ACK06")]


def sent(version: int, length: int, syn: str = BARE) -> Verdict:
    opening = ("> S 0:0(0) <mss 1460>", syn, "> . 1:1(0) ack 1") if syn else ()
    return judged(version, *opening, f"> P. 1:{length + 1}({length}) ack 1")


@pytest.mark.parametrize(("version", "mss"), DEFAULTS)
def test_no_more_than_the_default_is_sent_to_a_peer_without_the_option(version: int, mss: int) -> None:
    assert codes(sent(version, mss)) == []
    found = sent(version, mss + 1)
    assert codes(found) == [("CAP04", 4, Severity.WARNING)]
    (finding,) = [each for each in found.findings if each.code == "CAP04"]
    assert (finding.expected, finding.actual, finding.name) == (mss, mss + 1, "payload-beyond-the-default-mss")


@pytest.mark.parametrize(("version", "largest"), [(4, 1460), (6, 1440)])
def test_what_fits_an_ethernet_frame_was_on_the_wire(version: int, largest: int) -> None:
    assert codes(sent(version, largest)) == [("CAP04", 4, Severity.WARNING)]
    assert codes(sent(version, largest + 1)) == [("CAP04", 4, Severity.NOTE)]


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(
    "syn",
    ["", "< S. 0:0(0) ack 1 {caplen=55}", "< S. 0:0(0) ack 1 <mss 1460>"],
    ids=["SYN not seen", "options cut", "option"],
)
def test_nothing_is_known_where_the_syn_was_not_seen_whole(version: int, syn: str) -> None:
    if "caplen" in syn:  # one octet of the options is left
        syn = f"< S. 0:0(0) ack 1 <sackOK> {{caplen={55 if version == 4 else 75}}}"
    assert codes(sent(version, 1400, syn)) == []


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(("length", "ack", "found"), [(500, 499, True), (1000, 999, True), (1000, 537, False)])
def test_an_ack_inside_a_segment_is_found_without_the_option(version: int, length: int, ack: int, found: bool) -> None:
    if version == 6 and not found:
        length, ack = 1400, 1221  # where a segment of the default would end
    verdict = judged(
        version,
        "> S 0:0(0)",
        BARE,
        "> . 1:1(0) ack 1",
        f"> P. 1:{length + 1}({length}) ack 1",
        f"< . 1:1(0) ack {ack}",
        f"> P. {length + 1}:{length + 2}(1) ack 1",
        f"< . 1:1(0) ack {length + 2}",
    )
    assert any(each.code == "ACK06" and each.packet == 5 for each in verdict.findings) == found
