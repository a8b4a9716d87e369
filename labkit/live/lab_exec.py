"""A lab for one command: it is there as long as the command runs, with or without root.

All of it lives in network namespaces of its own, also the command itself. When the command ends, or whoever started it
is killed, whatever still runs in them is ended, and nothing is left.
"""

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from labkit.errors import LinkError
from labkit.i18n import _, printable
from labkit.live.cleanup import CleanupProcess
from labkit.live.lab import Lab
from labkit.live.namespace import OWN, Namespace
from labkit.live.system import capable, end_inhabitants, enter_user_namespace
from labkit.live.wiring import ip

PASSED_ON = (signal.SIGTERM, signal.SIGHUP)
"""Signals that go to the command. Those of the terminal reach it anyway."""


def hold(command: Sequence[str], *, relay: bool = False, offload: bool = False, mtu: int = 1500) -> int:
    """Run a command with a lab; its exit code, or 128 and the number of the signal that ended it.

    The process lives in a namespace of its own from then on, without any other network. LinkError where the lab cannot
    be made, or the command not be started. Only for a process with one thread.
    """
    if capable():
        with Namespace.new() as base:
            base.enter()
    else:
        enter_user_namespace()
    ip(["link set dev lo up"])
    here = Path(OWN).stat().st_ino
    with Lab.held(relay=relay, offload=offload, mtu=mtu) as lab:
        inodes = [here, *lab.inodes]
        own = os.getpid()
        # By then this process is gone, or has ended them itself and only waits. The keeper holds the namespaces: the numbers
        # of those that are gone would soon be others'.
        holding = [space.fileno() for space in lab.spaces.values()]
        with CleanupProcess(lambda: end_inhabitants(inodes, spare=own), holding) as keeper:
            try:
                return _run(command, lab)
            finally:
                end_inhabitants(inodes, spare=keeper.process)


def _run(command: Sequence[str], lab: Lab) -> int:
    """Run the command to its end."""
    running: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        for each in running:
            if number in PASSED_ON:
                with suppress(ProcessLookupError):
                    each.send_signal(number)

    # Not ignored but taken: what is ignored would be ignored by the command as well.
    before = {number: signal.signal(number, pass_on) for number in (*PASSED_ON, signal.SIGINT, signal.SIGQUIT)}
    try:
        try:
            running.append(subprocess.Popen(list(command), env=os.environ | lab.environment()))  # noqa: S603 - the user's
        except OSError as error:
            raise LinkError(
                _("'{program}' cannot be started: {reason}").format(
                    program=printable(command[0]), reason=error.strerror
                )
            ) from error
        code = running[0].wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code
