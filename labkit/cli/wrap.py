"""`labkit wrap`: write a conversation around the messages of any application."""

import re
from pathlib import Path
from typing import Any

import click

from labkit.cli._build import note_built, write
from labkit.cli._common import Command, complete_formats, option, output_option, seed_option
from labkit.cli._paths import PathType, standard_input
from labkit.errors import InputError, UsageError
from labkit.i18n import N_, _, printable, unreadable

SENDER = re.compile(r"(client|server):(.*)", re.DOTALL)
END = re.compile(
    r"\[(?P<v6>[^\]]+)\](?::(?P<port6>\d+))?|(?P<v4>[^:\[\]]*)(?::(?P<port4>\d+))?|(?P<bare>[^\[\]]*:.*:.*)"
)
NAME = "payloads"


class Payload(PathType):
    """The path of a message, perhaps behind its sender."""

    def place(self, value: str) -> str:
        """The path."""
        named = SENDER.fullmatch(value)
        return named[2] if named else value


@click.command(
    "wrap",
    cls=Command,
    section="build",
    examples=(
        "labkit wrap request.bin response.bin -o http.pcapng",
        "labkit wrap server:banner.txt client:login.txt --vlan 12 --loss 2% --set client.timestamps=true",
    ),
)
@click.argument("payloads", nargs=-1, metavar="PAYLOADS...", type=Payload())
@output_option(N_("File to write; '-' is standard output.  [default: payloads.pcapng or payloads.pcap]"))
@option("--client", metavar="ADDRESS[:PORT]", help=N_("The client's address and port."))
@option("--server", metavar="ADDRESS[:PORT]", help=N_("The server's address and port."))
@option("--vlan", metavar="ID", multiple=True, help=N_("VLAN tag of each frame. Repeatable, the outer tag first."))
@option("--loss", metavar="PERCENT", help=N_("Share of the packets that the path loses, such as 2%."))
@option("--think", metavar="TIME", help=N_("Time before each answer, such as 5ms."))
@option(
    "--close",
    type=click.Choice(["client", "server", "client-reset", "server-reset", "none"]),
    default="client",
    show_default=True,
    help=N_("The side that closes first, or resets the connection."),
)
@option(
    "--set",
    "settings",
    metavar="KEY=VALUE",
    multiple=True,
    help=N_("Any other key of a scenario, such as path.rtt=30ms or client.window_scale=7. Repeatable."),
)
@seed_option()
@option(
    "--format",
    "format_",
    metavar="FORMAT",
    shell_complete=complete_formats,
    help=N_("File format: pcapng or pcap.  [default: by the suffix of FILE, else pcapng]"),
)
@option(
    "--edition",
    type=click.Choice(["annotated", "student"]),
    default="annotated",
    show_default=True,
    help=N_("annotated: a comment on each packet; student: no comments or other hints."),
)
def command(payloads: tuple[str, ...], output: str | None, seed: int, format_: str | None, **options: Any) -> None:
    """Write a conversation around the messages of any application.

    PAYLOADS are files, each with one message, in the order of sending. The sides take turns, and the client begins;
    'client:FILE' and 'server:FILE' name the sender. '-' is standard input. The conversation is complete: handshake,
    segments, acknowledgements, close.
    """
    from labkit.build.scenario import Scenario

    if not payloads:
        raise UsageError(_("missing PAYLOADS; expected files, each with one message"))
    scenario = Scenario.from_payloads(
        _messages(payloads), name=NAME, close=options["close"], think=options["think"], **_values(options)
    )
    trace = scenario.play(seed)
    output = output or f"{NAME}.{format_ or 'pcapng'}"
    count = write(trace, output, format_, options["edition"], None)
    note_built(trace, output, format_, count)


def _messages(payloads: tuple[str, ...]) -> list[tuple[str, bytes]]:
    """Each message with the side that sends it."""
    side = "server"
    found = []
    for each in payloads:
        named = SENDER.fullmatch(each)
        side = named[1] if named else "server" if side == "client" else "client"
        octets = _read(named[2] if named else each)
        if not octets:
            raise InputError(_("{name}: is empty; expected a message").format(name=printable(each)))
        found.append((side, octets))
    return found


def _read(name: str) -> bytes:
    from labkit.build.scenario.units import MAX_SEND

    try:
        if name == "-":
            octets = standard_input(MAX_SEND)
        else:
            with Path(name).open("rb") as file:
                octets = file.read(MAX_SEND + 1)
    except (OSError, ValueError) as error:
        raise InputError(unreadable(name, error)) from error
    if len(octets) > MAX_SEND:
        raise InputError(_("{name}: larger than {most} MiB").format(name=printable(name), most=MAX_SEND >> 20))
    return octets


def _values(options: dict[str, Any]) -> dict[str, Any]:
    """The keys of the scenario that the options set."""
    from labkit.build.scenario.source import parse

    values: dict[str, Any] = {}
    for side in ("client", "server"):
        if options[side] is not None:
            values[side] = _end(side, options[side])
    if options["vlan"]:
        values["vlan"] = [int(each) if each.isdecimal() else each for each in options["vlan"]]
    if options["loss"] is not None:
        values["path"] = {way: {"loss": options["loss"]} for way in ("to_server", "to_client")}
    for setting in options["settings"]:
        key, equals, text = setting.partition("=")
        *parts, last = key.split(".")
        if not equals or not all((*parts, last)):
            text = _("--set {setting}: expected KEY=VALUE, such as path.rtt=30ms")
            raise UsageError(text.format(setting=printable(setting)))
        inner = values
        for part in parts:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise UsageError(_("--set {setting}: '{part}' has a value already").format(setting=setting, part=part))
        inner[last] = parse(f"value: {text}", f"--set {printable(key)}").data["value"]
    return values


def _end(side: str, text: str) -> dict[str, Any]:
    """An address and a port, each of which may be missing."""
    match = END.fullmatch(text)
    if match is None or not text:
        wrong = _("--{side} {text}: expected an address and a port, such as 192.0.2.10:4000 or [2001:db8::1]:4000")
        raise UsageError(wrong.format(side=side, text=printable(text)))
    address, port = match["v6"] or match["v4"] or match["bare"], match["port6"] or match["port4"]
    found: dict[str, Any] = {"address": address} if address else {}
    return found | ({"port": int(port)} if port else {})
