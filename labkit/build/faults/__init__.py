"""Faults: named edits of a finished trace. Each breaks one rule.

Endpoints are always correct; faults edit the segments that they have sent. The manifest of a faulty capture lists each fault
with its packet, its rule and the changed values.

    trace = inject(trace, ["ack-of-unsent-data@6"])
    trace.injected

To add a fault, add a function and a row to FAULTS in a module here (see `base`). `@N` is the packet number, from 1; by default
the fault edits the first packet that it applies to. Checksums are correct after an edit, unless the fault is the checksum.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cache
from importlib import import_module

from labkit.build.faults.base import Fault
from labkit.build.trace import Injected, Record, Trace
from labkit.errors import UsageError
from labkit.i18n import _, nearest
from labkit.modules import modules_in
from labkit.tcp import options as opt
from labkit.tcp.notation import format_option, format_segment
from labkit.tcp.segment import control_names


@cache
def faults() -> tuple[Fault, ...]:
    """All faults, sorted by the codes of their rules."""
    modules = (import_module(f"{__name__}.{name}") for name in modules_in(__path__))
    found = (fault for module in modules for fault in getattr(module, "FAULTS", ()))
    return tuple(sorted(found, key=lambda fault: (fault.code, fault.name)))


def inject(trace: Trace, wanted: str | Sequence[str], *, at: int | None = None) -> Trace:
    """Inject faults, each given as `name` or `name@packet`, in order. `Trace.injected` lists them.

    `inject(trace, "ack-goes-back", at=6)` injects one fault at packet 6. A packet number counts the packets after the faults
    before. UsageError for an unknown fault, for a missing packet, and if the fault does not apply.
    """
    if isinstance(wanted, str):
        wanted = [wanted if at is None else f"{wanted}@{at}"]
    elif at is not None:
        raise UsageError(_("at=N is for one fault; expected its name"))
    for text in wanted:
        name, mark, number = text.partition("@")
        faulty, made = _inject(trace, find(name), number if mark else None)
        trace = replace(faulty, injected=(*(_moved(each, made) for each in trace.injected), made))
    return trace


def plain(manifest: Sequence[Injected]) -> list[dict[str, object]]:
    """A manifest as values for JSON."""
    return [asdict(each) for each in manifest]


def find(name: str) -> Fault:
    """The fault with a name; UsageError if there is none."""
    known = {fault.name: fault for fault in faults()}
    if name not in known:
        message = _("unknown fault '{name}'; 'labkit build --fault list' lists them").format(name=name)
        raise UsageError(message + nearest(name, known))
    return known[name]


def _inject(trace: Trace, fault: Fault, number: str | None) -> tuple[Trace, Injected]:
    numbers = trace.numbers()
    if number is not None:
        count = numbers[-1] if numbers else 0
        if not (number.isdecimal() and len(number) < 10) or not 1 <= int(number) <= count:
            raise UsageError(
                _("{fault}@{n}: no such packet; the trace has {count}").format(fault=fault.name, n=number, count=count)
            )
        places = [bisect_left(numbers, int(number))]
    else:
        places = list(range(len(numbers)))
    if len({record.tap for record in trace}) > 1:
        raise UsageError(
            _("{fault}: the trace was captured at both sides; expected capture: client or server").format(
                fault=fault.name
            )
        )
    if fault.ipv4_only and places and trace.client.ip.version != 4:
        places = []
    # An edit sees the records of the same connection.
    connections: dict[int, list[int]] = {}
    for index, record in enumerate(trace):
        connections.setdefault(record.connection, []).append(index)
    for index in places:
        made = _made(trace, fault, index, connections)
        if made is not None:
            return made
    if number is not None and places:
        elsewhere = (index for index in range(len(numbers)) if _made(trace, fault, index, connections) is not None)
        first = next(elsewhere, None)
        if first is not None:
            text = _("{fault} does not apply to packet {n}; the first that it applies to is {first}")
            raise UsageError(text.format(fault=fault.name, n=number, first=numbers[first]))
    raise UsageError(_("{fault} does not apply to any packet of this scenario").format(fault=fault.name))


def _made(trace: Trace, fault: Fault, index: int, connections: dict[int, list[int]]) -> tuple[Trace, Injected] | None:
    """The trace with the fault at a record; None if the fault does not apply."""
    if fault.remake is not None:
        remade = fault.remake(trace, index)
        if remade is None:
            return None
        what = _difference(trace.records[index], remade.records[index])
        return remade, Injected(fault.name, fault.code, remade.numbers()[index], inserted=False, changed=what)
    assert fault.edit is not None  # noqa: S101 - a fault has `edit` or `remake`
    own = connections[trace.records[index].connection]
    edited = fault.edit([trace.records[each] for each in own], bisect_left(own, index))
    return None if edited is None else _replaced(trace, fault, index, edited)


def _replaced(trace: Trace, fault: Fault, index: int, edited: Sequence[Record]) -> tuple[Trace, Injected]:
    before = trace.records[index]
    if len(edited) > 1 and index + 1 < len(trace.records):
        # An inserted record is not later than the next one.
        edited = [edited[0], replace(edited[1], time=min(edited[1].time, trace.records[index + 1].time))]
    records = [*trace.records[:index], *edited, *trace.records[index + 1 :]]
    records = [replace(record, number=number) for number, record in enumerate(records, 1)]
    inserted = len(edited) > 1
    what = _described(edited[1]) if inserted else _difference(before, edited[0])
    faulty = replace(trace, records=records)
    packet = faulty.numbers()[index + inserted]
    return faulty, Injected(fault.name, fault.code, packet, inserted, what)


def _moved(earlier: Injected, later: Injected) -> Injected:
    """An earlier fault, with its packet number after a later fault may have inserted a packet before it."""
    behind = later.inserted and earlier.packet >= later.packet
    return replace(earlier, packet=earlier.packet + 1) if behind else earlier


def _described(record: Record) -> str:
    return f"{'<' if record.sender == 'server' else '>'} {format_segment(record.segment)}"


def _difference(before: Record, now: Record) -> str:
    changes = [f"{name}: {value}" for name, value in now.edits.items() if before.edits.get(name) != value]
    if before.time != now.time:
        changes.append(f"time: {(now.time - before.time) / 1e9:+.6f} s")
    for name in ("seq", "ack", "ctl", "window", "urgent", "payload", "options"):
        old, new = getattr(before.segment, name), getattr(now.segment, name)
        if old != new:
            changes.append(f"{name}: {_value(name, old)} -> {_value(name, new)}")
    return ", ".join(changes)


def _value(name: str, value: int | bytes | tuple[opt.Option, ...]) -> str:
    if isinstance(value, tuple):
        return f"<{', '.join(map(format_option, value))}>"
    if name == "ctl" and isinstance(value, int):
        return control_names(value)
    return f"{len(value)} octets" if isinstance(value, bytes) else str(value)
