"""Labkit's TCP against the kernel's: the same scenario simulated and played, segment by segment.

What may differ, and why, is listed in docs/kernel.md; nothing else may. A busy machine may let a timer run out that would
not have done so otherwise: what differs is played again, before it counts.
"""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from running import Running
from support import TOP, needs_ip, needs_root

from labkit.analysis.rule import Severity
from labkit.analysis.verifier import Verifier
from labkit.build.scenario import Scenario, setup
from labkit.build.scenario.setup import OTHER
from labkit.build.trace import Record, Trace
from labkit.capture import Frame, create
from labkit.errors import LinkError
from labkit.live import session
from labkit.live.conversation import Conversation, SessionConfig
from labkit.live.guard import Guard
from labkit.live.kernel import KernelSocket, configure_kernel
from labkit.live.lab import Lab
from labkit.live.link import Link
from labkit.live.session import open_session
from labkit.live.wiring import KERNELS
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
    "reset, for the client has crashed": HEAD + EXCHANGE + "- client: {crash: {after: 150ms}}\n"
    "- server: {send: {octets: 5, after: 60ms}}\n",
    "reset, for the server has crashed": HEAD + EXCHANGE + "- server: {crash: {after: 150ms}}\n"
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
"""What is played, by what it is called in docs/kernel.md."""

THROUGH = {f"{name} through the relay": CASES[name] for name in ("loss with SACK", "loss without SACK")}
"""What is played once more, with `labkit relay` between the two, which loses what labkit's own path does otherwise."""

Line = tuple[int, int, int, int]
"""Control bits, relative seq, relative ack, octets."""


def lines(trace: Trace, sender: str) -> list[Line]:
    """What one side has sent."""

    def line(record: Record) -> Line:
        return (record.segment.ctl, *trace.relative(record), len(record.segment.payload))

    return [line(record) for record in trace if record.sender == sender]


def without_push(found: list[Line]) -> list[Line]:
    """PSH: the kernel sets it by a rule of its own."""
    return [(ctl & ~PSH, seq, ack, count) for ctl, seq, ack, count in found]


def without_acks(found: list[Line]) -> list[Line]:
    """ACK: what is acknowledged, and when, apart from what is sent."""
    return [(ctl, seq, 0, count) for ctl, seq, _, count in found if count or ctl & (SYN | FIN | RST)]


def fin_apart(found: list[Line]) -> list[Line]:
    """FIN: with the last octets, or behind them."""
    apart: list[Line] = []
    for ctl, seq, ack, count in found:
        apart.append((ctl & ~FIN if count else ctl, seq, ack, count))
        if ctl & FIN and count:
            apart.append((FIN | ACK, seq + count, ack, 0))
    return apart


def in_any_order(found: list[Line]) -> list[Line]:
    """order: when something is sent among what else is sent."""
    return sorted(found)


def octets(found: list[Line]) -> list[Line]:
    """segments: how the octets are cut into segments, and which of them go out twice."""
    ends = [line for line in found if line[0] & (SYN | FIN | RST)]
    covered, reached = 0, 1
    for _, seq, _, count in sorted(line for line in without_push(fin_apart(found)) if line[3]):
        covered += max(seq + count - max(seq, reached), 0)
        reached = max(reached, seq + count)
    return [
        *sorted({(ctl & ~PSH, seq, 0, 0) for ctl, seq, _, count in fin_apart(ends) if not count}),
        (0, 0, 0, covered),
    ]


LESS: dict[str, Callable[[list[Line]], list[Line]]] = {
    "PSH": without_push,
    "ACK": without_acks,
    "FIN": fin_apart,
    "order": in_any_order,
    "segments": octets,
}
"""What is left out of a comparison, by the word for it in docs/kernel.md, the smallest loss first."""


def differ_in(one: list[Line], other: list[Line]) -> set[str] | None:
    """The fewest words for how two sequences differ; None where there are none."""
    choices = [[name for place, name in enumerate(LESS) if mask >> place & 1] for mask in range(1 << len(LESS))]
    # The last word says the most: it is taken where no others will do.
    for names in sorted(choices, key=lambda names: ("segments" in names, len(names), [*map(list(LESS).index, names)])):
        ours, theirs = one, other
        for name in names:
            ours, theirs = LESS[name](ours), LESS[name](theirs)
        if ours == theirs:
            return set(names)
    return None


def listed() -> dict[tuple[str, str], set[str]]:
    """What docs/kernel.md lists: how the kernel's segments may differ, by the case and labkit's side."""
    found = {}
    for line in (TOP / "docs" / "kernel.md").read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 3 and cells[0] in CASES | THROUGH:
            for side, cell in zip(("server", "client"), cells[1:], strict=True):
                found[cells[0], side] = set(re.findall(r"\w+", cell)) & set(LESS)
    return found


@dataclass
class Run:
    """One case, played."""

    conversation: Conversation
    simulated: Trace
    states: list[State]
    """The kernel's, as it went through them."""
    listing: str
    """What `ss` said at the end."""
    received: bytes
    """What the kernel's application has read."""

    @property
    def side(self) -> str:
        return self.conversation.side

    @property
    def kernels(self) -> str:
        return OTHER[self.side]


@contextmanager
def relayed(text: str, side: str) -> Iterator[Conversation]:
    """A conversation whose packets meet the path of their scenario in a relay, and not before."""
    scenario = Scenario.parse(text)
    guard = Guard(seconds=20)
    parts = session._parts(SessionConfig(scenario, side, peer="kernel"))
    own, other = parts.hosts[side], parts.hosts[OTHER[side]]
    with TemporaryDirectory() as folder, Lab.temporary(relay=True) as lab:
        path = Path(folder, "path.yaml")
        path.write_text(text, "utf-8")
        with Running(lab, "relay", str(path)) as relay:
            assert "the path of x" in relay.said
            configure_kernel(lab, OTHER[side], scenario.model)
            kernel = KernelSocket(lab, scenario.model, parts, OTHER[side], other, own)
            with lab.inside(side), Link(KERNELS[side].interface, guard) as link:
                conversation = Conversation(SessionConfig(scenario, side, path=False, guard=guard), parts, link, kernel)
                yield conversation
                conversation.leave()
            assert relay.end()[0] == 0


def play(text: str, side: str, ipv6: bool, through: bool = False) -> Run:
    """Play a case, and look at the kernel as it goes along."""
    if through:
        text += f"capture: {side}\n"
    if ipv6 and "\nclient: {" in text:
        text = text.replace("\nclient: {", '\nclient: {address: "2001:db8::10", ', 1)
    elif ipv6:
        text = 'client: {address: "2001:db8::10"}\n' + text
    wish = SessionConfig(Scenario.parse(text), side, peer="kernel", guard=Guard(seconds=20))
    simulated = Scenario.parse(text).play()
    states: list[State] = []
    with relayed(text, side) if through else open_session(wish) as conversation:
        kernel = conversation.kernel
        assert kernel is not None
        for _ in conversation.frames():
            states += [kernel.state]
        states += [kernel.state]
        with kernel.inside():
            listing = subprocess.run(["ss", "-Htan"], capture_output=True, text=True, check=True).stdout
        received = bytes(kernel.received)
    return Run(conversation, simulated, list(dict.fromkeys(states)), listing, received)


def ends(trace: Trace, side: str) -> list[State]:
    """The states that a side of a trace has gone through."""
    found: list[State] = []
    for record in trace:
        found += record.client if side == "client" else record.server
    return list(dict.fromkeys(found))


def final(trace: Trace, side: str) -> State:
    """The state in which a side of a trace ends: records stand in the order of one side, whose last may not be last."""
    changes = [record.client if side == "client" else record.server for record in trace]
    for state in (State.CLOSED, State.TIME_WAIT):
        if any(before is not after and after is state for before, after in changes):
            return state
    return changes[-1][1]


SS = {"SYN-RECV": "SYN-RECEIVED", "ESTAB": "ESTABLISHED", "UNCONN": "CLOSED"}
"""The words of `ss`, where they are not the RFC's."""


def check(name: str, run: Run, allowed: set[str]) -> str:
    """What is wrong with a run; empty where nothing is."""
    conversation, trace = run.conversation, run.conversation.trace()
    # The octets arrived as they were sent.
    plans = setup.plans(conversation.scenario.model, conversation.scenario.source, 0)
    # To one that has crashed nothing arrives.
    crash = next((plan.number for plan in plans if plan.verb == "crash"), len(plans))
    sent = {
        side: b"".join(plan.payload for plan in plans[:crash] if plan.side == side) for side in ("client", "server")
    }
    if run.conversation.labkit_end.received != sent[run.kernels] or run.received != sent[run.side]:
        return "other octets arrived than were sent"
    # Both were in the states of the simulation.
    own = conversation.labkit_end.state
    if own is not final(run.simulated, run.side):
        return f"labkit's end is in {own}, in the simulation in {final(run.simulated, run.side)}"
    strange = set(run.states) - set(ends(run.simulated, run.kernels)) - {State.CLOSED}
    if strange:
        return f"the kernel was in {strange}, where the simulation is not"
    last = final(run.simulated, run.kernels)
    seen = {SS.get(line.split()[0], line.split()[0]) for line in run.listing.splitlines()} - {"LISTEN"}
    if seen != ({str(last)} - {"CLOSED"}):
        return f"ss shows {seen}, the simulation ends in {last}"
    needed = differ_in(lines(run.simulated, run.kernels), lines(trace, run.kernels))
    if needed is None or not needed <= allowed:
        return f"{name}: the kernel differs in {needed}, listed is {allowed or 'nothing'}: {lines(trace, run.kernels)[:40]}"
    return ""


def attempt(name: str, text: str, side: str, ipv6: bool, allowed: set[str]) -> tuple[list[str], list[Frame]]:
    """Play a case: what is wrong, an error of labkit's verifier among it, and the frames."""
    try:
        run = play(text, side, ipv6, name in THROUGH)
    except LinkError as error:  # as where a timer ran out, and the connection is gone that was to be used
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
def test_the_model_is_tcp(side: str, ipv6: bool, tmp_path: Path) -> None:
    known, wrong = listed(), []
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
        # 0xffff is the other zero of ones' complement, which the kernel sends and tshark wonders about.
        words = "_ws.malformed or (tcp.checksum.status == 0 and tcp.checksum != 0xffff) or ip.checksum.status == 0"
        options = ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-Y", words]
        done = subprocess.run(["tshark", "-r", path, *options], capture_output=True, text=True, check=True)
        assert done.stdout == ""


def test_all_that_is_played_is_listed() -> None:
    assert set(listed()) == {(name, side) for name in CASES | THROUGH for side in ("client", "server")}


def test_differences_are_found() -> None:
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
        assert differ_in(one, other) == words
