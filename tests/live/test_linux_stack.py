"""`stack: linux-6.18` against the kernel: the same scenario simulated and played, field by field.

Both sides have the stack. The kernel's segments are compared with those of its simulated side: control bits, relative numbers,
lengths, windows, options with SACK blocks, the pattern of identifications and flow labels, and the times between them.
docs/kernel.md lists what may differ, and why. On a busy machine a timer may expire late, so a case that differs is played again.
"""

import os
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import pytest
from differences import PAGE, STACK, differ_in, listed
from relayed import relayed
from support import needs_ip, needs_root

from labkit.analysis.severity import Severity
from labkit.analysis.verifier import Verifier
from labkit.build.scenario import Scenario
from labkit.build.scenario.setup import OTHER
from labkit.build.trace import Record, Trace
from labkit.errors import LinkError
from labkit.live.conversation import SessionConfig
from labkit.live.guard import Guard
from labkit.live.session import open_session
from labkit.tcp import options as opt
from labkit.tcp.segment import ACK, FIN, PSH, RST, SYN

pytestmark = [
    needs_root,
    needs_ip,
    pytest.mark.skipif(not os.uname().release.startswith("6.18."), reason="this kernel is not Linux 6.18"),
]

HEAD = "name: x\npath: {rtt: 10ms}\n"
LOSSY = "name: x\npath: {rtt: 10ms, to_server: {lose: [%s]}, to_client: {lose: [%s]}}\n"
EXCHANGE = "steps:\n- client: connect\n- client: {send: 99}\n- server: {send: 119}\n"
PAUSED = "client: {window: 8kB}\nserver: {window: 8kB}\nsteps:\n- client: connect\n"

CASES = {
    "connect and abort": HEAD + "steps:\n- client: connect\n- client: {abort: {after: 5ms}}\n",
    "request, response, close": HEAD + EXCHANGE + "- client: {close: {after: 9ms}}\n- server: {close: {after: 60ms}}\n",
    "the server closes first": HEAD + EXCHANGE + "- server: {close: {after: 60ms}}\n- client: {close: {after: 60ms}}\n",
    "three-segment close": HEAD + EXCHANGE + "- client: close\n- server: close\n",
    "simultaneous close": HEAD + EXCHANGE + "- client: {close: {after: 90ms}}\n- server: {close: {at_once: true}}\n",
    "half-close": HEAD + "steps:\n- client: connect\n- client: {send: 99}\n- client: close\n"
    "- server: {send: {octets: 2000, after: 60ms}}\n- server: close\n",
    "half-close by the server": HEAD + "steps:\n- client: connect\n- client: {send: 99}\n- server: close\n"
    "- client: {send: {octets: 2000, after: 60ms}}\n- client: close\n",
    "three dialogues": HEAD
    + EXCHANGE
    + "- client: {send: {octets: 50, after: 9ms}}\n- server: {send: 60}\n" * 2
    + "- client: {send: {octets: 50, after: 9ms}}\n- client: {close: {after: 90ms}}\n- server: {close: {after: 90ms}}\n",
    "refused": HEAD + "server: {listen: false}\nsteps:\n- client: connect\n",
    "the client aborts": HEAD + EXCHANGE + "- client: {abort: {after: 60ms}}\n",
    "the server aborts": HEAD + EXCHANGE + "- server: {abort: {after: 60ms}}\n",
    "reset by a crashed client": HEAD + EXCHANGE + "- client: {crash: {after: 150ms}}\n"
    "- server: {send: {octets: 5, after: 60ms}}\n",
    "simultaneous open": HEAD + "steps:\n- client: connect\n- server: {connect: {at_once: true}}\n"
    "- client: {send: {octets: 99, after: 20ms}}\n- client: close\n- server: close\n",
    "MSS 536": HEAD + "client: {mss: 536}\nserver: {mss: 536}\nsteps:\n- client: connect\n- client: {send: 3000}\n"
    "- server: {send: 3000}\n- client: close\n- server: close\n",
    "no timestamps, no SACK": HEAD
    + "client: {timestamps: false, sack: false}\nserver: {timestamps: false, sack: false}\n"
    + EXCHANGE
    + "- client: {close: {after: 60ms}}\n- server: {close: {after: 60ms}}\n",
    "14 kB each way": HEAD + "steps:\n- client: connect\n- client: {send: 14000}\n- server: {send: 14000}\n"
    "- client: {close: {after: 90ms}}\n- server: {close: {after: 90ms}}\n",
    "the SYN is lost": LOSSY % (1, "") + "steps:\n- client: connect\n- client: {abort: {after: 5ms}}\n",
    "a request is lost": LOSSY % (3, "")
    + EXCHANGE
    + "- client: {close: {after: 60ms}}\n- server: {close: {after: 60ms}}\n",
    "a response is lost": LOSSY % ("", 3)
    + EXCHANGE
    + "- client: {close: {after: 60ms}}\n- server: {close: {after: 60ms}}\n",
    "a tail is lost": LOSSY
    % ("7, 8", "")
    + "steps:\n- client: connect\n- client: {send: {octets: 8000, after: 60ms}}\n"
    "- server: {receive: 8000}\n- client: {abort: {after: 60ms}}\n",
    "one of twenty is lost": LOSSY
    % (6, 9)
    + "steps:\n- client: connect\n- client: {send: 20kB}\n- server: {send: 20kB}\n"
    "- client: {close: {after: 90ms}}\n- server: {close: {after: 90ms}}\n",
    "the server does not read": HEAD + PAUSED + "- server: pause\n- client: {send: {octets: 20kB}}\n"
    "- server: {resume: {after: 450ms, at_once: true}}\n- server: {receive: 20kB}\n- client: close\n- server: close\n",
    "keep-alive": HEAD + "client: {keep_alive: 1s, keep_alive_interval: 1s}\n" + EXCHANGE + "- client: {wait: 1300ms}\n"
    "- client: {close: {after: 9ms}}\n- server: {close: {after: 60ms}}\n",
}
"""The scenarios by their names in docs/kernel.md."""

UP = "steps:\n- client: connect\n- client: {send: {octets: %d, after: 60ms}}\n- server: {receive: %d}\n"
ABORT = "- client: {abort: {after: 60ms}}\n"
CLOSE = "- client: {close: {after: 60ms}}\n- server: {close: {after: 60ms}}\n"


def up(octets: int, path: str) -> str:
    """A client that sends octets over a path."""
    return f"name: x\npath: {{rtt: 10ms, to_server: {{{path}}}}}\n" + UP % (octets, octets) + ABORT


ALTERNATING = {
    "the server aborts with unread data": HEAD + "steps:\n- client: connect\n- server: pause\n- client: {send: 99}\n"
    "- server: {abort: {after: 60ms}}\n",
    "the handshake's ACK is lost": LOSSY % (2, "") + UP % (99, 99) + ABORT,
    "a FIN is lost": LOSSY % (5, "") + EXCHANGE + CLOSE,
    "the server's FIN is lost": LOSSY % ("", 4) + EXCHANGE + CLOSE,
    "the last ACK is lost": LOSSY % (7, "") + EXCHANGE + CLOSE + "- client: {wait: 600ms}\n",
    "the first of three is lost": up(4000, "lose: [3]"),
    "the second of four is lost": up(5500, "lose: [4]"),
    "half of a flight is lost": up(20_000, "lose: [5..9]"),
    "a flight is lost": up(14_000, "lose: [3..12]"),
    "every third is lost": up(30_000, "lose: [5, 8, 11]"),
    "SYN cookies": HEAD
    + "client: {mss: 1400}\nserver: {syn_cookies: true}\nsteps:\n- client: connect\n- client: {send: 300}\n"
    "- server: {send: {octets: 4000, after: 60ms}}\n" + CLOSE,
    "SYN cookies without timestamps": HEAD + "client: {timestamps: false}\nserver: {syn_cookies: true}\n"
    "steps:\n- client: connect\n- client: {send: 300}\n- server: {send: {octets: 4000, after: 60ms}}\n" + CLOSE,
    "SYN cookies, the last ACK is lost": LOSSY % (2, "") + "server: {syn_cookies: true}\n" + UP % (99, 99) + ABORT,
    "a retransmission is lost": up(40_000, "lose: [6, 21]"),
    "two losses, eleven segments apart": up(40_000, "lose: [6, 22]"),
    "an ACK is lost": LOSSY % ("", 3) + UP % (14_000, 14_000) + ABORT,
    "a segment is overtaken": up(14_000, "late: {5: 3ms}"),
    "a segment arrives twice": up(14_000, "duplicate: [5]"),
    "a segment is late by 300 ms": up(100, "late: {3: 300ms}").replace("abort: {after: 60ms", "abort: {after: 600ms"),
    "keep-alives without an answer": "name: x\npath: {rtt: 10ms, to_server: {lose: [5..30]}}\n"
    "client: {keep_alive: 1s, keep_alive_interval: 1s, keep_alive_probes: 1}\n"
    + EXCHANGE
    + "- client: {wait: 2500ms}\n",
    "ECN": HEAD + "client: {ecn: true}\nserver: {ecn: true}\nsteps:\n- client: connect\n- client: {send: 5000}\n"
    "- server: {send: 5000}\n" + CLOSE,
    "urgent data": HEAD + "steps:\n- client: connect\n- client: {send: {octets: 50, urgent: true}}\n"
    "- client: {send: {octets: 50, after: 60ms}}\n" + ABORT,
    "a SYN ends TIME-WAIT": HEAD + EXCHANGE + "- server: {close: {after: 60ms}}\n- client: {close: {after: 60ms}}\n"
    "- client: {connect: {after: 300ms}}\n- client: {send: 50}\n" + ABORT,
    "the server speaks first": HEAD + "steps:\n- client: connect\n- server: {send: 30}\n- client: {send: 6}\n"
    "- server: {send: 30}\n- client: {close: {after: 30ms}}\n- server: close\n",
    "a request after a pause": HEAD + EXCHANGE + "- client: {send: {octets: 3000, after: 1500ms}}\n"
    "- server: {send: 3000}\n" + ABORT,
    "100 kB": up(100_000, "loss: 0%"),
}
"""More scenarios, which labkit's client plays over IPv4 and its server over IPv6."""

RESPONSE = "steps:\n- client: connect\n- client: {send: {octets: %d, after: 60ms}}\n- server: {send: {octets: %d, after: 60ms}}\n"
LATE = ", ".join(f"{number}: 300ms" for number in range(3, 15))

RELAYED = {
    "the SYN ACK is lost": LOSSY % ("", 1) + UP % (99, 99) + ABORT,
    "SYN and SYN ACK are lost": LOSSY % (1, 1) + UP % (99, 99) + ABORT,
    "a burst of four is lost": up(40_000, "lose: [6..9]"),
    "the end of a flight is lost": up(14_000, "lose: [8..12]"),
    "losses both ways": LOSSY % ("5, 19", "4, 17") + RESPONSE % (20_000, 20_000) + ABORT,
    "each fifth is lost": up(40_000, "lose: [5, 10, 15, 20, 25, 30]"),
    "a segment is overtaken, one is lost": up(40_000, "late: {5: 3ms}, lose: [9]"),
    "a segment arrives twice, one is lost": up(40_000, "duplicate: [5], lose: [7]"),
    "a segment is late by two round trips": up(40_000, "late: {6: 20ms}"),
    "a flight is late by 300 ms": up(14_000, f"late: {{{LATE}}}").replace(
        "abort: {after: 60ms", "abort: {after: 900ms"
    ),
    "the ACKs are late by 300 ms": LOSSY.replace("lose: [%s]}}", "late: {%s}}}") % ("", LATE)
    + UP % (30_000, 30_000)
    + ABORT.replace("60ms", "900ms"),
}
"""Scenarios whose path `labkit relay` applies to real frames; labkit's client plays them over IPv4 and its server over IPv6."""


ALL = CASES | ALTERNATING | RELAYED


class Line(NamedTuple):
    """A segment as it is compared."""

    ctl: int
    seq: int
    ack: int
    octets: int
    window: int
    options: str
    ident: str


def lines(trace: Trace, sender: str) -> list[Line]:
    """The segments that one side sent."""
    found: list[Line] = []
    last: int | None = None
    closing = False
    for record in trace:
        if record.sender != sender:
            continue
        segment, ident = record.segment, (record.ident or 0) & 0xFFFF
        # The kernel's end of a lab shuts down instead of closing, so that its last ACK comes from a socket after all.
        closing = closing or bool(segment.ctl & FIN)
        known = trace.client.ip.version == 4 and not (closing and segment.ctl == ACK)
        step = "0" if not ident else "first" if last is None else f"+{(ident - last) & 0xFFFF}"
        last = ident or last
        seq, ack = trace.relative(record)
        found.append(
            Line(
                segment.ctl,
                seq,
                ack,
                len(segment.payload),
                segment.window,
                options(trace, record),
                step if known else "",
            )
        )
    return found


def options(trace: Trace, record: Record) -> str:
    """The options in their order; timestamps and numbers relative or without their value."""
    peer = trace.connections[record.connection].isns(record.sender)[1]
    words = []
    for option in record.segment.options:
        match option:
            case opt.Sack(blocks):
                words.append("sack " + " ".join(f"{(a - peer) % 2**32}:{(b - peer) % 2**32}" for a, b in blocks))
            case opt.Timestamps():
                words.append("timestamps")
            case _:
                words.append(str(option))
    return ", ".join(words)


def gaps(trace: Trace, sender: str) -> list[float]:
    """Milliseconds between the segments of one side."""
    return [(b.time - a.time) / 1e6 for a, b in pairwise(each for each in trace if each.sender == sender)]


def without_windows(found: list[Line]) -> list[Line]:
    """windows: ignore windows that are not 0, and identifications."""
    return [line._replace(window=bool(line.window)) for line in found]


def without_push(found: list[Line]) -> list[Line]:
    """PSH: ignore the bit."""
    return [line._replace(ctl=line.ctl & ~PSH) for line in found]


def without_acks(found: list[Line]) -> list[Line]:
    """ACK: ignore pure ACKs, acknowledgement numbers, and what goes with them."""
    kept = [line for line in found if line.octets or line.ctl & (SYN | FIN | RST)]
    return [line._replace(ack=0, window=0, options="", ident="") for line in kept]


def in_any_order(found: list[Line]) -> list[Line]:
    """order: compare which segments were sent, each as often, in any order."""
    return sorted(line._replace(ident="") for line in found)


def only_octets(found: list[Line]) -> list[Line]:
    """segments: compare the octets that were sent, and the ends."""
    reached = max((line.seq + line.octets for line in found), default=0)
    ends = {line.ctl & (SYN | FIN | RST | ACK) for line in found if line.ctl & (SYN | FIN | RST)}
    return [Line(ctl, 0, 0, reached, 0, "", "") for ctl in sorted(ends)]


IGNORE: dict[str, Callable[[list[Line]], list[Line]]] = {
    "windows": without_windows,
    "PSH": without_push,
    "ACK": without_acks,
    "order": in_any_order,
    "segments": only_octets,
}
"""Normalisations by their words in docs/kernel.md, the weakest first."""


def same_times(one: list[float], other: list[float]) -> bool:
    """Whether times are of the same class: at once, 40 ms, 200 ms, a second."""
    return len(one) == len(other) and all(abs(a - b) <= 25 + 0.1 * a for a, b in zip(one, other, strict=True))


def permitted() -> dict[tuple[str, str], set[str]]:
    """The permitted differences, by case and labkit's side."""
    return listed(PAGE.read_text("utf-8").partition(STACK)[2], ALL, {*IGNORE, "times"})


def played(text: str, side: str, ipv6: bool, through: bool = False) -> tuple[Trace, Trace]:
    """A case with the stack on both sides: simulated, and with the kernel as the other side; `through` a relay or not."""
    for each in ("client", "server"):
        more = "stack: linux-6.18" + (', address: "2001:db8::10"' if ipv6 and each == "client" else "")
        if f"\n{each}: {{" in text:
            text = text.replace(f"\n{each}: {{", f"\n{each}: {{{more}, ", 1)
        else:
            text = text.replace("\nsteps:", f"\n{each}: {{{more}}}\nsteps:", 1)
    if through:
        text += f"capture: {side}\n"
    scenario = Scenario.parse(text)
    config = SessionConfig(scenario, side, peer="kernel", guard=Guard(seconds=20))
    with relayed(text, side) if through else open_session(config) as conversation:
        for _frame in conversation.frames():
            continue
        live = conversation.trace()
    return scenario.play(), live


@pytest.mark.parametrize("side", ["client", "server"])
@pytest.mark.parametrize("name", ALTERNATING)
def test_the_stack_sends_what_the_kernel_sends_in_turn(name: str, side: str) -> None:
    compare(ALTERNATING[name], name, side, ipv6=side == "server")


@pytest.mark.parametrize("side", ["client", "server"])
@pytest.mark.parametrize("name", RELAYED)
def test_the_stack_sends_what_the_kernel_sends_through_the_relay(name: str, side: str) -> None:
    compare(RELAYED[name], name, side, ipv6=side == "server", through=True)


@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("side", ["client", "server"])
@pytest.mark.parametrize("name", CASES)
def test_the_stack_sends_what_the_kernel_sends(name: str, side: str, ipv6: bool) -> None:
    compare(CASES[name], name, side, ipv6)


def compare(text: str, name: str, side: str, ipv6: bool, through: bool = False) -> None:
    """Play a case, and compare every field; docs/kernel.md says what may differ."""
    fault = ""
    for _attempt in range(3):
        try:
            simulated, live = played(text, side, ipv6, through)
        except LinkError as error:  # for example after a timer has ended the connection
            fault = str(error)
            continue
        kernel, model = lines(live, OTHER[side]), lines(simulated, OTHER[side])
        needed, allowed = differ_in(model, kernel, IGNORE), permitted()[name, side]
        if needed is None or not needed <= allowed:
            fault = f"differs in {needed}, {allowed or 'nothing'} is permitted:\n{model}\n{kernel}"
            continue
        timed = not needed and "times" not in allowed
        if timed and not same_times(gaps(simulated, OTHER[side]), gaps(live, OTHER[side])):
            fault = f"times differ: {gaps(simulated, OTHER[side])} {gaps(live, OTHER[side])}"
            continue
        fault = ""
        worse = [each for each in Verifier().run(simulated.file_frames()).findings if each.severity > Severity.NOTE]
        assert worse == []
        break
    assert not fault


def test_every_case_is_listed_in_the_documentation() -> None:
    assert set(permitted()) == {(name, side) for name in ALL for side in ("client", "server")}
