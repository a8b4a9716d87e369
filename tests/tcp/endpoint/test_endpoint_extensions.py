"""ECN (RFC 3168), urgent data (RFC 9293 section 3.8.5) and Fast Open (RFC 7413)."""

import pytest
from helpers import MS, ConnectionPair

from labkit.tcp.endpoint import Config, Notice
from labkit.tcp.options import FastOpen
from labkit.tcp.segment import ACK, CE, CWR, ECE, ECT0, NOT_ECT, PSH, SYN, URG, Segment
from labkit.tcp.state import State

COOKIE = b"8 octets"


@pytest.mark.parametrize(
    ("client", "server", "bits"),
    [
        (True, True, [ECE | CWR, ECE]),
        (True, False, [ECE | CWR, 0]),
        (False, True, [0, 0]),
        (False, False, [0, 0]),
    ],
)
def test_ecn_is_used_where_both_agree(client, server, bits):
    pair = ConnectionPair(Config(ecn=client), Config(ecn=server)).connect()
    pair.client.send(b"x", pair.now)
    pair.flush()
    assert [segment.ctl & (ECE | CWR) for _, _, segment, _ in pair.log] == [*bits, 0, 0]
    assert [segment.ecn for _, _, segment, _ in pair.log] == [NOT_ECT] * 3 + [ECT0 if client and server else NOT_ECT]


def test_a_mark_is_echoed_until_the_window_was_reduced():
    pair = ConnectionPair(Config(ecn=True, iss=0), Config(ecn=True, iss=0)).connect()
    begin = len(pair.log)
    pair.client.send(bytes(1460 * 30), pair.now)
    pair.flush()
    pair._wire[2] = (*pair._wire[2][:3], pair._wire[2][3].with_(ecn=CE))
    pair.run()
    sent = [(name, segment) for _, name, segment, _ in pair.log[begin:]]
    echoes = [segment for name, segment in sent if name == "server" and segment.ctl & ECE]
    reduced = [segment for name, segment in sent if name == "client" and segment.ctl & CWR]
    assert len(echoes) > 1
    assert len(reduced) == 1
    assert reduced[0].payload
    # The first ACK lets three more out, so that eleven segments are under way when the first echo arrives.
    assert pair.client.control.ssthresh == 11 * 1460 // 2
    after = [segment for name, segment in sent[sent.index(("client", reduced[0])) :] if name == "server"]
    assert not [segment for segment in after if segment.ack > reduced[0].seq and segment.ctl & ECE]
    assert len(pair.read["server"]) == 1460 * 30


def test_neither_acks_nor_retransmissions_are_ecn_capable():
    lost = ConnectionPair(
        Config(ecn=True), Config(ecn=True), carry=lambda name, n, _: [] if (name, n) == ("client", 5) else [0]
    ).connect()
    lost.client.send(bytes(20_000), lost.now)
    lost.flush()
    lost.run()
    kinds = {(why.startswith("retransmission"), bool(s.payload), s.ecn) for _, _, s, why in lost.log[3:]}
    assert kinds == {(True, True, NOT_ECT), (False, True, ECT0), (False, False, NOT_ECT)}


def test_urgent_data_is_announced_until_it_is_acknowledged():
    pair = ConnectionPair(Config(iss=0, nagle=False, mss=100), Config(iss=0)).connect()
    begin = len(pair.log)
    pair.client.send(bytes(250), pair.now)
    pair.client.send(b"!", pair.now, urgent=True)
    pair.client.send(bytes(60), pair.now)
    pair.flush()
    found = [(s.seq, bool(s.ctl & URG), s.urgent) for _, _, s, _ in pair.log[begin:]]
    assert found == [(1, True, 251), (101, True, 151), (201, True, 51), (301, False, 0)]
    pair.run()
    assert pair.notices["server"].count(Notice.URGENT) == 1
    assert len(pair.read["server"]) == 311


def test_a_cookie_is_asked_for_and_given():
    pair = ConnectionPair(Config(iss=0, fast_open=b""), Config(iss=0, fast_open=COOKIE))
    pair.server.listen()
    pair.client.open(0)
    pair.client.send(b"request", 0)
    pair.flush()
    pair.run(100 * MS)
    assert [s.option(FastOpen) for _, _, s, _ in pair.log[:3]] == [FastOpen(b""), FastOpen(COOKIE), None]
    assert [len(s.payload) for _, _, s, _ in pair.log[:4]] == [0, 0, 0, 7]
    assert (pair.client.cookie, pair.read["server"]) == (COOKIE, b"request")


def test_data_with_the_syn_is_answered_at_once():
    pair = ConnectionPair(Config(iss=0, fast_open=COOKIE), Config(iss=0, fast_open=COOKIE))
    pair.server.listen()
    pair.client.open(0)
    pair.client.send(b"request", 0)
    pair.flush()
    pair.now = 10 * MS
    pair.server.receive(pair.log[0][2], pair.now)
    assert (pair.server.read(), pair.server.state) == (b"request", State.SYN_RECEIVED)
    pair.server.send(b"reply", pair.now)
    first, second = (out.segment for out in pair.server.segments(pair.now))
    assert (first.ctl, first.ack, first.payload) == (SYN | ACK, 8, b"")
    assert (second.ctl, second.seq, second.ack, second.payload) == (PSH | ACK, 1, 8, b"reply")


@pytest.mark.parametrize("server", [None, b"another!"])
def test_data_that_was_not_taken_is_sent_again(server):
    pair = ConnectionPair(Config(iss=0, fast_open=COOKIE), Config(iss=0, fast_open=server))
    pair.server.listen()
    pair.client.open(0)
    pair.client.send(b"request", 0)
    pair.flush()
    pair.run(100 * MS)
    assert pair.lines()[:4] == ["> SYN 0:7", "< SYN ACK 0:0 ack 1", "> ACK 1:1 ack 1", "> PSH ACK 1:8 ack 1"]
    assert (pair.client.cookie, pair.read["server"]) == (server, b"request")


def test_a_lost_syn_comes_again_without_data():
    pair = ConnectionPair(
        Config(iss=0, fast_open=COOKIE),
        Config(iss=0, fast_open=COOKIE),
        carry=lambda name, n, _: [] if (name, n) == ("client", 1) else [0],
    )
    pair.server.listen()
    pair.client.open(0)
    pair.client.send(b"request", 0)
    pair.flush()
    pair.run(2000 * MS)
    assert [(len(s.payload), s.option(FastOpen)) for _, _, s, _ in pair.log[:2]] == [
        (7, FastOpen(COOKIE)),
        (0, None),
    ]
    assert pair.read["server"] == b"request"


def test_a_syn_with_data_but_without_fast_open_delivers_nothing_yet():
    pair = ConnectionPair()
    pair.server.listen()
    pair.server.receive(Segment(7, 0, SYN, payload=b"early"), 0)
    (out,) = pair.server.segments(0)
    assert (out.segment.ack, pair.server.delivered) == (8, 0)


@pytest.mark.parametrize("cookie", [b"abc", b"12345", bytes(18)])
def test_cookies_that_cannot_be(cookie):
    with pytest.raises(ValueError, match="cookie"):
        Config(fast_open=cookie)
