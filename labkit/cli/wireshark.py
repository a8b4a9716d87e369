"""`labkit wireshark`: put labkit's profiles and fields in Wireshark's configuration, or take them out."""

import os

import click

from labkit.cli._common import Command, CommandGroup, Exit, echo, note
from labkit.i18n import _, ngettext, printable


@click.group(
    "wireshark",
    cls=CommandGroup,
    section="verify",
    examples=("labkit wireshark install", "labkit wireshark status"),
)
def command() -> None:
    """Show labkit's findings in Wireshark.

    The profiles are 'labkit' and 'labkit raw', which shows sequence numbers as they are sent. The comments of 'labkit verify
    --annotate' become fields to filter by: labkit.rule, labkit.severity, labkit.expected. The files go to
    WIRESHARK_CONFIG_DIR, or where Wireshark keeps its configuration.
    """


@command.command(
    "install",
    cls=Command,
    examples=("labkit wireshark install", "WIRESHARK_CONFIG_DIR=course labkit wireshark install"),
)
def install() -> int:
    """Put the profiles and the fields in place, all or none.

    A file that is not labkit's, or that was changed, is not overwritten.
    """
    from labkit.report import wireshark

    place = wireshark.folder()
    count = len(wireshark.install(place))
    text = ngettext("{place}: {count} file installed", "{place}: {count} files installed", count)
    note(text.format(place=printable(str(place)), count=count))
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        note(_("Wireshark 4.6 makes no fields when root starts it: start it as another user"))
    return Exit.OK


@command.command(
    "uninstall",
    cls=Command,
    examples=("labkit wireshark uninstall", "WIRESHARK_CONFIG_DIR=course labkit wireshark uninstall"),
)
def uninstall() -> int:
    """Remove what was installed, except files that were changed."""
    from labkit.report import wireshark

    place = wireshark.folder()
    removed, kept = wireshark.uninstall(place)
    text = ngettext("{place}: {count} file removed", "{place}: {count} files removed", len(removed))
    note(text.format(place=printable(str(place)), count=len(removed)))
    for name in kept:
        note(_("{file} stays: it was changed, or is not labkit's").format(file=printable(str(place / name))))
    return Exit.OK


@command.command(
    "status",
    cls=Command,
    examples=("labkit wireshark status", "WIRESHARK_CONFIG_DIR=course labkit wireshark status"),
)
def status() -> int:
    """Say what is installed.

    A file is installed, older (another version of labkit installed it), changed, not labkit's, or missing.
    """
    from labkit.report import wireshark

    place = wireshark.folder()
    found = wireshark.status(place)
    echo(printable(str(place)))
    width = max(len(_(state)) for state in found.values())
    for name, state in found.items():
        echo(f"  {_(state):{width}}  {name}")
    return Exit.OK
