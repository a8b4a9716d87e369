"""What an ACK or a timer does in a state that is written down: fields of the endpoint's parts, and marks of its segments.

RFC 9937, 3708, 4015 and 5682; where they leave something open, Linux 6.18 decides (net/ipv4/tcp_input.c).
"""

import pytest
from helpers import MS
from rack_server import RTT, SIZE, acknowledge, at, server

from labkit.tcp.endpoint import Endpoint, by_time
from labkit.tcp.endpoint.rack import CWR, DISORDER, LOSS, OPEN, RECOVERY
from labkit.tcp.segment import ACK, ECE
from labkit.tcp.seq import MASK, add

REPORTED, GONE, AGAIN = "reported", "lost", "sent again"
Fields = dict[str, object]


def situation(known: Fields, marks: dict[int, str], count: int = 6, **habits: object) -> Endpoint:
    """A server with 6 segments under way, a congestion window of 10 and a threshold of 4; then these fields and marks."""
    end = server(count, **habits)
    queue = list(end.rack.board)
    for number, mark in marks.items():
        if mark == REPORTED:
            end.rack.board.report(queue[number])
        else:
            end.rack.lose(queue[number])
            if mark == AGAIN:
                end.rack.resent(queue[number], 0, 0)
    for name, value in ({"control.ssthresh": 4 * SIZE, "rack.advanced": False} | known).items():
        part, _, field = name.partition(".")
        setattr(getattr(end, part), field, value)
    return end


def fields(end: Endpoint, names: Fields) -> Fields:
    return {name: getattr(getattr(end, name.partition(".")[0]), name.partition(".")[2]) for name in names}


REDUCED_ONCE = {
    "control.ssthresh": 5 * SIZE,
    "rack.prior_ssthresh": 7500,
    "rack.prior_window": 10 * SIZE,
    "rack.undo_from": 1,
}
KEPT = {"control.ssthresh": 4 * SIZE, "rack.prior_ssthresh": 0, "rack.undo_from": None}


@pytest.mark.parametrize(
    ("known", "marks", "after"),
    [
        ({"rack.state": OPEN}, {}, REDUCED_ONCE),
        ({"rack.state": OPEN, "timers.retries": 2}, {}, REDUCED_ONCE),
        ({"rack.state": DISORDER}, {}, REDUCED_ONCE),
        ({"rack.state": CWR, "rack.high": at(6)}, {}, KEPT),
        ({"rack.state": CWR, "rack.high": 2}, {}, KEPT),
        # That reduction is over; it had come to a threshold of 4 segments.
        ({"rack.state": CWR, "rack.high": 1}, {}, REDUCED_ONCE | {"rack.prior_ssthresh": 4 * SIZE}),
        ({"rack.state": RECOVERY, "rack.high": 1}, {}, REDUCED_ONCE | {"rack.prior_ssthresh": 4 * SIZE}),
        ({"rack.state": RECOVERY, "rack.high": at(6)}, {}, KEPT),
        ({"rack.state": LOSS, "rack.high": at(6), "timers.retries": 2}, {}, KEPT),
        ({"rack.state": LOSS, "rack.high": at(6), "timers.retries": 1}, {}, REDUCED_ONCE),
        ({"control.cwnd": 11_500}, {}, {"control.ssthresh": 5 * SIZE}),  # whole segments
        ({"control.ssthresh": 9 * SIZE}, {}, {"rack.prior_ssthresh": 9 * SIZE}),
        # "The degree of reordering is over-estimated" where three reports have not led to a recovery.
        ({"rack.state": DISORDER, "rack.degree": 9}, {2: REPORTED, 3: REPORTED, 4: REPORTED}, {"rack.degree": 3}),
        (
            {"rack.state": OPEN, "rack.degree": 9},
            {2: REPORTED, 3: REPORTED, 4: REPORTED, 5: REPORTED},
            {"rack.degree": 3},
        ),
        ({"rack.state": DISORDER, "rack.degree": 9}, {2: REPORTED, 3: REPORTED}, {"rack.degree": 9}),
        ({"rack.state": CWR, "rack.degree": 9}, {2: REPORTED, 3: REPORTED, 4: REPORTED}, {"rack.degree": 9}),
        # RFC 5682 section 3.1, step 1: not for a first timeout within a recovery.
        ({"rack.state": CWR, "rack.high": at(6)}, {}, {"rack.try_new": True}),
        ({"rack.state": RECOVERY, "rack.high": at(6)}, {}, {"rack.try_new": False}),
        ({"rack.state": RECOVERY, "rack.high": at(6), "timers.retries": 2}, {}, {"rack.try_new": True}),
        ({"rack.probe_end": at(6)}, {}, {"rack.probe_end": None}),
        # One segment more than what may still be in the network.
        ({}, {}, {"control.cwnd": SIZE, "rack.losses": 6, "rack.send": "lost", "rack.high": at(6), "rack.state": LOSS}),
        ({}, {2: REPORTED}, {"control.cwnd": SIZE, "rack.losses": 5}),
        ({"rack.rtt": RTT + 1}, {}, {"control.cwnd": 6 * SIZE, "rack.losses": 1}),
    ],
)
def test_a_timeout(known, marks, after):
    """tcp_enter_loss."""
    end = situation({"timers.retries": 1} | known, marks)
    by_time.timed_out(end, RTT)
    assert fields(end, after) == after


@pytest.mark.parametrize("ecn", [False, True])
def test_a_timeout_announces_the_reduction(ecn):
    end = situation({"timers.retries": 1}, {}, ecn=ecn)
    by_time.timed_out(end, RTT)
    assert end.ecn.reduced is ecn
    assert not situation({}, {}, ecn=ecn).ecn.reduced


def test_a_timeout_of_a_stack_that_does_not_look_for_spurious_ones():
    end = situation({"timers.retries": 1}, {}, detect_spurious_timeouts=False)
    by_time.timed_out(end, RTT)
    assert end.rack.try_new is False


@pytest.mark.parametrize(
    ("known", "after"),
    [
        # Segment 1 arrived with a round trip of 20 ms; a quarter of that is the reordering window.
        ({}, {"rack.state": RECOVERY, "control.ssthresh": 5 * SIZE, "timers.reordering_at": None, "rack.send": "lost"}),
        ({"rack.state": CWR, "rack.prior_window": 10 * SIZE}, {"rack.state": RECOVERY, "control.ssthresh": 4 * SIZE}),
        (
            {"rack.state": RECOVERY, "rack.round_out": 3},
            {"control.ssthresh": 4 * SIZE, "rack.round_out": 3, "rack.send": "lost"},
        ),
        ({"rack.latest": 1}, {"rack.state": OPEN, "rack.send": "", "control.ssthresh": 4 * SIZE}),
        ({"rack.rtt": RTT + MS, "rack.seen_reordering": True}, {"timers.reordering_at": 2 * RTT + 8 * MS - RTT}),
    ],
)
def test_the_reordering_timer(known, after):
    end = situation({"rack.latest": 3, "rack.rtt": RTT, "rtt.least": RTT, "rtt.srtt": RTT} | known, {1: REPORTED})
    by_time.overtaken(end, 2 * RTT if "rack.rtt" not in known else RTT)
    assert fields(end, after) == after


@pytest.mark.parametrize(
    ("known", "due"),
    [({"rtt.rto": 500}, 501), ({"rtt.rto": 400}, 401), ({"rtt.rto": 10**9}, 10**9)],
)
def test_a_second_probe_waits_for_the_timeout(known, due):
    end = situation({"rack.probe_end": at(6)} | known, {})
    by_time.probed(end, 500 if due == 501 else 400)
    assert end.timers.rto_at == due
    assert end.rack.probe_end == at(6)
    assert end.replies == []


def test_a_probe_is_new_data_where_there_is_some():
    """RFC 8985 section 7.3: "transmit the lowest-sequence packet of unsent data"."""
    end = server(4)
    end.control.cwnd = 4 * SIZE
    end.send(bytes(SIZE + 1), RTT)
    assert [out for out in end.segments(RTT) if out.segment.payload] == []
    by_time.probed(end, 3 * RTT)
    assert [(out.why, len(out.segment.payload)) for out in end.replies] == [("data", SIZE)]
    assert (end.rack.probe_is_old, end.rack.probe_end, end.timers.rto_at) == (False, at(5), 3 * RTT + end.rtt.rto)
    end = server(4)
    end.snd.edge = at(4) + SIZE - 1
    end.send(bytes(SIZE), RTT)
    end.control.cwnd = 4 * SIZE
    end.segments(RTT)
    by_time.probed(end, 3 * RTT)  # the window has no room for it
    assert [(out.why, out.segment.seq) for out in end.replies] == [("tail-loss-probe", add(MASK, at(3)))]


GROWS = {"rack.limited": False, "rack.most_out": 6, "control.ssthresh": 1 << 30}


@pytest.mark.parametrize(
    ("known", "number", "cwnd", "counted"),
    [
        # tcp_is_cwnd_limited: in slow start while less than twice of what was under way.
        ({}, 1, 11 * SIZE, 0),
        ({}, 3, 13 * SIZE, 0),
        ({"rack.most_out": 5}, 1, 10 * SIZE, 0),
        ({"rack.most_out": 5, "rack.limited": True}, 1, 11 * SIZE, 0),
        # Up to the threshold; the rest of the segments counts for congestion avoidance.
        ({"control.ssthresh": 11 * SIZE}, 3, 11 * SIZE, 2 * SIZE),
        ({"control.ssthresh": 13 * SIZE}, 3, 13 * SIZE, 0),
        ({"control.ssthresh": 10 * SIZE}, 1, 10 * SIZE, 0),
        ({"control.ssthresh": 10 * SIZE, "rack.limited": True}, 1, 10 * SIZE, SIZE),
        ({"control.ssthresh": 10 * SIZE + 1, "rack.limited": True}, 1, 10 * SIZE + 1, SIZE),
    ],
)
def test_a_window_grows_where_it_is_used(known, number, cwnd, counted):
    end = situation(GROWS | known, {})
    acknowledge(end, at(number), RTT)
    assert (end.control.cwnd, end.control.counted) == (cwnd, counted)


ENDS = {
    "rack.high": at(3),
    "control.cwnd": 8 * SIZE,
    "rack.prior_window": 10 * SIZE,
    "rack.undo_from": 1,
    "rack.undo_left": 2,
}
ENDS |= {"rack.first_resent": 0, "rack.persist": 7}


@pytest.mark.parametrize(
    ("known", "number", "after"),
    [
        # "CWR is to be held until something above high_seq is ACKed, for the CWR bit to reach the receiver."
        ({"rack.state": CWR}, 4, {"rack.state": OPEN, "control.cwnd": 4 * SIZE, "rack.persist": 7}),
        ({"rack.state": CWR}, 3, {"rack.state": CWR, "rack.persist": 7}),
        ({"rack.state": RECOVERY}, 3, {"rack.state": OPEN, "control.cwnd": 4 * SIZE, "rack.persist": 6}),
        ({"rack.state": RECOVERY}, 2, {"rack.state": RECOVERY, "rack.persist": 7}),
        ({"rack.state": RECOVERY, "rack.persist": 0}, 3, {"rack.state": OPEN, "rack.persist": 0}),
        # Undone: each retransmission came as a duplicate.
        (
            {"rack.state": RECOVERY, "rack.undo_left": 0, "rack.prior_ssthresh": 7 * SIZE},
            3,
            {"rack.state": OPEN, "control.cwnd": 10 * SIZE, "control.ssthresh": 7 * SIZE, "rack.undo_from": None},
        ),
        ({"rack.state": LOSS}, 3, {"rack.state": OPEN, "rack.persist": 6}),
        ({"rack.state": LOSS}, 2, {"rack.state": LOSS, "rack.persist": 7, "rack.send": "lost"}),
        (
            {"rack.state": LOSS, "rack.undo_left": 0, "rack.prior_ssthresh": 7 * SIZE, "timers.retries": 3},
            2,
            {"rack.state": OPEN, "control.ssthresh": 7 * SIZE, "rack.undo_from": None, "timers.retries": 0},
        ),
    ],
)
def test_a_state_ends(known, number, after):
    """tcp_fastretrans_alert, tcp_try_undo_recovery, tcp_process_loss."""
    end = situation(ENDS | known, {})
    acknowledge(end, at(number), RTT)
    assert fields(end, after) == after


LOOKS = {"rack.state": LOSS, "rack.try_new": True, "rack.undo_from": 1, "rack.undo_left": 1, "rack.first_resent": 0}


@pytest.mark.parametrize(
    ("known", "marks", "number", "blocks", "queued", "after"),
    [
        # Step 2, b: the first ACK acknowledges the retransmission: new data leaves, if there is some.
        ({}, {0: AGAIN}, 1, (), True, {"rack.send": "new", "rack.try_new": True, "rack.high": at(6)}),
        ({}, {0: AGAIN}, 1, (), False, {"rack.send": "lost", "rack.try_new": False, "rack.state": LOSS}),
        # Step 2, a: a duplicate ACK: the timeout was no error.
        ({}, {0: AGAIN}, 0, (), True, {"rack.send": "lost", "rack.try_new": True, "rack.state": LOSS}),
        # Step 3, b: what was sent once has arrived.
        ({"rack.high": at(6)}, {0: AGAIN}, 2, (), True, {"rack.state": OPEN, "rack.undo_from": None}),
        ({"rack.high": at(6)}, {0: AGAIN}, 0, ((3, 4),), True, {"rack.undo_from": None}),
        ({"rack.high": at(3)}, {0: AGAIN}, 0, ((3, 4),), True, {"rack.state": LOSS, "rack.undo_from": 1}),
        # Step 3, a: new data was sent, and yet a duplicate ACK comes.
        ({"rack.high": at(5)}, {0: AGAIN, 1: GONE}, 0, (), True, {"rack.state": LOSS, "rack.try_new": False}),
        ({"rack.high": at(5)}, {0: AGAIN, 1: GONE}, 0, ((5, 6),), True, {"rack.state": LOSS, "rack.try_new": False}),
        ({"rack.high": at(5)}, {0: AGAIN, 1: GONE}, 1, (), True, {"rack.state": LOSS, "rack.try_new": True}),
    ],
)
def test_whether_a_timeout_was_spurious(known, marks, number, blocks, queued, after):
    """RFC 5682 section 3.1, with SACK."""
    end = situation(LOOKS | {"rack.high": at(6)} | known, marks)
    if queued:
        end.snd.write(bytes(SIZE))
    acknowledge(end, at(number), RTT, *((at(low), at(high)) for low, high in blocks))
    assert fields(end, after) == after


@pytest.mark.parametrize(
    ("known", "block", "others", "after"),
    [
        ({}, (0, 1), (), {"rack.dsacks": 1, "rack.undo_left": 1}),
        ({}, (0, 2), (), {"rack.dsacks": 2, "rack.undo_left": 0}),
        ({}, (2, 3), ((2, 4),), {"rack.dsacks": 1, "rack.undo_left": 2}),  # inside the second block: beyond the ACK
        ({}, (2, 4), ((2, 4),), {"rack.dsacks": 2}),
        ({}, (2, 4), ((3, 4),), {"rack.dsacks": 0}),
        ({}, (3, 5), ((2, 4),), {"rack.dsacks": 0}),
        ({}, (2, 3), (), {"rack.dsacks": 0}),
        ({}, (1, 1), (), {"rack.dsacks": 0}),
        ({}, (-60, 1), (), {"rack.dsacks": 0}),  # larger than any window so far
        ({}, (-59, 1), (), {"rack.dsacks": 60}),
        ({"rack.retransmissions": 0}, (0, 1), (), {"rack.dsacks": 1, "rack.undo_left": 2}),
    ],
)
def test_a_report_of_what_came_twice(known, block, others, after):
    """RFC 2883 section 4: the first block, below the ACK or inside the second one."""
    known = {
        "rack.state": DISORDER,
        "rack.undo_from": 1,
        "rack.undo_left": 2,
        "rack.retransmissions": 9,
        "rtt.srtt": RTT,
    } | known
    end = situation({}, {})
    acknowledge(end, at(2), RTT)
    for name, value in known.items():
        setattr(getattr(end, name.partition(".")[0]), name.partition(".")[2], value)
    numbers = [block, *others]
    acknowledge(end, at(2), RTT, *((at(low), at(high)) for low, high in numbers))
    assert fields(end, after) == after


@pytest.mark.parametrize("stamps", [False, True])
def test_a_retransmission_gives_no_round_trip_without_an_echo(stamps):
    """Karn's rule (RFC 6298 section 3). A TSecr of 0 counts as none."""
    end = situation({"rtt.srtt": RTT}, {0: AGAIN}, stamps=stamps)
    acknowledge(end, at(1), 5000 * MS)
    assert end.rtt.srtt == RTT


@pytest.mark.parametrize(
    ("number", "blocks", "state"),
    [
        (1, (), CWR),  # overtaken, and without news
        (1, ((4, 5),), OPEN),
        (2, (), OPEN),
        (2, ((4, 5),), OPEN),
    ],
)
def test_an_overtaken_ack_ends_a_state_only_with_sack_blocks(number, blocks, state):
    """tcp_ack, old_ack."""
    end = server(6)
    acknowledge(end, at(2), RTT)
    end.rack.state, end.rack.high = CWR, at(1)
    acknowledge(end, at(number), RTT, *((at(low), at(high)) for low, high in blocks))
    assert (end.rack.state == CWR) is (state == CWR)


@pytest.mark.parametrize(("blocks", "undone"), [((), False), (((1, 2),), True), (((1, 3),), True)])
def test_a_duplicate_counts_after_all_is_acknowledged(blocks, undone):
    """tcp_ack, no_queue: "If data was DSACKed, see if we can undo a cwnd reduction."""
    end = server(6)
    acknowledge(end, at(6), RTT)
    assert len(end.rack.board) == 0
    end.rack.undo_from, end.rack.undo_left, end.rack.retransmissions = 1, 1, 2
    end.rack.prior_ssthresh, end.control.ssthresh = 7 * SIZE, 4 * SIZE
    acknowledge(end, at(6), RTT, *((at(low), at(high)) for low, high in blocks))
    assert end.control.ssthresh == (7 * SIZE if undone else 4 * SIZE)
    assert end.timers.rto_at is None


@pytest.mark.parametrize(
    ("number", "blocks", "marks", "rto", "plan"),
    [
        # An ACK of something, or a report that the first segment was overtaken long ago, starts the timer anew.
        (1, (), {}, RTT, True),
        (2, (), {}, RTT, True),
        (0, (), {}, None, False),
        (0, ((3, 4),), {}, None, False),
    ],
)
def test_when_the_retransmission_timer_begins_anew(number, blocks, marks, rto, plan):
    """RFC 6298 section 5.3."""
    end = situation(
        {"timers.rto_at": 77, "timers.probe_at": None, "rack.plan": False, "rack.seen_reordering": True}, marks
    )
    acknowledge(end, at(number), RTT, *((at(low), at(high)) for low, high in blocks))
    assert end.timers.rto_at == (77 if rto is None else rto + end.rtt.rto)
    assert end.rack.plan is plan


@pytest.mark.parametrize("timer", ["probe_at", "reordering_at"])
def test_a_timer_that_waited_for_something_else_counts_from_the_first_segment(timer):
    """tcp_rearm_rto: the time since the head was sent is taken off."""
    end = situation({"timers.rto_at": 77, f"timers.{timer}": 10**12}, {})
    acknowledge(end, at(1), RTT)
    assert end.timers.rto_at == end.rack.board.head.time + end.rtt.rto
    assert end.timers.probe_at is end.timers.reordering_at is None
    end = situation({"timers.rto_at": 77, f"timers.{timer}": 10**12}, {})
    acknowledge(end, at(6), RTT)
    assert end.timers.rto_at is None


@pytest.mark.parametrize(
    ("known", "ctl", "after"),
    [
        (
            {},
            ACK | ECE,
            {"rack.state": CWR, "rack.high": at(6), "rack.prior_ssthresh": 0, "control.ssthresh": 5 * SIZE},
        ),
        ({}, ACK, {"rack.state": OPEN, "control.ssthresh": 4 * SIZE}),
        # Once for a window of data: the reduction under way goes on.
        ({"rack.state": CWR, "rack.high": at(6)}, ACK | ECE, {"rack.state": CWR, "control.ssthresh": 4 * SIZE}),
        (
            {"rack.state": RECOVERY, "rack.high": at(6)},
            ACK | ECE,
            {"rack.state": RECOVERY, "control.ssthresh": 4 * SIZE},
        ),
        ({"rack.prior_ssthresh": 7 * SIZE}, ACK | ECE, {"rack.prior_ssthresh": 0, "rack.undo_from": None}),
    ],
)
def test_a_mark_of_congestion_reduces_the_window_once(known, ctl, after):
    """RFC 3168 section 6.1.2."""
    end = situation(known, {}, ecn=True)
    acknowledge(end, at(1), RTT, ctl=ctl)
    assert fields(end, after) == after


@pytest.mark.parametrize(
    ("begun", "left", "undone"),
    [(1, 0, True), (1, 1, False), (1, -1, False), (None, 0, False)],
)
@pytest.mark.parametrize("state", [OPEN, DISORDER, RECOVERY])
def test_a_reduction_is_undone_once(state, begun, left, undone):
    """tcp_try_undo_dsack: `tp->undo_marker && !tp->undo_retrans`."""
    known = {
        "rack.state": state,
        "rack.high": at(6),
        "rack.undo_from": begun,
        "rack.undo_left": left,
        "rack.round_out": 1,
    }
    end = situation(known | {"rack.prior_ssthresh": 7 * SIZE, "rack.prior_window": 9 * SIZE, "rack.persist": 3}, {})
    acknowledge(end, 1, RTT, (at(3), at(4)))
    assert (end.control.ssthresh, end.rack.persist) == ((7 * SIZE, 4) if undone else (4 * SIZE, 3))
