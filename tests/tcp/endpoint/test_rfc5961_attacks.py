"""RFC 5961: what a stranger can do with segments whose numbers are guessed, and what not."""

import pytest
from helpers import ConnectionPair

from labkit.tcp import seq as sn
from labkit.tcp.endpoint import Config, Notice
from labkit.tcp.segment import ACK, PSH, RST, SYN, Segment
from labkit.tcp.state import State

WINDOW = 5000
ISNS = [100, 2**32 - 2, 2**32 - 2500]


def victim(iss: int) -> ConnectionPair:
    """A connection whose server waits for the octet after `iss` + 1."""
    return ConnectionPair(Config(iss=iss), Config(iss=300, window=WINDOW)).connect()


def answer(pair: ConnectionPair, segment: Segment) -> str | None:
    """Why the server answers a segment; None where it does not. A challenge has the numbers of the connection."""
    pair.server.receive(segment, pair.now)
    out = pair.server.segments(pair.now)
    for each in out:
        assert (each.segment.seq, each.segment.ack, each.segment.ctl) == (301, pair.server.rcv.ack, ACK)
    return out[0].why if out else None


# Section 3.2: (1) outside of the window: silently drop; (2) exactly RCV.NXT: reset; (3) else in the window: challenge.
RESETS = [
    (0, None, State.CLOSED),
    (1, "challenge-ack", State.ESTABLISHED),
    (WINDOW - 1, "challenge-ack", State.ESTABLISHED),
    (WINDOW, None, State.ESTABLISHED),
    (-1, None, State.ESTABLISHED),
    (2**31, None, State.ESTABLISHED),
]


@pytest.mark.parametrize(("offset", "why", "state"), RESETS)
@pytest.mark.parametrize("iss", ISNS)
@pytest.mark.parametrize("bits", [RST, RST | ACK])
def test_section_3_2_resets(offset, why, state, iss, bits):
    pair = victim(iss)
    assert answer(pair, Segment(sn.add(iss, 1 + offset), 301, bits, 0)) == why
    assert pair.server.state is state
    pair.notices["server"] += pair.server.events()
    assert (Notice.RESET in pair.notices["server"]) is (state is State.CLOSED)


@pytest.mark.parametrize("offset", [-1000, -1, 0, 1, WINDOW - 1, WINDOW, 2**31])
@pytest.mark.parametrize("iss", ISNS)
@pytest.mark.parametrize("bits", [SYN, SYN | ACK])
def test_section_4_2_a_syn_is_challenged_wherever_its_number_lies(offset, iss, bits):
    pair = victim(iss)
    assert answer(pair, Segment(sn.add(iss, 1 + offset), 301, bits)) == "challenge-ack"
    assert pair.server.state is State.ESTABLISHED


def test_section_4_2_a_peer_that_has_forgotten_the_connection_resets_it_with_the_challenge():
    """ "The remote peer ... will send back an RST with the sequence number derived from the ACK field"."""
    pair = victim(100)
    pair.server.receive(Segment(7000, 0, SYN), pair.now)
    (challenge,) = pair.server.segments(pair.now)
    pair.server.receive(Segment(challenge.segment.ack, 0, RST, 0), pair.now)
    assert pair.server.state is State.CLOSED


# Section 5.2: ((SND.UNA - MAX.SND.WND) <= SEG.ACK <= SND.NXT); SND.UNA is SND.NXT here, and the peer's window 65535.
ACKS = [(0, True), (-1, True), (-65535, True), (-65536, False), (1, False), (2**31 - 1, False), (-(2**31), False)]


@pytest.mark.parametrize(("offset", "taken"), ACKS)
@pytest.mark.parametrize("iss", ISNS)
def test_section_5_2_data_needs_an_ack_that_may_be_the_peer_s(offset, taken, iss):
    pair = victim(iss)
    why = answer(pair, Segment(sn.add(iss, 1), sn.add(301, offset), PSH | ACK, 65535, b"forged"))
    assert bytes(pair.server.read()) == (b"forged" if taken else b"")
    # What is taken waits for company; what is not is challenged at once.
    assert why == (None if taken else "challenge-ack")
