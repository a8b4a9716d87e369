"""The packets of a trace as Scapy packets, made when they are first asked for."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from labkit.build import trace_file
from labkit.packet.frame_edits import apply
from labkit.packet.scapy_build import Copier, dissect

if TYPE_CHECKING:
    from scapy.packet import Packet

    from labkit.build.trace import Trace


class Packets(list["Packet"]):
    """A list of Scapy packets. One that nobody has asked for is a `partial` that makes it.

    It is a list because Scapy takes lists: `sendp(packets)`. Whatever is neither an index, a slice nor an iteration makes all
    packets first, for the methods of lists do not ask for items.
    """

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        found = super().__getitem__(place)
        if isinstance(found, partial):
            found = found()
            super().__setitem__(place, found)
        return found

    def __iter__(self) -> "Iterator[Packet]":
        place = 0
        while place < len(self):
            yield self[place]
            place += 1

    def __radd__(self, others: "list[Packet]") -> "list[Packet]":
        return [*others, *self]


def _after_all(name: str) -> Callable[..., Any]:
    """A method of lists that makes all packets first, and those of its arguments."""
    method = getattr(list, name)

    def call(packets: Packets, *values: Any, **more: Any) -> Any:
        for _each in packets:
            pass
        return method(packets, *(list(each) if isinstance(each, Packets) else each for each in values), **more)

    return call


COMPARED = ("__eq__", "__ge__", "__gt__", "__le__", "__lt__", "__ne__")
OPERATORS = (
    "__add__",
    "__contains__",
    "__delitem__",
    "__iadd__",
    "__imul__",
    "__mul__",
    "__repr__",
    "__reversed__",
    "__rmul__",
)
METHODS = ("copy", "count", "extend", "index", "insert", "pop", "remove", "reverse", "sort")
for _name in (*COMPARED, *OPERATORS, *METHODS):
    setattr(Packets, _name, _after_all(_name))


def packets(trace: "Trace") -> Packets:
    """The packets of a trace's file."""
    if trace.origin is not None:
        made: Iterator[Any] = (partial(dissect, each.octets, trace.link_of(each), each.time) for each in trace.file())
        return Packets(made)
    return Packets(_of_records(trace))


def _of_records(trace: "Trace") -> Iterator[Any]:
    copiers: dict[tuple[int, str, str], Copier] = {}
    for record, ident in zip(trace.records, trace_file.idents(trace), strict=True):
        way = record.connection, record.sender, record.tap
        if way not in copiers:
            copiers[way] = Copier(*trace_file.ends(trace, *way), trace.framing)
        time = trace.start + record.time
        make = partial(copiers[way].packet, record.segment, ident, time, record.label)
        if record.edits or (trace.framing.fragment is not None and trace_file.count(trace, record) > 1):
            octets = bytes(make())
            octets = apply(octets, trace.link, record.edits)[0] if record.edits else octets
            pieces = trace_file.pieces(trace.framing, octets, ident, record)
            yield from (partial(dissect, piece, trace.link, time) for piece in pieces)
        else:
            yield make
