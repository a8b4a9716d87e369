"""Network namespaces, each held by a file descriptor: Linux removes a namespace when nothing refers to it any more.

A thread can enter a namespace and leave it again. Sockets and processes that it creates there stay there.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Thread

from labkit.errors import LinkError
from labkit.i18n import _
from labkit.live.system import NEW_NET, setns, unshare

OWN = "/proc/thread-self/ns/net"
"""The namespace of the thread that opens this."""


class Namespace(AbstractContextManager["Namespace"]):
    """A network namespace; a context manager that closes its descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.inode = os.fstat(descriptor).st_ino
        """The inode number, which identifies the namespace."""

    @classmethod
    def new(cls) -> "Namespace":
        """Make a namespace whose only interface is a loopback that is down. LinkError if the system refuses."""
        made: list[int] = []
        failed: list[OSError] = []

        def make() -> None:
            # This thread moves into the new namespace and ends; the calling thread stays where it is.
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
                errno.EINVAL: _("this kernel was built without CONFIG_NET_NS"),
                errno.ENOSPC: _("the limit of sysctl user.max_net_namespaces is reached"),
            }
            reason = reasons.get(failed[0].errno or 0) or _(failed[0].strerror or "")
            raise LinkError(_("cannot make a network namespace: {reason}").format(reason=reason)) from failed[0]
        return cls(made[0])

    @classmethod
    def at(cls, path: str | Path) -> "Namespace":
        """Open a namespace by its path (`/run/netns/NAME`, `/proc/PID/ns/net`). OSError if there is none."""
        return cls(os.open(path, os.O_RDONLY | os.O_CLOEXEC))

    def fileno(self) -> int:
        """The file descriptor."""
        return self._descriptor

    @property
    def path(self) -> str:
        """The path by which other processes can open it while this process holds it."""
        return f"/proc/{os.getpid()}/fd/{self._descriptor}"

    def enter(self) -> None:
        """Move the calling thread into the namespace."""
        setns(self._descriptor, NEW_NET)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Run the block with the calling thread in the namespace."""
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
        """Close the descriptor. Later calls do nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __exit__(self, *_exception: object) -> None:
        self.close()
