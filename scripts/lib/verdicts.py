"""Whole verdicts on conversations, as the tests hold them: tests/conversations.txt and tests/examples.txt.

A block is a title behind `== `, the conversation in the notation, and for each profile, behind `-- `, the verdict: a line for
each finding, with the packet (`-`: the whole conversation), the severity, the rule's code and its name. The conversations are
written by hand; the examples are those of the rules. `scripts/verdicts` writes the verdicts of both anew.
"""

from collections.abc import Iterator
from pathlib import Path

from labkit.analysis.rule import DOCUMENT, RFC9293, Scope, collect
from labkit.analysis.verifier import Finding, Verifier
from labkit.capture import Frame
from labkit.tcp.notation import parse
from labkit.teach.examples import frames

TESTS = Path(__file__).parents[2] / "tests"
CONVERSATIONS, EXAMPLES = TESTS / "conversations.txt", TESTS / "examples.txt"

LEFT_OUT = {"OPT06"}
"""Rules that would only say of every conversation that it is short."""

Block = tuple[str, str, dict[str, list[str]]]
"""Title, conversation, and the lines of the verdict under each profile."""


def blocks(path: Path) -> Iterator[Block]:
    """What a file of verdicts holds."""
    for block in path.read_text("utf-8").split("\n== ")[1:]:
        title, _, rest = block.partition("\n")
        text, *verdicts = rest.split("-- ")
        lines = [verdict.strip().splitlines() for verdict in verdicts]
        yield title, text, {profile: told for profile, *told in lines}


def told(findings: list[Finding]) -> list[str]:
    """A verdict as lines."""
    return [
        f"{each.packet or '-'} {each.severity} {each.code} {each.name}"
        for each in findings
        if each.code not in LEFT_OUT
    ]


def judged(text: str, profile: str, isns: tuple[int, int]) -> list[str]:
    """The verdict on a conversation."""
    packets: Iterator[Frame] = frames(list(parse(text)), isns=isns)
    return told(Verifier(profile).run(packets).findings)


def examples() -> Iterator[tuple[str, str]]:
    """Title and text of every rule's examples; the same text once."""
    seen = set()
    for rule in (each for each in collect() if each.scope != Scope.LEDGER):
        for kind, text in (("bad", rule.bad), ("good", rule.good)):
            if text not in seen:
                seen.add(text)
                yield f"{rule.code} {rule.name}, {kind}", text


def _page(path: Path, texts: Iterator[tuple[str, str]] | list[tuple[str, str]], head: str) -> None:
    lines = [f"# {head}", "# scripts/verdicts writes the verdicts anew; what has changed in them is to be read.", ""]
    for title, text in texts:
        lines += [f"== {title}", *(line.partition("#")[0].rstrip() for line in text.strip().splitlines())]
        for profile in (RFC9293, DOCUMENT):
            lines += [f"-- {profile}", *judged(text, profile, (0, 0))]
        lines.append("")
    path.write_text("\n".join(line for line in lines).rstrip() + "\n", "utf-8")


def main() -> None:
    """Write both files anew."""
    kept = [(title, text) for title, text, _ in blocks(CONVERSATIONS)]
    _page(CONVERSATIONS, kept, "Conversations that a sceptic would try, and the whole verdict on each.")
    _page(EXAMPLES, examples(), "The examples of all rules, and the whole verdict on each.")


if __name__ == "__main__":
    main()
