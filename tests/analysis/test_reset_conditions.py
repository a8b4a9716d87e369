"""Each condition of the rules about resets, and about a FIN behind a gap, by itself."""

import pytest
from conditions import Cases, Change, at, state

from labkit.analysis.catalogue import collect
from labkit.analysis.order import SAME_MOMENT
from labkit.analysis.pending import GAP, LOST, MISSED, UNSENT, WRONG
from labkit.analysis.rules import fin, reset
from labkit.analysis.severity import Severity
from labkit.packet.seen import ABSENT
from labkit.tcp.segment import ACK, FIN, RST, SYN

CASES = Cases()
SECOND = 1_000_000_000

REFUSAL: Change = {
    "seg.ctl": RST | ACK,
    "seg.ack": at(1),
    "peer.syn": 1,
    "peer.isn": at(0),
    "peer.syn_end": at(1),
    "peer.last_ctl": SYN,
}
CASES(
    reset.reset_does_not_fit_the_syn,
    {**REFUSAL, "seg.ack": at(2)},
    ({"seg.ack": at(1)}, 0),
    ({"seg.ack": at(0)}, 1),
    ({"seg.ack": at(1), "seg.seq": 1}, 1),
    ({"seg.ack": at(1), "seg.ctl": RST}, 1),
    ({"seg.ctl": RST | SYN}, 0),
    ({"seg.ctl": ACK}, 0),
    ({"peer.syn": 0}, 0),
    ({"peer.syn": 2}, 0),
    ({"me.syn": 1}, 0),
    ({"me.syn": 2}, 0),
    ({"peer.last_ctl": ACK}, 0),
    ({"peer.third": 1}, 0),
    ({"me.seen": 1}, 0),
    ({"me.seen": 1, "me.rst": 1}, 1),
    # Without ACK, it may answer a segment of a connection that used the same ports before.
    ({"me.has_old": 1}, 1),
    ({"me.has_old": 1, "seg.ctl": RST}, 0),
    # The SYN has data.
    ({"peer.syn_end": at(9), "seg.ack": at(9)}, 0),
    ({"peer.syn_end": at(9), "seg.ack": at(10)}, 1),
)
CASES(
    reset.reset_does_not_fit_the_bad_ack,
    {
        "seg.ctl": RST,
        "seg.seq": at(10),
        "me.syn": 1,
        "me.isn": at(0),
        "me.syn_end": at(1),
        "me.last_ctl": SYN,
        "me.last_packet": 4,
        "peer.has_last_ack": 1,
        "peer.last_ack": at(50),
        "peer.last_ctl": ACK,
        "peer.last_packet": 5,
    },
    ({"seg.ctl": RST | SYN}, 0),
    ({"seg.ctl": ACK}, 0),
    ({"seg.seq": at(50)}, 0),
    ({"seg.seq": at(51)}, 1),
    ({"me.syn": 0}, 0),
    ({"me.last_ctl": ACK}, 0),
    ({"peer.has_last_ack": 0}, 0),
    ({"peer.last_ctl": SYN}, 0),
    ({"peer.last_ctl": RST | ACK}, 0),
    ({"peer.last_ctl": SYN | ACK}, 1),
    ({"peer.last_packet": 3}, 0),
    # A good ack is answered in another way.
    ({"peer.last_ack": at(1)}, 0),
    ({"peer.last_ack": at(0)}, 1),
    ({"peer.last_ack": at(2)}, 1),
    ({"peer.last_ack": at(2), "me.syn_end": at(2)}, 0),
    # In SYN-RECEIVED, a reset with ACK is an abort.
    ({"seg.ctl": RST | ACK}, 1),
    ({"me.syn": 2}, 1),
    ({"me.syn": 2, "seg.ctl": RST | ACK}, 0),
)
ANSWERED: Change = {
    "seg.ctl": ACK,
    "seg.ack": at(100),
    "seg.win": 9,
    "seg.time": SECOND,
    "me.syn": 2,
    "me.nxt": at(7),
    "me.has_rcv_nxt": 1,
    "me.rcv_nxt": at(100),
    "me.raw_win": 9,
    "me.last_packet": 5,
    "me.delay": SECOND,
    "peer.syn": 1,
    "peer.has_rcv_nxt": 1,
    "peer.rcv_nxt": at(7),
    "peer.nxt": at(100),
    "peer.rst": 1,
    "peer.last_ctl": RST | ACK,
    "peer.last_seq": at(100),
    "peer.last_packet": 6,
}
"""An ACK that answers a reset, in lock-step."""
CASES(
    reset.goes_on_after_the_peers_reset,
    ANSWERED,
    ({"seg.ctl": ACK | SYN}, 0),
    ({"seg.ctl": ACK | RST}, 0),
    ({"seg.ctl": 0}, 0),
    ({"seg.ctl": ACK | FIN}, Severity.NOTE),
    ({"seg.len": 1}, Severity.NOTE),
    ({"seg.ack": at(101)}, Severity.NOTE),
    ({"seg.win": 8}, Severity.NOTE),
    ({"me.piped": 1}, Severity.NOTE),
    ({"peer.resent": 1}, Severity.NOTE),
    # Its own data is in flight: a duplicate of it draws an answer too.
    ({"peer.rcv_nxt": at(6)}, Severity.NOTE),
    # So is the peer's: another reset was beside the number.
    ({"peer.nxt": at(101)}, Severity.NOTE),
    ({"peer.rst": 0}, 0),
    ({"peer.rst": 2}, 1),
    ({"peer.last_ctl": RST}, 1),
    ({"peer.last_ctl": ACK}, 0),
    ({"me.rst": 1}, 0),
    ({"me.syn": 0}, 0),
    ({"peer.syn": 0}, 0),
    ({"me.has_rcv_nxt": 0}, 0),
    # A challenge ACK (RFC 5961).
    ({"peer.last_seq": at(101)}, 0),
    ({"peer.last_seq": at(99)}, 0),
    *(({f"{side}.{field}": 1}, 0) for side in ("me", "peer") for field in ("missed", "pending_n")),
    # The first segment after the reset only.
    ({"me.last_packet": 7}, 0),
    # It was under way.
    ({"seg.time": SECOND - 1}, 0),
    ({"me.delay": 0, "seg.time": SAME_MOMENT - 1}, 0),
    ({"me.delay": 0, "seg.time": SAME_MOMENT}, 1),
)
CASES(
    reset.goes_on_after_reset,
    {
        "seg.ctl": ACK,
        "seg.seq": at(0),
        "seg.end": at(100),
        "seg.seg_len": 100,
        "seg.new_octets": 100,
        "seg.ip_id": 11,
        "seg.time": 1_000_000_000,
        "me.has_nxt": 1,
        "me.nxt": at(0),
        "me.top": at(0),
        "me.rst": 2,
        "me.rst_seq": at(0),
        "me.newest_id": 10,
        "me.third": 2,
    },
    ({"me.rst": 0}, 0),
    ({"seg.ctl": RST}, 0),
    ({"seg.ctl": RST | ACK}, 0),
    ({"seg.ctl": SYN}, 0),
    # Its receiver did not take the reset.
    ({"me.rst_seq": at(1)}, 0),
    ({"me.rst_seq": at(1), "me.has_nxt": 0}, 1),
    ({"me.rst": 1}, 1),  # the identification is later
    ({"seg.ip_id": 9, "me.rst": 1}, 0),
    ({"seg.ip_id": ABSENT}, 1),  # beyond the number of the reset
    # Acknowledgments never fall.
    ({"me.has_rcv_nxt": 1, "me.rcv_nxt": at(9), "seg.ack": at(8)}, 0),
    ({"me.has_rcv_nxt": 1, "me.rcv_nxt": at(9), "seg.ack": at(9)}, 1),
    ({"me.rcv_nxt": at(9), "seg.ack": at(8)}, 1),
    ({"seg.ip_id": ABSENT, "seg.end": at(0), "seg.seg_len": 0, "seg.new_octets": 0}, Severity.WARNING),
    ({"seg.ip_id": ABSENT, "seg.end": at(0), "seg.seg_len": 0, "seg.new_octets": 0, "me.last_time": 999_999_999}, 0),
    # The reset may have overtaken it, unless it brings octets that the sender had not sent then.
    ({"seg.ip_id": 9, "seg.end": at(0), "seg.seg_len": 0, "seg.new_octets": 0}, 0),
    ({"seg.ip_id": 11, "seg.end": at(0), "seg.seg_len": 0, "seg.new_octets": 0}, 1),
    ({"seg.ip_id": 0, "seg.seq": at(-100), "seg.seq_offset": -100, "seg.end": at(0)}, 0),
    ({"seg.ip_id": 0, "seg.seq": at(-99), "seg.seq_offset": -99, "seg.end": at(1)}, 1),
    ({"seg.ip_id": 11, "me.rst": 1, "seg.seq": at(-100), "seg.seq_offset": -100, "seg.end": at(0)}, 1),
    # A client's kernel has reset the SYN ACK, unless it is the answer to a SYN ACK that was sent again.
    ({"seg.ip_id": 0, "me.rst": 1, "me.third": 1}, 1),
    ({"seg.ip_id": 0, "me.rst": 1, "me.third": 1, "peer.resent": 1}, Severity.WARNING),
    ({"seg.ip_id": 0, "me.rst": 1, "me.third": 0}, Severity.WARNING),
    ({"seg.ip_id": 0, "me.rst": 1}, Severity.WARNING),
    ({"seg.ip_id": 0, "me.third": 1, "seg.end": at(0), "seg.seg_len": 0, "seg.new_octets": 0}, Severity.WARNING),
)
STRAY: Change = {
    "seg.ctl": RST,
    "me.syn": 1,
    "me.nxt": at(0),
    "peer.syn": 2,
    "peer.has_rcv_nxt": 1,
    "peer.rcv_nxt": at(0),
    "peer.last_ack": at(0),
    "peer.has_right_edge": 1,
    "peer.right_edge": at(100),
}
NOT_JUDGED = (
    ({"seg.ctl": ACK}, 0),
    ({"me.syn": 0}, 0),
    ({"peer.syn": 0}, 0),
    ({"peer.opt_cut": 1}, 0),
    ({"peer.rst": 1}, 0),
    ({"peer.has_right_edge": 0}, 0),
    ({"peer.has_rcv_nxt": 0}, 0),
    ({"peer.pending_n": 1}, 0),
    ({"me.pending_n": 1}, 0),
    ({"peer.missed": 1}, 0),
    ({"me.missed": 1}, 0),
)
CASES(
    reset.reset_outside_the_window,
    {**STRAY, "seg.seq": at(100)},
    *NOT_JUDGED,
    ({"seg.ctl": RST | ACK}, 1),
    ({"seg.seq": at(99)}, 0),
    ({"seg.seq": at(101)}, 1),
    ({"seg.seq": at(0), "me.nxt": at(9), "peer.right_edge": at(0)}, 0),
    ({"seg.seq": at(-1), "peer.right_edge": at(-1)}, 0),
    ({"me.nxt": at(100)}, 0),
    ({"peer.last_ack": at(100)}, 0),
)
CASES(
    reset.reset_left_of_the_window,
    {**STRAY, "seg.ctl": RST | ACK, "seg.seq": at(-1), "me.isn": at(-90_000)},
    *NOT_JUDGED,
    ({"seg.seq": at(0)}, 0),
    ({"seg.seq": at(1)}, 0),
    ({"me.nxt": at(-1)}, 0),
    ({"peer.last_ack": at(-1)}, 0),
    # At an edge of the window that the peer has offered before.
    ({"peer.has_low_edge": 1, "peer.low_edge": at(-1), "me.has_nxt": 1}, 0),
    ({"peer.has_low_edge": 1, "peer.low_edge": at(-2), "me.has_nxt": 1}, 1),
    ({"peer.low_edge": at(-1), "me.has_nxt": 1}, 1),
    ({"peer.has_low_edge": 1, "peer.low_edge": at(-1), "me.has_nxt": 1, "seg.len": 1}, 1),
    # Without ACK, it may answer an older segment: its number is the ack of that.
    ({"seg.ctl": RST}, Severity.NOTE),
    ({"seg.ctl": RST, "seg.seq": at(-65536)}, Severity.NOTE),
    ({"seg.ctl": RST, "seg.seq": at(-65537)}, 1),
    ({"seg.ctl": RST, "me.isn": at(-2), "me.syn": 1}, Severity.NOTE),
    ({"seg.ctl": RST, "me.isn": at(-1)}, 1),
    # No ack lies inside a segment.
    ({"seg.ctl": RST, "me.data_seq": at(-2), "me.data_len": 2}, 1),
    ({"seg.ctl": RST, "me.data_seq": at(-1), "me.data_len": 1}, Severity.NOTE),
    ({"seg.ctl": RST, "me.data_seq": at(-3), "me.data_len": 2}, Severity.NOTE),
)
CASES(
    reset.reset_beside_the_expected_number,
    {**STRAY, "seg.seq": at(50)},
    *NOT_JUDGED,
    ({"seg.seq": at(99)}, Severity.NOTE),
    ({"seg.seq": at(100)}, 0),
    ({"seg.seq": at(0), "me.nxt": at(9)}, 0),
    ({"seg.seq": at(-1)}, 0),
    ({"me.nxt": at(50)}, 0),
    # One octet does not fit a missing segment, and neither do identifications that count on.
    ({"seg.seq": at(1)}, 1),
    ({"me.nxt": at(49)}, 1),
    ({"me.nxt": at(51)}, 1),
    ({"me.nxt": at(48)}, Severity.NOTE),
    ({"me.nxt": at(52)}, Severity.NOTE),
    ({"seg.ip_id": 11, "me.last_id": 10}, 1),
    ({"seg.ip_id": 12, "me.last_id": 10}, Severity.NOTE),
    first=Severity.NOTE,
)
BEHIND_A_GAP: Change = {
    **STRAY,
    "seg.seq": at(50),
    "me.nxt": at(50),
    "me.last_packet": 8,
    "me.pending_n": 1,
    "me.pending_kind": (GAP,),
    "me.pending_seg_len": (10,),
    "me.pending_low": (at(0),),
    "peer.last_packet": 9,
}
CASES(
    reset.reset_beside_the_expected_number,
    BEHIND_A_GAP,
    ({"me.pending_n": 0}, 0),
    ({"peer.last_packet": 8}, 0),
    ({"peer.last_packet": 7}, 0),
    ({"peer.last_ack": at(-1)}, 0),
    ({"peer.missed": 1}, 0),
    ({"seg.ctl": ACK}, 0),
    ({"seg.seq": at(51)}, 0),
    ({"seg.seq": at(49)}, 0),
    ({"me.pending_kind": (UNSENT,)}, 0),
    ({"me.pending_seg_len": (0,)}, 0),
    ({"me.pending_seg_len": (1,)}, Severity.NOTE),
    ({"me.pending_low": (at(-1),)}, 0),
    ({"me.pending_low": (at(1),)}, Severity.NOTE),
    (
        {
            "me.pending_n": 2,
            "me.pending_kind": (UNSENT, GAP),
            "me.pending_seg_len": (10, 10),
            "me.pending_low": (at(0), at(0)),
        },
        Severity.NOTE,
    ),
    title="reset behind a gap",
    first=Severity.NOTE,
)


CASES(
    fin.fin_after_a_gap,
    {"resolved.kind": GAP, "resolved.state": WRONG, "resolved.ctl": FIN | ACK},
    ({"resolved.kind": UNSENT}, 0),
    ({"resolved.state": LOST}, 0),
    ({"resolved.state": MISSED}, 0),
    ({"resolved.ctl": ACK}, 0),
)
CASES(
    fin.fin_one_too_high,
    {
        "resolved.kind": GAP,
        "resolved.state": LOST,
        "resolved.ctl": FIN | ACK,
        "resolved.want_seq": at(49),
        "resolved.seq": at(50),
    },
    ({"resolved.kind": UNSENT}, 0),
    ({"resolved.state": WRONG}, 0),
    ({"resolved.state": MISSED}, 0),
    ({"resolved.ctl": ACK}, 0),
    ({"resolved.seq": at(51)}, 0),
    ({"resolved.seq": at(49)}, 0),
    ({"me.resent": 1}, 0),
)


@pytest.mark.parametrize("title", list(CASES))
def test_a_rule_about_resets_answers(title: str) -> None:
    assert CASES.wrong(title) == []


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"seg.seq": 7}, ("seq", 0, 7)),
        ({"seg.seq": 1, "seg.ack": at(2)}, ("seq", 0, 1)),
        ({"seg.ack": at(2)}, ("ack", at(1), at(2))),
        # Without ACK, its number may be anything.
        ({"seg.ctl": RST, "seg.seq": 7, "seg.ack": 0}, ("ack", at(1), 0)),
    ],
)
def test_the_field_that_does_not_fit_the_syn(change: Change, found: tuple[str, int, int]) -> None:
    declared = next(each for each in collect() if each.predicate is reset.reset_does_not_fit_the_syn)
    parts = state({**REFUSAL, **change})
    values = [
        take(parts["seg"], parts["me"], parts["peer"]) for take in (declared.field, declared.expected, declared.actual)
    ]
    assert tuple(values) == found
