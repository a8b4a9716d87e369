"""What docs/kernel.md permits to differ between a kernel and labkit, and what differs."""

import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TypeVar

PAGE = Path(__file__).parents[2] / "docs" / "kernel.md"
STACK = "## The stack `linux-6.18`"
"""The page's last section. What stands before it is about the stack `rfc`."""

T = TypeVar("T")


def differ_in(one: list[T], other: list[T], ignore: Mapping[str, Callable[[list[T]], list[T]]]) -> set[str] | None:
    """The smallest set of words that explains the difference of two sequences; None if no set does.

    `ignore` has what each word leaves out, the weakest first; "segments" is the coarsest.
    """
    words = list(ignore)
    choices = [[name for place, name in enumerate(words) if mask >> place & 1] for mask in range(1 << len(words))]
    for names in sorted(choices, key=lambda names: ("segments" in names, len(names), [*map(words.index, names)])):
        ours, theirs = one, other
        for name in names:
            ours, theirs = ignore[name](ours), ignore[name](theirs)
        if ours == theirs:
            return set(names)
    return None


def listed(text: str, cases: Collection[str], words: Collection[str]) -> dict[tuple[str, str], set[str]]:
    """The permitted differences in a part of the page, by case and labkit's side."""
    found = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 3 and cells[0] in cases:
            for side, cell in zip(("server", "client"), cells[1:], strict=True):
                found[cells[0], side] = set(re.findall(r"\w+", cell)) & set(words)
    return found
