"""Both engines agree about random segments of conversations that open, send, lose, repeat, break rules and close.

Each packet depends on the packets before, so that most are plausible. Any packet may be spoiled.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

import pytest
from engines import agree, agree_about_rows
from frames import SEGMENTS, checksum, ether, n16
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labkit.analysis.analyzer import DONE, PENDING, analyze
from labkit.analysis.flows import FlowTable
from labkit.analysis.native.columns import columns
from labkit.analysis.native.packed import Library
from labkit.analysis.native.records import SideRow
from labkit.analysis.payload import PayloadStore
from labkit.analysis.pending import Resolved
from labkit.analysis.severity import DOCUMENT, LITERAL, RFC9293
from labkit.analysis.side import Side
from labkit.analysis.verdict import Bounds
from labkit.capture import Frame
from labkit.packet.decode.walk import decode
from labkit.packet.seen import Seen
from labkit.tcp.segment import ACK, FIN, PSH, RST, SYN

ROUND = 2**32
ISNS = 0, 1000, ROUND - 1, ROUND - 40
OPTIONS = b"", bytes.fromhex("020405b40402010303 07"), bytes.fromhex("03030f020c"), bytes.fromhex("0000ff22")
"""No options; MSS, SACK permitted and window scale; a scale that is too large, and a cut option; nonsense."""


class Packet(NamedTuple):
    """The random choices for a packet."""

    talk: int
    side: int
    what: str
    size: int
    shift: int
    """Added to its sequence number, or to its acknowledgement where `late` is odd."""
    late: int
    window: int
    options: int
    stamps: int
    spoil: int
    pause: int


PACKETS = st.builds(
    Packet,
    st.integers(0, 2),
    st.integers(0, 1),
    st.sampled_from(["open", "data", "data", "data", "again", "gap", "ack", "fin", "reset", "any", "alive"]),
    st.sampled_from([1, 5, 100, 536, 1460]),
    st.sampled_from([0] * 12 + [-1, 1, 20, -20, 100_000, 2**31]),
    st.integers(0, 9),
    st.sampled_from([65535, 65535, 1000, 10, 0]),
    st.integers(0, 3),
    st.integers(0, 9),
    st.sampled_from([0] * 12 + [1, 2, 3, 4, 5]),
    st.sampled_from([0, 10**3, 10**6, 10**7, 2 * 10**8, 10**9, 4 * 10**9, -5000]),
)


@dataclass
class Talk:
    """Two ends, and what each has sent: enough to make the next packet plausible."""

    number: int
    isns: tuple[int, int]
    next: list[int] = field(default_factory=lambda: [0, 0])
    steps: int = 0
    sent: tuple[list[tuple[int, bytes]], list[tuple[int, bytes]]] = field(default_factory=lambda: ([], []))
    clock: list[int] = field(default_factory=lambda: [7, ROUND - 3])
    ident: int = 0

    def frame(self, wanted: Packet) -> bytes:
        """The octets of the next packet."""
        side, what = wanted.side, wanted.what
        if self.steps < 3 and what != "any":
            side, what = [(0, "syn"), (1, "syn-ack"), (0, "ack")][self.steps]
            self.steps += 1
        seq, ctl, payload = self._said(side, what, wanted)
        ack = self.next[1 - side]
        if wanted.late % 2:
            ack += wanted.shift
        elif ctl & SYN == 0:
            seq += wanted.shift
        options = OPTIONS[wanted.options] if ctl & SYN else b""
        if wanted.stamps > 2:
            self.clock[side] += wanted.stamps - 4
            options += b"\1\1\x08\n" + word(self.clock[side]) + word(self.clock[1 - side])
        elif wanted.stamps == 1 and ctl & SYN == 0:
            options += b"\1\1\5\n" + word(ack + wanted.size) + word(ack + 2 * wanted.size)
        return self._packed(side, seq, ack, ctl, payload, options, wanted)

    def _said(self, side: int, what: str, wanted: Packet) -> tuple[int, int, bytes]:
        """The sequence number, the control bits and the payload of a packet, which count as sent."""
        seq, ctl, payload = self.next[side], ACK, b""
        if what in ("syn", "syn-ack", "open"):
            seq = self.isns[side] + (wanted.shift if what == "open" else 0)
            ctl = SYN | ACK if what == "syn-ack" else SYN
            self.steps = 1 if what == "open" else self.steps
            self.next[side] = seq + 1
        elif what in ("data", "gap"):
            seq += wanted.size if what == "gap" else 0
            ctl, payload = ACK | PSH, bytes([97 + wanted.late % 2]) * wanted.size
            self.next[side] = seq + len(payload)
            self.sent[side].append((seq, payload))
        elif what == "again" and self.sent[side]:
            seq, payload = self.sent[side][wanted.late % len(self.sent[side])]
            payload = payload[: wanted.size] if wanted.late < 8 else payload[:-1] + b"z"
        elif what == "fin":
            ctl = FIN | ACK
            self.next[side] = seq + 1
        elif what == "reset":
            ctl = RST if wanted.late % 2 else RST | ACK
        elif what == "alive":
            seq -= 1
        elif what == "any":
            ctl = wanted.size * 7 + wanted.late & 0x1FF
        return seq, ctl, payload

    def _packed(self, side: int, seq: int, ack: int, ctl: int, payload: bytes, options: bytes, wanted: Packet) -> bytes:
        options += bytes(-len(options) % 4)
        ports = [40000 + self.number % 2, 80][:: 1 - 2 * side]
        ends = [bytes([192, 0, 2, 1 + self.number // 2]), bytes([192, 0, 2, 20])][:: 1 - 2 * side]
        head = n16(ports[0]) + n16(ports[1]) + word(seq) + word(ack) + n16((5 + len(options) // 4) << 12 | ctl)
        tcp = head + n16(wanted.window) + bytes(4) + options + payload
        sum_ = checksum(b"".join(ends) + n16(6) + n16(len(tcp)) + tcp)
        if wanted.spoil == 1:
            sum_ ^= 0x55
        elif wanted.spoil == 2:
            sum_ = checksum(b"".join(ends) + n16(6) + n16(len(tcp))) ^ 0xFFFF
        tcp = tcp[:16] + n16(sum_) + tcp[18:]
        self.ident += 1
        ip = b"\x45\0" + n16(20 + len(tcp)) + n16(self.ident) + bytes(2) + b"\x40\6" + bytes(2) + b"".join(ends)
        ip = ip[:10] + n16(checksum(ip)) + ip[12:]
        frame = ether(ip + tcp)
        return frame[: 34 + wanted.size % (len(frame) - 34)] if wanted.spoil == 3 else frame


def word(number: int) -> bytes:
    return (number % ROUND).to_bytes(4)


def captured(packets: Iterable[Packet], isns: tuple[int, int]) -> list[Frame]:
    talks = [Talk(number, isns) for number in range(3)]
    frames: list[Frame] = []
    time = 10**18
    for wanted in packets:
        time += wanted.pause
        octets = talks[wanted.talk].frame(wanted)
        interface = int(wanted.spoil == 4)
        for _ in range(1 + (wanted.spoil == 5)):
            frames.append(Frame(len(frames) + 1, time, 1, octets, max(len(octets), 54), interface=interface))
    return frames


@pytest.mark.parametrize(
    ("profile", "bounds"),
    [
        (RFC9293, Bounds()),
        (DOCUMENT, Bounds()),
        (LITERAL, Bounds()),
        (RFC9293, Bounds(open=1, over=1, findings=3, once=1, hosts=1, every=1)),
        (RFC9293, Bounds(open=2, over=0, findings=1, every=3)),
    ],
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(packets=st.lists(PACKETS, min_size=8, max_size=40), isns=st.tuples(*[st.sampled_from(ISNS)] * 2))
def test_both_engines_agree(
    profile: str, bounds: Bounds, code: Library, packets: list[Packet], isns: tuple[int, int]
) -> None:
    agree(captured(packets, isns), code, profile, bounds)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(packets=st.lists(PACKETS, min_size=8, max_size=40), isns=st.tuples(*[st.sampled_from(ISNS)] * 2))
def test_both_engines_show_the_same(code: Library, packets: list[Packet], isns: tuple[int, int]) -> None:
    agree_about_rows(captured(packets, isns), code)


def misfits(kind: type, values: Seen | Side | Resolved) -> list[tuple[str, int]]:
    """Values that do not fit their columns."""
    found = []
    for name, column in columns(kind).items():
        known = getattr(values, name, 0)  # the interpreter has no `cold_row`
        least = -(1 << 8 * column.size - 1) if column.signed else 0
        found += [
            (name, each)
            for each in (known if column.is_list else [known])
            if not least <= each < least + (1 << 8 * column.size)
        ]
    return found


@settings(max_examples=60, deadline=None)
@given(packets=st.lists(PACKETS, min_size=8, max_size=40), isns=st.tuples(*[st.sampled_from(ISNS)] * 2))
def test_the_interpreters_values_fit_their_columns(packets: list[Packet], isns: tuple[int, int]) -> None:
    for step in analyze(captured(packets, isns), FlowTable(), PayloadStore()):
        if step.scope == DONE:
            assert misfits(Seen, step.seg) + misfits(SideRow, step.me) + misfits(SideRow, step.peer) == []
        elif step.scope == PENDING:
            assert misfits(Resolved, step.resolved) == []


@settings(max_examples=300, deadline=None)
@given(
    random=st.randoms(use_true_random=False),
    frames=st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=3),
    more=st.sampled_from([0, 10, 2000, ROUND]),
)
def test_decoded_values_fit_their_columns(random: Random, frames: list[bytes], more: int) -> None:
    """Frames within frames, with changed octets and with any claimed length."""
    octets = bytearray(b"".join(frame[: 34 * (frame is not frames[-1]) or None] for frame in frames))
    for _ in range(random.randrange(6)):
        octets[random.randrange(len(octets))] = random.choice([0, 1, 4, 41, 47, 255, random.randrange(256)])
    seg = Seen(caplen=len(octets), wirelen=min(len(octets) + more, ROUND - 1))
    decode(octets, 0, len(octets), 1, seg)
    assert misfits(Seen, seg) == []
