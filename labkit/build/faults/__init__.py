"""Faults: named edits of a finished trace, each of which breaks one rule.

An endpoint sends what is right; whoever needs something wrong edits what it has sent. A fault knows the rule that it
breaks, so that a faulty capture comes with its manifest: which packet, which rule, what was changed.

    trace = inject(trace, ["ack-of-unsent-data@6"])
    trace.injected

A fault is one row of the FAULTS of a module here, and one function (see `base`). `@N` names the packet (1 is the
first); without it the fault takes the first packet that it applies to. Checksums are right after an edit, unless the
checksum is the fault.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from labkit.build.faults.base import Fault
from labkit.build.trace import Injected, Record, Trace
from labkit.errors import UsageError
from labkit.i18n import _, nearest
from labkit.tcp import options as opt
from labkit.tcp.notation import format_option, format_segment
from labkit.tcp.segment import control_names


@cache
def faults() -> tuple[Fault, ...]:
    """Every fault, by the code of its rule."""
    modules = (import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__))
    found = (fault for module in modules for fault in getattr(module, "FAULTS", ()))
    return tuple(sorted(found, key=lambda fault: (fault.code, fault.name)))


def inject(trace: Trace, wanted: Sequence[str]) -> Trace:
    """The trace with faults, each given as `name` or `name@packet`, made one after the other; `injected` tells of them.

    Packets are counted in the trace as it is when the fault is made. UsageError for an unknown fault, a packet that is
    not there, or one that the fault does not apply to.
    """
    for text in wanted:
        name, at, number = text.partition("@")
        faulty, made = _inject(trace, find(name), number if at else None)
        trace = replace(faulty, injected=(*(_moved(each, made) for each in trace.injected), made))
    return trace


def plain(manifest: Sequence[Injected]) -> list[dict[str, object]]:
    """A manifest as plain values, for JSON."""
    return [asdict(each) for each in manifest]


def find(name: str) -> Fault:
    """A fault by its name; UsageError where there is none."""
    known = {fault.name: fault for fault in faults()}
    if name not in known:
        message = _("there is no fault '{name}'; 'labkit build --fault list' lists them").format(name=name)
        raise UsageError(message + nearest(name, known))
    return known[name]


def _inject(trace: Trace, fault: Fault, number: str | None) -> tuple[Trace, Injected]:
    numbers = trace.numbers()
    if number is not None:
        if not (number.isdecimal() and len(number) < 10) or not 1 <= int(number) <= numbers[-1]:
            raise UsageError(
                _("{fault}@{n}: there is no such packet; there are {count}").format(
                    fault=fault.name, n=number, count=numbers[-1]
                )
            )
        places = [bisect_left(numbers, int(number))]
    else:
        places = list(range(len(numbers)))
    if len({record.tap for record in trace}) > 1:
        raise UsageError(_("{fault}: the capture is of both sides; expected one of them").format(fault=fault.name))
    if fault.ipv4_only and trace.client.ip.version != 4:
        places = []
    # What an edit must know is what was said in the same connection.
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
    raise UsageError(_("{fault} applies to no packet of this scenario").format(fault=fault.name))


def _made(trace: Trace, fault: Fault, index: int, connections: dict[int, list[int]]) -> tuple[Trace, Injected] | None:
    """The fault at a record; None where it does not apply."""
    if fault.remake is not None:
        remade = fault.remake(trace, index)
        if remade is None:
            return None
        what = _difference(trace.records[index], remade.records[index])
        return remade, Injected(fault.name, fault.code, remade.numbers()[index], inserted=False, changed=what)
    assert fault.edit is not None  # noqa: S101 - a fault has one or the other
    own = connections[trace.records[index].connection]
    edited = fault.edit([trace.records[each] for each in own], bisect_left(own, index))
    return None if edited is None else _replaced(trace, fault, index, edited)


def _replaced(trace: Trace, fault: Fault, index: int, edited: Sequence[Record]) -> tuple[Trace, Injected]:
    before = trace.records[index]
    if len(edited) > 1 and index + 1 < len(trace.records):
        # What is put in does not come after what follows it.
        edited = [edited[0], replace(edited[1], time=min(edited[1].time, trace.records[index + 1].time))]
    records = [*trace.records[:index], *edited, *trace.records[index + 1 :]]
    records = [replace(record, number=number) for number, record in enumerate(records, 1)]
    inserted = len(edited) > 1
    what = _described(edited[1]) if inserted else _difference(before, edited[0])
    faulty = replace(trace, records=records)
    packet = faulty.numbers()[index + inserted]
    return faulty, Injected(fault.name, fault.code, packet, inserted, what)


def _moved(earlier: Injected, later: Injected) -> Injected:
    """Where an earlier fault is found, once a later one has put a packet in before it."""
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
