"""ReportConfig: which rules are named by a word, what is left of a verdict, and files with their errors."""

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from labkit.analysis.catalogue import collect
from labkit.analysis.findings import Group
from labkit.analysis.report_config import KEYS, MAX_FILE_OCTETS, ReportConfig, candidates, load, rules_named
from labkit.analysis.severity import Severity
from labkit.analysis.verdict import Verdict
from labkit.analysis.verifier import Verifier
from labkit.errors import UsageError
from labkit.tcp.notation import parse
from labkit.teach.examples import frames

WRONG = "> S 0:0(0)\n< S. 0:0(0) ack 1\n> . 1:1(0) ack 1\n< . 1:1(0) ack 7\n> . 1:1(0) ack 1\n"


@pytest.fixture
def verdict() -> Verdict:
    return Verifier().run(frames(list(parse(WRONG))))


def codes(verdict: Verdict) -> set[str]:
    return {found.code for found in verdict.findings}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("ACK01", {"ACK01"}),
        ("ack01", {"ACK01"}),
        (" ACK01 ", {"ACK01"}),
        ("ack-of-unsent-data", {"ACK01"}),
        ("ack_of_unsent_data", {"ACK01"}),
        ("checksum", {"CK01", "CK02", "CK03"}),
        ("CK", {"CK01", "CK02", "CK03"}),
        ("CK0", {"CK01", "CK02", "CK03"}),
        ("C", set()),
        ("", set()),
        ("ACK99", set()),
    ],
)
def test_rules_that_a_word_names(word: str, expected: set[str]) -> None:
    assert {rule.code for rule in rules_named(word, collect())} == expected


def test_a_code_names_all_rules_that_share_it() -> None:
    assert len(rules_named("SEQ01", collect())) > 1
    assert {rule.code for rule in rules_named("gap-in-sequence", collect())} == {"SEQ01"}
    assert len(rules_named("gap-in-sequence", collect())) == 1


def test_without_choices_all_is_reported(verdict: Verdict) -> None:
    before = list(verdict.findings)
    reported = ReportConfig().apply(verdict)
    assert (reported.findings, reported.left_out) == (before, 0)


@pytest.mark.parametrize(
    ("choices", "there", "gone"),
    [
        (ReportConfig(select=("ACK",)), {"ACK01"}, {"FIN06", "OPT06"}),
        (ReportConfig(ignore=("ACK",)), {"OPT06"}, {"ACK01"}),
        (ReportConfig(select=("ACK01", "OPT"), ignore=("ACK",)), {"OPT06"}, {"ACK01"}),
        (ReportConfig(select=("ack-of-unsent-data",)), {"ACK01"}, {"OPT06"}),
    ],
)
def test_select_and_ignore(verdict: Verdict, choices: ReportConfig, there: set[str], gone: set[str]) -> None:
    count = len(verdict.findings)
    verdict = choices.apply(verdict)
    assert there <= codes(verdict)
    assert not gone & codes(verdict)
    assert verdict.left_out == count - len(verdict.findings)


def test_the_rules_are_those_of_the_profile() -> None:
    assert all("rfc9293" in rule.profiles for rule in ReportConfig().rules)
    assert all("document" in rule.profiles for rule in ReportConfig(profile="document").rules)
    assert all("literal" in rule.profiles for rule in ReportConfig(profile="document", literal=True).rules)


@pytest.mark.parametrize("severity", list(Severity))
def test_a_severity_can_be_changed(verdict: Verdict, severity: Severity) -> None:
    verdict = ReportConfig(severity={"ACK01": severity}).apply(verdict)
    assert {found.severity for found in verdict.findings if found.code == "ACK01"} == {severity}
    assert verdict.passes() is (severity < Severity.ERROR)


def test_a_later_severity_overrides_an_earlier_one(verdict: Verdict) -> None:
    verdict = ReportConfig(severity={"ACK": Severity.NOTE, "ACK01": Severity.WARNING}).apply(verdict)
    assert {found.severity for found in verdict.findings if found.code == "ACK01"} == {Severity.WARNING}


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [(Severity.ERROR, Severity.NOTE), (Severity.WARNING, Severity.NOTE), (Severity.NOTE, Severity.NOTE)],
)
def test_a_less_certain_form_is_not_raised(chosen: Severity, expected: Severity) -> None:
    # ECN03 is a warning, and a note where the SYN does not ask for ECN.
    text = "> S 0:0(0) win 100 ecn 2\n< S. 0:0(0) ack 1\n"
    verdict = ReportConfig(severity={"ECN03": chosen}).apply(Verifier().run(frames(list(parse(text)))))
    assert [found.severity for found in verdict.findings if found.code == "ECN03"] == [expected]


@pytest.mark.parametrize("field", ["select", "ignore"])
@pytest.mark.parametrize(("word", "hint"), [("ACK1", "'ACK01'"), ("sequense", "'sequence'"), ("\x1b[2J", None)])
def test_a_word_that_names_no_rule_is_refused(field: str, word: str, hint: str | None) -> None:
    with pytest.raises(UsageError) as error:
        _ = replace(ReportConfig(), **{field: (word,)}).rules
    assert str(error.value).isprintable()
    assert hint is None or f"did you mean {hint}?" in str(error.value)


def test_choices_can_be_sent_to_another_process(verdict: Verdict) -> None:
    choices = ReportConfig(select=("ACK",), severity={"ACK01": Severity.NOTE})
    assert choices.rules
    choices.apply(verdict)
    again = pickle.loads(pickle.dumps(choices))  # noqa: S301 - it was written above
    assert again == choices
    assert again.rules == choices.rules


# Files.


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "labkit.toml"
    path.write_text(
        'profile = "document"\nliteral = true\nfail-on = "warning"\nselect = ["ACK"]\nignore = ["ACK02", "fin"]\n'
        'severity = {ACK01 = "note", SEQ = "error"}\ncomplete = true\n'
    )
    assert load(path) == ReportConfig(
        file=str(path),
        completeness="complete",
        profile="document",
        literal=True,
        fail_on=Severity.WARNING,
        select=("ACK",),
        ignore=("ACK02", "fin"),
        severity={"ACK01": Severity.NOTE, "SEQ": Severity.ERROR},
    )


def test_an_empty_file_chooses_nothing(tmp_path: Path) -> None:
    (tmp_path / "labkit.toml").touch()
    assert load(tmp_path / "labkit.toml") == ReportConfig(file=str(tmp_path / "labkit.toml"))


def test_every_key_has_its_attribute() -> None:
    names = set(ReportConfig.__dataclass_fields__)
    assert {attribute for attribute, _read in KEYS.values()} == names - {"extra", "file", "allow_empty"}


WRONG_FILES = [
    ("failon = 1", "there is no key 'failon'; did you mean 'fail-on'?"),
    ('"a\\u001b" = 1', r"there is no key 'a\x1b'"),
    ('fail-on = "fatal"', "fail-on: must be one of note, warning, error, not 'fatal'"),
    ("fail-on = 3", "fail-on: must be one of note, warning, error, not 3"),
    ('profile = "tcp"', "profile: must be one of rfc9293, document, not 'tcp'"),
    ('literal = "yes"', "literal: must be true or false, not 'yes'"),
    ("literal = true", "literal: the literal rules belong to the profile 'document'"),
    ('select = "ACK"', "select: must be a list of rules"),
    ("select = [1]", "select: must be a list of rules"),
    (
        'ignore = ["ACK1"]',
        "ignore: no rule or family is named 'ACK1', and no code begins with it; did you mean 'ACK01'?",
    ),
    ('severity = "note"', 'severity: must be a table, as in {ACK06 = "error"}'),
    ('severity = {ACK01 = "off"}', "severity: ACK01: must be one of note, warning, error, not 'off'"),
    ('severity = {NONE = "note"}', "severity: no rule or family is named 'NONE', and no code begins with it"),
    ("select = [", "not a TOML file: "),
    ("a = " + "[" * 5000, "nested too deeply"),
    ("x" * (MAX_FILE_OCTETS + 1), f"the file is larger than {MAX_FILE_OCTETS} bytes"),
    ("a = '\udcff'", "not a TOML file: "),
    (f'literal = "{"x" * 1000}"', "…"),
]


@pytest.mark.parametrize(("text", "words"), WRONG_FILES, ids=[each[0][:20] for each in WRONG_FILES])
def test_a_wrong_file_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "labkit.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError) as error:
        load(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert words in message
    assert message.isprintable()
    assert len(message) < 300


@pytest.mark.parametrize("make", [None, Path.mkdir])
def test_a_file_that_cannot_be_read(tmp_path: Path, make) -> None:
    path = tmp_path / "labkit.toml"
    if make:
        make(path)
    with pytest.raises(UsageError, match="cannot be read"):
        load(path)


def test_the_table_of_a_project(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text('[project]\nname = "x"\n[tool.labkit]\nfail-on = "note"\n')
    assert load(path).fail_on == Severity.NOTE
    path.write_text("[tool]\nlabkit = 3\n")
    with pytest.raises(UsageError, match=r"tool\.labkit: must be a table"):
        load(path)


def test_the_nearest_file_counts(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    outer = tmp_path / "labkit.toml"
    outer.touch()
    assert next(candidates(inner)) == outer
    project = tmp_path / "a" / "pyproject.toml"
    project.write_text('[tool.other]\nabout = "labkit"\n')
    assert next(candidates(inner)) == outer
    project.write_text("[tool.labkit]\n")
    assert next(candidates(inner)) == project
    own = tmp_path / "a" / "labkit.toml"
    own.touch()
    assert next(candidates(inner)) == own
    (inner / "labkit.toml").mkdir()  # no file
    assert next(candidates(inner)) == own
    (inner / "labkit.toml").rmdir()
    (inner / "labkit.toml").symlink_to("nowhere")  # which is not left out in silence
    assert next(candidates(inner)) == inner / "labkit.toml"


@pytest.mark.parametrize(
    ("text", "counts"), [("[tool.labkit\n", True), ("[labkit\n", False), ("x = [", False), ("\udcff", False)]
)
def test_a_project_file_that_is_not_toml(tmp_path: Path, text: str, counts: bool) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert (next(candidates(tmp_path), None) == path) is counts


def test_every_rule_can_be_chosen() -> None:
    for rule in collect():
        for word in (rule.code, rule.name, rule.family):
            assert rule in rules_named(word, collect())


def test_choices_apply_to_findings_that_were_only_counted(verdict: Verdict) -> None:
    verdict = replace(verdict, findings=[])
    beyond = [
        Group("ACK01", "ack-of-unsent-data", Severity.ERROR, 3),
        Group("OPT06", "syn-without-mss", Severity.NOTE, 4),
    ]
    verdict = replace(verdict, beyond=beyond)
    verdict = ReportConfig(ignore=("OPT",), severity={"ACK01": Severity.WARNING}).apply(verdict)
    assert verdict.beyond == [Group("ACK01", "ack-of-unsent-data", Severity.WARNING, 3)]
    assert verdict.left_out == 4
