"""Tables of conditions: a state in which a predicate answers, and changes of one field after which it answers otherwise.

Sequence numbers wrap: the numbers of a table lie around 2**32.
"""

from collections.abc import Callable, Iterator, Mapping
from inspect import signature
from typing import Any

from labkit.analysis.pending import Resolved
from labkit.analysis.side import Side
from labkit.packet.seen import Seen
from labkit.tcp.seq import add

N = 2**32 - 50
"""Where the numbers of a table lie: 50 more wraps."""

Change = Mapping[str, Any]
"""Values by the names of fields, such as "seg.ack"; a tuple or list fills the beginning of a row."""
Predicate = Callable[..., int]
"""A rule's predicate, or a function that rules share: it takes some of `seg`, `me`, `peer` and `resolved`."""


def at(offset: int) -> int:
    return add(N, offset)


def state(values: Change) -> dict[str, Any]:
    """A segment, its sender, the peer and a resolved question, with these values and the defaults of all others."""
    parts: dict[str, Any] = {"seg": Seen(), "me": Side(), "peer": Side(), "resolved": Resolved()}
    for name, value in values.items():
        part, _, field = name.partition(".")
        known = getattr(parts[part], field)
        if isinstance(value, tuple | list):
            known[: len(value)] = value
        else:
            setattr(parts[part], field, value)
    return parts


def answer(predicate: Predicate, values: Change) -> int:
    """What the predicate answers in a state, of which it changes nothing."""
    parts = state(values)
    found = int(predicate(*(parts[name] for name in signature(predicate).parameters)))
    assert parts == state(values), "a rule changes nothing"
    return found


class Cases:
    """Cases of some predicates: `CASES(predicate, base, (change, answer), ...)` adds one. In its base, the answer is True."""

    def __init__(self) -> None:
        self._cases: dict[str, tuple[Predicate, Change, tuple[tuple[Change, int], ...]]] = {}

    def __call__(
        self, predicate: Predicate, base: Change, *changes: tuple[Change, int], title: str = "", first: int = 1
    ) -> None:
        title = title or predicate.__name__.strip("_").replace("_", " ")
        assert title not in self._cases, title
        self._cases[title] = predicate, base, (({}, first), *changes)

    def __iter__(self) -> Iterator[str]:
        return iter(self._cases)

    def wrong(self, title: str) -> list[str]:
        """The changes after which the predicate does not answer as the case says."""
        predicate, base, changes = self._cases[title]
        found = [(change, answer(predicate, {**base, **change}), right) for change, right in changes]
        return [f"{dict(change)}: {given}, not {int(right)}" for change, given, right in found if given != right]
