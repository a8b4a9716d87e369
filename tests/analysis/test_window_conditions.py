"""More conditions of the rules about windows, and about limits of the capture, each by itself."""

import pytest
from conditions import Cases, Change, at

from labkit.analysis.order import SAME_MOMENT
from labkit.analysis.rules import capture, window
from labkit.analysis.severity import Severity
from labkit.analysis.tracker import FAR_WINDOWS
from labkit.packet.seen import ABSENT, MP_DSS, SUM_PARTIAL
from labkit.tcp.segment import ACK, FIN, PSH, RST, SYN

CASES = Cases()

KNOWN: Change = {"me.syn": 1, "me.wscale": 0, "peer.syn": 2, "peer.wscale": 0}
MULTIPATH: Change = {"me.mptcp": MP_DSS, "peer.mptcp": MP_DSS}
FAR = FAR_WINDOWS * 65535

CASES(
    window.data_beyond_the_window,
    {
        **KNOWN,
        "seg.ctl": FIN | ACK,
        "seg.seq": at(101),
        "seg.seq_offset": 1,
        "peer.has_right_edge": 1,
        "peer.right_edge": at(100),
    },
    ({"seg.ctl": ACK}, 0),
    ({"seg.ctl": FIN | ACK | SYN}, 0),
    ({"seg.ctl": FIN | ACK | RST}, 0),
    ({"seg.seq_offset": 0}, 0),
    ({"seg.seq": at(100)}, 0),
    ({"peer.has_right_edge": 0}, 0),
    ({"me.syn": 0}, 0),
    (MULTIPATH, 0),
    ({"me.has_nxt": 1, "me.nxt": at(100)}, Severity.WARNING),
    ({"me.has_nxt": 1, "me.nxt": at(150), "seg.seq": at(151)}, Severity.WARNING),
    # Its number is no number of the connection.
    (
        {
            "me.has_nxt": 1,
            "me.has_rcv_nxt": 1,
            "seg.seq": at(FAR + 1),
            "seg.seq_offset": FAR + 1,
            "peer.rcv_nxt": at(0),
        },
        0,
    ),
    title="FIN beyond the window",
    first=Severity.WARNING,
)
CLOSED: Change = {
    **KNOWN,
    "seg.ctl": ACK,
    "seg.seq": at(0),
    "seg.len": 2,
    "seg.new_octets": 2,
    "seg.ack": at(60),
    "me.nxt": at(10),
    "peer.has_rcv_nxt": 1,
    "peer.rcv_nxt": at(0),
    "peer.has_right_edge": 1,
    "peer.right_edge": at(100),
    "peer.closed_nxt": at(60),
    "peer.closed_len": 5,
}
CASES(
    window.data_into_a_closed_window,
    CLOSED,
    ({"seg.ctl": ACK | FIN}, 1),
    ({"seg.ctl": ACK | SYN}, 0),
    ({"seg.ctl": ACK | RST}, 0),
    ({"seg.len": 1, "seg.new_octets": 1}, 0),  # a probe
    ({"seg.len": 3, "seg.new_octets": 3}, 1),
    ({"seg.new_octets": 1}, 0),
    ({"seg.seq_offset": -1}, 0),
    ({"seg.seq_offset": 1}, 1),
    ({"peer.win": 1}, 0),
    ({"peer.has_rcv_nxt": 0}, 0),
    ({"me.syn": 0}, 0),
    ({"peer.right_edge": at(2)}, 1),
    ({"peer.right_edge": at(1)}, 0),  # WIN01
    *(({f"{side}.{field}": 1}, 0) for side in ("me", "peer") for field in ("pending_n", "missed")),
    # It acknowledges the data that came with the closed window.
    ({"seg.ctl": PSH}, 0),
    ({"seg.ack": at(59)}, 0),
    ({"seg.ack": at(61)}, 1),
    ({"peer.closed_len": 1}, 1),
    ({"peer.closed_len": 0}, 0),
)
CASES(
    window.data_into_a_closed_window,
    {**CLOSED, "peer.closed_len": 0, "me.nxt": at(0), "me.delay": SAME_MOMENT + 9, "seg.time": SAME_MOMENT + 9},
    ({"me.nxt": at(1)}, 0),
    ({"me.nxt": at(-1)}, 0),
    ({"seg.time": SAME_MOMENT + 8}, 0),
    ({"peer.closed_time": 1}, 0),
    ({"me.delay": 0, "seg.time": SAME_MOMENT}, 1),
    ({"me.delay": 0, "seg.time": SAME_MOMENT - 1}, 0),
    title="data into a closed window, long after it closed",
)
SHRUNK: Change = {
    **KNOWN,
    "seg.ctl": ACK,
    "seg.ack": at(60),
    "seg.time": SAME_MOMENT + 1,
    "me.has_right_edge": 1,
    "me.has_rcv_nxt": 1,
    "me.rcv_nxt": at(60),
    "me.win": 200,
}
CASES(
    window.linux_lowers_its_buffer,
    SHRUNK,
    ({"seg.win": 1}, 0),
    ({"me.win": 1}, 1),
    ({"me.win": 0}, 0),
    (MULTIPATH, 0),
)

CASES(capture.padding_counted, {"seg.padding": 1}, ({"seg.padding": 0}, 0))
CASES(
    capture.payload_beyond_the_default_mss,
    {"seg.ctl": ACK, "seg.len": 537, "seg.ip_len": 577, "peer.mss": 536, "peer.default_mss": 1},
    ({"seg.ctl": SYN}, 0),
    ({"seg.ctl": RST}, 0),
    ({"seg.len": 536}, 0),
    ({"peer.default_mss": 0}, 0),
    # It fits an Ethernet frame, or it does not.
    ({"seg.len": 1460, "seg.ip_len": 1500}, 1),
    ({"seg.len": 1461, "seg.ip_len": 1501}, 0),
)
CASES(
    capture.payload_before_segmentation,
    {"seg.ctl": ACK, "seg.len": 1400, "seg.ip_len": 1440, "peer.mss": 700},
    ({"seg.ctl": SYN}, 0),
    ({"seg.ctl": RST}, 0),
    ({"seg.len": 1399}, 0),
    ({"seg.len": 701, "seg.ip_len": 1501}, 1),
    ({"seg.len": 700, "seg.ip_len": 1501}, 0),
    ({"seg.len": 701, "seg.ip_len": 0}, 1),
    ({"seg.len": 701, "seg.sum_state": SUM_PARTIAL}, 1),
    ({"peer.mss": 0}, 0),
    ({"peer.mss": ABSENT}, 0),
    ({"peer.mss": 1}, 1),
)
CASES(
    capture.captured_twice,
    {
        "seg.ctl": ACK,
        "seg.ip_id": 7,
        "seg.time": SAME_MOMENT + 1,
        "me.seen": 1,
        "me.last_id": 7,
        "me.last_ctl": ACK,
        "me.ids_differ": 1,
    },
    ({"me.ids_differ": 0}, 0),
    ({"me.ids_differ": 0, "me.last_time": 1}, 1),
    ({"me.last_win": 1}, 0),
    ({"me.last_sum": 1}, 0),
    ({"me.last_ack": 1}, 0),
)


@pytest.mark.parametrize("title", list(CASES))
def test_a_rule_about_windows_or_the_capture_answers(title: str) -> None:
    assert CASES.wrong(title) == []
