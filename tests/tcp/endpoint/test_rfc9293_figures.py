"""The figures of RFC 9293 sections 3.5 and 3.6, by their numbers."""

from random import Random

from helpers import MS, ConnectionPair

from labkit.tcp.endpoint import Config, Endpoint
from labkit.tcp.segment import ACK, FIN, RST, SYN, Segment
from labkit.tcp.state import State

PLAIN = {"sack": False, "mss": 536}


def endpoint(iss: int = 100, **choices) -> Endpoint:
    return Endpoint(Config(iss=iss, **(PLAIN | choices)), Random(0))


def only(end: Endpoint) -> Segment:
    """The one segment that an endpoint has to send."""
    (out,) = end.segments(0)
    return out.segment


def header(segment: Segment) -> tuple[int, int, int]:
    return segment.seq, segment.ack, segment.ctl


def test_figure_6_basic_three_way_handshake():
    a, b = endpoint(100), endpoint(300)
    b.listen()
    a.open(0)
    assert (a.state, b.state) == (State.SYN_SENT, State.LISTEN)
    syn = only(a)
    assert header(syn) == (100, 0, SYN)
    b.receive(syn, 0)
    answer = only(b)
    assert (header(answer), b.state) == ((300, 101, SYN | ACK), State.SYN_RECEIVED)
    a.receive(answer, 0)
    ack = only(a)
    assert (header(ack), a.state) == ((101, 301, ACK), State.ESTABLISHED)
    a.send(b"data", 0)
    data = only(a)
    assert (header(data)[:2], data.payload) == ((101, 301), b"data")
    b.receive(ack, 0)
    assert b.state is State.ESTABLISHED
    b.receive(data, 0)
    assert b.read() == b"data"


def test_figure_7_simultaneous_connection_synchronization():
    a, b = endpoint(100), endpoint(300)
    a.open(0)
    b.open(0)
    from_a, from_b = only(a), only(b)
    assert (header(from_a), header(from_b)) == ((100, 0, SYN), (300, 0, SYN))
    a.receive(from_b, 0)
    b.receive(from_a, 0)
    assert (a.state, b.state) == (State.SYN_RECEIVED, State.SYN_RECEIVED)
    from_a, from_b = only(a), only(b)
    assert (header(from_a), header(from_b)) == ((100, 301, SYN | ACK), (300, 101, SYN | ACK))
    a.receive(from_b, 0)
    b.receive(from_a, 0)
    assert (a.state, b.state) == (State.ESTABLISHED, State.ESTABLISHED)
    assert (a.segments(0), b.segments(0)) == ([], [])


def test_figure_8_recovery_from_old_duplicate_syn():
    a, b = endpoint(100), endpoint(300)
    b.listen()
    a.open(0)
    syn = only(a)
    b.receive(Segment(90, 0, SYN), 0)
    answer = only(b)
    assert header(answer) == (300, 91, SYN | ACK)
    a.receive(answer, 0)
    reset = only(a)
    assert (header(reset), a.state) == ((91, 0, RST), State.SYN_SENT)
    b.receive(reset, 0)
    assert b.state is State.CLOSED
    b = endpoint(400)  # the listener's next connection: the figure's return to LISTEN
    b.listen()
    b.receive(syn, 0)
    a.receive(only(b), 0)
    b.receive(only(a), 0)
    assert (a.state, b.state) == (State.ESTABLISHED, State.ESTABLISHED)


def established(iss: int, irs: int) -> Endpoint:
    """An endpoint that is ESTABLISHED, with SND.NXT = iss + 1 and RCV.NXT = irs + 1."""
    end = endpoint(iss)
    end.open(0)
    end.segments(0)
    end.receive(Segment(irs, iss + 1, SYN | ACK), 0)
    end.segments(0)
    return end


def test_figure_9_half_open_connection_discovery():
    a, b = endpoint(400), established(299, 99)
    a.open(0)
    b.receive(only(a), 0)
    challenge = only(b)
    assert header(challenge) == (300, 100, ACK)
    a.receive(challenge, 0)
    reset = only(a)
    assert header(reset) == (100, 0, RST)
    b.receive(reset, 0)
    assert (a.state, b.state) == (State.SYN_SENT, State.CLOSED)


def test_figure_10_active_side_causes_half_open_connection_discovery():
    a, b = endpoint(), established(299, 99)
    b.send(bytes(10), 0)
    data = only(b)
    assert header(data)[:2] == (300, 100)
    a.receive(data, 0)
    reset = only(a)
    assert header(reset) == (100, 0, RST)
    b.receive(reset, 0)
    assert b.state is State.CLOSED


def test_figure_11_old_duplicate_syn_initiates_a_reset_on_two_passive_sockets():
    a, b = endpoint(), endpoint(300)
    a.listen()
    b.listen()
    b.receive(Segment(7, 0, SYN), 0)
    answer = only(b)
    assert header(answer) == (300, 8, SYN | ACK)
    a.receive(answer, 0)
    reset = only(a)
    assert (header(reset), a.state) == ((8, 0, RST), State.LISTEN)
    b.receive(reset, 0)
    assert b.state is State.CLOSED


def test_figure_12_normal_close_sequence():
    pair = ConnectionPair(Config(iss=99), Config(iss=299)).connect()
    begin = len(pair.log)
    pair.client.close(pair.now)
    pair.flush()
    assert pair.client.state is State.FIN_WAIT_1
    pair.run(pair.now + 3 * pair.delay)
    assert pair.states == (State.FIN_WAIT_2, State.CLOSE_WAIT)
    pair.server.close(pair.now)
    pair.flush()
    assert pair.server.state is State.LAST_ACK
    pair.run(pair.now + 3 * pair.delay)
    assert pair.states == (State.TIME_WAIT, State.CLOSED)
    assert [header(segment) for _, _, segment, _ in pair.log[begin:]] == [
        (100, 300, FIN | ACK),
        (300, 101, ACK),
        (300, 101, FIN | ACK),
        (101, 301, ACK),
    ]
    pair.run(pair.now + 59_000 * MS)
    assert pair.client.state is State.TIME_WAIT
    pair.run()
    assert pair.client.state is State.CLOSED


def test_figure_13_simultaneous_close_sequence():
    pair = ConnectionPair(Config(iss=99), Config(iss=299)).connect()
    begin = len(pair.log)
    pair.client.close(pair.now)
    pair.server.close(pair.now)
    pair.flush()
    assert pair.states == (State.FIN_WAIT_1, State.FIN_WAIT_1)
    pair.run(pair.now + pair.delay)
    assert pair.states == (State.CLOSING, State.CLOSING)
    pair.run(pair.now + pair.delay)
    assert pair.states == (State.TIME_WAIT, State.TIME_WAIT)
    assert sorted(header(segment) for _, _, segment, _ in pair.log[begin:]) == [
        (100, 300, FIN | ACK),
        (101, 301, ACK),
        (300, 100, FIN | ACK),
        (301, 101, ACK),
    ]
