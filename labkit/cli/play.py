"""`labkit play`: play a scenario on a wire, both ends by labkit, or one end against a real TCP."""

from collections.abc import Generator
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import click

from labkit.cli._common import Command, Exit, complete_scenarios, echo, note, option, seed_option
from labkit.cli._live import guard_of, guard_options, lab_option, orderly, save, verify_frames
from labkit.cli._paths import OUTPUT
from labkit.errors import LinkError, UsageError
from labkit.i18n import N_, _, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from labkit.build.scenario import Scenario
    from labkit.capture import Frame


class Target(click.ParamType):  # type: ignore[type-arg]  # old versions of click have no type argument
    """An address, and a port where it differs from the scenario's."""

    name = "target"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the address, and the port or None."""
        text = str(value)
        host, colon, port = text.rpartition(":")
        if not colon or (":" in host and not host.startswith("[")):
            host, port = text, ""
        try:
            address = str(ip_address(host.strip("[]")))
        except ValueError:
            self.fail(_("'{text}' is not an address such as 192.0.2.2:80 or [2001:db8::2]:80").format(text=text))
        if port and not (port.isdecimal() and 0 < int(port) < 65536):
            self.fail(_("'{port}' is not a port from 1 to 65535").format(port=port), param, ctx)
        return address, int(port) if port else None


@dataclass(slots=True)
class Outcome:
    """The result of a run."""

    frames: "list[Frame]" = field(default_factory=list)
    error: LinkError | None = None
    """Why the run ended early."""
    interrupted: bool = False
    left_open: bool = False
    """Whether labkit had to reset a connection at the end."""
    names: dict[str, str] = field(default_factory=dict)


@click.command(
    "play",
    cls=Command,
    section="live",
    examples=(
        "labkit play document --both --verify",
        "labkit play document --client --peer kernel --capture wire.pcapng",
    ),
)
@click.argument("scenario", shell_complete=complete_scenarios)
@option("--both", "role", flag_value="both", help=N_("labkit plays both sides: the built capture, packet by packet."))
@option("--client", "role", flag_value="client", help=N_("labkit plays the client, and connects to a real server."))
@option("--server", "role", flag_value="server", help=N_("labkit plays the server, and waits for a real client."))
@option(
    "--peer",
    type=click.Choice(["program", "kernel"]),
    default="program",
    show_default=True,
    help=N_("The other side: any program, or a kernel socket that performs that side's steps."),
)
@option("--to", type=Target(), metavar="ADDRESS[:PORT]", help=N_("Address of the server.  [default: the lab's server]"))
@option("--on", "interface", metavar="INTERFACE", help=N_("Play on lo or on a veth of a lab, without making one."))
@lab_option
@seed_option()
@option("--ipv6", is_flag=True, help=N_("Play an IPv4 scenario over IPv6. Not with --both."))
@option(
    "--path/--no-path",
    default=True,
    help=N_("Apply the scenario's path (delay, loss) between labkit and the wire, or leave it out."),
)
@option(
    "--speed",
    type=click.FloatRange(min=0, min_open=True),
    metavar="FACTOR",
    default=1.0,
    help=N_("With --both: play FACTOR times as fast."),
)
@option("--topspeed", is_flag=True, help=N_("With --both: play as fast as possible."))
@option(
    "--capture",
    type=OUTPUT,
    metavar="FILE",
    help=N_("Write the packets to FILE; '-' is standard output."),
)
@option("--verify", is_flag=True, help=N_("Verify the packets on the wire. Exit code 1 if a rule is broken."))
@option("-q", "--quiet", is_flag=True, help=N_("Do not print the conversation."))
@guard_options
def command(
    scenario: str,
    role: str | None,
    capture: str | None,
    verify: bool,
    quiet: bool,
    packets: int,
    seconds: float,
    allow_interface: tuple[str, ...],
    allow_network: tuple[str, ...],
    **more: Any,
) -> int:
    """Play a scenario on a wire.

    SCENARIO is the name of a shipped scenario or a file, as for 'labkit build'. With --both, labkit sends every packet of
    the built capture from its sender's end, at its time. With --client or --server, labkit's TCP talks to a real one, from
    the scenario's address, which no kernel owns. If no lab is up, --both and --peer kernel make a temporary one.
    """
    from labkit.build.scenario import Scenario
    from labkit.jobs.interrupts import Interrupts

    if role is None:
        raise UsageError(_("expected one of --both, --client and --server"))
    guard = guard_of(packets, seconds, allow_interface, allow_network)
    known = Scenario.load(scenario)
    _check_options(role)
    if capture is not None:
        _check_target(capture)
    outcome = Outcome()
    with Interrupts() as interrupts, orderly() as signalled:
        source = _both(known, guard, outcome, more) if role == "both" else _one(known, role, guard, outcome, more)
        several = role == "both" and known.model.conversations is not None
        _run(interrupts.frames(source), quiet or capture == "-", several)
        source.close()
        outcome.interrupted = interrupts.seen
    return signalled.code(_conclude(known, outcome, capture, verify))


def _check_options(role: str) -> None:
    """UsageError for an option that the role excludes."""
    own = {"both": ("speed", "topspeed"), "client": ("peer", "to", "ipv6", "path"), "server": ("peer", "ipv6", "path")}
    context = click.get_current_context()
    for name in {each for names in own.values() for each in names} - set(own[role]):
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise UsageError(_("--{role} excludes --{option}").format(option=name, role=role))


def _check_target(capture: str) -> None:
    """Check before the run that the capture can be written."""
    from labkit.capture import create
    from labkit.packet.linktype import ETHERNET

    if capture != "-":
        create(capture, link=ETHERNET).abort()


def _both(known: "Scenario", guard: Any, outcome: Outcome, more: dict[str, Any]) -> "Generator[Frame]":
    """The frames of a replay, as the receivers get them."""
    from labkit.live.session import open_replay

    speed = None if more["topspeed"] else more["speed"]
    trace = known.play(more["seed"])
    outcome.names = {host.address: host.name for each in trace.connections for host in (each.client, each.server)}
    try:
        with open_replay(trace, guard, speed, lab=more["lab"], interface=more["interface"]) as frames:
            for frame in frames:
                outcome.frames.append(frame)
                yield frame
    except LinkError as error:
        outcome.error = error


def _one(known: "Scenario", role: str, guard: Any, outcome: Outcome, more: dict[str, Any]) -> "Generator[Frame]":
    """The frames of a conversation with another TCP, as they come and go."""
    from labkit.live.conversation import SessionConfig
    from labkit.live.session import open_session

    config = SessionConfig(
        known,
        role,
        seed=more["seed"],
        peer=more["peer"],
        to=more["to"],
        path=more["path"],
        ipv6=more["ipv6"],
        lab=more["lab"],
        interface=more["interface"],
        guard=guard,
    )
    try:
        with open_session(config) as conversation:
            for part, has in (("faults", known.model.faults), ("vlan", known.model.vlan)):
                if has:
                    note(_("{name}: ignoring '{part}': only --both plays it").format(name=known.name, part=part))
            if role == "server" and more["peer"] == "program":
                note(_("waiting for a client at {host}").format(host=conversation.labkit_end.station.own))
            try:
                yield from conversation.frames()
            finally:
                outcome.left_open = conversation.leave()
                outcome.frames = list(conversation.annotated())
                hosts = conversation.labkit_end.station.own, conversation.labkit_end.peer_host()
                outcome.names = {host.address: host.name for host in hosts if host.name}
    except LinkError as error:
        outcome.error = error


def _run(frames: "Iterable[Frame]", quiet: bool, several: bool) -> None:
    """Run the conversation by reading its frames, and print it as it goes."""
    from labkit.analysis.states import observe
    from labkit.report.conversation_table import FORMATS, TableStyle

    if quiet:
        for _frame in frames:
            continue
        return
    for line in FORMATS["text"](observe(frames), TableStyle(live=True, several=several)):
        echo(line)


def _conclude(known: "Scenario", outcome: Outcome, capture: str | None, verify: bool) -> int:
    """Write and verify the frames; return the exit code."""
    if outcome.left_open:
        note(_("the connection was still open at the end: labkit reset it"))
    if capture is not None and (outcome.frames or outcome.error is None):
        comment = f"{known.name}: {known.summary}" if known.summary else known.name
        save(outcome.frames, capture, comment, outcome.names)
    code = Exit.OK
    if verify and outcome.frames:
        code = verify_frames(outcome.frames, printable(capture) if capture not in (None, "-") else known.name)
    if outcome.interrupted:
        note(_("interrupted"))
        return Exit.INTERRUPTED
    if outcome.error is not None:
        raise outcome.error
    return code
