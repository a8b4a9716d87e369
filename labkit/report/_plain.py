"""Verdicts and findings as plain values, for the formats that other programs read. The keys are a contract."""

from dataclasses import asdict

from labkit import __version__
from labkit.rule import Severity
from labkit.verifier import Finding, Verdict


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
        "findings": [finding(found) for found in judged.findings],
    }


def head(profile: str) -> dict[str, object]:
    """What stands before the captures."""
    return {"labkit": __version__, "profile": profile}
