"""`--flow`, `--host` and `--port`: of which conversations is reported."""

from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, TypeVar

import click

from labkit.i18n import _, printable

F = TypeVar("F", bound=Callable[..., Any])
Network = IPv4Network | IPv6Network


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
    """The three options, passed as `flow`, `host` and `port`: tuples of what `labkit.analysis.flow_filter.FlowFilter` takes."""
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
