"""Compile the modules of the simulation with mypyc, for the wheel: one library for each version of Python.

mypyc gets copies of the sources, in which constants are marked as such, and classes with what mypyc must know of them. No line
moves, so that a traceback shows the line of the source. Everything is linked into one file, in which `labkit.compiled` finds the
modules.
"""

import ast
import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mypyc.build import generate_c_extension_shim, include_dir, mypyc_build
from mypyc.options import CompilerOptions

from labkit import compiled

TOP = Path(__file__).parents[2]
GROUP = compiled.LIBRARY.removesuffix("__mypyc")
COPIED = "from labkit.tcp import seq as sn"
"""How modules import the one whose functions the library has under another name, because its own name is that of the source."""
INHERITED = frozenset({"Config", "Endpoint", "EndpointEnd", "Path"})
"""Classes that other classes may inherit from."""
VALUES = frozenset({"Burst", "Direction"})
"""Classes that stay Python's own: users make them of what they like, copy and pickle them."""


class Python(NamedTuple):
    """A version of Python to compile for."""

    version: tuple[int, int]
    include: str
    suffix: str
    """Of the names of extension modules."""


def python(program: str) -> Python | None:
    """What a program of Python says of itself; None if it cannot be run, or its headers are not there."""
    code = (
        "import json, sys, sysconfig\nfrom importlib.machinery import EXTENSION_SUFFIXES\n"
        "print(json.dumps([sys.version_info[:2], sysconfig.get_path('include'), EXTENSION_SUFFIXES[0]]))"
    )
    done = subprocess.run([program, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:
        return None
    version, include, suffix = json.loads(done.stdout)
    return Python(tuple(version), include, suffix) if Path(include, "Python.h").is_file() else None


def libraries(pythons: list[Python], target: str, work: Path) -> dict[str, bytes]:
    """The library for each version of Python, by its path below `labkit`; `target` is the platform as the compiler calls it."""
    copy = work / "simulation"
    shutil.copytree(TOP / "labkit", copy / "labkit", ignore=shutil.ignore_patterns("__pycache__", "machine"))
    name = compiled.library_name(str(copy / "labkit"), "")
    shutil.copy(copy / "labkit/tcp/seq.py", copy / "labkit/tcp/inlined_seq.py")
    paths = [f"labkit/{module.replace('.', '/')}.py" for module in (*compiled.MODULES, "tcp.inlined_seq")]
    for path in paths:
        text = (copy / path).read_text("utf-8").replace(COPIED, COPIED.replace(" seq ", " inlined_seq "))
        (copy / path).write_text(marked(text), "utf-8")
    found = {}
    for each in pythons:
        folder = work / f"c-{each.version[0]}.{each.version[1]}"
        options = CompilerOptions(target_dir=str(folder), capi_version=each.version, group_name=GROUP)
        flags = ["--config-file", str(TOP / "pyproject.toml"), "--no-warn-unused-ignores", "--no-error-summary"]
        # mypyc finds modules from the current folder, and prints hints about what it compiles less well.
        with contextlib.chdir(copy), contextlib.redirect_stdout(sys.stderr):
            _groups, ((files, _headers),), _more = mypyc_build([*flags, *paths], options)
        for module in compiled.MODULES:
            shim = Path(generate_c_extension_shim(f"labkit.{module}", module.rpartition(".")[2], str(folder), GROUP))
            # Each has the same entry for a package too, and one file can have only one.
            shim.write_text(
                shim.read_text("utf-8").replace("PyMODINIT_FUNC PyInit___init__", "static PyObject *unused")
            )
            files = [*files, str(shim)]
        made = folder / "library.so"
        flags = ["-target", f"{target}.2.17", "-O2", "-shared", "-fPIC", "-fwrapv", "-s", "-DNDEBUG", "-w"]
        includes = [f"-I{each.include}", f"-I{include_dir()}", f"-I{folder}"]
        compiler = [sys.executable, "-m", "ziglang", "cc"]
        subprocess.run([*compiler, *flags, *includes, *files, "-o", str(made)], check=True)
        found[f"{Path(compiled.FOLDER).name}/{name}{each.suffix}"] = made.read_bytes()
    return found


def marked(text: str) -> str:
    """A source with marks for mypyc in empty lines and in assignments, so that it has the same lines as before."""
    lines = text.split("\n")
    tree = ast.parse(text)
    first = tree.body[0].end_lineno or 0  # the docstring
    lines[first] = "import typing; MYPY = False"
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)]) if name.isupper():
                at = node.lineno - 1
                lines[at] = lines[at].replace(f"{name} =", f"{name}: typing.Final =", 1)
            case ast.ClassDef(name=name) if name in VALUES:
                lines[start(node) - 1] = "@(lambda kind: kind)"  # a decorator that mypyc does not know
            case ast.ClassDef(name=name) if name in INHERITED:
                lines[start(node) - 2] = "if MYPY: from mypy_extensions import mypyc_attr"
                lines[start(node) - 1] = "@mypyc_attr(allow_interpreted_subclasses=True)"
    return "\n".join(lines)


def start(node: ast.ClassDef) -> int:
    """The line of a class or of its first decorator, from 0."""
    return (
        min(node.lineno, *(each.lineno for each in node.decorator_list)) - 1 if node.decorator_list else node.lineno - 1
    )


def pythons(programs: list[str]) -> Iterator[Python]:
    """The versions of Python that can be compiled for, each once."""
    seen = set()
    for program in programs:
        found = python(program)
        if found is not None and found.version not in seen:
            seen.add(found.version)
            yield found
