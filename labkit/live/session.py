"""Where a scenario is played: in a lab that is up, in one of the run's own, or on an interface; and who plays.

with on_stage(Wish(scenario, "client", peer="kernel")) as conversation:
    for frame in conversation.frames(): ...
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

from labkit.build.scenario import Scenario, setup
from labkit.build.scenario.setup import OTHER, Parts
from labkit.build.trace import Trace
from labkit.capture import Frame
from labkit.errors import LinkError, UsageError
from labkit.i18n import _
from labkit.live import lab as labs
from labkit.live import wiring
from labkit.live.conversation import Cast, Conversation
from labkit.live.guard import Guard
from labkit.live.kernel import Kernel, settle
from labkit.live.lab import Lab
from labkit.live.link import Link
from labkit.live.loopback import loopback
from labkit.live.replay import Packet, check, packets, replay
from labkit.live.system import require_capable
from labkit.packet.scapy_build import Host

IPV6 = {"client": "2001:db8::10", "server": "2001:db8::20"}
"""The addresses of a scenario's hosts where it is played over IPv6 although it says otherwise."""


@dataclass(slots=True)
class Wish:
    """What is to be played, where, and against whom."""

    scenario: Scenario
    side: str
    """Labkit's side, client or server."""
    seed: int = 0
    peer: str = "program"
    """`program`: whoever answers, or comes. `kernel`: the other side's steps too, done by a socket of the kernel."""
    to: tuple[str, int | None] | None = None
    """Where the peer of a client is, if not in the lab."""
    path: bool = True
    ipv6: bool = False
    lab: str | None = None
    """The name of the lab."""
    interface: str | None = None
    """Where to play if not in a lab."""
    guard: Guard = field(default_factory=Guard)


@contextmanager
def on_stage(wish: Wish) -> Iterator[Conversation]:
    """A conversation that is ready to be played; whatever is made for it is gone afterwards. LinkError, UsageError."""
    model = wish.scenario.model
    if model.conversations is not None:
        raise UsageError(
            _("{name}: has many conversations; --both plays them, --client and --server play one").format(
                name=wish.scenario.name
            )
        )
    parts = _parts(wish)
    own, other = parts.hosts[wish.side], parts.hosts[OTHER[wish.side]]
    wish.guard.check_addresses([own.address, other.address])
    with ExitStack() as stack:
        kernel: Kernel | None = None
        if wish.interface is not None:
            if wish.interface == "lo":
                stack.enter_context(loopback(other, own))
            link = Link(wish.interface, wish.guard)
        else:
            lab = stack.enter_context(
                Lab.held(mtu=_mtu(model.path.mtu)) if wish.peer == "kernel" else labs.find(wish.lab)
            )
            # It lives there, and so ends with the lab.
            stack.enter_context(lab.inside(wish.side))
            link = Link(wiring.KERNELS[wish.side].interface, wish.guard)
            if wish.peer == "kernel":
                settle(lab, OTHER[wish.side], model)
                kernel = Kernel(lab, model, parts, OTHER[wish.side], other, own)
        stack.enter_context(link)
        given = Cast(wish.scenario, wish.side, wish.seed, wish.path)
        conversation = Conversation(given, parts, link, wish.guard, kernel)
        stack.callback(conversation.leave)
        yield conversation


def _mtu(mtu: int) -> int:
    """The MTU of a wire of the run's own: IPv6 needs 1280."""
    return max(mtu, 1280)


def _parts(wish: Wish) -> Parts:
    """Who holds the conversation: labkit's side as the scenario has it, the other where it really is."""
    if wish.interface is not None and wish.peer == "kernel":
        raise UsageError(_("--peer kernel plays in a lab of its own; it does not go with --on"))
    if wish.to is not None and (wish.peer == "kernel" or wish.side == "server"):
        raise UsageError(_("--to says where a client finds its server; it goes with --client alone"))
    parts = setup.alone(wish.scenario.model, wish.seed)
    own, other = parts.hosts[wish.side], parts.hosts[OTHER[wish.side]]
    if wish.ipv6 or (wish.to is not None and ":" in wish.to[0]):
        own = own if own.ip.version == 6 else replace(own, address=IPV6[wish.side])
    version = own.ip.version
    kernel = wiring.KERNELS[OTHER[wish.side]]
    port = (wish.to[1] if wish.to is not None else None) or other.port
    address = wish.to[0] if wish.to is not None else kernel.address(version)
    there = Host(address, port, other.name, kernel.mac, other.ttl, other.dscp)
    if there.ip.version != version:
        raise UsageError(
            _("{there} and {own} are addresses of two families; --ipv6 plays a scenario over IPv6").format(
                there=there.address, own=own.address
            )
        )
    for each in wiring.KERNELS.values():
        if own.address == each.address(version):
            raise LinkError(
                _("{address}: is the lab's kernel's; expected another address for the {side}").format(
                    address=own.address, side=wish.side
                )
            )
    return replace(parts, hosts={wish.side: own, OTHER[wish.side]: there})


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """A trace that is ready to be replayed."""

    wanted: list[Packet]
    links: dict[str, Link]
    tap: Link

    def frames(self, speed: float | None) -> Iterator[Frame]:
        """Send everything; see `replay`."""
        return replay(self.wanted, self.links, self.tap, speed)


@contextmanager
def both(
    trace: Trace, guard: Guard, speed: float | None = 1.0, *, lab: str | None = None, interface: str | None = None
) -> Iterator["Rehearsed"]:
    """A trace, ready to be sent from both ends: of the lab that is up, of one of the run's own, or of one interface."""
    wanted = packets(trace)
    check(trace, wanted, guard, speed)
    tap_side = trace.records[0].tap if trace.records else "client"
    with ExitStack() as stack:
        if interface is not None:
            require_capable(_("sending frames"))
            link = stack.enter_context(Link(interface, guard))
            # What is sent on a loopback comes back, and is heard then; elsewhere it is heard as it goes.
            tap = stack.enter_context(Link(interface, None, outgoing=not link.is_loopback))
            yield Rehearsed(wanted, dict.fromkeys(wiring.ENDS, link), tap)
            return
        held = stack.enter_context(_lab_for(wanted, lab))
        links = {}
        for side in wiring.ENDS:
            with held.inside(side):
                links[side] = stack.enter_context(Link(wiring.KERNELS[side].interface, guard))
        stack.enter_context(held.inside(tap_side))
        tap = stack.enter_context(Link(wiring.KERNELS[tap_side].interface, None, outgoing=True))
        yield Rehearsed(wanted, links, tap)


def _lab_for(wanted: list[Packet], name: str | None) -> Lab:
    """The lab that is up; if there is none, and none was asked for by name, one of the run's own."""
    try:
        return labs.find(name)
    except LinkError:
        if name is not None:
            raise
    longest = max((len(each.octets) for each in wanted), default=0)
    return Lab.held(mtu=max(1500, longest - 14))
