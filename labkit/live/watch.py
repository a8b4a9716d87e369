"""Frames of an interface as they pass, for whoever judges them meanwhile.

    with watched("lo", None) as link:
        for frame in frames(link, stop): ...

A frame on a loopback passes twice, as it leaves and as it arrives: it is taken when it arrives. On a veth both directions
are taken. Where a checksum is left to hardware, or segments are joined, the frame is given as it is: that is what a
capture of the interface would show, and the rules know of it.
"""

import select
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from labkit.capture import Frame
from labkit.errors import LinkError
from labkit.i18n import _, printable
from labkit.live import ethtool
from labkit.live import lab as labs
from labkit.live.link import Link
from labkit.live.stop import Stop
from labkit.live.wiring import BETWEEN, KERNELS, RELAY
from labkit.packet.linktype import ETHERNET

SECOND = 1_000_000_000

PLACES = {
    **{name: (end, kernel.interface) for end, kernel in KERNELS.items() for name in (end, kernel.interface)},
    **{name: (RELAY, name) for name in BETWEEN.values()},
}
"""What a lab's interfaces may be called: at which end they are, and their names there."""


@contextmanager
def watched(name: str, lab: str | None, allowed: Collection[str] = ()) -> Iterator[Link]:
    """A link that hears all that passes an interface of the present namespace, or of a lab, and sends nothing.

    A lab is looked in where `lab` names one, or where no interface here has the name; a lab's end names its interface too.
    This process lives at that end from then on, so that it is ended with the lab. LinkError where there is no such
    interface, where it may be other people's and is not in `allowed`, and where the system does not let it be.
    """
    if name in PLACES and (lab is not None or not _here(name)):
        end, name = PLACES[name]
        with labs.find(lab) as found:
            with found.inside(end):
                ethtool.mtu(name)
            found.spaces[end].enter()
    elif lab is not None:
        text = _("{name}: is no interface of a lab; there are {known}")
        raise LinkError(text.format(name=printable(name), known=", ".join(PLACES)))
    loopback = ethtool.is_loopback(name)
    if not loopback and name not in allowed and (driver := ethtool.driver(name)) != "veth":
        raise LinkError(
            _(
                "{name}: is neither loopback nor veth but {driver}: what passes there may be other people's; "
                "--allow-interface {name} says that it is yours to watch"
            ).format(name=printable(name), driver=driver or _("of an unknown driver"))
        )
    with Link(name, None, outgoing=not loopback) as link:
        yield link


def _here(name: str) -> bool:
    """Whether the present namespace has an interface of the name."""
    try:
        ethtool.mtu(name)
    except LinkError:
        return False
    return True


def frames(link: Link, stop: Stop, *, seconds: float | None = None) -> Iterator[Frame]:
    """The frames that pass, numbered from 1, until `stop` is asked or the time is over: those that have passed by then.

    LinkError where the link fails.
    """
    end = None if seconds is None else time.monotonic_ns() + int(seconds * SECOND)
    last: int | None = None
    waited: list[Link | Stop] = [link, stop]
    number = 0
    while True:
        left = None if end is None else (end - time.monotonic_ns()) / SECOND
        if last is None and (stop.asked or (left is not None and left <= 0)):
            last = time.time_ns()
        arrived = link.receive()
        if arrived is not None and (last is None or arrived.time <= last):
            number += 1
            yield Frame(number, arrived.time, ETHERNET, arrived.data, len(arrived.data))
        elif last is not None:
            return
        else:
            select.select(waited, [], [], left)
