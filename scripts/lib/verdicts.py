"""Whole verdicts on conversations, as the tests expect them: tests/conversations.txt and tests/examples.txt.

A block has a title after `== `, the conversation in the notation, and for each profile, after `-- `, the verdict: a line for
each finding with the packet (`-`: the whole conversation), the severity, the rule's code and its name. The conversations are
written by hand; the examples come from the rules. `scripts/verdicts` writes the verdicts of both.
"""

from collections.abc import Iterator
from pathlib import Path

from labkit.analysis.catalogue import collect
from labkit.analysis.finding import Finding
from labkit.analysis.rule import Scope
from labkit.analysis.severity import DOCUMENT, RFC9293
from labkit.analysis.verifier import Verifier
from labkit.capture import Frame
from labkit.tcp.notation import parse
from labkit.teach.examples import frames

TESTS = Path(__file__).parents[2] / "tests"
CONVERSATIONS, EXAMPLES = TESTS / "conversations.txt", TESTS / "examples.txt"

LEFT_OUT = {"OPT06"}
"""Rules that find the same in every conversation, because it is short."""

Block = tuple[str, str, dict[str, list[str]]]
"""Title, conversation, and the lines of the verdict under each profile."""


def blocks(path: Path) -> Iterator[Block]:
    """Read a file of verdicts."""
    for block in path.read_text("utf-8").split("\n== ")[1:]:
        title, _, rest = block.partition("\n")
        text, *verdicts = rest.split("-- ")
        lines = [verdict.strip().splitlines() for verdict in verdicts]
        yield title, text, {profile: told for profile, *told in lines}


def told(findings: list[Finding]) -> list[str]:
    """Return a verdict as lines."""
    return [
        f"{each.packet or '-'} {each.severity} {each.code} {each.name}"
        for each in findings
        if each.code not in LEFT_OUT
    ]


def judged(text: str, profile: str, isns: tuple[int, int]) -> list[str]:
    """Verify a conversation; return the verdict as lines."""
    packets: Iterator[Frame] = frames(list(parse(text)), isns=isns)
    return told(Verifier(profile).run(packets).findings)


def examples() -> Iterator[tuple[str, str]]:
    """Yield title and text of every rule's examples, each text once."""
    seen = set()
    for rule in (each for each in collect() if each.scope != Scope.LEDGER):
        for kind, text in (("bad", rule.bad), ("good", rule.good)):
            if text not in seen:
                seen.add(text)
                yield f"{rule.code} {rule.name}, {kind}", text


def _page(path: Path, texts: Iterator[tuple[str, str]] | list[tuple[str, str]], head: str) -> None:
    lines = [f"# {head}", "# scripts/verdicts writes the verdicts; read what has changed in them.", ""]
    for title, text in texts:
        lines += [f"== {title}", *(line.partition("#")[0].rstrip() for line in text.strip().splitlines())]
        for profile in (RFC9293, DOCUMENT):
            lines += [f"-- {profile}", *judged(text, profile, (0, 0))]
        lines.append("")
    path.write_text("\n".join(line for line in lines).rstrip() + "\n", "utf-8")


def main() -> None:
    """Write both files."""
    kept = [(title, text) for title, text, _ in blocks(CONVERSATIONS)]
    _page(CONVERSATIONS, kept, "Unusual conversations, and the whole verdict on each.")
    _page(EXAMPLES, examples(), "The examples of all rules, and the whole verdict on each.")


if __name__ == "__main__":
    main()
