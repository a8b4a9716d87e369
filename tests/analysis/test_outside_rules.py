"""Rules of a course: from a Python file, and from an installed package."""

import pickle
import re
import sys
from pathlib import Path

import pytest

import labkit
from labkit.analysis import catalogue, second_look
from labkit.analysis.catalogue import collect, load_rules, shipped
from labkit.analysis.examine import Completeness
from labkit.analysis.native import AUTO, COMPILED, INTERPRETED, engine, library
from labkit.analysis.report_config import ReportConfig, load, rules_named
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


def declared(*arguments: str, limit: str = "", body: str = "True") -> str:
    """The text of a file with one rule: `arguments` stand in its decorator, after or in place of the usual ones."""
    given = {
        "code": '"EX01"',
        "severity": "Severity.NOTE",
        "reference": '"sheet"',
        "message": '"m"',
        "good": '""',
        "bad": '""',
    }
    given |= dict(each.split("=", 1) for each in arguments) | ({"limit": limit} if limit else {})
    listed = ", ".join(f"{name}={value}" for name, value in given.items())
    return f"""from functools import partial
from labkit.analysis.limit_kinds import BY_WORD, LimitKind
from labkit.analysis.rule import Scope, Severity, rule

def number(seg, me, peer, n):
    return n

@rule({listed})
def my_rule(seg, me, peer):
    return {body}
"""


KIND = 'LimitKind("old-clock", {one!r}, {many!r}, {rest!r})'


def kind(one: str = "{n:,} old", many: str = "{n} old (the first is {packet})", rest: str = "they are old") -> str:
    """The text of a kind of limit."""
    return KIND.format(one=one, many=many, rest=rest)


PARAMETERS = [
    ("code", "5", "'规则-1'", "code is 5; expected str"),
    ("code", "'EX 01'", "'EX_01'", "code is 'EX 01'; expected letters, digits and dashes, as in 'EX01'"),
    ("code", "'EX01,EX02'", "'EX01A'", "code is 'EX01,EX02'; expected letters, digits and dashes, as in 'EX01'"),
    ("code", "''", "'1'", "code is ''; expected letters, digits and dashes, as in 'EX01'"),
    ("severity", "4", "Severity.ERROR", "severity is 4; expected Severity"),
    ("severity", "'error'", "Severity.WARNING", "severity is 'error'; expected Severity"),
    ("scope", "'SIDE'", "Scope.SIDE", "scope is 'SIDE'; expected Scope"),
    (
        "scope",
        "Scope.LEDGER",
        "Scope.FLOW",
        "scope is <Scope.LEDGER: 5>; expected Scope.FRAME, Scope.SEGMENT, Scope.PENDING, Scope.SIDE, Scope.FLOW",
    ),
    ("reference", "None", "''", "reference is None; expected str"),
    ("message", "5", "'{seg.seq:,} {set}'", "message is 5; expected str"),
    ("message", r"'a\nb'", "'a  b'", r"message is 'a\nb'; expected one line of text"),
    ("message", "'{seg.seq:z}'", "'{seg.seq:#x}'", "'seg.seq' is a number, which cannot be shown with the format 'z'"),
    ("receiver", "'{me.size}'", "'{me.nxt}'", "'me.size' does not exist in scope SEGMENT"),
    ("mend", r"'\x1b[31m'", "'[31m'", r"mend is '\x1b[31m'; expected one line of text"),
    ("should_be", "None", "'{expected}', expected='seg.ack'", "should_be is None; expected str"),
    ("wireshark", "5", "None", "wireshark is 5; expected str | None"),
    ("otherwise", "'x'", "None", "otherwise is 'x'; expected Mapping[Severity, str] | None"),
    (
        "otherwise",
        "{Severity.NOTE: 5}",
        "{Severity.NOTE: 'm'}",
        "otherwise is {<Severity.NOTE: 2>: 5}; expected Mapping[Severity, str] | None",
    ),
    (
        "otherwise",
        "{4: 'm'}",
        "{Severity.ERROR: 'm'}",
        "otherwise is {4: 'm'}; expected Mapping[Severity, str] | None",
    ),
    ("otherwise", r"{Severity.NOTE: '\n'}", "{}", r"otherwise is '\n'; expected one line of text"),
    ("profiles", "'rfc9293'", "{'rfc9293'}", "profiles is 'rfc9293'; expected Set[str]"),
    (
        "profiles",
        "frozenset()",
        "frozenset({'literal'})",
        "profiles is frozenset(); expected some of document, literal,",
    ),
    (
        "profiles",
        "{'rfc'}",
        "{'document', 'rfc9293'}",
        "profiles is {'rfc'}; expected some of document, literal, rfc9293",
    ),
    ("document", "'error'", "None", "document is 'error'; expected Severity | None"),
    ("unless", "'ACK01'", "['ACK01']", "unless is 'ACK01'; expected tuple[str] | list[str]"),
    ("unless", "(5,)", "('ACK01', 'ACK02')", "unless is (5,); expected tuple[str] | list[str]"),
    ("field", "5", "'seq'", "field is 5; expected str | a function of (seg, me, peer)"),
    ("expected", "5", "partial(number, n=5)", "expected is 5; expected str | a function of (seg, me, peer) | None"),
    ("actual", "[]", "None", "actual is []; expected str | a function of (seg, me, peer) | None"),
    ("at", "'me.nxt'", "'me.last'", "'me.nxt_packet' does not exist in scope SEGMENT"),
    ("once", "'no'", "True", "once is 'no'; expected bool"),
]


@pytest.mark.parametrize(
    ("name", "bad", "good", "reason"), PARAMETERS, ids=[f"{each[0]}-{each[1]}" for each in PARAMETERS]
)
def test_a_parameter_that_does_not_fit_is_refused(name: str, bad: str, good: str, reason: str, rules: str) -> None:
    Path(rules).write_text(declared(f"{name}={bad}"), "utf-8")
    with pytest.raises(UsageError, match=r"^[^\n]*$") as raised:
        load_rules(rules)
    assert re.match(r".*my_rules.py: rule \S* ?\S* ?\(my-rule\): ", str(raised.value))
    assert reason in str(raised.value)
    Path(rules).write_text(declared(f"{name}={good}"), "utf-8")
    verdict = Verifier(rules=collect((rules,))).run(frames(list(parse(OPEN))))
    assert name == "profiles" or "my-rule" in {each.name for each in verdict.findings}


WRONG_TEXT = "expected one line, with no fields but {n}, {n:,}, {packet}"

LIMITS = [
    ("5", "None", "a limit is 5; expected a word, or a LimitKind"),
    ("['truncated']", "'truncated'", "a limit is ['truncated']; expected a word, or a LimitKind"),
    ("'cut'", "BY_WORD['truncated']", "there is no limit 'cut'; name one of mid-stream, one-sided, truncated"),
    ("{True: 5}", "{1: 'truncated'}", "a limit is 5; expected a word, or a LimitKind"),
    (
        "{'x': 'truncated'}",
        "{Severity.NOTE: 'truncated', True: 'duplicated'}",
        "a limit for the answer 'x'; expected True",
    ),
    ("{0: 'truncated'}", "{}", "there is a limit for the answer 0; expected True or a Severity"),
    *(
        (kind().replace("old-clock", word), kind(), f"'{word}' is one of labkit's limits; expected another word")
        for word in ("truncated", "not-read", "damaged", "memory", "no-segments", "none-wanted", "all")
    ),
    *(
        (
            kind().replace("old-clock", word),
            kind().replace("old-clock", good),
            f"the word of a limit is {word!r}; expected",
        )
        for word, good in (
            ("", "x"),
            ("a,b", "a-b"),
            ("Old", "old"),
            ("old_clock", "旧时钟"),
            ("-old", "old-2"),
            ("a b", "2"),
        )
    ),
    (kind().replace('"old-clock"', "5"), kind(), "the word of a limit is 5; expected small letters, digits and dashes"),
    *(
        (kind(**{part: text}), kind(**{part: good}), f"the limit 'old-clock' has the text {text!r}; {WRONG_TEXT}")
        for part, text, good in (
            ("one", "", "one"),
            ("one", "  ", " 1 "),
            ("one", "{packets}", "{packet}"),
            ("many", "{n.real}", "{n}"),
            ("many", "{n[0]}", "{n:,}"),
            ("many", "{}", "{{}}"),
            ("many", "{n!r}", "{n} {packet:,}"),
            ("many", "{n:9999999999}", "{n:}"),
            ("rest", "{n", "{{n"),
            ("rest", "n}", "n}}"),
        )
    ),
    (kind(rest="a\nb"), kind(rest="a b"), "the limit 'old-clock' has the text 'a\\nb'; expected one line"),
    (kind().replace("'they are old'", "None"), kind(), "the limit 'old-clock' has the text None; expected one line"),
    (f"type('Kind', (LimitKind,), {{}})({kind()[10:-1]})", kind(), "a limit is Kind(word='old-clock', one="),
]


@pytest.mark.parametrize(("bad", "good", "reason"), LIMITS)
def test_a_limit_that_cannot_be_shown_is_refused(bad: str, good: str, reason: str, rules: str) -> None:
    Path(rules).write_text(declared(limit=bad), "utf-8")
    with pytest.raises(UsageError, match=r"^[^\n]*$") as raised:
        load_rules(rules)
    assert "my_rules.py: rule EX01 (my-rule): " in str(raised.value)
    assert reason in str(raised.value)
    Path(rules).write_text(declared(limit=good), "utf-8")
    verdict = Verifier(rules=collect((rules,))).run(frames(list(parse(OPEN))))
    assert [each.count for each in verdict.limits if each.code == "EX01"] == ([] if good in ("None", "{}") else [3])


@pytest.mark.parametrize(
    ("scope", "more", "limit", "shown"),
    [
        ("SEGMENT", (), kind(), "3 old (the first is 1): they are old"),
        ("FRAME", (), kind(many="{packet:,}"), "1: they are old"),
        ("SIDE", (), kind(many="{n:,} sides"), "2 sides: they are old"),
        ("SIDE", (), kind(), None),
        ("SIDE", (), "'truncated'", None),
        ("SIDE", ("at='me.last'",), kind(), "2 old (the first is 2): they are old"),
        ("SIDE", ("at='me.last'",), "'truncated'", "2 packets were cut off by the capture (the first is packet 2): "),
        ("FLOW", (), kind(one="{n} conversation", many="{n}"), "1 conversation: they are old"),
        ("FLOW", ("at='me.last'",), kind(), None),
        ("FLOW", (), "'multipath'", "1 conversation is a subflow of an MPTCP connection: "),
    ],
)
def test_only_a_finding_about_a_packet_can_show_one(
    scope: str, more: tuple[str, ...], limit: str, shown: str | None, rules: str
) -> None:
    Path(rules).write_text(declared(f"scope=Scope.{scope}", *more, limit=limit), "utf-8")
    if shown is None:
        with pytest.raises(UsageError, match="shows a packet, but the rule's findings are about whole conversations"):
            load_rules(rules)
        return
    verdict = Verifier(rules=collect((rules,))).run(frames(list(parse(OPEN))))
    (found,) = (each.message for each in verdict.limits if each.code == "EX01")
    assert found.startswith(shown)


@pytest.mark.parametrize(
    ("scope", "at", "places"),
    [
        ("SIDE", "", [(None, None), (None, None)]),
        ("SIDE", "me.first", [(1, 0.0), (2, 0.01)]),
        ("FLOW", "", [(None, None)]),
        ("SEGMENT", "", [(1, 0.0), (2, 0.01), (3, 0.02)]),
        ("SEGMENT", "peer.last", [(1, 0.0), (2, 0.01), (None, None)]),  # the first segment has no segment before it
    ],
)
def test_a_finding_without_a_packet_is_about_the_conversation(
    scope: str, at: str, places: list[object], rules: str
) -> None:
    Path(rules).write_text(declared(f"scope=Scope.{scope}", f"at={at!r}", limit=kind(many="{n}")), "utf-8")
    opened = [frame._replace(time=frame.time + 1_700_000_000_000_000_000) for frame in frames(list(parse(OPEN)))]
    verdict = Verifier(rules=load_rules(rules)).run(opened)
    assert [(each.packet, each.time) for each in verdict.findings] == places


@pytest.mark.parametrize("scope", ["SIDE", "FLOW"])
def test_at_the_end_there_is_no_segment_to_show(scope: str, rules: str) -> None:
    Path(rules).write_text(declared(f"scope=Scope.{scope}", "message='{seg.seq}'"), "utf-8")
    with pytest.raises(UsageError, match=rf"rule EX01 \(my-rule\): 'seg.seq' does not exist in scope {scope}$"):
        load_rules(rules)
    Path(rules).write_text(declared(f"scope=Scope.{scope}", "message='{me.nxt}'"), "utf-8")
    assert load_rules(rules)


@pytest.mark.parametrize(
    ("text", "refused"), [("they are old", False), ("they are quite old", True)], ids=["the same", "another"]
)
def test_two_rules_that_share_a_limit_say_the_same(text: str, refused: bool, rules: str, tmp_path: Path) -> None:
    other = tmp_path / "other.py"
    Path(rules).write_text(declared(limit=kind()), "utf-8")
    other.write_text(declared("code='EX02'", limit=kind(rest=text)), "utf-8")
    if refused:
        reason = (
            r"other.py: rule EX02 \(my-rule\): another rule declares the limit 'old-clock' with other texts; expected "
        )
        with pytest.raises(UsageError, match=reason):
            collect((rules, str(other)))
        return
    verdict = Verifier(rules=collect((rules, str(other)))).run(frames(list(parse(OPEN))))
    assert [(each.kind, each.count) for each in verdict.limits if each.code == "EX02"] == [("old-clock", 6)]


@pytest.mark.parametrize(
    ("parameter", "bad", "good", "reason"),
    [
        ("expected", "'x'", "None", "answers 'x'; expected an integer, or None"),
        ("actual", "1.5", "seg.mss", "answers 1.5; expected an integer, or None"),
        ("field", "5", "'seq'", "answers 5; expected a text"),
        ("body", "[]", "Severity.NOTE", "answers []; expected True, False or a Severity"),
        ("body", "'yes'", "True", "answers 'yes'; expected True, False or a Severity"),
        ("body", "None", "1", "answers None; expected True, False or a Severity"),
    ],
)
def test_a_function_that_answers_something_else_is_named(
    parameter: str, bad: str, good: str, reason: str, rules: str
) -> None:
    for answer in (bad, good):
        function = f"{parameter}=lambda seg, me, peer: {answer}"
        text = declared(body=answer) if parameter == "body" else declared("field='seq'", function)
        Path(rules).write_text(text, "utf-8")
        verifier = Verifier(rules=collect((rules,)))
        if answer == good:
            assert "EX01" in {each.code for each in verifier.run(frames(list(parse(OPEN)))).findings}
        else:
            with pytest.raises(UsageError, match=rf"my_rules.py: EX01 \(my-rule\): {re.escape(reason)}$"):
                verifier.run(frames(list(parse(OPEN))))


@pytest.mark.parametrize(
    ("statement", "name"),
    [("seg.seq = 0", "seq"), ("me.nxt += 1", "nxt"), ("peer.window = None", "window"), ("del seg.time", "time")],
)
def test_a_rule_cannot_change_what_it_sees(statement: str, name: str, rules: str) -> None:
    text = declared("field='seq'", "expected=lambda seg, me, peer: change(seg, me, peer)")
    Path(rules).write_text(f"def change(seg, me, peer):\n    {statement}\n    return 1\n\n{text}", "utf-8")
    with pytest.raises(UsageError) as raised:
        Verifier(rules=collect((rules,))).run(frames(list(parse(OPEN))))
    place = "my_rules.py: EX01 (my-rule), line 2"
    assert str(raised.value).endswith(f"{place}: cannot be used: AttributeError: a rule cannot change '{name}'")


def test_a_function_with_two_names_is_one_rule(rules: str) -> None:
    Path(rules).write_text(declared() + "alias = my_rule\n", "utf-8")
    assert len(load_rules(rules)) == 1


def test_a_code_is_taken_in_any_case(rules: str) -> None:
    Path(rules).write_text(declared("code='ack01'"), "utf-8")
    with pytest.raises(
        UsageError, match=r"my_rules.py: rule ack01 \(my-rule\): its code is taken by acknowledges-what-nobody-sent$"
    ):
        load_rules(rules)


@pytest.mark.parametrize("word", ["MY_01", "my-01", "my_0", "My_Rule", "my-rule"])
def test_words_for_rules_take_underscores_for_dashes(word: str, rules: str) -> None:
    Path(rules).write_text(declared("code='MY_01'").replace("def my_rule", "def My_Rule"), "utf-8")
    added = load_rules(rules)
    assert rules_named(word, collect((rules,))) == added
    assert word == "my_0" or catalogue.lookup(word, added) == added


def test_a_file_of_rules_is_bounded(rules: str) -> None:
    text = declared()
    size = catalogue.MAX_SOURCE_OCTETS
    Path(rules).write_text(text + "#" * (size - len(text.encode())), "utf-8")
    assert load_rules(rules)
    with Path(rules).open("a") as file:
        file.write("#")
    with pytest.raises(UsageError, match=rf"my_rules.py: the file is larger than {size} bytes$"):
        load_rules(rules)


@pytest.mark.parametrize("family", ["course", "sequence", "acknowledgement", "window", "retransmission"])
def test_the_account_of_a_conversation_leaves_their_findings(family: str, capture: Path, tmp_path: Path) -> None:
    """A file may have the name of one of labkit's families; a wrong number does not take its findings away."""
    path = tmp_path / f"{family}.py"
    given = ("field='seq'", "expected=lambda seg, me, peer: seg.seq + 1", "actual='seg.seq'", "severity=Severity.ERROR")
    path.write_text(declared(*given), "utf-8")
    lines = OPEN.replace(
        "> R. 1:1(0) ack 1", "> . 1:1(0) ack 1\n> P. 1:11(10) ack 1\n< . 1:1(0) ack 900\n> . 11:11(0) ack 1"
    )
    with create(capture, link=1) as writer:
        for frame in frames(list(parse(lines))):
            writer.write(frame.time, frame.data)
    plain, both = (labkit.verify(capture, complete=True, rules=rules) for rules in ((), (path,)))
    assert [each for each in both.findings if each.code != "EX01"] == list(plain.findings) != []
    assert [each.packet for each in both.findings if each.code == "EX01"] == [1, 2, 3, 4, 5, 6]


def test_what_they_find_makes_no_number_doubtful(rules: str) -> None:
    Path(rules).write_text(declared("field='seq'", "severity=Severity.ERROR"), "utf-8")
    verdict = Verifier(rules=collect((rules,))).run(frames(list(parse(OPEN))))
    theirs, ours = ({(each.code, each.name): each for each in some} for some in (load_rules(rules), shipped()))
    assert second_look.Look(verdict, theirs, Completeness.AUTO).doubted == {1, 2, 3}
    assert second_look.Look(verdict, ours, Completeness.AUTO).doubted == set()


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
    monkeypatch.setattr(catalogue, "_collected", catalogue._collected.__wrapped__)
    return folder


def test_an_installed_package_adds_its_rules(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (fresh / "course_rules.py").write_text(RULES, "utf-8")
    try:
        assert [each.code for each in catalogue.collect()[len(shipped()) :]] == ["EX01"]
    finally:
        sys.modules.pop("course_rules")


def test_a_broken_package_is_named(fresh: Path) -> None:
    (fresh / "course_rules.py").write_text("import nowhere_at_all", "utf-8")
    with pytest.raises(UsageError, match=r"^labkit.rules: course = course_rules: cannot be used: ModuleNotFoundError"):
        catalogue.collect()


def test_names_of_the_catalogue_are_known_where_they_were() -> None:
    from labkit.analysis import rule

    assert [getattr(rule, name) for name in ("collect", "load_rules", "shipped")] == [collect, load_rules, shipped]
    with pytest.raises(AttributeError, match="has no attribute 'lookup'"):
        getattr(rule, "lookup")  # noqa: B009
