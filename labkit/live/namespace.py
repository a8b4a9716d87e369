"""Network namespaces, each held by a descriptor: it is gone when nobody holds it, however a program ends.

A thread may step into a namespace and out of it again. What it makes there (a socket, a process) stays there.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from labkit.errors import LinkError
from labkit.i18n import _
from labkit.live.system import NEW_NET, setns, unshare

OWN = "/proc/thread-self/ns/net"
"""The namespace of the thread that opens this."""


class Namespace:
    """A network namespace. `close` gives up the hold on it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.inode = os.fstat(descriptor).st_ino
        """By which namespaces are told apart."""

    @classmethod
    def new(cls) -> "Namespace":
        """A new one, with nothing but a loopback interface that is down. LinkError where that may not be."""
        made: list[int] = []
        failed: list[OSError] = []

        def make() -> None:
            # In a thread that ends here: the one that asked stays where it is.
            try:
                unshare(NEW_NET)
                made.append(os.open(OWN, os.O_RDONLY | os.O_CLOEXEC))
            except OSError as error:
                failed.append(error)

        thread = Thread(target=make)
        thread.start()
        thread.join()
        if failed:
            reasons = {
                errno.EINVAL: _("this kernel was built without them (CONFIG_NET_NS)"),
                errno.ENOSPC: _("there are as many as sysctl user.max_net_namespaces allows"),
            }
            reason = reasons.get(failed[0].errno or 0, failed[0].strerror)
            raise LinkError(_("no network namespace can be made: {reason}").format(reason=reason)) from failed[0]
        return cls(made[0])

    @classmethod
    def at(cls, path: str | Path) -> "Namespace":
        """The one that a path names (`/run/netns/NAME`, `/proc/PID/ns/net`). OSError where there is none."""
        return cls(os.open(path, os.O_RDONLY | os.O_CLOEXEC))

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    @property
    def path(self) -> str:
        """A path by which other processes reach it as long as this one holds it."""
        return f"/proc/{os.getpid()}/fd/{self._descriptor}"

    def enter(self) -> None:
        """Move the calling thread into it, for good."""
        setns(self._descriptor, NEW_NET)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """The calling thread is in it within the block."""
        back = os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)
        try:
            setns(self._descriptor, NEW_NET)
            try:
                yield
            finally:
                setns(back, NEW_NET)
        finally:
            os.close(back)

    def close(self) -> None:
        """Give it up; nothing happens the second time."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> "Namespace":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()
