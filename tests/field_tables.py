"""Tables that change one field of a state at a time, and say what becomes of the state.

Names and values are those of `conditions`.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conditions import at, state

from labkit.analysis.side import Side
from labkit.packet.seen import Seen
from labkit.tcp.segment import ACK, FIN, SYN

Change = dict[str, Any]
Action = Callable[[Seen, Side, Side], object]


def seg(seq: int, length: int, ctl: int = ACK, offset: int = 0) -> Change:
    """A segment as `look` leaves it. `offset`: its distance from SND.NXT, if that is not 0."""
    size = length + (ctl & SYN != 0) + (ctl & FIN != 0)
    new = size if offset >= 0 else max(0, size + offset)
    values = {"ctl": ctl, "seq": at(seq), "len": length, "seg_len": size, "end": at(seq + size)}
    values |= {"seq_offset": offset, "new_octets": new, "ack": at(0)}
    return {f"seg.{name}": value for name, value in values.items()}


class Table:
    """Cases of actions that change a state: `rows` are the parameters of a test, `check` is its body."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, Action, Change, Change]] = []

    def add(self, title: str, action: Action, base: Change, after: Change, *changes: tuple[Change, Change]) -> None:
        """Add a state with the fields that the action leaves, and changes of that state with theirs.

        What a change does not name is as without it.
        """
        self._rows.append((title, action, base, after))
        for change, other in changes:
            words = ", ".join(f"{name}={value}" for name, value in change.items())
            self._rows.append((f"{title}: {words}", action, base | change, after | other))

    def rows(self) -> Iterator[object]:
        """The cases for `pytest.mark.parametrize`, with the names of `check`."""
        for title, action, before, after in self._rows:
            yield pytest.param(action, before, after, id=title)


def check(action: Action, before: Change, after: Change) -> None:
    """Run the action, and compare the fields that the case names. "answer" is what the action returns."""
    parts = state(before)
    answer = action(parts["seg"], parts["me"], parts["peer"])
    found: Change = {}
    for name, value in after.items():
        if name == "answer":
            found[name] = answer
            continue
        part, _, field = name.partition(".")
        got = getattr(parts[part], field)
        found[name] = got[: len(value)] if isinstance(value, list) else got
    assert found == after, f"found {found}"
