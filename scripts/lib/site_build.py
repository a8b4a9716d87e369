"""The command line of `scripts/site`: put the sources together for each language, and let Sphinx build them.

The pages in `docs/site` are English; `docs/site/locale` has their translation. `site_pages` writes the pages of the rules and the
scenarios. The other pages of `docs` are in English only: the English site has them, and the Chinese one links to them there.
"""

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.pofile import read_po

TOP = Path(__file__).resolve().parents[2]
PAGES = TOP / "docs" / "site"
BUILD = TOP / "build" / "site"
LANGUAGES = {"en": ("en", "zh"), "zh": ("zh_CN", "en")}
"""The folder of each language: Sphinx's name of it, and the other folder."""
GENERATED = ("rules.md",)
"""Pages of `docs` that the site has in another form."""

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
    made = BUILD / "source" / folder
    shutil.copytree(PAGES, made)
    if folder == "en":
        for path in sorted((TOP / "docs").glob("*.md")):
            if path.name not in GENERATED:
                text = path.read_text("utf-8")
                (made / "reference").mkdir(exist_ok=True)
                (made / "reference" / path.name).write_text(linked(text), "utf-8")
        shutil.copytree(TOP / "docs" / "zh", made / "reference" / "zh")
        tree = "\n```{toctree}\n:hidden:\n:glob:\n\nreference/*\nreference/zh/*\n```\n"
        (made / "reference.md").write_text((made / "reference.md").read_text("utf-8") + tree, "utf-8")
    else:
        shutil.copy(TOP / "docs" / "zh" / "glossary.md", made)
        index = made / "index.md"
        index.write_text(index.read_text("utf-8").replace("\nreference\n", "\nreference\nglossary\n"), "utf-8")
    environment = {**ENVIRONMENT, "LABKIT_LANG": LANGUAGES[folder][0]}
    code = f"from pathlib import Path; import site_pages; site_pages.Pages(Path({str(made)!r}), {LANGUAGES[folder][0]!r}).write()"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=TOP, env=environment)
    return made


def linked(text: str) -> str:
    """A page of `docs` whose links to files that the site does not have are plain text."""
    text = re.sub(r"\[([^\]]*)\]\(\.\./[^)]*\)", r"\1", text)
    text = re.sub(r"\]\(rules\.md(#[^)]*)?\)", "](../rules/index.md)", text)
    return re.sub(r"\[([^\]]*)\]\([\w./-]+\.(?:ipynb|yaml|pcapng|svg|html)\)", r"\1", text)


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
    shutil.rmtree(BUILD / "source", ignore_errors=True)
    for folder in LANGUAGES:
        source(folder)
    for folder, (language, other) in LANGUAGES.items():
        made = BUILD / "source" / folder
        options = ("-D", f"language={language}", "-D", f"labkit_other={other}", "-t", folder)
        sphinx("-b", "html", *options, "-d", BUILD / "cache" / folder, made, BUILD / "html" / folder)
    (BUILD / "html" / "index.html").write_text(START, "utf-8")
    print(f"site: {BUILD.relative_to(TOP) / 'html' / 'index.html'}", file=sys.stderr)


def collect() -> Path:
    """Collect the sentences of the pages in `docs/site`, and return the folder of the template."""
    made = BUILD / "gettext"
    command = [sys.executable, "-m", "sphinx", "-q", "-b", "gettext"]
    environment = {**ENVIRONMENT, "SOURCE_DATE_EPOCH": "1767225600"}  # the same sentences give the same file
    paths = map(str, (BUILD / "cache" / "gettext", PAGES, made))
    # Sphinx misses the generated pages, which no sentence here comes from.
    subprocess.run([*command, "-d", *paths], cwd=TOP, env=environment, check=True, stderr=subprocess.DEVNULL)
    shutil.rmtree(PAGES / "_labkit", ignore_errors=True)
    return made


def translate(template: Path) -> None:
    """Add new sentences to the translations, and drop old ones."""
    intl = [
        sys.executable,
        "-m",
        "sphinx_intl",
        "update",
        "-p",
        str(template),
        "-d",
        str(PAGES / "locale"),
        "-l",
        "zh_CN",
    ]
    subprocess.run([*intl, "--line-width", "120", "--no-obsolete"], check=True, stdout=subprocess.DEVNULL)


def untranslated(template: Path) -> Iterator[str]:
    """The sentences without a translation, or with one that is only guessed."""
    known = read_po((template / "site.pot").open("rb"))
    for path in sorted((PAGES / "locale").rglob("*.po")):
        with path.open("rb") as file:
            catalog = read_po(file)
        for each in known:
            found = catalog.get(each.id)
            if each.id and (found is None or found.fuzzy or not found.string):
                yield f"{path.relative_to(TOP)}: {each.id!r}"


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
