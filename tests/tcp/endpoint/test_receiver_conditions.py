"""What a receiver offers and acknowledges, each condition by itself.

RFC 9293 sections 3.8.6.2.2 and 3.8.6.3; where it leaves something open, the habits of `Config`, with the numbers of Linux 6.18
(net/ipv4/tcp_input.c, tcp_output.c).
"""

from random import Random

import pytest

from labkit.tcp.endpoint import Config, Endpoint
from labkit.tcp.endpoint.receiver import Receiver
from labkit.tcp.options import FastOpen, Mss
from labkit.tcp.segment import SYN, Segment

MSS = 1460


def receiver(known: dict[str, object] | None = None, **habits: object) -> Receiver:
    """A receiver that has synchronised, with these fields and habits."""
    made = Receiver(Config(**{"mss": MSS} | habits))
    made.synchronise(0)
    for name, value in (known or {}).items():
        assert hasattr(made, name), name
        setattr(made, name, value)
    return made


# A window that grows: `scaling_ratio` is 256 * octets / truesize, 128 before the first segment (tcp_measure_rcv_mss).
GROWING = {"window_growth": 2, "window": 1 << 20, "window_scale": 7}


@pytest.mark.parametrize(
    ("octets", "habits", "buffer"),
    [
        (1023, {}, 65535),
        (1024, {}, 65535 * 113 // 128),
        (1460, {}, 65535 * 162 // 128),
        (1460, {"window_growth": 0, "window": 65535}, 65535),
    ],
)
def test_a_large_segment_tells_how_much_memory_segments_take(octets, habits, buffer):
    made = receiver(**GROWING | habits)
    made.grow(octets)
    assert made.buffer == buffer
    made.grow(1460)
    # Once large segments have come, the ratio is known.
    assert made.buffer == (65535 * 162 // 128 if octets < 1024 else buffer)


@pytest.mark.parametrize(
    ("known", "octets", "size"),
    [
        ({}, 1460, 65535 + 2 * 1460),
        ({"offered": 70_000}, 1460, 70_000 + 2 * 1460),
        ({"offered": 90_000}, 1460, 65535 * 162 // 128),  # no more than the buffer
        ({"seen": 1460, "buffer": 70_000}, 127, 65535),  # a small segment opens no window
        ({"seen": 1460, "buffer": 70_000}, 128, 65535 + 2 * 1460),
        ({"seen": 1024, "buffer": 70_000}, 128, 65535 + 2 * 1024),
        ({"seen": 1023, "buffer": 70_000}, 128, 65535),
        ({"seen": 1460, "buffer": 67_000}, 1460, 67_000),
        ({"seen": 1460, "buffer": 67_000, "ready": bytearray(1000)}, 1460, 66_000),
        ({"seen": 1460, "buffer": 67_000, "ready": bytearray(5000)}, 1460, 65535),
    ],
)
def test_a_segment_in_order_opens_the_window(known, octets, size):
    made = receiver(known, **GROWING)
    made.grow(octets)
    assert made.size == size


@pytest.mark.parametrize(
    ("known", "octets", "seen"),
    [({}, 535, 536), ({}, 537, 537), ({}, 1460, 1460), ({}, 9000, 1460), ({"seen": 1000}, 999, 1000)],
)
def test_the_largest_segment_so_far_is_at_most_what_was_asked_for(known, octets, seen):
    made = receiver(known, **GROWING)
    made.grow(octets)
    assert made.seen == seen


@pytest.mark.parametrize(
    ("before", "octets", "pushed", "after"),
    [
        (0, 536, False, 0),
        (0, 536, True, 1),
        (2, 536, True, 2),
        (0, 535, False, 1),
        (0, 535, True, 1),
        (1, 535, False, 2),
        (2, 535, False, 2),
    ],
)
def test_a_segment_that_may_end_a_write(before, octets, pushed, after):
    made = receiver({"pushed": before})
    made.grow(octets, pushed)
    assert made.pushed == after


@pytest.mark.parametrize(
    ("known", "most", "quick"),
    [
        ({"offered": 65535}, 16, 16),
        ({"offered": 16 * 2 * 1460}, 16, 16),
        ({"offered": 16 * 2 * 1460 - 1}, 16, 15),
        ({"offered": 4 * 1460}, 16, 2),
        ({"offered": 4 * 1460 - 1}, 16, 1),
        ({"offered": 2 * 1460}, 16, 1),
        ({"offered": 2 * 1460 - 1}, 16, 2),
        ({"offered": 1000}, 16, 2),
        ({"offered": 65535}, 1, 1),
        ({"offered": 65535}, 0, 0),
        ({"offered": 65535, "quick": 0}, 16, 0),
        ({"offered": 65535, "quick": 3}, 16, 3),
    ],
)
def test_the_first_acknowledgements_do_not_wait(known, most, quick):
    """tcp_incr_quickack: half of the segments that the window has room for, 16 at most; 2 where that is none."""
    made = receiver(known, quick_acks=most)
    made.grow(1460)
    assert made.quick == quick


@pytest.mark.parametrize(("most", "buffer", "quick"), [(16, 99_000, 1), (0, 99_000, 0), (16, 65_535, 0)])
def test_what_opens_the_window_is_acknowledged_at_once(most, buffer, quick):
    made = receiver({"seen": 1460, "buffer": buffer, "quick": 0}, quick_acks=most, **GROWING)
    made.grow(1460)
    assert made.quick == quick


@pytest.mark.parametrize(
    ("known", "habits", "rtt", "after"),
    [
        # Of 20,000 octets in a round trip: 2 * 20000 + 4 * 20000 * (20000 - 14600) / 14600 (tcp_rcv_space_adjust).
        ({}, {}, 100, ((200, 20_001), 20_000, 40_000 + 29_589)),
        ({}, {}, 101, ((100, 1), 14_600, 65_535)),
        ({}, {}, 99, ((200, 20_001), 20_000, 69_589)),
        ({}, {}, 0, ((100, 1), 14_600, 65_535)),
        ({}, {"window_growth": 0, "window": 65_535}, 100, ((100, 1), 14_600, 65_535)),
        ({"space": 20_000}, {}, 100, ((200, 20_001), 20_000, 65_535)),
        ({"space": 19_999}, {}, 100, ((200, 20_001), 20_000, 65_535)),
        ({"ready": bytearray(400)}, {}, 100, ((200, 19_601), 19_600, 39_200 + 26_849)),
        ({}, {"window": 68_000}, 100, ((200, 20_001), 20_000, 68_000)),
        ({"buffer": 80_000}, {}, 100, ((200, 20_001), 20_000, 80_000)),
    ],
)
def test_a_buffer_follows_what_is_read_in_a_round_trip(known, habits, rtt, after):
    made = receiver({"measured": (100, 1), "now": 200, "nxt": 20_001} | known, **GROWING | habits)
    made.read(rtt)
    assert (made.measured, made.space, made.buffer) == after


def test_without_a_round_trip_time_nothing_is_measured():
    """tcp_rcv_space_adjust returns while `rcv_rtt_est.rtt_us` is 0: here before the handshake is complete (RFC 7413)."""
    cookie = bytes(8)
    end = Endpoint(Config(iss=1, fast_open=cookie, window_growth=2), Random(1))
    end.listen()
    end.receive(Segment(seq=100, ctl=SYN, window=1000, payload=bytes(500), options=(Mss(1460), FastOpen(cookie))), 5)
    end.segments(5)
    before = end.rcv.measured, end.rcv.space
    assert end.read(200) == bytes(200)
    assert (end.rcv.measured, end.rcv.space) == before
    assert [end.read(0), end.read(299), end.read(), end.read()] == [b"", bytes(299), bytes(1), b""]


# Silly-window avoidance (section 3.8.6.2.2): a window opens by a full-sized segment, or half of a small buffer.


@pytest.mark.parametrize(
    ("window", "kept", "field"),
    [
        (10_000, 0, 10_000),
        (10_000, 8540, 1460),
        (10_000, 8541, 0),
        (1000, 500, 500),
        (1000, 501, 0),
        (2000, 1000, 1000),
        (2000, 1001, 0),
        (2920, 1460, 1460),
        (2921, 1461, 1460),
        (2922, 1462, 1460),
        (2922, 1463, 0),
    ],
)
def test_a_window_below_a_segment_is_not_opened(window, kept, field):
    made = receiver({"ready": bytearray(kept), "nxt": window + 1, "edge": window + 1}, window=window)
    assert made.offer() == field


@pytest.mark.parametrize(
    ("known", "habits", "field"),
    [
        ({}, {}, 10_000),
        ({}, {"round_window_up": True}, 10_000 - 10_000 % 536),
        ({"buffer": 0}, {"round_window_up": True}, 0),  # a buffer of one octet, once large segments need more memory
        ({"buffer": 1, "mss": 1}, {"round_window_up": True}, 1),
        ({"seen": 1460}, {"round_window_up": True}, 8760),
        ({"seen": 1460, "mss": 1000}, {"round_window_up": True}, 10_000),
        ({"shift": 3, "seen": 1460}, {"round_window_up": True, "window_scale": 3}, 1250),
        ({"shift": 4, "seen": 1460}, {"round_window_up": True, "window_scale": 4}, 625),
        ({"shift": 5, "seen": 1460}, {"round_window_up": True, "window_scale": 5}, 313),
        ({"shift": 5, "seen": 1460}, {"window_scale": 5}, 312),
    ],
)
def test_how_a_window_is_rounded(known, habits, field):
    """__tcp_select_window: whole segments without a scale; with one, up to the next multiple."""
    made = receiver({"edge": 1} | known, window=10_000, **habits)
    assert made.offer() == field
    assert made.edge == 1 + (field << made.shift)


def test_a_window_never_moves_left():
    made = receiver({"ready": bytearray(9000), "edge": 5001}, window=10_000)
    assert (made.offer(), made.edge) == (5000, 5001)
    made = receiver({"edge": 1 + 70_000}, window=65_535)
    assert (made.offer(), made.edge, made.offered) == (65_535, 70_001, 65_535)


@pytest.mark.parametrize(
    ("known", "habits", "due"),
    [
        ({"edge": 10_001}, {}, False),
        # Nearly closed: by a full-sized segment, or half of a small buffer.
        ({"edge": 1}, {}, True),
        ({"edge": 1, "ready": bytearray(8540)}, {}, True),
        ({"edge": 1, "ready": bytearray(8541)}, {}, False),
        ({"edge": 1460, "ready": bytearray(7081)}, {}, True),
        ({"edge": 1460, "ready": bytearray(7082)}, {}, False),
        # Open: by two segments, and with no acknowledgement that will carry it.
        ({"edge": 10_001 - 2920}, {}, True),
        ({"edge": 10_001 - 2919}, {}, False),
        ({"edge": 10_001 - 2920, "ack_at": 5}, {}, False),
        ({"edge": 10_001 - 2920, "unacked": 1}, {}, False),
        ({"edge": 1, "ack_at": 5, "unacked": 1}, {}, True),
        # Half of a small buffer.
        ({"edge": 1}, {"window": 1000}, True),
        ({"edge": 1, "ready": bytearray(500)}, {"window": 1000}, True),
        ({"edge": 1, "ready": bytearray(501)}, {"window": 1000}, False),
        ({"edge": 1 + 2001}, {"window": 4002}, True),
        ({"edge": 2 + 2001}, {"window": 4002}, False),
        # Twice as large (tcp_cleanup_rbuf).
        ({"edge": 5001}, {"update_when_doubled": True}, True),
        ({"edge": 5002}, {"update_when_doubled": True}, False),
        ({"edge": 5001, "ack_at": 5, "unacked": 1}, {"update_when_doubled": True}, True),
        ({"edge": 1, "ready": bytearray(8541)}, {"update_when_doubled": True}, False),
        ({"edge": 1, "ready": bytearray(8540)}, {"update_when_doubled": True}, True),
        ({"edge": 500}, {"update_when_doubled": True, "window": 1000}, True),
        ({"edge": 502}, {"update_when_doubled": True, "window": 1000}, False),
    ],
)
def test_when_a_window_update_is_worth_a_segment(known, habits, due):
    assert receiver(known, **{"window": 10_000} | habits).update_due() is due


# Acknowledgements that wait (section 3.8.6.3).


@pytest.mark.parametrize(
    ("known", "habits", "octets", "delay", "why", "at"),
    [
        ({}, {}, 2919, 40, None, 140),
        ({}, {}, 2920, 40, "ack", None),  # MUST-58: at least every second full-sized segment
        ({"unacked": 1460}, {}, 1460, 40, "ack", None),
        ({"unacked": 1460}, {}, 1459, 40, None, 140),
        ({}, {}, 1, None, "ack", None),
        ({"ack_at": 120}, {}, 1, 40, None, 120),
        ({"ack_at": 110}, {}, 1, 40, None, 110),
        ({"ack_at": 110}, {"ack_before_due": True}, 1, 40, "delayed-ack", 110),
        ({"ack_at": 111}, {"ack_before_due": True}, 1, 40, None, 111),
        ({}, {"ack_above_seen": True}, 536, 40, None, 140),
        ({}, {"ack_above_seen": True}, 537, 40, "ack", None),
        ({"quick": 1}, {}, 1, 40, "ack", None),
        ({"quick": 1, "interactive": True}, {}, 1, 40, None, 140),
        ({"quick": 0}, {}, 1, 40, None, 140),
        # __tcp_ack_snd_check: "We ACK each frame or ... can send window", if the window has not become smaller.
        ({"offered": 10_000}, {"ack_needs_reader": True}, 2920, 40, "ack", None),
        ({"offered": 10_001}, {"ack_needs_reader": True}, 2920, 40, None, 140),
        ({"offered": 10_001}, {}, 2920, 40, "ack", None),
        ({"offered": 10_016, "shift": 5}, {"ack_needs_reader": True, "window_scale": 5}, 2920, 40, "ack", None),
        ({"offered": 10_048, "shift": 5}, {"ack_needs_reader": True, "window_scale": 5}, 2920, 40, None, 140),
    ],
)
def test_an_acknowledgement_waits(known, habits, octets, delay, why, at):
    made = receiver(known, **{"window": 10_000} | habits)
    made.owe_delayed(octets, delay, 100)
    assert (made.ack_why, made.ack_at) == (why, at)


@pytest.mark.parametrize(("before", "after"), [(3, 2), (1, 0), (0, 0), (-1, 0)])
def test_each_acknowledgement_at_once_is_counted(before, after):
    made = receiver({"quick": before})
    made.owe_delayed(2920, 40, 0)
    assert made.quick == after


@pytest.mark.parametrize(
    ("known", "delay", "why", "at"),
    [
        ({}, None, "duplicate-ack", None),
        ({}, 30, "duplicate-ack", None),
        ({"duplicates": 2}, 30, "duplicate-ack", None),
        ({"duplicates": 3}, 30, None, 130),  # tcp_event_data_recv: compressed after the first three
        ({"duplicates": 3}, None, "duplicate-ack", None),
        ({"duplicates": 3, "ack_at": 131}, 30, None, 130),
        ({"duplicates": 3, "ack_at": 130}, 30, None, 130),
        ({"duplicates": 3, "ack_at": 129}, 30, None, 129),
    ],
)
def test_acknowledgements_of_what_came_out_of_order(known, delay, why, at):
    made = receiver(known)
    made.owe_duplicate("duplicate-ack", delay, 100)
    assert (made.ack_why, made.ack_at) == (why, at)
    assert made.duplicates == known.get("duplicates", 0) + 1


@pytest.mark.parametrize(
    ("known", "habits", "drained"),
    [
        ({"unacked": 537}, {"ack_when_read": True}, True),
        ({"unacked": 536}, {"ack_when_read": True}, False),
        ({"unacked": 537}, {}, False),
        ({"unacked": 537, "ready": bytearray(1)}, {"ack_when_read": True}, False),
        ({"pushed": 1}, {"ack_when_read": True}, True),
        ({"pushed": 1, "interactive": True}, {"ack_when_read": True}, False),
        ({"pushed": 2, "interactive": True}, {"ack_when_read": True}, True),
    ],
)
def test_an_acknowledgement_need_not_wait_once_all_is_read(known, habits, drained):
    """tcp_cleanup_rbuf."""
    assert receiver(known, **habits).drained() is drained


def test_the_first_reason_for_an_acknowledgement_counts():
    made = receiver()
    made.owe("duplicate-ack")
    made.owe("ack")
    assert made.ack_why == "duplicate-ack"


@pytest.mark.parametrize(
    ("start", "length", "ready", "habit", "acceptable"),
    [
        (91, 20, b"x", True, False),
        (91, 20, b"", True, True),
        (91, 20, b"x", False, True),
        (91, 10, b"x", True, True),
        (101, 0, b"x", True, False),
        (100, 0, b"x", True, True),
    ],
)
def test_a_segment_beyond_the_window_is_refused_while_octets_wait(start, length, ready, habit, acceptable):
    made = receiver({"ready": bytearray(ready)}, window=100, refuse_beyond_window=habit)
    assert made.acceptable(start, length) is acceptable


# An MSS below the least (RFC 9293 section 3.7.1; tcp_parse_options: 0 counts as no option).


@pytest.mark.parametrize(
    ("size", "least", "mss"),
    [(0, 48, 536), (1, 48, 48), (47, 48, 48), (48, 48, 48), (49, 48, 49), (0, 1, 1), (1, 1, 1)],
)
def test_the_smallest_segments_that_a_peer_may_ask_for(size, least, mss):
    end = Endpoint(Config(iss=1, least_mss=least), Random(1))
    end.listen()
    end.receive(Segment(seq=100, ctl=SYN, window=1000, options=(Mss(size),)), 0)
    assert end.snd.mss == mss
