"""RFC 3168 section 6.1.1 (who may use ECN) and RFC 7413 section 4 (which SYN's data is taken), as tables."""

import pytest
from helpers import MS, ConnectionPair

from labkit.tcp.endpoint import Config
from labkit.tcp.options import FastOpen, Mss
from labkit.tcp.segment import ACK, CE, CWR, ECE, ECT0, ECT1, NOT_ECT, PSH, SYN, Segment

# RFC 3168 section 6.1.1: "an ECN-setup SYN packet" has ECE and CWR, "an ECN-setup SYN-ACK packet" has ECE and not CWR.
SYN_ACKS = [(ECE, True), (ECE | CWR, False), (CWR, False), (0, False)]


@pytest.mark.parametrize(("bits", "agreed"), SYN_ACKS)
def test_rfc3168_6_1_1_which_syn_ack_agrees(bits, agreed):
    pair = ConnectionPair(Config(iss=99, ecn=True))
    pair.client.open(0)
    pair.flush()
    assert pair.log[-1][2].ctl == SYN | ECE | CWR
    pair.inject("client", Segment(299, 100, SYN | ACK | bits, 65535, b"", (Mss(1460),)))
    pair.client.send(b"x", pair.now)
    pair.flush()
    assert pair.log[-1][2].ecn == (ECT0 if agreed else NOT_ECT)


SYNS = [(ECE | CWR, ECE), (ECE, 0), (CWR, 0), (0, 0)]


@pytest.mark.parametrize(("bits", "answer"), SYNS)
def test_rfc3168_6_1_1_which_syn_is_agreed_to(bits, answer):
    pair = ConnectionPair(server=Config(iss=299, ecn=True))
    pair.server.listen()
    pair.inject("server", Segment(99, 0, SYN | bits, 65535, b"", (Mss(1460),)))
    assert pair.log[-1][2].ctl == SYN | ACK | answer
    # Section 6.1.1: neither of the two is ECN-capable itself.
    assert pair.log[-1][2].ecn == NOT_ECT


@pytest.mark.parametrize(("codepoint", "echoed"), [(NOT_ECT, False), (ECT0, False), (ECT1, False), (CE, True)])
def test_rfc3168_6_1_3_the_receiver_echoes_until_cwr(codepoint, echoed):
    pair = ConnectionPair(Config(iss=99, ecn=True), Config(iss=299, ecn=True, delayed_ack=None), delay=0).connect()
    answers = []
    for number, (mark, bits) in enumerate([(codepoint, 0), (ECT0, 0), (ECT0, 0), (ECT0, CWR), (ECT0, 0)]):
        segment = Segment(100 + number, 300, PSH | ACK | bits, 65535, b"x", ecn=mark)
        pair.server.receive(segment, pair.now)
        (out,) = pair.server.segments(pair.now)
        answers.append(bool(out.segment.ctl & ECE))
    assert answers == [echoed, echoed, echoed, False, False]


def test_rfc3168_6_1_2_the_window_is_halved_once_a_round_trip():
    pair = ConnectionPair(Config(iss=99, ecn=True), Config(iss=299, ecn=True), delay=0).connect()
    pair.client.send(bytes(1460 * 40), pair.now)
    sent = pair.client.segments(pair.now)
    assert len(sent) == 10
    windows = []
    for number in range(1, 11):
        pair.client.receive(Segment(300, 100 + number * 1460, ACK | ECE, 65535), pair.now)
        sent += pair.client.segments(pair.now)
        windows.append(pair.client.control.cwnd // 1460)
    # The first echo halves it; the others tell of the same window of data.
    assert windows[0] == 5
    assert windows == sorted(windows)
    assert [bool(out.segment.ctl & CWR) for out in sent].count(True) == 1


COOKIE = bytes.fromhex("a0b1c2d3")
# RFC 7413 section 4.2: the client's option, the server's cookie; whether the data is taken, and the option of the answer.
SYN_DATA = [
    (FastOpen(COOKIE), COOKIE, True, None),
    (FastOpen(COOKIE[::-1]), COOKIE, False, COOKIE),
    (FastOpen(b""), COOKIE, False, COOKIE),
    (FastOpen(COOKIE), None, False, None),
    (None, COOKIE, False, None),
]


@pytest.mark.parametrize(("option", "cookie", "taken", "given"), SYN_DATA)
def test_rfc7413_4_2_2_whose_data_is_taken(option, cookie, taken, given):
    pair = ConnectionPair(server=Config(iss=299, fast_open=cookie))
    pair.server.listen()
    options = (Mss(1460), *([option] if option is not None else []))
    pair.inject("server", Segment(99, 0, SYN, 65535, b"early", options))
    answer = pair.log[-1][2]
    # "SYN-ACK: acknowledges only the SYN ... or the entire sequence of SYN and data"
    assert answer.ack == (105 if taken else 100)
    assert pair.read["server"] == (b"early" if taken else b"")
    found = answer.option(FastOpen)
    assert (found.cookie if found else None) == given


def test_rfc7413_4_1_3_the_second_syn_goes_without():
    carry = lambda name, number, _: [] if (name, number) == ("client", 1) else [0]  # noqa: E731
    pair = ConnectionPair(Config(fast_open=COOKIE), Config(fast_open=COOKIE), carry=carry)
    pair.server.listen()
    pair.client.open(0)
    pair.client.send(b"early", 0)
    pair.flush()
    pair.run(5000 * MS)
    syns = [segment for _, side, segment, _ in pair.log if segment.ctl & SYN and side == "client"]
    assert [(each.payload, each.option(FastOpen) is not None) for each in syns] == [(b"early", True), (b"", False)]
    assert pair.read["server"] == b"early"
