"""A baseline: the findings that a set of captures is known to have, so that only new ones fail.

    labkit verify fixtures/ --write-baseline labkit-baseline.json
    labkit verify fixtures/ --baseline labkit-baseline.json

A project that takes labkit up has captures that fail, and cannot mend all at once. The file names what fails them, in an order of
its own, so that its changes are readable. Findings are known by code, name, and packet or conversation; captures by their path,
relative to the file.
"""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from json import JSONDecodeError, dumps, loads
from pathlib import Path
from typing import Any

from labkit.analysis.finding import Finding
from labkit.analysis.findings import selected
from labkit.analysis.verdict import Verdict
from labkit.capture.sink import Sink
from labkit.errors import InputError
from labkit.i18n import _, printable, unreadable

VERSION = 1
MAX_FILE_OCTETS = 64 << 20
"""Octets of a baseline."""

Known = Counter[tuple[str, str, int | str]]
"""How often each finding is known: its code, its name, and its packet, or `flow N`."""


@dataclass(slots=True)
class Capture:
    """What is known of one capture."""

    findings: Known = field(default_factory=Counter)
    not_kept: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Findings that are only counted, by code and name."""
    limits: tuple[str, ...] = ()
    """Kinds of limits that fail it."""
    outcome: str = ""
    """`unreadable` or `not-judged`; empty: it was judged."""


class Baseline:
    """The known findings of captures: those of a file, or those that `add` collects for a new one."""

    def __init__(self, path: str) -> None:
        self._folder = os.path.dirname(os.path.realpath(path))  # noqa: PTH120 - the path may be any string
        self.path = path
        """The file."""
        self._captures: dict[str, Capture] = {}
        self.gone = 0
        """Known findings that `apply` did not meet in the captures that it was given."""

    @classmethod
    def load(cls, path: str) -> "Baseline":
        """Read a file. InputError if it cannot be read, or is not a baseline."""
        made = cls(path)
        for name, value in _table(path).items():
            try:
                made._captures[name] = _capture(value)
            except (TypeError, ValueError, KeyError, AttributeError):
                text = _("{file}: the entry of the capture {name} is not one that --write-baseline writes")
                raise InputError(text.format(file=printable(path), name=printable(name))) from None
        return made

    def add(self, verdict: Verdict) -> None:
        """Add what fails a capture."""
        outcome = verdict.outcome()
        if verdict.damage is not None:
            outcome = "" if verdict.damage.cut else "unreadable"
        found = Capture(
            Counter(_key(each) for each in verdict.findings if each.severity >= verdict.fail_on),
            Counter(
                {(each.code, each.name): each.count for each in verdict.beyond if each.severity >= verdict.fail_on}
            ),
            tuple(sorted({each.kind for each in verdict.failing_limits()})),
            outcome if outcome in ("unreadable", "not-judged") else "",
        )
        if found != Capture():
            self._captures[self._name(verdict.path)] = found

    def apply(self, verdict: Verdict) -> Verdict:
        """The verdict without the findings that are known, which it counts."""
        known = self._captures.get(self._name(verdict.path))
        if known is None:
            return verdict
        left, counted = Counter(known.findings), Counter(known.not_kept)
        kept: list[int] = []
        for place, each in enumerate(verdict.findings):
            if each.severity >= verdict.fail_on and left[_key(each)] > 0:
                left[_key(each)] -= 1
            else:
                kept.append(place)
        beyond = [
            each
            for each in verdict.beyond
            if each.severity < verdict.fail_on or each.count > counted.pop((each.code, each.name), 0)
        ]
        self.gone += left.total() + (known.outcome not in ("", verdict.outcome()))
        return replace(
            verdict,
            findings=selected(verdict.findings, kept),  # a consequence of a known mistake stays, without its cause
            beyond=beyond,
            known=len(verdict.findings) - len(kept) + sum(each.count for each in verdict.beyond if each not in beyond),
            known_outcome=known.outcome,
            strict=tuple(kind for kind in verdict.strict if kind not in known.limits),
        )

    def write(self) -> int:
        """Write the file, whole or not at all; return the number of captures in it. CaptureError if it cannot be written."""
        captures = {name: _plain(each) for name, each in sorted(self._captures.items())}
        lines = [f"{dumps(name)}: {dumps(each)}" for name, each in captures.items()]
        text = f'{{"labkit-baseline": {VERSION}, "captures": {{\n' + ",\n".join(lines) + "\n}}\n"
        sink = Sink(self.path)
        try:
            sink.write(text.encode())
            sink.commit()
        except BaseException:
            sink.discard()
            raise
        return len(captures)

    def _name(self, path: str) -> str:
        """A capture's path relative to the file, with slashes on every system."""
        return path if path == "-" else Path(os.path.relpath(os.path.realpath(path), self._folder)).as_posix()


def _key(finding: Finding) -> tuple[str, str, int | str]:
    return finding.code, finding.name, f"flow {finding.flow}" if finding.packet is None else finding.packet


def _plain(capture: Capture) -> dict[str, object]:
    findings: dict[str, list[int | str]] = {}
    for (code, name, place), count in sorted(capture.findings.items(), key=str):
        findings.setdefault(f"{code} {name}", []).extend([place] * count)
    for places in findings.values():
        places.sort(key=lambda place: (isinstance(place, str), place))
    values: dict[str, object] = {
        "verdict": capture.outcome,
        "findings": findings,
        "not_kept": {f"{code} {name}": count for (code, name), count in sorted(capture.not_kept.items())},
        "limits": list(capture.limits),
    }
    return {name: value for name, value in values.items() if value}


def _capture(value: Mapping[str, Any]) -> Capture:
    """What is known of a capture, from its values in the file. An error of any kind if they do not fit."""
    if unknown := value.keys() - {"verdict", "findings", "not_kept", "limits"}:
        raise ValueError(unknown)
    findings: Known = Counter()
    for words, places in value.get("findings", {}).items():
        code, name = words.split(" ")
        for place in places:
            if not isinstance(place, int | str):
                raise TypeError(place)
            findings[code, name, place] += 1
    not_kept: Counter[tuple[str, str]] = Counter()
    for words, count in value.get("not_kept", {}).items():
        code, name = words.split(" ")
        not_kept[code, name] = int(count)
    return Capture(findings, not_kept, tuple(map(str, value.get("limits", ()))), str(value.get("verdict", "")))


def _table(path: str) -> Mapping[str, Any]:
    name = printable(path)
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - the path may be any string
            octets = file.read(MAX_FILE_OCTETS + 1)
    except (OSError, ValueError) as error:
        raise InputError(unreadable(path, error)) from error
    if len(octets) > MAX_FILE_OCTETS:
        raise InputError(_("{file}: the file is larger than {most} bytes").format(file=name, most=MAX_FILE_OCTETS))
    try:
        table = loads(octets)
    except (JSONDecodeError, UnicodeDecodeError, RecursionError):
        table = None
    if not isinstance(table, dict) or not isinstance(table.get("captures"), dict) or "labkit-baseline" not in table:
        raise InputError(_("{file}: not a baseline; --write-baseline writes one").format(file=name))
    if table["labkit-baseline"] != VERSION:
        text = _("{file}: a baseline of version {version}; this labkit reads version {own}")
        raise InputError(text.format(file=name, version=printable(str(table["labkit-baseline"]))[:20], own=VERSION))
    captures: dict[str, Any] = table["captures"]
    return captures
