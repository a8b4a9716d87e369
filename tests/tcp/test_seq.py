"""Sequence arithmetic against integers that never wrap, and at the places where 32 bits do."""

import ast
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from labkit.tcp import seq

SPACE = 2**32
numbers = st.integers(0, SPACE - 1) | st.sampled_from([0, 1, 2**31 - 1, 2**31, 2**31 + 1, SPACE - 1])
endless = st.integers(0, 2**40)
"""Octet counts of a stream that never wraps: the model."""
near = st.integers(-(2**31) + 1, 2**31 - 1)
"""Distances within which "before" and "after" are defined."""


@given(endless, st.integers(-(2**40), 2**40))
def test_add_is_addition_on_the_circle(position: int, octets: int) -> None:
    assert seq.add(position % SPACE, octets) == (position + octets) % SPACE


@given(endless, near)
@example(SPACE - 1, 1)
@example(SPACE, -1)
@example(0, 2**31 - 1)
def test_order_and_distance_are_those_of_the_endless_stream(position: int, distance: int) -> None:
    one, other = (position + distance) % SPACE, position % SPACE
    assert seq.diff(one, other) == distance
    assert seq.after(one, other) is (distance > 0)
    assert seq.before(one, other) is (distance < 0)
    assert seq.latest(one, other) == seq.latest(other, one) == (one if distance > 0 else other)


@given(numbers, numbers)
def test_distance_leads_back(one: int, other: int) -> None:
    assert seq.add(other, seq.diff(one, other)) == one
    assert -(2**31) <= seq.diff(one, other) < 2**31


@given(numbers, numbers)
def test_before_is_after_seen_from_the_other(one: int, other: int) -> None:
    assert seq.before(one, other) == seq.after(other, one)
    opposite = seq.add(one, 2**31) == other
    assert seq.before(one, other) + seq.before(other, one) == (2 if opposite else one != other)


@given(endless, st.integers(0, SPACE - 1), st.integers(0, SPACE - 1))
@example(SPACE - 1, 2, 1)
@example(0, SPACE - 1, SPACE - 1)
def test_between_is_that_of_the_endless_stream(low: int, span: int, offset: int) -> None:
    high, number = low + span, low + offset
    assert seq.between(low % SPACE, number % SPACE, high % SPACE) is (offset <= span)


@pytest.mark.parametrize(
    ("number", "other", "distance"),
    [
        (0, 0, 0),
        (0, SPACE - 1, 1),
        (SPACE - 1, 0, -1),
        (99, SPACE - 1, 100),
        (2**31 - 1, 0, 2**31 - 1),
        (2**31, 0, -(2**31)),  # as far as can be: by convention before
        (0, 2**31, -(2**31)),
    ],
)
def test_distance_where_32_bits_wrap(number: int, other: int, distance: int) -> None:
    assert seq.diff(number, other) == distance


@pytest.mark.parametrize(
    ("low", "number", "high", "inside"),
    [
        (5, 5, 5, True),
        (5, 6, 5, False),
        (SPACE - 1, 0, 1, True),
        (SPACE - 1, SPACE - 1, 0, True),
        (SPACE - 1, 1, 0, False),
        (0, SPACE - 1, 0, False),
    ],
)
def test_between_where_32_bits_wrap(low: int, number: int, high: int, inside: bool) -> None:
    assert seq.between(low, number, high) is inside


def test_nothing_is_imported() -> None:
    # The functions are compiled as they are.
    tree = ast.parse(Path(seq.__file__).read_text())
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
