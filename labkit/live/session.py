"""Open what a live run needs: a running lab, a temporary lab, or an interface; links; and the conversation.

with open_session(SessionConfig(scenario, "client", peer="kernel")) as conversation:
    for frame in conversation.frames(): ...
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from labkit.build.scenario import setup
from labkit.build.scenario.setup import OTHER, Parts
from labkit.build.trace import Trace
from labkit.capture import Frame
from labkit.errors import LinkError, UsageError
from labkit.i18n import _
from labkit.live import lab as labs
from labkit.live import wiring
from labkit.live.conversation import Conversation, SessionConfig
from labkit.live.guard import Guard
from labkit.live.kernel import KernelSocket, configure_kernel
from labkit.live.lab import Lab
from labkit.live.link import Link
from labkit.live.loopback import loopback
from labkit.live.replay import Packet, check, packets, replay
from labkit.live.system import require_capable
from labkit.packet.scapy_build import Host

IPV6 = {"client": "2001:db8::10", "server": "2001:db8::20"}
"""The addresses that `--ipv6` gives to a scenario's hosts."""


MIN_IPV6_MTU = 1280
"""RFC 8200 section 5."""


@contextmanager
def open_session(config: SessionConfig) -> Iterator[Conversation]:
    """Open a conversation that is ready to run. LinkError if the system refuses, UsageError for options that conflict."""
    model = config.scenario.model
    if model.conversations is not None:
        text = _("{name}: the scenario has many conversations; --client and --server play one, --both plays all")
        raise UsageError(text.format(name=config.scenario.name))
    parts = _parts(config)
    own, other = parts.hosts[config.side], parts.hosts[OTHER[config.side]]
    config.guard.check_addresses([own.address, other.address])
    with ExitStack() as stack:
        kernel: KernelSocket | None = None
        if config.interface is not None:
            if config.interface == "lo":
                stack.enter_context(loopback(other, own))
            link = Link(config.interface, config.guard)
        else:
            lab = stack.enter_context(
                Lab.temporary(mtu=max(model.path.mtu, MIN_IPV6_MTU))
                if config.peer == "kernel"
                else labs.find(config.lab)
            )
            # The process lives in the lab, and so ends with it.
            stack.enter_context(lab.inside(config.side))
            link = Link(wiring.KERNELS[config.side].interface, config.guard)
            if config.peer == "kernel":
                configure_kernel(lab, OTHER[config.side], model)
                kernel = KernelSocket(lab, model, parts, OTHER[config.side], other, own)
        stack.enter_context(link)
        conversation = Conversation(config, parts, link, kernel)
        stack.callback(conversation.leave)
        yield conversation


def _parts(config: SessionConfig) -> Parts:
    """The hosts of the conversation: labkit's as in the scenario, the other with its real address."""
    if config.interface is not None and config.peer == "kernel":
        raise UsageError(_("--peer kernel runs in a temporary lab; --on does not go with it"))
    if config.to is not None and (config.peer == "kernel" or config.side == "server"):
        raise UsageError(_("--to gives a client its server; it goes only with --client"))
    parts = setup.alone(config.scenario.model, config.seed)
    own, other = parts.hosts[config.side], parts.hosts[OTHER[config.side]]
    if config.ipv6 or (config.to is not None and ":" in config.to[0]):
        own = own if own.ip.version == 6 else replace(own, address=IPV6[config.side])
    version = own.ip.version
    kernel = wiring.KERNELS[OTHER[config.side]]
    port = (config.to[1] if config.to is not None else None) or other.port
    address = config.to[0] if config.to is not None else kernel.address(version)
    there = Host(address, port, other.name, kernel.mac, other.ttl, other.dscp)
    if there.ip.version != version:
        text = _("{there} and {own} belong to different IP versions; --ipv6 plays a scenario over IPv6")
        raise UsageError(text.format(there=there.address, own=own.address))
    for each in wiring.KERNELS.values():
        if own.address == each.address(version):
            text = _("{address}: a kernel of the lab has this address; give the {side} another one")
            raise LinkError(text.format(address=own.address, side=_(config.side)))
    return replace(parts, hosts={config.side: own, OTHER[config.side]: there})


@contextmanager
def open_replay(
    trace: Trace, guard: Guard, speed: float | None, *, lab: str | None = None, interface: str | None = None
) -> Iterator[Iterator[Frame]]:
    """Prepare to send a trace from both ends of a running lab, of a temporary lab, or through one interface.

    The iterator sends the packets and yields the recorded frames; see `replay.replay`.
    """
    to_send = packets(trace)
    check(trace, to_send, guard, speed)
    tap_side = trace.records[0].tap if trace.records else "client"
    with ExitStack() as stack:
        if interface is not None:
            require_capable(_("sending frames"))
            link = stack.enter_context(Link(interface, guard))
            # A loopback returns sent frames, and the tap records them then; elsewhere it records them as they leave.
            tap = stack.enter_context(Link(interface, None, outgoing=not link.is_loopback))
            yield replay(to_send, dict.fromkeys(wiring.ENDS, link), tap, speed)
            return
        held = stack.enter_context(_lab_for(to_send, lab))
        links = {}
        for side in wiring.ENDS:
            with held.inside(side):
                links[side] = stack.enter_context(Link(wiring.KERNELS[side].interface, guard))
        stack.enter_context(held.inside(tap_side))
        tap = stack.enter_context(Link(wiring.KERNELS[tap_side].interface, None, outgoing=True))
        yield replay(to_send, links, tap, speed)


def _lab_for(to_send: list[Packet], name: str | None) -> Lab:
    """The running lab; without one, and without a name, a temporary lab."""
    try:
        return labs.find(name)
    except LinkError:
        if name is not None:
            raise
    longest = max((len(each.octets) for each in to_send), default=0)
    return Lab.temporary(mtu=max(1500, longest - 14))
