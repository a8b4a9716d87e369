"""`--flow`, `--host` and `--port`: the conversations to report."""

from typing import TYPE_CHECKING, Any

import click

from labkit.cli._common import option, options
from labkit.i18n import N_, _, printable

if TYPE_CHECKING:
    from labkit.analysis.flow_filter import FlowFilter, Network


def _networks(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> "tuple[Network, ...]":
    if not values:
        return ()
    from ipaddress import ip_network

    found = []
    for value in values:
        try:
            found.append(ip_network(value, strict=False))
        except ValueError:
            text = _("'{value}' is not an IPv4 or IPv6 address or network (192.0.2.0/24)")
            raise click.BadParameter(text.format(value=printable(value))) from None
    return tuple(found)


flow_options = options(
    option(
        "--flow",
        type=click.IntRange(min=0),
        multiple=True,
        metavar="N",
        help=N_("Only conversation N, counted from 0. Repeatable, like --host and --port."),
    ),
    option(
        "--host",
        multiple=True,
        callback=_networks,
        metavar="ADDRESS",
        help=N_("Only conversations of this address or network."),
    ),
    option(
        "--port",
        type=click.IntRange(0, 65535),
        multiple=True,
        metavar="N",
        help=N_("Only conversations with port N at either end."),
    ),
)
"""The three options, passed as `flow`, `host` and `port`: what `flow_filter` takes."""


def flow_filter(given: dict[str, Any]) -> "FlowFilter | None":
    """Take the three options out of `given`. None selects every conversation."""
    flow, host, port = (given.pop(name) for name in ("flow", "host", "port"))
    if not (flow or host or port):
        return None
    from labkit.analysis.flow_filter import FlowFilter

    return FlowFilter(flow, host, port)
