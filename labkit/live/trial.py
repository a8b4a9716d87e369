"""Run a TCP program once, against labkit's endpoint or the kernel, over a scenario's path, in a lab made for it.

The program has one end of the lab. In a `tun` run, the device `labkit-tun` carries its IP packets, and the kernel forwards them
to the wire; in a `raw` run it uses raw sockets, and the kernel owns its address but leaves its port alone. All its packets are
recorded where it sends them, so that wrong ones are seen too.
"""

import ctypes
import os
import select
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread

from labkit.build.scenario import Scenario, setup
from labkit.build.scenario.setup import OTHER, Parts
from labkit.capture import Frame
from labkit.errors import LinkError, UsageError
from labkit.i18n import _, printable
from labkit.live import ethtool
from labkit.live.conversation import Conversation, SessionConfig
from labkit.live.guard import Guard
from labkit.live.kernel_trial import KernelConversation
from labkit.live.lab import Lab
from labkit.live.link import Link
from labkit.live.sandbox import NOT_STARTED, Sandbox, find_user, may_change_user
from labkit.live.session import MIN_IPV6_MTU
from labkit.live.wiring import KERNELS, ip, set_sysctls
from labkit.packet.linktype import ETHERNET
from labkit.packet.scapy_build import Host

TUN = "labkit-tun"
MAX_PACKETS = 20_000
"""Packets of a run, of both sides."""
READY = 3.0
"""Seconds that a server has to open its device or socket before labkit's client connects."""
GRACE, SETTLE = 0.3, 0.15
"""Seconds that a run goes on after the program's end, and that it records after the conversation."""

ROUTER = "fe80::1/64"
"""The link-local address of the kernel that forwards a program's IPv6 packets."""

SOCKETS = ("raw", "raw6", "packet")
"""The kernel's lists of the sockets by which a program may send its packets (proc_net(5))."""

SO_ATTACH_FILTER = 26
DROP_ALL = struct.pack("HBBI", 0x06, 0, 0, 0)
"""A classic BPF program that accepts nothing."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What is run, and where."""

    scenario: Scenario
    side: str
    """The program's side, client or server."""
    command: Sequence[str]
    """The program and its arguments; `{address}` and the other names of `surroundings` in braces are replaced."""
    files: Sequence[Path] = ()
    """The files and folders that it gets copies of, in the folder that it begins in."""
    link: str = "tun"
    seconds: float = 10.0
    """How long a run may take."""
    user: str = "nobody"
    peer: str = "labkit"
    """The TCP of the other side: labkit's or the kernel's."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What happened in a run."""

    seed: int
    address: str
    """The program's address."""
    frames: tuple[Frame, ...]
    """All packets of both sides, as the program's end saw them; comments say what labkit did."""
    ended: str
    """Why the run ended early, or what was wrong with the program; empty if all steps were done."""
    exit_code: int | None
    """The program's exit code, 128 plus a signal's number; None if labkit ended it."""
    output: str
    """What the program printed, up to a bound."""


def surroundings(setting: Setting, parts: Parts, seed: int) -> dict[str, str]:
    """What a program is told: the names in braces in its arguments, and in capitals with `LABKIT_` in its environment."""
    own, peer = parts.hosts[setting.side], parts.hosts[OTHER[setting.side]]
    steps = setup.plans(setting.scenario.model, setting.scenario.source, parts.seed)
    sent = {side: sum(len(each.payload) for each in steps if each.side == side) for side in OTHER}
    return {
        "side": setting.side,
        "link": setting.link,
        "interface": TUN if setting.link == "tun" else KERNELS[setting.side].interface,
        "address": own.address,
        "port": str(own.port),
        "peer-address": peer.address,
        "peer-port": str(peer.port),
        "send": str(sent[setting.side]),
        "receive": str(sent[OTHER[setting.side]]),
        "seed": str(seed),
    }


def run_trial(setting: Setting, seed: int) -> Trial:
    """Run a program once. Whatever it does, the Trial says so.

    LinkError if the lab cannot be made, UsageError if the scenario does not fit.
    """
    parts = _parts(setting, seed)
    side = OTHER[setting.side]
    own = parts.hosts[setting.side]
    told = surroundings(setting, parts, seed)
    command = [_filled(word, told) for word in setting.command]
    environment = {f"LABKIT_{name.upper().replace('-', '_')}": value for name, value in told.items()}
    guard = Guard(packets=MAX_PACKETS, seconds=setting.seconds)
    with ExitStack() as stack:
        mtu = max(setting.scenario.model.path.mtu, MIN_IPV6_MTU)
        lab = stack.enter_context(Lab.temporary(relay=setting.peer == "kernel", mtu=mtu))
        with lab.inside(setting.side):
            stack.enter_context(_end(setting, own))
            recorder = stack.enter_context(_Recorder(told["interface"]))
        conversation: Conversation | KernelConversation
        if setting.peer == "kernel":
            conversation = KernelConversation(setting.scenario, parts, side, lab, guard)
            stack.callback(conversation.leave)
        else:
            with lab.inside(side):
                link = stack.enter_context(Link(KERNELS[side].interface, guard))
            config = SessionConfig(setting.scenario, side, seed=seed, guard=guard)
            conversation = Conversation(config, parts, link)
        with lab.inside(setting.side):
            program = stack.enter_context(Sandbox(command, environment, setting.files, setting.user, setting.seconds))
            recorder.on_flood = program.end
            if setting.side == "server":
                _await_ready(setting.link, program)
        ended = _converse(conversation, program, recorder)
        time.sleep(SETTLE)
        exit_code = program.exit_code
        program.end()
        frames = recorder.stop()
        conversation.leave()
        ended = _verdict(program, exit_code, recorder, ended)
        return Trial(seed, own.address, _annotated(frames, conversation), ended, exit_code, program.output)


def _parts(setting: Setting, seed: int) -> Parts:
    """The conversation's hosts. UsageError if the scenario does not fit."""
    scenario = setting.scenario
    if scenario.model.conversations is not None:
        raise UsageError(_("{name}: a program is run with one conversation, not many").format(name=scenario.name))
    parts = setup.alone(scenario.model, seed)
    hosts = parts.hosts.values()
    if {host.address for host in hosts} & {
        kernel.address(host.ip.version) for host in hosts for kernel in KERNELS.values()
    }:
        raise UsageError(_("{name}: a kernel of the lab has one of its addresses").format(name=scenario.name))
    Guard().check_addresses(host.address for host in hosts)
    # The wire leads to the kernel that answers for the program.
    there = replace(parts.hosts[setting.side], mac=KERNELS[setting.side].mac)
    return replace(parts, hosts={**parts.hosts, setting.side: there})


def _filled(word: str, told: dict[str, str]) -> str:
    for name, value in told.items():
        word = word.replace(f"{{{name}}}", value)
    return word


@contextmanager
def _end(setting: Setting, own: Host) -> Iterator[None]:
    """Prepare the program's end of the lab, in its namespace."""
    interface = KERNELS[setting.side].interface
    six = own.ip.version == 6
    if setting.link == "tun":
        owner = f" user {find_user(setting.user).pw_uid}" if may_change_user() else ""
        try:
            ip([f"tuntap add dev {TUN} mode tun{owner}"])
        except LinkError as error:
            text = _("cannot make the tun device: {reason}; it needs root and the kernel's module tun")
            raise LinkError(text.format(reason=error)) from error
        set_sysctls({f"net/ipv6/conf/{TUN}/disable_ipv6": str(int(not six))})
        # Nothing of the kernel's own must come into the device: no router solicitations, and no reports of its groups.
        ip([f"link set dev {TUN} mtu 1500 multicast off addrgenmode none up"])
        set_sysctls(
            {f"net/ipv6/conf/{each}": "1" for each in ("all/forwarding", f"{interface}/proxy_ndp")}
            if six
            else {"net/ipv4/ip_forward": "1"}
        )
        ip(
            [
                f"route add {own.address}/{own.ip.max_prefixlen} dev {TUN}",
                f"neigh add proxy {own.address} dev {interface}",
                # A router asks for its neighbours from a link-local address.
                *([f"address add {ROUTER} dev {interface} nodad"] if six else []),
            ]
        )
        yield
        return
    ip([f"address add {own.address}/{'64' if six else '24'} dev {interface}{' nodad' if six else ''}"])
    # The kernel would reset a connection that it does not know. It asks the listener of a port first, and a filter drops there.
    with socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_STREAM) as silent:
        silent.bind((own.address, own.port))
        code = ctypes.create_string_buffer(DROP_ALL)
        silent.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", 1, ctypes.addressof(code)))
        silent.listen(1)
        yield


def _await_ready(link: str, program: Sandbox) -> None:
    """Wait until a server has opened its device or a raw socket, or ends, or `READY` seconds are over."""
    deadline = time.monotonic() + READY
    while time.monotonic() < deadline and program.exit_code is None:
        if _is_open(link):
            time.sleep(0.1)  # between its opening and its first read
            return
        time.sleep(0.01)


def _is_open(link: str) -> bool:
    if link == "tun":
        return ethtool.is_running(TUN)
    # Of packet sockets, one is the recorder's.
    lines = {name: Path("/proc/thread-self/net", name).read_text("ascii").splitlines()[1:] for name in SOCKETS}
    return bool(lines["raw"] or lines["raw6"]) or len(lines["packet"]) > 1


def _converse(conversation: Conversation | KernelConversation, program: Sandbox, recorder: "_Recorder") -> str:
    """Play the other side until all is done, the time is over, or the program has ended; return why it ended early."""
    ended: list[float] = []

    def over() -> bool:
        if program.exit_code is not None and not ended:
            ended.append(time.monotonic())
        return recorder.flooded or bool(ended and time.monotonic() > ended[0] + GRACE)

    conversation.stop = over
    try:
        for _frame in conversation.frames():
            continue
    except LinkError as error:
        # The message begins with the scenario's file and line, which the program's author does not have.
        text = str(error)
        head = f"{conversation.scenario.source.name}:"
        return text.partition(": ")[2] if text.startswith(head) else text.partition("; --for")[0]
    return "" if conversation.finished else _("the program ended before the conversation did")


def _verdict(program: Sandbox, exit_code: int | None, recorder: "_Recorder", ended: str) -> str:
    """What was wrong with a run as a whole."""
    if recorder.flooded:
        return _("more than {n:,} packets: the program was ended").format(n=MAX_PACKETS)
    if exit_code in NOT_STARTED and not recorder.frames:
        return _("the program could not be started: {text}").format(text=_last_line(program.output))
    if not exit_code:
        return ended
    if exit_code > 128:
        said = _("the program was ended by signal {n}").format(n=exit_code - 128)
    else:
        said = _("the program ended with exit code {n}").format(n=exit_code)
    return ": ".join(filter(None, (said, _last_line(program.output))))


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return printable(lines[-1][:200]) if lines else ""


def _annotated(frames: Sequence[Frame], conversation: Conversation | KernelConversation) -> tuple[Frame, ...]:
    """The recorded frames with labkit's comments on those that it sent or took."""
    comments: dict[bytes, deque[tuple[str, ...]]] = {}
    for each in conversation.annotated():
        comments.setdefault(_datagram(each), deque()).append(each.comments)
    found = []
    for frame in frames:
        waiting = comments.get(_datagram(frame))
        found.append(frame._replace(comments=waiting.popleft()) if waiting else frame)
    return tuple(found)


def _datagram(frame: Frame) -> bytes:
    """What the path does not change of an IP datagram: its payload."""
    at = 14 if frame.link == ETHERNET else 0
    data = frame.data
    if len(data) < at + 20:
        return b""
    if data[at] >> 4 == 6:
        return data[at + 40 : at + 40 + int.from_bytes(data[at + 4 : at + 6])]
    return data[at + (data[at] & 15) * 4 : at + int.from_bytes(data[at + 2 : at + 4])]


class _Recorder:
    """Records all packets of an interface of the current namespace, in a thread, up to a number."""

    def __init__(self, interface: str) -> None:
        self._link = Link(interface, None, outgoing=True)
        self.frames: list[Frame] = []
        self.flooded = False
        self.on_flood: Callable[[], object] = lambda: None
        self._read_end, self._write_end = os.pipe()
        self._thread = Thread(target=self._record, name=f"labkit records {interface}", daemon=True)

    def __enter__(self) -> "_Recorder":
        self._thread.start()
        return self

    def _record(self) -> None:
        waited: list[Link | int] = [self._link, self._read_end]
        while True:
            arrived = self._link.receive()
            if arrived is None:
                ready, _none, _never = select.select(waited, [], [])
                if self._read_end in ready:
                    return
            elif len(self.frames) == MAX_PACKETS:
                self.flooded = True
                self.on_flood()
                return
            else:
                number = len(self.frames) + 1
                self.frames.append(Frame(number, arrived.time, self._link.linktype, arrived.data, len(arrived.data)))

    def stop(self) -> list[Frame]:
        """End the recording; return its frames. Later calls return the same."""
        if self._thread.is_alive():
            os.write(self._write_end, b"\0")
            self._thread.join()
        return self.frames

    def __exit__(self, *_exception: object) -> None:
        self.stop()
        self._link.close()
        os.close(self._read_end)
        os.close(self._write_end)
