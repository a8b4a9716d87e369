"""RFC 6675: what the scoreboard says (IsLost, SetPipe, NextSeg of section 4), and when a recovery begins (section 5).

Positions are given in segments of SMSS octets: `(2, 4)` is the third and the fourth segment.
"""

import pytest
from helpers import MS, ConnectionPair
from hypothesis import given
from hypothesis import strategies as st

from labkit.tcp.endpoint import Config
from labkit.tcp.endpoint.recovery import Recovery

SMSS = 1000


def board(*sacked: tuple[float, float]) -> Recovery:
    """A scoreboard on which some segments are SACKed."""
    recovery = Recovery()
    recovery.sack = True
    for left, right in sacked:
        recovery.sacked.add(int(left * SMSS), int(right * SMSS))
    return recovery


# IsLost: "either DupThresh discontiguous SACKed sequences have arrived above 'SeqNum' or more than (DupThresh - 1) * SMSS
# bytes with sequence numbers greater than 'SeqNum' have been SACKed".
LOST = [
    ([], False),
    ([(1, 2)], False),
    ([(1, 3)], False),
    ([(1, 3.001)], True),
    ([(1, 4)], True),
    ([(5, 7), (8, 8.5)], True),
    ([(1, 2), (3, 4)], False),
    ([(1, 2), (3, 4), (5, 6)], True),
    ([(1, 1.1), (2, 2.1), (3, 3.1)], True),
    ([(1, 1.1), (2, 2.1)], False),
    ([(0, 4)], False),
]


@pytest.mark.parametrize(("sacked", "lost"), LOST)
def test_section_4_is_lost(sacked, lost):
    assert board(*sacked).head_lost(0, 10 * SMSS, SMSS) is lost


# SetPipe, with HighACK = 0 and ten segments sent: what is neither SACKed nor lost is in the network, and so is what was
# sent again below HighRxt.
PIPE = [
    ([], 0, 10),
    ([(1, 2)], 0, 9),
    ([(1, 4)], 0, 6),
    ([(1, 4)], 1, 7),
    ([(1, 4), (5, 6)], 0, 5),
    ([(2, 3), (4, 5), (6, 7)], 0, 5),
    ([(2, 3), (4, 5), (6, 7)], 2, 7),
    ([(2, 5), (6, 9)], 0, 1),
    ([(2, 5), (6, 9)], 2, 3),
    ([(0.5, 9)], 0, 1),
]


@pytest.mark.parametrize(("sacked", "resent", "pipe"), PIPE)
def test_section_4_set_pipe(sacked, resent, pipe):
    recovery = board(*sacked)
    recovery.start_fast(0, 10 * SMSS, SMSS)
    # Whether the first octet counts as lost is what the rule says, not that a recovery was begun.
    recovery.lost_to = 0
    recovery.high_rxt = resent * SMSS
    assert recovery.pipe(0, 10 * SMSS, SMSS) == pipe * SMSS


@given(
    st.lists(st.tuples(st.integers(0, 39), st.integers(1, 9)), max_size=12),
    st.integers(0, 39),
    st.integers(1, 4),
)
def test_section_4_set_pipe_octet_by_octet(blocks, resent, mss):
    """The RFC walks over each octet; labkit counts gaps. Both find the same."""
    high = 40
    recovery = Recovery()
    recovery.sack = True
    sacked = set()
    for left, length in blocks:
        right = min(left + length, high)
        recovery.sacked.add(left, right)
        sacked |= set(range(left, right))
    recovery.start_fast(0, high, mss)
    recovery.lost_to = 0
    recovery.high_rxt = resent

    def is_lost(at: int) -> bool:
        above = [octet for octet in sacked if octet > at]
        sequences = sum(octet - 1 not in sacked for octet in above)
        return sequences >= 3 or len(above) > 2 * mss

    missing = [at for at in range(high) if at not in sacked]
    assert recovery.pipe(0, high, mss) == sum(not is_lost(at) for at in missing) + sum(at < resent for at in missing)


def test_section_4_next_seg_rule_1_what_is_lost_goes_first_and_once():
    recovery = board((1, 2), (3, 6), (8, 9))
    recovery.start_fast(0, 10 * SMSS, SMSS)
    found = []
    while (lost := recovery.next_lost(0, 10 * SMSS, SMSS)) is not None:
        found.append((lost[0] // SMSS, lost[1] // SMSS))
        recovery.high_rxt = lost[1]
    # The first by the duplicate ACKs, the second by three segments SACKed above it; what lies beyond is not lost yet.
    assert found == [(0, 1), (2, 3)]


# Section 5: a conversation of ten segments at once, of which some are lost; why each segment goes that is sent afterwards.
RECOVERIES = [
    ([1], ["retransmission-fast"]),
    ([1, 3], ["retransmission-fast"] * 2),
    ([1, 2, 3, 4], ["retransmission-fast"] * 4),
    # (4.3): "if the octets from HighACK to HighData ... retransmit": three segments above suffice, not three ACKs of one.
    ([6], ["retransmission-fast"]),
    # Two segments above are too few: the timer.
    ([8], ["retransmission-rto"]),
]


@pytest.mark.parametrize(("lost", "whys"), RECOVERIES)
def test_section_5_losses_of_one_window(lost, whys):
    # The client's third segment is the first with data.
    gone = {2 + number for number in lost}
    carry = lambda name, number, _: [] if name == "client" and number in gone else [0]  # noqa: E731
    pair = ConnectionPair(Config(iss=2**32 - 5000), carry=carry).connect()
    begin = len(pair.log)
    data = bytes(range(250)) * 58
    pair.client.send(data, pair.now)
    pair.flush()
    pair.run()
    assert [why for _, _, _, why in pair.log[begin:] if why.startswith("retransmission")] == whys
    assert pair.read["server"] == data
    # Nothing is sent again that the receiver had: it has reported no duplicate.
    sent = [segment.seq for _, side, segment, why in pair.log[begin:] if side == "client" and why.startswith("ret")]
    assert len(sent) == len(set(sent)) == len(lost)


def test_section_5_all_losses_of_a_window_are_mended_in_one_round_trip():
    """Without SACK each costs one (RFC 6582); with SACK the first ACKs tell of all of them."""
    times = {}
    for sack in (True, False):
        carry = lambda name, number, _: [] if name == "client" and number in {4, 6, 8} else [0]  # noqa: E731
        pair = ConnectionPair(Config(sack=sack), Config(sack=sack), carry=carry).connect()
        begin = pair.now
        pair.client.send(bytes(14600), pair.now)
        pair.flush()
        pair.run(pair.now + 5000 * MS)
        again = [time for time, _, _, why in pair.log if why == "retransmission-fast"]
        times[sack] = [(time - begin) // (20 * MS) for time in again]
    assert times == {True: [1, 1, 1], False: [1, 2, 3]}
