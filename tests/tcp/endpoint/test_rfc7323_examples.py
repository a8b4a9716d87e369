"""RFC 7323: window scaling, which timestamp is echoed (the examples of section 4.3), and PAWS (section 5)."""

import pytest
from helpers import ConnectionPair

from labkit.tcp import seq as sn
from labkit.tcp.endpoint import Config
from labkit.tcp.options import Timestamps, WindowScale
from labkit.tcp.segment import ACK, PSH, RST, Segment
from labkit.tcp.state import State

STAMPED = Config(iss=99, timestamps=True, timestamp_offset=0)


def receiver(delayed: bool = False) -> ConnectionPair:
    """A connection whose server has taken the client's timestamp 0, and waits for sequence number 100."""
    server = Config(iss=299, timestamps=True, delayed_ack=40_000_000 if delayed else None)
    pair = ConnectionPair(STAMPED, server, delay=0).connect()
    assert (pair.server.rcv.ack, pair.server.stamps.recent) == (100, 0)
    return pair


def arrives(pair: ConnectionPair, place: int, stamp: int, octets: int = 10, **fields: int) -> list[tuple[int, int]]:
    """Segment A (place 0), B (1) ... with a timestamp arrives; the answers, as (place that is acknowledged, TSecr)."""
    segment = Segment(100 + place * 10, 300, PSH | ACK, 65535, bytes(octets), (Timestamps(stamp, 0),))
    pair.server.receive(segment.with_(**fields), pair.now)
    found = []
    for out in pair.server.segments(pair.now):
        option = out.segment.option(Timestamps)
        assert option is not None
        found.append((sn.diff(out.segment.ack, 100) // 10, option.echo))
    return found


A, B, C, D, E = range(5)


def test_section_4_3_case_a_delayed_acks_echo_the_oldest():
    """ "Packets arrive in sequence, and some of the ACKs are delayed": the time until the ACK counts as well."""
    pair = receiver(delayed=True)
    full = {"payload": bytes(1448)}
    answers = []
    for number, stamp in enumerate((1, 2)):
        segment = Segment(100 + number * 1448, 300, ACK, 65535, b"", (Timestamps(stamp, 0),)).with_(**full)
        pair.server.receive(segment, pair.now)
        answers += [out.segment.option(Timestamps) for out in pair.server.segments(pair.now)]
    assert [(pair.server.stamps.recent, each.echo) for each in answers] == [(1, 1)]


def test_section_4_3_case_b_and_c_gaps():
    """ "Packets arrive out of order, and every packet is acknowledged": the last one that advanced the window counts."""
    pair = receiver()
    lines = [
        # (what arrives, its timestamp), the ACK and its echo, TS.Recent afterwards
        ((A, 1), (B, 1), 1),
        ((C, 3), (B, 1), 1),
        ((B, 2), (D, 2), 2),
        ((E, 5), (D, 2), 2),
        ((D, 4), (5, 4), 4),
    ]
    for (place, stamp), answer, recent in lines:
        assert arrives(pair, place, stamp) == [answer]
        assert pair.server.stamps.recent == recent


# Section 4.3, (2): "If SEG.TSval >= TS.Recent and SEG.SEQ <= Last.ACK.sent, then SEG.TSval is copied to TS.Recent".
@pytest.mark.parametrize(
    ("place", "stamp", "recent"),
    [(A, 7, 7), (A, 5, 5), (B, 7, 5), (C, 9, 5), (A, 2**31 + 4, 2**31 + 4)],
)
def test_section_4_3_which_timestamp_is_kept(place, stamp, recent):
    pair = receiver()
    pair.server.stamps.recent = 5
    arrives(pair, place, stamp)
    assert pair.server.stamps.recent == recent


@pytest.mark.parametrize(
    ("recent", "stamp", "taken"),
    [
        (5, 5, True),
        (5, 6, True),
        (5, 4, False),
        # On the circle: whoever is less than half around ahead is newer.
        (2**32 - 1, 0, True),
        (0, 2**32 - 1, False),
        (5, 5 + 2**31 - 1, True),
        (5, 5 + 2**31, False),
    ],
)
def test_section_5_3_r1_an_older_timestamp_is_not_acceptable(recent, stamp, taken):
    pair = receiver()
    pair.server.stamps.recent = recent
    (answer,) = arrives(pair, A, stamp)
    # "Send an acknowledgement in reply": of what came, or of what is expected still.
    assert answer[0] == (B if taken else A)
    assert pair.server.stamps.recent == (stamp if taken else recent)


def test_section_5_2_a_reset_needs_no_timestamp():
    """ "RST segments: it is RECOMMENDED that ... the timestamps be ignored"."""
    pair = receiver()
    pair.server.stamps.recent = 5
    assert arrives(pair, A, 1, octets=0, ctl=RST) == []
    assert pair.server.state is State.CLOSED


def test_section_5_2_old_octets_after_the_numbers_have_wrapped():
    """What PAWS is for: a segment of the last time around lies in the window, and only its timestamp tells."""
    pair = receiver()
    (answer,) = arrives(pair, A, 10)
    assert answer == (B, 10)
    old = Segment(sn.add(100, 10), 300, PSH | ACK, 65535, b"old octets", (Timestamps(9, 0),))
    pair.server.receive(old, pair.now)
    assert pair.server.read() == bytes(10)
    (out,) = pair.server.segments(pair.now)
    assert (out.why, out.segment.ack) == ("duplicate-ack", 110)


# Section 2.2 and 2.3.
@pytest.mark.parametrize(
    ("mine", "theirs", "shifts"),
    [(7, 3, (3, 7)), (0, 14, (14, 0)), (None, 7, (0, 0)), (7, None, (0, 0)), (2, 15, (14, 2)), (2, 255, (14, 2))],
)
def test_section_2_both_offer_a_scale_or_none_is_used(mine, theirs, shifts):
    pair = ConnectionPair(Config(iss=99, window_scale=mine))
    pair.client.open(0)
    pair.flush()
    options = () if theirs is None else (WindowScale(theirs),)
    pair.inject("client", Segment(299, 100, 0x12, 1000, b"", options))
    assert (pair.client.snd.shift, pair.client.rcv.shift) == shifts
    # "The window field in a segment where the SYN bit is set ... MUST NOT be scaled"
    assert pair.client.snd.edge - pair.client.snd.una == 1000
    pair.inject("client", Segment(300, 100, ACK, 1000))
    assert pair.client.snd.edge - pair.client.snd.una == 1000 << shifts[0]


def test_section_2_4_a_scale_may_retract_the_window_but_not_what_was_promised():
    """ "The receiver MUST honor, as in window, any segment that would have been in window for any <ACK> sent"."""
    server = Config(iss=299, window=70_000, window_scale=4, delayed_ack=None)
    pair = ConnectionPair(Config(iss=99, window_scale=0), server, delay=0).connect()
    edges = []
    for number in range(60):
        pair.server.receive(Segment(sn.add(100, number * 1001), 300, ACK, 65535, bytes(1001)), pair.now)
        (out,) = pair.server.segments(pair.now)
        edges.append(sn.diff(out.segment.ack, 100) + (out.segment.window << 4))
    # What the field can say is a multiple of sixteen, so that the edge moves by less than that.
    assert max(edges) - min(edges) < 16
    assert len(set(edges)) > 1
    assert max(edges) <= 70_000
    # The octet before the right-most edge that was ever offered is taken; the one after it is not.
    last = Segment(sn.add(100, max(edges) - 1), 300, ACK, 65535, b"!?")
    pair.server.receive(last, pair.now)
    assert [(start - 1, end - 1) for start, end in pair.server.rcv.blocks] == [(max(edges) - 1, max(edges))]
