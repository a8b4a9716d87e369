"""`labkit relay`: apply the path of a scenario to the packets of real programs in a lab."""

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

import click

from labkit.cli._common import Command, complete_scenarios, echo, emit_json, format_option, note, option, seed_option
from labkit.cli._live import for_option, lab_option, packets_option
from labkit.i18n import N_, _, ngettext

if TYPE_CHECKING:
    from labkit.live.forwarding import Delays
    from labkit.live.relay import PacketCounts, Relay

ARROWS = {"client": "→", "server": "←"}


@click.command(
    "relay",
    cls=Command,
    section="live",
    examples=(
        "labkit relay partial-ack --for 30s",
        "labkit relay partial-ack --lab demo --each-connection --format json",
    ),
)
@click.argument("scenario", shell_complete=complete_scenarios)
@lab_option
@seed_option()
@option(
    "--each-connection",
    is_flag=True,
    help=N_("Give each TCP connection its own path, which begins with its first packet."),
)
@for_option(3600.0, N_("one hour"))
@packets_option(100_000_000)
@format_option("text", "json")
def command(
    scenario: str, lab: str | None, seed: int, each_connection: bool, seconds: float, packets: int, format_: str
) -> None:
    """Carry a lab's packets over the path of a scenario.

    SCENARIO is the name of a shipped scenario or a file. The relay uses its 'path' only: delay, jitter, bandwidth, loss,
    duplication, reordering, ECN marks and hops, for each direction. It counts packets from its start, without ARP and
    neighbour discovery. The same seed loses the same packets. The lab must be made with --relay. Ctrl-C ends the relay,
    which then prints the fate of the packets.
    """
    from labkit.build.scenario import Scenario, setup
    from labkit.live import lab as labs
    from labkit.live.forwarding import forward, open_links
    from labkit.live.guard import Guard
    from labkit.live.relay import Connections, Relay
    from labkit.live.stop import Stop

    known = Scenario.load(scenario)
    make = partial(setup.path, known.model, seed)
    relay = Relay(Connections(make) if each_connection else make(), hops=known.model.path.hops)
    with Stop() as stop, labs.find(lab) as found, open_links(found, Guard(packets=packets)) as links:
        note(_("client ⇄ server: the path of {name}, seed {seed}").format(name=known.name, seed=seed))
        try:
            timing = forward(relay, links, stop, seconds=seconds)
        finally:
            lost = sum(link.lost() for link in links.values())
    if format_ == "json":
        emit_json(_plain(relay, timing, lost))
        return
    for side, tally in relay.counts.items():
        echo(f"{ARROWS[side]} {_words(tally)}")
    echo(_timing(timing))
    if lost:
        text = ngettext(
            "the kernel dropped {n} packet before the path", "the kernel dropped {n} packets before the path", lost
        )
        note(text.format(n=lost))


def _plain(relay: "Relay", timing: "Delays", lost: int) -> dict[str, object]:
    late = {"frames": timing.frames, "mean": timing.mean, "worst": timing.worst}
    return {
        "to_server": asdict(relay.counts["client"]),
        "to_client": asdict(relay.counts["server"]),
        "late": late,
        "overrun": lost,
    }


def _words(tally: "PacketCounts") -> str:
    """The fate of one direction's packets."""
    words = [
        ngettext("{n} packet", "{n} packets", tally.packets).format(n=tally.packets),
        ngettext("{n} octet", "{n} octets", tally.octets).format(n=tally.octets),
    ]
    for count, text in (
        (tally.lost, _("{n} lost")),
        (tally.repeated, _("{n} delivered twice")),
        (tally.marked, _("{n} marked")),
        (tally.expired, _("{n} expired")),
        (tally.crowded, _("{n} dropped from the full queue")),
        (tally.passed, _("{n} passed untouched")),
    ):
        if count:
            words.append(text.format(n=count))
    return _(", ").join(words)


def _timing(timing: "Delays") -> str:
    text = _("delay beyond the path: {mean:.0f} µs on average, {worst:.0f} µs at most")
    return text.format(mean=timing.mean / 1000, worst=timing.worst / 1000)
