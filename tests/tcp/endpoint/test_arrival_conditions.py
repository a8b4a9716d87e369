"""What arrives at an endpoint, and what it sends, each condition by itself."""

from random import Random

import pytest
from helpers import MS

from labkit.tcp.endpoint import Config, Endpoint, output
from labkit.tcp.endpoint.sender import Sender
from labkit.tcp.options import Mss, Sack, SackPermitted, Timestamps
from labkit.tcp.segment import ACK, FIN, PSH, RST, SYN, Segment
from labkit.tcp.seq import MASK

SIZE = 1000


def server(*, sack: bool = False, stamps: bool = False, **habits: object) -> Endpoint:
    """An established server: its first octet is number 0, the client's 101; a window of 20,000."""
    end = Endpoint(
        Config(**{"iss": MASK, "timestamps": stamps, "timestamp_offset": 0, "nagle": False} | habits), Random(1)
    )
    end.listen()
    options = (Mss(SIZE), *([SackPermitted()] if sack else []), *([Timestamps(1, 0)] if stamps else []))
    end.receive(Segment(seq=100, ctl=SYN, window=20_000, options=options), 0)
    end.segments(0)
    arrive(end, 0)
    return end


def arrive(end: Endpoint, now: int, **more: object) -> list[str]:
    """A segment from the client; why the endpoint answers it at once."""
    options = (Timestamps(2, 0),) if end.stamps.agreed else ()
    known = {"seq": 101, "ack": 0, "ctl": ACK, "window": 20_000, "options": options} | more
    end.receive(Segment(**known), now)
    return [out.why for out in end.segments(now)]


# RFC 5961 section 7: answers to unacceptable segments are throttled, but not those to data.

OUTSIDE = {"seq": 90}


@pytest.mark.parametrize(
    ("interval", "later", "first", "second", "answers"),
    [
        (500, 499, {}, {}, [1, 0]),
        (500, 500, {}, {}, [1, 1]),
        (500, 0, {}, {}, [1, 0]),
        (0, 0, {}, {}, [1, 1]),
        (500, 499, {}, {"payload": b"x"}, [1, 1]),
        (500, 499, {"payload": b"x"}, {}, [1, 1]),  # that answer does not count
        (500, 499, {}, {"ctl": FIN | ACK}, [1, 1]),
        (500, 499, {}, {"ctl": SYN | ACK}, [1, 0]),
        (500, 499, {"ctl": SYN | ACK}, {}, [1, 0]),
        (500, 499, {}, {"ctl": RST | ACK}, [1, 0]),
        (500, 499, {"ctl": RST | ACK}, {}, [0, 1]),
    ],
)
def test_answers_to_unacceptable_segments_are_throttled(interval, later, first, second, answers):
    end = server(answer_interval=interval * MS)
    found = [arrive(end, 1000 * MS, **OUTSIDE | first), arrive(end, (1000 + later) * MS, **OUTSIDE | second)]
    assert [len(each) for each in found] == answers


# A segment of old octets that ends where the last acknowledgement stands (tcp_sequence of Linux).


@pytest.mark.parametrize(
    ("habit", "seq", "length", "ctl", "used"),
    [
        (True, 101, 10, ACK, True),
        (False, 101, 10, ACK, False),
        (True, 101, 9, ACK, False),
        (True, 91, 10, ACK, False),
        (True, 110, 1, ACK, True),
        (True, 101, 10, ACK | PSH, True),
        (True, 101, 10, ACK | SYN, False),
        (True, 101, 9, ACK | FIN, False),
    ],
)
def test_old_octets_that_end_at_the_last_acknowledgement_bring_their_ack(habit, seq, length, ctl, used):
    end = server(accept_repeated_end=habit, delayed_ack=None)
    assert arrive(end, 0, payload=bytes(10)) == ["ack"]
    end.send(bytes(500), 0)
    end.segments(0)
    before = end.snd.una
    arrive(end, 0, seq=seq, payload=bytes(length), ctl=ctl, ack=500)
    assert (end.snd.una, end.state.name) == (before + 500 if used else before, "ESTABLISHED")


# Duplicate ACKs without RACK (RFC 5681 section 2; RFC 6675 section 2).


@pytest.mark.parametrize(
    ("sack", "segments", "duplicates"),
    [
        (False, [{}] * 2, 2),
        (False, [{}, {"payload": b"x"}], 1),
        (False, [{}, {"window": 20_001}], 1),
        (False, [{"ack": 1000}], 0),
        (False, [{}, {"ctl": ACK | FIN}], 1),
        (True, [{}] * 2, 0),  # with SACK, an ACK without news is none
    ],
)
def test_what_counts_as_a_duplicate_ack(sack, segments, duplicates):
    end = server(sack=sack)
    end.send(bytes(3 * SIZE), 0)
    end.segments(0)
    for number, more in enumerate(segments):
        arrive(end, number * MS, **more)
    assert end.recovery.duplicates == duplicates


def test_nothing_under_way_makes_no_duplicate_ack():
    end = server()
    arrive(end, 0)
    arrive(end, 1)
    assert end.recovery.duplicates == 0


@pytest.mark.parametrize(("count", "cause"), [(2, None), (3, "fast")])
def test_the_third_duplicate_shows_a_loss(count, cause):
    end = server()
    end.send(bytes(6 * SIZE), 0)
    end.segments(0)
    found = [arrive(end, number * MS) for number in range(1, count + 1)]
    assert end.recovery.cause == cause
    assert found[-1] == (["retransmission-fast"] if cause else [])


# The persist timer (RFC 9293 section 3.8.6.1).


@pytest.mark.parametrize(
    ("window", "queued", "close", "runs"),
    [(0, 10, False, True), (0, 0, True, True), (0, 0, False, False), (10, 10, False, False), (10, 20, False, True)],
)
def test_the_persist_timer_runs_while_only_the_window_prevents_sending(window, queued, close, runs):
    """Also a window that is not worth a segment: below half of the largest one (section 3.8.6.2.1)."""
    end = server()
    arrive(end, 0, window=window)
    end.send(bytes(queued), 0)
    if close:
        end.close(0)
    end.segments(0)
    assert (end.timers.persist_at is not None) is runs


def test_the_persist_timer_backs_off():
    end = server(rto_min=1000 * MS, rto_max=3000 * MS)
    arrive(end, 0, window=0)
    end.send(bytes(10), 0)
    end.segments(0)
    waits, now = [], 0
    for _ in range(4):
        waits.append((end.timers.persist_at - now) // MS)
        now = end.timers.persist_at
        end.handle_timeout(now)
        (out,) = end.segments(now)
        assert (out.why, out.segment.payload, out.segment.seq) == ("zero-window-probe", bytes(1), 0)
        arrive(end, now, window=0)
    assert waits == [1000, 2000, 3000, 3000]


# Segments that wait: Nagle's rule and its variants (RFC 9293 section 3.7.4).


@pytest.mark.parametrize(
    ("habits", "sends", "sizes"),
    [
        ({"nagle": True}, [1500, 10], [1000]),  # the rest waits for the acknowledgement of the first
        ({"nagle": True}, [10, 1500], [10, 1000]),
        ({"nagle": True}, [10, 10], [10]),
        ({}, [10, 10], [10, 10]),
        ({"nagle": True, "minshall": True}, [1000, 10], [1000, 10]),  # the full-sized one does not count
        ({"nagle": True, "minshall": True}, [10, 1000], [10, 1000]),
        ({"nagle": True, "minshall": True}, [10, 10], [10]),
        ({"nagle": True, "minshall": True}, [1500, 10], [1000, 500]),
        ({"minshall": True}, [10, 10], [10, 10]),
    ],
)
def test_which_small_segments_wait(habits, sends, sizes):
    end = server(**habits)
    found = []
    for size in sends:
        end.send(bytes(size), 0)
        found += [len(out.segment.payload) for out in end.segments(0)]
    assert found == sizes


@pytest.mark.parametrize(("more", "close", "sizes"), [(True, False, []), (False, False, [10]), (True, True, [10])])
def test_octets_that_are_not_pushed_wait_for_more(more, close, sizes):
    """RFC 9293 section 3.9.1.2."""
    end = server()
    end.send(bytes(10), 0, more=more)
    if close:
        end.close(0)
    assert [len(out.segment.payload) for out in end.segments(0)] == sizes


# What the congestion window lets out beyond whole bursts (tcp_tso_should_defer).

BURST = {"defer_partial_bursts": True, "reordering_timer": True, "initial_window": 10}


@pytest.mark.parametrize(
    ("under_way", "since", "queued", "leave"),
    [
        # Three of ten segments are free: less than a third, and less than a burst of five.
        (7, MS, 5, 0),
        (7, MS + 1, 5, 3),  # "Avoid bursty behavior by allowing defer only if the last write was recent (1 ms)"
        (7, 0, 5, 0),
        (6, MS, 5, 4),  # a third or more
        (7, MS, 1, 1),  # all that is queued
        (7, MS, 2, 0),
    ],
)
def test_a_part_of_a_burst_waits(under_way, since, queued, leave):
    end = server(sack=True, **BURST)
    assert end.control.cwnd == 10 * SIZE
    now = 100 * MS
    end.rtt.srtt = None
    for _ in range(under_way):
        end.send(bytes(SIZE), now)
    assert len(end.segments(now)) == under_way
    end.send(bytes(queued * SIZE), now + since)
    assert len(end.segments(now + since)) == leave


# Timeouts and fast retransmissions without RACK.


@pytest.mark.parametrize(
    ("point", "sack", "cause"),
    [(-1, False, "fast"), (0, False, None), (1, False, None), (None, False, "fast"), (0, True, "fast")],
)
def test_duplicates_of_an_earlier_recovery_start_none(point, sack, cause):
    """RFC 6582 section 3.2, step 2: the ACK must cover more than "recover". Here: SND.UNA + `point`; None: no recovery yet."""
    end = server(sack=sack)
    arrive(end, 0, ack=0)
    end.send(bytes(3 * SIZE), 0)
    end.segments(0)
    arrive(end, 1, ack=SIZE)
    end.send(bytes(5 * SIZE), 1)
    end.segments(1)
    end.recovery.point = 0 if point is None else end.snd.una + point
    for number in range(3):
        low = (3 + number) * SIZE
        more = {"options": (Sack(((low, low + SIZE),)),)} if sack else {}
        arrive(end, 2 + number, ack=SIZE, **more)
    assert end.recovery.cause == cause


@pytest.mark.parametrize(("size", "duplicates"), [(0, 0), (1, 1), (SIZE, 1)])
def test_a_sack_block_of_one_octet_is_news(size, duplicates):
    end = server(sack=True)
    end.send(bytes(6 * SIZE), 0)
    end.segments(0)
    arrive(end, 1, options=(Sack(((3 * SIZE, 3 * SIZE + size),)),))
    assert end.recovery.duplicates == duplicates
    arrive(end, 2, options=(Sack(((3 * SIZE, 3 * SIZE + size),)),))
    assert end.recovery.duplicates == duplicates


def test_slow_start_follows_a_timeout():
    """RFC 5681 sections 3.1: one segment after a timeout, then one more for each ACK; the threshold is reduced once."""
    end = server(initial_window=8)
    end.send(bytes(8 * SIZE), 0)
    end.segments(0)
    end.handle_timeout(end.timers.rto_at)
    assert (end.control.cwnd, end.control.ssthresh) == (SIZE, 4 * SIZE)
    end.segments(1)
    end.handle_timeout(end.timers.rto_at)
    assert (end.control.cwnd, end.control.ssthresh) == (SIZE, 4 * SIZE)
    end.segments(2)
    now = end.timers.rto_at - 1
    arrive(end, now, ack=2 * SIZE)
    assert (end.control.cwnd, end.recovery.cause) == (2 * SIZE, "timeout")
    # After progress, another timeout is a new one: half of the six segments that are under way.
    end.handle_timeout(end.timers.rto_at)
    assert (end.control.cwnd, end.control.ssthresh) == (SIZE, 3 * SIZE)
    arrive(end, now, ack=8 * SIZE)
    assert end.recovery.cause is None


@pytest.mark.parametrize("habit", [False, True])
def test_a_peer_that_answers_no_keep_alive(habit):
    second = 1000 * MS
    end = server(keep_alive=second, keep_alive_interval=second, keep_alive_probes=2, rst_after_keep_alives=habit)
    found = []
    while (now := end.timeout()) is not None:
        end.handle_timeout(now)
        found.append((now // second, [out.why for out in end.segments(now)]))
    assert found == [(1, ["keep-alive"]), (2, ["keep-alive"]), (3, ["rst"] if habit else [])]
    assert end.state.name == "CLOSED"


@pytest.mark.parametrize(
    ("before", "low", "high", "timed"),
    [(None, 5, 9, (9, 70)), (None, 5, 5, None), ((4, 60), 5, 9, (4, 60)), ((4, 60), 5, 5, (4, 60))],
)
def test_one_segment_is_timed(before, low, high, timed):
    sender = Sender(0, Config())
    sender.timed = before
    sender.sent(low, high, 70)
    assert sender.timed == timed


def test_no_data_before_the_handshake_is_complete():
    end = Endpoint(Config(iss=MASK), Random(1))
    end.listen()
    end.receive(Segment(seq=100, ctl=SYN, window=20_000, options=(Mss(SIZE),)), 0)
    end.send(bytes(10), 0)
    assert [out.why for out in end.segments(0)] == ["syn-ack"]
    assert end.segments(0) == []
    end.receive(Segment(seq=101, ack=0, ctl=ACK, window=20_000), 0)
    assert [out.why for out in end.segments(0)] == ["data"]


@pytest.mark.parametrize(
    ("cwnd", "threshold", "srtt", "segments"),
    [
        (100, 1 << 30, None, 50),  # half of the window
        (1, 1 << 30, None, 1),
        (100, 1 << 30, 10_000 * MS, 2),
        # Slow start: twice the window in a round trip, of which a 1024th of a second is a burst; beside it what a short
        # round trip adds (tcp_tso_autosize: 65536 >> (rtt / 512 us)).
        (1000, 1 << 30, 100 * MS, 1000 * SIZE * 2 * 10 // 1024 // SIZE),
        (1000, 1500 * SIZE, 100 * MS, 1000 * SIZE * 12 // 1024 // SIZE),
        (1000, 2000 * SIZE, 100 * MS, 1000 * SIZE * 12 // 1024 // SIZE),
        (1000, 2002 * SIZE, 100 * MS, 1000 * SIZE * 20 // 1024 // SIZE),
        (40, 1, 4 * MS, (40 * SIZE * 300 // 1024 + (65536 >> 7)) // SIZE),
    ],
)
def test_the_size_of_a_burst(cwnd, threshold, srtt, segments):
    """tcp_update_pacing_rate: 200 % of the window in slow start, 120 % after it."""
    end = server()
    end.control.cwnd, end.control.ssthresh, end.rtt.srtt = cwnd * SIZE, threshold, srtt
    assert output._burst(end, SIZE) == segments


@pytest.mark.parametrize(
    ("habits", "later", "interactive"),
    [
        ({}, 39, True),
        ({}, 40, False),  # no answer: the delayed acknowledgement has gone out meanwhile
        ({}, 0, True),
        ({"interactive_acks": False}, 0, False),
        ({"delayed_ack": None}, 0, False),
    ],
)
def test_data_that_answers_data(habits, later, interactive):
    """tcp_event_data_sent: "If it is a reply for ato after last received packet, enter pingpong mode"."""
    end = server(**{"interactive_acks": True, "delayed_ack": 40 * MS} | habits)
    arrive(end, 100 * MS, payload=bytes(10))
    end.send(bytes(10), (100 + later) * MS)
    assert [out.why for out in end.segments((100 + later) * MS)][:1] == ["data"]
    assert end.rcv.interactive is interactive


def test_data_that_answers_nothing():
    end = server(interactive_acks=True)
    end.send(bytes(10), 0)
    end.segments(0)
    assert not end.rcv.interactive
