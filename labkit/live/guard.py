"""What may be sent, where to, and how much: the rules that keep a lab from becoming anybody else's traffic.

Frames leave on a loopback interface or a veth, to addresses of the lab's networks or of the loopback. Anything else is
refused with a reason, unless a person has allowed it for this one run. What is sent is counted, and time is limited.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from labkit.errors import LinkError, UsageError
from labkit.i18n import _, printable
from labkit.live import ethtool
from labkit.live.wiring import NETWORKS

HOME = ("127.0.0.0/8", "::1/128")
"""Where packets go that never leave a host."""

PACKETS, SECONDS = 100_000, 60
"""How much is sent, and how long it takes, unless more is asked for."""


@dataclass(slots=True)
class Guard:
    """What one run may do. `interfaces` and `networks` are what was allowed for it beyond the rules."""

    interfaces: frozenset[str] = frozenset()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    packets: int = PACKETS
    seconds: float = SECONDS
    sent: int = field(default=0, init=False)
    """Frames that were sent so far."""

    def check_interface(self, name: str) -> None:
        """LinkError where nothing may be sent on an interface of the present namespace, or there is none of the name."""
        if ethtool.is_loopback(name) or name in self.interfaces:
            return
        driver = ethtool.driver(name)
        if driver != "veth":
            raise LinkError(
                _(
                    "{name}: is neither loopback nor veth but {driver}: labkit sends nothing there, unless "
                    "--allow-interface {name} says so for this run"
                ).format(name=printable(name), driver=driver or _("of an unknown driver"))
            )

    def check_addresses(self, addresses: Iterable[str]) -> None:
        """LinkError where one of some addresses is none of the lab's."""
        known = (*map(ip_network, (*NETWORKS, *HOME)), *self.networks)
        for each in addresses:
            address = ip_address(each)
            if not any(address in network for network in known):
                whole = f"{address}/{address.max_prefixlen}"
                raise LinkError(
                    _(
                        "{address} is in none of the lab's networks ({networks}): labkit sends nothing there, unless "
                        "--allow-network {whole} says so for this run"
                    ).format(address=address, networks=", ".join(NETWORKS), whole=whole)
                )

    def take(self) -> None:
        """Count a frame that is to be sent. LinkError where it is one too many."""
        if self.sent >= self.packets:
            raise LinkError(
                _("{n} packets were sent, which is the most for one run; --packets allows more").format(n=self.packets)
            )
        self.sent += 1


def networks(words: Iterable[str]) -> tuple[IPv4Network | IPv6Network, ...]:
    """Networks from their texts. UsageError for what is none."""
    found = []
    for word in words:
        try:
            found.append(ip_network(word, strict=False))
        except ValueError as error:
            raise UsageError(
                _("'{word}' is no network; expected one such as 10.1.0.0/16").format(word=printable(word))
            ) from error
    return tuple(found)
