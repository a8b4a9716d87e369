"""What a receiver and an idle connection do: more experiments of `scripts/kernel-facts`.

Each function takes the bench, and `script`, which opens a connection of a scripted client with the kernel's socket.
"""

import socket
import time
from collections.abc import Callable
from typing import Any

from labkit.tcp import options as opt
from labkit.tcp.segment import ACK, FIN, RST, SYN

Measured = dict[str, Any]
Scripted = Callable[..., tuple[Any, socket.socket, Any]]
"""Gives the script, the kernel's socket, and the kernel's SYN ACK."""


def answers(bench: Any, kernel: socket.socket, seconds: float = 0.05) -> list[Any]:
    """What the kernel's socket sends in some time."""
    port = kernel.getsockname()[1]
    return [each for each in bench.watch(seconds) if each.sport == port]


def stamped(peer: Any, value: int) -> tuple[opt.Option, ...]:
    """Options with a timestamp."""
    return opt.Nop(), opt.Nop(), opt.Timestamps(value, peer.echo)


def kept_timestamps(bench: Any, script: Scripted) -> Measured:
    peer, kernel, _answer = script(bench)
    peer.data(100)
    time.sleep(0.1)
    last, seen = peer.ticks, []
    for ctl, seq, ack, payload in (
        (SYN | ACK, peer.seq, peer.ack, b""),
        (ACK, peer.seq, peer.ack + 50, b""),
        (ACK, peer.seq - 2, peer.ack, b"x"),
        (ACK, peer.seq - 1, peer.ack, b"x"),
    ):
        time.sleep(0.6)  # answers to segments without data are rare
        bench.drain()
        last += 10
        peer.send(ctl, seq=seq, ack=ack, payload=payload, options=stamped(peer, last), window=512)
        found = answers(bench, kernel)
        seen.append("kept" if found and found[-1].tsecr == last else "not kept")
    peer.send(RST)
    kernel.close()
    return {"kept-timestamps": seen}


def old_timestamp(bench: Any, script: Scripted) -> Measured:
    peer, kernel, _answer = script(bench)
    peer.data(100)
    time.sleep(0.1)
    bench.drain()
    peer.send(ACK, seq=peer.seq - 100, payload=bytes(50), options=stamped(peer, peer.ticks - 1000), window=512)
    found = answers(bench, kernel)
    blocks = [option for each in found for option in each.options if isinstance(option, opt.Sack)]
    peer.send(RST)
    kernel.close()
    octets = [(right - left) & 0xFFFFFFFF for option in blocks for left, right in option.blocks]
    return {"old-timestamp": f"D-SACK of {octets[0]} octets" if octets else f"{len(found)} answers without D-SACK"}


def beyond_the_window(bench: Any, script: Scripted) -> Measured:
    peer, kernel, _answer = script(bench)
    peer.data(1000)
    time.sleep(0.1)
    bench.drain()
    seen = []
    for waiting in (True, False):
        if not waiting:
            kernel.recv(5000)
        peer.send(ACK, seq=peer.seq - 1, payload=b"x")
        offered = answers(bench, kernel)[-1]
        edge = (offered.ack + (offered.window << 10)) & 0xFFFFFFFF
        peer.send(ACK, seq=edge - 50, payload=bytes(100), window=512)
        found = answers(bench, kernel)
        blocks = [option for option in found[-1].options if isinstance(option, opt.Sack)]
        seen.append("dropped" if found and not blocks else "taken")
    peer.send(RST)
    kernel.close()
    return {"beyond-the-window": seen}


def time_wait_answers(bench: Any, script: Scripted) -> Measured:
    peer, kernel, _answer = script(bench)
    address = kernel.getsockname()[1]
    kernel.close()
    time.sleep(0.02)
    peer.ack = (peer.ack + 1) & 0xFFFFFFFF
    peer.send(FIN | ACK, window=512)
    echo = peer.ticks
    time.sleep(0.02)
    bench.drain()
    for _again in range(3):
        peer.send(FIN | ACK, window=512)
        time.sleep(0.05)
    peer.send(ACK, seq=peer.seq + 1, payload=b"data", window=512)
    found = [each for each in bench.watch(0.05) if each.sport == address]
    peer.send(RST, seq=peer.seq + 1)
    same = {each.tsecr for each in found} == {echo} and not any(len(each.options) > 3 for each in found)
    return {"time-wait-answers": [len(found), "all with the first FIN's timestamp" if same else "others"]}


def keep_alives(bench: Any, script: Scripted) -> Measured:
    peer, kernel, _answer = script(bench)
    for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT):
        kernel.setsockopt(socket.IPPROTO_TCP, option, 1)
    kernel.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    bench.drain()
    found = answers(bench, kernel, 3)
    kernel.close()
    octets = sum(each.len for each in found)
    return {
        "keep-alives": [["RST ACK" if each.ctl & RST else "ACK" for each in found], octets, peer.ack - found[0].seq]
    }


def reading(bench: Any, script: Scripted) -> Measured:  # noqa: ARG001 - as the others
    with bench.connected() as (client, server):
        port = server.getsockname()[1]
        bench.drain()
        for _turn in range(60):
            client.sendall(bytes(14_480))
            left = 14_480
            while left:
                left -= len(server.recv(left))
        found = [each for each in bench.watch(0.1) if each.sport == port]
    windows = [each.window << 10 for each in found]
    grown = max(windows) > 2 * windows[0]
    return {"growing-window": "doubles while the application reads" if grown else f"{windows[0]} to {max(windows)}"}


EXPERIMENTS: dict[str, tuple[str, Callable[[Any, Scripted], Measured]]] = {
    "kept-timestamps": (
        "whether timestamps are echoed: of a SYN and a future ACK in an open connection, of old octets, of the last octet",
        kept_timestamps,
    ),
    "old-timestamp": ("the answer to old octets with an old timestamp (PAWS)", old_timestamp),
    "beyond-the-window": (
        "a segment that reaches beyond the window: while octets wait to be read, and when they have been read",
        beyond_the_window,
    ),
    "time-wait-answers": ("answers of TIME-WAIT to three FINs and data within 0.2 s", time_wait_answers),
    "keep-alives": (
        "one unanswered keep-alive: what is sent, how many octets, how far before the last ACK",
        keep_alives,
    ),
    "growing-window": ("the window of an application that reads all it gets", reading),
}
