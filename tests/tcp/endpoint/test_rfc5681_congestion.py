"""RFC 5681 (with RFC 6928's initial window, RFC 3465's counting and RFC 3042): congestion control by its equations."""

import pytest
from helpers import MS, ConnectionPair

from labkit.tcp.endpoint import Config
from labkit.tcp.endpoint.congestion.reno import Control

SECOND = 1000 * MS
MSS = 1460


def sizes(pair: ConnectionPair, since: int) -> list[int]:
    """The payloads that the client has sent since a place in the log."""
    return [len(segment.payload) for _, side, segment, _ in pair.log[since:] if side == "client" and segment.payload]


# RFC 6928 section 2: min (10*MSS, max (2*MSS, 14600)).
INITIAL = [(536, 5360), (1220, 12200), (1460, 14600), (2000, 14600), (5000, 14600), (7300, 14600), (8960, 17920)]


@pytest.mark.parametrize(("mss", "octets"), INITIAL)
def test_the_initial_window(mss, octets):
    large = {"mss": mss, "window": 1 << 20, "window_scale": 7}
    pair = ConnectionPair(Config(**large), Config(**large)).connect()
    assert pair.client.control.cwnd == octets
    begin = len(pair.log)
    pair.client.send(bytes(200_000), pair.now)
    pair.flush()
    # Whole segments go, so that the last may not fill the window.
    assert sum(sizes(pair, begin)) == octets // mss * mss


@pytest.mark.parametrize(("lost", "segments"), [(None, 10), ("client", 1), ("server", 1)])
def test_section_3_1_after_a_lost_syn_or_answer_it_is_one_segment(lost, segments):
    pair = ConnectionPair(carry=lambda name, number, _: [] if (name, number) == (lost, 1) else [0])
    pair.server.listen()
    pair.client.open(0)
    pair.flush()
    pair.run(4 * SECOND)
    assert pair.client.control.cwnd == segments * MSS


def test_equation_2_slow_start_adds_at_most_a_segment_for_each_ack():
    control = Control(MSS, 10 * MSS)
    for octets, cwnd in ((MSS, 11), (2 * MSS, 12), (MSS // 2, 12.5), (10 * MSS, 13.5)):
        control.acked(octets, 0, 0)
        assert control.cwnd == cwnd * MSS


def test_equation_3_congestion_avoidance_adds_a_segment_each_round_trip():
    control = Control(MSS, 10 * MSS)
    control.lost(20 * MSS)
    assert (control.ssthresh, control.cwnd) == (10 * MSS, 10 * MSS)
    for round_trip in range(1, 5):
        for _ in range(control.cwnd // MSS):
            control.acked(MSS, 0, 0)
        assert control.cwnd == (10 + round_trip) * MSS


@pytest.mark.parametrize(("flight", "ssthresh"), [(20, 10), (10, 5), (5, 2.5), (4, 2), (3, 2), (1, 2)])
def test_equation_4_ssthresh_is_half_the_flight_but_two_segments(flight, ssthresh):
    control = Control(MSS, 10 * MSS)
    control.lost(flight * MSS)
    assert control.ssthresh == ssthresh * MSS


def test_section_3_1_a_timeout_leaves_the_loss_window():
    control = Control(MSS, 10 * MSS)
    control.timed_out(20 * MSS)
    assert (control.ssthresh, control.cwnd) == (10 * MSS, MSS)
    # Slow start up to half of what was lost, then one segment a round trip.
    for _ in range(9):
        control.acked(MSS, 0, 0)
    assert control.cwnd == 10 * MSS
    for _ in range(10):
        control.acked(MSS, 0, 0)
    assert control.cwnd == 11 * MSS


def test_section_3_1_a_second_timeout_of_the_same_segment_leaves_ssthresh():
    lost = set(range(3, 13)) | {13, 14}
    pair = ConnectionPair(carry=lambda name, number, _: [] if name == "client" and number in lost else [0]).connect()
    pair.client.send(bytes(10 * MSS), pair.now)
    pair.flush()
    pair.run(pair.now + 4 * SECOND)
    assert pair.client.control.ssthresh == 5 * MSS
    assert pair.client.control.cwnd == MSS


@pytest.mark.parametrize(
    ("count", "resent"),
    [(0, False), (1, False), (2, False), (3, True), (4, True)],
)
def test_section_3_2_the_third_duplicate_ack_is_a_loss(count, resent):
    plain = Config(sack=False)
    # As many segments arrive behind the gap as there shall be duplicates.
    lost = {3, *range(4 + count, 30)}
    carry = lambda name, number, _: [] if name == "client" and number in lost else [0]  # noqa: E731
    pair = ConnectionPair(plain, Config(sack=False, delayed_ack=None), carry=carry).connect()
    pair.client.send(bytes(10 * MSS), pair.now)
    pair.flush()
    pair.run(pair.now + 100 * MS)
    assert ("retransmission-fast" in [why for *_, why in pair.log]) == resent


def test_section_3_2_each_of_the_first_two_duplicates_lets_a_new_segment_out():
    """RFC 3042, limited transmit: cwnd does not change."""
    plain = Config(sack=False)
    lost = {3, *range(6, 13)}
    carry = lambda name, number, _: [] if name == "client" and number in lost else [0]  # noqa: E731
    pair = ConnectionPair(plain, Config(sack=False, delayed_ack=None), carry=carry).connect()
    pair.client.send(bytes(20 * MSS), pair.now)
    pair.flush()
    begin = len(pair.log)
    pair.run(pair.now + 2 * pair.delay)
    assert sizes(pair, begin) == [MSS, MSS]
    assert pair.client.control.cwnd == 10 * MSS


def test_section_3_2_recovery_inflates_and_deflates():
    plain = Config(sack=False)
    carry = lambda name, number, _: [] if (name, number) == ("client", 3) else [0]  # noqa: E731
    pair = ConnectionPair(plain, Config(sack=False, delayed_ack=None), carry=carry).connect()
    pair.client.send(bytes(10 * MSS), pair.now)
    pair.flush()
    pair.run(pair.now + 2 * pair.delay)
    # Step 2 and 4: ssthresh is half, and nine duplicates have each told of a segment that has left the network.
    assert pair.client.control.ssthresh == 5 * MSS
    assert pair.client.recovery.inflation == 9 * MSS
    pair.run(pair.now + 3 * pair.delay)
    # Step 6; RFC 6582 section 3.2, step 3, option (1): nothing was under way any more.
    assert pair.client.recovery.cause is None
    assert pair.client.control.cwnd == 2 * MSS


def test_section_4_1_after_an_idle_timeout_the_window_begins_again():
    pair = ConnectionPair().connect()
    pair.client.send(bytes(20 * MSS), pair.now)
    pair.flush()
    pair.run(pair.now + 500 * MS)
    grown = pair.client.control.cwnd
    assert grown > 10 * MSS
    pair.client.send(bytes(MSS), pair.now)
    assert pair.client.control.cwnd == grown
    pair.flush()
    pair.run(pair.now + 3 * SECOND)
    pair.client.send(bytes(MSS), pair.now)
    assert pair.client.control.cwnd == 10 * MSS


@pytest.mark.parametrize(
    ("octets", "acks"),
    [(2 * MSS, ["ack"]), (4 * MSS, ["ack", "ack"]), (3 * MSS, ["ack", "delayed-ack"]), (MSS, ["delayed-ack"])],
)
def test_section_4_2_an_ack_for_every_second_segment_and_within_half_a_second(octets, acks):
    pair = ConnectionPair().connect()
    begin = len(pair.log)
    pair.client.send(bytes(octets), pair.now)
    pair.flush()
    pair.run(pair.now + 500 * MS)
    assert [why for _, side, _, why in pair.log[begin:] if side == "server"] == acks


def test_section_4_2_what_is_out_of_order_is_acknowledged_at_once():
    pair = ConnectionPair(carry=lambda name, number, _: [5 * MS] if (name, number) == ("client", 3) else [0]).connect()
    begin = pair.now
    pair.client.send(bytes(3 * MSS), pair.now)
    pair.flush()
    pair.run()
    # Two duplicates, and an ACK when the gap is filled; none of them waits.
    answers = [((time - begin) // MS, why) for time, side, _, why in pair.log[3:] if side == "server"]
    assert answers == [(10, "duplicate-ack"), (10, "duplicate-ack"), (15, "ack")]
