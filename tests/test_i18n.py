"""Which language is chosen, and that English needs nothing."""

import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit import i18n
from labkit.cli import run


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, ()),
        ({"LANG": "C.UTF-8"}, ()),
        ({"LANG": "POSIX"}, ()),
        ({"LANG": "en_GB.UTF-8"}, ()),
        ({"LANG": "zh_CN.UTF-8"}, ("zh_CN", "zh")),
        ({"LANG": "zh"}, ("zh",)),
        ({"LANG": "de_DE@euro"}, ("de_DE", "de")),
        ({"LC_ALL": "C", "LANG": "zh_CN"}, ()),
        ({"LC_ALL": "", "LC_MESSAGES": "zh_CN", "LANG": "en"}, ("zh_CN", "zh")),
        ({"LANGUAGE": "zh_TW:zh_CN", "LANG": "en_US"}, ("zh_TW", "zh", "zh_CN")),
        ({"LANGUAGE": "en:zh", "LANG": "zh_CN"}, ()),
        ({"LANGUAGE": "de:en:zh"}, ("de",)),
        ({"LANG": "../../etc"}, ()),
        ({"LANG": "/tmp/x"}, ()),  # noqa: S108 - hostile on purpose
        ({"LABKIT_LANG": "zh", "LANGUAGE": "en"}, ("zh",)),
        ({"LABKIT_LANG": "en", "LANG": "zh_CN.UTF-8"}, ()),
        ({"LANG": ""}, ()),
        ({"LANG": "_"}, ()),
    ],
)
def test_languages(environment: dict[str, str], wanted: tuple[str, ...]) -> None:
    assert i18n.languages(environment) == wanted


@pytest.fixture
def chinese(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A catalogue with three messages, and a user who wants it."""
    folder = tmp_path / "locale" / "zh_CN" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "labkit.mo").write_bytes(
        catalogue(
            {
                "": "Content-Type: text/plain; charset=UTF-8\nPlural-Forms: nplurals=1; plural=0;\n",
                "a rule": "一条规则",
                "{n} packet\0{n} packets": "{n} 个数据包",
            }
        )
    )
    monkeypatch.setattr(i18n, "__file__", str(tmp_path / "i18n.py"))
    monkeypatch.setenv("LABKIT_LANG", "zh")
    i18n.catalogue.cache_clear()
    yield
    i18n.catalogue.cache_clear()


def catalogue(messages: dict[str, str]) -> bytes:
    """A catalogue as msgfmt writes it: header, two tables of (length, offset), the texts."""
    pairs = sorted((key.encode(), value.encode()) for key, value in messages.items())
    texts = [key for key, _ in pairs] + [value for _, value in pairs]
    at = 28 + 8 * len(texts)
    table = b""
    for text in texts:
        table += struct.pack("<2I", len(text), at)
        at += len(text) + 1
    header = struct.pack("<7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, at)
    return header + table + b"".join(text + b"\0" for text in texts)


@pytest.mark.usefixtures("chinese")
def test_translates() -> None:
    assert i18n._("a rule") == "一条规则"
    assert i18n._("not in the catalogue") == "not in the catalogue"
    assert i18n._("") == "", "the empty message is not a question for the catalogue's header"
    assert i18n.ngettext("{n} packet", "{n} packets", 2).format(n=2) == "2 个数据包"
    assert i18n.N_("a rule") == "a rule", "a mark translates nothing yet"


def test_english_is_the_message_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_LANG", "en")
    i18n.catalogue.cache_clear()
    assert i18n._("a rule") == "a rule"
    assert i18n.ngettext("one", "many", 1) == "one"
    assert [i18n.ngettext("one", "many", count) for count in (0, 2)] == ["many", "many"]
    i18n.catalogue.cache_clear()


def test_a_language_without_a_catalogue_is_english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_LANG", "tlh")
    i18n.catalogue.cache_clear()
    assert i18n._("a rule") == "a rule"
    i18n.catalogue.cache_clear()


@pytest.mark.parametrize(
    ("name", "language"),
    [("zh", "zh_CN"), ("zh-CN", "zh_CN"), ("zh_CN.UTF-8", "zh_CN"), ("zh_TW", "zh_CN"), ("en", "en"), ("en-GB", "en")],
)
def test_available_languages(name: str, language: str) -> None:
    assert i18n.available(name) == language


@pytest.mark.parametrize("name", ["", "tlh", "../zh_CN", "zh_CN/../..", "\0"])
def test_other_languages_are_not_there(name: str) -> None:
    assert i18n.available(name) is None


def test_speaks_a_language_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_LANG", "en")
    i18n.catalogue.cache_clear()
    with i18n.speaking("zh_CN"):
        assert i18n._("PASS") == "通过"
        assert i18n.language() == "zh-CN"
    assert i18n._("PASS") == "PASS"
    assert i18n.language() == "en"


@pytest.mark.parametrize(
    "words", [["--lang", "zh", "explain"], ["explain", "--lang=zh-CN"], ["explain", "--lang", "zh"]]
)
def test_the_option_stands_before_and_behind_the_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 0
    assert "勘误" in capsys.readouterr().out
    assert run(["explain"]) == 0
    assert "勘误" not in capsys.readouterr().out, "the language was for one command"


def test_an_unknown_language_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--lang", "tlh", "explain"]) == 2
    assert "'tlh' is not a language of labkit; expected one of en, zh_CN" in capsys.readouterr().err


def test_keys_and_codes_stay(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON has the same keys, codes and severities in each language."""
    found = {}
    for language in ("en", "zh"):
        assert run(["--lang", language, "rules", "--format", "json"]) == 0
        found[language] = json.loads(capsys.readouterr().out)["rules"]
    same = ("code", "name", "severity", "severities", "profiles", "reference", "good", "bad")
    for one, other in zip(found["en"], found["zh"], strict=True):
        assert list(one) == list(other)
        assert [one[key] for key in same] == [other[key] for key in same]
        assert one["message"] != other["message"]


def test_english_loads_no_catalogue_and_chinese_little() -> None:
    code = (
        "import sys; from labkit.cli import run; run(['--help']); "
        "print([each for each in ('unicodedata', 'babel', 'scapy', 'pydantic') if each in sys.modules], file=sys.stderr)"
    )
    for language, loaded in (("en", "[]"), ("zh", "['unicodedata']")):
        environment = {**os.environ, "LABKIT_LANG": language, "PYTHONUTF8": "1"}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, encoding="utf-8", check=True
        )
        assert done.stderr.splitlines()[-1] == loaded


@pytest.mark.parametrize(
    ("text", "columns"), [("", 0), ("abc", 3), ("窗口", 4), ("a窗→b", 5), ("（）", 4), ("e\u0301", 1), ("…", 1)]
)
def test_width(text: str, columns: int) -> None:
    assert i18n.width(text) == columns


def test_pads_and_cuts_in_columns() -> None:
    assert i18n.padded("窗口", 6) == "窗口  "
    assert i18n.padded("窗口", -6) == "  窗口"
    assert i18n.padded("窗口", 6, "─") == "窗口──"
    assert i18n.padded("窗口", 2) == "窗口"
    assert [i18n.cut("a窗口b", columns) for columns in range(7)] == ["", "a", "a", "a窗", "a窗", "a窗口", "a窗口b"]


@pytest.mark.parametrize(
    ("text", "columns", "lines"),
    [
        ("", 10, []),
        ("one two three", 8, ["one two", "three"]),
        ("一二三四五", 6, ["一二三", "四五"]),
        ("一二三，四五", 6, ["一二", "三，四", "五"]),
        ("一二（三）四", 6, ["一二", "（三）", "四"]),
        ("把 ack 改为 120。", 8, ["把 ack", "改为", "120。"]),
        ("unbreakable", 4, ["unbreakable"]),
    ],
)
def test_breaks_lines_by_the_rules_of_chinese(text: str, columns: int, lines: list[str]) -> None:
    assert i18n.wrapped(text, columns) == lines


@given(st.text(alphabet="ab 窗口，。（）“”", max_size=60), st.integers(min_value=8, max_value=30))
def test_wrapping_keeps_the_text(text: str, columns: int) -> None:
    lines = i18n.wrapped(text, columns)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(line == line.strip() for line in lines)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, 规则 → é", "plain, 规则 → é"),
        ("two\nlines\t\x00", "two\\nlines\\t\\x00"),
        ("\x1b[31mred\x9b0m", "\\x1b[31mred\\x9b0m"),
        ("right\u202eleft", "right\\u202eleft"),
        ("no UTF-8: \udcff", "no UTF-8: \\udcff"),
        ("", ""),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert i18n.printable(text) == shown


@pytest.mark.parametrize(
    ("word", "words", "hint"),
    [
        ("DOCMENT", ["refused", "document"], "; did you mean 'document'?"),
        ("ack10", ["SEQ01", "ACK01"], "; did you mean 'ACK01'?"),
        ("qqq", ["refused", "document"], ""),
        ("qqq", [], ""),
    ],
)
def test_nearest(word: str, words: list[str], hint: str) -> None:
    assert i18n.nearest(word, words) == hint
