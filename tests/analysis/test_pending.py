"""The table of a sender's pending segments: later segments answer each row once."""

from dataclasses import fields

import pytest

from labkit.analysis.order import SAME_MOMENT
from labkit.analysis.pending import (
    GAP,
    LATE,
    OPEN,
    UNPROVEN,
    UNSENT,
    WRONG,
    Resolved,
    answer,
    open_pending,
    resolve,
)
from labkit.analysis.severity import Severity
from labkit.analysis.side import MAX_PENDING, Side
from labkit.analysis.verifier import Verifier
from labkit.packet.seen import Seen
from labkit.tcp.notation import parse
from labkit.tcp.segment import ACK
from labkit.teach.examples import frames

COLUMNS = [each.name for each in fields(Side) if each.name.startswith("pending_") and each.name != "pending_n"]


NAMES = {"pending_want": "want_ack", "pending_seen": "ack"}


def test_an_answered_segment_leaves_the_table_with_all_its_numbers() -> None:
    side, rows = Side(pending_n=5), []
    for i in range(5):
        values = {name: 100 * i + number for number, name in enumerate(COLUMNS)}
        values |= {"pending_kind": UNSENT, "pending_state": OPEN if i in (0, 3) else WRONG}
        for name, value in values.items():
            getattr(side, name)[i] = value
        rows.append(values)
    shown = [name for name in COLUMNS if name not in {"pending_low", "pending_high"}]
    resolved = Resolved()
    for i in (1, 2, 4):
        assert resolve(side, resolved)
        names = [NAMES.get(name, name.removeprefix("pending_")) for name in shown]
        assert [getattr(resolved, name) for name in names] == [rows[i][name] for name in shown]
    assert not resolve(side, resolved)
    assert side.pending_n == 2
    assert [[getattr(side, name)[i] for name in COLUMNS] for i in range(2)] == [
        [rows[i][name] for name in COLUMNS] for i in (0, 3)
    ]


def test_a_full_table_loses_its_oldest_row() -> None:
    side = Side()
    for number in range(1, MAX_PENDING + 4):
        open_pending(Seen(number=number), side, GAP, 0, 10)
    assert side.pending_n == MAX_PENDING
    assert side.pending_packet == list(range(4, MAX_PENDING + 4))


@pytest.mark.parametrize(("later", "state"), [(SAME_MOMENT, LATE), (SAME_MOMENT + 1, WRONG)])
def test_an_answer_may_be_captured_a_moment_before_its_cause(later: int, state: int) -> None:
    """The octets come after the ack of their end."""
    me, peer = Side(nxt=100, has_nxt=1, seen=1), Side()
    open_pending(Seen(time=0), peer, UNSENT, 100, 150)
    answer(Seen(time=later, seq=100, seg_len=50, end=150, ctl=ACK), me, peer)
    assert peer.pending_state[0] == state


def test_an_answered_segment_is_not_answered_again() -> None:
    me, peer = Side(nxt=100, has_nxt=1, seen=1), Side()
    open_pending(Seen(time=0), peer, UNSENT, 100, 150)
    peer.pending_state[0] = UNPROVEN
    answer(Seen(time=1, seq=100, seg_len=50, end=150, ctl=ACK), me, peer)
    assert peer.pending_state[0] == UNPROVEN


MERGED = """
    > S  0:0(0)
    < S. 0:0(0) ack 1
    > .  1:1(0) ack 1
    > P. 1:11(10) ack 1
    < .  101:101(0) ack 11
    > .  11:11(0) ack 1
"""


@pytest.mark.parametrize(
    ("rest", "errors"),
    [
        # The data was lost; the timeout sends it again together with the FIN that followed it.
        ("< F. 101:101(0) ack 11\n+0.2 < FP. 1:101(100) ack 11\n> . 11:11(0) ack 102\n", []),
        ("< P. 101:151(50) ack 11\n+0.2 < P. 1:151(150) ack 11\n> . 11:11(0) ack 151\n", []),
        # New data covers the number of the ACK, where the sender cannot have been.
        ("< P. 1:151(150) ack 11\n> . 11:11(0) ack 151\n", ["SEQ01"]),
    ],
)
def test_a_retransmission_may_be_merged_with_what_followed_it(rest: str, errors: list[str]) -> None:
    findings = Verifier().run(frames(list(parse(MERGED + rest)))).findings
    assert [each.code for each in findings if each.severity is Severity.ERROR] == errors
