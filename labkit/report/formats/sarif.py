"""SARIF 2.1.0 (OASIS), the format in which code-review servers take the results of analysers.

The log holds one run, with the rules by their codes and a result for each finding. SARIF viewers show lines, which a capture
does not have: the line of a result's region is its packet number, or that of the conversation's first packet. `properties` holds
every key of the finding. Unreadable captures, and the limits of all captures, are notifications of the run.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from json import dumps
from pathlib import PurePath
from urllib.parse import quote

from labkit import __version__
from labkit.analysis.catalogue import collect
from labkit.analysis.finding import Finding, fault_text
from labkit.analysis.limit_kinds import NOTHING
from labkit.analysis.limits import Limit
from labkit.analysis.rule import Rule
from labkit.analysis.verdict import Verdict
from labkit.i18n import _, printable
from labkit.report.formats import ReportOptions
from labkit.report.formats._judged import limit_text
from labkit.report.formats._records import config_record, finding_record, read_error, rules_of, verdict_record

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


SPECIFICATION = "https://www.rfc-editor.org/rfc/rfc{number}"
"""Where an RFC stands, by its number; sections have anchors."""

REFERENCE = re.compile(r"RFC (\d+)(?: (?:section )?(\d[\d.]*))?")


def render(verdicts: Iterable[Verdict], options: ReportOptions) -> Iterator[str]:
    """Yield the log, one result at a time; the artifacts and the invocation follow the results."""
    yield f'{{"$schema": "{SCHEMA}", "version": "2.1.0", "runs": [{{"results": ['
    artifacts: list[dict[str, object]] = []
    notifications: list[dict[str, object]] = []
    successful = True
    codes: dict[str, list[Rule]] = {}
    separator = ""
    for verdict in verdicts:
        if not artifacts:
            codes = _by_code(rules_of(verdict, options))
        index = len(artifacts)
        artifacts.append(_artifact(verdict, options))
        error = read_error(verdict)
        if error is not None:
            successful = False
            notifications.append(_notification(error, "error", verdict, index))
        notifications += [_limit(each, verdict, index, options) for each in verdict.limits]
        firsts = {each.flow: each.first_packet for each in verdict.conversations}
        for found in verdict.findings:
            yield separator + dumps(_result(found, verdict, index, list(codes), firsts))
            separator = ","
    tail: dict[str, object] = {
        "tool": {"driver": _driver(codes or _by_code(options.rules or collect()))},
        "artifacts": artifacts,
        "invocations": [{"executionSuccessful": successful, "toolExecutionNotifications": notifications}],
        "columnKind": "unicodeCodePoints",
    }
    if options.config is not None:
        tail["properties"] = {"config": config_record(options)}
    yield f"], {dumps(tail, indent=1)[1:]}]}}"


def _by_code(rules: Iterable[Rule]) -> dict[str, list[Rule]]:
    found: dict[str, list[Rule]] = {}
    for each in sorted(rules, key=lambda rule: rule.code):
        found.setdefault(each.code, []).append(each)
    return found


def _driver(codes: dict[str, list[Rule]]) -> dict[str, object]:
    return {
        "name": "labkit",
        "version": __version__,
        "semanticVersion": __version__,
        "informationUri": SPECIFICATION.format(number=9293),
        "rules": [_descriptor(code, members) for code, members in codes.items()],
    }


def _descriptor(code: str, members: list[Rule]) -> dict[str, object]:
    """The rules that share a code, as one SARIF rule."""
    names = ", ".join(each.name for each in members)
    return {
        "id": code,
        # Readers take "ANumber" for no word in Pascal case.
        "name": "".join(word if len(word) == 1 else word.capitalize() for word in members[0].name.split("-")),
        "shortDescription": {"text": names},
        "fullDescription": {"text": "\n\n".join(_(each.explanation) for each in members)},
        "help": {"text": f"labkit explain {code}"},
        "helpUri": _specification(members[0].reference),
        "defaultConfiguration": {"level": str(max(each.severity for each in members))},
        "properties": {
            "reference": members[0].reference,
            "wireshark": members[0].wireshark,
            "tags": [members[0].family],
        },
    }


def _specification(reference: str) -> str:
    """The address of the section that a rule comes from; that of RFC 9293 if it comes from no RFC."""
    match = REFERENCE.search(reference)
    if match is None:
        return SPECIFICATION.format(number=9293)
    section = f"#section-{match[2].rstrip('.')}" if match[2] else ""
    return SPECIFICATION.format(number=match[1]) + section


def _artifact(verdict: Verdict, options: ReportOptions) -> dict[str, object]:
    """A capture with its verdict, without findings and conversations."""
    properties = verdict_record(verdict, options.fail_on)
    del properties["findings"], properties["conversations"]
    # The URI is exact. A name that is not UTF-8 would be invalid Unicode here, and strict readers refuse that.
    properties["path"] = printable(verdict.path)
    return {
        "location": {"uri": _uri(verdict.path)},
        "roles": ["analysisTarget"],
        "properties": properties,
    }


def _uri(path: str) -> str:
    """The path as a URI reference (RFC 3986): a relative one as it is, an absolute one with its scheme."""
    if path == "-":
        return "stdin:"
    octets = quote(path.encode("utf-8", "surrogateescape"), safe="/")
    return f"file://{octets}" if PurePath(path).is_absolute() else octets


def _where(verdict: Verdict, index: int) -> dict[str, object]:
    return {"uri": _uri(verdict.path), "index": index}


def _place(verdict: Verdict, index: int, packet: int | None) -> dict[str, object]:
    """A packet of a capture, or the whole capture."""
    place: dict[str, object] = {"artifactLocation": _where(verdict, index)}
    return place if packet is None else {**place, "region": {"startLine": packet}}


def _result(
    found: Finding, verdict: Verdict, index: int, codes: list[str], firsts: Mapping[int, int]
) -> dict[str, object]:
    packet = found.packet
    ends = f"{found.source} → {found.destination}"
    result: dict[str, object] = {
        "ruleId": found.code,
        "level": str(found.severity),
        "message": {"text": fault_text(found)},
        "locations": [
            {
                "physicalLocation": _place(verdict, index, packet if packet is not None else firsts.get(found.flow)),
                "logicalLocations": [{"name": ends, "fullyQualifiedName": f"conversation {found.flow}: {ends}"}],
            }
        ],
        "properties": finding_record(found),
    }
    if found.caused_by is not None:
        cause = verdict.findings[found.caused_by]
        text = {"text": f"caused by: {fault_text(cause)}"}
        result["relatedLocations"] = [{"physicalLocation": _place(verdict, index, cause.packet), "message": text}]
    if found.code in codes:
        result["ruleIndex"] = codes.index(found.code)
    return result


def _limit(limit: Limit, verdict: Verdict, index: int, options: ReportOptions) -> dict[str, object]:
    """A limit of a capture: an error if the capture fails because of it, or was not judged."""
    fails = limit in verdict.failing_limits() or (limit.kind in NOTHING and not options.allow_empty)
    found = _notification(limit_text(limit, verdict), "error" if fails else "note", verdict, index, limit.packet)
    return {**found, "descriptor": {"id": limit.kind}}


def _notification(text: str, level: str, verdict: Verdict, index: int, packet: int | None = None) -> dict[str, object]:
    return {
        "level": level,
        "message": {"text": printable(text)},
        "locations": [{"physicalLocation": _place(verdict, index, packet)}],
    }
