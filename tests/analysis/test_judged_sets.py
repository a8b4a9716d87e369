"""Captures whose right verdicts are known: `cases.json` beside them says what a good verdict names, and what it does not."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labkit import verify
from labkit.analysis.finding import Finding
from labkit.analysis.severity import Severity

CAPTURES = os.environ.get("LABKIT_CAPTURES")
PORTS = ("port", "sport", "dport", "src", "dst")

pytestmark = pytest.mark.slow


def cases(folder: str) -> list[Any]:
    """The cases of a folder, as parameters."""
    reason = pytest.mark.skip(reason="LABKIT_CAPTURES names no folder of captures")
    file = Path(CAPTURES or "", folder, "cases.json")
    if CAPTURES is None or not file.exists():
        return [pytest.param({}, marks=reason, id=folder)]
    return [pytest.param(each, id=f"{folder}/{each['file']}") for each in json.loads(file.read_text())]


def fits(found: Finding, want: dict[str, Any]) -> bool:
    """Whether a finding is one that a case asks for."""
    packets = want["packet"] if isinstance(want["packet"], list) else [want["packet"]]
    fields = want["field"] if isinstance(want["field"], list) else [want["field"]]
    codes = want.get("codes")
    return (
        (packets == [None] or found.packet in packets)
        and any(_same_field(field, found.field or "") for field in fields)
        and want["expected"] in (None, found.expected)
        and (not codes or found.code.startswith(tuple(codes)))
    )


def _same_field(wanted: str | None, field: str) -> bool:
    if wanted == "port":
        return field in PORTS
    return wanted in (None, field) or (wanted == "options" and field.startswith("options"))


@pytest.mark.parametrize("case", cases("student"))
@pytest.mark.parametrize("complete", [None, True], ids=["no-option", "complete"])
def test_a_students_mistake_is_named_at_its_packet(case: dict[str, Any], complete: bool | None) -> None:
    verdict = verify(Path(str(CAPTURES), "student", case["file"]), complete=complete)
    errors = [found for found in verdict.findings if found.severity == Severity.ERROR]
    if case["severity"] == "pass":
        assert [found for found in verdict.findings if found.severity > Severity.NOTE] == []
        return
    least = Severity[case["severity"].upper()]
    assert any(fits(found, want) for want in case["want"] for found in verdict.findings if found.severity >= least)
    assert len(errors) <= case["errors_at_most"]


@pytest.mark.parametrize("case", [*cases("cases"), *cases("kernel-6.18")])
def test_what_is_wanted_is_named_and_nothing_else(case: dict[str, Any], request: pytest.FixtureRequest) -> None:
    folder = request.node.callspec.id.partition("/")[0]
    verdict = verify(Path(str(CAPTURES), folder, case["file"]))
    named = [found for want in case["want"] for found in _named(verdict.findings, want, case["severity"])]
    for want in case["want"]:
        assert any(_named(verdict.findings, want, case["severity"])), want
    least = Severity[case["quiet"].upper()]
    packets = {found.packet for found in named}
    hosts = tuple(case.get("hosts") or ("",))
    others = [
        found
        for found in verdict.findings
        if found.severity >= least and found.packet not in packets and found.source.strip("[").startswith(hosts)
    ]
    assert others == []


def _named(findings: Any, want: dict[str, Any], severity: str) -> Iterator[Finding]:
    least = Severity[severity.upper()] if severity != "pass" else Severity.NOTE
    return (found for found in findings if found.severity >= least and fits(found, want))
