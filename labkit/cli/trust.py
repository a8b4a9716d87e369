"""`labkit trust`: let a configuration file count that lies beside the captures, or that others could have written."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from labkit.cli._common import Command, Exit, echo, note, option
from labkit.cli._paths import PATH
from labkit.errors import UsageError
from labkit.i18n import N_, _, printable

if TYPE_CHECKING:
    from labkit.analysis.config_trust import Trusted


@click.command(
    "trust",
    cls=Command,
    section="verify",
    examples=("labkit trust hand-ins/labkit.toml", "labkit trust --list"),
)
@click.argument("file", required=False, type=PATH)
@option("--list", "list_", is_flag=True, help=N_("List the trusted files."))
@option("--revoke", is_flag=True, help=N_("Trust FILE no longer."))
def command(file: str | None, list_: bool, revoke: bool) -> int:
    """Trust a configuration file with its present content.

    labkit verify uses a labkit.toml or pyproject.toml that it finds only if no other user could have written it, and if it
    lies neither beside nor below the captures. FILE counts everywhere, until its content changes. labkit records its path
    and the digest of its content in $XDG_STATE_HOME/labkit (~/.local/state/labkit).
    """
    from labkit.analysis import config_trust
    from labkit.analysis.report_config import read, table_of

    if list_ == (file is not None) or (list_ and revoke):
        raise UsageError(_("name one FILE, or --list"))
    if file is None:
        for each in config_trust.all_trusted():
            echo(f"{each.digest[:16]}  {printable(each.file)}{_state(each)}")
        return Exit.OK
    path = Path(file)
    if revoke:
        if not config_trust.revoke(path):
            raise UsageError(_("{file} is not trusted").format(file=printable(file)))
        note(_("{file} is no longer trusted").format(file=printable(file)))
        return Exit.OK
    content = read(path)
    table_of(path, content)  # an invalid configuration must not be trusted
    found = config_trust.trust(path, content)
    note(_("trusting {file} until its content changes").format(file=printable(found.file)))
    return Exit.OK


def _state(trusted: "Trusted") -> str:
    """What has become of a trusted file; empty if nothing has."""
    from labkit.analysis.config_trust import digest
    from labkit.analysis.report_config import read

    try:
        same = digest(read(Path(trusted.file))) == trusted.digest
    except UsageError:
        return "  " + _("(cannot be read)")
    return "" if same else "  " + _("(changed)")
