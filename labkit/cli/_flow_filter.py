"""`--flow`, `--host` and `--port`: the conversations to report."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from labkit.cli._common import note, option, options
from labkit.i18n import N_, _, listed, ngettext, printable

if TYPE_CHECKING:
    from labkit.analysis.flow_filter import FlowFilter, Network
    from labkit.analysis.flows import End
    from labkit.analysis.verdict import Verdict


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


def note_unmatched(options: Sequence[str], path: str = "") -> None:
    """Say which values of the options select nothing, where others do. `path` is the capture, if there is only one."""
    if options:
        text = ngettext("{options} selects no conversation", "{options} select no conversation", len(options))
        note(f"{printable(path)}{_(': ') if path else ''}{text.format(options=listed(options))}")


class Selection:
    """What the options select in all captures: `take` each verdict, then `conclude`."""

    def __init__(self, wanted: "FlowFilter") -> None:
        from labkit.analysis.flow_filter import Unmatched

        self._unmatched = Unmatched(wanted)
        self._captures = 0
        self._path = ""
        self._selected = 0

    def take(self, verdict: "Verdict") -> None:
        """Look at what is selected of a capture."""
        self._captures += 1
        self._path = verdict.path
        self._selected += verdict.reported
        if not self._unmatched:
            return
        for each in verdict.conversations:
            self._unmatched.take(each.flow, map(_end, (each.client, each.server)))
        if verdict.reported > len(verdict.conversations):
            self._unmatched.forget(verdict.flows)

    def conclude(self) -> None:
        """Say which values select nothing. Where none selects anything, each verdict says so."""
        if self._selected:
            note_unmatched(self._unmatched.options(), self._path if self._captures == 1 else "")


def _end(name: str) -> "End":
    """The address and the port of `address:port`."""
    from ipaddress import ip_address

    address, _colon, port = name.rpartition(":")
    return ip_address(address.strip("[]")).packed, int(port)
