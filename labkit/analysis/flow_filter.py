"""Of which conversations is reported."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address

from labkit.analysis.flows import Flow
from labkit.i18n import _

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class FlowFilter:
    """Whether a conversation is wanted: as one of `flows`, with an end in one of `hosts`, and one of `ports`.

    Where nothing is named, all will do.
    """

    flows: tuple[int, ...] = ()
    hosts: tuple[Network, ...] = ()
    ports: tuple[int, ...] = ()

    def __call__(self, flow: Flow) -> bool:
        """Of a conversation of which the first segment was just seen."""
        addresses = [ip_address(address) for address, _port in flow.ends]
        return (
            (not self.flows or flow.index in self.flows)
            and (not self.hosts or any(each in host for each in addresses for host in self.hosts))
            and (not self.ports or any(port in self.ports for _address, port in flow.ends))
        )

    def __str__(self) -> str:
        parts = (
            " / ".join(map(str, self.flows)),
            _("with {address}").format(address=" / ".join(map(str, self.hosts))) if self.hosts else "",
            _("at port {port}").format(port=" / ".join(map(str, self.ports))) if self.ports else "",
        )
        return " ".join(filter(None, parts))
