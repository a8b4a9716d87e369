"""The site's generated pages: rules (a page for each), scenarios, assignments and formats, in the language of LABKIT_LANG."""

import re
import sys
from collections.abc import Iterable, Iterator
from itertools import chain, groupby
from pathlib import Path

from site_reference import SITUATIONS, situations, translations

from labkit.analysis.catalogue import shipped
from labkit.analysis.rule import Rule, Scope
from labkit.analysis.severity import DOCUMENT, RFC9293
from labkit.build.scenario import Scenario
from labkit.build.scenario import shipped as scenarios
from labkit.capture import formats
from labkit.cli._rules import details, profiles, severity
from labkit.i18n import _
from labkit.packet.decode import link
from labkit.packet.decode.layer import announced
from labkit.report import draw
from labkit.report.formats import names as reports
from labkit.teach.assign import Assignment
from labkit.teach.assign import shipped as assignments
from labkit.teach.assign.handout import markdown
from labkit.teach.assign.material import material
from labkit.teach.platforms import names as platforms
from labkit.teach.quiz.formats import names as quizzes

WORDS = {
    "zh_CN": {
        "Rules": "规则",
        "Scenarios": "场景",
        "Each rule has a page: what it finds, what would be right, what a receiver does, and how to mend it, with a good and "
        "a bad example.": "每条规则一页：它发现什么、应为什么、接收方会怎样处理、怎样改正，并给出正确和错误的示例。",
        "`labkit build NAME` builds one of these conversations. Look at what its description names.": (
            "`labkit build NAME` 生成其中的一个会话。说明中列出了值得看的内容。"
        ),
        "What Linux does": "Linux 的做法",
        "Assignments": "作业",
        "`labkit assign build NAME --roster class.csv` gives each student of a class a page with numbers of their own. Here are "
        "those of an example student. [Teaching](reference/teaching.md) explains the rest.": (
            "`labkit assign build NAME --roster class.csv` 为班上的每个学生生成任务单，数值各不相同。这里是一个示例学生的任务单。"
            "其余内容见[教学](reference/teaching.md)。"
        ),
        "Formats": "格式",
        "Codes, JSON keys, options and file formats are the same in every language.": (
            "规则代码、JSON 的键、选项和文件格式在每种语言中都相同。"
        ),
        "Captures": "抓包",
        "labkit recognises a capture by its first bytes. It reads captures that are compressed with gzip, too.": (
            "labkit 按开头的几个字节识别抓包。用 gzip 压缩的抓包也能读取。"
        ),
        "Link types": "链路类型",
        "Their names are those of tcpdump.org's registry.": "名称取自 tcpdump.org 的登记表。",
        "Reports": "报告",
        "[Verifying](reference/verifying.md#formats) explains each, with all keys: ": (
            "[检查](reference/verifying.md#formats)说明每一种及其所有的键："
        ),
        "Pictures": "图",
        "[Drawing](reference/drawing.md) explains them.": "说明见[画图](reference/drawing.md)。",
        "Quizzes": "测验",
        "[Quizzes](reference/quiz.md) says where each goes: ": "[测验](reference/quiz.md)说明各用在哪里：",
        "Learning platforms": "教学平台",
        "[Teaching](reference/teaching.md#platforms) says what each gets: ": (
            "[教学](reference/teaching.md#platforms)说明各得到什么："
        ),
        "Input": "输入",
        "[Scenarios and hand-written packets](reference/scenarios.md), [assignments](reference/teaching.md), "
        "[configurations](reference/verifying.md#configuration) and [rules](reference/own-rules.md) have pages of their own.": (
            "[场景与手写的数据包](reference/scenarios.md)、[作业](reference/teaching.md)、"
            "[配置](reference/verifying.md#configuration)和[规则](reference/own-rules.md)各有一页。"
        ),
        ", ": "、",
        ".": "。",
        "name": "名称",
        "suffixes": "后缀",
        "what it shows": "显示什么",
        "formats": "格式",
    }
}


class Pages:
    """Writes the pages of one language into a folder."""

    def __init__(self, folder: Path, language: str) -> None:
        self.folder = folder
        self._words = WORDS.get(language, {})
        self._situations = situations()

    def write(self) -> None:
        """Write all pages."""
        rules = sorted(shipped(), key=lambda each: (each.family, each.code, each.name))
        for each in rules:
            self._save(f"rules/{each.name}.md", chain(rule_page(each), self._linux(each.code)))
        self._save("rules/index.md", self._rules(rules))
        self._save("scenarios.md", self._scenarios())
        self._save("assignments.md", self._assignments())
        self._save("formats.md", self._formats())

    def _save(self, name: str, lines: Iterator[str]) -> None:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lines) + "\n", "utf-8")

    def _word(self, english: str) -> str:
        return self._words.get(english, english)

    def _linux(self, code: str) -> Iterator[str]:
        known = translations(SITUATIONS) if self._words else {}
        lines = [
            f"- {known.get(title, title)}{_(': ')}{known.get(what, what)}{_('. ').rstrip()}"
            for title, what in self._situations.get(code, ())
        ]
        if lines:
            yield from ("", f"## {self._word('What Linux does')}", "", *map(escaped, lines))

    def _rules(self, rules: list[Rule]) -> Iterator[str]:
        yield f"# {self._word('Rules')}"
        yield ""
        yield self._word(
            "Each rule has a page: what it finds, what would be right, what a receiver does, and how to mend it, with a good and "
            "a bad example."
        )
        for module, members in groupby(rules, lambda each: each.predicate.__module__):
            title = (sys.modules[module].__doc__ or module).split("\n")[0].rstrip(".")
            own = list(members)
            yield from ("", f"## {escaped(_(title))}", "")
            yield from (
                f"- [{each.code} {each.name}]({each.name}.md){_(': ')}{escaped(pattern(_(each.message)))}"
                for each in own
            )

    def _scenarios(self) -> Iterator[str]:
        yield f"# {self._word('Scenarios')}"
        yield ""
        yield self._word("`labkit build NAME` builds one of these conversations. Look at what its description names.")
        for name in scenarios():
            scenario = Scenario.load(name)
            yield from ("", f"## {name}", "", f"{escaped(scenario.summary)}", "")
            yield from (f"- {escaped(each)}" for each in scenario.look)

    def _assignments(self) -> Iterator[str]:
        yield f"# {self._word('Assignments')}"
        yield ""
        yield self._word(
            "`labkit assign build NAME --roster class.csv` gives each student of a class a page with numbers of their own. Here "
            "are those of an example student. [Teaching](reference/teaching.md) explains the rest."
        )
        for name in assignments():
            # The headings of its page stand below the assignment's own.
            page = re.sub("^(?=#)", "##", markdown(material(Assignment.load(name), 0)), flags=re.MULTILINE)
            yield from ("", f"## {name}", "", page.rstrip("\n"))

    def _formats(self) -> Iterator[str]:
        yield f"# {self._word('Formats')}"
        yield ""
        yield self._word("Codes, JSON keys, options and file formats are the same in every language.")
        yield from self._section(
            "Captures",
            "labkit recognises a capture by its first bytes. It reads captures that are compressed with gzip, too.",
        )
        yield from self._table(
            ("name", "suffixes"),
            [(f"`{each.name}`", ", ".join(f"`{suffix}`" for suffix in each.suffixes)) for each in formats()],
        )
        yield from self._section("Link types", "Their names are those of tcpdump.org's registry.")
        links = (name for layer in vars(link).values() if callable(layer) for name in announced(layer).values() if name)
        yield self._word(", ").join(f"`{name}`" for name in sorted(set(links))) + self._word(".")
        yield from self._section(
            "Reports", "[Verifying](reference/verifying.md#formats) explains each, with all keys: ", reports()
        )
        yield from self._section("Pictures", "[Drawing](reference/drawing.md) explains them.")
        rows = [(f"`{name}`", escaped(_(draw.summary(name))), ", ".join(draw.formats(name))) for name in draw.names()]
        yield from self._table(("name", "what it shows", "formats"), rows)
        yield from self._section("Quizzes", "[Quizzes](reference/quiz.md) says where each goes: ", quizzes())
        text = "[Teaching](reference/teaching.md#platforms) says what each gets: "
        yield from self._section("Learning platforms", text, platforms())
        yield from self._section(
            "Input",
            "[Scenarios and hand-written packets](reference/scenarios.md), [assignments](reference/teaching.md), "
            "[configurations](reference/verifying.md#configuration) and [rules](reference/own-rules.md) have pages of their own.",
        )

    def _section(self, title: str, text: str, names: Iterable[str] = ()) -> Iterator[str]:
        yield from ("", f"## {self._word(title)}", "")
        named = (self._word(", ")).join(f"`{name}`" for name in names)
        yield self._word(text) + (named + self._word(".") if named else "")
        yield ""

    def _table(self, head: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
        for cells in (tuple(map(self._word, head)), ("---",) * len(head), *rows):
            yield f"| {' | '.join(cells)} |"


def rule_page(rule: Rule) -> Iterator[str]:
    """The page of one rule."""
    # Not in the tree of pages: with all rules, the navigation would be the larger part of each page.
    yield from ("---", "orphan: true", "---", "")
    yield f"# {rule.code} {rule.name}"
    yield ""
    stop = _(". ")
    yield f"{_('Severity')}{_(': ')}{severity(rule)}{stop}{_('Profile')}{_(': ')}{profiles(rule)}{stop.rstrip()}"
    for paragraph in _(rule.explanation).split("\n\n"):
        yield from ("", escaped(paragraph))
    yield ""
    yield from (f"- **{label}**{_(': ')}{escaped(text)}" for label, text in details(rule))
    for label, name, example in ((_("Good:"), "good", rule.good), (_("Bad:"), "bad", rule.bad)):
        if not example:  # the notation cannot write a wrong port
            continue
        yield from ("", f"## {label.rstrip(':：')}", "", f"```{{labkit}} {name}")
        expect = [f":expect: {rule.code}"] if name == "bad" else []
        yield from (f":verdict: {verify_options(rule)}", *expect, "", *example.splitlines(), "```")


def verify_options(rule: Rule) -> str:
    """How to verify the example of a rule: a few lines are not a capture that proves that it is complete."""
    words = ["--complete" if rule.scope == Scope.LEDGER else "--partial"]
    if RFC9293 not in rule.profiles:
        words += ["--profile document"] if DOCUMENT in rule.profiles else ["--profile document --literal"]
    return " ".join(words)


def pattern(template: str) -> str:
    """A template with dots for its numbers."""
    return re.sub(r"\{[^}]*\}", "…", template)


def escaped(text: str) -> str:
    """Escape what Markdown would interpret: RFCs write segments as `<SEQ=0>`."""
    return text.replace("<", "\\<").replace("*", "\\*")
