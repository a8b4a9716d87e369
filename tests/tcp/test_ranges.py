"""`RangeSet` holds what a plain set of integers holds."""

from hypothesis import given
from hypothesis import strategies as st

from labkit.tcp.ranges import RangeSet

POINTS = st.integers(0, 40)
RANGES = st.tuples(POINTS, st.integers(1, 8)).map(lambda pair: (pair[0], pair[0] + pair[1]))


def members(ranges: RangeSet) -> set[int]:
    return {each for start, end in ranges for each in range(start, end)}


def flat(ranges: object) -> list[int]:
    return [each for start, end in ranges for each in range(start, end)]  # type: ignore[attr-defined]


@given(st.lists(RANGES | POINTS, max_size=12), RANGES, POINTS)
def test_agrees_with_a_set(steps: list[tuple[int, int] | int], asked: tuple[int, int], point: int) -> None:
    ranges, model = RangeSet(), set[int]()
    for step in steps:
        if isinstance(step, int):
            ranges.remove_before(step)
            model = {each for each in model if each >= step}
        else:
            new = set(range(*step)) - model
            assert ranges.add(*step) == len(new)
            model |= new
        assert members(ranges) == model
        assert all(before[1] < after[0] for before, after in zip(ranges, list(ranges)[1:], strict=False))
    assert flat(ranges.overlaps(*asked)) == sorted(model & set(range(*asked)))
    assert flat(ranges.gaps(*asked)) == sorted(set(range(*asked)) - model)
    assert (ranges.at(point) is not None) == (point in model)
    assert bool(ranges) == bool(model)
    if set(range(*asked)) <= model:
        ranges.remove(*asked)
        assert members(ranges) == model - set(range(*asked))


def test_touching_ranges_become_one() -> None:
    ranges = RangeSet()
    for start, end in ((4, 6), (0, 2), (2, 4)):
        ranges.add(start, end)
    assert list(ranges) == [(0, 6)]
    assert ranges.at(3) == (0, 6)
    assert ranges.at(6) is None
    ranges.clear()
    assert not ranges
