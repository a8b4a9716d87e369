"""RFC 8985 and what goes with it (RFC 9937, 3708, 4015, 5682, 7661), each decision by itself.

Tables of the scoreboard and of what is known of losses, then of what one ACK does in a chosen situation. Where the RFCs leave
something open, Linux 6.18 decides (net/ipv4/tcp_input.c, tcp_recovery.c, tcp_output.c).
"""

from random import Random

import pytest
from helpers import MS

from labkit.tcp.endpoint import Config, Endpoint, by_time
from labkit.tcp.endpoint.congestion.reno import Control
from labkit.tcp.endpoint.rack import CWR, DISORDER, LOSS, MAX_DEGREE, MAX_STEPS, OPEN, PERSIST, RECOVERY, Rack
from labkit.tcp.endpoint.scoreboard import Sent
from labkit.tcp.options import Mss, Sack, SackPermitted, Timestamps
from labkit.tcp.segment import ACK, ECE, SYN, Segment
from labkit.tcp.segment import CWR as REDUCED
from labkit.tcp.seq import MASK, add

SIZE = 1000


def rack(count: int = 0, *, every: int = 0, **known: object) -> Rack:
    """`count` segments of 1000 octets from position 0, one sent each `every` nanoseconds, and these fields."""
    made = Rack(
        Config(reordering_timer=True, adaptive_reordering=True, proportional_reduction=True, undo_reductions=True)
    )
    for number in range(count):
        made.sent(number * SIZE, (number + 1) * SIZE, number * every)
    for name, value in known.items():
        assert hasattr(made, name), name
        setattr(made, name, value)
    return made


def lost(made: Rack) -> list[int]:
    """The numbers of the segments that count as lost."""
    return [each.start // SIZE for each in made.board if each.lost]


# A window that is not used does not grow (RFC 7661; RFC 9438 section 5.8).


@pytest.mark.parametrize(
    ("una", "held_back", "sent", "after"),
    [
        (99, False, True, (True, 9, 100)),
        (100, False, True, (False, 3, 5000)),  # SND.UNA is no longer before the end of that window of data
        (101, False, True, (False, 3, 5000)),
        (100, False, False, (True, 9, 100)),
        (99, True, False, (True, 3, 5000)),
        (99, True, True, (True, 3, 5000)),
    ],
)
def test_a_window_of_data_remembers_whether_it_was_held_back(una, held_back, sent, after):
    made = rack(3, limited=True, most_out=9, limited_to=100)
    made.used(una, 5000, held_back=held_back, sent=sent)
    assert (made.limited, made.most_out, made.limited_to) == after


@pytest.mark.parametrize(("most", "after"), [(2, (False, 3, 5000)), (3, (False, 3, 100)), (4, (False, 4, 100))])
def test_a_window_of_data_remembers_the_most_segments(most, after):
    made = rack(3, most_out=most, limited_to=100)
    made.used(99, 5000, held_back=False, sent=True)
    assert (made.limited, made.most_out, made.limited_to) == after


def test_more_segments_do_not_end_a_window_of_data_that_was_held_back():
    made = rack(3, limited=True, most_out=2, limited_to=100)
    made.used(99, 5000, held_back=False, sent=True)
    assert (made.limited, made.most_out, made.limited_to) == (True, 2, 100)


# RFC 8985 section 6.2, steps 1 and 2.


@pytest.mark.parametrize(
    ("ever", "now", "counts"),
    [(False, 59, True), (True, 59, False), (True, 60, True), (True, 61, True)],
)
def test_an_answer_before_the_shortest_round_trip_may_be_to_the_first_transmission(ever, now, counts):
    made = rack(1)
    each = made.board.head
    each.ever, each.time = ever, 10
    made.arrived(each, now, 50)
    assert (made.advanced, made.rtt, made.latest) == ((True, now - 10, 1) if counts else (False, 0, 0))


def test_the_latest_transmission_counts_and_not_the_latest_answer():
    made = rack(2, every=5)
    one, two = made.board
    made.arrived(two, 100, 50)
    made.arrived(one, 100, 50)
    assert (made.latest, made.rtt) == (2, 100)


# How far segments overtake each other (tcp_check_sack_reordering).


@pytest.mark.parametrize(
    ("top", "low", "una", "seen", "degree"),
    [
        (9000, 9000, 0, False, 3),
        (9000, 8999, 0, True, 3),
        (9000, 6000, 0, True, 3),
        (9000, 5999, 0, True, 4),  # 3.001 segments are four
        (9000, 5000, 0, True, 4),
        (9000, 4999, 0, True, 5),
        (None, 4000, 9000, True, 5),
        (None, 9000, 9000, False, 3),
        (400 * SIZE, 0, 0, True, MAX_DEGREE),
        (300 * SIZE, 0, 0, True, 300),
    ],
)
def test_the_degree_of_reordering(top, low, una, seen, degree):
    made = rack()
    made.board.top = top
    made.reordered(low, una, SIZE)
    assert (made.seen_reordering, made.degree) == (seen, degree)


# D-SACKs (RFC 3708; RFC 8985 section 6.2, step 4).


@pytest.mark.parametrize(
    ("sent_again", "reordering", "by_probe", "answer", "pending"),
    [
        (2, True, False, True, True),
        (3, True, False, True, True),
        (1, True, False, False, False),  # more duplicates than retransmissions: the network made them
        (2, False, False, True, False),
        (2, True, True, True, False),
    ],
)
def test_a_duplicate_needs_a_retransmission(sent_again, reordering, by_probe, answer, pending):
    made = rack(retransmissions=sent_again, seen_reordering=reordering)
    assert made.duplicated(2, by_probe=by_probe) is answer
    assert (made.dsacks, made.dsack_pending) == (2, pending)


@pytest.mark.parametrize(
    ("begun", "left", "end", "count", "after"),
    [
        (500, 3, 1000, 1, 2),
        (500, 3, 1000, 2, 1),
        (500, 1, 1000, 2, 0),
        (500, 3, 501, 1, 2),
        (500, 3, 500, 1, 3),  # it was sent again before this recovery
        (0, 3, 1, 1, 2),
        (None, 3, 1000, 1, 3),
        (500, 0, 1000, 1, 0),
        (500, -1, 1000, 1, -1),
    ],
)
def test_each_duplicate_takes_one_retransmission_off(begun, left, end, count, after):
    made = rack(undo_from=begun, undo_left=left)
    made.undo_one(end, count)
    assert made.undo_left == after


@pytest.mark.parametrize(
    ("known", "prior", "steps", "pending", "persist"),
    [
        ({"dsack_pending": True}, 5, 3, False, PERSIST),
        ({"dsack_pending": True}, 4, 3, False, PERSIST),
        ({"dsack_pending": True}, 3, 2, False, 7),  # once in a round trip
        ({"dsack_pending": True}, 0, 2, True, 7),
        ({"dsack_pending": True, "steps": MAX_STEPS}, 5, MAX_STEPS, False, PERSIST),
        ({"dsack_pending": True, "steps": MAX_STEPS - 1}, 5, MAX_STEPS, False, PERSIST),
        ({}, 5, 2, False, 7),
        ({"persist": 0}, 5, 1, False, 0),
        ({"persist": 0}, 0, 2, False, 0),
        ({"persist": 1}, 5, 2, False, 1),
    ],
)
def test_the_reordering_window_widens_once_in_a_round_trip(known, prior, steps, pending, persist):
    made = rack(**{"steps": 2, "persist": 7, "last_widened": 4, "delivered": 20} | known)
    made.widen(prior)
    assert (made.steps, made.dsack_pending, made.persist) == (steps, pending, persist)
    assert made.last_widened == (20 if persist == PERSIST else 4)


def test_the_reordering_window_stays_where_the_stack_keeps_it():
    made = rack(dsack_pending=True)
    made.config = Config(reordering_timer=True)
    made.widen(5)
    assert (made.steps, made.dsack_pending) == (1, True)


# RFC 8985 section 6.2, step 5: what is lost.

LATE = {"rtt": 100, "latest": 9, "seen_reordering": True}


@pytest.mark.parametrize(
    ("now", "least", "srtt", "steps", "expected", "wait"),
    [
        (109, 40, 1000, 1, [], 101 - 80),  # the window is a quarter of the shortest round trip
        (110, 40, 1000, 1, [0], 100 + 10 - 90),
        (130, 40, 1000, 1, [0, 1], 0),
        (129, 40, 1000, 1, [0], 1),
        (119, 40, 1000, 2, [], 100 + 20 - 99),
        (120, 40, 1000, 2, [0], 20),
        (104, 40, 5, 1, [], 100 + 5 - 84),  # "SHOULD be bounded by SRTT"
        (105, 40, 5, 1, [0], 20),
    ],
)
def test_a_segment_is_lost_a_window_after_a_later_one_has_arrived(now, least, srtt, steps, expected, wait):
    made = rack(2, every=20, steps=steps, **LATE)
    assert made.find_losses(now, least, srtt) == wait
    assert lost(made) == expected
    assert made.losses == len(expected)


@pytest.mark.parametrize(
    ("known", "sacked", "expected"),
    [
        ({}, 0, []),
        ({"seen_reordering": False}, 2, []),
        ({"seen_reordering": False}, 3, [0]),
        ({"seen_reordering": False}, 4, [0]),
        ({"seen_reordering": False, "degree": 4}, 3, []),
        ({"seen_reordering": False, "state": RECOVERY}, 0, [0]),
        ({"seen_reordering": False, "state": LOSS}, 0, [0]),
        ({"seen_reordering": False, "state": CWR}, 0, []),
        ({"state": RECOVERY}, 3, []),
    ],
)
def test_without_reordering_three_segments_behind_a_gap_are_enough(known, sacked, expected):
    """Section 6.2, step 4: "If RACK.reordering_seen is FALSE: if in loss recovery, or RACK.segs_sacked >= DupThresh: 0"."""
    made = rack(1, **LATE | known)
    made.board.sacked = sacked
    made.find_losses(100, 40, 1000)
    assert lost(made) == expected


def test_only_what_was_sent_before_the_latest_that_arrived_can_be_lost():
    made = rack(3, rtt=100, latest=2)
    made.find_losses(10**9, 40, 1000)
    assert lost(made) == [0]


def test_what_is_reported_or_waits_for_its_retransmission_is_left_alone():
    made = rack(3, **LATE)
    one, two, three = made.board
    made.board.report(one)
    made.lose(two)
    made.lose(three)
    made.resent(three, 50, 0)
    two.time = 149  # nothing waits for what is lost already
    assert made.find_losses(150, 40, 1000) == 10
    assert (made.losses, three.resent) == (2, True)
    # A retransmission is lost like a first transmission, and counts again.
    three.order = 4
    assert made.find_losses(160, 40, 1000) == 0
    assert (made.losses, three.resent, three.needed, two.needed, one.needed) == (3, False, True, True, False)


@pytest.mark.parametrize(("now", "expected"), [(99, [0]), (100, [0, 1]), (119, [0, 1]), (120, [0, 1, 2])])
def test_a_timeout_spares_what_was_sent_within_the_last_round_trip(now, expected):
    made = rack(3, rtt=80)
    for each, time in zip(made.board, (90, 20, 40), strict=True):
        each.time = time
    made.lose_all(now)
    assert lost(made) == expected  # the first one is lost in any case


@pytest.mark.parametrize(("reported", "expected"), [((1,), [0, 2]), ((0, 1), [0, 1, 2])])
def test_a_timeout_distrusts_reports_of_the_first_segment(reported, expected):
    """RFC 2018 section 8: after a timeout SACK information is discarded, if the peer has reneged."""
    made = rack(3)
    for each in list(made.board):
        if each.start // SIZE in reported:
            made.board.report(each)
    made.lose_all(50)
    assert lost(made) == expected
    assert (made.board.sacked, made.board.top) == ((1, 2 * SIZE) if 0 not in reported else (0, None))


def test_nothing_is_lost_where_nothing_is_under_way():
    made = rack()
    made.lose_all(50)
    assert (made.losses, made.find_losses(50, 40, 1000)) == (0, 0)


# Whether it was needless (RFC 3708, RFC 4015).


@pytest.mark.parametrize(
    ("begun", "left", "resent_at", "echo", "needless"),
    [
        (0, 0, 70, 5, True),
        (0, 1, 70, 5, False),
        (0, -1, 70, 5, False),
        (0, 1, 70, -1, True),
        (0, 1, 70, 0, False),
        (0, 1, 70, None, False),
        (0, 1, None, None, True),
        (0, 1, None, 5, True),
        (0, 1, 0, 5, False),
        (None, 0, 70, -1, False),
    ],
)
def test_a_recovery_was_needless(begun, left, resent_at, echo, needless):
    assert rack(undo_from=begun, undo_left=left, first_resent=resent_at).may_undo(echo) is needless


@pytest.mark.parametrize(
    ("resent", "probe_end", "old", "left"),
    [
        (0, None, False, -1),
        (2, None, False, 2),
        (2, 500, True, 3),
        (0, 500, True, 1),
        (0, 500, False, -1),
        (0, None, True, -1),
    ],
)
def test_retransmissions_under_way_and_the_probe_must_come_twice(resent, probe_end, old, left):
    made = rack(probe_end=probe_end, probe_is_old=old)
    made.board.resent = resent
    made.begin_undo(700)
    assert (made.undo_from, made.undo_left) == (700, left)


def test_a_retransmission_is_counted():
    made = rack(2, state=RECOVERY)
    one, two = made.board
    assert (made.round_out, made.resent_unknown) == (0, False)
    made.resent(two, 50, 7)
    assert (two.resent, two.ever, two.time, two.order, two.delivered) == (True, True, 50, 3, 1)
    assert (made.board.resent, made.undo_left, made.first_resent, made.round_out) == (1, 1, 7, 1)
    made.resent(two, 60, 9)
    assert (made.board.resent, made.undo_left, made.first_resent, made.round_out) == (1, 2, 7, 2)
    assert (made.transmissions, made.retransmissions, made.resent_unknown) == (4, 2, True)
    two.resent, made.board.resent = False, 0
    assert not made.resent_unknown
    one.ever = True
    assert made.resent_unknown


@pytest.mark.parametrize(("state", "counted"), [(OPEN, 0), (DISORDER, 0), (CWR, 1), (RECOVERY, 1), (LOSS, 0)])
def test_what_a_reduction_lets_out_is_counted(state, counted):
    made = rack(state=state)
    made.sent(0, SIZE, 0)
    assert made.round_out == counted
    made.resent(made.board.head, 1, 1)
    assert made.round_out == 2 * counted


# RFC 9937 section 6.2: proportional rate reduction. 1000 octets a segment; 20 were under way, the new threshold is 10.


@pytest.mark.parametrize(
    ("pipe", "delivered", "out", "arrivals", "losses", "advances", "leaves"),
    [
        # More than the threshold is under way: SndCnt = CEIL(prr_delivered * ssthresh / RecoverFS) - prr_out.
        (19, 0, 1, 1, 0, False, 0),
        (18, 1, 1, 1, 0, False, 0),
        (17, 2, 1, 1, 0, False, 1),
        (11, 6, 2, 3, 0, False, 3),
        (11, 6, 4, 1, 0, False, 0),
        # The first ACK lets a retransmission out.
        (19, 0, 0, 1, 0, False, 1),
        (10, 0, 0, 1, 0, False, 1),
        # Less is under way: as many as have arrived, and what the proportion still owes; one more after SafeACK.
        (10, 5, 5, 1, 0, False, 0),
        (9, 5, 5, 1, 0, False, 1),
        (5, 5, 5, 2, 0, False, 2),
        (5, 9, 5, 2, 0, False, 5),
        (5, 7, 5, 2, 0, False, 4),
        (5, 5, 5, 2, 0, True, 3),
        (5, 5, 5, 2, 1, True, 2),
        (9, 5, 5, 2, 0, True, 1),
        (9, 0, 3, 2, 0, False, 1),
        # Nothing has arrived: nothing leaves.
        (5, 5, 5, 0, 0, True, None),
        (5, 5, 5, -1, 0, True, None),
    ],
)
def test_a_reduction_in_proportion(pipe, delivered, out, arrivals, losses, advances, leaves):
    made = rack(pipe, round_delivered=delivered, round_out=out, prior_window=20 * SIZE)
    control = Control(SIZE, 20 * SIZE)
    control.ssthresh = 10 * SIZE
    by_time.reduce(made, control, arrivals, losses, advances=advances)
    assert control.cwnd == (20 * SIZE if leaves is None else (pipe + leaves) * SIZE)
    assert made.round_delivered == delivered + max(arrivals, 0)


def test_a_reduction_at_once_where_the_stack_knows_no_proportion():
    made, control = rack(19, prior_window=20 * SIZE), Control(SIZE, 20 * SIZE)
    made.config, control.ssthresh = Config(reordering_timer=True), 10 * SIZE
    by_time.reduce(made, control, 1, 0, advances=False)
    assert control.cwnd == 10 * SIZE


# The scoreboard.


def test_segments_wholly_inside_a_block():
    board = rack(4).board
    numbers = {(0, 4000): [0, 1, 2, 3], (1000, 3000): [1, 2], (999, 3001): [1, 2], (1001, 3000): [2], (1000, 2999): [1]}
    assert {block: [each.start // SIZE for each in board.inside(*block)] for block in numbers} == numbers


def test_the_marks_are_counted():
    board = rack(4).board
    one, two, three, four = board
    assert (board.pipe, board.top) == (4, None)
    assert board.lose(one)
    assert not board.lose(one)  # that is no news
    one.resent, board.resent = True, 1
    assert board.pipe == 4
    assert board.lose(one)  # the retransmission is lost too
    assert (board.lost, board.resent, board.pipe) == (1, 0, 3)
    board.report(three)
    board.report(two)
    assert (board.sacked, board.top, board.pipe) == (2, 3000, 1)
    one.resent, board.resent = True, 1
    board.report(one)
    assert (one.lost, one.resent, board.lost, board.resent, board.sacked, board.pipe) == (False, False, 0, 0, 3, 1)
    assert [each.start for each in board.acknowledge(2500)] == [0, 1000]
    assert (len(board), three.start, board.sacked, board.top, board.head) == (2, 2500, 1, 3000, three)
    assert [each.start for each in board.acknowledge(3000)] == [2500]
    assert (board.sacked, board.top, board.head) == (0, None, four)
    board.lose(four)
    board.clear_losses()
    assert (board.lost, four.lost, board.pipe) == (0, False, 1)
    assert [each.start for each in board.acknowledge(4000)] == [3000]
    assert (board.head, board.pipe) == (None, 0)


def test_a_part_that_no_longer_fits_keeps_its_marks():
    board = rack(1).board
    (each,) = board
    board.lose(each)
    each.ever = True
    board.fit(each, 400)
    first, rest = board
    assert [(part.start, part.end, part.lost, part.ever) for part in board] == [
        (0, 400, True, True),
        (400, 1000, True, True),
    ]
    assert (board.lost, rest.order, rest.time) == (2, first.order, first.time)
    assert isinstance(rest, Sent)


# One ACK in a chosen situation: a server that has sent segments of 1000 octets at 0, after a round trip of 20 ms.

RTT = 20 * MS
HABITS = {
    "reordering_timer": True,
    "adaptive_reordering": True,
    "proportional_reduction": True,
    "undo_reductions": True,
}
HABITS |= {"detect_spurious_timeouts": True, "tail_loss_probe": True}


def server(count: int, *, ecn: bool = False, stamps: bool = False, **habits: object) -> Endpoint:
    """A server with this number of segments under way; positions count from its SYN's, the number before the wrap."""
    config = Config(iss=MASK, ecn=ecn, timestamps=stamps, timestamp_offset=0, nagle=False, **HABITS | habits)
    end = Endpoint(config, Random(1))
    end.listen()
    options = (Mss(SIZE + (12 if stamps else 0)), SackPermitted(), *([Timestamps(1, 0)] if stamps else []))
    bits = ECE | REDUCED if ecn else 0
    end.receive(Segment(seq=100, ctl=SYN | bits, window=60_000, options=options), -RTT)
    end.segments(-RTT)
    acknowledge(end, 1, 0)
    for _ in range(count):
        end.send(bytes(SIZE), 0)
    end.segments(0)
    assert [each.start for each in end.rack.board] == [1 + number * SIZE for number in range(count)]
    return end


def acknowledge(end: Endpoint, position: int, now: int, *blocks: tuple[int, int], **more: object) -> None:
    """An ACK of everything before a position, with these SACK blocks and fields."""
    options = (Timestamps(2, 0),) if end.stamps.agreed else ()
    if blocks:
        options += (Sack(tuple((add(MASK, low), add(MASK, high)) for low, high in blocks)),)
    known = {"seq": 101, "ctl": ACK, "window": 60_000, "options": options} | more
    end.receive(Segment(ack=add(MASK, position), **known), now)


def at(number: int) -> int:
    """The position of the first octet of a segment."""
    return 1 + number * SIZE


@pytest.mark.parametrize(
    ("block", "reported"),
    [
        ((at(0), at(1)), [0]),  # tcp_is_sackblock_valid: a block may begin at SND.UNA
        ((at(4), at(5)), [4]),
        ((at(3), at(5)), [3, 4]),
        ((at(3), at(5) + 1), []),  # of what was never sent
        ((at(3), at(3)), []),
        ((at(5), at(4)), []),
    ],
)
def test_which_blocks_of_a_sack_option_count(block, reported):
    end = server(5)
    acknowledge(end, 1, RTT, block)
    assert [number for number, each in enumerate(end.rack.board) if each.sacked] == reported
    assert end.rack.state == (DISORDER if reported else OPEN)


def test_a_report_of_the_first_segment_is_no_reneging_before_the_ack_moves():
    """tcp_check_sack_reneging: only an ACK that acknowledges something, and not the segment that was reported."""
    end = server(5)
    acknowledge(end, 1, RTT, (at(0), at(1)))
    assert end.timers.rto_at >= end.rtt.rto
    acknowledge(end, at(1), RTT)
    assert [each.start for each in end.rack.board] == [at(1), at(2), at(3), at(4)]
    acknowledge(end, at(1), RTT, (at(2), at(4)))
    end.timers.rto_at = 10**12
    acknowledge(end, at(2), 2 * RTT)  # what was reported is now the first, and not acknowledged
    assert end.timers.rto_at == 2 * RTT + end.rtt.srtt // 2  # tp->srtt_us >> 4, at least 10 ms
    assert end.rtt.srtt // 2 > by_time.LEAST_DISTRUST
    assert end.timers.probe_at is end.timers.reordering_at is None


def probed() -> Endpoint:
    """Two round trips without an ACK: the last segment was sent again."""
    end = server(4)
    end.handle_timeout(end.timeout())
    (out,) = end.segments(1)
    assert (out.why, out.segment.seq) == ("tail-loss-probe", add(MASK, at(3)))
    assert (end.rack.probe_end, end.rack.probe_is_old) == (at(4), True)
    return end


@pytest.mark.parametrize(
    ("acks", "probe_end", "window"),
    [
        ([(2, ())], at(4), 10),  # below TLP.end_seq: nothing is decided
        ([(2, ()), (2, ())], at(4), 10),
        ([(4, ())], at(4), 10),
        ([(4, ()), (4, ())], None, 10),  # a duplicate ACK: both copies have arrived
        ([(4, ((3, 4),))], None, 10),  # a D-SACK says so too
    ],
)
def test_whether_the_probe_has_repaired_a_loss(acks, probe_end, window):
    """RFC 8985 section 7.4.2."""
    end = probed()
    before = end.control.cwnd
    for number, blocks in acks:
        acknowledge(end, at(number), 4 * RTT, *((at(low), at(high)) for low, high in blocks))
    assert end.rack.probe_end == probe_end
    assert end.control.cwnd >= before
    assert window * SIZE <= before


def test_a_probe_that_repaired_a_loss_reduces_the_window():
    end = probed()
    acknowledge(end, at(4), 4 * RTT)
    before = end.control.cwnd
    end.send(bytes(SIZE), 4 * RTT)
    end.segments(4 * RTT)
    acknowledge(end, at(5), 5 * RTT)  # beyond TLP.end_seq without a D-SACK
    assert end.rack.probe_end is None
    assert end.control.cwnd == end.control.ssthresh == before // 2


def test_losses_are_looked_for_only_when_something_has_arrived():
    """tcp_rack_mark_lost: `if (!tp->rack.advanced) return`."""
    end = server(6)
    acknowledge(end, 1, RTT, (at(1), at(2)))
    assert (lost_of(end), end.rack.advanced) == ([], False)
    waiting = end.timers.reordering_at
    assert waiting is not None
    acknowledge(end, 1, RTT + 2, (at(1), at(2)))  # says nothing new
    assert end.timers.reordering_at == waiting
    acknowledge(end, 1, RTT + 4, (at(1), at(3)))
    assert end.timers.reordering_at is not None


def lost_of(end: Endpoint) -> list[int]:
    return [number for number, each in enumerate(end.rack.board) if each.lost]


def test_the_reordering_timer_begins_a_recovery():
    end = server(6)
    acknowledge(end, 1, RTT, (at(1), at(2)))
    assert end.rack.state == DISORDER
    end.handle_timeout(end.timers.reordering_at)
    assert (end.rack.state, lost_of(end)) == (RECOVERY, [0])
    assert end.control.ssthresh == 5 * SIZE
    (first, *_) = end.segments(2 * RTT)
    assert (first.why, first.segment.seq) == ("retransmission-fast", add(MASK, 1))
    assert end.timers.reordering_at is None


def test_the_reordering_timer_that_finds_nothing_leaves_the_window_alone():
    end = server(6)
    acknowledge(end, 1, RTT, (at(1), at(2)))
    window = end.control.cwnd
    end.rack.board.head.order = 99  # it was sent again meanwhile
    by_time.overtaken(end, 2 * RTT)
    assert (end.rack.state, lost_of(end), end.control.cwnd) == (DISORDER, [], window)
    assert end.timers.rto_at == max(end.rack.board.head.time + end.rtt.rto, 2 * RTT + 1)


@pytest.mark.parametrize(
    ("prior", "threshold", "after", "announces"),
    [(4 * SIZE, 2 * SIZE, 4 * SIZE, False), (2 * SIZE, 2 * SIZE, 2 * SIZE, True), (SIZE, 2 * SIZE, 2 * SIZE, True)],
)
def test_a_reduction_that_is_undone_is_not_announced(prior, threshold, after, announces):
    """tcp_undo_cwnd_reduction: CWR is withdrawn where the threshold grows again."""
    end = server(6, ecn=True)
    end.rack.state, end.rack.high, end.rack.undo_from, end.rack.undo_left = RECOVERY, at(6), 1, 0
    end.rack.prior_ssthresh, end.rack.prior_window, end.rack.round_out = prior, 8 * SIZE, 1
    end.control.cwnd = end.control.ssthresh = threshold
    end.ecn.reduced = True
    end.rack.board.report(end.rack.board.queue[1])
    acknowledge(end, 1, RTT, (at(1), at(2)))
    assert (end.control.ssthresh, end.ecn.reduced) == (after, announces)
    assert end.rack.undo_from is None


@pytest.mark.parametrize(
    ("state", "begun", "seen"), [(LOSS, None, False), (LOSS, 1, True), (OPEN, None, True), (RECOVERY, 1, True)]
)
def test_whether_a_late_report_shows_reordering(state, begun, seen):
    """tcp_sacktag_write_queue: `icsk_ca_state != TCP_CA_Loss || tp->undo_marker`."""
    end = server(6)
    end.rack.board.report(end.rack.board.queue[4])
    end.rack.state, end.rack.undo_from, end.rack.high = state, begun, at(6)
    acknowledge(end, 1, RTT, (at(2), at(3)))
    assert end.rack.seen_reordering is seen


@pytest.mark.parametrize(
    ("blocks", "state"),
    [((), OPEN), (((3, 4),), DISORDER)],
)
def test_an_overtaken_ack_counts_for_what_it_reports(blocks, state):
    """tcp_ack, old_ack: its SACK blocks are entered, and losses looked for."""
    end = server(6)
    acknowledge(end, at(2), RTT)
    acknowledge(end, at(1), RTT, *((at(low), at(high)) for low, high in blocks))
    assert end.rack.state == state
    assert end.snd.una == at(2)


# The same, from a state that is written down: fields of the endpoint's parts, and marks of its segments.

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
    ("more", "probe_end"),
    [({}, None), ({"payload": b"x"}, at(4)), ({"window": 60_001}, at(4)), ({"ctl": ACK | ECE}, None)],
)
def test_what_is_a_duplicate_ack_of_a_probe(more, probe_end):
    """RFC 5681 section 2: no data, and the same window."""
    end = probed()
    acknowledge(end, at(4), 4 * RTT)
    acknowledge(end, at(4), 4 * RTT, **more)
    assert end.rack.probe_end == probe_end


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
