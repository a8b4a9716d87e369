"""Which language is chosen, and that English needs nothing."""

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit import i18n


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
        ({"LANG": ""}, ()),
        ({"LANG": "_"}, ()),
    ],
)
def test_languages(environment: dict[str, str], wanted: tuple[str, ...]) -> None:
    assert i18n.languages(environment) == wanted


@pytest.fixture
def chinese(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A catalogue with three messages, and a user who wants it."""
    folder = tmp_path / "locale" / "zh" / "LC_MESSAGES"
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
    monkeypatch.setenv("LANGUAGE", "zh_CN")
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
    assert i18n._("") == "", "the empty message is no question for the catalogue's header"
    assert i18n.ngettext("{n} packet", "{n} packets", 2).format(n=2) == "2 个数据包"
    assert i18n.N_("a rule") == "a rule", "a mark translates nothing yet"


def test_english_is_the_message_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGUAGE", "en")
    i18n.catalogue.cache_clear()
    assert i18n._("a rule") == "a rule"
    assert i18n.ngettext("one", "many", 1) == "one"
    assert [i18n.ngettext("one", "many", count) for count in (0, 2)] == ["many", "many"]
    i18n.catalogue.cache_clear()


def test_a_language_without_a_catalogue_is_english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGUAGE", "tlh")
    i18n.catalogue.cache_clear()
    assert i18n._("a rule") == "a rule"
    i18n.catalogue.cache_clear()


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
