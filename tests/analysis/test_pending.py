"""Open doubts about a sender's segments: a small table, of which each row is answered once."""

from dataclasses import fields

import pytest

from labkit.analysis.pending import GAP, LATE, OPEN, SAME_MOMENT, UNPROVEN, UNSENT, WRONG, answer, raise_doubt, settle
from labkit.analysis.side import DOUBTS, Side
from labkit.packet.seen import Seen
from labkit.tcp.segment import ACK

COLUMNS = [each.name for each in fields(Side) if each.name.startswith("doubt_") and each.name != "doubt_n"]


def told(side: Side) -> list[int]:
    """What `settle` has taken out, in the order of COLUMNS; the numbers of a gap that is being filled left out."""
    names = {"doubt_want": "odd_ack_want", "doubt_seen": "odd_ack"}
    columns = (name for name in COLUMNS if name not in {"doubt_low", "doubt_high"})
    return [getattr(side, names.get(name, name.replace("doubt_", "odd_"))) for name in columns]


def test_what_is_answered_is_taken_out_in_order_with_all_that_is_known_of_it() -> None:
    side, rows = Side(doubt_n=5), []
    for i in range(5):
        values = {name: 100 * i + number for number, name in enumerate(COLUMNS)}
        values |= {"doubt_kind": UNSENT, "doubt_state": OPEN if i in (0, 3) else WRONG}
        for name, value in values.items():
            getattr(side, name)[i] = value
        rows.append(values)
    shown = [name for name in COLUMNS if name not in {"doubt_low", "doubt_high"}]
    for i in (1, 2, 4):
        assert settle(side)
        assert told(side) == [rows[i][name] for name in shown]
    assert not settle(side)
    assert side.doubt_n == 2
    assert [[getattr(side, name)[i] for name in COLUMNS] for i in range(2)] == [
        [rows[i][name] for name in COLUMNS] for i in (0, 3)
    ]


def test_the_oldest_gives_way() -> None:
    side = Side()
    for number in range(1, DOUBTS + 4):
        raise_doubt(Seen(number=number), side, GAP, 0, 10)
    assert side.doubt_n == DOUBTS
    assert side.doubt_packet == list(range(4, DOUBTS + 4))


@pytest.mark.parametrize(("later", "state"), [(SAME_MOMENT, LATE), (SAME_MOMENT + 1, WRONG)])
def test_an_answer_may_be_captured_a_moment_before_its_cause(later: int, state: int) -> None:
    """Octets that end where an ack of them, captured before, says that they do."""
    me, peer = Side(nxt=100, has_nxt=1, seen=1), Side()
    raise_doubt(Seen(time=0), peer, UNSENT, 100, 150)
    answer(Seen(time=later, seq=100, span=50, end=150, ctl=ACK), me, peer)
    assert peer.doubt_state[0] == state


def test_only_what_is_open_is_answered() -> None:
    me, peer = Side(nxt=100, has_nxt=1, seen=1), Side()
    raise_doubt(Seen(time=0), peer, UNSENT, 100, 150)
    peer.doubt_state[0] = UNPROVEN
    answer(Seen(time=1, seq=100, span=50, end=150, ctl=ACK), me, peer)
    assert peer.doubt_state[0] == UNPROVEN
