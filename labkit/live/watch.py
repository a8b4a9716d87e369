"""Read the frames that pass an interface.

    with open_link("lo", None) as link:
        for frame in frames(link, stop): ...

A frame on a loopback passes twice; labkit takes it once, when it arrives. On a veth it takes both directions. Frames with
unfinished checksums or joined segments stay as they are: a capture of the interface would show the same, and rules allow for it.
"""

import select
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Protocol

from labkit.capture import Frame
from labkit.errors import LinkError
from labkit.i18n import _, listed, printable
from labkit.live import ethtool
from labkit.live import lab as labs
from labkit.live.clock import SECOND
from labkit.live.link import Link
from labkit.live.wiring import KERNELS, RELAY, RELAY_INTERFACES
from labkit.packet.linktype import ETHERNET

LAB_INTERFACES = {
    **{name: (end, kernel.interface) for end, kernel in KERNELS.items() for name in (end, kernel.interface)},
    **{name: (RELAY, name) for name in RELAY_INTERFACES.values()},
}
"""The end and the interface for each name that a lab's interface may have on the command line."""


@contextmanager
def open_link(name: str, lab: str | None, allowed: Collection[str] = ()) -> Iterator[Link]:
    """Open a link that receives all frames of an interface and sends none.

    The interface is that of a lab if `lab` is given or the current namespace has none of that name. The process then moves
    to that end of the lab, so that it ends with the lab. LinkError if the interface does not exist, or is neither loopback
    nor veth and not in `allowed`, or the system refuses.
    """
    if name in LAB_INTERFACES and (lab is not None or not _exists(name)):
        end, name = LAB_INTERFACES[name]
        with labs.find(lab) as found:
            with found.inside(end):
                ethtool.mtu(name)
            found.namespaces[end].enter()
    elif lab is not None:
        text = _("{name}: a lab has no such interface; it has {known}")
        raise LinkError(text.format(name=printable(name), known=listed(LAB_INTERFACES)))
    loopback = ethtool.is_loopback(name)
    if not loopback and name not in allowed and (driver := ethtool.driver(name)) != "veth":
        text = _(
            "{name}: the driver is {driver}; other people's packets may pass there. "
            "--allow-interface {name} confirms that you may watch it"
        )
        raise LinkError(text.format(name=printable(name), driver=driver or _("unknown")))
    with Link(name, None, outgoing=not loopback) as link:
        yield link


def _exists(name: str) -> bool:
    try:
        ethtool.mtu(name)
    except LinkError:
        return False
    return True


class Stoppable(Protocol):
    """What may request the end: `select` reports it readable when `requested` has become true."""

    requested: bool

    def fileno(self) -> int:
        """The descriptor for `select`."""


def frames(link: Link, stop: Stoppable, *, seconds: float | None = None) -> Iterator[Frame]:
    """Yield all frames that pass before `stop` is requested or the time is over, numbered from 1. LinkError if the
    link fails.
    """
    end = None if seconds is None else time.monotonic_ns() + int(seconds * SECOND)
    last: int | None = None
    waited: list[Link | Stoppable] = [link, stop]
    number = 0
    while True:
        left = None if end is None else (end - time.monotonic_ns()) / SECOND
        if last is None and (stop.requested or (left is not None and left <= 0)):
            last = time.time_ns()
        arrived = link.receive()
        if arrived is not None and (last is None or arrived.time <= last):
            number += 1
            yield Frame(number, arrived.time, ETHERNET, arrived.data, len(arrived.data))
        elif last is not None:
            return
        else:
            select.select(waited, [], [], left)
