"""A value is compared, hashed and shown as by `dataclass`."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, field, replace
from typing import Any

import pytest

from labkit.analysis.value import Value


def made(base: type, **options: bool) -> Callable[..., Any]:
    @dataclass(frozen=True, slots=True, **options)
    class One(base):  # type: ignore[misc]
        x: int
        y: tuple[int, ...] = ()
        quiet: object = field(default=None, repr=False, compare=False)

    return One


VALUES = [(1,), (1, ()), (1, (2,)), (2, (2,)), (1, (), "q"), (1.0,)]


def test_values_are_like_those_of_dataclass() -> None:
    plain, ours = made(object), made(Value, eq=False, repr=False)
    for one in VALUES:
        assert repr(ours(*one)) == repr(plain(*one))
        assert hash(ours(*one)) == hash(plain(*one))
        for other in VALUES:
            assert (ours(*one) == ours(*other)) == (plain(*one) == plain(*other))
            assert (ours(*one) != ours(*other)) == (plain(*one) != plain(*other))
    assert ours(1) != plain(1)
    assert ours(1) != (1, ())
    assert replace(ours(1), x=2) == ours(2)


def test_a_value_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        made(Value, eq=False, repr=False)(1).x = 2
