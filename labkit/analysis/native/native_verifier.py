"""The compiled verifier: it takes batches of segments, and gives the verdict that the interpreter would give."""

import ctypes
from collections.abc import Container, Iterator, Sequence
from ctypes import sizeof
from dataclasses import MISSING, fields
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from labkit.analysis import limits
from labkit.analysis.catalogue import shipped
from labkit.analysis.findings import Group
from labkit.analysis.flows import Flow
from labkit.analysis.limits import CaptureLimits, described
from labkit.analysis.native.context import (
    EVERY_FLOW,
    NONE,
    SEVERITIES,
    SPARE_ROWS,
    Context,
    FindingRow,
    FlowRow,
    new_seed,
)
from labkit.analysis.native.lazy import LazySequence
from labkit.analysis.native.order import LEFT_OUT
from labkit.analysis.native.packed import Library, RuleRow
from labkit.analysis.native.records import TYPES, ColdRow, Memory, SideRow, record, targets, write_row
from labkit.analysis.payload import RING_OCTETS, RING_PIECES
from labkit.analysis.severity import EVERY_PROFILE, Severity
from labkit.analysis.unread import PAIR_OCTETS, Unread
from labkit.analysis.verdict import Bounds, Verdict
from labkit.packet.seen import Seen

if TYPE_CHECKING:
    from array import array

    from labkit.analysis.finding import Finding
    from labkit.analysis.flow_filter import FlowFilter
    from labkit.analysis.native.reader import Batch
    from labkit.analysis.rule import Rule

JUDGING = (
    *("flows", "sides", "cold_rows", "cold_free", "buckets"),
    *("hosts", "host_buckets", "once_keys", "pieces", "ring"),
)
"""The tables that only judging segments needs."""


class Place(NamedTuple):
    """The place of a verifier among several."""

    memory: Memory
    """Of all their contexts."""
    number: int = 0
    shards: int = 1


class NativeVerifier:
    """Verifies one capture under a profile: `take` each batch, then ask for the verdict."""

    def __init__(
        self,
        profile: str,
        library: Library,
        bounds: Bounds | None = None,
        wanted: "FlowFilter | None" = None,
        most: int | None = None,
        *,
        judges: bool = True,
        place: "Place | None" = None,
    ) -> None:
        """`profile` is one of labkit.analysis.severity: RFC9293, DOCUMENT or LITERAL. The capture has `most` segments at most,
        where that is known: a small one takes less memory, which takes less time. `judges`: rules are asked. `place`: it is one
        of several (`labkit.analysis.native.shards`)."""
        self.profile = profile
        bounds = bounds or Bounds()
        self._entries = library.entries
        rules = library.rules
        numbers = EVERY_FLOW if wanted is None else wanted.numbers
        if most is not None:  # they still hold where a file grows while it is read
            bounds = bounds._replace(
                open=min(bounds.open, most + 1), over=min(bounds.over, most + 1), every=min(bounds.every, most + 1)
            )
        flows = bounds.open + bounds.over + bounds.every + 3
        findings = len(Severity) * bounds.findings + (bounds.once if place else 0)
        sizes = {
            "flows": flows,
            "sides": 2 * flows,
            "cold_rows": SPARE_ROWS + 1 + 2 * flows,
            "cold_free": 2 * flows,
            "blank_sides": 2,
            "blank_segment": 1,
            "resolved": 1,
            "buckets": _power(2 * bounds.open),
            "hosts": bounds.hosts,
            "host_buckets": _power(bounds.hosts),
            "once_keys": _power(2 * bounds.once),
            **dict.fromkeys(("findings", "order", "spare", "grades", "asked"), findings),
            **dict.fromkeys(("moments", "turns"), findings if place else 0),
            **dict.fromkeys(("ranks", "depends", "once_codes", "severities"), len(rules)),
            **dict.fromkeys(("counts", "hits"), SEVERITIES * len(rules)),
            "kept": SEVERITIES * (1 + len(rules)),
            "pieces": RING_PIECES,
            "ring": RING_OCTETS,
            "described": limits.MAX_DESCRIBED,
            "described_sides": 2 * limits.MAX_DESCRIBED,
            "pairs": PAIR_OCTETS,
            "filter_numbers": len(numbers),
        }
        self._kinds = {
            name: TYPES[kind] if isinstance(kind, str) else record(kind) for name, kind in targets(Context).items()
        }
        self._memory = {
            name: Memory(sizes[name] * sizeof(kind), huge=most is None) for name, kind in self._kinds.items()
        }
        place = place or Place(Memory(sizeof(record(Context)), huge=False))
        at = place.number * sizeof(record(Context))
        place.memory.view[at : at + sizeof(record(Context))] = _blank_context()
        self._context_memory = place.memory
        self.context = context = record(Context).from_buffer(place.memory.view, at)
        self.address = place.memory.address + at
        """The address of the context."""
        for name, memory in self._memory.items():
            setattr(context, name, memory.address)
        context.cold_at, context.cold_size = self._memory["cold_rows"].address, sizeof(record(ColdRow))
        context.cold_used = SPARE_ROWS + 1
        for number, row in enumerate(self.table("blank_sides")):
            ctypes.memmove(ctypes.addressof(row), _blank(SideRow), sizeof(row))
            row.cold_row = context.cold_at + number * context.cold_size
        self._memory["blank_segment"].view[:] = _blank(Seen)
        self.table("filter_numbers")[:] = numbers
        self.table("ranks")[:] = _ranks(rules)
        self.table("severities")[:] = _severities(rules, profile)
        self.table("once_codes")[:] = _once_codes(rules)
        context.max_open, context.max_over, context.max_once = bounds.open, bounds.over, bounds.once
        context.max_findings[:] = [bounds.findings] * SEVERITIES
        context.max_hosts, context.every = bounds.hosts, bounds.every
        context.left = context.every
        context.bucket_mask, context.host_mask = sizes["buckets"] - 1, sizes["host_buckets"] - 1
        context.once_mask = sizes["once_keys"] - 1
        context.max_described = limits.MAX_DESCRIBED
        context.seed = new_seed()
        context.judges, context.shards, context.shard = judges, place.shards, place.number

    def memory(self, name: str) -> Memory:
        """The memory of a table."""
        return self._memory[name]

    def release(self) -> None:
        """Give all memory back: nothing of it is needed any more."""
        for memory in self._memory.values():
            memory.release()

    def table(self, name: str) -> Any:
        """All rows of a table."""
        kind, view = self._kinds[name], self._memory[name].view
        return (kind * (len(view) // sizeof(kind))).from_buffer(view)

    def take(self, batch: "Batch") -> None:
        """Verify a batch of segments."""
        self._entries["process_batch"](batch.address, self.address)

    def prepare(self) -> bool:
        """Prepare some memory that will soon be needed. False if enough is. Another thread may take a batch meanwhile."""
        context = self.context
        used = {"flows": context.rows_used, "sides": 2 * context.rows_used, "findings": context.finding_count}
        return any(self._memory[name].prepare(rows * sizeof(self._kinds[name])) for name, rows in used.items())

    def verdict(self, packets: int, start: int, profile: str, unread: Unread) -> Verdict:
        """The verdict on a capture of `packets` frames, the first of which has the time `start`. `profile` is the name to show;
        `unread` are the frames that were not read."""
        self._call("finish")
        context = self.context
        beyond = self._beyond()
        found = self._limits(sum(each.count for each in beyond))
        frames, segments = found.not_read(unread, self._memory["pairs"].view)
        return Verdict(
            "",
            profile,
            findings=self._findings(start),
            packets=packets,
            segments=context.segments,
            other=packets - context.segments - frames - unread.parts,
            not_read=frames + segments,
            start=start,
            flows=context.flow_count,
            limits=found.limits(context.segments, context.reported),
            conversations=self._conversations(start),
            reported=context.reported,
            beyond=beyond,
        )

    def _conversations(self, start: int) -> "Conversations":
        count = min(self.context.reported, self.context.max_described)
        rows = self._memory["described"].view[: count * sizeof(record(FlowRow))]
        sides = self._memory["described_sides"].view[: 2 * count * sizeof(record(SideRow))]
        return Conversations(bytes(rows), bytes(sides), start)

    def _findings(self, start: int) -> "Sequence[Finding]":
        if not self.context.finding_count:
            return []
        from labkit.analysis.native.found import Findings, depends, left_out

        for name in JUDGING:  # what is made of many findings takes their place
            self._memory[name].release()
        rows = self._memory["findings"].view[: self._call("order_findings") * sizeof(record(FindingRow))]
        self.table("depends")[:] = depends(self.table("depends"))
        asked, marks = self._copied("spare", "I", self._call("ask_about")), self.table("asked")
        for place in left_out(asked, self.table("findings"), self.table("grades")):
            marks[place] = LEFT_OUT
        count = self._call("settle")
        order, grades = self._copied("order", "I", count), self._copied("spare", "i", count)
        counts = {grade: number for grade, number in enumerate(self.table("counts")) if number}
        return Findings(rows, order, grades, counts, self.profile, start)

    def _copied(self, name: str, code: str, count: int) -> "array[int]":
        """The first numbers of a table; `code` is their type as `array` calls it."""
        from array import array

        found = array(code)
        found.frombytes(self._memory[name].view[: count * found.itemsize])
        return found

    def _call(self, entry: str) -> int:
        return self._entries[entry](self.address)

    def _beyond(self) -> list[Group]:
        """The findings that were only counted."""
        found: dict[tuple[str, str, Severity], Group] = {}
        kept = self.table("kept")[:]
        if not any(kept[SEVERITIES:]):
            return []
        for number, rule in enumerate(shipped(), 1):
            for severity in Severity:
                if count := kept[number * SEVERITIES + severity]:
                    key = rule.code, rule.name, severity
                    found.setdefault(key, Group(*key)).count += count
        return [found[key] for key in sorted(found)]

    def _limits(self, beyond: int) -> CaptureLimits:
        found = CaptureLimits()
        hits = self.table("hits")
        # Most captures show no limit.
        for number, rule in _limiting() if any(self._memory["hits"].view.cast("Q")) else ():
            for answer in rule.limits:
                hit = hits[SEVERITIES * number + answer]
                found.count(rule, answer, hit.packet or None, hit.count)
        context = self.context
        found.end_many(missed=context.missed, again=context.repeated, forgotten=context.forgotten, beyond=beyond)
        return found


def _power(least: int) -> int:
    return 1 << (least - 1).bit_length()


@cache
def _blank(kind: Any) -> bytes:
    """A row of a dataclass as it is made."""
    row = record(kind)()
    write_row(row, kind())
    return bytes(row)


@cache
def _blank_context() -> bytes:
    """The context without what depends on the capture."""
    context = record(Context)()
    for each in fields(Context):
        if each.default_factory is not MISSING:
            getattr(context, each.name)[:] = each.default_factory()
        elif each.default is not MISSING:
            setattr(context, each.name, each.default)
    return bytes(context)


@cache
def _ranks(rules: tuple[RuleRow, ...]) -> list[int]:
    """Each rule's place in the order of codes."""
    codes = sorted({code for code, _once, _severities in rules})
    places = {code: place for place, code in enumerate(codes)}
    return [places[code] for code, _once, _severities in rules]


@cache
def _once_codes(rules: tuple[RuleRow, ...]) -> list[int]:
    """By rule the number of its code, if it reports once of each host."""
    numbers: dict[str, int] = {}
    return [numbers.setdefault(code, len(numbers)) if once else NONE for code, once, _severities in rules]


@cache
def _severities(rules: tuple[RuleRow, ...], profile: str) -> list[int]:
    """Each rule's severity in a profile; 0: it is not reported. Compiled code asks every rule, because the capture's limits need
    the rules that count limits under every profile."""
    place = EVERY_PROFILE.index(profile)
    return [severities[place] for _code, _once, severities in rules]


@cache
def _limiting() -> "list[tuple[int, Rule]]":
    """The rules that show a limit of the capture, with their numbers."""
    return [(number, rule) for number, rule in enumerate(shipped()) if rule.limits]


class Conversations(LazySequence[limits.Conversation]):
    """The first conversations of a capture in figures, each made when it is read."""

    def __init__(self, rows: bytes, sides: bytes, start: int) -> None:
        """The octets of rows of `FlowRow`, and of their sides."""
        self._rows, self._sides, self._start = rows, sides, start

    def __len__(self) -> int:
        return len(self._rows) // sizeof(record(FlowRow))

    @cached_property
    def _order(self) -> list[int]:
        return sorted(range(len(self)), key=lambda place: self._row(place).index)

    def of_flows(self, flows: Container[int]) -> Iterator[limits.Conversation]:
        """As `labkit.analysis.limits.of_flows`, without making the others."""
        return (self[at] for at, place in enumerate(self._order) if self._row(place).index in flows)

    def _row(self, place: int) -> Any:
        return record(FlowRow).from_buffer_copy(self._rows, place * sizeof(record(FlowRow)))

    def _make(self, place: int) -> limits.Conversation:
        from labkit.analysis.native.flow_table import ends_of

        place = self._order[place]
        row = self._row(place)
        kind: Any = record(SideRow)  # whose rows have the numbers of a `Side` under the same names
        sides = tuple(kind.from_buffer_copy(self._sides, (2 * place + each) * sizeof(kind)) for each in (0, 1))
        flow = Flow(row.index, ends_of(row), sides, client=row.client, point=row.point)
        return described(flow, list(row.resent), self._start)
