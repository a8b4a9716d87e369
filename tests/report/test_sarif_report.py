"""The SARIF report: its keys are those of the 2.1.0 schema, and its indexes are valid."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest

from labkit.analysis.catalogue import collect
from labkit.analysis.report_config import ReportConfig
from labkit.analysis.severity import Severity
from labkit.analysis.verdict import Verdict
from labkit.analysis.verifier import verify
from labkit.capture import Damage, create
from labkit.report.formats import ReportOptions, renderer
from labkit.tcp.notation import parse
from labkit.teach.examples import frames

WRONG = "> S 0:0(0)\n< S. 0:0(0) ack 1\n> . 1:1(0) ack 1\n< . 1:1(0) ack 7\n> . 1:1(0) ack 1\n"

ALLOWED = {
    "top": ({"version", "runs"}, {"$schema"}),
    "run": ({"tool"}, {"results", "artifacts", "invocations", "columnKind", "properties"}),
    "driver": ({"name"}, {"version", "semanticVersion", "informationUri", "rules"}),
    "rule": (
        {"id"},
        {"name", "shortDescription", "fullDescription", "help", "helpUri", "defaultConfiguration", "properties"},
    ),
    "result": ({"message"}, {"ruleId", "ruleIndex", "level", "locations", "properties"}),
    "invocation": ({"executionSuccessful"}, {"toolExecutionNotifications"}),
    "notification": ({"message"}, {"level", "locations"}),
    "artifact": (set(), {"location", "roles", "properties"}),
}
"""For each object: the keys that the schema requires, and the optional ones that labkit uses."""


def keeps(kind: str, value: dict[str, Any]) -> bool:
    required, others = ALLOWED[kind]
    return required <= set(value) <= required | others


def log(*verdicts: Verdict, options: ReportOptions | None = None) -> dict[str, Any]:
    value = json.loads("\n".join(renderer("sarif")(verdicts, options or ReportOptions(Severity.ERROR))))
    assert keeps("top", value)
    assert value["version"] == "2.1.0"
    (run,) = value["runs"]
    assert keeps("run", run)
    driver = run["tool"]["driver"]
    assert keeps("driver", driver)
    assert all(keeps("rule", each) for each in driver["rules"])
    assert len({each["id"] for each in driver["rules"]}) == len(driver["rules"])
    for each in run["results"]:
        assert keeps("result", each)
        assert each["level"] in {"none", "note", "warning", "error"}
        assert driver["rules"][each["ruleIndex"]]["id"] == each["ruleId"]
        (place,) = each["locations"]
        where = place["physicalLocation"]["artifactLocation"]
        assert run["artifacts"][where["index"]]["location"]["uri"] == where["uri"]
    assert all(keeps("artifact", each) for each in run["artifacts"])
    for each in run["invocations"]:
        assert keeps("invocation", each)
        assert all(keeps("notification", one) for one in each["toolExecutionNotifications"])
    return run


@pytest.fixture
def faulty(tmp_path: Path) -> Verdict:
    with create(tmp_path / "a.pcap", link=1) as writer:
        for frame in frames(list(parse(WRONG))):
            writer.write(frame.time, frame.data)
    return verify(tmp_path / "a.pcap")


def test_a_result_for_each_finding(faulty: Verdict) -> None:
    run = log(faulty)
    assert [each["ruleId"] for each in run["results"]] == [found.code for found in faulty.findings]
    (error,) = [each for each in run["results"] if each["level"] == "error"]
    assert error["locations"][0]["physicalLocation"]["region"] == {"startLine": 4}
    assert (error["properties"]["packet"], error["properties"]["expected"]) == (4, 1)
    assert error["message"]["text"].startswith("ack 7 acknowledges bytes that the peer has not sent; ")
    assert error["message"]["text"].endswith("; should be: ack 1 at most, the peer's next sequence number")


def test_a_finding_about_a_conversation_stands_at_its_first_packet(faulty: Verdict) -> None:
    faulty = replace(faulty, findings=[replace(faulty.findings[0], packet=None)])
    (whole,) = log(faulty)["results"]
    assert whole["locations"][0]["physicalLocation"]["region"] == {"startLine": 1}
    (whole,) = log(replace(faulty, conversations=[]))["results"]
    assert "region" not in whole["locations"][0]["physicalLocation"]


def test_each_rule_has_an_address_and_a_name_that_readers_accept(faulty: Verdict) -> None:
    driver = log(faulty)["tool"]["driver"]
    assert driver["informationUri"] == "https://www.rfc-editor.org/rfc/rfc9293"
    uris = {each["id"]: each["helpUri"] for each in driver["rules"]}
    assert uris["ACK01"] == "https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4"
    assert all(
        re.fullmatch(r"https://www\.rfc-editor\.org/rfc/rfc\d+(#section-\d+(\.\d+)*)?", each) for each in uris.values()
    )
    # sarif-multitool's rule SARIF2012: no two capital letters follow each other.
    assert all(re.fullmatch(r"([A-Z][a-z0-9]+)+", each["name"]) for each in driver["rules"])


@pytest.mark.parametrize("select", [(), ("SEQ01",)])
def test_the_driver_has_the_rules(select: tuple[str, ...]) -> None:
    options = ReportOptions(Severity.ERROR, config=ReportConfig(select=select))
    run = log(Verdict("a.pcap", "rfc9293"), options=options)
    wanted = {each.code for each in collect() if "rfc9293" in each.profiles and each.code in (select or [each.code])}
    assert {each["id"] for each in run["tool"]["driver"]["rules"]} == wanted


def test_without_captures_there_is_an_empty_run() -> None:
    run = log()
    assert (run["results"], run["artifacts"]) == ([], [])


@pytest.mark.parametrize("name", ["a b.pcap", "ü/中.pcap", "a:b.pcap", "\udcff", "x\ny", "/abs/a.pcap", "#?%.pcap"])
def test_file_names_become_uris(name: str) -> None:
    uri = log(Verdict(name, "rfc9293"))["artifacts"][0]["location"]["uri"]
    assert not set(uri) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/:%")
    assert unquote_to_bytes(uri.removeprefix("file://")) == name.encode("utf-8", "surrogateescape")
    assert uri.startswith("file:") == name.startswith("/")
    assert "\\ud" not in "".join(renderer("sarif")([Verdict(name, "rfc9293")], ReportOptions(Severity.ERROR))).replace(
        "\\\\", ""
    )


@pytest.mark.parametrize(
    ("verdict", "good"),
    [
        (Verdict("a.pcap", "rfc9293"), True),
        (Verdict("a.pcap", "rfc9293", error="a.pcap: is empty"), False),
        (Verdict("a.pcap", "rfc9293", damage=Damage("it ends here", 9, cut=True)), True),
        (Verdict("a.pcap", "rfc9293", damage=Damage("no sense", 9, cut=False)), False),
    ],
)
def test_unreadable_captures_are_notifications(verdict: Verdict, good: bool) -> None:
    (invocation,) = log(verdict)["invocations"]
    assert invocation["executionSuccessful"] is good
    assert len(invocation["toolExecutionNotifications"]) == int(not good)
