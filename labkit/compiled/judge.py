"""The compiled judge: it is given batches of segments, and gives the verdict that the interpreter would.

What it finds stays rows of numbers until somebody looks: a capture with a million lost packets has as many notes, and words
for all of them would take longer than finding them.
"""

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from labkit import survey
from labkit.compiled.kernels import ARRAYS, COUNTS, kernels, shown
from labkit.compiled.loader import Library
from labkit.compiled.records import record
from labkit.compiled.table import State
from labkit.finding import Choice, Evidence, Finding, Group, finding
from labkit.flows import HOSTS, Flow, end_name
from labkit.payload import ALL_OCTETS, ALL_PIECES
from labkit.rule import Rule, Scope, Severity, collect
from labkit.segment import Seen
from labkit.survey import Survey, described
from labkit.verifier import MOST_SAID, Bounds, Verdict

if TYPE_CHECKING:
    from labkit.compiled.reader import Batch

LIGHT = np.dtype([(name, np.int64) for name in ("rule", "found", "severity", "packet", "flow", "side", "at")])
"""What decides about an event: some of its numbers, the severity at which it is reported, and where it stands."""


class Judge:
    """Judges one capture under a profile: `take` each batch, then ask for the verdict."""

    def __init__(self, profile: str, library: Library, bounds: Bounds | None = None) -> None:
        """`profile` is one of labkit.rule: RFC9293, DOCUMENT or LITERAL."""
        self.profile = profile
        bounds = bounds or Bounds()
        self._judge, self._finish = library.entries["judge"], library.entries["finish"]
        sizes = {
            "segs": 0,
            "blank": 1,
            "t": 1,
            "rows": bounds.open + bounds.over + 3,
            "sides": 2 * (bounds.open + bounds.over + 3),
            "heads": _power(2 * bounds.open),
            "hosts": HOSTS,
            "host_heads": _power(HOSTS),
            "events": len(Severity) * bounds.findings,
            "hits": 2 * len(collect()),
            "asked": len(collect()),
            "said": _power(2 * MOST_SAID),
            "kept": COUNTS * (1 + len(collect())),
            "pieces": ALL_PIECES,
            "ring": ALL_OCTETS,
            "described": survey.MOST,
            "described_sides": 2 * survey.MOST,
        }
        # Zeros cost no memory before they are touched.
        self._arrays = {name: np.zeros(sizes[name], _kind(kind)) for name, kind in ARRAYS}
        self._blank()
        self._arrays["heads"][:] = -1
        self._arrays["host_heads"][:] = -1
        for number, rule in enumerate(collect()):
            # The rules of FAMILIES are asked under every profile, for the survey: each rule is, here.
            self._arrays["asked"][number] = rule.severity_in(profile, 1) if profile in rule.profiles else 0
        state = self._arrays["t"][0]
        for each in fields(State):
            state[each.name] = each.default
        state["most"], state["most_ended"], state["most_kept"] = bounds
        state["mask"], state["hosts_mask"] = sizes["heads"] - 1, sizes["host_heads"] - 1
        state["describable"], state["once"] = survey.MOST, 1
        state["said_most"], state["said_mask"] = MOST_SAID, sizes["said"] - 1
        self._state = state
        self._addresses = {name: array.ctypes.data for name, array in self._arrays.items()}

    def _blank(self) -> None:
        blank = self._arrays["blank"][0]
        for each in fields(Seen):
            blank[each.name] = each.default

    def take(self, batch: "Batch") -> None:
        """Judge a batch of segments."""
        self._addresses["segs"] = batch.records_address
        self._judge(batch.segments, batch.octets.address, batch.places_address, *self._addresses.values())

    def verdict(self, packets: int, start: int, profile: str) -> Verdict:
        """The verdict on all that was taken: on a capture of so many frames, which began at a time."""
        self._finish(*self._addresses.values())
        state = self._state
        count = int(state["described"])
        found = Findings(self._arrays["events"][: int(state["events"])], self.profile, start)
        beyond = self._beyond()
        return Verdict(
            "",
            profile,
            findings=found,
            packets=packets,
            segments=int(state["segments"]),
            flows=int(state["count"]),
            limits=self._surveyed(sum(each.count for each in beyond)).limits(int(state["segments"])),
            conversations=Conversations(self._arrays["described"], self._arrays["described_sides"], count, start),
            reported=int(state["count"]),
            beyond=beyond,
        )

    def _beyond(self) -> list[Group]:
        """The findings that were only counted."""
        found: dict[tuple[str, str, Severity], Group] = {}
        for rule, counts in zip(collect(), self._arrays["kept"].reshape(-1, COUNTS)[1:], strict=True):
            for severity in Severity:
                if counts[severity]:
                    key = rule.code, rule.name, severity
                    found.setdefault(key, Group(*key)).count += int(counts[severity])
        return [found[key] for key in sorted(found)]

    def _surveyed(self, beyond: int) -> Survey:
        found = Survey()
        hits = self._arrays["hits"]
        for number, rule in enumerate(collect()):
            for form in (0, 1):
                hit = hits[2 * number + form]
                found.count(rule, bool(form), int(hit["count"]), int(hit["packet"]) or None)
        state = self._state
        missed, again, forgotten = (int(state[name]) for name in ("missed", "again", "forgotten"))
        found.end_many(missed=missed, again=again, forgotten=forgotten, beyond=beyond)
        return found


def _power(least: int) -> int:
    return 1 << (least - 1).bit_length()


def _kind(kind: type | str) -> "np.dtype[Any]":
    return np.dtype(kind) if isinstance(kind, str) else record(kind)


class Findings(Sequence[Finding]):
    """The findings of a capture, each made when somebody looks at it; in the order of packets."""

    def __init__(self, events: "np.ndarray[Any, Any]", profile: str, start: int) -> None:
        self._events, self._profile, self._start = events, profile, start
        rows = np.zeros(len(events), LIGHT)
        for name in ("rule", "found", "packet", "flow", "side"):
            rows[name] = events[name]
        rows["severity"] = _severities(rows, profile)
        rows["at"] = np.arange(len(events))
        self._rows = _sorted(_standing(_last(rows)))

    def groups(self, first: int | None) -> list[Group]:
        """As `labkit.finding.groups` has them; no finding is made for it."""
        found = []
        for rule, severity, places in self._grouped():
            found.append(Group(rule.code, rule.name, severity, len(places), [int(place) for place in places[:first]]))
        return sorted(found, key=lambda group: group.places or [0])

    def regraded(self, choice: Choice) -> "Findings":
        """As `labkit.finding.regraded` has them; no finding is made for it."""
        rows = self._rows.copy()
        for rule, severity, places in self._grouped():
            rows["severity"][places] = choice(rule.code, rule.name, severity) or 0
        regraded = copy(self)
        regraded._rows = rows[rows["severity"] > 0]
        return regraded

    def _grouped(self) -> Iterator[tuple[Rule, Severity, "np.ndarray[Any, Any]"]]:
        """Each rule and severity that was found, and where these findings stand."""
        keys = self._rows["rule"] * COUNTS + self._rows["severity"]
        for key in np.unique(keys):
            yield collect()[key // COUNTS], Severity(int(key % COUNTS)), np.flatnonzero(keys == key)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Finding]:
        return (self._finding(row) for row in self._rows)

    @overload
    def __getitem__(self, index: int) -> Finding: ...

    @overload
    def __getitem__(self, index: slice) -> list[Finding]: ...

    def __getitem__(self, index: int | slice) -> Finding | list[Finding]:
        if isinstance(index, slice):
            return [self._finding(row) for row in self._rows[index]]
        return self._finding(self._rows[index])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def _finding(self, row: Any) -> Finding:
        event = dict(zip(self._events.dtype.names or (), self._events[int(row["at"])].item(), strict=True))
        rule = collect()[event["rule"]]
        values = dict(zip(shown(rule), (event[f"v{place}"] for place in range(4)), strict=False))
        whole = rule.scope == Scope.FLOW
        ends = [_end(event, "a"), _end(event, "b")]
        field = kernels().words[event["word"]] if callable(rule.field) else rule.field
        evidence = Evidence(
            packet=None if whole else event["packet"],
            time=None if whole else event["time"] - self._start,
            flow=event["flow"],
            source=ends[event["side"]],
            destination=ends[1 - event["side"]],
            field=field,
            expected=None if rule.expected is None else event["expected"],
            actual=None if rule.actual is None else event["actual"],
            value=values.__getitem__,
            bases=(event["base_me"], event["base_peer"]),
        )
        found, severity = finding(rule, event["found"], self._profile, evidence), Severity(int(row["severity"]))
        return found if found.severity == severity else replace(found, severity=severity)


class Conversations(Sequence[survey.Conversation]):
    """The first conversations of a capture in figures, each made when somebody looks at it."""

    def __init__(self, rows: "np.ndarray[Any, Any]", sides: "np.ndarray[Any, Any]", count: int, start: int) -> None:
        self._rows, self._sides, self._start = rows[:count].copy(), sides[: 2 * count].copy(), start
        self._order = np.argsort(self._rows["index"])

    def __len__(self) -> int:
        return len(self._order)

    @overload
    def __getitem__(self, index: int) -> survey.Conversation: ...

    @overload
    def __getitem__(self, index: slice) -> list[survey.Conversation]: ...

    def __getitem__(self, index: int | slice) -> survey.Conversation | list[survey.Conversation]:
        if isinstance(index, slice):
            return [self._described(place) for place in self._order[index]]
        return self._described(self._order[index])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def _described(self, place: int) -> survey.Conversation:
        row = dict(zip(self._rows.dtype.names, self._rows[place].item(), strict=True))
        flow = Flow(row["index"], (_octets(row, "a"), _octets(row, "b")), client=row["client"], point=row["point"])
        for side, known in zip(flow.sides, self._sides[2 * place : 2 * place + 2], strict=True):
            for name in known.dtype.names:
                if not name.startswith("doubt_") or name == "doubt_n":
                    setattr(side, name, int(known[name]))
        return described(flow, [row["a_resent"], row["b_resent"]], self._start)


def _octets(values: dict[str, Any], end: str) -> tuple[bytes, int]:
    """An end as `Flow` has it, of its columns."""
    words = b"".join(int(values[f"{end}{number}"]).to_bytes(4) for number in range(4))
    return words[: values["family"]], values[f"{end}_port"]


def _end(values: dict[str, Any], end: str) -> str:
    return end_name(_octets(values, end))


# What stands of what was found: as `labkit.verifier` has it, for many rows at once.


def _codes() -> tuple[list[str], "np.ndarray[Any, Any]"]:
    """All codes in their order, and each rule's position among them."""
    codes = sorted({rule.code for rule in collect()})
    return codes, np.array([codes.index(rule.code) for rule in collect()])


def _keys(rows: "np.ndarray[Any, Any]", codes: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """A number for each packet, or for whole conversations conversation, and code."""
    keys: np.ndarray[Any, Any] = _place(rows) * len(_codes()[0]) + codes
    return keys


def _last(rows: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Without what was found of a packet before more was in view: a finding about an earlier packet takes the place of all
    that were found there with the same code."""
    later = np.array([bool(rule.at) for rule in collect()])[rows["rule"]]
    if not later.any():
        return rows
    _, which = np.unique(_keys(rows, _codes()[1][rows["rule"]]), return_inverse=True)
    order = np.arange(len(rows))
    last = np.zeros(len(rows), np.int64)
    np.maximum.at(last, which, np.where(later, order, 0))
    standing: np.ndarray[Any, Any] = rows[order >= last[which]]
    return standing


def _standing(rows: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """What no other rule says more precisely, or once for all."""
    codes, code_of = _codes()
    keys = _keys(rows, code_of[rows["rule"]])
    grave = rows[rows["severity"] == Severity.ERROR]
    graves = np.unique((-1 - grave["flow"]) * len(codes) + code_of[grave["rule"]])
    stands = np.ones(len(rows), bool)
    for number in np.unique(rows["rule"]):
        rule = collect()[number]
        if not rule.unless:
            continue
        mine = rows["rule"] == number
        place, known = (-1 - rows["flow"][mine], graves) if rule.scope == Scope.FLOW else (_place(rows[mine]), keys)
        for code in map(codes.index, rule.unless):
            # Few were found under that code: looking for those only takes a tenth of the time.
            others = known[known % len(codes) == code]
            if len(others):
                stands[mine] &= ~np.isin(place * len(codes) + code, others)
    sums = np.array([rule.sums_up for rule in collect()])[rows["rule"]]
    sender = (rows["flow"] * 2 + rows["side"]) * len(codes) + code_of[rows["rule"]]
    if sums.any():
        stands &= sums | ~np.isin(sender, sender[sums])
    return rows[stands]


def _place(rows: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """A number for each packet, or for whole conversations below zero."""
    place: np.ndarray[Any, Any] = np.where(rows["packet"] > 0, rows["packet"], -1 - rows["flow"])
    return place


def _severities(rows: "np.ndarray[Any, Any]", profile: str) -> "np.ndarray[Any, Any]":
    """Each row's severity, as `Rule.severity_in` has it."""
    own = np.array([int(rule.severity_in(profile, 1)) for rule in collect()])
    severities: np.ndarray[Any, Any] = np.where(rows["found"] > 1, rows["found"], own[rows["rule"]])
    return severities


def _sorted(rows: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """In the order of a verdict: by packets, what is about whole conversations last."""
    whole = np.array([rule.scope == Scope.FLOW for rule in collect()])[rows["rule"]]
    order = np.lexsort((_codes()[1][rows["rule"]], rows["flow"], rows["packet"], whole))
    ordered: np.ndarray[Any, Any] = rows[order]
    return ordered
