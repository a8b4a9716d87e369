"""`labkit play`: a scenario on a wire, both ends crafted, or one of them against a real TCP."""

from collections.abc import Generator
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import click

from labkit.cli._common import Command, Exit, complete_scenarios, note
from labkit.cli._live import bounds_options, guard_of, judge, lab_option, orderly, save
from labkit.errors import LinkError, UsageError
from labkit.i18n import _, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from labkit.build.scenario import Scenario
    from labkit.capture import Frame


if TYPE_CHECKING:
    _Target = click.ParamType[tuple[str, int | None]]
else:
    _Target = click.ParamType  # older ones take no type


class Target(_Target):
    """An address, with a port where that is another than the scenario's."""

    name = "target"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The address, and the port or None."""
        text = str(value)
        host, colon, port = text.rpartition(":")
        if not colon or (":" in host and not host.startswith("[")):
            host, port = text, ""
        try:
            address = str(ip_address(host.strip("[]")))
        except ValueError:
            self.fail(
                _("'{text}' is no address; expected one such as 192.0.2.2:80 or [2001:db8::2]:80").format(text=text)
            )
        if port and not (port.isdecimal() and 0 < int(port) < 65536):
            self.fail(_("'{port}' is no port; expected 1 to 65535").format(port=port), param, ctx)
        return address, int(port) if port else None


@dataclass(slots=True)
class Outcome:
    """What a run has come to."""

    frames: "list[Frame]" = field(default_factory=list)
    error: LinkError | None = None
    """Why it was not played to its end."""
    interrupted: bool = False
    left_open: bool = False
    """Whether a connection was still there at the end, and was reset."""
    names: dict[str, str] = field(default_factory=dict)


@click.command("play", cls=Command)
@click.argument("scenario", shell_complete=complete_scenarios)
@click.option(
    "--both", "role", flag_value="both", help=_("Both sides are labkit's: the built capture, packet by packet.")
)
@click.option("--client", "role", flag_value="client", help=_("The client is labkit's: it connects to a real server."))
@click.option("--server", "role", flag_value="server", help=_("The server is labkit's: it waits for a real client."))
@click.option(
    "--peer",
    type=click.Choice(["program", "kernel"]),
    default="program",
    show_default=True,
    help=_("Who the other side is: any program, or a socket of the kernel that does the other side's steps."),
)
@click.option(
    "--to", type=Target(), metavar="ADDRESS[:PORT]", help=_("Where the server is.  [default: the lab's server]")
)
@click.option("--on", "interface", metavar="INTERFACE", help=_("Play on lo or on a veth, not in a lab."))
@lab_option
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help=_("What is left to chance."))
@click.option("--ipv6", is_flag=True, help=_("Play over IPv6 what the scenario has over IPv4. One side only."))
@click.option("--path/--no-path", default=True, help=_("Whether the scenario's path is between labkit and the wire."))
@click.option(
    "--speed", type=click.FloatRange(min=0, min_open=True), default=1.0, help=_("Both: so many times as fast.")
)
@click.option("--topspeed", is_flag=True, help=_("Both: as fast as can be."))
@click.option("--capture", type=click.Path(allow_dash=True), metavar="FILE", help=_("Where the packets are recorded."))
@click.option("--verify", is_flag=True, help=_("Judge what was on the wire. Exit code 1 where a rule is broken."))
@click.option("-q", "--quiet", is_flag=True, help=_("Do not print the conversation."))
@bounds_options(100_000, 60)
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
    """Play a scenario on a wire, and record it.

    SCENARIO is the name of a shipped scenario or a file, the same that 'labkit build' takes. With --both every packet of
    the built capture leaves the end of its sender, at its time. With --client or --server labkit's TCP holds the
    conversation with a real one, from the scenario's address, which no kernel owns. Where no lab is up, --both and --peer
    kernel make one of their own.
    """
    from labkit.build.scenario import Scenario
    from labkit.cli._judge import Interrupts

    if role is None:
        raise UsageError(_("who is played? --both, --client or --server"))
    guard = guard_of(packets, seconds, allow_interface, allow_network)
    known = Scenario.load(scenario)
    _check_options(role)
    if capture is not None:
        _check_target(capture)
    outcome = Outcome()
    with Interrupts() as interrupts, orderly() as told:
        source = _both(known, guard, outcome, more) if role == "both" else _one(known, role, guard, outcome, more)
        several = role == "both" and known.model.conversations is not None
        _watch(interrupts.frames(source), quiet or capture == "-", several)
        source.close()
        outcome.interrupted = interrupts.seen
    return told.code(_conclude(known, outcome, capture, verify))


def _check_options(role: str) -> None:
    """UsageError where options do not go with the role."""
    own = {"both": ("speed", "topspeed"), "client": ("peer", "to", "ipv6", "path"), "server": ("peer", "ipv6", "path")}
    context = click.get_current_context()
    for name in {each for names in own.values() for each in names} - set(own[role]):
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise UsageError(_("--{option} does not go with --{role}").format(option=name, role=role))


def _check_target(capture: str) -> None:
    """Whether a capture can be written there: better to know before than after."""
    from labkit.capture import create
    from labkit.packet.linktype import ETHERNET

    if capture != "-":
        create(capture, link=ETHERNET).abort()


def _both(known: "Scenario", guard: Any, outcome: Outcome, more: dict[str, Any]) -> "Generator[Frame]":
    """The frames of a replay, as they are heard."""
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
    """The frames of a conversation with somebody else, as they come and go."""
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
                    note(_("{name}: '{part}' is left out: only --both plays it").format(name=known.name, part=part))
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


def _watch(frames: "Iterable[Frame]", quiet: bool, several: bool) -> None:
    """Let everything happen, and print the conversation as it goes along."""
    from labkit.analysis.states import observe
    from labkit.report.conversation_table import FORMATS, TableStyle

    if quiet:
        for _frame in frames:
            continue
        return
    for line in FORMATS["text"](observe(frames), TableStyle(live=True, several=several)):
        click.echo(line)


def _conclude(known: "Scenario", outcome: Outcome, capture: str | None, verify: bool) -> int:
    """Write and judge what there is; the exit code."""
    if outcome.left_open:
        note(_("the connection was still open at the end, and was reset"))
    if capture is not None and (outcome.frames or outcome.error is None):
        comment = f"{known.name}: {known.summary}" if known.summary else known.name
        save(outcome.frames, capture, comment, outcome.names)
    code = Exit.OK
    if verify and outcome.frames:
        code = judge(outcome.frames, printable(capture) if capture not in (None, "-") else known.name)
    if outcome.interrupted:
        note(_("interrupted"))
        return Exit.INTERRUPTED
    if outcome.error is not None:
        raise outcome.error
    return code
