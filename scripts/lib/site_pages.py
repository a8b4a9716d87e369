"""The site's generated pages: one for each rule, and the list of shipped scenarios, in the language of LABKIT_LANG."""

import re
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from labkit.analysis.rule import DOCUMENT, RFC9293, Rule, Scope, shipped
from labkit.build.scenario import Scenario
from labkit.build.scenario import shipped as scenarios
from labkit.cli._rules import details, profiles, severity
from labkit.i18n import _

WORDS = {
    "zh_CN": {
        "Rules": "规则",
        "Scenarios": "场景",
        "Each rule has a page: what it finds, what would be right, what a receiver does, and how to mend it, with a good and "
        "a bad example.": "每条规则一页：它发现什么、应为什么、接收方会怎样处理、怎样改正，并给出正确和错误的示例。",
        "`labkit build NAME` builds one of these conversations. Look at what its description names.": (
            "`labkit build NAME` 生成其中的一个会话。说明中列出了值得看的内容。"
        ),
    }
}


class Pages:
    """Writes the pages of one language into a folder."""

    def __init__(self, folder: Path, language: str) -> None:
        self.folder = folder
        self._words = WORDS.get(language, {})

    def write(self) -> None:
        """Write all pages."""
        rules = sorted(shipped(), key=lambda each: (each.family, each.code, each.name))
        for each in rules:
            self._save(f"rules/{each.name}.md", rule_page(each))
        self._save("rules/index.md", self._rules(rules))
        self._save("scenarios.md", self._scenarios())

    def _save(self, name: str, lines: Iterator[str]) -> None:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lines) + "\n", "utf-8")

    def _word(self, english: str) -> str:
        return self._words.get(english, english)

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
                f"- [{each.code} {each.name}]({each.name}.md): {escaped(pattern(_(each.message)))}" for each in own
            )

    def _scenarios(self) -> Iterator[str]:
        yield f"# {self._word('Scenarios')}"
        yield ""
        yield self._word("`labkit build NAME` builds one of these conversations. Look at what its description names.")
        for name in scenarios():
            scenario = Scenario.load(name)
            yield from ("", f"## {name}", "", f"{escaped(scenario.summary)}", "")
            yield from (f"- {escaped(each)}" for each in scenario.look)


def rule_page(rule: Rule) -> Iterator[str]:
    """The page of one rule."""
    # Not in the tree of pages: with all rules, the navigation would be the larger part of each page.
    yield from ("---", "orphan: true", "---", "")
    yield f"# {rule.code} {rule.name}"
    yield ""
    yield f"{_('Severity')}: {severity(rule)}. {_('Profile')}: {profiles(rule)}."
    for paragraph in _(rule.explanation).split("\n\n"):
        yield from ("", escaped(paragraph))
    yield ""
    yield from (f"- **{label}**: {escaped(text)}" for label, text in details(rule))
    for label, name, example in ((_("Good:"), "good", rule.good), (_("Bad:"), "bad", rule.bad)):
        if not example:  # the notation cannot write a wrong port
            continue
        yield from ("", f"## {label.rstrip(':：')}", "", f"```{{labkit}} {name}")
        expect = [f":expect: {rule.code}"] if name == "bad" else []
        yield from (f":verdict: {verify_options(rule)}", *expect, "", *example.splitlines(), "```")


def verify_options(rule: Rule) -> str:
    """How to verify the example of a rule: a few lines are no capture that proves that it is complete."""
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
