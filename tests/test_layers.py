"""The shape of the package: who may import whom, what stays light, and who may print."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import labkit

PACKAGE = Path(labkit.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

WINGS = ("tcp", "packet", "capture", "analysis", "build", "live", "report", "teach", "jobs", "cli")
"""From the lowest to the highest: a wing imports only itself and the wings before it."""

FOUNDATION = {"compiled", "errors", "i18n", "modules"}
"""Modules that every wing may import."""

STRANGERS = {("build", "analysis")}
"""Pairs of wings of which the first must not import the second, though it stands above it: what builds a conversation
knows nothing of how one is judged."""

ONLY = {
    "scapy": {"packet/scapy_build.py"},
    "llvmlite": {"analysis/native"},
    "numpy": {"build/bulk", "report/draw/_columns.py"},
    "dask": {"jobs/cluster.py"},
    "distributed": {"jobs/cluster.py"},
}
"""Heavy libraries, and the only places that may import them."""

HEAVY = {"dask", "distributed", "llvmlite", "numpy", "pydantic", "ruamel", "scapy"}

SPEAKING = {
    "click.echo",
    "click.secho",
    "exit",
    "input",
    "os._exit",
    "print",
    "quit",
    "sys.exit",
    "sys.stderr.write",
    "sys.stdout.write",
}
"""Calls that only the command line may make."""


THROUGH_THE_ROOT = {("build/trace.py", "labkit.build.scenario.Scenario"), ("build/trace.py", "labkit.report.draw.draw")}
"""What a trace offers its users, and does not need itself: the root loads it when it is asked for."""

parsed = cache(ast.parse)

ALLOWED = {("jobs/processes.py", "os._exit"), ("live/cleanup.py", "os._exit")}
"""A process that was forked has to end itself: it is not the program."""


def wing(path: Path) -> str:
    """The wing, or the module right below `labkit`, that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def rank(name: str) -> int:
    """The place of a wing in the order, -1 for the foundation."""
    return -1 if name in FOUNDATION else WINGS.index(name)


def nodes(tree: ast.AST, *, types: bool = False) -> Iterator[ast.AST]:
    """All nodes of a tree; those under `if TYPE_CHECKING:`, which never run, only with `types`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING") and not types:
            for branch in node.orelse:
                yield branch
                yield from nodes(branch)
            continue
        yield node
        yield from nodes(node, types=types)


def imports(path: Path, *, types: bool = False) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that a file imports, inside functions and by the root's public names too."""
    own = path.relative_to(PACKAGE).as_posix()
    for line, name in named(path, types=types):
        top, _, public = name.partition(".")
        if top == "labkit" and public in labkit._HOMES:
            name = f"labkit.{labkit._HOMES[public].partition(':')[0]}.{public}"
            if (own, name) in THROUGH_THE_ROOT:
                continue
        yield line, name


def named(path: Path, *, types: bool) -> Iterator[tuple[int, str]]:
    """Line and name of everything that a file imports, as it stands there."""
    package = ("labkit", *path.relative_to(PACKAGE).parts[:-1])
    for node in nodes(parsed(path.read_text("utf-8")), types=types):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) + 1 - node.level]) if node.level else ""
            base = ".".join(filter(None, (base, node.module)))
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "labkit":
            yield node.lineno, f"labkit.{node.attr}"
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield from ((node.lineno, str(each.value)) for each in node.args[:1] if isinstance(each, ast.Constant))


def misplaced(path: Path) -> Iterator[str]:
    """Imports that break the order of the wings, or belong to another place."""
    me, own, runs = wing(path), path.relative_to(PACKAGE).as_posix(), set(imports(path))
    for line, name in imports(path, types=True):
        top, _, rest = name.partition(".")
        where = f"{own}:{line}: {name}"
        if (
            top in ONLY
            and (line, name) in runs
            and not any(own == place or own.startswith(f"{place}/") for place in ONLY[top])
        ):
            yield f"{where} (only {', '.join(sorted(ONLY[top]))} may)"
        target = rest.partition(".")[0]
        if top != "labkit" or (target not in WINGS and target not in FOUNDATION):
            continue  # `from labkit import __version__` names no module
        if me != "__main__" and rank(target) > rank(me):
            yield f"{where} (a higher wing)"
        if (me, target) in STRANGERS:
            yield f"{where} (the other half)"


def module_of(name: str) -> Path | None:
    """The file of this package that an imported name stands in, if any: a module, or a package's `__init__`."""
    parts = name.split(".")[1:]
    for end in (len(parts), len(parts) - 1):
        place = PACKAGE.joinpath(*parts[:end])
        if end > 0 and place.with_suffix(".py").is_file():
            return place.with_suffix(".py")
        if end > 0 and (place / "__init__.py").is_file():
            return place / "__init__.py"
    return None


def circles(files: list[Path]) -> list[list[str]]:
    """Groups of files that import each other in a circle, also inside functions."""
    graph = {
        path: {found for _, name in imports(path) if name.startswith("labkit.") and (found := module_of(name))} - {path}
        for path in files
    }
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        return [[path.relative_to(PACKAGE).as_posix() for path in error.args[1]]]
    return []


def test_the_top_level_holds_the_wings_and_nothing_else() -> None:
    there = {path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"}
    assert there == {*WINGS, *(f"{name}.py" for name in FOUNDATION), "__init__.py", "__main__.py", "py.typed", "locale"}


def test_each_wing_is_explained_by_one_line() -> None:
    for name in WINGS:
        text = ast.get_docstring(ast.parse((PACKAGE / name / "__init__.py").read_text("utf-8"))) or ""
        assert text.partition("\n")[0].endswith("."), name


def test_imports_point_downward() -> None:
    # The package's own __init__ loads public names on demand, from every wing: the one exception.
    assert [fault for path in FILES if wing(path) != "__init__" for fault in misplaced(path)] == []


def test_no_circles() -> None:
    assert circles([path for path in FILES if wing(path) != "__init__"]) == []


def test_the_root_imports_what_finds_modules_only() -> None:
    root = ast.parse((PACKAGE / "__init__.py").read_text("utf-8"))
    found = [
        node for node in nodes(root) if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("labkit")
    ]
    assert [(node.module, [each.name for each in node.names]) for node in found] == [("labkit", ["compiled"])]
    own = {
        node.names[0].name
        for node in nodes(ast.parse((PACKAGE / "compiled.py").read_text("utf-8")))
        if isinstance(node, ast.Import)
    }
    assert own == {"os", "sys"}


def test_nobody_imports_all_of_scapy() -> None:
    # `scapy.all` takes 0.8 s, and changes settings that are global.
    assert [path for path in FILES for _, name in imports(path) if name.startswith("scapy.all")] == []


def test_only_the_command_line_prints_or_exits() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}: {ast.unparse(node.func)}"
        for path in FILES
        if wing(path) not in {"cli", "__main__"}
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
        "from labkit import *",
        "import labkit.report.pytest_plugin",
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

    @pytest.fixture(autouse=True)
    def package(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        for each in (
            "tcp/seq.py",
            "tcp/segment.py",
            "analysis/rule.py",
            "build/trace.py",
            "cli/__init__.py",
            "cli/x.py",
        ):
            path = tmp_path / each
            path.parent.mkdir(exist_ok=True)
            path.touch()
        monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
        return tmp_path

    @pytest.mark.parametrize(
        ("where", "source", "faults"),
        [
            ("tcp/seq.py", "from labkit.analysis.rule import Rule", 1),
            ("tcp/seq.py", "def f():\n    import labkit.cli", 1),
            ("tcp/seq.py", "from ..analysis import rule", 1),
            ("tcp/seq.py", "import numpy as np", 1),
            ("tcp/seq.py", "from labkit.errors import LabkitError", 0),
            ("build/trace.py", "from labkit.analysis.rule import Rule", 1),
            ("cli/x.py", "from scapy.layers.inet import IP", 1),
            ("cli/x.py", "from ..tcp.segment import Segment", 0),
            ("cli/x.py", "from labkit import __version__", 0),
            ("tcp/segment.py", "from labkit.tcp import seq", 0),
            ("tcp/seq.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from labkit.cli import x", 1),
            ("cli/x.py", "import typing\nif typing.TYPE_CHECKING:\n    from scapy.packet import Packet", 0),
            ("build/trace.py", "def f():\n    from labkit import verify", 1),
            ("build/trace.py", "def f():\n    from labkit import draw, Scenario", 0),
            ("tcp/seq.py", "import labkit\nlabkit.draw()", 1),
            ("tcp/seq.py", "from importlib import import_module\nimport_module('labkit.cli.x')", 1),
        ],
    )
    def test_finds(self, where: str, source: str, faults: int, package: Path) -> None:
        (package / where).write_text(source)
        assert len(list(misplaced(package / where))) == faults

    def test_finds_circles(self, package: Path) -> None:
        (package / "tcp/seq.py").write_text("def f():\n    from labkit.tcp import segment")
        assert circles([package / "tcp/seq.py", package / "tcp/segment.py"]) == []
        for text in (
            "from labkit.tcp.seq import MASK",
            "from importlib import import_module\nimport_module('labkit.tcp.seq')",
        ):
            (package / "tcp/segment.py").write_text(text)
            assert circles([package / "tcp/seq.py", package / "tcp/segment.py"]) != []
