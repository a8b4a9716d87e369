"""Conversations of a sender with a peer that acknowledges what a script says: what does each acknowledgement let out?

`scripts/kernel-facts` plays them with a kernel, the tests with labkit's endpoint; both must send what `facts` says. A script has
steps between semicolons, and numbers segments from 0:

    send N           the application sends N segments
    ack N A-B ...    all before N has arrived, and A to B (without B) in each block of SACK
    old N A-B ...    the same, with the first timestamp that the sender has sent
    quick N A-B ...  the same as `ack`, but the next step follows at once
    wait MS          nothing arrives for some milliseconds

After every other step, nothing arrives for `GAP` milliseconds.
"""

import socket
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from labkit.tcp import options as opt
from labkit.tcp.segment import ACK

GAP = 38
"""Three quarters of it are clearly less than it, and four clearly more, as a kernel's timers round them."""


SO_SNDBUFFORCE = 32


class Sender(Protocol):
    """A sender that is to be examined."""

    def write(self, segments: int) -> list[int]:
        """The application sends segments of full size; the segments that leave."""

    def acknowledge(self, before: int, blocks: list[tuple[int, int]], *, old: bool) -> list[int]:
        """Acknowledge; the segments that leave for it at once."""

    def wait(self, milliseconds: int) -> list[int]:
        """The segments that leave within a time."""


class Script(NamedTuple):
    """What happens, in words."""

    about: str
    steps: str
    stamps: bool = True
    """Whether both sides use timestamps."""


SCRIPTS = {
    "reduction": Script(
        "what each ACK lets out when segment 3 of ten is lost",
        "send 40; ack 1; ack 2; ack 3; ack 3 4-5; ack 3 4-6; ack 3 4-7; ack 3 4-8; ack 3 4-9; ack 3 4-10; ack 18; ack 19; ack 20",
    ),
    "reduction-below": Script(
        "the same when segments 2 to 7 of ten are lost, with less under way than the reduced window",
        "send 40; ack 2; ack 2 8-9; ack 2 8-10; ack 2 8-11; ack 2 8-12; ack 3 8-12; ack 4 8-12; ack 6 8-12; ack 12; ack 14",
    ),
    "reduction-lost-again": Script(
        "the same when the retransmission of segment 1 is lost, too",
        "send 40; ack 1; ack 1 2-3; ack 1 2-4; ack 1 2-5; ack 1 2-10; ack 1 2-11; ack 1 2-12; ack 1 2-13; ack 12; ack 13",
    ),
    "timeout-in-recovery": Script(
        "a timeout in a recovery, which tries no new data",
        "send 40; ack 1; ack 1 2-3; ack 1 2-4; ack 1 2-5; wait 400; ack 5; ack 6; ack 8",
    ),
    "spurious-timeout": Script(
        "a timeout before the first of five ACKs, without timestamps",
        "send 20; ack 2; ack 4; wait 400; ack 5; ack 6; ack 7; ack 8; ack 9",
        stamps=False,
    ),
    "no-spurious-timeout": Script(
        "a timeout, and new data that draws duplicate ACKs, without timestamps",
        "send 40; ack 2; ack 4; wait 400; ack 5; ack 5 14-15; ack 5 14-16; ack 6 14-16; ack 8 14-16",
        stamps=False,
    ),
    "undo-timeout-by-timestamp": Script(
        "a timeout before an ACK that answers the first transmission",
        "send 40; ack 2; ack 4; wait 400; old 5; old 6; old 7",
    ),
    "undo-recovery-by-timestamp": Script(
        "a fast retransmission, and an ACK that answers the first transmission",
        "send 40; ack 1; ack 1 2-3; ack 1 2-4; ack 1 2-5; old 5; ack 6; ack 8; ack 10",
    ),
    "undo-recovery-by-dsack": Script(
        "a fast retransmission, and a D-SACK of it, without timestamps",
        "send 60; ack 1; ack 1 2-3; ack 1 2-4; ack 1 2-5; ack 1 2-6; ack 12; ack 12 1-2; ack 14; ack 16; ack 18",
        stamps=False,
    ),
    "reordering-window": Script(
        "retransmissions after a quarter of the round trip, and after two, three and four quarters once D-SACKs have come",
        "send 4; quick 0 1-2; ack 4; send 4; ack 4 5-6; wait 38; ack 8 4-5; send 4; ack 8 9-10; wait 38; ack 12 8-9; "
        "send 4; ack 12 13-14; wait 38; ack 16 12-13; send 4; ack 16 17-18; wait 20",
    ),
    "reneging": Script(
        "a peer that takes back what it has reported",
        "send 20; ack 1; ack 1 2-5; ack 2; wait 60",
    ),
}
"""All scripts by the names of their facts."""


def shown(numbers: list[int]) -> str:
    """Numbers of segments in words; "-" for none."""
    words: list[str] = []
    for number in numbers:
        low, _, high = words[-1].partition("-") if words else ("", "", "")
        if low and number == int(high or low) + 1:
            words[-1] = f"{low}-{number}"
        else:
            words.append(str(number))
    return " ".join(words) or "-"


def play(script: Script, sender: Sender) -> str:
    """What leaves in each step, as numbers of segments."""
    found = []
    for step in script.steps.split(";"):
        verb, number, *blocks = step.split()
        count = int(number)
        ranges = [(int(low), int(high)) for low, _, high in (each.partition("-") for each in blocks)]
        match verb:
            case "send":
                left = sender.write(count)
            case "wait":
                left = []
            case "ack" | "old" | "quick":
                left = sender.acknowledge(count, ranges, old=verb == "old")
            case _:
                raise ValueError(f"{verb!r} is not a step")
        left = left + sender.wait({"wait": count, "quick": 1}.get(verb, GAP))
        found.append(shown(left))
    return "; ".join(found)


class KernelSender:
    """A kernel's socket, and the scripted peer of `kernel_facts` at the other end; `watch` gives what passes in some seconds."""

    def __init__(self, peer: Any, kernel: socket.socket, watch: Callable[[float], list[Any]]) -> None:
        self.peer, self.kernel, self.watch = peer, kernel, watch
        self.port = kernel.getsockname()[1]
        self.base, self.size = peer.ack, 1448 if peer.stamps else 1460
        self.first: int | None = None
        kernel.setblocking(False)
        kernel.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 1 << 20)

    def write(self, segments: int) -> list[int]:
        """`Sender.write`: the kernel sends while `wait` watches."""
        self.kernel.send(bytes(segments * self.size))
        return []

    def acknowledge(self, before: int, blocks: list[tuple[int, int]], *, old: bool) -> list[int]:
        """`Sender.acknowledge`: the kernel answers while `wait` watches."""
        self.peer.ticks += 1
        options: tuple[opt.Option, ...] = ()
        if self.peer.stamps:
            options = opt.Nop(), opt.Nop(), opt.Timestamps(self.peer.ticks, self.first if old else self.peer.echo)
        if blocks:
            low_high = tuple((self._number(low), self._number(high)) for low, high in blocks)
            options = (*options, opt.Nop(), opt.Nop(), opt.Sack(low_high))
        self.peer.send(ACK, ack=self._number(before), window=60_000, options=options)
        return []

    def wait(self, milliseconds: int) -> list[int]:
        """`Sender.wait`."""
        found = [each for each in self.watch(milliseconds / 1000) if each.sport == self.port and each.len]
        for each in found:
            self.first = each.tsval if self.first is None else self.first
            self.peer.echo = each.tsval
        return [((each.seq - self.base) & 0xFFFFFFFF) // self.size for each in found]

    def _number(self, segment: int) -> int:
        return (self.base + segment * self.size) & 0xFFFFFFFF
