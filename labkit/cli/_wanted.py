"""`--flow`, `--host` and `--port`: of which conversations is reported."""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Any, TypeVar

import click

from labkit.i18n import _, printable

if TYPE_CHECKING:
    from labkit.flows import Flow

F = TypeVar("F", bound=Callable[..., Any])
Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whether a conversation is wanted: as one of `flows`, with an end in one of `hosts`, and one of `ports`.

    Where nothing is named, all will do. It is called with a conversation of which the first segment was just seen.
    """

    flows: tuple[int, ...] = ()
    hosts: tuple[Network, ...] = ()
    ports: tuple[int, ...] = ()

    def __call__(self, flow: "Flow") -> bool:
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


def _networks(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> tuple[Network, ...]:
    """Addresses, and networks with the length of their prefix, as networks."""
    found = []
    for value in values:
        try:
            found.append(ip_network(value, strict=False))
        except ValueError:
            text = _("'{value}' is no IPv4 or IPv6 address, and no network as 192.0.2.0/24")
            raise click.BadParameter(text.format(value=printable(value))) from None
    return tuple(found)


def wanted_options(function: F) -> F:
    """The three options, passed as `flow`, `host` and `port`: tuples of what `Wanted` takes."""
    options = (
        click.option(
            "--flow",
            type=click.IntRange(min=0),
            multiple=True,
            metavar="N",
            help=_("Only conversation N; the first is 0. May be given more than once, as the next two."),
        ),
        click.option(
            "--host",
            multiple=True,
            callback=_networks,
            metavar="ADDRESS",
            help=_("Only conversations with an end at ADDRESS, or in a network."),
        ),
        click.option(
            "--port",
            type=click.IntRange(0, 65535),
            multiple=True,
            metavar="N",
            help=_("Only conversations with an end at port N."),
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function
