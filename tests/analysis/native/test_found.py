"""Findings that stay rows are those that become a list: after the second look, and after what reports do with them."""

import pickle
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import pytest
from engines import compiled
from hypothesis import given
from hypothesis import strategies as st

from labkit.analysis import examine as looking
from labkit.analysis import second_look
from labkit.analysis.catalogue import collect, shipped
from labkit.analysis.examine import Completeness, examine
from labkit.analysis.findings import changed, consequences, groups, outlines, regraded, selected
from labkit.analysis.native.found import Findings
from labkit.analysis.native.native_verifier import NativeVerifier
from labkit.analysis.native.packed import Library
from labkit.analysis.report_config import ReportConfig
from labkit.analysis.severity import RFC9293, Severity
from labkit.analysis.verdict import Bounds, Verdict
from labkit.analysis.verifier import Verifier
from labkit.capture import Frames
from labkit.report.annotate import annotate
from labkit.report.baseline import Baseline
from labkit.report.formats import ReportOptions, renderer
from labkit.report.reveal import LEVELS, hidden, reveal
from labkit.tcp.notation import parse
from labkit.teach.examples import frames

OPENING = "> S 0:0(0)\n< S. 0:0(0) ack 1\n> . 1:1(0) ack 1\n"
MISTAKES = {
    "an ack that stays wrong": OPENING
    + "> P. 1:11(10) ack 1\n< . 1:1(0) ack 32\n> P. 11:21(10) ack 1\n< . 1:1(0) ack 21\n",
    "a seq that stays wrong": OPENING + "> P. 2:5(3) ack 1\n< P. 1:3(2) ack 5\n> . 5:5(0) ack 3\n> F. 5:5(0) ack 3\n",
    "no third ACK": "> S 0:0(0)\n< S. 0:0(0) ack 1\n< P. 1:4(3) ack 1\n> . 1:1(0) ack 4\n< . 4:4(0) ack 9\n",
    "beyond the window": OPENING + "> P. 70000:70001(1) ack 1\n> . 1:1(0) ack 7\n> . 1:1(0) ack 8\n< . 1:1(0) ack 2\n",
}
TEXTS = [*MISTAKES.values(), "".join(MISTAKES.values())]


def both(text: str, code: Library, assume: Completeness = Completeness.COMPLETE) -> tuple[Verdict, Verdict]:
    """The verdict of the interpreter, whose findings are a list, and that of compiled code, as of a large capture."""
    found = [frame._replace(number=at) for at, frame in enumerate(frames(list(parse(text)), isns=(1000, 5000)), 1)]
    with patch.object(looking, "MAX_WHOLE", 0), patch.object(second_look, "MAX_WHOLE", 0):
        look = partial(examine, again=lambda: found, rules=collect(), assume=assume)
        one, other = look(Verifier().run(found)), look(compiled(found, code, RFC9293, Bounds()))
    assert isinstance(one.findings, list)
    assert isinstance(other.findings, Findings)
    return one, other


@pytest.mark.parametrize("assume", [Completeness.COMPLETE, Completeness.AUTO])
@pytest.mark.parametrize("text", TEXTS)
def test_the_second_look_gives_the_same(text: str, assume: Completeness, code: Library) -> None:
    one, other = both(text, code, assume)
    assert one.findings
    assert list(other.findings) == one.findings
    assert other == one
    assert pickle.loads(pickle.dumps(other)) == one  # noqa: S301 - our own


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, len(shipped()) - 1)), max_size=40))
def test_findings_about_no_packet_come_last(code: Library, found: list[tuple[int, int, int]]) -> None:
    verifier = NativeVerifier(RFC9293, code, Bounds(findings=20))
    for row, (packet, flow, rule) in zip(verifier.table("findings"), found, strict=False):
        row.packet, row.flow, row.rule = packet, flow, rule
    verifier.context.finding_count = len(found)
    code.entries["order_findings"](verifier.address)
    order = [found[place] for place in verifier.table("order")[: len(found)]]
    assert order == sorted(found, key=lambda each: (each[0] == 0, each[0], each[1], shipped()[each[2]].code))


USES: dict[str, Callable[[Verdict], object]] = {
    "groups": lambda verdict: groups(verdict.findings, 2),
    "consequences": lambda verdict: consequences(verdict.findings),
    "outlines": lambda verdict: [
        (each.code, each.severity, each.packet, each.flow) for each in outlines(verdict.findings)
    ],
    "half of them": lambda verdict: list(selected(verdict.findings, range(0, len(verdict.findings), 2))),
    "half of half": lambda verdict: list(selected(selected(verdict.findings, range(1, 4)), [0, 2])),
    "hidden": lambda verdict: list(changed(verdict.findings, partial(hidden, level="none"))),
    "without errors": lambda verdict: list(
        regraded(verdict.findings, lambda _code, _name, severity: None if severity == Severity.ERROR else severity)
    ),
    "all are notes": lambda verdict: list(regraded(verdict.findings, lambda _code, _name, _severity: Severity.NOTE)),
    "configured": lambda verdict: ReportConfig(ignore=("ACK",), severity={"SEQ": Severity.WARNING}).apply(verdict),
    **{level: partial(lambda verdict, level: reveal(verdict, level), level=level) for level in LEVELS},
    **{
        name: partial(
            lambda verdict, name: "\n".join(renderer(name)([verdict], ReportOptions(Severity.ERROR, True))), name=name
        )
        for name in ("text", "json", "jsonl", "csv", "markdown", "junit", "sarif")
    },
}


@pytest.mark.parametrize("use", USES)
def test_reports_get_the_same(use: str, code: Library) -> None:
    for text in TEXTS:
        one, other = both(text, code)
        assert USES[use](other) == USES[use](one)


def test_a_baseline_and_an_annotated_capture_are_the_same(tmp_path: Path, code: Library) -> None:
    for number, verdict in enumerate(both(TEXTS[-1], code)):
        new = Baseline(str(tmp_path / f"{number}.json"))
        new.add(verdict)
        new.write()
        assert not [each for each in Baseline.load(new.path).apply(verdict).findings if each.severity == Severity.ERROR]
        numbered = [frame._replace(number=at) for at, frame in enumerate(frames(list(parse(TEXTS[-1]))), 1)]
        content = replace(verdict, content=Frames(numbered, "frames"))
        assert annotate(content, str(tmp_path / f"{number}.pcapng"), ReportOptions(Severity.ERROR))
    assert (tmp_path / "0.json").read_bytes() == (tmp_path / "1.json").read_bytes()
    assert (tmp_path / "0.pcapng").read_bytes() == (tmp_path / "1.pcapng").read_bytes()
