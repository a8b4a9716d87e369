"""The Sphinx extension of the site: a directive that shows what labkit makes of a conversation, and a search in Chinese.

    ```{labkit} document
    :fault: ack-of-unsent-data@6
    :verdict:
    ```

draws the ladder of a scenario (its name), of a capture (a path below the top of the checkout) or of lines in the notation (the
directive's content, under the name given), and offers the capture. Options:

- `fault`: faults for the scenario, with spaces between them; `packets`: only packets A-B are drawn.
- `picture`: another picture than the ladder, or `none`.
- `verdict`, `show`: what `labkit verify` and `labkit show` print, with arguments for them.
- `expect`: the code of a finding that the verdict must have.
- `explain`: a lesson of `labkit explain` about the capture, such as `osi 4`, or without it: `document E3`.
- `questions`: kinds of questions of `labkit quiz`, with the answers folded.
"""

import json
import os
import re
from contextlib import chdir, redirect_stderr, redirect_stdout
from hashlib import sha256
from html import escape
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.addnodes import download_reference
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.search import SearchLanguage, languages
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from labkit.cli import run

LOG = logging.getLogger(__name__)
TOP = Path(__file__).resolve().parents[2]
FOLDER = "_labkit"
"""Where pictures and captures are, in the sources of the site."""

WORDS = {
    "zh_CN": {
        "Capture: ": "抓包：",
        "Answer": "答案",
        "Filter for Wireshark: ": "Wireshark 的过滤器：",
        "Right: ": "正确：",
        "Wrong: ": "错误：",
    }
}
"""The few words of the directive itself. All others come from labkit."""


class Labkit(SphinxDirective):
    """What labkit makes of a conversation."""

    optional_arguments = 1
    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {
        "fault": directives.unchanged_required,
        "packets": directives.unchanged_required,
        "picture": directives.unchanged_required,
        "verdict": directives.unchanged,
        "expect": directives.unchanged_required,
        "show": directives.unchanged,
        "explain": directives.unchanged_required,
        "questions": directives.unchanged_required,
    }

    def run(self) -> list[nodes.Node]:
        """The nodes; what labkit cannot do is a warning, which fails the build at its end."""
        try:
            return self._nodes()
        except ExtensionError as error:
            LOG.warning("%s", error, location=self.get_location())
            return []

    def _nodes(self) -> list[nodes.Node]:
        if self.env.app.builder.name == "gettext":
            return []  # labkit has its own catalogue
        if not self.arguments:
            return [self._terminal(["explain", *self.options["explain"].split()])]
        with chdir(self._folder()):
            source, capture = self._build()
            found: list[nodes.Node] = []
            if self.content:
                text = "\n".join(self.content)
                found.append(nodes.literal_block(text, text, language="text"))
            if self.options.get("picture") != "none":
                found += self._picture(source, capture)
            if "explain" in self.options:
                lesson, *rest = self.options["explain"].split()
                found.append(self._terminal(["explain", lesson, capture, *rest]))
            for command in ("show", "verify"):
                given = self.options.get("verdict" if command == "verify" else command)
                if given is not None:
                    found.append(self._terminal([command, *given.split(), capture]))
            if "expect" in self.options:
                self._expect(self.options["expect"], ["verify", *self.options["verdict"].split(), capture])
            if "questions" in self.options:
                found += self._questions(source)
        return found

    def _folder(self) -> Path:
        """A folder for exactly this conversation, so that its files have names that a reader understands."""
        # With the page's name: two processes may read two pages with the same example.
        key = repr((self.env.docname, self.arguments, sorted(self.options.items()), list(self.content)))
        folder = Path(self.env.srcdir) / FOLDER / sha256(key.encode()).hexdigest()[:10]
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _build(self) -> tuple[list[str], str]:
        """What commands call the conversation, with its faults; and the capture's name."""
        name = self.arguments[0]
        faults = [word for each in self.options.get("fault", "").split() for word in ("--fault", each)]
        if self.content:
            Path(f"{name}.pkt").write_text("\n".join(self.content) + "\n", "utf-8")
            source = [f"{name}.pkt"]
        elif "/" in name:
            capture = Path(name).name
            Path(capture).write_bytes((TOP / name).read_bytes())
            return [capture], capture
        else:
            source = [name, *faults]
        capture = f"{name}.pcapng"
        self._labkit(["build", *source, "-o", capture])
        return source, capture

    def _labkit(self, arguments: list[str]) -> str:
        """What a command of labkit prints. ExtensionError for anything but success or a verdict."""
        out, err = StringIO(), StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = run(arguments)
        if code not in (0, 1):
            raise ExtensionError(f"labkit {' '.join(arguments)}: {err.getvalue()}")
        return out.getvalue()

    def _expect(self, rule: str, verify: list[str]) -> None:
        """Warn if a verdict does not name a rule, as a finding, a consequence or a limit of the capture."""
        verdict = self._labkit([*verify, "--format", "json"])
        if f'"{rule}"' not in verdict:
            LOG.warning("no finding %s: %s", rule, verdict, location=self.get_location())

    def _picture(self, source: list[str], capture: str) -> list[nodes.Node]:
        what = self.options.get("picture", "ladder")
        packets = ["--packets", self.options["packets"]] if "packets" in self.options else []
        picture = f"{Path(capture).stem}-{what}.svg"
        self._labkit(["draw", *source, "--what", what, *packets, "-o", picture])
        text = Path(picture).read_text("utf-8")
        # The site has a switch of its own for dark pages, which a picture does not follow.
        Path(picture).write_text(
            re.sub(r"@media \(prefers-color-scheme: dark\) \{.*?\n\}\n", "", text, flags=re.DOTALL), "utf-8"
        )
        title = re.search("<title>(.*?)</title>", text)
        label = title[1] if title else capture
        # Two pictures of a page have two names: with a fault and without.
        if "fault" in self.options:
            label += f" ({self.options['fault']})"
        place = f"/{FOLDER}/{Path.cwd().name}"
        image = nodes.image(uri=f"{place}/{picture}", alt=label)
        line = nodes.paragraph(classes=["labkit-capture"])
        line += nodes.Text(self._word("Capture: "))
        link = download_reference(reftarget=f"{place}/{capture}", refdoc=self.env.docname)
        link += nodes.literal(text=capture)
        line += link
        box = f'<div class="labkit-picture" tabindex="0" role="region" aria-label="{label}">'
        return [nodes.raw("", box, format="html"), image, nodes.raw("", "</div>", format="html"), line]

    def _terminal(self, arguments: list[str]) -> nodes.Node:
        """A command with what it prints."""
        text = f"$ labkit {' '.join(arguments)}\n{self._labkit(arguments).rstrip()}"
        return nodes.literal_block(text, text, language="text", classes=["labkit-terminal"])

    def _questions(self, source: list[str]) -> list[nodes.Node]:
        kinds = self.options["questions"].replace(" ", "")
        text = self._labkit(["quiz", *source, "--kinds", kinds, "--format", "json"])
        found = "".join(map(self._question, json.loads(text)["questions"]))
        return [nodes.raw("", f'<ol class="labkit-questions">{found}</ol>', format="html")]

    def _question(self, question: dict[str, Any]) -> str:
        whys = {each["text"]: each["why"] for each in (question["right"], *question["wrong"])}
        right = question["right"]["text"]
        choices = "".join(f"<li>{escape(each)}</li>" for each in question["choices"])
        judged = {each: self._word("Right: " if each == right else "Wrong: ") for each in question["choices"]}
        reasons = "".join(
            f"<li><strong>{escape(each)}</strong> {word}{escape(whys[each])}</li>" for each, word in judged.items()
        )
        figure = "".join(f"{escape(line)}\n" for line in question["figure"])
        return (
            f"<li><p>{escape(question['stem'])}</p>"
            + (f'<pre tabindex="0">{figure}</pre>' if figure else "")
            + f'<ul class="choices">{choices}</ul><details><summary>{self._word("Answer")}</summary><ul>{reasons}</ul>'
            f"<p>{self._word('Filter for Wireshark: ')}<code>{escape(question['proof']['filter'])}</code></p></details></li>"
        )

    def _word(self, english: str) -> str:
        return WORDS.get(self.config.language, {}).get(english, english)


HAN = r"\u3400-\u9fff\uf900-\ufaff"


class Chinese(SearchLanguage):
    """Chinese text as pairs of neighbouring characters, in the index and in the question alike.

    A dictionary (jieba) would divide the index, but not the question in the browser; the pairs of both are always the same.
    """

    lang = "zh"
    language_name = "Chinese"
    js_splitter_code = (
        "var splitQuery = (query) => (query.match(/[" + HAN + "]+|[^\\W_]+/gu) || []).flatMap((run) =>"
        " /[" + HAN + "]/.test(run) && run.length > 1"
        " ? Array.from({length: run.length - 1}, (_, at) => run.slice(at, at + 2)) : [run]);"
    )

    def split(self, input: str) -> list[str]:  # noqa: A002 - the name in Sphinx
        """Words of Latin letters and digits; of Chinese text, each character and each pair."""
        words = []
        for run_ in re.findall(f"[{HAN}]+|[A-Za-z0-9]+", input):
            words.append(run_) if run_.isascii() else words.extend([*run_, *map("".join, pairwise(run_))])
        return words

    def stem(self, word: str) -> str:
        """Only lower case."""
        return word.lower()


def _page(app: Sphinx, name: str, _template: str, context: dict[str, Any], _tree: nodes.document | None) -> None:
    """Where the page is in the other language; its beginning where it is not there."""
    other = app.config.labkit_other
    context["other_url"] = (
        "../" * (name.count("/") + 1) + f"{other}/" + (f"{name}.html" if _there(app, name) else "index.html")
    )


def _there(app: Sphinx, name: str) -> bool:
    return (Path(app.srcdir).parent / app.config.labkit_other / f"{name}.md").exists()


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_directive("labkit", Labkit)
    app.add_config_value("labkit_other", "", "html", str)
    app.connect("html-page-context", _page)
    languages["zh"] = Chinese
    os.environ["LABKIT_LANG"] = app.config.language
    return {"parallel_read_safe": True, "parallel_write_safe": True}
