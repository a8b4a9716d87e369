"""RFC 9438, CUBIC: its function, its constants, and what it does in a conversation."""

from itertools import pairwise

import pytest
from helpers import MS, ConnectionPair
from hypothesis import given
from hypothesis import strategies as st

from labkit.tcp.endpoint import Config
from labkit.tcp.endpoint.congestion.cubic import Control, cube_root

MSS = 1460
SECOND = 1000 * MS


def after_a_loss(segments: int, mss: int = MSS) -> Control:
    """A control that has lost something at a window of so many segments, and begins congestion avoidance at time 0."""
    control = Control(mss, segments * mss)
    control.lost(segments * mss)
    control.acked(0, 0, 0)
    return control


@given(st.integers(0, 2**80))
def test_the_cube_root_is_exact(number):
    root = cube_root(number)
    assert root**3 <= number < (root + 1) ** 3


# Section 4.2: K = cubic_root((W_max - cwnd_epoch) / C), with beta 0.7 and C 0.4.
@pytest.mark.parametrize(("segments", "k"), [(100, 4.2172), (10, 1.9574), (1000, 9.0856), (2, 0)])
def test_equation_2_how_long_until_the_plateau(segments, k):
    assert after_a_loss(segments).k / 1000 == pytest.approx(k, abs=0.002)


@pytest.mark.parametrize("mss", [88, 536, 1460, 8960])
@pytest.mark.parametrize("segments", [10, 57, 100, 1000])
def test_equation_1_the_window_over_time(segments, mss):
    control = after_a_loss(segments, mss)
    k = (segments * 0.3 / 0.4) ** (1 / 3)
    for elapsed in range(0, 20_000, 250):
        expected = 0.4 * (elapsed / 1000 - k) ** 3 + segments
        assert control.window(elapsed) / mss == pytest.approx(expected, rel=0.002, abs=0.02)


@pytest.mark.parametrize(("flight", "left"), [(100, 70), (10, 7), (3, 2.1), (2, 2), (1, 2)])
def test_section_4_6_seven_tenths_are_left_but_two_segments(flight, left):
    control = Control(MSS, 10 * MSS)
    control.lost(flight * MSS)
    assert control.ssthresh == control.cwnd == left * MSS


def test_section_4_7_fast_convergence_leaves_room_for_others():
    control = after_a_loss(100)
    assert control.w_max == 100 * MSS
    # The window was still below its last maximum: the next one is lower, by (1 + beta) / 2.
    control.lost(70 * MSS)
    assert control.w_max == pytest.approx(70 * MSS * 0.85, abs=1)
    assert control.prior == 70 * MSS


def test_section_4_8_after_a_timeout_it_begins_at_its_plateau():
    control = after_a_loss(100)
    control.timed_out(70 * MSS)
    assert (control.cwnd, control.ssthresh) == (MSS, 49 * MSS)
    while control.cwnd < control.ssthresh:
        control.acked(MSS, 5 * SECOND, 100 * MS)
    control.acked(MSS, 5 * SECOND, 100 * MS)
    assert control.k == 0
    assert control.window(0) == pytest.approx(49 * MSS, abs=MSS)


def grown(control: Control, rtt: int, seconds: int) -> list[int]:
    """The window in segments at the end of each second, where every segment of it is acknowledged once a round trip."""
    now, found = 0, []
    while now < seconds * SECOND:
        for _ in range(control.cwnd // MSS):
            control.acked(MSS, now, rtt)
        now += rtt
        if now % SECOND < rtt:
            found.append(control.cwnd // MSS)
    return found


def test_the_window_is_concave_then_convex():
    """Section 4.4 and 4.5: fast at first, slow around the old maximum, fast again beyond it."""
    windows = grown(after_a_loss(200), 100 * MS, 12)
    steps = [after - before for before, after in pairwise(windows)]
    lowest = steps.index(min(steps))
    assert 3 <= lowest <= 7
    assert steps[:lowest] == sorted(steps[:lowest], reverse=True)
    assert steps[lowest:] == sorted(steps[lowest:])
    assert windows[lowest] == pytest.approx(200, abs=10)


def test_section_4_3_with_short_round_trips_it_is_as_fast_as_reno():
    """alpha_cubic segments a round trip, 0.53, until the window is what it was before; then one."""
    control = after_a_loss(20)
    for _ in range(10):
        for _ in range(control.cwnd // MSS):
            control.acked(MSS, 10 * MS, 1 * MS)
    assert control.cwnd / MSS == pytest.approx(14 + 10 * 9 / 17, abs=0.7)


def test_the_same_growth_whatever_the_round_trip():
    """What CUBIC is for (section 3.3): where Reno is ten times as slow, it is not."""
    short, long = (grown(after_a_loss(300), rtt * MS, 8)[-1] for rtt in (50, 200))
    assert long == pytest.approx(short, rel=0.12)


@pytest.mark.parametrize("name", ["cubic", "reno"])
def test_a_transfer_with_losses_arrives(name):
    config = Config(congestion=name, window=1 << 20, window_scale=7, iss=2**32 - 10**5)
    lost = {40, 41, 300, 800, 801, 802}
    pair = ConnectionPair(
        config, config, 25 * MS, lambda side, number, _: [] if side == "client" and number in lost else [0]
    ).connect()
    data = bytes(range(256)) * 8000
    pair.client.send(data, pair.now)
    pair.flush()
    pair.run()
    assert pair.read["server"] == data
    assert sum(why == "retransmission-fast" for *_, why in pair.log) == len(lost)
