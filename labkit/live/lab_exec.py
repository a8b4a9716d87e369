"""Run one command in a lab of its own, with or without root.

The command and the lab live in new network namespaces. When the command ends, or its parent is killed, all processes in these
namespaces are ended, and nothing remains.
"""

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from labkit.errors import LinkError
from labkit.i18n import _, printable, reason_of
from labkit.live.cleanup import CleanupProcess
from labkit.live.lab import Lab
from labkit.live.namespace import OWN, Namespace
from labkit.live.system import capable, end_processes_in, enter_user_namespace
from labkit.live.wiring import ip

FORWARDED = (signal.SIGTERM, signal.SIGHUP)
"""Signals that this process sends on to the command. The terminal's signals reach the command directly."""


def run_in_new_lab(command: Sequence[str], *, relay: bool, offload: bool, mtu: int) -> int:
    """Run a command in a new lab; return its exit code, or 128 plus the number of the signal that ended it.

    This process moves into a namespace without any other network. LinkError if the lab cannot be made or the command
    cannot be started. Call it only from a process with one thread.
    """
    if capable():
        with Namespace.new() as base:
            base.enter()
    else:
        enter_user_namespace()
    ip(["link set dev lo up"])
    own_inode = Path(OWN).stat().st_ino
    with Lab.temporary(relay=relay, offload=offload, mtu=mtu) as lab:
        inodes = [own_inode, *lab.inodes]
        parent = os.getpid()
        # The child keeps the namespaces open, because Linux soon gives the inode number of a removed one to another.
        # It spares the parent, which by then is gone or has ended the processes itself and waits.
        keep_open = [space.fileno() for space in lab.namespaces.values()]
        with CleanupProcess(lambda: end_processes_in(inodes, spare=parent), keep_open) as cleanup:
            try:
                return _run(command, lab)
            finally:
                end_processes_in(inodes, spare=cleanup.pid)


def _run(command: Sequence[str], lab: Lab) -> int:
    running: list[subprocess.Popen[bytes]] = []

    def forward(number: int, _frame: FrameType | None) -> None:
        for each in running:
            if number in FORWARDED:
                with suppress(ProcessLookupError):
                    each.send_signal(number)

    # Handled, not ignored: the command would inherit ignored signals.
    before = {number: signal.signal(number, forward) for number in (*FORWARDED, signal.SIGINT, signal.SIGQUIT)}
    try:
        try:
            running.append(subprocess.Popen(list(command), env=os.environ | lab.environment()))  # noqa: S603 - the user's
        except OSError as error:
            raise LinkError(
                _("cannot start '{program}': {reason}").format(program=printable(command[0]), reason=reason_of(error))
            ) from error
        code = running[0].wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code
