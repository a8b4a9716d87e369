"""The network of a lab: a veth pair with addresses, or two pairs with a relay between them.

The kernels of the two ends own the addresses `.1` and `.2`. Both ends route all other documentation addresses (RFC 5737,
RFC 3849) to the wire, so that a scenario's hosts may use any of them. One `ip -batch` configures each namespace.
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
"""The lab's networks, the only ones to which labkit sends by default."""


@dataclass(frozen=True, slots=True)
class KernelHost:
    """The interface and addresses of the kernel at one end."""

    interface: str
    ipv4: str
    ipv6: str
    mac: str

    def address(self, version: int) -> str:
        """The address of an IP version."""
        return self.ipv6 if version == 6 else self.ipv4


KERNELS = {
    CLIENT: KernelHost("labkit-client", "192.0.2.1", "2001:db8::1", "02:00:00:00:10:01"),
    SERVER: KernelHost("labkit-server", "192.0.2.2", "2001:db8::2", "02:00:00:00:10:02"),
}

RELAY_INTERFACES = {CLIENT: "labkit-to-c", SERVER: "labkit-to-s"}
"""The relay's interfaces by the end that each leads to."""

INTERFACES = frozenset({each.interface for each in KERNELS.values()} | set(RELAY_INTERFACES.values()))
"""The names of all interfaces that labkit makes."""

UP_TIMEOUT = 5.0
"""Seconds within which an interface must come up."""

SYSCTLS = {
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
"""Kernel settings of each namespace (/proc/sys) that make runs simple and repeatable."""


def wire(namespaces: Mapping[str, Namespace], *, offload: bool, mtu: int) -> None:
    """Build the network in new namespaces, given by end. LinkError if the system refuses."""
    if not Path("/proc/sys/net/ipv6").is_dir():
        raise LinkError(_("this kernel runs without IPv6, which a lab needs; see ipv6.disable on its command line"))
    for space in namespaces.values():
        with space.inside():
            set_sysctls(SYSCTLS)
    client, server = KERNELS[CLIENT].interface, KERNELS[SERVER].interface
    links: list[tuple[str, str, KernelHost | None]] = [
        (end, kernel.interface, kernel) for end, kernel in KERNELS.items()
    ]
    if RELAY in namespaces:
        pairs = [(RELAY, RELAY_INTERFACES[end], end, kernel.interface) for end, kernel in KERNELS.items()]
        links += [(RELAY, interface, None) for interface in RELAY_INTERFACES.values()]
    else:
        pairs = [(CLIENT, client, SERVER, server)]
    for number, (end, interface, other, peer) in enumerate(pairs):
        # If both ends of a pair had the same index, the kernel would wait a second before it brings them up.
        one, two = f"mtu {mtu} index {10 + number}", f"mtu {mtu} index {20 + number}"
        with namespaces[end].inside():
            path = namespaces[other].path
            _make_pair(f"link add name {interface} {one} type veth peer name {peer} {two} netns {path}")
    for end, interface, host in links:
        with namespaces[end].inside():
            if not offload:
                ethtool.disable_offloads(interface)
            ip(_bring_up(interface, host))
    for end, interface, host in links:
        with namespaces[end].inside():
            _await_up(interface)
            # The kernel handles these requests in order, so the last one waits for all earlier ones.
            ip(_add_addresses(interface, host))


def _make_pair(line: str) -> None:
    try:
        ip([line])
    except LinkError as error:
        if any(words in str(error) for words in ("Unknown device type", "not supported")):
            raise LinkError(
                _("this kernel has no veth interfaces ({reason}): sudo modprobe veth").format(reason=error)
            ) from error
        raise


def _bring_up(interface: str, host: KernelHost | None) -> list[str]:
    """The `ip` commands that bring an interface up, without automatic addresses."""
    mac = [f"link set dev {interface} address {host.mac}"] if host is not None else []
    return [f"link set dev {interface} addrgenmode none", *mac, f"link set dev {interface} up", "link set dev lo up"]


def _add_addresses(interface: str, host: KernelHost | None) -> list[str]:
    if host is None:
        return [f"link set dev {interface} up"]
    return [
        f"address add {host.ipv4}/24 dev {interface}",
        f"address add {host.ipv6}/64 dev {interface} nodad",
        *(f"route replace {network} dev {interface}" for network in NETWORKS[1:]),
    ]


def _await_up(interface: str) -> None:
    """Wait until the interface carries frames, because the kernel silently drops earlier ones."""
    deadline = time.monotonic() + UP_TIMEOUT
    while not ethtool.is_running(interface):
        if time.monotonic() > deadline:
            raise LinkError(
                _("{interface}: did not come up within {n:g} seconds").format(interface=interface, n=UP_TIMEOUT)
            )
        time.sleep(0.001)


def set_sysctls(settings: Mapping[str, str]) -> None:
    """Write settings of the current namespace's kernel. Those that it does not know or allow stay as they are."""
    for name, value in settings.items():
        try:
            Path("/proc/sys", name).write_text(value, "ascii")
        except OSError:
            continue


def run_ip(*words: str, lines: Iterable[str] = ()) -> str:
    """Run `ip` in the current namespace; return its output. LinkError with its first error line if it fails."""
    done = subprocess.run(  # noqa: S603 - a program by its full path, without a shell
        [require_program("ip"), *words], input="\n".join(lines), capture_output=True, text=True, check=False
    )
    if done.returncode:
        output = (done.stderr or done.stdout).strip().splitlines()
        raise LinkError(_("ip: {reason}").format(reason=printable(output[0] if output else str(done.returncode))))
    return done.stdout


def ip(lines: Iterable[str]) -> None:
    """Run several commands of `ip` in the current namespace. LinkError if one fails."""
    run_ip("-batch", "-", lines=lines)
