"""The site's pages and their translation; `scripts/site --check` builds and looks at them."""

import re
from pathlib import Path

import pytest
from test_documentation import SITE, fences

pofile = pytest.importorskip("babel.messages.pofile", reason="Babel reads catalogues; requirements-test.lock has it")

DOCS = Path(__file__).parents[1] / "docs"
GENERATED = {"scenarios.md", "rules/index.md"}
"""Pages that `scripts/site` writes."""


def translations() -> dict[str, str]:
    with (DOCS / "site/locale/zh_CN/LC_MESSAGES/site.po").open("rb") as file:
        catalog = pofile.read_po(file)
    assert not [each.id for each in catalog if each.id and each.fuzzy]
    return {each.id: each.string for each in catalog if each.id}


def sentences(text: str) -> set[str]:
    """The headings and the paragraphs of a page, each on one line."""
    for fence in fences(text):
        text = text.replace("\n".join((f"```{fence.words}", *fence.lines, "```")), "")
    blocks = [" ".join(block.split()) for block in re.split(r"\n{2,}", text) if block.strip()]
    return {re.sub(r"^#+ ", "", block) for block in blocks if not re.match(r"[-|]|\d+\. ", block)}


@pytest.mark.parametrize("path", SITE, ids=lambda path: path.stem)
def test_each_sentence_has_its_chinese(path: Path) -> None:
    found = translations()
    assert [each for each in sentences(path.read_text("utf-8")) if not found.get(each)] == []


def test_code_and_links_stay_in_translations() -> None:
    for english, chinese in translations().items():
        assert sorted(re.findall(r"`[^`]+`", english)) == sorted(re.findall(r"`[^`]+`", chinese)), english
        # Pages of docs are in English only: the Chinese site links to the English one.
        links = [f"../en/{each[:-3]}.html" if each.startswith("reference/") else each for each in targets(english)]
        assert links == targets(chinese), english


def targets(text: str) -> list[str]:
    return re.findall(r"\]\(([^)]+)\)", text) + re.findall(r'href="([^"]+)"', text)


@pytest.mark.parametrize("path", SITE, ids=lambda path: path.stem)
def test_links_lead_to_pages(path: Path) -> None:
    text = path.read_text("utf-8")
    listed = [
        line for fence in fences(text) if fence.words == "{toctree}" for line in fence.lines if line and line[0] != ":"
    ]
    for target in [*targets(text), *(f"{each}.md" for each in listed)]:
        place = path.parent / target
        inside = place.relative_to(DOCS / "site").as_posix()
        there = place.exists() or inside in GENERATED or (DOCS / inside.removeprefix("reference/")).exists()
        assert there, target
