"""Limits on live traffic: where labkit may send, to which addresses, how many packets, and for how long.

Frames leave only through a loopback interface or a veth of the lab, to addresses of the lab's networks or of the loopback. The
guard refuses everything else with a reason, unless the user allows it for one run.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from labkit.errors import LinkError, UsageError
from labkit.i18n import _, listed, printable
from labkit.live import ethtool
from labkit.live.wiring import INTERFACES, NETWORKS

LOOPBACK_NETWORKS = ("127.0.0.0/8", "::1/128")
MAX_PACKETS, MAX_SECONDS = 100_000, 60
"""The default limits of one run."""


@dataclass(slots=True)
class Guard:
    """The limits of one run. `interfaces` and `networks` are allowed in addition to the lab's."""

    interfaces: frozenset[str] = frozenset()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    packets: int = MAX_PACKETS
    seconds: float = MAX_SECONDS
    sent: int = field(default=0, init=False)

    def check_interface(self, name: str) -> None:
        """LinkError if labkit may not send on an interface of the current namespace, or the interface does not exist."""
        if ethtool.is_loopback(name) or name in self.interfaces:
            return
        driver = ethtool.driver(name)
        if driver != "veth":
            text = _(
                "{name}: the driver is {driver}; labkit sends only on loopback and on the lab's veth interfaces. "
                "--allow-interface {name} allows this one for this run"
            )
            raise LinkError(text.format(name=printable(name), driver=driver or _("unknown")))
        if name not in INTERFACES:
            # The interface of a container is a veth too, and leads to other hosts.
            text = _("{name}: labkit did not make this veth; --allow-interface {name} allows it for this run")
            raise LinkError(text.format(name=printable(name)))

    def check_addresses(self, addresses: Iterable[str]) -> None:
        """LinkError if an address is outside the allowed networks."""
        allowed = (*map(ip_network, (*NETWORKS, *LOOPBACK_NETWORKS)), *self.networks)
        for each in addresses:
            address = ip_address(each)
            if not any(address in network for network in allowed):
                text = _(
                    "{address} is outside the lab's networks ({networks}); labkit does not send there. "
                    "--allow-network {whole} allows it for this run"
                )
                whole = f"{address}/{address.max_prefixlen}"
                raise LinkError(text.format(address=address, networks=listed(NETWORKS), whole=whole))

    def count_packet(self) -> None:
        """Count a frame before it is sent. LinkError if the run has already sent `packets` frames."""
        if self.sent >= self.packets:
            raise LinkError(
                _("the run has sent {n} packets, its maximum; --packets allows more").format(n=self.packets)
            )
        self.sent += 1


def networks(words: Iterable[str]) -> tuple[IPv4Network | IPv6Network, ...]:
    """Parse networks such as `10.1.0.0/16`. UsageError for other texts."""
    found = []
    for word in words:
        try:
            found.append(ip_network(word, strict=False))
        except ValueError as error:
            raise UsageError(
                _("'{word}' is not a network; expected one such as 10.1.0.0/16").format(word=printable(word))
            ) from error
    return tuple(found)
