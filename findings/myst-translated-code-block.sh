#!/bin/sh
# Sphinx 9.0.4 with MyST-Parser 5.2.0: the translation of a code block is thrown away, and the page shows "::" instead.
#
# Guess: with gettext_additional_targets = ["literal-block"], a code block of a Markdown page is translated as one of a
# reStructuredText page is. Seen: the message is extracted and found again, and then Sphinx writes the translation in
# reStructuredText (two colons and an indented block) and gives that to the page's own parser. MyST reads the two colons as a
# paragraph and the rest as another thing; the first node is taken, so that the code block holds "::" and nothing of either
# language. No warning, exit code 0. A page whose code block has no translation stays right, so that it gets worse by translating.
#
# Needs python3 with venv. Exit code 0 if it is as described, 1 if that has changed, 4 if something is missing.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip -q install sphinx==9.0.4 myst-parser==5.2.0 2>/dev/null || { echo "cannot install the packages" >&2; exit 4; }
mkdir -p pages/locale/de/LC_MESSAGES
cat > pages/conf.py <<'CONF'
project = "pages"
extensions = ["myst_parser"]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
locale_dirs = ["locale"]
gettext_additional_targets = ["literal-block"]
CONF
printf 'Index\n=====\n\n.. toctree::\n\n   markdown\n   restructured\n' > pages/index.rst
printf '# Markdown\n\nA sentence.\n\n```text\nfirst line\nsecond line\n```\n\n```text\nwithout translation\n```\n' > pages/markdown.md
printf 'Restructured\n============\n\nA sentence.\n\n.. code-block:: text\n\n   first line\n   second line\n' > pages/restructured.rst
head='msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n\nmsgid "A sentence."\nmsgstr "Ein Satz."\n\n'
# MyST keeps the newline at the end of a block; reStructuredText has none.
for end in '\\n' ''; do
    printf "msgid \"\"\n\"first line\\\\n\"\n\"second line$end\"\nmsgstr \"\"\n\"erste Zeile\\\\n\"\n\"zweite Zeile$end\"\n\n"
done > blocks
for page in markdown restructured; do
    { printf "$head"; cat blocks; } > "pages/locale/de/LC_MESSAGES/$page.po"
done
env/bin/sphinx-build --fail-on-warning -q -b html -D language=de pages html
seen=$(env/bin/python - <<'READ'
import re
from pathlib import Path

for page in ("restructured", "markdown"):
    text = Path(f"html/{page}.html").read_text("utf-8")
    blocks = [re.sub("<.*?>", "", each).strip() for each in re.findall("<pre>(.*?)</pre>", text, re.S)]
    print(page, "Ein Satz." in text, blocks)
READ
)
printf "%s\n" "$seen"
[ "$seen" = "restructured True ['erste Zeile\\nzweite Zeile']
markdown True ['::', 'without translation']" ]
