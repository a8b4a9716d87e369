"""Look at the built site: no link is dead, no English is left on a Chinese page, and Chromium shows and searches the pages.

In Chromium, pages are 390 pixels wide: nothing sticks out, and axe-core finds nothing. The Chinese examples of `docs` are run,
and print what the page shows. The browser's helper and the reader of examples are those of the tests.
"""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import chdir
from html.parser import HTMLParser
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urlsplit

from site_build import FRAME

TOP = Path(__file__).resolve().parents[2]
SITE = TOP / "build" / "site" / "html"
WORDS = re.compile(r"\b[a-z]{2,}(?: [a-z]+){3,}\b")
"""Four small English words in a row: no code, and no name."""
MARKS = re.compile(r"[\u3400-\u9fff][,;:?!](?=[ \u3400-\u9fff]|$)|^[,;:] ?[\u3400-\u9fff]")
"""English marks beside Chinese. The line of a file of answers keeps its colon."""
SEARCHES = {
    "en": {"retransmission": "rules/retransmission", "window scale": "course/6-windows"},
    "zh": {"三次握手": "course/2-handshake", "零窗口": "course/6-windows", "重复 ACK": "course/5-loss"},
}
"""What is searched, and a page that must be found."""
SAMPLE = (
    "index",
    "first-session",
    "scenarios",
    "reference",
    "rules/index",
    "search",
    "course/*",
    "rules/a*",
    "reference/*",
)
"""Pages for Chromium."""


class Page(HTMLParser):
    """The links and anchors of a page, and the text of its article outside of code."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.text: list[str] = []
        self.frame: set[str] = set()
        self._inside: list[str] = []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note links and anchors."""
        for name, value in attrs:
            if name in ("href", "src") and value is not None:
                self.links.append(value)
            elif name == "id" and value:
                self.anchors.add(value)
        if tag in ("article", "pre", "code", "svg", "script", "style", "noscript"):
            self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Leave an element."""
        if tag in self._inside:
            del self._inside[self._inside.index(tag) :]

    def handle_data(self, data: str) -> None:
        """Note the text of an article."""
        if not self._inside:
            self.frame.add(" ".join(data.split()))
        if self._inside == ["article"]:
            self.text.append(" ".join(data.split()))


def dead_links(pages: dict[Path, Page]) -> Iterator[str]:
    """Links to files that are not there, or to anchors that their page does not have."""
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists():
                yield f"{path.relative_to(SITE)}: {link} is not there"
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                yield f"{path.relative_to(SITE)}: {link} has no such anchor"


def english_left(pages: dict[Path, Page]) -> Iterator[str]:
    """English sentences on Chinese pages, but for what is quoted, and the glossary, which has both languages."""
    for path, page in pages.items():
        if path.is_relative_to(SITE / "zh") and path.stem != "glossary":
            found = (
                text
                for text in page.text
                if WORDS.search(re.sub('"[^"]*"|“[^”]*”', "", text)) or MARKS.search(text.replace("题号: 答案", ""))
            )
            yield from (f"{path.relative_to(SITE)}: English: {text}" for text in found)
            yield from (f"{path.relative_to(SITE)}: English: {text}" for text in page.frame if text in FRAME)


def untrue_examples() -> Iterator[str]:
    """Chinese pages whose examples print something else than they show. The tests run the English ones."""
    import test_documentation as documentation

    from labkit.i18n import catalogue

    for path in sorted((TOP / "build/site/source/zh/reference").glob("*.md")):
        os.environ["LABKIT_LANG"] = "zh"
        catalogue.cache_clear()
        with TemporaryDirectory() as folder, chdir(folder):
            reader = documentation.Reader()
            try:
                for fence in documentation.fences(path.read_text("utf-8")):
                    reader.follow(fence)
            except Exception as error:  # whatever an example raises
                yield f"{path.name}: {error}"
            finally:
                reader.end()


def in_chromium() -> Iterator[str]:
    """What is wrong with pages on a phone, and with the search."""
    from chromium import CHROMIUM, DRIVER, NODE_MODULES, browser

    if not (CHROMIUM and DRIVER and (NODE_MODULES / "axe-core").is_dir()):
        yield "not looked at in a browser: chromium, chromedriver or tests/browser/node_modules is not there"
        return
    with browser() as session:
        session.resize(390, 844)
        for language in SEARCHES:
            folder = SITE / language
            for path in sorted({path for name in SAMPLE for path in folder.glob(f"{name}.html")}):
                session.command(
                    "Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=True
                )
                session.open(path)
                where = path.relative_to(SITE)
                width = session.run("return document.scrollingElement.scrollWidth")
                if width > 390:
                    yield f"{where}: {width} pixels wide"
                yield from (f"{where}: {each}" for each in session.axe())
            for words, page in SEARCHES[language].items():
                yield from _search(session, folder, words, page)


def _search(session, folder: Path, words: str, page: str) -> Iterator[str]:  # type: ignore[no-untyped-def]
    session.open(folder / "search.html")
    session.run("location.search = '?q=' + encodeURIComponent(arguments[0])", words)
    found = session.run_async(
        "const done = arguments[arguments.length - 1]; let left = 100;"
        "const look = () => { const all = [...document.querySelectorAll('#search-results li a')].map((each) => each.href);"
        "  if (all.some((each) => each.includes(arguments[0])) || --left === 0) done(all); else setTimeout(look, 100); };"
        "look()",
        page,
    )
    if not any(page in each for each in found):
        yield f"{folder.name}: a search for {words!r} finds {found[:5]}, not {page}"


def main() -> int:
    """Print what is wrong; 1 if anything is."""
    sys.path.insert(0, str(TOP / "tests"))
    pages = {path: Page(path) for path in sorted(SITE.rglob("*.html"))}
    wrong = 0
    for each in chain(dead_links(pages), english_left(pages), untrue_examples(), in_chromium()):
        print(each, flush=True)
        wrong += 1
    print(f"site: {len(pages)} pages, {wrong} complaints", file=sys.stderr)
    return 1 if wrong or not pages else 0


if __name__ == "__main__":
    sys.exit(main())
