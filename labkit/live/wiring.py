"""What lies in a lab's namespaces: a veth pair with addresses, or two of them with a relay's place between.

The kernels of the two ends own the addresses `.1` and `.2`. All other addresses that documentation may use (RFC 5737,
RFC 3849) lie on the wire, so that hosts of a scenario may be anywhere in them. `ip -batch` does all of one namespace
in one go.
"""

import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from labkit.errors import LinkError
from labkit.i18n import _, printable
from labkit.live import ethtool
from labkit.live.namespace import Namespace
from labkit.live.system import require_program

CLIENT, SERVER, RELAY = "client", "server", "relay"
ENDS = (CLIENT, SERVER)

NETWORKS = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
"""The lab's networks: where its packets may go."""


@dataclass(frozen=True, slots=True)
class End:
    """What the kernel of one end has."""

    interface: str
    ipv4: str
    ipv6: str
    mac: str

    def address(self, version: int) -> str:
        """Its address of an IP version."""
        return self.ipv6 if version == 6 else self.ipv4


KERNELS = {
    CLIENT: End("labkit-client", "192.0.2.1", "2001:db8::1", "02:00:00:00:10:01"),
    SERVER: End("labkit-server", "192.0.2.2", "2001:db8::2", "02:00:00:00:10:02"),
}
"""The two ends of every lab."""

BETWEEN = {CLIENT: "labkit-to-c", SERVER: "labkit-to-s"}
"""The relay's interfaces, by the end that they lead to."""

PATIENCE = 5.0
"""Seconds in which an interface must come up."""

SETTINGS = {
    "net/ipv4/ip_forward": "0",
    "net/ipv4/tcp_congestion_control": "reno",
    "net/ipv4/tcp_no_metrics_save": "1",
    "net/ipv6/conf/all/disable_ipv6": "0",
    "net/ipv6/conf/all/forwarding": "0",
    "net/ipv6/conf/default/accept_ra": "0",
    "net/ipv6/conf/default/autoconf": "0",
    "net/ipv6/conf/default/dad_transmits": "0",
    "net/ipv6/conf/default/router_solicitations": "0",
}
"""How the kernels of the ends are set (/proc/sys): as plain and as repeatable as they can be."""


def wire(spaces: Mapping[str, Namespace], *, offload: bool = False, mtu: int = 1500) -> None:
    """Build everything in new namespaces, which are named by their ends; with RELAY among them its place is made.

    LinkError where the system refuses.
    """
    if not Path("/proc/sys/net/ipv6").is_dir():
        raise LinkError(_("this kernel runs without IPv6, and a lab has both: see ipv6.disable of its command line"))
    for space in spaces.values():
        with space.inside():
            _settle()
    client, server = KERNELS[CLIENT].interface, KERNELS[SERVER].interface
    if RELAY in spaces:
        pairs = [
            (spaces[RELAY], BETWEEN[CLIENT], spaces[CLIENT], client),
            (spaces[RELAY], BETWEEN[SERVER], spaces[SERVER], server),
        ]
    else:
        pairs = [(spaces[CLIENT], client, spaces[SERVER], server)]
    for number, (space, name, other, peer) in enumerate(pairs):
        # Both ends would get the number 2, and be taken for one that waits a second before it comes up.
        one, two = f"mtu {mtu} index {10 + number}", f"mtu {mtu} index {20 + number}"
        with space.inside():
            _pair(f"link add name {name} {one} type veth peer name {peer} {two} netns {other.path}")
    for space, interfaces in _interfaces(spaces):
        with space.inside():
            for interface in interfaces:
                if not offload:
                    ethtool.stop_offloads(interface)
            ip(line for interface in interfaces for line in _bring_up(interface))
    for space, interfaces in _interfaces(spaces):
        with space.inside():
            for interface in interfaces:
                _await(interface)
            # The kernel does one such thing after the other: when this is done, it has done what came before.
            ip(line for interface in interfaces for line in _address(interface))


def _pair(line: str) -> None:
    """Make a veth pair. LinkError where that cannot be."""
    try:
        ip([line])
    except LinkError as error:
        if any(words in str(error) for words in ("Unknown device type", "not supported")):
            raise LinkError(
                _("this kernel has no veth interfaces ({reason}): sudo modprobe veth").format(reason=error)
            ) from error
        raise


def _interfaces(spaces: Mapping[str, Namespace]) -> list[tuple[Namespace, list[str]]]:
    found = [(spaces[end], [KERNELS[end].interface]) for end in ENDS]
    if RELAY in spaces:
        found.append((spaces[RELAY], list(BETWEEN.values())))
    return found


def _bring_up(interface: str) -> list[str]:
    """The lines for `ip` that bring an interface up. No address makes itself."""
    end = _end(interface)
    mac = [f"link set dev {interface} address {end.mac}"] if end is not None else []
    return [f"link set dev {interface} addrgenmode none", *mac, f"link set dev {interface} up", "link set dev lo up"]


def _end(interface: str) -> End | None:
    return next((each for each in KERNELS.values() if each.interface == interface), None)


def _address(interface: str) -> list[str]:
    """The lines for `ip` that give an interface its addresses."""
    end = _end(interface)
    if end is None:
        return [f"link set dev {interface} up"]
    return [
        f"address add {end.ipv4}/24 dev {interface}",
        f"address add {end.ipv6}/64 dev {interface} nodad",
        *(f"route replace {network} dev {interface}" for network in NETWORKS[1:]),
    ]


def _await(interface: str) -> None:
    """Until the interface carries frames: what is sent before is lost without a word."""
    deadline = time.monotonic() + PATIENCE
    while not ethtool.is_running(interface):
        if time.monotonic() > deadline:
            raise LinkError(_("{interface}: does not come up").format(interface=interface))
        time.sleep(0.001)


def _settle() -> None:
    """Set the present namespace's kernel. What it does not know, or does not let be set, stays."""
    for name, value in SETTINGS.items():
        try:
            Path("/proc/sys", name).write_text(value, "ascii")
        except OSError:
            continue


def ip(lines: Iterable[str]) -> None:
    """Have `ip` do some lines in the present namespace. LinkError with what it says where it cannot."""
    program = require_program("ip")
    done = subprocess.run(  # noqa: S603 - a program by its full path, without a shell
        [program, "-batch", "-"], input="\n".join(lines), capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise LinkError(_("ip: {reason}").format(reason=printable(said[0] if said else str(done.returncode))))
