"""RFC 6298, the retransmission timer: its arithmetic, its rules by number, and Karn's algorithm."""

import pytest
from helpers import MS, ConnectionPair
from hypothesis import given
from hypothesis import strategies as st

from labkit.tcp.endpoint import Config
from labkit.tcp.endpoint.rtt import GRANULARITY, Rtt
from labkit.tcp.options import Timestamps

SECOND = 1000 * MS


def times(pair: ConnectionPair, why: str) -> list[int]:
    """When segments of a kind were sent, in milliseconds."""
    return [time // MS for time, _, _, each in pair.log if each == why]


# Section 2, with samples of whole milliseconds: each line is what SRTT, RTTVAR and RTO are after the samples so far.
SAMPLES = [
    # (2.2): SRTT <- R, RTTVAR <- R/2, RTO <- SRTT + max (G, K*RTTVAR); (2.4): less than 1 second is rounded up to it.
    ([100], 100, 50, 1000),
    ([1000], 1000, 500, 3000),
    # (2.3): RTTVAR <- 3/4 RTTVAR + 1/4 |SRTT - R'|, SRTT <- 7/8 SRTT + 1/8 R', with the SRTT before this sample.
    ([1000, 1000], 1000, 375, 2500),
    ([1000, 1800], 1100, 575, 3400),
    ([1000, 200], 900, 575, 3200),
    ([800, 800, 800, 800], 800, 168.75, 1475),
    # The deviation goes to nothing, and G bounds the rest of it from below.
    ([2000] * 80, 2000, 0, 2001),
    # (2.5): a maximum, which is at least 60 seconds.
    ([40_000], 40_000, 20_000, 60_000),
]


@pytest.mark.parametrize(("samples", "srtt", "variation", "rto"), SAMPLES)
def test_section_2_the_basic_algorithm(samples, srtt, variation, rto):
    rtt = Rtt(Config())
    for sample in samples:
        rtt.sample(sample * MS)
    assert rtt.srtt is not None
    assert rtt.srtt / MS == pytest.approx(srtt, abs=0.001)
    assert rtt.variation / MS == pytest.approx(variation, abs=0.001)
    assert rtt.rto / MS == pytest.approx(rto, abs=0.01)


def test_2_1_before_a_sample_it_is_one_second():
    assert Rtt(Config()).rto == SECOND


@given(st.lists(st.integers(1, 10**11), min_size=1, max_size=40))
def test_integer_arithmetic_stays_beside_that_of_real_numbers(samples):
    rtt = Rtt(Config())
    srtt = variation = 0.0
    for number, sample in enumerate(samples):
        rtt.sample(sample)
        if number == 0:
            srtt, variation = sample, sample / 2
        else:
            variation = 0.75 * variation + 0.25 * abs(srtt - sample)
            srtt = 0.875 * srtt + 0.125 * sample
        rto = min(max(srtt + max(GRANULARITY, 4 * variation), SECOND), 60 * SECOND)
        # A nanosecond is lost in each division, and forgotten by an eighth with each sample.
        assert abs(rtt.rto - rto) < 100


def test_5_5_backing_off_doubles_up_to_the_maximum():
    rtt = Rtt(Config())
    found = []
    for _ in range(8):
        found.append(rtt.rto // SECOND)
        rtt.back_off()
    assert found == [1, 2, 4, 8, 16, 32, 60, 60]


def test_5_5_a_new_sample_ends_the_back_off():
    rtt = Rtt(Config())
    rtt.sample(100 * MS)
    rtt.back_off()
    rtt.back_off()
    assert rtt.rto == 4 * SECOND
    rtt.sample(100 * MS)
    assert rtt.rto == SECOND


def test_5_1_to_5_6_the_timer_in_a_conversation():
    """(5.1) it starts with the first segment, (5.4) resends the earliest, (5.5) doubles, (5.6) starts again."""
    pair = ConnectionPair(carry=lambda name, number, _: [] if name == "client" and 3 <= number <= 6 else [0]).connect()
    begin = pair.now // MS
    data = bytes(range(256)) * 10
    pair.client.send(data, pair.now)
    pair.client.close(pair.now)
    pair.flush()
    pair.run(pair.now + 8 * SECOND)
    sent = [(time // MS - begin, len(each.payload)) for time, side, each, _ in pair.log[3:] if side == "client"]
    # Both are lost, and the first of them twice more: it comes again after 1, 2 and 4 seconds.
    assert sent[:5] == [(0, 1460), (0, 1100), (1000, 1460), (3000, 1460), (7000, 1460)]
    assert times(pair, "retransmission-rto")[:3] == [begin + after for after in (1000, 3000, 7000)]
    assert pair.read["server"] == data


def test_5_3_each_ack_of_new_data_starts_the_timer_anew():
    pair = ConnectionPair(Config(nagle=False), Config(delayed_ack=None)).connect()
    begin = pair.now
    pair.client.send(b"one", pair.now)
    pair.flush()
    assert pair.client.timers.rto_at == begin + SECOND
    pair.run(begin + 15 * MS)
    pair.client.send(b"two", pair.now)
    pair.flush()
    # (5.1): it runs already, and goes on as it was.
    assert pair.client.timers.rto_at == begin + SECOND
    pair.run(begin + 21 * MS)
    # (5.3): the first is acknowledged, the second is not.
    assert pair.client.timers.rto_at == begin + 20 * MS + pair.client.rtt.rto
    pair.run(begin + 60 * MS)
    # (5.2): all is.
    assert pair.client.timers.rto_at is None


def test_5_7_after_a_lost_syn_it_begins_with_three_seconds():
    pair = ConnectionPair(carry=lambda name, number, _: [] if name == "client" and number in {1, 4, 5} else [0])
    pair.server.listen()
    pair.client.open(0)
    pair.flush()
    pair.run(1500 * MS)
    assert pair.client.rtt.rto == 3 * SECOND
    begin = pair.now // MS
    pair.client.send(b"x", pair.now)
    pair.flush()
    pair.run()
    assert [time - begin for time in times(pair, "retransmission-rto") if time > 1500] == [3000, 9000]


def test_section_3_karn_no_sample_from_what_was_sent_twice():
    pair = ConnectionPair(carry=lambda name, number, _: [] if name == "client" and number == 3 else [0]).connect()
    srtt = pair.client.rtt.srtt
    assert srtt == 20 * MS
    pair.client.send(b"x", pair.now)
    pair.flush()
    pair.run()
    # The ACK may belong to either transmission: it is not a sample, and the back-off stays.
    assert times(pair, "retransmission-rto")
    assert pair.client.rtt.srtt == srtt
    assert pair.client.rtt.rto == 2 * SECOND


def test_section_3_timestamps_tell_which_transmission_was_acknowledged():
    stamped = Config(timestamps=True)
    lost = ConnectionPair(
        stamped, stamped, carry=lambda name, number, _: [] if name == "client" and number == 3 else [0]
    )
    pair = lost.connect()
    pair.client.send(b"x", pair.now)
    pair.flush()
    pair.run()
    resent = next(segment for _, _, segment, why in pair.log if why == "retransmission-rto")
    acked = pair.log[-1][2]
    assert acked.option(Timestamps).echo == resent.option(Timestamps).value
    # 20 ms of the path and 40 ms of delayed ACK: an eighth of what that is more than 20.
    assert pair.client.rtt.srtt == 25 * MS
    assert pair.client.rtt.rto == SECOND
