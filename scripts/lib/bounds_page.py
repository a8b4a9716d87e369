"""Write `docs/bounds.md`: every constant of labkit that bounds something, with its value and its docstring."""

import ast
from collections.abc import Iterator
from importlib import import_module
from itertools import dropwhile
from pathlib import Path
from typing import NamedTuple

import labkit

PACKAGE = Path(labkit.__file__).parent

ALSO = {
    "CHUNK",
    "CHUNK_OCTETS",
    "DEFAULT_MEMORY",
    "PAIR_OCTETS",
    "KEPT_OCTETS",
    "RING_OCTETS",
    "RING_PIECES",
    "ROUND",
    "SAME_MOMENT",
    "STRIDE",
}
"""Bounds whose names do not begin with MAX."""

HEAD = """# Bounds

A capture or a scenario may be hostile. labkit never allocates what a file merely claims, and it bounds everything that it
remembers. `scripts/docs` writes this page from the constants of the code and their docstrings.

| bound | value | what it limits |
| --- | --- | --- |"""

TAIL = """
labkit keeps findings until it prints them, in the order of the packets; the compiled engine uses about 130 octets for each. A
finding that is only counted was not compared with other findings of its packet, so such counts are upper bounds. In the
compiled engine a remembered conversation costs 984 octets, and 384 more for each side with a pending segment; in the
interpreter it costs some thousands. A trace, built or read from a capture for `repair` and `diff`, is held whole, up to the
budget of the command."""


class Bound(NamedTuple):
    """A constant that bounds something."""

    name: str
    """Its module, below `labkit`, and its own name."""
    value: int | float
    text: str
    """Its docstring on one line; empty if it has none."""


def bounds() -> Iterator[Bound]:
    """All bounds, in the order of their modules."""
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        for place, node in enumerate(tree.body, 1):
            for name in names(node):
                value = getattr(import_module(f"labkit.{module}"), name)
                if isinstance(value, int | float):
                    # One docstring may stand below several bounds.
                    below = dropwhile(names, tree.body[place:])
                    yield Bound(f"{module}.{name}", value, docstring(next(below, None)))


def names(node: ast.stmt) -> list[str]:
    """The bounds that a statement assigns."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    found = [each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)]
    return [name for name in found if name.lstrip("_").startswith("MAX_") or name in ALSO]


def docstring(node: ast.stmt | None) -> str:
    """The text of a docstring on one line."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return " ".join(node.value.value.split())
    return ""


def lines() -> Iterator[str]:
    """The page."""
    yield HEAD
    for each in bounds():
        text = each.text.replace("|", "\\|")
        yield f"| `{each.name}` | {each.value:,} | {text.removesuffix('.')} |"
    yield TAIL


if __name__ == "__main__":
    print("\n".join(lines()))
