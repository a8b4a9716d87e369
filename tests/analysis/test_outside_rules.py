"""Rules of a course: from a Python file, and from an installed package."""

import pickle
import sys
from pathlib import Path

import pytest

from labkit.analysis import rule
from labkit.analysis.native import AUTO, COMPILED, INTERPRETED, engine, library
from labkit.analysis.report_config import ReportConfig, load
from labkit.analysis.rule import collect, load_rules, shipped
from labkit.analysis.verifier import Verifier, verify
from labkit.capture import create, open_capture
from labkit.errors import UsageError
from labkit.tcp.notation import parse
from labkit.teach.examples import frames

RULES = '''"""Rules of a course."""
from labkit.analysis.rule import Severity, rule
from labkit.tcp.segment import SYN

@rule("EX01", Severity.NOTE, "RFC 9293 3.7.1", "the MSS is {seg.mss}", field="mss", actual="seg.mss",
      expected=lambda seg, me, peer: 536, good="", bad="")
def mss_too_small(seg, me, peer):
    """Small segments cost more than they carry."""
    return seg.ctl & SYN != 0 and 0 <= seg.mss < 536
'''
OPEN = "> S 0:0(0) <mss 48>\n< S. 0:0(0) ack 1 <mss 1460>\n> R. 1:1(0) ack 1\n"


@pytest.fixture
def rules(tmp_path: Path) -> str:
    path = tmp_path / "my_rules.py"
    path.write_text(RULES, "utf-8")
    return str(path)


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    with create(tmp_path / "a.pcap", link=1) as writer:
        for frame in frames(list(parse(OPEN))):
            writer.write(frame.time, frame.data)
    return tmp_path / "a.pcap"


def test_a_file_adds_its_rules(rules: str, capture: Path, tmp_path: Path) -> None:
    (added,) = load_rules(rules)
    assert (added.code, added.name, added.family) == ("EX01", "mss-too-small", "my_rules")
    assert collect((rules,)) == (*shipped(), added)
    assert "EX01" not in {each.code for each in collect()}
    (found,) = [each for each in verify(capture, rules=collect((rules,))).findings if each.code == "EX01"]
    assert (found.packet, found.message, found.expected, found.actual) == (1, "the MSS is 48", 536, 48)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.pcap", "my_rules.py"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "my_rules.py: there is no rule in it"),
        ("1 +", "my_rules.py: cannot be used: SyntaxError: invalid syntax"),
        ("\nimport nowhere_at_all", "my_rules.py, line 2: cannot be used: ModuleNotFoundError: No module named"),
        ("raise SystemExit(3)", "my_rules.py, line 1: cannot be used: SystemExit: 3"),
        (
            RULES.replace("EX01", "SEQ01"),
            "my_rules.py: rule SEQ01 (mss-too-small): its code is taken by ",
        ),
        (RULES.replace("seg.mss}", "seg.size}"), "my_rules.py: rule EX01 (mss-too-small): 'seg.size' does not exist"),
    ],
)
def test_a_file_without_usable_rules_is_refused(text: str, reason: str, rules: str) -> None:
    Path(rules).write_text(text, "utf-8")
    with pytest.raises(UsageError, match=r"^[^\n]*$") as raised:
        load_rules(rules)
    assert reason in str(raised.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"my_rules.py: cannot be read: No such file"):
        load_rules(tmp_path / "my_rules.py")


def test_two_files_do_not_share_a_code(rules: str, tmp_path: Path) -> None:
    other = tmp_path / "other.py"
    other.write_text(RULES, "utf-8")
    with pytest.raises(UsageError, match=r"other.py: rule EX01 \(mss-too-small\): its code is taken by mss-too-small"):
        collect((rules, str(other)))


@pytest.mark.parametrize(
    ("correct", "wrong", "reason"),
    [
        (
            "seg.mss < 536",
            "seg.size < 536",
            r"my_rules.py: EX01 \(mss-too-small\), line 9: cannot be used: AttributeError",
        ),
        ("0 <= seg.mss < 536", "17", r"my_rules.py: EX01 \(mss-too-small\): answers 17; expected True, False or"),
        ("peer: 536", "peer: seg.size", r"my_rules.py: EX01 \(mss-too-small\), line 6: cannot be used: AttributeError"),
    ],
)
def test_a_mistake_in_a_rule_ends_in_a_line_that_names_it(correct: str, wrong: str, reason: str, rules: str) -> None:
    Path(rules).write_text(RULES.replace(correct, wrong), "utf-8")
    with pytest.raises(UsageError, match=reason):
        Verifier(rules=collect((rules,))).run(frames(list(parse(OPEN))))


@pytest.mark.parametrize("wish", [AUTO, COMPILED, INTERPRETED])
def test_they_are_interpreted_whatever_the_engine(
    wish: str, rules: str, capture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for least in ("LARGE", "LARGE_FOR_PACKED"):
        monkeypatch.setattr(engine, least, 0)
    monkeypatch.setattr(library, "is_built", lambda: True)
    said: list[str] = []
    with open_capture(capture) as opened:
        verdict = engine.verify_capture(opened, engine=wish, rules=collect((rules,)), on_notice=said.append)
    assert "EX01" in {each.code for each in verdict.findings}
    expected = (
        [] if wish == INTERPRETED else ["only labkit's own rules can be compiled: interpreted, which takes longer"]
    )
    assert said == expected


def test_a_report_can_choose_them(rules: str, capture: Path, tmp_path: Path) -> None:
    choices = tmp_path / "labkit.toml"
    choices.write_text('select = ["EX01", "ACK"]\nseverity = {my_rules = "error"}\n', "utf-8")
    config: ReportConfig = pickle.loads(pickle.dumps(load(choices, (rules,))))  # noqa: S301 - its own
    verdict = config.apply(verify(capture, rules=collect(config.extra)))
    assert [(each.code, str(each.severity)) for each in verdict.findings] == [("EX01", "error")]
    with pytest.raises(
        UsageError, match=r"labkit.toml: select: no rule or family is named 'EX01', and no code begins with it"
    ):
        load(choices)


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of packages, of which nothing is cached before or after."""
    folder = tmp_path / "site"
    (folder / "course-1.0.dist-info").mkdir(parents=True)
    (folder / "course-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: course\nVersion: 1.0\n")
    (folder / "course-1.0.dist-info" / "entry_points.txt").write_text("[labkit.rules]\ncourse = course_rules\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(rule, "_collected", rule._collected.__wrapped__)
    return folder


def test_an_installed_package_adds_its_rules(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (fresh / "course_rules.py").write_text(RULES, "utf-8")
    try:
        assert [each.code for each in rule.collect()[len(shipped()) :]] == ["EX01"]
    finally:
        sys.modules.pop("course_rules")


def test_a_broken_package_is_named(fresh: Path) -> None:
    (fresh / "course_rules.py").write_text("import nowhere_at_all", "utf-8")
    with pytest.raises(UsageError, match=r"^labkit.rules: course = course_rules: cannot be used: ModuleNotFoundError"):
        rule.collect()
