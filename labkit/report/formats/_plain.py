"""Verdicts and findings as plain values and short words, for the formats that other programs read. The keys are a contract."""

from dataclasses import asdict

from labkit import __version__
from labkit.analysis.rule import Rule, Severity, collect
from labkit.analysis.verifier import Finding, Verdict
from labkit.report.formats import Options


def finding(found: Finding) -> dict[str, object]:
    """A finding; every key is always there."""
    return {**asdict(found), "severity": str(found.severity)}


def verdict(judged: Verdict, fail_on: Severity) -> dict[str, object]:
    """A capture's verdict: "pass", "fail", or "unreadable"; with `error` or `damage` where it could not all be read."""
    outcome = "unreadable" if judged.error else "pass" if judged.passes(fail_on) else "fail"
    damage = judged.damage
    return {
        "path": judged.path,
        "verdict": outcome,
        "packets": judged.packets,
        "segments": judged.segments,
        "flows": judged.flows,
        "error": judged.error,
        "damage": {"message": damage.message, "at": damage.at, "cut": damage.cut} if damage else None,
        "left_out": judged.left_out,
        "not_kept": not_kept(judged),
        "limits": [asdict(limit) for limit in judged.limits],
        "conversations": [asdict(each) for each in judged.conversations],
        "findings": [finding(found) for found in judged.findings],
    }


def not_kept(judged: Verdict) -> list[dict[str, object]]:
    """The findings that were only counted: how many of each rule, at each severity."""
    return [
        {"code": each.code, "name": each.name, "severity": str(each.severity), "count": each.count}
        for each in judged.beyond
    ]


def head(profile: str) -> dict[str, object]:
    """What stands before the captures."""
    return {"labkit": __version__, "profile": profile}


def rules(judged: Verdict, options: Options) -> tuple[Rule, ...]:
    """The rules that a capture was judged by."""
    return options.rules or tuple(each for each in collect() if judged.profile in each.profiles)


def unreadable(judged: Verdict) -> str | None:
    """Why a capture was not read, or what in it makes no sense; None where it was read, if only up to a cut."""
    if judged.error is not None:
        return judged.error
    damage = judged.damage
    return f"{judged.path}: {damage.message}" if damage is not None and not damage.cut else None


def sentence(found: Finding) -> str:
    """A finding on one line: where it is, what is wrong and what would be right."""
    place = f"packet {found.packet}" if found.packet is not None else f"conversation {found.flow}"
    return f"{place}, {found.source} → {found.destination}: {found.message}{expected(found)}"


def expected(found: Finding) -> str:
    """`; expected ack 120 (raw 4711)`, to end a sentence with; empty where there is no such number."""
    if found.expected is None or not found.field:
        return ""
    shown = found.expected if found.expected_relative is None else found.expected_relative
    raw = "" if shown == found.expected else f" (raw {found.expected})"
    return f"; expected {found.field} {shown}{raw}"
