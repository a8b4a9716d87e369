"""`path`: arrival times and losses."""

from random import Random

import pytest

from labkit.build.path import Burst, Direction, Path, Way

MS = 1_000_000


def arrivals(plan: Direction, sizes: list[int], gap: int = 0, seed: int = 1) -> list[list[int]]:
    way = Way(plan, Random(seed))
    return [way.carry(size, number * gap) for number, size in enumerate(sizes)]


@pytest.mark.parametrize(
    ("plan", "found"),
    [
        (Direction(), [[0], [0], [0]]),
        (Direction(delay=5), [[5], [5], [5]]),
        (Direction(delay=5, lose=frozenset({2})), [[5], [], [5]]),
        (Direction(delay=5, duplicate=frozenset({3})), [[5], [5], [5, 5]]),
        (Direction(delay=5, late={1: 7}), [[12], [5], [5]]),
        (Direction(loss=1.0), [[], [], []]),
        (Direction(delay=5, bandwidth=8_000_000_000), [[1005], [2005], [3005]]),
        (Direction(bandwidth=8_000_000_000, queue=1), [[1000], [2000], []]),
    ],
)
def test_arrival_times_of_three_packets(plan, found):
    assert arrivals(plan, [1000] * 3) == found


def test_a_queue_empties():
    plan = Direction(bandwidth=8_000_000_000, queue=0)
    assert arrivals(plan, [1000] * 4, gap=500) == [[1000], [], [2000], []]


def test_jitter_delays_but_does_not_reorder():
    found = arrivals(Direction(delay=MS, jitter=10 * MS), [100] * 200, gap=MS)
    times = [time for copies in found for time in copies]
    assert times == sorted(times)
    assert len(set(times)) > 50
    assert all(MS <= time - number * MS <= 11 * MS for number, time in enumerate(times))


def test_loss_is_drawn_from_the_seed():
    plan = Direction(loss=0.3)
    first, again, other = (arrivals(plan, [100] * 1000, seed=seed) for seed in (1, 1, 2))
    assert first == again != other
    assert 200 < sum(not copies for copies in first) < 400


def test_a_lost_packet_changes_nothing_for_the_others():
    chance = arrivals(Direction(loss=0.3), [100] * 50)
    named = arrivals(Direction(loss=0.3, lose=frozenset({7})), [100] * 50)
    assert named[6] == []
    assert named[7:] == chance[7:]


def test_directions_are_independent():
    path = Path(Direction(delay=1), Direction(delay=2, lose=frozenset({1})), "seed")
    assert [path.carry(side, 60, 10) for side in ("client", "server", "server")] == [[11], [], [12]]


def test_losses_come_in_bursts():
    lost = [not copies for copies in arrivals(Direction(burst=Burst(0.02, 4)), [100] * 20_000)]
    bursts = [len(run) for run in "".join(".x"[each] for each in lost).split(".") if run]
    assert 3.5 < sum(bursts) / len(bursts) < 4.5
    assert max(bursts) > 10
    # Gilbert's model: one state is left with 0.02, the other with 1/4.
    assert 0.05 < sum(lost) / len(lost) < 0.1


def test_bursts_of_length_one_are_isolated_losses():
    lost = [not copies for copies in arrivals(Direction(burst=Burst(1.0, 1)), [100] * 6)]
    assert lost == [True, False] * 3


def test_a_full_queue_marks_before_it_drops():
    way = Way(Direction(bandwidth=8_000_000_000, queue=3, mark_queue=2, mark=frozenset({1})), Random(1))
    found = []
    for _ in range(6):
        copies = way.carry(1000, 0)
        found.append((bool(copies), way.marked))
    assert found[:4] == [(True, True), (True, False), (True, True), (True, True)]
    assert [arrived for arrived, _ in found[4:]] == [False, False]


@pytest.mark.parametrize(("chance", "length"), [(1.5, 3), (-0.1, 3), (0.5, 0.5)])
def test_impossible_bursts_are_refused(chance, length):
    with pytest.raises(ValueError, match=r"outside 0\.\.1|must be at least 1"):
        Burst(chance, length)


@pytest.mark.parametrize("plan", [{"loss": 1.5}, {"delay": -1}, {"late": {1: -2}}, {"bandwidth": 0}])
def test_impossible_directions_are_refused(plan):
    with pytest.raises(ValueError, match=r"outside|before|positive"):
        Direction(**plan)
