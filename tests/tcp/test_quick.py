"""What is made through an open twin is what the constructor of a frozen dataclass makes."""

import dataclasses
import pickle
from typing import Any

import pytest

from labkit.build.record import Record
from labkit.tcp.options import Mss
from labkit.tcp.quick import maker
from labkit.tcp.segment import ACK, Segment

SEGMENT = Segment(2**32 - 1, 7, ACK, 100, b"octets", (Mss(1460),), 3, 2)


@pytest.mark.parametrize(
    ("kind", "values", "more"),
    [
        (Segment, (), {}),
        (Segment, (2**32 - 1, 7, ACK, 100, b"octets", (Mss(1460),), 3, 2), {}),
        (Segment, (5,), {"ctl": ACK, "ecn": 1}),
        (Record, (1, 5, "server", SEGMENT, "data", "step", None, None), {}),
        (Record, (1, 5, "server", SEGMENT, "", "", None, None, False), {"edits": {"sum": "+1"}, "cwnd": 9}),
    ],
)
def test_what_is_made_is_no_different(kind: Any, values: tuple[Any, ...], more: dict[str, Any]) -> None:
    made, expected = maker(kind)(*values, **more), kind(*values, **more)
    assert type(made) is kind
    assert made == expected
    assert repr(made) == repr(expected)
    assert dataclasses.astuple(made) == dataclasses.astuple(expected)
    assert pickle.loads(pickle.dumps(made)) == made  # noqa: S301 - our own
    assert dataclasses.replace(made) == made
    name = dataclasses.fields(kind)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(made, name, getattr(made, name))


def test_a_default_is_made_for_each() -> None:
    make = maker(Record)
    one, other = (make(1, 5, "client", SEGMENT, "", "", None, None) for _ in range(2))
    assert one.edits == {}
    assert one.edits is not other.edits


@pytest.mark.parametrize("more", [{"seq": 2**32}, {"seq": -1}, {"window": 65536}, {"ecn": 4}])
def test_what_the_constructor_refuses_is_refused(more: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(more))):
        maker(Segment)(**more)


def test_an_unknown_field_is_refused() -> None:
    make: Any = maker(Segment)
    with pytest.raises(TypeError, match="unknown"):
        make(unknown=1)
