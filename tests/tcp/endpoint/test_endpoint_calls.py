"""What the user's calls do and refuse, and what arrives where it should not: RFC 9293 section 3.10."""

from random import Random

import pytest
from helpers import MS, ConnectionPair

from labkit.errors import UsageError
from labkit.tcp import seq as sn
from labkit.tcp.endpoint import Config, Endpoint, Notice
from labkit.tcp.options import Mss, SackPermitted, Timestamps, WindowScale
from labkit.tcp.segment import ACK, FIN, PSH, RST, SYN, Segment, control_names
from labkit.tcp.state import TRANSITIONS, Event, State

ISNS = [0, 1, 2**31 - 1, 2**31, 2**32 - 50, 2**32 - 2, 2**32 - 1]


@pytest.mark.parametrize("client_iss", ISNS)
@pytest.mark.parametrize("server_iss", [0, 2**32 - 1, 2**32 - 120])
def test_the_documents_conversation_with_any_initial_numbers(client_iss, server_iss):
    pair = ConnectionPair(Config(iss=client_iss), Config(iss=server_iss)).connect()
    pair.client.send(bytes(99), pair.now)
    pair.flush()
    pair.run(pair.now + pair.delay)
    pair.server.send(bytes(119), pair.now)
    pair.flush()
    pair.run(pair.now + 60 * MS)
    pair.client.close(pair.now)
    pair.flush()
    pair.run(pair.now + 15 * MS)
    pair.server.close(pair.now)
    pair.flush()
    pair.run()
    assert pair.lines() == [
        "> SYN 0:0",
        "< SYN ACK 0:0 ack 1",
        "> ACK 1:1 ack 1",
        "> PSH ACK 1:100 ack 1",
        "< PSH ACK 1:120 ack 100",
        "> ACK 100:100 ack 120",
        "> FIN ACK 100:100 ack 120",
        "< ACK 120:120 ack 101",
        "< FIN ACK 120:120 ack 101",
        "> ACK 101:101 ack 121",
    ]
    assert pair.states == (State.CLOSED, State.CLOSED)
    assert pair.log[-1][2].seq == sn.add(client_iss, 101)
    assert pair.log[-1][2].ack == sn.add(server_iss, 121)
    assert pair.notices["client"] == [Notice.CONNECTED, Notice.DATA, Notice.PEER_CLOSED, Notice.CLOSED]


@pytest.mark.parametrize(
    ("client", "server", "syn", "answer"),
    [
        ({"sack": False}, {"sack": False}, [Mss], [Mss]),
        ({}, {"sack": False}, [Mss, SackPermitted], [Mss]),
        ({"sack": False}, {}, [Mss], [Mss]),
        (
            {"window_scale": 7},
            {"window_scale": 2},
            [Mss, SackPermitted, WindowScale],
            [Mss, SackPermitted, WindowScale],
        ),
        ({"window_scale": 7}, {}, [Mss, SackPermitted, WindowScale], [Mss, SackPermitted]),
        ({}, {"window_scale": 7}, [Mss, SackPermitted], [Mss, SackPermitted]),
        (
            {"timestamps": True},
            {"timestamps": True},
            [Mss, SackPermitted, Timestamps],
            [Mss, SackPermitted, Timestamps],
        ),
        ({"timestamps": True, "sack": False}, {}, [Mss, Timestamps], [Mss]),
        ({}, {"timestamps": True}, [Mss, SackPermitted], [Mss, SackPermitted]),
    ],
)
def test_options_are_used_where_both_offer_them(client, server, syn, answer):
    pair = ConnectionPair(Config(**client), Config(**server)).connect()
    pair.client.send(bytes(10), pair.now)
    pair.flush()
    kinds = [[type(option) for option in segment.options if option.kind != 1] for _, _, segment, _ in pair.log]
    assert kinds[:2] == [syn, answer]
    stamped = Timestamps in syn and Timestamps in answer
    assert kinds[2:] == [[Timestamps] if stamped else []] * 2
    scaled = WindowScale in syn and WindowScale in answer
    assert (pair.client.snd.shift, pair.server.snd.shift) == ((2, 7) if scaled else (0, 0))
    assert all(len(segment.header) % 4 == 0 for _, _, segment, _ in pair.log)


@pytest.mark.parametrize(
    ("client", "server", "stamps", "largest"),
    [(1460, 1460, False, 1460), (536, 1460, False, 536), (1460, 536, False, 536), (1460, 1460, True, 1448)],
)
def test_segments_are_cut_by_the_smaller_mss(client, server, stamps, largest):
    pair = ConnectionPair(Config(mss=client, timestamps=stamps), Config(mss=server, timestamps=stamps)).connect()
    pair.client.send(bytes(5000), pair.now)
    pair.flush()
    pair.run(pair.now + 1000 * MS)
    assert max(len(segment.payload) for _, _, segment, _ in pair.log) == largest
    assert len(pair.read["server"]) == 5000


def test_without_an_mss_option_536_is_sent():
    end = Endpoint(Config(iss=0), Random(0))
    end.open(0)
    end.segments(0)
    end.receive(Segment(0, 1, SYN | ACK), 0)
    end.send(bytes(1000), 0)
    assert [len(out.segment.payload) for out in end.segments(0)] == [0, 536]


def test_psh_marks_the_end_of_each_send():
    pair = ConnectionPair(Config(nagle=False)).connect()
    begin = len(pair.log)
    for size in (1460, 1461, 10):
        pair.client.send(bytes(size), pair.now)
        pair.flush()
    pushed = [(len(s.payload), bool(s.ctl & PSH)) for _, _, s, _ in pair.log[begin:]]
    assert pushed == [(1460, True), (1460, False), (1, True), (10, True)]


def test_timestamps_echo_the_last_one_in_order():
    pair = ConnectionPair(
        Config(timestamps=True, timestamp_offset=2**32 - 5), Config(timestamps=True, timestamp_offset=0)
    ).connect()
    pair.client.send(bytes(10), pair.now)
    pair.flush()
    pair.run(pair.now + 100 * MS)
    stamps = [segment.option(Timestamps) for _, _, segment, _ in pair.log]
    values = [(stamp.value, stamp.echo) for stamp in stamps]
    # 10 ms one way: the server's SYN,ACK at 10 ms echoes 2**32 - 5; the client's clock wraps.
    assert values == [(2**32 - 5, 0), (10, 2**32 - 5), (15, 10), (35, 10), (90, 35)]


def test_paws_drops_an_older_timestamp():
    pair = ConnectionPair(Config(timestamps=True), Config(timestamps=True, timestamp_offset=1000)).connect()
    old = Segment(301, pair.client.snd.seq(1), PSH | ACK, payload=b"old", options=(Timestamps(5, 0),))
    pair.inject("client", old)
    assert pair.read["client"] == b""
    assert pair.log[-1][3] == "duplicate-ack"


@pytest.mark.parametrize(("days", "taken"), [(23, b""), (25, b"late")])
def test_after_24_days_an_older_timestamp_is_taken(days, taken):
    """RFC 7323 section 5.5."""
    pair = ConnectionPair(Config(iss=100, timestamps=True), Config(iss=300, timestamps=True)).connect()
    pair.run(pair.now + days * 86_400_000 * MS)
    server = pair.server
    old = sn.add(server.stamps.recent, -1)
    pair.inject("server", Segment(101, 301, ACK | PSH, payload=b"late", options=(Timestamps(old, 0),)))
    assert bytes(pair.read["server"]) == taken
    assert (server.stamps.recent == old) is bool(taken)


# RFC 6191 section 2: which SYN ends TIME-WAIT. What the old connection had, what the SYN has beyond it.
@pytest.mark.parametrize(
    ("stamps", "ahead", "stamp", "gives_way"),
    [
        (False, 1, None, True),
        (False, 0, None, False),
        (False, -1, None, False),
        (True, 1, None, True),
        (True, 0, None, False),
        (True, -50, 1, True),
        (True, 1, 0, True),
        (True, 0, 0, False),
        (True, 1, -1, False),
    ],
)
@pytest.mark.parametrize("iss", [100, 2**32 - 1])
def test_time_wait_gives_way_to_a_newer_syn(stamps, ahead, stamp, gives_way, iss):
    pair = ConnectionPair(Config(iss=iss, timestamps=stamps), Config(timestamps=stamps)).connect()
    pair.server.close(pair.now)
    pair.flush()
    pair.run(pair.now + 30 * MS)
    pair.client.close(pair.now)
    pair.flush()
    pair.run(pair.now + 30 * MS)
    server = pair.server
    assert server.state is State.TIME_WAIT
    options = () if stamp is None else (Timestamps(sn.add(server.stamps.recent, stamp), 0),)
    syn = Segment(sn.add(server.rcv.ack, ahead), 0, SYN, options=options)
    assert server.gives_way(syn) is gives_way
    assert not server.gives_way(syn.with_(ctl=SYN | ACK))
    assert not server.gives_way(syn.with_(ctl=SYN | RST))
    assert not pair.client.gives_way(syn)


def test_a_timestamp_that_is_new_tells_connections_apart():
    pair = ConnectionPair(Config(), Config(timestamps=True)).connect()
    pair.server.close(pair.now)
    pair.flush()
    pair.run(pair.now + 30 * MS)
    pair.client.close(pair.now)
    pair.flush()
    pair.run(pair.now + 30 * MS)
    assert pair.server.gives_way(Segment(sn.add(pair.server.rcv.ack, -5), 0, SYN, options=(Timestamps(1, 0),)))


def test_a_syn_in_a_connection_is_challenged_wherever_its_number_lies():
    pair = ConnectionPair().connect()
    for number in (101, 50, 2**31):
        pair.inject("server", Segment(number, 0, SYN))
        assert (pair.log[-1][3], pair.log[-1][2].ack) == ("challenge-ack", 101)


@pytest.mark.parametrize(
    ("segment", "answer"),
    [
        (Segment(5, 0, SYN), Segment(0, 6, RST | ACK, 0)),
        (Segment(5, 0, SYN | FIN, payload=b"ab"), Segment(0, 9, RST | ACK, 0)),
        (Segment(2**32 - 1, 0, SYN), Segment(0, 0, RST | ACK, 0)),
        (Segment(5, 77, ACK), Segment(77, 0, RST, 0)),
        (Segment(5, 77, RST), None),
        (Segment(5, 77, RST | ACK), None),
    ],
)
def test_closed_answers_with_a_reset(segment, answer):
    end = Endpoint(Config(), Random(0))
    end.receive(segment, 0)
    assert [out.segment for out in end.segments(0)] == ([answer] if answer else [])


@pytest.mark.parametrize(
    ("segment", "answer", "state"),
    [
        (Segment(9, 100, SYN | ACK), Segment(100, 0, RST, 0), State.SYN_SENT),
        (Segment(9, 102, ACK), Segment(102, 0, RST, 0), State.SYN_SENT),
        (Segment(9, 102, RST | ACK), None, State.SYN_SENT),
        (Segment(9, 0, RST), None, State.SYN_SENT),
        (Segment(0, 101, RST | ACK), None, State.CLOSED),
        (Segment(9, 101, ACK), None, State.SYN_SENT),
        (Segment(9, 101, ACK | FIN), None, State.SYN_SENT),
    ],
)
def test_syn_sent_checks_the_ack_first(segment, answer, state):
    end = Endpoint(Config(iss=100), Random(0))
    end.open(0)
    end.segments(0)
    end.receive(segment, 0)
    assert [out.segment for out in end.segments(0)] == ([answer] if answer else [])
    assert end.state is state


@pytest.mark.parametrize("segment", [Segment(1, 0, RST), Segment(1, 0, 0), Segment(1, 0, FIN)])
def test_listen_ignores(segment):
    end = Endpoint(Config(), Random(0))
    end.listen()
    end.receive(segment, 0)
    assert (end.segments(0), end.state) == ([], State.LISTEN)


@pytest.mark.parametrize(
    ("offset", "state", "why"),
    [(0, State.CLOSED, None), (1, State.ESTABLISHED, "challenge-ack"), (-1, State.ESTABLISHED, None),
     (65535, State.ESTABLISHED, None)],
)  # fmt: skip
def test_a_reset_counts_at_rcv_nxt_only(offset, state, why):
    pair = ConnectionPair().connect()
    begin = len(pair.log)
    pair.inject("client", Segment(301 + offset, 0, RST))
    assert pair.client.state is state
    assert [entry[3] for entry in pair.log[begin:]] == ([why] if why else [])
    assert (Notice.RESET in pair.notices["client"]) is (state is State.CLOSED)


@pytest.mark.parametrize(
    ("segment", "why"),
    [
        (Segment(301, 0, SYN), "challenge-ack"),
        (Segment(301, 102, ACK), "challenge-ack"),
        (Segment(301, (101 - 65536) % 2**32, ACK), "challenge-ack"),
        (Segment(300, 101, ACK), "duplicate-ack"),
        (Segment(301 + 65535, 101, ACK, payload=b"x"), "duplicate-ack"),
        (Segment(301, 0, 0, payload=b"x"), None),
        (Segment(301, 101, ACK), None),
    ],
)
def test_established_answers_what_it_cannot_take(segment, why):
    pair = ConnectionPair().connect()
    begin = len(pair.log)
    pair.inject("client", segment)
    found = [(entry[3], entry[2].seq, entry[2].ack) for entry in pair.log[begin:]]
    assert found == ([(why, 101, 301)] if why else [])
    assert pair.client.state is State.ESTABLISHED


def test_a_close_at_the_peers_fin_merges_both():
    pair = ConnectionPair().connect()
    begin = len(pair.log)
    pair.client.close(pair.now)
    pair.carry = lambda *_: []  # what the client sends now is handed over below
    pair.flush()
    pair.carry = None
    pair.server.receive(pair.log[-1][2], pair.now)
    pair.server.close(pair.now)
    pair.flush()
    pair.run()
    assert pair.lines(begin) == ["> FIN ACK 1:1 ack 1", "< FIN ACK 1:1 ack 2", "> ACK 2:2 ack 2"]


def test_half_close_lets_the_peer_go_on():
    pair = ConnectionPair().connect()
    pair.client.close(pair.now)
    pair.flush()
    pair.run(pair.now + 50 * MS)
    assert pair.states == (State.FIN_WAIT_2, State.CLOSE_WAIT)
    pair.server.send(bytes(5000), pair.now)
    pair.flush()
    pair.run(pair.now + 1000 * MS)
    assert len(pair.read["client"]) == 5000
    pair.server.close(pair.now)
    pair.flush()
    pair.run(pair.now + 50 * MS)
    assert pair.states == (State.TIME_WAIT, State.CLOSED)


def test_time_wait_acknowledges_a_repeated_fin_and_starts_again():
    pair = ConnectionPair().connect()
    pair.client.close(pair.now)
    pair.flush()
    pair.run(pair.now + 50 * MS)
    pair.server.close(pair.now)
    pair.flush()
    fin = pair.log[-1][2]
    pair.run(pair.now + 30_000 * MS)
    assert pair.client.state is State.TIME_WAIT
    pair.carry = lambda *_: []  # the server is gone, and would reset what it no longer knows
    pair.inject("client", fin)
    assert control_names(pair.log[-1][2].ctl) == "ACK"
    pair.run(pair.now + 59_000 * MS)
    assert pair.client.state is State.TIME_WAIT
    pair.run(pair.now + 2_000 * MS)
    assert pair.client.state is State.CLOSED


def test_abort_resets_the_peer():
    pair = ConnectionPair().connect()
    pair.client.send(bytes(10), pair.now)
    pair.client.abort(pair.now)
    pair.flush()
    assert [(line, entry[3]) for line, entry in zip(pair.lines(3), pair.log[3:], strict=True)] == [
        ("> RST ACK 1:1 ack 1", "rst")
    ]
    pair.run()
    assert pair.states == (State.CLOSED, State.CLOSED)
    assert pair.notices["server"][-1] is Notice.RESET


def test_a_refused_connection_says_so():
    pair = ConnectionPair()
    pair.client.open(0)
    pair.flush()
    pair.run()
    assert pair.notices["client"] == [Notice.REFUSED]
    assert pair.lines() == ["> SYN 0:0", "< RST ACK 0:0 ack 1"]


@pytest.mark.parametrize(
    ("prepare", "call", "message"),
    [
        ([], "send", "does not exist"),
        ([], "close", "does not exist"),
        ([], "abort", "does not exist"),
        (["listen"], "send", "does not exist"),
        (["listen"], "listen", "already exists"),
        (["open"], "open", "already exists"),
        (["open", "close"], "open", "closing|already exists|does not exist"),
    ],
)
def test_calls_at_the_wrong_time(prepare, call, message):
    end = Endpoint(Config(), Random(0))
    arguments = {"send": (b"x", 0), "close": (0,), "abort": (0,), "open": (0,), "listen": ()}
    for name in prepare:
        getattr(end, name)(*arguments[name])
        end.segments(0)
    with pytest.raises(UsageError, match=message):
        getattr(end, call)(*arguments[call])


def test_nothing_is_sent_after_close():
    pair = ConnectionPair().connect()
    pair.client.close(pair.now)
    with pytest.raises(UsageError, match="closing"):
        pair.client.send(b"x", pair.now)
    with pytest.raises(UsageError, match="closing"):
        pair.client.close(pair.now)


def test_data_sent_before_the_handshake_ends_is_queued():
    pair = ConnectionPair()
    pair.server.listen()
    pair.client.open(0)
    pair.client.send(b"early", 0)
    pair.flush()
    pair.run(100 * MS)
    assert pair.read["server"] == b"early"


def test_close_in_syn_sent_forgets_the_connection():
    end = Endpoint(Config(), Random(0))
    end.open(0)
    end.close(0)
    assert (end.state, end.segments(0), end.timeout()) == (State.CLOSED, [], None)


def test_every_change_of_state_is_in_the_table():
    seen: list[tuple[State, Event, State]] = []
    end = Endpoint(Config(iss=0), Random(0), lambda *change: seen.append(change))
    end.open(0)
    end.segments(0)
    end.receive(Segment(0, 1, SYN | ACK), 0)
    end.close(0)
    end.segments(0)
    end.receive(Segment(1, 2, FIN | ACK), 0)
    end.handle_timeout(end.timeout())
    assert [after for _, _, after in seen] == [
        State.SYN_SENT,
        State.ESTABLISHED,
        State.FIN_WAIT_1,
        State.FIN_WAIT_2,
        State.TIME_WAIT,
        State.CLOSED,
    ]
    assert all(TRANSITIONS[before][event] is after for before, event, after in seen)


@pytest.mark.parametrize("choice", [{"mss": 10}, {"window": 0}, {"window": 65536}, {"window_scale": 15}, {"iss": -1}])
def test_a_config_that_tcp_cannot_have(choice):
    with pytest.raises(ValueError, match="outside"):
        Config(**choice)
