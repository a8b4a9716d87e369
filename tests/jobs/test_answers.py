"""What other machines answer: honest answers come back as they were, and any other text is an error."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.analysis.limits import Conversation
from labkit.analysis.report_config import ReportConfig
from labkit.analysis.severity import Severity
from labkit.analysis.verdict import Verdict
from labkit.capture import create
from labkit.errors import MissingError, UsageError
from labkit.jobs.answers import AnswerError, decode, encode, encode_failure
from labkit.jobs.judging import Request, judge
from labkit.report.formats import ReportOptions, names, renderer
from labkit.tcp.notation import parse
from labkit.teach.examples import frames

FAULTY = (
    "> S 0:0(0) <mss 1460>\n< S. 0:0(0) ack 1 <mss 1460>\n> . 1:1(0) ack 1\n> P. 1:11(10) ack 1\n"
    "< . 1:1(0) ack 99\n> P. 12:20(8) ack 1\n< . 1:1(0) ack 20\n"
)
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Verdict:
    path = tmp_path_factory.mktemp("answers") / "a.pcap"
    with create(path, link=1) as capture:
        for frame in frames(list(parse(FAULTY))):
            capture.write(frame.time, frame.data)
    return judge(Request(ReportConfig()), str(path))


@pytest.mark.parametrize("engine", ["interpreted", pytest.param("compiled", marks=pytest.mark.compiled)])
def test_answers_come_back_as_they_were(engine: str) -> None:
    paths = sorted(map(str, (ROOT / "pcaps").glob("*.pcapng")))[:20]
    answers = [None, *(judge(Request(ReportConfig(), engine=engine), path) for path in paths)]
    found = decode(encode(answers), ["x", *paths])
    for before, after in zip(answers, found, strict=True):
        if before is None or after is None:
            assert before is after
            continue
        assert list(before.findings) == list(after.findings)
        assert (before.path, before.limits, before.conversations) == (after.path, after.limits, after.conversations)
        assert before.outcome() == after.outcome()


def test_each_path_is_the_callers() -> None:
    answers = decode(encode([Verdict("/etc/passwd", "")]), ["a.pcap"])
    assert [each and each.path for each in answers] == ["a.pcap"]


@pytest.mark.parametrize(
    ("error", "kind"), [(UsageError("a\x1bb"), UsageError), (ImportError("no labkit"), MissingError)]
)
def test_errors_come_back_as_errors(error: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=r"a\\x1bb|no labkit"):
        decode(encode_failure(error), ["a"])


@pytest.mark.parametrize(
    "text",
    [
        b"{}", None, 7, "", "{", "[]", "7", "[" * 100_000, "9" * 5000, '{"verdicts": []}', '{"verdicts": [7]}',
        '{"verdicts": [null, null]}', '{"verdicts": [{}]}', '{"verdicts": [null], "x": 1}', '{"error": ["os", "x"]}',
        '{"error": ["Exception", "x"]}', '{"verdicts": [NaN]}', '{"verdicts": [1e999]}',
    ],
)  # fmt: skip
def test_anything_else_is_an_error(text: object) -> None:
    with pytest.raises(AnswerError) as caught:
        decode(text, ["a"])
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


FIGURES = Conversation._fields


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("findings", 0, "caused_by"), 10**6), (("findings", 0, "caused_by"), -1), (("findings", 0, "caused_by"), 0),
        (("findings", 0, "packet"), 0), (("findings", 0, "packet"), 8), (("findings", 0, "severity"), 7),
        (("findings", 0, "message"), 7), (("findings", 0, "time"), 1e300), (("findings", 0, "actual"), 1 << 80),
        (("packets",), -1), (("packets",), "7"), (("packets",), 1.5), (("fail_on",), 9), (("strict",), "all"),
        (("conversations", 0, FIGURES.index("first_packet")), 0), (("conversations", 0, FIGURES.index("packets")), [1, 2, 3]),
    ],
)  # fmt: skip
def test_impossible_values_are_errors(faulty: Verdict, place: tuple[str | int, ...], value: object) -> None:
    answer = json.loads(encode([faulty]))
    node = answer["verdicts"][0]
    for step in place[:-1]:
        node = node[step]
    node[place[-1]] = value
    with pytest.raises(AnswerError):
        decode(json.dumps(answer), ["a"])


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(place for key, child in children for place in places(child, (*path, key)))]


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.sampled_from([0, -1, 1 << 32, (1 << 63) - 1, -(1 << 62), 1e12, -1e12]),
    st.floats(), st.text(), st.sampled_from(["\x1b[2J", "a\nb", "‮", "\ud800", "x" * 5000]), st.lists(st.integers()),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_answer_makes_a_report_fail(faulty: Verdict, data: st.DataObject) -> None:
    """Whatever passes the checks can be printed in each format."""
    answer = json.loads(encode([faulty]))
    known = places(answer["verdicts"][0])[1:]
    for path in data.draw(st.lists(st.sampled_from(known), min_size=1, max_size=3)):
        node = answer["verdicts"][0]
        try:
            for step in path[:-1]:
                node = node[step]
            node[path[-1]] = data.draw(VALUES)
        except (TypeError, KeyError, IndexError, AttributeError):
            continue  # an earlier change took this place away
    try:
        (verdict,) = decode(json.dumps(answer), [faulty.path])
    except AnswerError:
        return
    assert verdict is not None
    for name in names():
        assert all(isinstance(line, str) for line in renderer(name)([verdict], ReportOptions(Severity.ERROR, True)))
