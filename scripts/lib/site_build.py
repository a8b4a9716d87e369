"""The command line of `scripts/site`: put the sources together for each language, and let Sphinx build them.

The pages in `docs/site` and `docs` are English; `docs/site/locale` has a catalogue for each. `site_pages` writes the pages of the
rules, the scenarios and other lists from labkit's own texts.
"""

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po
from site_reference import HAN, SITUATIONS, chinese, examples, linked, pages, situations, translations, with_examples

TOP = Path(__file__).resolve().parents[2]
PAGES = TOP / "docs" / "site"
BUILD = TOP / "build" / "site"
LANGUAGES = {"en": ("en", "zh"), "zh": ("zh_CN", "en")}
"""The folder of each language: Sphinx's name of it, and the other folder."""
DATE = datetime(2026, 1, 1, tzinfo=UTC)
"""In the catalogues, so that the same sentences give the same file."""
NAMES = re.compile(
    r"`[^`]*`|\]\(#[^)]*\)|[\w-]+@\d+|\b[a-z]+\d*(-[a-z0-9.]+)+\b|\b[A-Z][A-Z0-9]+\b"
    r"|\b\d[\d,./]*( ?([kMG]i?B|Mbit/s|[mµ]?s)\b)?"
    r"|\b(AMD EPYC|Linux|FreeBSD|macOS|Windows|labkit|Scapy|tcpdump|tcptrace|tshark|dpkt)\b"
)
"""What stays as it is in every language: code, names, packets of a scenario, codes and numbers with units."""
CATALOGUES = PAGES / "locale" / "zh_CN" / "LC_MESSAGES"

ENVIRONMENT = {
    "PYTHONPATH": str(Path(__file__).parent),
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "LABKIT_LANG": "en",
}
"""Nothing of the user's, so that the site is the same everywhere."""

START = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>labkit</title>
<script>location.replace(navigator.language.startsWith("zh") ? "zh/index.html" : "en/index.html")</script></head>
<body><main><h1>labkit</h1><p><a href="en/index.html">English</a></p><p><a href="zh/index.html" lang="zh-CN">简体中文</a></p>
</main></body></html>
"""


def source(folder: str) -> Path:
    """Put the sources of a language together."""
    made = written(folder)
    if folder == "en":
        shutil.copytree(TOP / "docs" / "zh", made / "reference" / "zh")
        tree = "\n```{toctree}\n:hidden:\n:glob:\n\nreference/*\nreference/zh/*\n```\n"
    else:
        shutil.copy(TOP / "docs" / "zh" / "glossary.md", made)
        index = made / "index.md"
        index.write_text(index.read_text("utf-8").replace("\nreference\n", "\nreference\nglossary\n"), "utf-8")
        tree = "\n```{toctree}\n:hidden:\n:glob:\n\nreference/*\n```\n"
    (made / "reference.md").write_text((made / "reference.md").read_text("utf-8") + tree, "utf-8")
    environment = {**ENVIRONMENT, "LABKIT_LANG": LANGUAGES[folder][0]}
    code = f"from pathlib import Path; import site_pages; site_pages.Pages(Path({str(made)!r}), {LANGUAGES[folder][0]!r}).write()"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=TOP, env=environment)
    return made


def written(folder: str) -> Path:
    """Copy the pages that somebody wrote into the sources."""
    made = BUILD / "source" / folder
    shutil.rmtree(made, ignore_errors=True)
    shutil.copytree(PAGES, made)
    (made / "reference").mkdir()
    for path in pages():
        text = linked(path.read_text("utf-8")) if folder == "en" else chinese(path)
        (made / "reference" / path.name).write_text(text, "utf-8")
    if folder == "zh":
        for path in made.rglob("*.md"):
            catalogue = (CATALOGUES / path.relative_to(made)).with_suffix(".po")
            if catalogue.exists():
                path.write_text(with_examples(path.read_text("utf-8"), catalogue), "utf-8")
    return made


def sphinx(*arguments: str | Path) -> None:
    """Run Sphinx, with the directive's folder among its modules; a warning is an error."""
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "--fail-on-warning",
        "--keep-going",
        "-q",
        "-j",
        "2",
        *map(str, arguments),
    ]
    if subprocess.run(command, cwd=TOP, env=ENVIRONMENT, check=False).returncode:
        sys.exit(1)


def build() -> None:
    """Build the site of each language into build/site/html."""
    for folder in LANGUAGES:
        source(folder)
    for folder, (language, other) in LANGUAGES.items():
        made = BUILD / "source" / folder
        options = ("-D", f"language={language}", "-D", f"labkit_other={other}", "-t", folder)
        sphinx("-b", "html", *options, "-d", BUILD / "cache" / folder, made, BUILD / "html" / folder)
    (BUILD / "html" / "index.html").write_text(START, "utf-8")
    print(f"site: {BUILD.relative_to(TOP) / 'html' / 'index.html'}", file=sys.stderr)


def collect() -> Path:
    """Collect the sentences of the pages, and return the folder of the templates: a file for each page."""
    made = written("gettext")
    templates = BUILD / "gettext"
    shutil.rmtree(templates, ignore_errors=True)
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-E",
        "-b",
        "gettext",
        "-D",
        "gettext_additional_targets=literal-block",
        "-d",
        BUILD / "cache" / "gettext",
        made,
        templates,
    ]
    # Sphinx misses the generated pages, which no sentence here comes from.
    subprocess.run(list(map(str, command)), cwd=TOP, env=ENVIRONMENT, check=True, stderr=subprocess.DEVNULL)
    for path in templates.rglob("*.pot"):
        text = (made / path.relative_to(templates).with_suffix(".md")).read_text("utf-8")
        with path.open("rb") as file:
            catalog = read_po(file)
        kept = Catalog(project="labkit", copyright_holder="labkit", creation_date=DATE, revision_date=DATE)
        for message in catalog:
            if message.id and translatable(message.id, text):
                kept.add(message.id)
        if len(kept):
            with path.open("wb") as file:
                write_po(file, kept)
        else:
            path.unlink()
    template_of_situations(templates)
    return templates


def translatable(text: str, page: str) -> bool:
    """Whether a text of a page needs a translation: not if it has only code, names and numbers, or is Chinese already."""
    if HAN.search(text):
        return False
    if f"\n{text.rstrip()}\n```" in page:
        return text.rstrip() in set(examples(page))
    return re.search(r"[A-Za-z]{2}", NAMES.sub("", text)) is not None


def template_of_situations(templates: Path) -> None:
    """Add the texts of `situations` to the templates."""
    catalog = Catalog(project="labkit", copyright_holder="labkit", creation_date=DATE, revision_date=DATE)
    for pairs in situations().values():
        for text in chain(*pairs):
            catalog.add(text)
    path = templates / SITUATIONS.relative_to(CATALOGUES).with_suffix(".pot")
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        write_po(file, catalog)


def translate(templates: Path) -> None:
    """Add new sentences to the translations, and drop old ones."""
    intl = [sys.executable, "-m", "sphinx_intl", "update", "-p", templates, "-d", PAGES / "locale", "-l", "zh_CN"]
    options = ["--line-width", "120", "--no-obsolete"]
    subprocess.run([*map(str, intl), *options], check=True, stdout=subprocess.DEVNULL)


def untranslated(templates: Path) -> Iterator[str]:
    """The sentences without a translation, or with one that is only guessed."""
    for template in sorted(templates.rglob("*.pot")):
        path = (CATALOGUES / template.relative_to(templates)).with_suffix(".po")
        known = translations(path) if path.exists() else {}
        yield from (f"{path.relative_to(TOP)}: {each!r}" for each in translations(template) if not known.get(each))


def main() -> int:
    """Build, or with --translate only collect."""
    parser = argparse.ArgumentParser(prog="scripts/site")
    parser.add_argument(
        "--translate", action="store_true", help="add new sentences to docs/site/locale, and build nothing"
    )
    asked = parser.parse_args()
    template = collect()
    if asked.translate:
        translate(template)
    missing = list(untranslated(template))
    print(*(f"no translation: {each}" for each in missing), sep="\n", end="\n" if missing else "", file=sys.stderr)
    if asked.translate or missing:
        return 1 if missing else 0
    build()
    return 0


if __name__ == "__main__":
    sys.exit(main())
