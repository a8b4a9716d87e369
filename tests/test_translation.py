"""Translations are whole: every sentence that a user sees is marked, and every marked sentence has a translation."""

import io
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from importlib.metadata import version
from pathlib import Path

import click
import pytest

from labkit import i18n
from labkit.analysis.catalogue import shipped as rules
from labkit.build.faults import faults
from labkit.build.scenario import shipped as scenarios
from labkit.capture import open_capture
from labkit.cli import cli, run
from labkit.teach.assign import shipped as assignments

TOP = Path(__file__).parents[1]
pytest.importorskip("babel", reason="Babel reads catalogues; requirements-test.lock has it")
sys.path.insert(0, str(TOP / "scripts/lib"))
import translate  # noqa: E402 - it needs Babel

sys.path.pop(0)
CATALOGUES = sorted(translate.LOCALE.glob("*/LC_MESSAGES/labkit.po"))
PLACEHOLDER = re.compile(r"\{[^{}]*\}|%\(\w+\)s|\$[a-z][a-z-]*")
HAN = "[\u3400-\u9fff]"


@pytest.fixture(scope="module")
def known() -> "translate.Catalog":
    return translate.template()


def pairs(path: Path) -> Iterator[tuple[str, str]]:
    """Each message of a catalogue with its translation; plural forms one by one."""
    for message in translate.read(path):
        if message.id:
            ids = message.id if isinstance(message.id, tuple) else (message.id,)
            strings = message.string if isinstance(message.string, tuple) else (message.string,)
            yield from ((ids[-1], text) for text in strings)


LOCKED = re.search(r"^click==(\S+)", (TOP / "requirements-test.lock").read_text(), re.MULTILINE)
of_this_click = pytest.mark.skipif(
    LOCKED is None or version("click") != LOCKED[1],
    reason="the catalogues hold the messages of another version of Click",
)


@of_this_click
@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parents[1].name)
def test_every_message_has_a_translation(path: Path, known: "translate.Catalog") -> None:
    missing = translate.untranslated(translate.read(path), known)
    assert not missing, f"{path.relative_to(TOP)}: no translation (scripts/translate, CONTRIBUTING.md): {missing}"


@of_this_click
@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parents[1].name)
def test_catalogues_are_current(path: Path, known: "translate.Catalog") -> None:
    catalogue = translate.updated(path, known)
    assert path.read_bytes() == translate.source(catalogue), "run scripts/translate"
    assert path.with_suffix(".mo").read_bytes() == translate.compiled(catalogue), "run scripts/translate"


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parents[1].name)
def test_translations_have_the_placeholders_of_their_messages(path: Path) -> None:
    found = [
        (message, text)
        for message, text in pairs(path)
        if set(PLACEHOLDER.findall(message)) != set(PLACEHOLDER.findall(text))
    ]
    assert found == []


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parents[1].name)
def test_spaces_at_the_ends_stay(path: Path) -> None:
    """What is joined to a sentence keeps its indentation; punctuation of the language may replace a single space."""
    assert [text for message, text in pairs(path) if message.startswith("  ") != text.startswith("  ")] == []


CHINESE = TOP / "labkit/locale/zh_CN/LC_MESSAGES/labkit.po"


def test_chinese_punctuation_and_spaces() -> None:
    """A space between Chinese and Latin, none between Chinese characters, and the marks of Chinese beside Chinese."""
    wrong = re.compile(f"{HAN}[A-Za-z0-9]|[A-Za-z0-9]{HAN}|{HAN} {HAN}|{HAN}[,;:?!]|[,;?!]{HAN}|[，。；：] (?! *\\[)")
    # A message for grep or a file format keeps its colon.
    assert [text for _message, text in pairs(CHINESE) if wrong.search(text.replace("题号: 答案", ""))] == []


GLOSSARY = (TOP / "docs/zh/glossary.md").read_text("utf-8")
TERMS = {
    english: [re.sub("（.*?）", "", chinese) for chinese in row[1].split("、")]
    for row in re.finditer(r"^\| ([^|]+) \| ([^|]+) \|", GLOSSARY, re.MULTILINE)
    for english in row[2].split(", ")
    if re.search("[a-z][ -][A-Za-z]", english)
}
"""The Chinese of the English terms of more than one word; a single word has other meanings too."""
BANNED = re.compile("|".join(re.findall("“([^”]+)”", " ".join(re.findall("不写作((?:“[^”]+”)+)", GLOSSARY)))))
"""Words beside the glossary's."""
OTHERS = re.compile(r"`[^`]*`|\bTCP window update\b|Relative sequence numbers|(--|\{)hand-in|\bhand-in:")
"""What only looks like a term: code, options, keys, and Wireshark's words."""
WHOLE = [CHINESE, *sorted((TOP / "docs/site/locale/zh_CN").rglob("*.po"))]


@pytest.mark.parametrize("path", [*WHOLE, TOP / "README.zh-CN.md"], ids=lambda path: path.stem)
def test_chinese_keeps_to_the_glossary(path: Path) -> None:
    if path.suffix == ".md":
        assert BANNED.findall(path.read_text("utf-8")) == []
        return
    for message, text in pairs(path):
        assert BANNED.findall(text) == [], text
        said = OTHERS.sub("", message)
        missing = [
            english
            for english, chinese in TERMS.items()
            if english in said and not any(each in text for each in chinese)
        ]
        assert missing == [], text


# Every message in brackets: what stands outside of them on a page is not marked.


@pytest.fixture(scope="module")
def brackets(tmp_path_factory: pytest.TempPathFactory, known: "translate.Catalog") -> Path:
    """The folder of a language that puts every message in brackets."""
    catalogue = translate.updated(CHINESE, known)
    for message in catalogue:
        if message.id:
            text = message.id[1] if isinstance(message.id, tuple) else message.id
            message.string = (f"⟦{text}⟧",) if isinstance(message.id, tuple) else f"⟦{text}⟧"
    folder = tmp_path_factory.mktemp("locale")
    place = folder / "qps/LC_MESSAGES/labkit.mo"
    place.parent.mkdir(parents=True)
    place.write_bytes(translate.compiled(catalogue))
    return folder


@pytest.fixture
def marked(brackets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run a command in this language."""
    monkeypatch.setattr(i18n, "folder", lambda: str(brackets))
    monkeypatch.chdir(tmp_path)
    # click keeps the option --help in the language in which it was made.
    for command in all_commands():
        monkeypatch.setattr(command, "_help_option", None, raising=False)
    return lambda *words: run(["--lang", "qps", *words])


@cache
def all_commands() -> list[click.Command]:
    """The program, and its commands of every level."""
    found: list[click.Command] = [cli]
    for command in found:
        if isinstance(command, click.Group):
            context = click.Context(command)
            found += filter(None, (command.get_command(context, name) for name in command.list_commands(context)))
    return found


def every_command(group: click.Group = cli, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*before, name)
        if isinstance(command, click.Group):
            yield from every_command(command, (*before, name))


NAMES = {
    *(each.name for each in rules()),
    *(each.name for each in faults()),
    *scenarios(),
    *assignments(),
    *(words[-1] for words in every_command()),
}
UNMARKED = (
    "Scapy Wireshark labkit client server seq ack win len mss raw urg sackOK wscale nop eol data ecr "
    "rfc document literal tcp analysis flow checksum flags packets auto always never "
    "snd rcv of passive active delete timeout text example student osi stack states mermaid dot resets "
    "md5 ao accecn mp dss pcapng pcap yaml pkt csv html json jsonl junit markdown sarif svg terminal "
    "true false to scenario assignment capture live-capture live-program answers repaired-capture given-solution"
)
"""What stands untranslated on every page: names of fields, formats and commands, and the events of RFC 9293."""

WORDS = frozenset(UNMARKED.split())


def outside(text: str) -> list[str]:
    """The words of a page that no message holds, without codes, numbers, names and formats."""
    text = re.sub(r"(?s)<(style|script)\b.*?</\1>|<[^<>]*>|&\w+;", " ", text)
    before = ""
    while before != text:
        before, text = text, re.sub(r"⟦[^⟦⟧]*⟧", " ", text)
    text = re.sub(r"⟦[^⟦⟧]*?(?=\n {0,4}\S|\n\n|\Z)", " ", text)  # a summary: the first paragraph of a message
    # Options, choices, numbers, addresses, file names and what has a digit or a sign in it are not sentences.
    text = re.sub(r"\[[^\]]*\||\S*[0-9_=/.@$\\]\S*|(?<!\S)--?[a-z][a-z-]*|\b[A-Z][A-Z0-9,.-]*\b", " ", text)
    words = re.findall(r"[A-Za-z][a-z]+(?:-[a-z]+)*", text)
    return [word for word in words if word not in NAMES and word not in WORDS]


@pytest.mark.parametrize("words", [(), *every_command()], ids=" ".join)
def test_help_is_marked(words: tuple[str, ...], marked: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert marked(*words, "--help") == 0
    page = capsys.readouterr().out
    page = page.partition("⟦Examples⟧")[0]  # commands
    page = re.sub(r"^⟦Usage:⟧.*\n( {8,}\S.*\n)*", "", page, flags=re.MULTILINE)
    page = re.sub(r"^  -.*?(  |\n)", "", page, flags=re.MULTILINE)  # names of options and of their values
    page = re.sub(r"\[[a-z|-]+(\|[a-z0-9|-]+)*\]", "", page)
    assert outside(page) == []


@pytest.mark.parametrize("code", sorted({each.code for each in rules()}))
def test_explanations_are_marked(code: str, marked: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert marked("explain", code) == 0
    text = capsys.readouterr().out
    assert outside(re.sub(r"^    [<>].*$", "", text, flags=re.MULTILINE)) == []  # without the examples


PAGES = [
    "verify a2.pcapng",
    "verify a2.pcapng -v --fail-on note",
    "verify a2.pcapng --profile document --complete",
    "verify a2.pcapng a1.pcapng --quiet",
    "verify a2.pcapng --reveal actual",
    "verify a2.pcapng --format markdown",
    "verify a2.pcapng --format html",
    "verify a3.pcapng --partial",
    "verify b1.txt",
    "verify missing.pcapng",
    "verify --nonsense",
    "verify --engine fast a1.pcapng",
    "verify a1.pcapng --select NOPE",
    "show a1.pcapng",
    "show a1.pcapng --profile document",
    "draw a2.pcapng",
    "draw a2.pcapng --format html -o -",
    "draw a2.pcapng --format svg -o -",
    "draw a2.pcapng --what time-sequence --format html -o -",
    "draw a2.pcapng --what nonsense",
    "diff a1.pcapng a2.pcapng",
    "repair a2.pcapng -o repaired.pcapng",
    "explain",
    "explain document",
    "explain states",
    "explain nonsense",
    "rules",
    "scenarios",
    "build --fault list",
    "build document -o again.pcapng",
    "build nonsense",
    "build document --fault nonsense",
    "build document --seed x",
    "build wrong-1.yaml",
    "build wrong-2.yaml",
    "build wrong.pkt",
    "assign list",
    "assign show handshake --handout",
    "assign show find-the-mistake --handout",
    "assign show middlebox --handout",
    "trust --list",
]


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of captures for the pages, made once."""
    folder = tmp_path_factory.mktemp("captures")
    for name, words in (
        ("a1", ("document", "--edition", "student")),
        ("a2", ("document", "--fault", "ack-of-unsent-data")),
        ("a3", ("document", "--fault", "frame-cut-short")),
        ("loss", ("fast-retransmit-sack",)),
        ("both", ("lossy-both-sides",)),
    ):
        assert run(["build", *words, "-o", str(folder / f"{name}.pcapng")]) == 0
    return folder


def lay(captures: Path, tmp_path: Path, *names: str) -> None:
    """Put captures into the folder of a test."""
    for name in names:
        shutil.copy(captures / f"{name}.pcapng", tmp_path)


@pytest.mark.parametrize("line", PAGES)
def test_pages_are_marked(
    line: str, captures: Path, marked: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "wrong-1.yaml").write_text("name: x\nclient: {address: 1.2.3}\nsteps: [{client: connect}]\n", "utf-8")
    (tmp_path / "wrong-2.yaml").write_text("name: x\nsteps: [{client: {sent: 1}}]\n", "utf-8")
    (tmp_path / "wrong.pkt").write_text("> S 0:0(0)\n< X. 0:0(0)\n", "utf-8")
    (tmp_path / "b1.txt").write_text("kein Mitschnitt\n", "utf-8")
    lay(captures, tmp_path, "a1", "a2", "a3")
    capsys.readouterr()
    marked(*line.split())
    seen = capsys.readouterr()
    assert outside(seen.out + seen.err) == []


def test_a_worker_speaks_the_language_of_who_asks() -> None:
    """A verdict has the texts that its reader understands, on whichever machine it was made."""
    from labkit.analysis.report_config import ReportConfig
    from labkit.jobs.judging import Request, judge

    capture = str(TOP / "pcaps/zero-window.pcapng")
    for language, word in (("zh-CN", "窗口"), ("en", "window")):
        verdict = judge(Request(ReportConfig(), language=language), capture)
        assert any(word in each.message for each in verdict.findings)
    assert i18n.language() == "en"


def test_grading_in_another_process_speaks_the_same_language(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["build", "document", "-o", "a1.pcapng", "--edition", "student"]) == 0
    assert run(["--lang", "zh", "grade", "handshake", "a1.pcapng"]) == 0
    assert "服务器的端口是 80" in capsys.readouterr().out


MIXED = re.compile(rf"{HAN}[,;:?!](?=[ \n]|$|{HAN})|[,;:] ?{HAN}|{HAN}[A-Za-z]{{2,}}|[A-Za-z]{{2,}}{HAN}|\(raw")
"""English marks beside Chinese, and Latin letters without a space beside Chinese."""
SPACED = re.compile(rf"(?<![ \n]){HAN} {HAN}|[）。] {HAN}")
"""Spaces where Chinese has none."""
SWAPPED = """
> S  1000:1000(0)
< S. 5000:5000(0) ack 1001
> .  1001:1001(0) ack 5001
> P. 1001:1019(18) ack 5001
< .  1019:1019(0) ack 5001
< F. 5001:5001(0) ack 1019
> F. 1019:1019(0) ack 5002
< .  5002:5002(0) ack 1020
"""


@pytest.mark.parametrize(
    "line",
    [
        "verify a2.pcapng -v --fail-on note",
        "verify a1.pcapng a2.pcapng notes.txt",
        "verify . --format markdown",
        "verify a2.pcapng --format html -o -",
        "draw loss.pcapng",
        "draw loss.pcapng --format html -o -",
        "draw loss.pcapng --what time-sequence --format svg -o -",
        "diff both.pcapng",
        "explain document",
        "explain osi a1.pcapng 4",
        "explain states",
        "explain stack loss.pcapng",
        "rules --format markdown",
        "quiz loss.pcapng --count 30",
        "quiz document --fault ack-of-unsent-data --kinds broken-rule,wrong-field",
        "assign show loss --handout",
        "grade handshake models -o grades.html",
        "grade handshake models --format text",
        "verify swapped.pkt.pcapng",
        "build nothing-of-that-name",
        "build wrong.yaml",
    ],
)
def test_joined_parts_have_the_marks_of_chinese(
    line: str, captures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("no capture", "utf-8")
    lay(captures, tmp_path, "a1", "a2", "loss", "both")
    (tmp_path / "wrong.yaml").write_text("name: x\nlook: {a: 1}\nsteps: [{client: connect}]\n", "utf-8")
    (tmp_path / "swapped.pkt").write_text(SWAPPED, "utf-8")
    run(["build", "swapped.pkt", "-o", "swapped.pkt.pcapng"])
    if "models" in line:
        run(["assign", "show", "handshake", "--models", "models"])
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        run(["--lang", "zh", *line.split()])
    said = out.getvalue()
    for path in tmp_path.glob("*.html"):
        said += path.read_text("utf-8")
    said = (
        re.sub(r"(?s)<(style|script)\b.*?</\1>|<[^<>]*>", " ", said).replace("labkit: ", "").replace("题号: 答案", "")
    )
    assert re.search(HAN, said) is not None
    found = [*MIXED.finditer(said), *([] if "html" in line else SPACED.finditer(said))]
    assert [said[max(0, match.start() - 30) : match.end() + 30] for match in found] == []


def test_comments_are_english_unless_another_language_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A seed gives the same file on every machine."""
    monkeypatch.chdir(tmp_path)
    for name, language, words in (("en", "en", []), ("locale", "zh", []), ("asked", "en", ["--lang", "zh"])):
        monkeypatch.setenv("LABKIT_LANG", language)
        i18n.catalogue.cache_clear()
        assert run(["build", "document", "-o", f"{name}.pcapng", *words]) == 0
    i18n.catalogue.cache_clear()
    english, locale, asked = ((tmp_path / f"{name}.pcapng").read_bytes() for name in ("en", "locale", "asked"))
    assert english == locale
    assert "步骤 2：client send 99 字节".encode() in asked
    with open_capture("asked.pcapng") as capture:
        comments = [text for frame in capture for text in frame.comments]
    assert len(comments) == 10
    assert [text for text in comments if re.search(r"[a-z]+ [a-z]+ [a-z]+", text)] == []
