"""The shape of the package: who may import whom, what stays light, and who may print."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import labkit

PACKAGE = Path(labkit.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

LAYERS = (
    {"seq", "errors", "i18n"},
    {"options", "segment", "state", "linktype"},
    {"notation", "decode", "fragments", "doubt", "payload", "side", "track", "rule", "endpoint", "finding"},
    {
        "capture",
        "edits",
        "faults",
        "flows",
        "lines",
        "observe",
        "path",
        "pkt",
        "rules",
        "scenario",
        "survey",
        "trace",
        "verifier",
        "wanted",
        "wire",
    },
    {
        "annotate",
        "batches",
        "bulk",
        "choices",
        "cluster",
        "compiled",
        "diagram",
        "examples",
        "grade",
        "lessons",
        "live",
        "report",
        "scenarios",
        "table",
        "variants",
    },
    {"cli"},
)
"""Imports point downward, or stay in their layer. A package counts as one. New modules get a place here."""

ONLY = {
    "scapy": {"wire"},
    "numpy": {"bulk", "compiled"},
    "numba": {"compiled"},
    "dask": {"cluster"},
    "distributed": {"cluster"},
}
"""Heavy libraries, and the only units that may import them."""

HEAVY = {"dask", "distributed", "numba", "numpy", "pydantic", "rich", "ruamel", "scapy"}

SPEAKING = {"exit", "input", "os._exit", "print", "quit", "sys.exit", "sys.stderr.write", "sys.stdout.write"}
"""Calls that only the command line may make."""


ALLOWED = {("live/keeper.py", "os._exit")}
"""A process that was forked has to end itself: it is not the program."""


def unit(path: Path) -> str:
    """The module or package right below `labkit` that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def layer(name: str) -> int:
    """The layer of a unit, 0 the lowest. The entrance stands above everything."""
    if name == "__main__":
        return len(LAYERS)
    found = [number for number, names in enumerate(LAYERS) if name in names]
    assert found, f"labkit.{name} has no place in the layers"
    return found[0]


def nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes of a tree but those under `if TYPE_CHECKING:`, which never run."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            for branch in node.orelse:
                yield branch
                yield from nodes(branch)
            continue
        yield node
        yield from nodes(node)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that a file imports, inside functions too."""
    package = ("labkit", *path.relative_to(PACKAGE).parts[:-1])
    for node in nodes(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) + 1 - node.level]) if node.level else ""
            base = ".".join(filter(None, (base, node.module)))
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def misplaced(path: Path) -> Iterator[str]:
    """What a file imports from above its layer, or although it is another's to import."""
    me = unit(path)
    for line, name in imports(path):
        top, _, rest = name.partition(".")
        where = f"{path.relative_to(PACKAGE)}:{line}: {name}"
        if me not in ONLY.get(top, {me}):
            yield f"{where} (only {', '.join(ONLY[top])} may)"
        target = rest.partition(".")[0]
        # `from labkit import __version__` names no module.
        is_module = (PACKAGE / target).is_dir() or (PACKAGE / f"{target}.py").is_file()
        if top == "labkit" and target and is_module and layer(target) > layer(me):
            yield f"{where} (from above)"


def test_every_module_has_a_place() -> None:
    names = {unit(path) for path in FILES} - {"__init__"}
    assert {name: layer(name) for name in names}


def test_imports_point_downward() -> None:
    # The package's own __init__ loads public names on demand, from every layer: the one exception.
    assert [fault for path in FILES if unit(path) != "__init__" for fault in misplaced(path)] == []


def test_the_root_imports_nothing_of_labkit() -> None:
    root = ast.parse((PACKAGE / "__init__.py").read_text("utf-8"))
    modules = [node.module for node in nodes(root) if isinstance(node, ast.ImportFrom)]
    assert [module for module in modules if module and module.startswith("labkit")] == []


def test_nobody_imports_all_of_scapy() -> None:
    # `scapy.all` takes 0.8 s, and changes settings that are global.
    assert [path for path in FILES for _, name in imports(path) if name.startswith("scapy.all")] == []


def test_only_the_command_line_prints_or_exits() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}: {ast.unparse(node.func)}"
        for path in FILES
        if unit(path) not in {"cli", "__main__"}
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in SPEAKING
        and (path.relative_to(PACKAGE).as_posix(), ast.unparse(node.func)) not in ALLOWED
    ]
    assert found == []


def test_no_module_is_too_large() -> None:
    assert {path.name: path.stat().st_size for path in FILES if path.stat().st_size > 24 * 1024} == {}


@pytest.mark.parametrize(
    "statement",
    [
        "import labkit",
        "from labkit.cli import cli",
        "from labkit.cli import run; assert run(['--help']) == 0",
        "from labkit.cli import run; assert run(['--version']) == 0",
        "from labkit.cli import run; assert run(['nonsense']) == 2",
    ],
)
def test_what_must_be_quick_loads_nothing_heavy(statement: str) -> None:
    code = f"import sys; {statement}; print(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


class TestTheTestItself:
    """A test of absence passes on an empty list: these say that it would find something."""

    @pytest.mark.parametrize(
        ("where", "source", "faults"),
        [
            ("seq.py", "from labkit.segment import Segment", 1),
            ("seq.py", "def f():\n    import labkit.cli", 1),
            ("seq.py", "from . import segment", 1),
            ("seq.py", "import numpy as np", 1),
            ("cli/x.py", "from scapy.layers.inet import IP", 1),
            ("cli/x.py", "from ..segment import Segment", 0),
            ("cli/x.py", "from labkit import __version__", 0),
            ("segment.py", "from labkit import seq, options", 0),
            (
                "seq.py",
                "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from labkit.segment import Segment",
                0,
            ),
        ],
    )
    def test_finds(self, where: str, source: str, faults: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for each in ("seq.py", "segment.py", "options.py", "cli/__init__.py", where):
            path = tmp_path / each
            path.parent.mkdir(exist_ok=True)
            path.touch()
        (tmp_path / where).write_text(source)
        monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
        assert len(list(misplaced(tmp_path / where))) == faults
