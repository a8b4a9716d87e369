"""Measure what this machine's kernel does, in network namespaces, and compare it with what is written down for its version.

scripts/kernel-facts [FACT...]            make each fact's experiment; print fact, expected and seen
scripts/kernel-facts --against linux-6.18    whatever kernel this is

The experiments are functions here; what they should find is a file for each kernel in scripts/lib/facts/. Exit code 0 if all
facts are as expected, 1 if one is not, 4 if the namespaces cannot be made or nothing is written down for this kernel.
"""

import argparse
import errno
import os
import select
import socket
import struct
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import receiver_facts
import recoveries

from labkit.analysis.flows import segments
from labkit.capture import Frame
from labkit.errors import LabkitError
from labkit.live.guard import Guard
from labkit.live.lab import Lab
from labkit.live.link import Link
from labkit.live.wiring import KERNELS, set_sysctls
from labkit.packet.linktype import ETHERNET
from labkit.packet.scapy_build import Host
from labkit.packet.seen import ABSENT, Seen
from labkit.packet.stamp import Stamp
from labkit.report.fingerprint import WORDS
from labkit.tcp import options as opt
from labkit.tcp.segment import ACK, CWR, ECE, FIN, PSH, RST, SYN, Segment

FACTS = Path(__file__).parent / "facts"
CLIENT, SERVER = KERNELS["client"], KERNELS["server"]
SCRIPT = "192.0.2.99", "02:00:00:00:99:99"
"""The address of the scripted peer, which no kernel owns, and its MAC."""
NOWHERE = "192.0.2.77", "2001:db8::77"
"""Addresses that nobody owns."""
MSEC = 1_000_000
EXPERIMENTS: dict[str, tuple[str, Callable[["Bench"], dict[str, Any]]]] = {}

Measured = dict[str, Any]


def experiment(**facts: str) -> Callable[[Callable[["Bench"], Measured]], Callable[["Bench"], Measured]]:
    """Declare which facts a function measures, with a sentence for each; underscores stand for dashes."""

    def declare(function: Callable[["Bench"], Measured]) -> Callable[["Bench"], Measured]:
        for name, sentence in facts.items():
            EXPERIMENTS[name.replace("_", "-")] = sentence, function
        return function

    return declare


class Packet:
    """A captured segment."""

    def __init__(self, seg: Seen, data: bytes) -> None:
        self.time = seg.time
        self.source = data[seg.src_at : seg.src_at + seg.addr_len]
        self.sport, self.dport = seg.sport, seg.dport
        self.seq, self.ack, self.ctl, self.window, self.len = seg.seq, seg.ack, seg.ctl, seg.win, seg.len
        self.mss, self.scale, self.tsval, self.tsecr = seg.mss, seg.wscale, seg.tsval, seg.tsecr
        self.ident = seg.ip_id
        self.label = int.from_bytes(data[seg.ip_at : seg.ip_at + 4]) & 0xFFFFF if seg.version == 6 else 0
        self.options = opt.unpack(data[seg.tcp_at + 20 : seg.tcp_at + seg.doff])

    @property
    def words(self) -> str:
        """The options in their order."""
        return " ".join(WORDS.get(type(option), type(option).__name__) for option in self.options)

    @property
    def flags(self) -> int:
        """The control bits without those of ECN."""
        return self.ctl & (SYN | ACK | RST | FIN | PSH)


class Bench(AbstractContextManager["Bench"]):
    """Two kernels on one wire, what passes there, and sockets at both ends, which it closes."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.port = 20_000
        self.open = ExitStack()
        with lab.inside("client"):
            self.link = self.open.enter_context(Link(CLIENT.interface, None, outgoing=True))
            for address in NOWHERE:
                neighbour("client", address, SCRIPT[1])
            neighbour("client", SCRIPT[0], SCRIPT[1])
        with lab.inside("server"):
            self.wire = self.open.enter_context(Link(SERVER.interface, Guard(seconds=300, packets=100_000)))

    def __exit__(self, *_exception: object) -> None:
        self.open.close()

    def next_port(self) -> int:
        """A port that no experiment has used."""
        self.port += 1
        return self.port

    def make_socket(self, end: str, version: int = 4) -> socket.socket:
        """A TCP socket at an end, which does not block."""
        with self.lab.inside(end):
            made = self.open.enter_context(socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET))
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # A namespace may have no other default than what the whole system allows everybody.
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
        made.settimeout(5)
        return made

    def listen(self, end: str, version: int = 4, buffer: int = 0) -> tuple[socket.socket, int]:
        """A listening socket at an end, and its port."""
        made, port = self.make_socket(end, version), self.next_port()
        if buffer:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        made.bind((KERNELS[end].address(version), port))
        made.listen()
        return made, port

    @contextmanager
    def connected(self, version: int = 4, buffer: int = 0) -> Iterator[tuple[socket.socket, socket.socket]]:
        """A connection: the client's socket, and the server's."""
        listening, port = self.listen("server", version, buffer)
        client = self.make_socket("client", version)
        client.connect((SERVER.address(version), port))
        server, _address = listening.accept()
        try:
            yield client, server
        finally:
            for each in (client, server, listening):
                each.close()

    def drain(self) -> None:
        """Forget what has passed so far."""
        time.sleep(0.02)
        while self.link.receive() is not None:
            continue

    def watch(self, seconds: float, enough: Callable[[list[Packet]], bool] = lambda _packets: False) -> list[Packet]:
        """The TCP segments that pass within some seconds, or until there are enough."""
        found: list[Packet] = []
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not enough(found):
            select.select([self.link], [], [], left)
            while (arrived := self.link.receive()) is not None:
                found += packets(arrived.time, arrived.data)
        return found

    @contextmanager
    def cut(self, version: int = 4) -> Iterator[None]:
        """A wire on which nothing of the client's arrives."""
        with self.lab.inside("client"):
            neighbour("client", SERVER.address(version), SCRIPT[1])
        try:
            yield
        finally:
            with self.lab.inside("client"):
                neighbour("client", SERVER.address(version), SERVER.mac)


def neighbour(end: str, address: str, mac: str) -> None:
    """Give the current namespace a permanent neighbour."""
    interface = KERNELS[end].interface
    command = ["ip", "neigh", "replace", address, "lladdr", mac, "dev", interface, "nud", "permanent"]
    subprocess.run(command, check=True, capture_output=True)


def packets(at: int, data: bytes) -> list[Packet]:
    """The segment in a frame, if it has one."""
    seg = Seen()
    return [Packet(seg, octets) for _frame, octets in segments([Frame(1, at, ETHERNET, data, len(data))], seg)]


class Script:
    """A peer that sends what it is told, to a kernel at the client's end."""

    def __init__(self, bench: Bench, port: int, kernel_port: int, *, stamps: bool = True) -> None:
        self.bench = bench
        host, kernel = Host(SCRIPT[0], port, mac=SCRIPT[1]), Host(CLIENT.ipv4, kernel_port, mac=CLIENT.mac)
        self.stamp = Stamp(host, kernel)
        self.seq, self.ack, self.count, self.ticks = 1_000_000, 0, 0, 5_000
        self.stamps = stamps
        self.echo = 0

    def send(
        self, ctl: int, *, payload: bytes = b"", seq: int | None = None, window: int = 65_535, **more: Any
    ) -> None:
        """Send a segment."""
        self.bench.wire.send(self.frame(ctl, payload=payload, seq=seq, window=window, **more))

    def frame(
        self, ctl: int, *, payload: bytes = b"", seq: int | None = None, window: int = 65_535, **more: Any
    ) -> bytes:
        """The frame of a segment."""
        self.count += 1
        self.ticks += 1
        options = more.get("options")
        if options is None:
            options = (opt.Nop(), opt.Nop(), opt.Timestamps(self.ticks, self.echo)) if self.stamps else ()
        at = self.seq if seq is None else seq
        ack = (more.get("ack", self.ack) if ctl & ACK else 0) & 0xFFFFFFFF
        segment = Segment(at & 0xFFFFFFFF, ack, ctl, window, payload, options)
        return self.stamp.frame(segment, self.count)

    def syn_options(self, mss: int) -> tuple[opt.Option, ...]:
        """Those of a usual SYN."""
        self.ticks += 1
        stamps = (opt.Timestamps(self.ticks, self.echo),) if self.stamps else ()
        return opt.Mss(mss), opt.SackPermitted(), *stamps, opt.Nop(), opt.WindowScale(7)

    def open(self, mss: int = 1460, gap: float = 0.0) -> Packet:
        """Connect to a listening kernel; its SYN ACK. `gap`: the seconds before the handshake's last ACK."""
        self.bench.drain()
        self.send(SYN, options=self.syn_options(mss))
        answer = self.bench.watch(1, lambda found: any(each.flags == SYN | ACK for each in found))[-1]
        self.seq, self.ack, self.echo = self.seq + 1, (answer.seq + 1) & 0xFFFFFFFF, answer.tsval
        time.sleep(gap)
        self.send(ACK, window=512)
        time.sleep(0.01)
        return answer

    def data(self, octets: int, *, gap: float = 0.0, ctl: int = ACK) -> None:
        """Send new data."""
        self.send(ctl, payload=bytes(octets), window=512)
        self.seq += octets
        time.sleep(gap)


def script(
    bench: Bench, mss: int = 1460, *, stamps: bool = True, gap: float = 0.0
) -> tuple[Script, socket.socket, Packet]:
    """A scripted client and the kernel's accepted socket."""
    listening, port = bench.listen("client")
    peer = Script(bench, bench.next_port(), port, stamps=stamps)
    answer = peer.open(mss, gap)
    made = bench.open.enter_context(listening.accept()[0])
    listening.close()
    bench.drain()
    return peer, made, answer


def of(found: list[Packet], port: int) -> list[Packet]:
    """The packets that a port sends."""
    return [each for each in found if each.sport == port]


# The experiments.


@experiment(
    syn_options="the options of a SYN",
    syn_windows="a SYN's window over IPv4 and IPv6",
    syn_ack_options="the options of a SYN ACK",
    syn_ack_windows="a SYN ACK's window over IPv4 and IPv6",
    scale="the window scale",
    third_ack_windows="the handshake's third window over IPv4 and IPv6",
    identifications="IPv4 identifications in a short connection",
    fin_acknowledged="how late the ACK of a FIN comes",
)
def handshake(bench: Bench) -> Measured:
    opened = {}
    for version in (4, 6):
        bench.drain()
        with bench.connected(version) as (client, server):
            client.sendall(b"x" * 100)
            server.recv(1000)
            time.sleep(0.1)
            client.close()
            time.sleep(0.1)
            server.close()
            opened[version] = bench.watch(0.1)
    four = opened[4]
    port = four[0].sport
    ours, theirs = of(four, port), [each for each in four if each.dport == port]
    fin = next(each for each in ours if each.ctl & FIN)
    answer = next(each for each in theirs if each.time > fin.time)
    counted = all((b.ident - a.ident) & 0xFFFF == 1 for group in (ours[:-1], theirs[1:]) for a, b in pairwise(group))
    return {
        "syn-options": four[0].words,
        "syn-windows": [opened[version][0].window for version in (4, 6)],
        "syn-ack-options": four[1].words,
        "syn-ack-windows": [opened[version][1].window for version in (4, 6)],
        "scale": four[0].scale,
        "third-ack-windows": [opened[version][2].window for version in (4, 6)],
        "identifications": [
            "0 on the SYN ACK" if theirs[0].ident == 0 else f"{theirs[0].ident} on the SYN ACK",
            "counted by each socket" if counted else "not counted",
            "0 in TIME-WAIT" if ours[-1].ident == 0 else f"{ours[-1].ident} in TIME-WAIT",
        ],
        "fin-acknowledged": (answer.time - fin.time) / MSEC,
    }


@experiment(ports="the ports that connect() and bind(0) take")
def ports(bench: Bench) -> Measured:
    listening, port = bench.listen("server")
    found: list[set[str]] = [set(), set()]
    for _round in range(20):
        client, bound = bench.make_socket("client"), bench.make_socket("client")
        client.connect((SERVER.ipv4, port))
        bound.bind((CLIENT.ipv4, 0))
        for place, each in enumerate((client, bound)):
            found[place].add("odd" if each.getsockname()[1] % 2 else "even")
            each.close()
    listening.close()
    return {"ports": [" and ".join(sorted(words)) for words in found]}


@experiment(closed_port="how a closed port answers a SYN and an ACK")
def closed_port(bench: Bench) -> Measured:
    seen = []
    for ctl in (SYN, ACK):
        peer = Script(bench, bench.next_port(), bench.next_port())
        bench.drain()
        peer.send(ctl, options=(), ack=777)
        reset = bench.watch(1, lambda found: any(each.ctl & RST for each in found))[-1]
        if reset.flags == RST | ACK and reset.seq == 0 and reset.ack == peer.seq + 1:
            words = "RST seq 0, ack after the SYN"
        elif reset.flags == RST and reset.seq == 777 and reset.ack == 0:
            words = "RST seq as the ACK, no ack"
        else:
            words = f"flags {reset.flags:#x} seq {reset.seq} ack {reset.ack}"
        options = "no options" if not reset.options else reset.words
        seen.append(f"{words}, window {reset.window}, {options}, identification {reset.ident}")
    return {"closed-port": seen}


@experiment(syn_retries="the times between a SYN and its retransmissions")
def syn_retries(bench: Bench) -> Measured:
    bench.drain()
    client = bench.make_socket("client")
    client.setblocking(False)
    client.connect_ex((NOWHERE[0], 80))
    found = bench.watch(7, lambda found: len(found) == 6)
    client.close()
    return {"syn-retries": [(b.time - a.time) / MSEC for a, b in pairwise(found)]}


@experiment(syn_ecn="whether a SYN and its retransmission ask for ECN (tcp_ecn=1)")
def syn_ecn(bench: Bench) -> Measured:
    with bench.lab.inside("client"):
        set_sysctls({"net/ipv4/tcp_ecn": "1"})
    bench.drain()
    client = bench.make_socket("client")
    client.setblocking(False)
    client.connect_ex((NOWHERE[0], 80))
    found = bench.watch(2, lambda found: len(found) == 2)
    client.close()
    with bench.lab.inside("client"):
        set_sysctls({"net/ipv4/tcp_ecn": "2"})
    return {"syn-ecn": ["asks" if each.ctl & (ECE | CWR) else "does not ask" for each in found]}


@experiment(
    flow_label="the IPv6 flow label after timeouts and after a tail loss probe",
    tail_loss_probe="when the last of five segments is probed",
    timeouts="when the first segment is sent again, and again",
)
def losses(bench: Bench) -> Measured:
    with bench.connected(6) as (client, server):
        client.sendall(b"x" * 100)
        server.recv(1000)
        time.sleep(0.1)
        bench.drain()
        with bench.cut(6):
            client.sendall(b"x" * 7000)
            found = bench.watch(1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sent = of(found, found[0].sport)
    again = [each for place, each in enumerate(sent) if any(each.seq == other.seq for other in sent[:place])]
    probe, *timeouts = again
    last = max(each.time for each in sent if each.time < probe.time)
    labels = [sent[0].label, probe.label, *(each.label for each in timeouts[:2])]
    starts = [probe.time if each.seq == probe.seq else sent[0].time for each in timeouts[:1]]
    return {
        "flow-label": [
            "another after each timeout" if len(set(labels[1:])) == 3 else f"labels {labels[1:]}",
            "kept by a tail loss probe" if labels[0] == labels[1] else f"labels {labels[:2]}",
        ],
        "tail-loss-probe": (probe.time - last) / MSEC,
        "timeouts": [
            (timeouts[0].time - max(starts[0], probe.time)) / MSEC,
            (timeouts[1].time - timeouts[0].time) / MSEC,
        ],
    }


@experiment(timeout_merges="what the first timeout sends of 100 octets and a close")
def timeout_merges(bench: Bench) -> Measured:
    with bench.connected() as (client, server):
        client.sendall(b"x" * 100)
        server.recv(1000)
        bench.drain()
        with bench.cut():
            client.sendall(b"x" * 100)
            client.close()
            found = bench.watch(0.4)
    merged = any(each.len == 100 and each.ctl & FIN for each in found)
    return {"timeout-merges": "data and FIN in one segment" if merged else "segments apart"}


@experiment(first_flight="the first flight of 200 kB: its segments, and those with PSH")
def first_flight(bench: Bench) -> Measured:
    peer, kernel, _answer = script(bench)
    kernel.setblocking(False)
    kernel.send(bytes(200_000))
    found = [each for each in bench.watch(0.004) if each.len]
    peer.send(RST, seq=peer.seq)
    kernel.close()
    pushed = ", ".join(str(place) for place, each in enumerate(found, 1) if each.ctl & PSH)
    return {"first-flight": [len(found), f"PSH on {pushed}"]}


@experiment(
    quick_acks="how many first segments are acknowledged each, by a reader",
    then_acks="what is acknowledged from then on",
    delayed_ack="the time between ACKs while nobody reads",
)
def acknowledgements(bench: Bench) -> Measured:
    peer, kernel, _answer = script(bench)
    kernel.setblocking(False)
    first = peer.seq
    for _round in range(60):
        peer.data(1448, gap=0.002)
        try:
            kernel.recv(100_000)
        except BlockingIOError:
            continue
        time.sleep(0.001)
    found = bench.watch(0.1)
    acked = [((each.ack - first) & 0xFFFFFFFF) // 1448 for each in of(found, kernel.getsockname()[1])]
    quick = next((place for place, (a, b) in enumerate(pairwise([0, *acked])) if b - a != 1), len(acked))
    later = [b - a for a, b in pairwise(acked[quick:])][:-1]
    peer.send(RST)
    kernel.close()
    peer, kernel, _answer = script(bench)
    for _round in range(60):
        peer.data(1448, gap=0.003)
    found = of(bench.watch(0.1), kernel.getsockname()[1])
    times = [(b.time - a.time) / MSEC for a, b in pairwise(found[22:])]
    peer.send(RST)
    kernel.close()
    twos = sum(step == 2 for step in later)
    return {
        "quick-acks": quick,
        "then-acks": "each second segment" if twos >= 0.7 * len(later) else f"steps {later}",
        "delayed-ack": sorted(times)[len(times) // 2] if times else None,
    }


@experiment(mss_floor="the segments to a peer with an MSS of 1, and of 0")
def mss_floor(bench: Bench) -> Measured:
    seen = []
    for mss in (1, 0):
        peer, kernel, _answer = script(bench, mss)
        kernel.send(bytes(2000))
        seen.append(max(each.len for each in bench.watch(0.05)))
        peer.send(RST)
        kernel.close()
    return {"mss-floor": seen}


@experiment(out_of_order="how 40 segments behind a hole are acknowledged")
def out_of_order(bench: Bench) -> Measured:
    peer, kernel, _answer = script(bench)
    peer.data(100)
    time.sleep(0.1)
    bench.drain()
    peer.seq += 1448
    frames = 40
    burst = [peer.frame(ACK, payload=bytes(1448), seq=peer.seq + 1448 * place, window=512) for place in range(frames)]
    peer.seq += 1448 * frames
    for octets in burst:
        bench.wire.send(octets)
    acks = of(bench.watch(0.1), kernel.getsockname()[1])
    peer.send(RST, seq=peer.seq)
    kernel.close()
    blocks = [option.blocks for each in acks for option in each.options if isinstance(option, opt.Sack)]
    edges = [max(right for _left, right in each) for each in blocks]
    steps = [b - a for a, b in pairwise(edges)]
    return {
        "out-of-order": [
            "three at once" if steps[:2] == [1448, 1448] else f"steps {steps[:2]}",
            "the others together" if len(acks) < frames * 0.8 else f"{len(acks)} acknowledgements",
        ]
    }


@experiment(answers_to_old_segments="answers to four old segments in 0.4 s, without and with an octet")
def answers(bench: Bench) -> Measured:
    seen = []
    for payload in (b"", b"x"):
        peer, kernel, _answer = script(bench)
        peer.data(100)
        time.sleep(0.1)
        bench.drain()
        for _round in range(4):
            peer.send(ACK, seq=peer.seq - 1, payload=payload)
            time.sleep(0.1)
        seen.append(len(of(bench.watch(0.05), kernel.getsockname()[1])))
        peer.send(RST)
        kernel.close()
    return {"answers-to-old-segments": seen}


@experiment(window_probes="how a closed window is probed, and when")
def window_probes(bench: Bench) -> Measured:
    with bench.connected(buffer=2048) as (client, _server):
        client.setblocking(False)
        bench.drain()
        try:
            client.send(bytes(100_000))
        except OSError as error:
            if error.errno != errno.EAGAIN:
                raise
        port = client.getsockname()[1]
        found = of(bench.watch(1.5), port)
    last = max(place for place, each in enumerate(found) if each.len)
    top = found[last].seq + found[last].len
    probes = [each for each in found[last + 1 :] if not each.ctl & (FIN | RST)]
    old = all(not each.len and (top - each.seq) & 0xFFFFFFFF == 1 for each in probes)
    times = [(b.time - a.time) / MSEC for a, b in pairwise([found[last], *probes])]
    return {"window-probes": ["an old number without an octet" if old else "other probes", *times[:2]]}


@experiment(reset_of_a_connection="the RST of a connection with unread data")
def reset_of_a_connection(bench: Bench) -> Measured:
    peer, kernel, _answer = script(bench)
    peer.data(100)
    time.sleep(0.1)
    bench.drain()
    kernel.close()
    reset = next(each for each in bench.watch(0.2) if each.ctl & RST)
    words = "RST ACK" if reset.flags == RST | ACK else f"flags {reset.flags:#x}"
    stamps = "timestamps" if reset.tsval != ABSENT else "no timestamps"
    return {"reset-of-a-connection": f"{words} with {stamps} and {'a' if reset.window else 'no'} window"}


@experiment(time_wait_next_isn="how far beyond the old one a connection that ends TIME-WAIT begins")
def time_wait(bench: Bench) -> Measured:
    listening, port = bench.listen("client")
    peer = Script(bench, bench.next_port(), port)
    peer.open()
    listening.accept()[0].close()
    time.sleep(0.02)
    peer.ack = (peer.ack + 1) & 0xFFFFFFFF
    peer.send(FIN | ACK)
    time.sleep(0.02)
    old = peer.ack
    peer.seq += 100_000
    answer = peer.open()
    listening.close()
    return {"time-wait-next-isn": (answer.seq - old) & 0xFFFFFFFF}


@experiment(
    reset_at_sack_edge="a RST at the right edge of the highest SACK block",
    challenge="a SYN in an open connection",
)
def resets(bench: Bench) -> Measured:
    peer, kernel, _answer = script(bench)
    peer.data(100)
    peer.seq += 1000
    peer.data(100)
    time.sleep(0.05)
    bench.drain()
    peer.send(SYN, seq=peer.seq + 5000, options=peer.syn_options(1460))
    challenges = of(bench.watch(0.1), kernel.getsockname()[1])
    peer.send(RST, seq=peer.seq)
    time.sleep(0.05)
    error = kernel.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    kernel.close()
    drawn = len(challenges) == 1 and challenges[0].flags == ACK
    return {
        "reset-at-sack-edge": "taken" if error == errno.ECONNRESET else "not taken",
        "challenge": "a SYN in an open connection draws one ACK" if drawn else f"{len(challenges)} answers",
    }


@experiment(
    window_cut="octets sent after an offer of 20 segments and a smaller one with the same numbers: of 5, and of 0"
)
def window_cut(bench: Bench) -> Measured:
    seen = []
    for room in (5, 0):
        peer, kernel, _answer = script(bench)
        kernel.setblocking(False)
        peer.send(ACK, window=20 * 1448 >> 7)
        peer.send(ACK, window=room * 1448 >> 7)
        time.sleep(0.01)
        bench.drain()
        kernel.send(bytes(20_000))
        seen.append(sum(each.len for each in bench.watch(0.004)))
        peer.send(RST)
        kernel.close()
    return {"window-cut": seen}


@experiment(
    syn_cookie_segments="with SYN cookies, the segments to peers with an MSS of 256, 536, 1299, 1300, 1440, 1459, 1460 and 9000",
    syn_cookie_options="the options of a cookie, to SYNs with and without timestamps",
    syn_cookie_answers="how often a cookie is sent within 2.5 s, and for each repeated SYN, with which numbers",
    syn_cookie_clock="by what timestamps of cookies differ",
)
def cookies(bench: Bench) -> Measured:
    with bench.lab.inside("client"):
        set_sysctls({"net/ipv4/tcp_syncookies": "2"})
    sizes = []
    for mss in (256, 536, 1299, 1300, 1440, 1459, 1460, 9000):
        peer, kernel, _answer = script(bench, mss)
        kernel.send(bytes(5000))
        sizes.append(max(each.len for each in bench.watch(0.02)) + 12)
        peer.send(RST)
        kernel.close()
    answers = []
    for stamps in (True, False):
        peer, kernel, answer = script(bench, stamps=stamps)
        answers.append(answer.words)
        peer.send(RST)
        kernel.close()
    listening, port = bench.listen("client")
    peer = Script(bench, bench.next_port(), port)
    bench.drain()
    peer.send(SYN, options=peer.syn_options(1460))
    found = of(bench.watch(2.5), port)
    for _round in range(2):
        peer.send(SYN, options=peer.syn_options(1460))
    again = of(bench.watch(0.1), port)
    stamped = [found[-1].tsval]
    for _round in range(4):
        time.sleep(0.07)
        peer.send(SYN, options=peer.syn_options(1460))
        stamped += [each.tsval for each in of(bench.watch(0.01), port)]
    listening.close()
    with bench.lab.inside("client"):
        set_sysctls({"net/ipv4/tcp_syncookies": "1"})
    same = len({each.seq for each in found + again}) == 1
    steps = {(b - a) % 64 for a, b in pairwise(stamped)}
    return {
        "syn-cookie-segments": sizes,
        "syn-cookie-options": answers,
        "syn-cookie-answers": [len(found), len(again), "the same number" if same else "other numbers"],
        "syn-cookie-clock": "multiples of 64 ms" if steps == {0} else f"remainders {sorted(steps)}",
    }


def recovery(name: str) -> Callable[[Bench], Measured]:
    """The experiment of a script."""

    def measured(bench: Bench) -> Measured:
        played = recoveries.SCRIPTS[name]
        peer, kernel, _answer = script(bench, stamps=played.stamps, gap=recoveries.GAP / 1000)
        found = recoveries.play(played, recoveries.KernelSender(peer, kernel, bench.watch))
        peer.send(RST)
        kernel.close()
        return {name: found}

    return measured


EXPERIMENTS.update({name: (each.about, recovery(name)) for name, each in recoveries.SCRIPTS.items()})
for _name, (_sentence, _function) in receiver_facts.EXPERIMENTS.items():
    EXPERIMENTS[_name] = _sentence, partial(_function, script=script)

# Comparison.


def matches(expected: Any, seen: Any) -> bool:
    """Whether what was seen is as expected: equal, or inside a range "LOW..HIGH"; lists by their items."""
    if isinstance(expected, list):
        return (
            isinstance(seen, list)
            and len(expected) == len(seen)
            and all(matches(one, other) for one, other in zip(expected, seen, strict=True))
        )
    if isinstance(expected, str) and isinstance(seen, int | float):
        low, dots, high = expected.partition("..")
        return bool(dots) and float(low) <= seen <= float(high)
    return bool(expected == seen)


def shown(value: Any) -> str:
    """A value for people."""
    if isinstance(value, list):
        return "; ".join(shown(each) for each in value)
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def kernel_name() -> str:
    """The name of this kernel's file: linux-MAJOR.MINOR."""
    return "linux-" + ".".join(os.uname().release.split(".")[:2])


def measure(bench: Bench, expected: dict[str, Any], wanted: list[str]) -> Iterator[tuple[str, Any, Any, bool]]:
    """Each fact: its name, what is expected, what was seen, and whether that is the same. A busy machine gets a second try."""
    done: dict[Callable[[Bench], Measured], Measured] = {}
    for name in wanted:
        function = EXPERIMENTS[name][1]
        for attempt in range(3):
            if attempt or function not in done:
                try:
                    done[function] = function(bench)
                except (OSError, IndexError, StopIteration, ValueError) as error:
                    done[function] = {name: f"failed: {type(error).__name__} {error}"}
            if matches(expected[name], done[function].get(name)):
                break
        seen = done[function].get(name)
        yield name, expected[name], seen, matches(expected[name], seen)


def main(arguments: list[str]) -> int:
    """Print each fact, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="kernel-facts", description="compare this kernel with what is known of its version"
    )
    parser.add_argument("facts", nargs="*", metavar="FACT", help="all by default")
    parser.add_argument("--against", metavar="KERNEL", default=kernel_name(), help="such as linux-6.18")
    given = parser.parse_args(arguments)
    known = sorted(path.stem for path in FACTS.glob("*.toml"))
    if given.against not in known:
        print(
            f"kernel-facts: nothing is written down for {given.against}; --against takes {', '.join(known)}",
            file=sys.stderr,
        )
        return 4
    expected = tomllib.loads((FACTS / f"{given.against}.toml").read_text("utf-8"))
    if unknown := set(given.facts) - set(expected):
        print(f"kernel-facts: no fact {', '.join(sorted(unknown))}; there are: {', '.join(expected)}", file=sys.stderr)
        return 2
    wrong = 0
    wanted = given.facts or list(expected)
    try:
        with Lab.temporary() as lab, Bench(lab) as bench:
            for name, one, other, same in measure(bench, expected, wanted):
                wrong += not same
                print(f"{'ok       ' if same else 'DIFFERENT'} {name}: {EXPERIMENTS[name][0]}")
                print(f"            expected {shown(one)}\n            seen     {shown(other)}", flush=True)
    except LabkitError as error:
        print(f"kernel-facts: {error}", file=sys.stderr)
        return 4
    print(f"{len(wanted) - wrong} of {len(wanted)} facts of {given.against} hold for Linux {os.uname().release}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
