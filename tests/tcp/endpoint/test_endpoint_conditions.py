"""Tables for the endpoint's decisions, each condition by itself: configuration, ECN bits, windows, the ACK check."""

from random import Random

import pytest
from helpers import MS, ConnectionPair

from labkit.tcp.endpoint import Config, Endpoint
from labkit.tcp.endpoint.ecn import Ecn
from labkit.tcp.endpoint.receiver import Receiver
from labkit.tcp.endpoint.sender import Sender
from labkit.tcp.options import Mss, Timestamps, WindowScale
from labkit.tcp.segment import ACK, CE, CWR, ECE, ECT0, FIN, NOT_ECT, PSH, RST, SYN, Segment, control_names
from labkit.tcp.seq import MASK, add
from labkit.tcp.state import State

BOUNDS = {
    "iss": (0, MASK),
    "mss": (88, 65495),
    "send_mss": (88, 65495),
    "default_mss": (88, 65495),
    "window": (1, 65535),
    "window_scale": (0, 14),
    "timestamp_offset": (0, MASK),
    "delayed_ack": (0, 500 * MS),
    "initial_window": (1, 1000),
}


@pytest.mark.parametrize("name", BOUNDS)
def test_the_bounds_of_a_configuration(name):
    low, high = BOUNDS[name]
    assert [getattr(Config(**{name: value}), name) for value in (low, high)] == [low, high]
    for value in (low - 1, high + 1):
        with pytest.raises(ValueError, match=name):
            Config(**{name: value})


def test_a_scale_widens_the_window():
    assert Config(window=0xFFFF << 3, window_scale=3).window == 0xFFFF << 3
    with pytest.raises(ValueError, match="window"):
        Config(window=(0xFFFF << 3) + 1, window_scale=3)


@pytest.mark.parametrize(
    ("length", "valid"),
    [(0, True), (2, False), (3, False), (4, True), (5, False), (16, True), (17, False), (18, False)],
)
def test_lengths_of_a_cookie(length, valid):
    if valid:
        assert Config(fast_open=bytes(length)).fast_open == bytes(length)
    else:
        with pytest.raises(ValueError, match="cookie"):
            Config(fast_open=bytes(length))


# ECN (RFC 3168).


@pytest.mark.parametrize(
    ("enabled", "ctl", "agreed"),
    [
        (True, SYN | ECE | CWR, True),
        (True, SYN | ECE, False),
        (True, SYN | CWR, False),
        (True, SYN, False),
        (True, SYN | ACK | ECE, True),
        (True, SYN | ACK | ECE | CWR, False),
        (True, SYN | ACK, False),
        (False, SYN | ECE | CWR, False),
        (False, SYN | ACK | ECE, False),
    ],
)
def test_which_syns_agree_on_ecn(enabled, ctl, agreed):
    ecn = Ecn(enabled)
    ecn.learn(Segment(ctl=ctl))
    assert ecn.agreed is agreed
    assert ecn.syn_bits(answering=False) == (ECE | CWR if enabled else 0)
    assert ecn.syn_bits(answering=True) == (ECE if agreed else 0)


@pytest.mark.parametrize(
    ("before", "ctl", "codepoint", "payload", "after"),
    [
        (False, ACK, CE, b"x", True),
        (False, ACK, CE, b"", False),
        (False, ACK, ECT0, b"x", False),
        (False, ACK, NOT_ECT, b"x", False),
        (True, ACK, ECT0, b"x", True),
        (True, ACK | CWR, ECT0, b"x", False),
        (True, ACK | CWR, CE, b"x", True),
        (True, ACK | CWR, CE, b"", False),
    ],
)
def test_a_mark_lasts_until_cwr(before, ctl, codepoint, payload, after):
    ecn = Ecn(True)
    ecn.marked = before
    ecn.arrived(Segment(ctl=ctl, ecn=codepoint, payload=payload))
    assert ecn.marked is after


@pytest.mark.parametrize(
    ("agreed", "marked", "reduced", "ctl", "new", "expected", "left"),
    [
        (False, True, True, ACK, True, (ACK, NOT_ECT), True),
        (True, True, True, SYN | ACK, True, (SYN | ACK, NOT_ECT), True),
        (True, False, False, ACK, True, (ACK, ECT0), False),
        (True, False, False, ACK, False, (ACK, NOT_ECT), False),
        (True, True, False, ACK, False, (ACK | ECE, NOT_ECT), False),
        (True, True, True, ACK, False, (ACK | ECE, NOT_ECT), True),
        (True, True, True, ACK, True, (ACK | ECE | CWR, ECT0), False),
    ],
)
def test_the_bits_of_a_segment(agreed, marked, reduced, ctl, new, expected, left):
    ecn = Ecn(True)
    ecn.agreed, ecn.marked, ecn.reduced = agreed, marked, reduced
    assert ecn.bits(ctl, new) == expected
    assert ecn.reduced is left


# The windows (RFC 9293 sections 3.4 and 3.10.7.4).


@pytest.mark.parametrize(
    ("start", "length", "window", "expected"),
    [
        (100, 0, 0, True),
        (99, 0, 0, False),
        (101, 0, 0, False),
        (100, 1, 0, False),
        (100, 0, 10, True),
        (99, 0, 10, False),
        (109, 0, 10, True),
        (110, 0, 10, False),
        (100, 5, 10, True),
        (90, 10, 10, False),
        (90, 11, 10, True),
        (90, 20, 10, True),
        (90, 21, 10, False),
        (109, 5, 10, True),
        (110, 5, 10, False),
        (90, 30, 10, False),
    ],
)
def test_the_four_cases_of_acceptability(start, length, window, expected):
    receiver = Receiver(Config())
    receiver.synchronise(5)
    receiver.nxt, receiver.edge = 100, 100 + window
    assert receiver.acceptable(start, length) is expected


@pytest.mark.parametrize(
    ("start", "payload", "read", "nxt", "dsack"),
    [
        (100, b"abcde", 5, 105, None),
        (100, b"abcdefghijkl", 10, 110, None),
        (98, b"abcde", 3, 103, (98, 100)),
        (90, b"abcde", 0, 100, (90, 95)),
        (95, b"abcde", 0, 100, (95, 100)),
        (103, b"abc", 0, 100, None),
        (109, b"abc", 0, 100, None),
        (110, b"abc", 0, 100, None),
    ],
)
def test_what_a_receiver_takes(start, payload, read, nxt, dsack):
    receiver = Receiver(Config())
    receiver.synchronise(5)
    receiver.nxt, receiver.edge = 100, 110
    assert receiver.take(start, payload) == read
    assert (receiver.nxt, receiver.dsack) == (nxt, dsack)
    assert bytes(receiver.ready) == payload[max(100 - start, 0) :][:read]


@pytest.mark.parametrize(
    ("start", "ack", "taken"), [(9, 51, False), (10, 49, False), (10, 50, True), (10, 51, True), (11, 40, True)]
)
def test_an_older_segment_does_not_change_the_window(start, ack, taken):
    sender = Sender(7, Config())
    sender.wl1, sender.wl2, sender.shift, sender.edge, sender.max_wnd = 10, 50, 2, 1000, 300
    assert sender.update_window(100, start, ack) is taken
    assert sender.edge == (ack + 400 if taken else 1000)
    assert sender.max_wnd == (400 if taken else 300)


def test_the_same_edge_is_no_update():
    sender = Sender(7, Config())
    sender.edge = 150
    assert not sender.update_window(100, 1, 50)
    assert sender.update_window(101, 1, 50)


@pytest.mark.parametrize(
    ("position", "base", "rest", "nxt"), [(1, 1, b"abcdef", 3), (3, 3, b"cdef", 3), (5, 5, b"ef", 5), (8, 7, b"", 8)]
)
def test_what_is_acknowledged_is_forgotten(position, base, rest, nxt):
    sender = Sender(7, Config())
    sender.data, sender.end, sender.nxt, sender.high = bytearray(b"abcdef"), 7, 3, 8
    sender.cuts, sender.pushes = [3, 5], [2, 5, 7]
    sender.acknowledge(position)
    assert (sender.una, sender.base, bytes(sender.data), sender.nxt) == (position, base, rest, nxt)
    assert sender.cuts == [each for each in (3, 5) if each > position]
    assert sender.pushes == [each for each in (2, 5, 7) if each > position]


# The options of a SYN, and the first congestion window.


@pytest.mark.parametrize(
    ("own", "peer", "options", "mss"),
    [
        ({}, (), (Mss(1000),), 1000),
        ({}, (), (Mss(0),), 1),
        ({}, (), (), 536),
        ({"default_mss": 1220}, (), (), 1220),
        ({"send_mss": 700}, (), (Mss(1000),), 700),
        ({"mss": 900}, (), (Mss(1000),), 900),
        ({"mss": 900, "send_mss": 1400}, (), (Mss(1000),), 1000),
    ],
)
def test_the_largest_payload_of_a_sender(own, peer, options, mss):
    assert answered(Config(iss=1, **own), options).snd.mss == mss


def answered(config, options):
    """A server that has answered a SYN with these options."""
    end = Endpoint(config, Random(1))
    end.listen()
    end.receive(Segment(seq=100, ctl=SYN, window=1000, options=options), 0)
    list(end.segments(0))
    return end


@pytest.mark.parametrize(
    ("own", "theirs", "send", "receive"),
    [(None, 7, 0, 0), (3, None, 0, 0), (3, 7, 7, 3), (0, 0, 0, 0), (3, 14, 14, 3), (3, 15, 14, 3), (3, 13, 13, 3)],
)
def test_a_scale_needs_both_syns(own, theirs, send, receive):
    end = answered(Config(iss=1, window_scale=own), () if theirs is None else (WindowScale(theirs),))
    assert (end.snd.shift, end.rcv.shift) == (send, receive)


@pytest.mark.parametrize(
    ("own", "peer", "stamps", "expected"),
    [
        ({}, 1460, False, 14600),
        ({}, 1460, True, 14480),
        ({}, 536, False, 5360),
        ({}, 4000, False, 14600),
        ({"initial_window": 1}, 4000, False, 4000),
        ({"initial_window": 3}, 1460, False, 4380),
        ({"initial_window": 2}, 8000, True, 15976),
    ],
)
def test_the_first_congestion_window(own, peer, stamps, expected):
    end = answered(
        Config(iss=1, mss=9000, timestamps=stamps, **own),
        (Mss(peer), Timestamps(5, 0)) if stamps else (Mss(peer),),
    )
    stamp = (Timestamps(6, end.stamps.last_ack),) if stamps else ()
    end.receive(Segment(seq=101, ack=2, ctl=ACK, window=1000, options=stamp), 0)
    assert end.state is State.ESTABLISHED
    assert end.control.cwnd == expected


# The ACK field (RFC 9293 section 3.10.7.4, fifth check; RFC 5961 section 5).


def sent(end, now):
    return [f"{control_names(out.segment.ctl)} {out.why}" for out in end.segments(now)]


@pytest.mark.parametrize(
    ("offset", "ctl", "state", "reply"),
    [
        (1, ACK, State.ESTABLISHED, []),
        (0, ACK, State.SYN_RECEIVED, ["RST"]),
        (2, ACK, State.SYN_RECEIVED, ["RST"]),
        (1, ACK | PSH, State.ESTABLISHED, []),
    ],
)
def test_only_the_ack_of_the_syn_opens(offset, ctl, state, reply):
    end = answered(Config(iss=MASK), (Mss(1000),))
    end.receive(Segment(seq=101, ack=add(MASK, offset), ctl=ctl, window=1000), 0)
    assert end.state is state
    assert [each.split()[0] for each in sent(end, 0)] == reply


@pytest.mark.parametrize(
    ("ack", "challenged"),
    [(0, False), (1, False), (-999, False), (-1000, True), (11, False), (12, True)],
)
def test_an_ack_outside_the_window_is_challenged(ack, challenged):
    end = answered(Config(iss=MASK, congestion=None), (Mss(1000),))
    end.receive(Segment(seq=101, ack=0, ctl=ACK, window=1000), 0)
    end.send(bytes(10), 0)
    list(end.segments(0))
    before = end.snd.una
    end.receive(Segment(seq=101, ack=add(MASK, ack), ctl=ACK, window=1000), 0)
    assert any("challenge" in each for each in sent(end, 0)) is challenged
    assert end.snd.una == max(before, ack if not challenged else before)


@pytest.mark.parametrize(
    ("state", "seq", "ack", "opens"),
    [("right", 0, 1, True), ("seq", 1, 1, False), ("ack", 0, 0, False), ("ack beyond", 0, 2, False)],
)
def test_the_syn_ack_of_a_simultaneous_open(state, seq, ack, opens):
    end = Endpoint(Config(iss=50), Random(1))
    end.open(0)
    list(end.segments(0))
    end.receive(Segment(seq=900, ctl=SYN, window=1000), 0)
    assert end.state is State.SYN_RECEIVED
    list(end.segments(0))
    end.receive(Segment(seq=900 + seq, ack=50 + ack, ctl=SYN | ACK, window=1000), 0)
    assert (end.state is State.ESTABLISHED) is opens
    assert not [each for each in sent(end, 0) if each.startswith("RST")]


# When data is worth a segment (RFC 9293 sections 3.7.4 and 3.8.6.2.1).


@pytest.mark.parametrize(
    ("nagle", "close", "first", "second", "sizes"),
    [
        (True, False, 100, 50, [100]),
        (False, False, 100, 50, [100, 50]),
        (True, True, 100, 50, [100, 50]),
        (True, False, 100, 1000, [100, 1000]),
        (True, False, 100, 999, [100]),
        (True, False, 1000, 1, [1000]),
        (True, False, 0, 1, [1]),
    ],
)
def test_nagle_waits_with_less_than_a_segment(nagle, close, first, second, sizes):
    end = answered(Config(iss=1, nagle=nagle), (Mss(1000),))
    end.receive(Segment(seq=101, ack=2, ctl=ACK, window=20_000), 0)
    found = []
    for size in (first, second):
        end.send(bytes(size), 0)
        if size is second and close:
            end.close(0)
        found += [len(out.segment.payload) for out in end.segments(0)]
    assert [size for size in found if size] == sizes


@pytest.mark.parametrize(("window", "sizes"), [(499, []), (500, [500]), (999, [999]), (1000, [1000])])
def test_half_of_the_largest_window_is_worth_a_segment(window, sizes):
    end = answered(Config(iss=1), (Mss(1200),))
    end.receive(Segment(seq=101, ack=2, ctl=ACK, window=1000), 0)
    end.receive(Segment(seq=101, ack=2, ctl=ACK, window=window), 0)
    end.send(bytes(3000), 0)
    assert [len(out.segment.payload) for out in end.segments(0)] == sizes


@pytest.mark.parametrize(("window", "octets", "last"), [(100, 100, PSH), (101, 100, PSH | FIN), (1000, 100, PSH | FIN)])
def test_the_fin_needs_room_in_the_window(window, octets, last):
    end = answered(Config(iss=1), (Mss(1200),))
    end.receive(Segment(seq=101, ack=2, ctl=ACK, window=window), 0)
    end.send(bytes(100), 0)
    end.close(0)
    (out,) = end.segments(0)
    assert (len(out.segment.payload), out.segment.ctl) == (octets, ACK | last)


def test_a_reset_at_exactly_rcv_nxt():
    pair = ConnectionPair().connect()
    for offset, state in ((1, State.ESTABLISHED), (-1, State.ESTABLISHED), (0, State.CLOSED)):
        pair.client.receive(Segment(seq=add(301, offset), ctl=RST), pair.now)
        assert pair.client.state is state
