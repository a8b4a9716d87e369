"""Verdicts and findings as JSON-ready records, shared by the machine formats. The keys are a contract."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields
from itertools import islice

from labkit import __version__
from labkit.analysis.catalogue import collect
from labkit.analysis.finding import Finding
from labkit.analysis.limits import Conversation
from labkit.analysis.rule import Rule
from labkit.analysis.severity import Severity
from labkit.analysis.verdict import Verdict
from labkit.report.formats import ReportOptions
from labkit.report.formats._judged import completeness


def finding_record(finding: Finding) -> dict[str, object]:
    """A finding; every key is always present."""
    record: dict[str, object] = {name: getattr(finding, name) for name in FINDING}
    record["severity"] = str(finding.severity)
    record["time_exact"] = None if finding.time is None else exact(finding.time)
    return record


BLOCK = 256
"""Lines of a piece."""

CONVERSATION = Conversation._fields
FINDING = tuple(each.name for each in fields(Finding))


def exact(seconds: float) -> str:
    """Seconds with nine decimals: exact to the nanosecond, for a float holds those of 90 days."""
    return f"{seconds:.9f}"


def conversation_record(conversation: Conversation) -> dict[str, object]:
    """A conversation in figures."""
    times = {f"{name}_exact": exact(getattr(conversation, name)) for name in ("start", "duration")}
    return {**{name: getattr(conversation, name) for name in CONVERSATION}, **times}


def verdict_record(verdict: Verdict, fail_on: Severity) -> dict[str, object]:
    """A capture's verdict (`Verdict.outcome`), with `error` or `damage` if it could not be read to its end."""
    return {
        **summary_record(verdict, fail_on),
        "conversations": [conversation_record(each) for each in verdict.conversations],
        "findings": [finding_record(each) for each in verdict.findings],
    }


def summary_record(verdict: Verdict, fail_on: Severity) -> dict[str, object]:
    """A capture's verdict without what may be long: its conversations and findings."""
    damage = verdict.damage
    return {
        "path": verdict.path,
        "verdict": verdict.outcome(fail_on),
        "up_to": verdict.up_to,
        "start": f"{verdict.start // 10**9}.{verdict.start % 10**9:09d}" if verdict.packets else None,
        "packets": verdict.packets,
        "segments": verdict.segments,
        "other": verdict.other,
        "not_read": verdict.not_read,
        "flows": verdict.flows,
        "error": verdict.error,
        "completeness": dict(zip(("taken", "why"), completeness(verdict), strict=True)),
        "damage": {"message": damage.message, "at": damage.at, "cut": damage.cut} if damage else None,
        "left_out": verdict.left_out,
        "known": verdict.known,
        "not_kept": not_kept(verdict),
        "limits": limit_records(verdict),
    }


def limit_records(verdict: Verdict) -> list[dict[str, object]]:
    """The limits of a capture; `fails` says of each whether it makes the capture fail."""
    failing = verdict.failing_limits()
    return [{**asdict(limit), "fails": limit in failing} for limit in verdict.limits]


def blocks(lines: Iterable[str]) -> Iterator[str]:
    """Yield the first line, and the others several at a time, which takes less time to print."""
    rest = iter(lines)
    yield from islice(rest, 1)
    while block := list(islice(rest, BLOCK)):
        yield "\n".join(block)


def not_kept(verdict: Verdict) -> list[dict[str, object]]:
    """The number of findings that were counted but not kept, by rule and severity."""
    return [
        {"code": each.code, "name": each.name, "severity": str(each.severity), "count": each.count}
        for each in verdict.beyond
    ]


def header(profile: str, options: ReportOptions | None = None) -> dict[str, object]:
    """The keys that precede the captures."""
    return {
        "labkit": __version__,
        "profile": profile,
        "config": config_record(options) if options else None,
        "reveal": options.reveal if options else "full",
    }


def config_record(options: ReportOptions) -> dict[str, object] | None:
    """The configuration: its file, or null, and the value of each key. None if the report knows no configuration."""
    return None if options.config is None else {"file": options.config.file, **options.config.settings}


def rules_of(verdict: Verdict, options: ReportOptions) -> tuple[Rule, ...]:
    """The rules that a capture was judged by."""
    return options.rules or tuple(each for each in collect() if verdict.profile in each.profiles)


def read_error(verdict: Verdict) -> str | None:
    """Why a capture could not be read or makes no sense; None if it was read, even if only up to a cut."""
    if verdict.error is not None:
        return verdict.error
    damage = verdict.damage
    return f"{verdict.path}: {damage.message}" if damage is not None and not damage.cut else None
