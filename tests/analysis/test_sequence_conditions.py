"""Each condition of the rules about sequence numbers, by itself."""

import pytest
from conditions import Cases, Change, at

from labkit.analysis.order import SAME_MOMENT
from labkit.analysis.pending import (
    AFTER_ACK,
    BEHIND,
    FILLED,
    GAP,
    LATE,
    LOST,
    MISSED,
    OPEN,
    PARTLY,
    SENT,
    THIRD,
    UNPROVEN,
    UNSENT,
    WRONG,
)
from labkit.analysis.rules import sequence
from labkit.analysis.rules.sequence import MIN_RTO
from labkit.analysis.severity import Severity
from labkit.analysis.tracker import FAR_WINDOWS, MAX_WINDOW
from labkit.tcp.segment import ACK, FIN, PSH, RST, SYN

SECOND = 1_000_000_000
CASES = Cases()

CASES(
    sequence.gap_in_sequence,
    {"seg.seq": at(1), "seg.seq_offset": 1, "me.top": at(0)},
    ({"seg.seq_offset": 0}, 0),
    ({"seg.seq_offset": -1}, 0),
    ({"me.top": at(1)}, 0),
    ({"me.top": at(2)}, 1),
)
CASES(
    sequence.sequence_number_skips,
    {"resolved.kind": GAP, "resolved.state": WRONG},
    ({"resolved.kind": UNSENT}, 0),
    ({"resolved.kind": BEHIND}, 0),
    *(({"resolved.state": state}, 0) for state in (OPEN, FILLED, MISSED, LATE, UNPROVEN, LOST)),
)
CASES(
    sequence.what_lies_between_is_missing,
    {
        "resolved.kind": GAP,
        "resolved.state": MISSED,
        "resolved.want_seq": at(1),
        "resolved.seq": at(11),
        "resolved.seg_len": 10,
    },
    ({"resolved.kind": UNSENT}, 0),
    ({"resolved.state": UNPROVEN}, 1),
    *(({"resolved.state": state}, 0) for state in (OPEN, FILLED, LATE, WRONG, LOST)),
    ({"resolved.seg_len": 1}, 1),
    ({"resolved.seg_len": 0}, 0),
)
# The sender counted a pure ACK: SEQ02 and SEQ03 are about that.
COUNTED: Change = {
    "resolved.kind": GAP,
    "resolved.state": MISSED,
    "resolved.mark": AFTER_ACK,
    "resolved.want_seq": at(1),
    "resolved.seq": at(2),
    "resolved.seg_len": 10,
    "me.syn": 1,
    "peer.syn": 2,
}
CASES(
    sequence.what_lies_between_is_missing,
    {**COUNTED, "resolved.seq": at(3)},
    (COUNTED, 0),
    ({**COUNTED, "resolved.mark": THIRD}, 0),
    ({**COUNTED, "resolved.mark": 0}, 1),
    ({**COUNTED, "resolved.mark": PARTLY}, 1),
    ({**COUNTED, "resolved.state": UNPROVEN}, 1),
    ({**COUNTED, "me.syn": 0}, 1),
    ({**COUNTED, "peer.syn": 0}, 1),
    title="what lies between is missing, next to a pure ACK",
)
CASES(
    sequence.seq_ahead_of_the_peers_ack,
    COUNTED,
    ({"resolved.kind": UNSENT}, 0),
    ({"resolved.state": WRONG, "resolved.mark": 0}, 1),
    ({"resolved.state": WRONG, "resolved.mark": 0, "resolved.kind": UNSENT}, 0),
    *(({"resolved.state": state}, 0) for state in (OPEN, FILLED, LATE, UNPROVEN, LOST)),
    ({"resolved.mark": THIRD}, 1),
    ({"resolved.mark": 0}, 0),
    ({"resolved.mark": SENT}, 0),
    ({"resolved.seq": at(3)}, 0),
    ({"resolved.seq": at(1)}, 0),
    ({"me.syn": 0}, 0),
    ({"me.syn": 2}, 1),
)
# A pure ACK was one too high, and the next segment uses the number that it skipped.
for predicate in (sequence.what_lies_between_is_missing, sequence.seq_ahead_of_the_peers_ack):
    CASES(
        predicate,
        {
            "resolved.kind": GAP,
            "resolved.state": FILLED,
            "resolved.want_seq": at(1),
            "resolved.seq": at(2),
            "resolved.time": SECOND,
            "seg.seq": at(1),
            "seg.ack": at(60),
            "seg.time": SECOND + SAME_MOMENT + 1,
            "me.syn": 1,
            "me.has_rcv_nxt": 1,
            "me.rcv_nxt": at(60),
            "peer.syn": 2,
        },
        ({"resolved.kind": UNSENT}, 0),
        ({"resolved.state": LATE}, 0),
        ({"resolved.seg_len": 1}, 0),
        ({"resolved.seq": at(3)}, 0),
        ({"resolved.seq": at(1)}, 0),
        ({"seg.seq": at(2)}, 0),
        *(({f"{side}.{field}": 1}, 0) for side in ("me", "peer") for field in ("piped", "resent", "missed")),
        ({"me.syn": 0}, 0),
        ({"peer.syn": 0}, 0),
        ({"seg.ack": at(59)}, 0),
        ({"seg.ack": at(61)}, 1),
        ({"seg.ack": at(59), "me.has_rcv_nxt": 0}, 1),
        # Sooner, the capture has swapped them; later, it may be a retransmission.
        ({"seg.time": SECOND + SAME_MOMENT}, 0),
        ({"seg.time": SECOND + MIN_RTO // 2 - 1}, 1),
        ({"seg.time": SECOND + MIN_RTO // 2}, 0),
        title=f"{predicate.__name__.replace('_', ' ')}: the number is used later",
    )

BEHIND_NXT: Change = {
    "seg.ctl": ACK,
    "seg.seq_offset": -10,
    "seg.seg_len": 60,
    "seg.len": 60,
    "seg.new_octets": 50,
    "seg.ack": at(5),
    "me.has_nxt": 1,
    "me.nxt": at(100),
    "me.has_rcv_nxt": 1,
    "me.rcv_nxt": at(5),
    "peer.has_rcv_nxt": 1,
    "peer.rcv_nxt": at(100),
    "peer.has_nxt": 1,
    "peer.nxt": at(5),
    "peer.data_len": 5,
    "peer.has_last_ack": 1,
    "peer.last_ack": at(100),
}
EMPTY: Change = {"seg.seg_len": 0, "seg.len": 0, "seg.new_octets": 0}
UNANSWERED: Change = {"seg.ack": at(4), "me.has_rcv_nxt": 0}
"""It does not acknowledge the peer's data, and no segment before it has."""
for predicate, otherwise in (
    (sequence.sequence_number_falls_behind, 0),
    (sequence.seq_is_not_the_peers_ack, Severity.NOTE),
):
    CASES(
        predicate,
        BEHIND_NXT,
        ({"seg.ctl": ACK | FIN}, 1),
        ({"seg.ctl": ACK | SYN}, 0),
        ({"seg.ctl": ACK | RST}, 0),
        ({"seg.new_octets": 1}, 1),
        ({"seg.new_octets": 59}, 1),
        ({"seg.new_octets": 60}, otherwise),  # it fills a gap
        ({"seg.new_octets": 0, "seg.time": SECOND}, otherwise),  # it is a retransmission
        ({"peer.has_rcv_nxt": 0}, otherwise),
        ({"peer.rcv_nxt": at(99)}, otherwise),
        ({"peer.rcv_nxt": at(101)}, otherwise),
        ({"me.resent": 1}, otherwise),
        # The octet of a probe is sent again.
        ({"me.probe": 1}, 1),
        ({"me.probe": 1, "seg.seq_offset": -1}, otherwise),
        ({"seg.seq_offset": -1}, 1),
        # It is older than another segment.
        ({"seg.ack": at(4), "peer.data_len": 0}, otherwise),
        ({"seg.ack": at(6), "peer.data_len": 0}, 1),
        # Its sender may not have received the peer's data and its ACK.
        (UNANSWERED, otherwise),
        ({**UNANSWERED, "peer.data_len": 1}, otherwise),
        ({**UNANSWERED, "peer.data_len": 0}, 1),
        ({**UNANSWERED, "peer.has_nxt": 0}, 1),
        ({**UNANSWERED, **EMPTY, "seg.time": SECOND}, 1),
        # A pure ACK may also be older than the last segment.
        ({**EMPTY, "seg.time": SAME_MOMENT}, otherwise),
        ({**EMPTY, "seg.time": SAME_MOMENT + 1}, 1),
        ({**EMPTY, "seg.time": SECOND, "seg.tsval": 8, "me.tsval": 9}, otherwise),
        # A keep-alive starts one lower.
        ({**EMPTY, "seg.time": SECOND, "seg.seq_offset": -1}, otherwise),
        ({**EMPTY, "seg.time": SECOND, "seg.seq_offset": -2}, 1),
        title=f"{predicate.__name__.replace('_', ' ')}: behind SND.NXT",
    )
CASES(
    sequence.sequence_number_falls_behind,
    {**BEHIND_NXT, **EMPTY, "seg.time": SECOND},
    ({"seg.seq_offset": 0}, 0),
    ({"seg.seq_offset": 1}, 0),
    title="an ACK in its place does not fall behind",
)
CASES(
    sequence.old_number_on_an_ack,
    {
        "seg.ctl": ACK,
        "seg.seq": at(0),
        "seg.seq_offset": -100,
        "seg.ack": at(60),
        "seg.time": SECOND,
        "me.has_nxt": 1,
        "me.nxt": at(100),
        "me.data_len": 100,
        "me.has_rcv_nxt": 1,
        "me.rcv_nxt": at(60),
        "peer.has_rcv_nxt": 1,
        "peer.rcv_nxt": at(0),
        "peer.win": 500,
    },
    ({"seg.ctl": PSH}, 0),
    ({"seg.ctl": ACK | SYN}, 0),
    ({"seg.ctl": ACK | RST}, 0),
    ({"seg.seg_len": 1}, 0),
    ({"seg.seq_offset": 0}, 0),
    ({"seg.seq_offset": 1}, 0),
    ({"me.data_len": 0}, 0),
    ({"me.data_len": 1}, 1),
    ({"me.resent": 1}, 0),
    ({"me.missed": 1}, 0),
    ({"me.pending_n": 1}, 0),
    ({"peer.has_rcv_nxt": 0}, 0),
    ({"peer.rcv_nxt": at(100)}, 0),
    ({"peer.rcv_nxt": at(99)}, 1),
    # The peer has taken back a part of its window, or all of it.
    ({"seg.seq": at(50), "seg.seq_offset": -50}, 1),
    ({"seg.seq": at(50), "seg.seq_offset": -50, "peer.win": 50}, 0),
    ({"seg.seq": at(49), "seg.seq_offset": -51, "peer.win": 50}, 1),
    ({"peer.win": 0}, 0),
    # A probe starts just before SND.UNA, or just before SND.NXT.
    ({"seg.seq": at(-1), "seg.seq_offset": -101}, 0),
    ({"seg.seq": at(-2), "seg.seq_offset": -102}, 1),
    ({"seg.seq": at(99), "seg.seq_offset": -1}, 0),
    ({"seg.seq": at(99), "seg.seq_offset": -1, "seg.ack": at(61)}, 1),
    ({"seg.seq": at(99), "seg.seq_offset": -1, "me.has_rcv_nxt": 0}, 1),
    ({"seg.seq": at(99), "seg.seq_offset": -1, "me.has_rcv_nxt": 0, "peer.win": 0}, 0),
    # It was sent before the data.
    ({"seg.ack": at(59)}, 0),
    ({"seg.time": SAME_MOMENT}, 0),
    ({"seg.time": SAME_MOMENT, "seg.ack": at(61)}, 1),
    ({"seg.tsval": 8, "me.tsval": 9}, 0),
    ({"seg.tsval": 10, "me.tsval": 9, "seg.time": 0}, 1),
)
FAR = FAR_WINDOWS * 65535
CASES(
    sequence.sequence_number_outside_any_window,
    {
        "seg.ctl": ACK,
        "seg.seq": at(FAR + 1),
        "seg.seq_offset": FAR + 1,
        "seg.ack": at(60),
        "me.syn": 1,
        "me.has_nxt": 1,
        "me.has_rcv_nxt": 1,
        "peer.syn": 2,
        "peer.has_right_edge": 1,
        "peer.rcv_nxt": at(0),
        "peer.nxt": at(60),
    },
    ({"seg.ctl": ACK | FIN}, 1),
    ({"seg.ctl": ACK | SYN}, 0),
    ({"seg.ctl": ACK | RST}, 0),
    ({"seg.ctl": FIN}, 0),
    ({"seg.len": 1}, 0),
    ({"me.has_nxt": 0}, 0),
    ({"me.has_rcv_nxt": 0}, 0),
    ({"peer.has_right_edge": 0}, 0),
    *(({f"{side}.{field}": 1}, 0) for side in ("me", "peer") for field in ("pending_n", "missed")),
    ({"seg.ack": at(61)}, 0),
    ({"seg.seq_offset": FAR}, 0),
    ({"seg.seq_offset": -FAR}, 0),
    ({"seg.seq_offset": -FAR - 1}, 1),
    ({"seg.seq": at(FAR)}, 0),
    ({"seg.seq": at(-FAR)}, 0),
    ({"seg.seq": at(-FAR - 1)}, 1),
    ({"peer.max_win": 65536}, 0),
    # The largest window of all, if the scale is not known.
    ({"peer.syn": 0}, 0),
    ({"peer.syn": 0, "seg.seq_offset": -MAX_WINDOW - 1, "seg.seq": at(MAX_WINDOW + 1)}, 1),
)
CASES(
    sequence.pure_ack_counted,
    COUNTED | {"resolved.state": WRONG},
    ({"resolved.kind": UNSENT}, 0),
    ({"resolved.mark": THIRD}, 0),
    ({"resolved.mark": THIRD, "me.third": 2}, 0),
    ({"resolved.mark": 0}, 0),
    ({"resolved.seq": at(1)}, 0),
    ({"resolved.seq": at(3)}, 0),
    ({"me.syn": 0}, 1),
)
CASES(
    sequence.pure_ack_counted,
    {**COUNTED, "me.missed": 1},
    *(({"resolved.state": state}, 0) for state in (OPEN, FILLED, LATE, UNPROVEN, LOST)),
    ({"me.missed": 2}, Severity.WARNING),
    ({"me.syn": 0}, 0),
    ({"peer.syn": 0}, 0),
    ({"resolved.seq": at(3)}, 0),
    ({"resolved.mark": THIRD}, 0),
    ({"resolved.mark": THIRD, "me.third": 1}, 0),
    ({"resolved.mark": THIRD, "me.third": 2}, 1),
    # Its sender sent it: the capture lacks a segment.
    ({"resolved.mark": PARTLY, "me.third": 2}, 0),
    ({"resolved.mark": SENT, "me.third": 2}, 0),
    ({"resolved.mark": 0, "me.third": 2}, 0),
    title="pure ACK counted, and acknowledged",
)
CASES(
    sequence.syn_or_fin_not_counted,
    {
        "seg.ctl": ACK,
        "seg.seq": at(0),
        "seg.ack": at(61),
        "seg.time": 2,
        "me.has_fin": 1,
        "me.fin": at(0),
        "me.fin_time": 1,
        "me.has_rcv_nxt": 1,
        "me.rcv_nxt": at(60),
    },
    ({"seg.ctl": ACK | SYN}, 0),
    ({"seg.ctl": ACK | FIN}, 0),
    ({"seg.ctl": ACK | RST}, 0),
    ({"me.has_fin": 0}, 0),
    ({"seg.seq": at(1)}, 0),
    ({"seg.seq": at(-1)}, 0),
    ({"seg.len": 1}, 0),
    # A keep-alive acknowledges nothing new.
    ({"seg.ack": at(60)}, 0),
    ({"seg.ack": at(59)}, 0),
    ({"me.has_rcv_nxt": 0}, 0),
    ({"seg.time": 1}, 0),
    title="FIN not counted",
)
CASES(
    sequence.syn_or_fin_not_counted,
    {"seg.ctl": ACK, "seg.seq": at(0), "seg.len": 2, "me.syn": 2, "me.isn": at(0), "me.syn_end": at(1)},
    ({"seg.ctl": ACK | SYN}, 0),
    ({"seg.ctl": ACK | FIN}, 0),
    ({"seg.ctl": ACK | RST}, 0),
    ({"me.syn": 0}, 0),
    ({"me.syn": 1}, 0),
    ({"me.syn": 1, "me.third": 1}, 0),
    ({"me.syn": 1, "me.third": 2}, 1),
    ({"seg.seq": at(1)}, 0),
    ({"seg.seq": at(-1)}, 0),
    ({"seg.len": 1}, 0),  # a keep-alive
    ({"me.syn_end": at(2)}, 0),  # its SYN had data
    title="SYN not counted",
)
CASES(
    sequence.seq_is_not_the_peers_ack,
    {
        "seg.ctl": ACK,
        "seg.seq": at(1),
        "seg.seq_offset": 1,
        "me.has_nxt": 1,
        "me.nxt": at(0),
        "peer.has_last_ack": 1,
        "peer.last_ack": at(0),
    },
    ({"seg.ctl": ACK | SYN}, 0),
    ({"seg.ctl": ACK | RST}, 0),
    ({"peer.has_last_ack": 0}, 0),
    ({"seg.seq": at(0)}, 0),
    ({"me.has_nxt": 0}, 0),
    # It continues where its sender was: the peer's ack is at fault, unless the peer has acknowledged less.
    ({"seg.seq_offset": 0}, 0),
    ({"seg.seq_offset": 0, "peer.has_rcv_nxt": 1, "peer.rcv_nxt": at(0)}, 0),
    ({"seg.seq_offset": 0, "peer.has_rcv_nxt": 1, "peer.rcv_nxt": at(-1)}, Severity.NOTE),
    ({"peer.has_rcv_nxt": 1, "peer.rcv_nxt": at(0)}, Severity.NOTE),
    first=Severity.NOTE,
)
CASES(
    sequence.seq_is_literally_not_the_peers_ack,
    {"seg.ctl": ACK, "seg.seq": at(1), "peer.has_last_ack": 1, "peer.last_ack": at(0)},
    ({"seg.ctl": FIN}, 0),
    ({"seg.ctl": ACK | RST}, 0),
    ({"peer.has_last_ack": 0}, 0),
    ({"seg.seq": at(0)}, 0),
)


@pytest.mark.parametrize("title", list(CASES))
def test_a_rule_about_numbers_answers(title: str) -> None:
    assert CASES.wrong(title) == []
