"""Data on its way: acknowledgements, windows, losses, timers. Whatever the path does, the octets arrive."""

from itertools import pairwise
from random import Random

import pytest
from helpers import MS, ConnectionPair
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.tcp.endpoint import Config, Notice
from labkit.tcp.options import Sack
from labkit.tcp.segment import ACK, FIN, SYN, Segment
from labkit.tcp.state import State

SECOND = 1000 * MS


def transfer(pair: ConnectionPair, data: bytes, sender: str = "client") -> list[str]:
    """Send data and let it arrive; why each segment after the handshake was sent."""
    begin = len(pair.log)
    pair.ends[sender].send(data, pair.now)
    pair.flush()
    pair.run()
    other = "server" if sender == "client" else "client"
    assert pair.read[other] == data
    return [why for *_, why in pair.log[begin:]]


def lose(*numbers: int, side: str = "client"):
    """A path that loses some segments of one side, by number."""
    return lambda name, number, _: [] if name == side and number in numbers else [0]


def test_an_ack_for_every_second_full_sized_segment():
    assert transfer(ConnectionPair().connect(), bytes(1460 * 4)).count("ack") == 2


def test_a_single_segment_is_acknowledged_after_the_delay():
    pair = ConnectionPair().connect()
    begin = pair.now
    assert transfer(pair, b"x") == ["data", "delayed-ack"]
    assert pair.log[-1][0] - begin == 50 * MS


def test_without_delay_each_segment_is_acknowledged():
    pair = ConnectionPair(server=Config(delayed_ack=None)).connect()
    assert transfer(pair, b"x") == ["data", "ack"]


def test_nagle_holds_small_segments_while_one_is_under_way():
    for nagle, sizes in ((True, [1, 4]), (False, [1] * 5)):
        pair = ConnectionPair(Config(nagle=nagle)).connect()
        begin = len(pair.log)
        for _ in range(5):
            pair.client.send(b"x", pair.now)
            pair.flush()
        pair.run(pair.now + SECOND)
        assert [len(s.payload) for _, _, s, _ in pair.log[begin:] if s.payload] == sizes


def test_slow_start_begins_with_ten_segments():
    pair = ConnectionPair(Config(), Config(window=1 << 20, window_scale=7)).connect()
    pair.client.send(bytes(100_000), pair.now)
    pair.flush()
    assert sum(bool(s.payload) for *_, s, _ in pair.log) == 10


@pytest.mark.parametrize("scale", [None, 2])
def test_the_window_is_respected_and_refilled(scale):
    window = 3000 if scale is None else 200_000
    pair = ConnectionPair(
        Config(congestion=None, window_scale=scale), Config(window=window, window_scale=scale)
    ).connect()
    pair.reading.discard("server")
    pair.client.send(bytes(300_000), pair.now)
    pair.flush()
    pair.run(pair.now + 30 * SECOND)
    granted = min(window, 65535) if scale is None else window
    assert granted - 4 <= len(pair.server.rcv.ready) <= granted
    assert pair.log[-1][3] in {"zero-window-probe", "duplicate-ack"}
    pair.reading.add("server")
    pair.flush()
    assert pair.log[-1][3] == "window-update"
    pair.run()
    assert len(pair.read["server"]) == 300_000


def test_zero_window_probes_back_off_and_carry_the_next_octet():
    pair = ConnectionPair(server=Config(window=2920)).connect()
    pair.reading.discard("server")
    pair.client.send(b"a" * 2920 + b"bc", pair.now)
    pair.flush()
    begin = pair.now
    pair.run(begin + 20 * SECOND)
    probes = [(at, s) for at, _, s, why in pair.log if why == "zero-window-probe"]
    assert [s.payload for _, s in probes] == [b"b"] * 4
    gaps = [later[0] - earlier[0] for earlier, later in pairwise(probes)]
    assert gaps == [2 * SECOND, 4 * SECOND, 8 * SECOND]
    pair.reading.add("server")
    pair.flush()
    pair.run()
    assert pair.read["server"] == b"a" * 2920 + b"bc"


def test_small_reads_do_not_open_a_silly_window():
    pair = ConnectionPair(server=Config(window=2920)).connect()
    pair.reading.discard("server")
    pair.client.send(bytes(5000), pair.now)
    pair.flush()
    pair.run(pair.now + SECOND // 2)
    begin = len(pair.log)
    for size in (100, 500, 859):
        pair.server.read(size)
        pair.flush()
    assert len(pair.log) == begin
    pair.server.read(1)
    pair.flush()
    assert (pair.log[-1][3], pair.log[-1][2].window) == ("window-update", 1460)


@pytest.mark.parametrize("sack", [True, False])
@pytest.mark.parametrize("lost", [(4,), (5,), (6,), (6, 8), (5, 6, 7)])
def test_fast_retransmit(sack, lost):
    pair = ConnectionPair(Config(sack=sack), Config(sack=sack), carry=lose(*lost)).connect()
    whys = transfer(pair, Random(1).randbytes(30_000))
    assert whys.count("retransmission-fast") == len(lost)
    assert "retransmission-rto" not in whys


@pytest.mark.parametrize(("lost", "whys"), [((5, 14), 2), ((5, 13, 14), 3)])
def test_a_loss_at_the_end_of_a_recovery_is_rescued(lost, whys):
    """RFC 6675 section 4, NextSeg rule (4): what no later segment can tell of does not wait for the timer."""
    pair = ConnectionPair(carry=lose(*lost)).connect()
    found = transfer(pair, bytes(1460 * 12))
    assert found.count("retransmission-fast") == whys
    assert "retransmission-rto" not in found


def test_a_rescue_goes_once_in_a_recovery():
    """Its own loss is found by the timer."""
    pair = ConnectionPair(carry=lose(5, 14, 16)).connect()
    found = transfer(pair, bytes(1460 * 12))
    assert [why for why in found if why.startswith("retransmission")] == [
        *["retransmission-fast"] * 2,
        "retransmission-rto",
    ]


def test_what_is_only_under_way_is_not_rescued():
    pair = ConnectionPair(carry=lose(5)).connect()
    assert transfer(pair, bytes(1460 * 12)).count("retransmission-fast") == 1


def test_sack_blocks_as_in_rfc_2018():
    """Section 4's example 2: the first of eight segments of 500 octets is lost, the rest arrive."""
    pair = ConnectionPair(Config(iss=4999, mss=500, initial_window=20), Config(iss=0), carry=lose(3)).connect()
    begin = len(pair.log)
    pair.client.send(bytes(4000), pair.now)
    pair.flush()
    pair.run(pair.now + pair.delay)
    answers = [s for _, name, s, _ in pair.log[begin:] if name == "server"]
    assert [s.ack for s in answers] == [5000] * 7
    blocks = [s.option(Sack).blocks for s in answers]
    assert blocks == [((5500, right),) for right in (6000, 6500, 7000, 7500, 8000, 8500, 9000)]


def test_sack_blocks_of_several_gaps_begin_with_the_newest():
    """RFC 2018 section 4, example 3: every other segment is lost."""
    pair = ConnectionPair(
        Config(iss=4999, mss=500, initial_window=20), Config(iss=0), carry=lose(4, 6, 8, 10)
    ).connect()
    begin = len(pair.log)
    pair.client.send(bytes(4000), pair.now)
    pair.flush()
    pair.run(pair.now + pair.delay)
    answers = [s for _, name, s, _ in pair.log[begin:] if name == "server"]
    assert [(s.ack, s.option(Sack).blocks) for s in answers] == [
        (5500, ((6000, 6500),)),
        (5500, ((7000, 7500), (6000, 6500))),
        (5500, ((8000, 8500), (7000, 7500), (6000, 6500))),
    ]


def test_a_duplicate_segment_is_reported_as_in_rfc_2883():
    """Section 4.1.1: the ACK is lost, the segments are sent again; the first block is the duplicate."""
    pair = ConnectionPair(Config(iss=2999, mss=500), Config(iss=0)).connect()
    transfer(pair, bytes(1000))
    pair.inject("server", Segment(3000, 1, ACK, payload=bytes(500)))
    assert (pair.log[-1][2].ack, pair.log[-1][2].option(Sack).blocks) == (4000, ((3000, 3500),))


def test_two_duplicate_acks_are_not_a_loss():
    late = ConnectionPair(carry=lambda name, number, _: [MS if (name, number) == ("client", 5) else 0]).connect()
    whys = transfer(late, bytes(1460 * 4))
    assert not [why for why in whys if why.startswith("retransmission")]


def test_a_lost_tail_waits_for_the_timer_which_doubles():
    pair = ConnectionPair(carry=lose(3, 4, 5)).connect()
    begin = pair.now
    assert transfer(pair, b"tail") == ["data", *["retransmission-rto"] * 3, "delayed-ack"]
    assert [at - begin for at, *_, why in pair.log if why == "retransmission-rto"] == [
        SECOND,
        3 * SECOND,
        7 * SECOND,
    ]


@pytest.mark.parametrize(("side", "times"), [("client", [0, 1, 3]), ("server", [0, 1])])
def test_lost_syns_are_sent_again(side, times):
    pair = ConnectionPair(carry=lose(1, 2, side=side))
    pair.server.listen()
    pair.client.open(0)
    pair.flush()
    pair.run()
    assert pair.states == (State.ESTABLISHED, State.ESTABLISHED)
    assert [at // SECOND for at, name, s, _ in pair.log if name == "client" and s.ctl == SYN] == times
    assert len({s.seq for _, name, s, _ in pair.log if name == side and s.ctl & SYN}) == 1


def test_a_peer_that_never_answers_is_given_up():
    pair = ConnectionPair(Config(iss=0, syn_retries=2), carry=lambda *_: [])
    pair.client.open(0)
    pair.flush()
    pair.run()
    assert (pair.client.state, pair.notices["client"]) == (State.CLOSED, [Notice.TIMED_OUT])
    assert [at // SECOND for at, *_ in pair.log] == [0, 1, 3]


def test_a_fin_that_overtakes_data_waits_for_it():
    pair = ConnectionPair(carry=lambda name, number, _: [5 * MS if (name, number) == ("client", 3) else 0]).connect()
    pair.client.send(b"last words", pair.now)
    pair.flush()
    pair.client.close(pair.now)
    pair.flush()
    pair.run(pair.now + pair.delay)
    assert pair.server.state is State.ESTABLISHED
    pair.run(pair.now + 5 * MS)
    assert (pair.server.state, pair.read["server"]) == (State.CLOSE_WAIT, b"last words")


def test_data_with_the_syn_ack_is_taken():
    pair = ConnectionPair()
    pair.client.open(0)
    pair.flush()
    pair.inject("client", Segment(300, 101, SYN | ACK | FIN, payload=b"hi"))
    assert (pair.client.state, pair.read["client"]) == (State.CLOSE_WAIT, b"hi")


def test_keep_alives_ask_and_give_up():
    choices = Config(iss=0, keep_alive=10 * SECOND, keep_alive_interval=SECOND, keep_alive_probes=3)
    pair = ConnectionPair(choices, carry=lambda *_: [0]).connect()
    pair.run(pair.now + 25 * SECOND)
    assert [why for *_, why in pair.log[3:]] == ["keep-alive", "duplicate-ack"] * 2
    assert pair.log[3][2].seq == 0
    assert pair.log[4][2].ack == 1
    pair.carry = lambda *_: []
    pair.run()
    assert pair.notices["client"][-1] is Notice.TIMED_OUT
    assert [why for *_, why in pair.log[7:]] == ["keep-alive"] * 3


@st.composite
def conversations(draw):
    """Two configurations, what each side sends, and a path that loses, repeats and delays, but not for ever."""
    number = st.sampled_from([0, 1, 2**31, 2**32 - 1, 2**32 - 2, 2**32 - 700]) | st.integers(0, 2**32 - 1)
    config = st.builds(
        Config,
        iss=number,
        mss=st.sampled_from([88, 536, 1460]),
        window=st.sampled_from([100, 1000, 4000, 65535]),
        window_scale=st.sampled_from([None, 0, 3]),
        sack=st.booleans(),
        timestamps=st.booleans(),
        timestamp_offset=number,
        delayed_ack=st.sampled_from([None, 40 * MS]),
        nagle=st.booleans(),
        congestion=st.sampled_from([None, "reno"]),
        ecn=st.booleans(),
        fast_open=st.sampled_from([None, None, b"", b"cookie", b"other!"]),
    )
    sizes = st.lists(st.integers(1, 6000), max_size=4)
    fates = st.dictionaries(
        st.tuples(st.sampled_from(["client", "server"]), st.integers(1, 40)),
        st.sampled_from([[], [0, 0], [15 * MS], [0, 30 * MS]]),
        max_size=12,
    )
    return draw(config), draw(config), draw(sizes), draw(sizes), draw(fates), draw(st.integers(0, 50))


@pytest.mark.slow
@given(conversations())
@settings(max_examples=120, deadline=None)
def test_whatever_the_path_does_the_octets_arrive(given_):
    client, server, from_client, from_server, fates, delay = given_
    logs = []
    for _ in range(2):
        rng = Random(5)
        pair = ConnectionPair(client, server, delay * MS, lambda name, n, _: fates.get((name, n), [0]))
        pair.server.listen()
        pair.client.open(0)
        sent = {"client": b"with the SYN, if there is a cookie", "server": b""}
        pair.client.send(sent["client"], 0)
        pair.flush()
        pair.run(20 * SECOND)
        for name, sizes in (("client", from_client), ("server", from_server)):
            for size in sizes:
                data = rng.randbytes(size)
                sent[name] += data
                pair.ends[name].send(data, pair.now)
                pair.flush()
                pair.run(pair.now + 7 * MS)
        for name in ("client", "server"):
            pair.ends[name].close(pair.now)
            pair.flush()
        pair.run()
        assert pair.read == {"client": sent["server"], "server": sent["client"]}
        assert pair.states == (State.CLOSED, State.CLOSED)
        assert Notice.TIMED_OUT not in pair.notices["client"] + pair.notices["server"]
        logs.append(pair.log)
    assert logs[0] == logs[1]
