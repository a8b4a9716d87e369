"""SARIF 2.1.0 (OASIS), the format by which code-review servers take the results of analysers.

One run: the rules by their codes, a result for each finding. A capture has no lines, but what shows SARIF shows lines:
the line of a result's region is the number of its packet, and `properties` holds every key of the finding. What could
not be read stands among the run's notifications.
"""

from collections.abc import Iterable, Iterator
from json import dumps
from pathlib import PurePath
from urllib.parse import quote

from labkit import __version__
from labkit.analysis.rule import Rule, collect
from labkit.analysis.verifier import Finding, Verdict
from labkit.i18n import printable
from labkit.report.formats import Options
from labkit.report.formats._plain import expected, finding, rules, unreadable, verdict

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def render(verdicts: Iterable[Verdict], options: Options) -> Iterator[str]:
    """The object, a result at a time; the artifacts, and how it went, stand at its end."""
    yield f'{{"$schema": "{SCHEMA}", "version": "2.1.0", "runs": [{{"results": ['
    artifacts: list[dict[str, object]] = []
    notifications: list[dict[str, object]] = []
    codes: dict[str, list[Rule]] = {}
    separator = ""
    for judged in verdicts:
        if not artifacts:
            codes = _by_code(rules(judged, options))
        index = len(artifacts)
        artifacts.append(_artifact(judged, options))
        trouble = unreadable(judged)
        if trouble is not None:
            notifications.append(_notification(trouble, judged, index))
        for found in judged.findings:
            yield separator + dumps(_result(found, judged, index, list(codes)))
            separator = ","
    tail = {
        "tool": {"driver": _driver(codes or _by_code(options.rules or collect()))},
        "artifacts": artifacts,
        "invocations": [{"executionSuccessful": not notifications, "toolExecutionNotifications": notifications}],
        "columnKind": "unicodeCodePoints",
    }
    yield f"], {dumps(tail, indent=1)[1:]}]}}"


def _by_code(rules_: Iterable[Rule]) -> dict[str, list[Rule]]:
    found: dict[str, list[Rule]] = {}
    for each in sorted(rules_, key=lambda rule: rule.code):
        found.setdefault(each.code, []).append(each)
    return found


def _driver(codes: dict[str, list[Rule]]) -> dict[str, object]:
    return {
        "name": "labkit",
        "version": __version__,
        "semanticVersion": __version__,
        "rules": [_descriptor(code, members) for code, members in codes.items()],
    }


def _descriptor(code: str, members: list[Rule]) -> dict[str, object]:
    """The rules of a code as one."""
    names = ", ".join(each.name for each in members)
    return {
        "id": code,
        "name": "".join(word.capitalize() for word in members[0].name.split("-")),
        "shortDescription": {"text": names},
        "fullDescription": {"text": "\n\n".join(each.explanation for each in members)},
        "help": {"text": f"labkit explain {code}"},
        "defaultConfiguration": {"level": str(max(each.severity for each in members))},
        "properties": {
            "reference": members[0].reference,
            "wireshark": members[0].wireshark,
            "tags": [members[0].family],
        },
    }


def _artifact(judged: Verdict, options: Options) -> dict[str, object]:
    """A capture, with what is said of it as a whole."""
    plain = verdict(judged, options.fail_on)
    del plain["findings"], plain["conversations"]
    # The URI is exact. A name that is not UTF-8 would be no Unicode text here, which strict readers refuse.
    plain["path"] = printable(judged.path)
    return {
        "location": {"uri": _uri(judged.path)},
        "roles": ["analysisTarget"],
        "properties": plain,
    }


def _uri(path: str) -> str:
    """The path as a URI reference (RFC 3986): relative as it is given, absolute with its scheme."""
    if path == "-":
        return "stdin:"
    octets = quote(path.encode("utf-8", "surrogateescape"), safe="/")
    return f"file://{octets}" if PurePath(path).is_absolute() else octets


def _where(judged: Verdict, index: int) -> dict[str, object]:
    return {"uri": _uri(judged.path), "index": index}


def _result(found: Finding, judged: Verdict, index: int, codes: list[str]) -> dict[str, object]:
    place: dict[str, object] = {"artifactLocation": _where(judged, index)}
    if found.packet is not None:
        place["region"] = {"startLine": found.packet}
    ends = f"{found.source} → {found.destination}"
    result: dict[str, object] = {
        "ruleId": found.code,
        "level": str(found.severity),
        "message": {"text": found.message + expected(found)},
        "locations": [
            {
                "physicalLocation": place,
                "logicalLocations": [{"name": ends, "fullyQualifiedName": f"conversation {found.flow}: {ends}"}],
            }
        ],
        "properties": finding(found),
    }
    if found.code in codes:
        result["ruleIndex"] = codes.index(found.code)
    return result


def _notification(trouble: str, judged: Verdict, index: int) -> dict[str, object]:
    return {
        "level": "error",
        "message": {"text": trouble},
        "locations": [{"physicalLocation": {"artifactLocation": _where(judged, index)}}],
    }
