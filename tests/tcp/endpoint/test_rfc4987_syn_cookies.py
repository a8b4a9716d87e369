"""RFC 4987 section 3.6, SYN cookies: what a listener that keeps nothing of a SYN can know of it."""

from random import Random

import pytest
from helpers import MS

from labkit.tcp import options as opt
from labkit.tcp.endpoint import Config, Endpoint
from labkit.tcp.segment import ACK, CWR, ECE, SYN, Segment
from labkit.tcp.state import State

OFFERED = opt.SackPermitted(), opt.Timestamps(700, 0), opt.Nop(), opt.WindowScale(7)


def cookie(
    *options: opt.Option, peer_mss: int = 1460, ctl: int = SYN, now: int = 5_000 * MS, **settings
) -> tuple[Endpoint, Segment]:
    """A listener that has sent its cookie, and the cookie."""
    config = {"timestamps": True, "window_scale": 10, "window": 1 << 20, "timestamp_offset": 0, "ecn": True, "iss": 100}
    end = Endpoint(Config(syn_cookies=True, **(config | settings)), Random(1))
    end.listen()
    end.receive(Segment(9_000, 0, ctl, 60_000, b"", (opt.Mss(peer_mss), *options)), now)
    (out,) = end.segments(now)
    return end, out.segment


def complete(end: Endpoint, answer: Segment, now: int) -> None:
    """The handshake's last ACK."""
    stamp = answer.option(opt.Timestamps)
    options = (opt.Nop(), opt.Nop(), opt.Timestamps(710, stamp.value)) if stamp else ()
    end.receive(Segment(9_001, answer.seq + 1, ACK, 500, b"", options), now)
    assert end.state is State.ESTABLISHED


@pytest.mark.parametrize(
    ("mss", "known", "ipv6"),
    [
        *(
            (1, 536, 0),
            (536, 536, 0),
            (1299, 536, 0),
            (1300, 1300, 0),
            (1439, 1300, 0),
            (1459, 1440, 0),
            (9000, 1460, 0),
        ),
        *((536, 1220, 1), (1419, 1220, 1), (1420, 1420, 1), (1440, 1440, 1), (9000, 1440, 1)),
    ],
)
def test_the_mss_is_one_of_a_short_table(mss: int, known: int, ipv6: int) -> None:
    sizes = {"mss": 1440, "default_mss": 1220} if ipv6 else {}
    end, answer = cookie(*OFFERED, peer_mss=mss, **sizes)
    complete(end, answer, 5_010 * MS)
    end.send(bytes(20_000), 5_020 * MS)
    assert max(len(out.segment.payload) for out in end.segments(5_020 * MS)) == known - 12


def test_without_timestamps_there_are_no_options_but_the_mss() -> None:
    end, answer = cookie(opt.SackPermitted(), opt.Nop(), opt.WindowScale(7), ctl=SYN | ECE | CWR)
    assert answer.options == (opt.Mss(1460),)
    assert answer.ctl == SYN | ACK
    complete(end, answer, 5_010 * MS)
    assert (end.scaling, end.recovery.sack, end.ecn.agreed, end.snd.edge) == (False, False, False, 501)


@pytest.mark.parametrize(
    ("options", "ctl", "bits"),
    [
        (OFFERED, SYN, 7 | 16),
        (OFFERED, SYN | ECE | CWR, 7 | 16 | 32),
        ((opt.Timestamps(700, 0),), SYN, 15),
        ((opt.SackPermitted(), opt.Timestamps(700, 0)), SYN, 15 | 16),
        ((opt.Timestamps(700, 0), opt.WindowScale(0)), SYN, 0),
    ],
)
@pytest.mark.parametrize("clock", [5_000, 5_055, 5_056, 5_119])
def test_the_lowest_bits_of_the_clock_carry_them(
    options: tuple[opt.Option, ...], ctl: int, bits: int, clock: int
) -> None:
    _end, answer = cookie(*options, ctl=ctl, now=clock * MS)
    stamp = answer.option(opt.Timestamps)
    assert stamp is not None
    assert stamp.value % 64 == bits
    assert clock - 64 < stamp.value <= clock


def test_the_round_trip_counts_from_the_timestamp() -> None:
    end, answer = cookie(*OFFERED, now=5_050 * MS)
    stamp = answer.option(opt.Timestamps)
    assert stamp is not None
    assert stamp.value == 5_015
    complete(end, answer, 5_060 * MS)
    assert end.rtt.srtt == 45 * MS


def test_without_timestamps_there_is_no_round_trip() -> None:
    end, answer = cookie()
    complete(end, answer, 5_010 * MS)
    assert (end.rtt.srtt, end.rtt.rto) == (None, 3_000 * MS)


def test_no_timer_sends_the_cookie_again_but_each_syn_draws_it() -> None:
    end, answer = cookie(*OFFERED)
    assert end.timeout() is None
    for _round in range(3):
        end.receive(Segment(9_000, 0, SYN, 60_000, b"", (opt.Mss(1460), *OFFERED)), 5_001 * MS)
        assert [out.segment.seq for out in end.segments(5_001 * MS)] == [answer.seq]
    assert end.timeout() is None


def test_the_window_counts_from_the_handshakes_end() -> None:
    end, answer = cookie(*OFFERED, whole_segment_syn_ack=True, window_growth=2)
    assert answer.window == 65_535 // 1448 * 1448
    complete(end, answer, 5_010 * MS)
    assert end.rcv.edge == 1 + 65_535 // 1460 * 1460


def test_a_client_has_no_cookies() -> None:
    end = Endpoint(Config(syn_cookies=True), Random(1))
    end.open(0)
    (out,) = end.segments(0)
    assert out.segment.option(opt.SackPermitted) is not None
    assert end.timeout() == 1_000 * MS
