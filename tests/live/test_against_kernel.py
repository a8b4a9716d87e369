"""Labkit's TCP against the kernel's: the same scenario simulated and played, segment by segment.

docs/kernel.md lists all permitted differences and their reasons. On a busy machine a timer may expire early, so a case that
differs is played again, up to three times.
"""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from differences import PAGE, STACK, differ_in, listed
from relayed import relayed
from support import needs_ip, needs_root

from labkit.analysis.severity import Severity
from labkit.analysis.verifier import Verifier
from labkit.build.scenario import Scenario, setup
from labkit.build.scenario.setup import OTHER
from labkit.build.trace import Record, Trace
from labkit.capture import Frame, create
from labkit.errors import LinkError
from labkit.live.conversation import Conversation, SessionConfig
from labkit.live.guard import Guard
from labkit.live.session import open_session
from labkit.packet.linktype import ETHERNET
from labkit.tcp.segment import ACK, FIN, PSH, RST, SYN
from labkit.tcp.state import State

pytestmark = [needs_root, needs_ip]

HEAD = "name: x\npath: {rtt: 10ms}\n"
EXCHANGE = "steps:\n- client: connect\n- client: {send: 99}\n- server: {send: 119}\n"

CASES = {
    "connect": HEAD + "steps:\n- client: connect\n- client: {abort: {after: 5ms}}\n",
    "request and response, four-segment close": HEAD + EXCHANGE + "- client: close\n- server: {close: {after: 60ms}}\n",
    "three-segment close": HEAD + EXCHANGE + "- client: close\n- server: close\n",
    "the server closes first": HEAD + EXCHANGE + "- server: {close: {after: 60ms}}\n- client: {close: {after: 60ms}}\n",
    "simultaneous close": HEAD + EXCHANGE + "- client: {close: {after: 90ms}}\n- server: {close: {at_once: true}}\n",
    "simultaneous open": HEAD + "steps:\n- client: connect\n- server: {connect: {at_once: true}}\n"
    "- client: {send: {octets: 99, after: 20ms}}\n- client: close\n- server: close\n",
    "half-close": HEAD + "steps:\n- client: connect\n- client: {send: 99}\n- client: close\n"
    "- server: {send: {octets: 2000, after: 60ms}}\n- server: close\n",
    "half-close by the server": HEAD + "steps:\n- client: connect\n- client: {send: 99}\n- server: close\n"
    "- client: {send: {octets: 2000, after: 60ms}}\n- client: close\n",
    "refused": HEAD + "server: {listen: false}\nsteps:\n- client: connect\n",
    "the client aborts": HEAD + EXCHANGE + "- client: {abort: {after: 60ms}}\n",
    "the server aborts": HEAD + EXCHANGE + "- server: {abort: {after: 60ms}}\n",
    "reset, because the client has crashed": HEAD + EXCHANGE + "- client: {crash: {after: 150ms}}\n"
    "- server: {send: {octets: 5, after: 60ms}}\n",
    "reset, because the server has crashed": HEAD + EXCHANGE + "- server: {crash: {after: 150ms}}\n"
    "- client: {send: {octets: 5, after: 60ms}}\n",
    "MSS 536": HEAD + "client: {mss: 536}\nserver: {mss: 536}\nsteps:\n- client: connect\n- client: {send: 3000}\n"
    "- server: {send: 3000}\n- client: close\n- server: close\n",
    "timestamps": HEAD
    + "client: {timestamps: true}\nserver: {timestamps: true}\n"
    + EXCHANGE
    + "- client: close\n- server: close\n",
    "numbers wrap": HEAD
    + "client: {isn: 4294967246}\nserver: {isn: 4294967200}\n"
    + EXCHANGE
    + "- client: close\n- server: close\n",
    "a megabyte each way": "name: x\npath: {rtt: 2ms}\nclient: {window: 1MiB, window_scale: 7}\n"
    "server: {window: 1MiB, window_scale: 7}\nsteps:\n- client: connect\n- client: {send: 1MB}\n- server: {send: 1MB}\n"
    "- client: close\n- server: close\n",
    "zero window": HEAD + "client: {window: 8kB, rto_min: 200ms}\nserver: {window: 8kB, rto_min: 200ms}\n"
    "steps:\n- client: connect\n- server: pause\n- client: {send: {octets: 40kB}}\n"
    "- server: {resume: {after: 450ms, at_once: true}}\n"
    "- server: {receive: 40kB}\n- client: close\n- server: close\n",
    "zero window at the client": HEAD + "client: {window: 8kB, rto_min: 200ms}\nserver: {window: 8kB, rto_min: 200ms}\n"
    "steps:\n- client: connect\n- client: pause\n- server: {send: {octets: 40kB, after: 20ms}}\n"
    "- client: {resume: {after: 450ms, at_once: true}}\n"
    "- client: {receive: 40kB}\n- client: close\n- server: close\n",
    "loss with SACK": "name: x\npath: {rtt: 10ms, to_server: {lose: [6]}, to_client: {lose: [9]}}\n"
    "client: {rto_min: 200ms}\nserver: {rto_min: 200ms}\nsteps:\n- client: connect\n- client: {send: 20kB}\n"
    "- server: {send: 20kB}\n- client: close\n- server: close\n",
    "loss without SACK": "name: x\npath: {rtt: 10ms, to_server: {lose: [6]}, to_client: {lose: [9]}}\n"
    "client: {rto_min: 200ms, sack: false}\nserver: {rto_min: 200ms, sack: false}\nsteps:\n- client: connect\n"
    "- client: {send: 20kB}\n- server: {send: 20kB}\n- client: close\n- server: close\n",
    "the SYN is lost": "name: x\npath: {rtt: 10ms, to_server: {lose: [1]}}\nsteps:\n- client: connect\n"
    "- client: {abort: {after: 5ms}}\n",
    "keep-alive": HEAD
    + "client: {keep_alive: 1s, keep_alive_interval: 1s}\n"
    + EXCHANGE
    + "- client: {wait: 1300ms}\n- client: close\n- server: close\n",
}
"""The scenarios by their names in docs/kernel.md."""

THROUGH = {f"{name} through the relay": CASES[name] for name in ("loss with SACK", "loss without SACK")}
"""Scenarios that are played a second time with `labkit relay` in place of labkit's own path."""

Line = tuple[int, int, int, int]
"""Control bits, relative seq, relative ack, octets."""


def lines(trace: Trace, sender: str) -> list[Line]:
    """The segments that one side sent."""

    def line(record: Record) -> Line:
        return (record.segment.ctl, *trace.relative(record), len(record.segment.payload))

    return [line(record) for record in trace if record.sender == sender]


def without_push(found: list[Line]) -> list[Line]:
    """PSH: ignore the bit, which the kernel sets by its own rule."""
    return [(ctl & ~PSH, seq, ack, count) for ctl, seq, ack, count in found]


def without_acks(found: list[Line]) -> list[Line]:
    """ACK: ignore acknowledgement numbers and pure ACKs."""
    return [(ctl, seq, 0, count) for ctl, seq, _, count in found if count or ctl & (SYN | FIN | RST)]


def fin_apart(found: list[Line]) -> list[Line]:
    """FIN: treat a FIN with data like one behind the data."""
    apart: list[Line] = []
    for ctl, seq, ack, count in found:
        apart.append((ctl & ~FIN if count else ctl, seq, ack, count))
        if ctl & FIN and count:
            apart.append((FIN | ACK, seq + count, ack, 0))
    return apart


def in_any_order(found: list[Line]) -> list[Line]:
    """order: ignore the order of segments."""
    return sorted(found)


def octets(found: list[Line]) -> list[Line]:
    """segments: ignore how octets are cut into segments and which are sent twice."""
    ends = [line for line in found if line[0] & (SYN | FIN | RST)]
    covered, reached = 0, 1
    for _, seq, _, count in sorted(line for line in without_push(fin_apart(found)) if line[3]):
        covered += max(seq + count - max(seq, reached), 0)
        reached = max(reached, seq + count)
    return [
        *sorted({(ctl & ~PSH, seq, 0, 0) for ctl, seq, _, count in fin_apart(ends) if not count}),
        (0, 0, 0, covered),
    ]


IGNORE: dict[str, Callable[[list[Line]], list[Line]]] = {
    "PSH": without_push,
    "ACK": without_acks,
    "FIN": fin_apart,
    "order": in_any_order,
    "segments": octets,
}
"""Normalisations by their words in docs/kernel.md, the weakest first."""


def permitted() -> dict[tuple[str, str], set[str]]:
    """The permitted differences, by case and labkit's side."""
    return listed(PAGE.read_text("utf-8").partition(STACK)[0], CASES | THROUGH, IGNORE)


@dataclass
class Run:
    """The result of one case."""

    conversation: Conversation
    simulated: Trace
    states: list[State]
    """The kernel's states, in order."""
    listing: str
    """The output of `ss` at the end."""
    received: bytes
    """The bytes that the kernel's application read."""

    @property
    def side(self) -> str:
        return self.conversation.side

    @property
    def kernels(self) -> str:
        return OTHER[self.side]


def play(text: str, side: str, ipv6: bool, through: bool = False) -> Run:
    """Play a case and record the kernel's states."""
    if through:
        text += f"capture: {side}\n"
    if ipv6 and "\nclient: {" in text:
        text = text.replace("\nclient: {", '\nclient: {address: "2001:db8::10", ', 1)
    elif ipv6:
        text = 'client: {address: "2001:db8::10"}\n' + text
    config = SessionConfig(Scenario.parse(text), side, peer="kernel", guard=Guard(seconds=20))
    simulated = Scenario.parse(text).play()
    states: list[State] = []
    with relayed(text, side) if through else open_session(config) as conversation:
        kernel = conversation.kernel
        assert kernel is not None
        for _ in conversation.frames():
            states += [kernel.state]
        states += [kernel.state]
        with kernel._lab.inside(kernel.side):
            listing = subprocess.run(["ss", "-Htan"], capture_output=True, text=True, check=True).stdout
        received = bytes(kernel.received)
    return Run(conversation, simulated, list(dict.fromkeys(states)), listing, received)


def ends(trace: Trace, side: str) -> list[State]:
    """The states of one side of a trace, in order."""
    found: list[State] = []
    for record in trace:
        found += record.client if side == "client" else record.server
    return list(dict.fromkeys(found))


def final(trace: Trace, side: str) -> State:
    """The final state of one side. Records are in the order of one capture point, so the last one may not show it."""
    changes = [record.client if side == "client" else record.server for record in trace]
    for state in (State.CLOSED, State.TIME_WAIT):
        if any(before is not after and after is state for before, after in changes):
            return state
    return changes[-1][1]


SS = {"SYN-RECV": "SYN-RECEIVED", "ESTAB": "ESTABLISHED", "UNCONN": "CLOSED"}
"""The names of states in `ss` that differ from the RFC's."""


def check(name: str, run: Run, allowed: set[str]) -> str:
    """The first fault of a run; empty if there is none."""
    conversation, trace = run.conversation, run.conversation.trace()
    # All octets arrived unchanged.
    plans = setup.plans(conversation.scenario.model, conversation.scenario.source, 0)
    # Nothing arrives at a host that has crashed.
    crash = next((plan.number for plan in plans if plan.verb == "crash"), len(plans))
    sent = {
        side: b"".join(plan.payload for plan in plans[:crash] if plan.side == side) for side in ("client", "server")
    }
    if run.conversation.labkit_end.received != sent[run.kernels] or run.received != sent[run.side]:
        return "other octets arrived than were sent"
    # Both ends went through the states of the simulation.
    own = conversation.labkit_end.state
    if own is not final(run.simulated, run.side):
        return f"labkit's end is in {own}, in the simulation in {final(run.simulated, run.side)}"
    unexpected = set(run.states) - set(ends(run.simulated, run.kernels)) - {State.CLOSED}
    if unexpected:
        return f"the kernel was in {unexpected}, where the simulation is not"
    last = final(run.simulated, run.kernels)
    seen = {SS.get(line.split()[0], line.split()[0]) for line in run.listing.splitlines()} - {"LISTEN"}
    if seen != ({str(last)} - {"CLOSED"}):
        return f"ss shows {seen}, the simulation ends in {last}"
    needed = differ_in(lines(run.simulated, run.kernels), lines(trace, run.kernels), IGNORE)
    if needed is None or not needed <= allowed:
        return f"{name}: the kernel differs in {needed}; {allowed or 'nothing'} is permitted: {lines(trace, run.kernels)[:40]}"
    return ""


def attempt(name: str, text: str, side: str, ipv6: bool, allowed: set[str]) -> tuple[list[str], list[Frame]]:
    """Play a case; return its faults, findings of labkit's verifier included, and its frames."""
    try:
        run = play(text, side, ipv6, name in THROUGH)
    except LinkError as error:  # for example after a timer has ended the connection
        return [f"{name}: {error}"], []
    frames = list(run.conversation.annotated())
    fault = check(name, run, allowed)
    found = [each for each in Verifier().run(frames).findings if each.severity > Severity.NOTE]
    return [
        *([fault] if fault else []),
        *(f"{name}: {each.severity} {each.code} {each.message}" for each in found),
    ], frames


@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("side", ["client", "server"])
@pytest.mark.skipif(shutil.which("ss") is None, reason="the program 'ss' is missing")
def test_labkit_and_the_kernel_send_the_same_segments(side: str, ipv6: bool, tmp_path: Path) -> None:
    known, wrong = permitted(), []
    path = tmp_path / "all.pcapng"
    with create(path, link=ETHERNET) as writer:
        for name, text in (CASES | THROUGH).items():
            for _ in range(3):
                faults, frames = attempt(name, text, side, ipv6, known[name, side])
                for frame in frames:
                    writer.write(frame.time, frame.data)
                if not faults or any(": error " in fault for fault in faults):
                    break
            wrong += faults
    assert wrong == []
    if shutil.which("tshark"):
        # The kernel sends 0xffff, the other zero of ones' complement, which tshark reports as wrong.
        words = "_ws.malformed or (tcp.checksum.status == 0 and tcp.checksum != 0xffff) or ip.checksum.status == 0"
        options = ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-Y", words]
        done = subprocess.run(["tshark", "-r", path, *options], capture_output=True, text=True, check=True)
        assert done.stdout == ""


def test_every_case_is_listed_in_the_documentation() -> None:
    assert set(permitted()) == {(name, side) for name in CASES | THROUGH for side in ("client", "server")}


def test_differ_in_finds_differences() -> None:
    one: list[Line] = [(SYN, 0, 0, 0), (ACK | PSH, 1, 1, 10), (ACK, 11, 20, 0), (ACK | FIN, 11, 20, 5)]
    for other, words in (
        (one, set()),
        ([one[0], (ACK, 1, 1, 10), *one[2:]], {"PSH"}),
        ([*one[:2], one[3]], {"ACK"}),
        ([*one[:3], (ACK, 11, 20, 5), (ACK | FIN, 16, 20, 0)], {"FIN"}),
        ([one[0], one[2], one[1], one[3]], {"ACK"}),
        ([one[0], (ACK, 1, 1, 4), (ACK | PSH, 5, 1, 6), *one[2:]], {"segments"}),
        (one[:3], None),
        ([*one[:3], (ACK | FIN, 12, 20, 5)], None),
    ):
        assert differ_in(one, other, IGNORE) == words
