"""The compiled judge: it is given batches of segments, and gives the verdict that the interpreter would."""

import ctypes
from collections.abc import Sequence
from ctypes import sizeof
from dataclasses import fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

from labkit.analysis import limits
from labkit.analysis.finding import Finding, Group
from labkit.analysis.flow_filter import FlowFilter
from labkit.analysis.flows import Flow
from labkit.analysis.limits import CaptureLimits, described
from labkit.analysis.native.judging import Event
from labkit.analysis.native.kernels import ARRAYS, COUNTS, SPARES
from labkit.analysis.native.loader import Library
from labkit.analysis.native.records import TYPES, WHERE, Memory, columns, record
from labkit.analysis.native.table import Conversation, State, ends, numbers_of, seed
from labkit.analysis.payload import ALL_OCTETS, ALL_PIECES
from labkit.analysis.rule import Severity, shipped
from labkit.analysis.side import Side
from labkit.analysis.verifier import Bounds, Verdict
from labkit.packet.seen import Seen

if TYPE_CHECKING:
    from labkit.analysis.native.reader import Batch


class Judge:
    """Judges one capture under a profile: `take` each batch, then ask for the verdict."""

    def __init__(
        self, profile: str, library: Library, bounds: Bounds | None = None, wanted: FlowFilter | None = None
    ) -> None:
        """`profile` is one of labkit.analysis.rule: RFC9293, DOCUMENT or LITERAL."""
        self.profile = profile
        bounds = bounds or Bounds()
        self._judge, self._finish = library.entries["judge"], library.entries["finish"]
        chosen = numbers_of(wanted or FlowFilter())
        sizes = {
            "segs": 0,
            "blank": 1,
            "t": 1,
            "rows": bounds.open + bounds.over + 3,
            "sides": 2 * (bounds.open + bounds.over + 3),
            "doubts": 2 * (bounds.open + bounds.over + 4),
            "heads": _power(2 * bounds.open),
            "hosts": bounds.hosts,
            "host_heads": _power(bounds.hosts),
            "events": len(Severity) * bounds.findings,
            "hits": COUNTS * len(shipped()),
            "asked": len(shipped()),
            "said": _power(2 * bounds.said),
            "kept": COUNTS * (1 + len(shipped())),
            "pieces": ALL_PIECES,
            "ring": ALL_OCTETS,
            "described": limits.MOST,
            "described_sides": 2 * limits.MOST,
            "chosen": len(chosen),
        }
        self._memory = {name: Memory(sizes[name] * sizeof(_kind(kind))) for name, kind in ARRAYS}
        self._addresses = {name: memory.address for name, memory in self._memory.items()}
        blank, state = self._array("blank")[0], self._array("t")[0]
        for row, kind in ((blank, Seen), (state, State)):
            for each in fields(kind):
                setattr(row, each.name, each.default)
        for name in ("heads", "host_heads"):
            ctypes.memset(self._addresses[name], 0xFF, len(self._memory[name].view))
        self._array("chosen")[:] = chosen
        asked = self._array("asked")
        for number, rule in enumerate(shipped()):
            # The rules of FAMILIES are asked under every profile, for the survey: each rule is, here.
            asked[number] = rule.severity_in(profile, 1) if profile in rule.profiles else 0
        state.most, state.most_ended, state.most_kept, state.said_most, state.most_hosts = bounds
        state.mask, state.hosts_mask = sizes["heads"] - 1, sizes["host_heads"] - 1
        state.describable = limits.MOST
        state.said_mask = sizes["said"] - 1
        state.seed = seed()
        state.doubts, state.doubts_at = SPARES, self._addresses["doubts"]
        self._state = state

    def _array(self, name: str) -> Any:
        """All of an array."""
        kind = _kind(dict(ARRAYS)[name])
        view = self._memory[name].view
        return (kind * (len(view) // sizeof(kind))).from_buffer(view)

    def take(self, batch: "Batch") -> None:
        """Judge a batch of segments."""
        self._addresses["segs"] = batch.records_address
        self._judge(
            batch.segments, batch.octets.address, batch.places_address, batch.hashes_address, *self._addresses.values()
        )

    def verdict(self, packets: int, start: int, profile: str) -> Verdict:
        """The verdict on all that was taken: on a capture of so many frames, which began at a time."""
        self._finish(*self._addresses.values())
        state = self._state
        beyond = self._beyond()
        surveyed = self._surveyed(sum(each.count for each in beyond))
        return Verdict(
            "",
            profile,
            findings=self._findings(start),
            packets=packets,
            segments=state.segments,
            flows=state.count,
            limits=surveyed.limits(state.segments, state.reported),
            conversations=self._conversations(start),
            reported=state.reported,
            beyond=beyond,
        )

    def _conversations(self, start: int) -> "Conversations":
        count = self._state.described
        rows = self._memory["described"].view[: count * sizeof(record(Conversation))]
        sides = self._memory["described_sides"].view[: 2 * count * sizeof(record(Side))]
        return Conversations(bytes(rows), bytes(sides), start)

    def _findings(self, start: int) -> Sequence[Finding]:
        if not self._state.events:
            return []
        # numpy is imported with it: for a capture in which nothing is found that would take longer than all else.
        from labkit.analysis.native.found import Findings

        return Findings(self._memory["events"].view[: self._state.events * sizeof(record(Event))], self.profile, start)

    def _beyond(self) -> list[Group]:
        """The findings that were only counted."""
        found: dict[tuple[str, str, Severity], Group] = {}
        kept = self._array("kept")
        for number, rule in enumerate(shipped(), 1):
            for severity in Severity:
                if count := kept[number * COUNTS + severity]:
                    key = rule.code, rule.name, severity
                    found.setdefault(key, Group(*key)).count += count
        return [found[key] for key in sorted(found)]

    def _surveyed(self, beyond: int) -> CaptureLimits:
        found = CaptureLimits()
        hits = self._array("hits")
        for number, rule in enumerate(shipped()):
            for answer in rule.limits:
                hit = hits[COUNTS * number + answer]
                found.count(rule, answer, hit.packet or None, hit.count)
        state = self._state
        found.end_many(missed=state.lacking, again=state.again, forgotten=state.forgotten, beyond=beyond)
        return found


def _power(least: int) -> int:
    return 1 << (least - 1).bit_length()


def _kind(kind: type | str) -> Any:
    """The structure, or the number, that an array consists of."""
    return TYPES[kind] if isinstance(kind, str) else record(kind)


class Conversations(Sequence[limits.Conversation]):
    """The first conversations of a capture in figures, each made when somebody looks at it."""

    def __init__(self, rows: bytes, sides: bytes, start: int) -> None:
        """The octets of rows and of their sides."""
        self._rows, self._sides, self._start = rows, sides, start

    def __len__(self) -> int:
        return len(self._rows) // sizeof(record(Conversation))

    @cached_property
    def _order(self) -> list[int]:
        return sorted(range(len(self)), key=lambda place: self._row(place).index)

    def _row(self, place: int) -> Any:
        return record(Conversation).from_buffer_copy(self._rows, place * sizeof(record(Conversation)))

    @overload
    def __getitem__(self, index: int) -> limits.Conversation: ...

    @overload
    def __getitem__(self, index: slice) -> list[limits.Conversation]: ...

    def __getitem__(self, index: int | slice) -> limits.Conversation | list[limits.Conversation]:
        if isinstance(index, slice):
            return [self._described(place) for place in self._order[index]]
        return self._described(self._order[index])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def _described(self, place: int) -> limits.Conversation:
        row = self._row(place)
        flow = Flow(row.index, ends(row), client=row.client, point=row.point)
        for side, number in zip(flow.sides, (2 * place, 2 * place + 1), strict=True):
            known = record(Side).from_buffer_copy(self._sides, number * sizeof(record(Side)))
            for name, column in columns(Side).items():
                if name != WHERE and not column.beside:
                    setattr(side, name, getattr(known, name))
        return described(flow, [row.a_resent, row.b_resent], self._start)
