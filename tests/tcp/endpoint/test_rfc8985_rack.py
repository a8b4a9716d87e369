"""RFC 8985 and what goes with it (RFC 9937, 3708, 4015, 5682, 7661), each decision by itself.

Tables of the scoreboard and of what is known of losses, then of what one ACK does in a chosen situation. Where the RFCs leave
something open, Linux 6.18 decides (net/ipv4/tcp_input.c, tcp_recovery.c, tcp_output.c).
"""

import pytest

from labkit.tcp.endpoint import Config, by_time
from labkit.tcp.endpoint.congestion.reno import Control
from labkit.tcp.endpoint.rack import CWR, DISORDER, LOSS, MAX_DEGREE, MAX_STEPS, OPEN, PERSIST, RECOVERY, Rack
from labkit.tcp.endpoint.scoreboard import Sent

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
