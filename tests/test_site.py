"""The site's pages and their translation; `scripts/site --check` builds and looks at them."""

import re
import sys
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import pytest
from test_documentation import SITE, fences

pytest.importorskip("babel", reason="Babel reads catalogues; requirements-test.lock has it")
markdown = pytest.importorskip("markdown_it", reason="markdown-it-py reads pages; requirements-test.lock has it")

TOP = Path(__file__).parents[1]
sys.path.insert(0, str(TOP / "scripts/lib"))
import site_build  # noqa: E402 - it needs Babel
import site_reference  # noqa: E402

sys.path.pop(0)

DOCS = TOP / "docs"
GENERATED = {"scenarios.md", "rules/index.md", "assignments.md", "formats.md"}
"""Pages that `scripts/site` writes."""
HAN = site_reference.HAN
PAGES = [*SITE, *site_reference.pages()]
CATALOGUES = sorted(site_build.CATALOGUES.rglob("*.po"))


def source(path: Path) -> str:
    """A page as its catalogue translates it."""
    return path.read_text("utf-8") if path in SITE else site_reference.chinese(path)


def place(path: Path) -> Path:
    """The catalogue of a page."""
    name = path.relative_to(DOCS / "site") if path in SITE else Path("reference") / path.name
    return (site_build.CATALOGUES / name).with_suffix(".po")


@cache
def translations(path: Path) -> dict[str, str]:
    assert "#, fuzzy" not in path.read_text("utf-8").partition("\n\n")[2]
    return site_reference.translations(path)


def sentences(text: str) -> Iterator[str]:
    """What Sphinx collects of a page: headings, paragraphs, items, cells, and the examples that are in Chinese."""
    for token in markdown.MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "inline":
            yield " ".join(token.content.split())
        elif token.type == "code_block":
            yield token.content
    yield from (f"{code}\n" for code in site_reference.examples(text))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_each_sentence_has_its_chinese(path: Path) -> None:
    text = source(path)
    wanted = {each for each in sentences(text) if site_build.translatable(each, text)}
    found = translations(place(path)) if wanted else {}
    known = {english if "\n" in english else " ".join(english.split()) for english, chinese in found.items() if chinese}
    assert wanted - known == set(), "scripts/site --translate, CONTRIBUTING.md"
    assert known - wanted == set(), "scripts/site --translate drops it"


def test_what_linux_does_has_its_chinese() -> None:
    known = translations(site_reference.SITUATIONS)
    wanted = {text for pairs in site_reference.situations().values() for text in chain(*pairs)}
    assert {text for text, chinese in known.items() if chinese} == wanted, "scripts/site --translate"


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.stem)
def test_code_and_links_stay_in_translations(path: Path) -> None:
    for english, chinese in translations(path).items():
        if "\n" in english:
            continue
        ours, theirs = (sorted(re.findall(r"`[^`]+`", text)) for text in (english, chinese))
        # What labkit says is code too, and Chinese.
        said = [code for code in theirs if HAN.search(code)]
        assert len(ours) == len(theirs), english
        assert len(set(ours) - set(theirs)) <= len(said), english
        assert targets(english) == targets(chinese), english


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.stem)
def test_examples_stay_but_for_what_is_said(path: Path) -> None:
    """Commands and code are the same; only output and comments are Chinese."""
    for english, chinese in translations(path).items():
        if "\n" not in english:
            continue
        if english.startswith("$ "):
            ours, theirs = (
                [line for line in text.splitlines() if line.startswith("$ ")] for text in (english, chinese)
            )
        else:
            ours, theirs = (
                [re.sub("(^| +)# .*", "", line) for line in text.splitlines()] for text in (english, chinese)
            )
        assert ours == theirs or HAN.search(chinese) is not None, english


def targets(text: str) -> list[str]:
    return re.findall(r"\]\(([^)]+)\)", text) + re.findall(r'href="([^"]+)"', text)


@pytest.mark.parametrize("path", SITE, ids=lambda path: path.stem)
def test_links_lead_to_pages(path: Path) -> None:
    text = path.read_text("utf-8")
    listed = [
        line for fence in fences(text) if fence.words == "{toctree}" for line in fence.lines if line and line[0] != ":"
    ]
    for target in [*targets(text), *(f"{each}.md" for each in listed)]:
        to = path.parent / target
        inside = to.relative_to(DOCS / "site").as_posix()
        there = to.exists() or inside in GENERATED or (DOCS / inside.removeprefix("reference/")).exists()
        assert there, target


H = "[\u3400-\u9fff]"
WRONG = re.compile(f"{H}[A-Za-z0-9]|[A-Za-z0-9]{H}|{H} {H}|{H}[,;:?!]|[,;?!]{H}")
"""No space between Chinese and Latin, a space between Chinese characters, and the marks of English beside Chinese."""


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.stem)
def test_chinese_punctuation_and_spaces(path: Path) -> None:
    found = [
        re.sub(r"`[^`]*`|\[|\]\([^)]*\)|\*\*", "", text) for text in translations(path).values() if "\n" not in text
    ]
    assert [text for text in found if WRONG.search(text)] == []
