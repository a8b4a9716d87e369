"""Linux system calls through the C library: namespaces, capabilities, the processes of a namespace.

A LinkError names each missing privilege or program and says how to get it.
"""

import ctypes
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path

from labkit.errors import LinkError
from labkit.i18n import _, listed, reason_of

NEW_USER, NEW_NET = 0x1000_0000, 0x4000_0000
"""CLONE_NEWUSER and CLONE_NEWNET of clone(2)."""

NET_ADMIN, NET_RAW, SYS_ADMIN = 12, 13, 21
"""Capability numbers that a lab needs (capabilities(7))."""

PR_SET_TIMERSLACK, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 29, 47, 2
CAPABILITY_VERSION = 0x2008_0522

SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
"""Folders that the PATH of ordinary users often lacks."""

PACKAGES = {"ip": "iproute2", "prlimit": "util-linux", "setpriv": "util-linux", "unshare": "util-linux"}
"""The Debian package of a program whose name differs."""

TERMINATION_TIMEOUT = 2.0
"""Seconds that a process has to end after a signal."""


@cache
def _libc() -> ctypes.CDLL:
    if sys.platform != "linux":
        raise LinkError(_("live conversations need Linux; this is {system}").format(system=sys.platform))
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def unshare(flags: int) -> None:
    """Move the calling thread into new namespaces. OSError if the system refuses."""
    _check(_libc().unshare(flags))


def setns(descriptor: int, kind: int) -> None:
    """Move the calling thread into a namespace. OSError if the system refuses."""
    _check(_libc().setns(descriptor, kind))


def set_timer_slack() -> None:
    """Make the kernel wake the calling thread on time, not up to 50 µs later."""
    _libc().prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)


def capable() -> bool:
    """Whether this process has the capabilities to make namespaces and send raw frames."""
    wanted = 1 << NET_ADMIN | 1 << NET_RAW | 1 << SYS_ADMIN
    status = Path("/proc/self/status")
    if not status.is_file():
        return False
    held = next(
        int(line.split()[1], 16) for line in status.read_text("ascii").splitlines() if line.startswith("CapEff")
    )
    return held & wanted == wanted


def require_capable(what: str) -> None:
    """LinkError if this process lacks the capabilities for `what`."""
    _libc()
    if not capable():
        text = _(
            "{what} needs the capabilities of root (CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_ADMIN): run it with sudo, "
            "or without root: labkit lab exec -- COMMAND"
        )
        raise LinkError(text.format(what=what))


def require_program(name: str) -> str:
    """The path of a program. LinkError if it is not installed."""
    found = shutil.which(name) or shutil.which(name, path=SBIN)
    if found is None:
        package = PACKAGES.get(name, name)
        raise LinkError(
            _("the program '{name}' is missing; on Debian: apt install {package}").format(name=name, package=package)
        )
    return found


def enter_user_namespace() -> None:
    """Move into a user namespace in which this process has all capabilities of a lab (user_namespaces(7)).

    User and group ids stay the same; started programs inherit the capabilities. LinkError if the system does not allow it.
    Call it only from a process with one thread.
    """
    user, group = os.getuid(), os.getgid()
    try:
        unshare(NEW_USER | NEW_NET)
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1\n", "ascii")
        Path("/proc/self/setgroups").write_text("deny", "ascii")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1\n", "ascii")
        _inherit_capabilities()
    except OSError as error:
        text = _(
            "only root can make a lab on this system: {reason} (user namespaces: see sysctl "
            "user.max_user_namespaces, kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns); "
            "run it with sudo"
        )
        raise LinkError(text.format(reason=reason_of(error))) from error


def _inherit_capabilities() -> None:
    """Make started programs inherit all capabilities (ambient capabilities)."""

    class Header(ctypes.Structure):
        _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))

    class Data(ctypes.Structure):
        _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))

    libc = _libc()
    header, data = Header(CAPABILITY_VERSION, 0), (Data * 2)()
    _check(libc.capget(ctypes.byref(header), data))
    for half in data:
        half.inheritable = half.permitted
    _check(libc.capset(ctypes.byref(header), data))
    for number in range(64):
        if data[number // 32].permitted >> number % 32 & 1:
            _check(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0))


def processes_in(namespaces: Iterable[int], spare: int = 0) -> list[int]:
    """The ids of the processes in network namespaces, given by inode, without this process and `spare`."""
    wanted = {f"net:[{inode}]" for inode in namespaces}
    others = {str(os.getpid()), str(spare)}
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and entry.name not in others:
            with suppress(OSError):
                if str((entry / "ns" / "net").readlink()) in wanted:
                    found.append(int(entry.name))
    return found


def end_processes_in(namespaces: Iterable[int], spare: int = 0) -> int:
    """End every process in network namespaces except this one and `spare`, by SIGTERM, then SIGKILL; return their number.

    LinkError if a process does not end.
    """
    wanted = list(namespaces)
    first = processes_in(wanted, spare)
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + TERMINATION_TIMEOUT
        for process in processes_in(wanted, spare):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(process, number)
        while processes_in(wanted, spare):
            if time.monotonic() > deadline:
                break
            time.sleep(0.005)
        else:
            return len(first)
    left = listed(map(str, processes_in(wanted, spare)))
    raise LinkError(_("cannot end these processes of the lab: {left}").format(left=left))
