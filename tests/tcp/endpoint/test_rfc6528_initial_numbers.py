"""RFC 6528: initial sequence numbers from a clock and a keyed hash of the connection's ends."""

from itertools import pairwise

import pytest

from labkit.build.scenario.setup import initial_number
from labkit.packet.scapy_build import Host
from labkit.tcp import seq as sn

CLIENT, SERVER = Host("192.0.2.10", 40000), Host("192.0.2.20", 80)
MICROSECOND = 1000


def test_section_3_the_clock_ticks_every_four_microseconds():
    """ "M is the 4 microsecond timer": between the same ends, numbers grow with time, so that old segments do not fit."""
    start = initial_number(CLIENT, SERVER, 0, 1)
    for time, ticks in ((3, 0), (4, 1), (8, 2), (4_000_000, 1_000_000)):
        assert sn.diff(initial_number(CLIENT, SERVER, time * MICROSECOND, 1), start) == ticks


@pytest.mark.parametrize(
    ("own", "peer", "secret"),
    [
        (Host("192.0.2.11", 40000), SERVER, 1),
        (Host("192.0.2.10", 40001), SERVER, 1),
        (CLIENT, Host("192.0.2.21", 80), 1),
        (CLIENT, Host("192.0.2.20", 81), 1),
        (SERVER, CLIENT, 1),
        (CLIENT, SERVER, 2),
    ],
)
def test_section_3_the_hash_depends_on_all_of_its_input(own, peer, secret):
    assert initial_number(own, peer, 0, secret) != initial_number(CLIENT, SERVER, 0, 1)


def test_section_3_who_sees_one_number_cannot_tell_the_next_port_s():
    numbers = [initial_number(Host("192.0.2.10", port), SERVER, 0, 1) for port in range(40000, 40200)]
    steps = {sn.diff(after, before) for before, after in pairwise(numbers)}
    assert len(set(numbers)) == len(numbers)
    assert len(steps) == len(numbers) - 1
    # They lie everywhere: each sixteenth of the circle has some.
    assert len({number >> 28 for number in numbers}) == 16
