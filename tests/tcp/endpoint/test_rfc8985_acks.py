"""What one ACK does to a server that judges losses by time (RFC 8985): blocks, probes, timers.

It has sent segments of 1000 octets at 0, after a round trip of 20 ms. Where the RFCs leave something open, Linux 6.18 decides
(net/ipv4/tcp_input.c, tcp_recovery.c, tcp_output.c).
"""

import pytest
from rack_server import RTT, SIZE, acknowledge, at, server

from labkit.tcp.endpoint import Endpoint, by_time
from labkit.tcp.endpoint.rack import DISORDER, LOSS, OPEN, RECOVERY
from labkit.tcp.segment import ACK, ECE
from labkit.tcp.seq import MASK, add


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
