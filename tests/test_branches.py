"""What a wheel's compiler is told of the engine's branches: how often each goes which way, and nothing that changes a result."""

import ctypes
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from labkit.analysis.native import kernels
from labkit.analysis.native.assembly import Assembly
from labkit.analysis.native.lines import INT
from labkit.analysis.native.packed import PackedLibrary

pytest.importorskip("ziglang", reason="ziglang, which compiles for wheels, is not installed")
pytest.importorskip("numpy", reason="numpy is not installed")
sys.path.insert(0, str(Path(__file__).parents[1] / "scripts" / "lib"))
branches = importlib.import_module("branches")

SOURCE = """
def odd(least, most):
    found = 0
    for number in range(least, most):
        if number & 1 and number > 3:
            found = found + 1
    return found

def primitives__ones_sum(least, most):
    while least < most:
        least = least + 1
    return least
"""


@pytest.fixture
def engine() -> Assembly:
    whole = Assembly(SOURCE)
    whole.add_entry("odd", "odd", (INT, INT))
    whole.add_entry("sum", "primitives__ones_sum", (INT, INT))
    return whole


def compiled(text: str, folder: Path, engine: Assembly) -> tuple[PackedLibrary, ctypes.CDLL]:
    source, made = folder / "engine.ll", folder / "engine.so"
    source.write_text(text)
    flags = ["-O3", "-shared", "-fPIC", "-Wno-override-module"]
    command = [sys.executable, "-m", "ziglang", "cc", *flags, str(source), "-o", str(made)]
    subprocess.run(command, cwd=folder, check=True)
    return PackedLibrary(str(made), engine.entries), ctypes.CDLL(str(made))


@pytest.mark.compiled
def test_each_branch_is_counted(engine: Assembly, tmp_path: Path) -> None:
    library, code = compiled(branches.with_counters(engine.text), tmp_path, engine)
    assert library.entries["odd"](0, 10) == 3
    counts = list((ctypes.c_int64 * 8).in_dll(code, branches.COUNTERS))
    # Ten numbers, then the end; five are odd; three of them are larger than 3. The other function did not run.
    assert counts == [10, 1, 5, 5, 3, 2, 0, 0]


@pytest.mark.compiled
def test_weights_change_no_result(engine: Assembly, tmp_path: Path) -> None:
    library, _code = compiled(branches.with_weights(engine.text, [(10, 1), (5, 5), (3, 2), (4, 1)]), tmp_path, engine)
    assert (library.entries["odd"](0, 10), library.entries["sum"](3, 9)) == (3, 9)


def test_weights_stand_at_the_branches_that_have_run(engine: Assembly) -> None:
    text = branches.with_weights(engine.text, [(10 << 40, 1 << 40), (0, 0), (3, 2), (10, 1)])
    notes = dict(re.findall(r'^(!\d+) = !\{!"branch_weights", (.*)\}$', text, re.MULTILINE))
    weights = [notes.get(note) for note in re.findall(r"^  br i1 [^!\n]*(?:, !prof (!\d+))?$", text, re.MULTILINE)]
    # Each fits 32 bits; what has not run has none, nor has a loop whose usual length says little of what it costs.
    assert weights == ["i32 1048576, i32 104857", None, "i32 3, i32 2", None]
    assert re.sub(r", !prof !\d+|^!\d+ = !\{!\"branch_weights.*\n", "", text, flags=re.MULTILINE) == engine.text


@pytest.mark.slow
@pytest.mark.compiled
def test_counts_are_the_same_each_time(tmp_path: Path) -> None:
    engine = kernels.assembly()
    folders = tmp_path / "one", tmp_path / "other"
    for each in folders:
        each.mkdir()
    one, other = (branches.measured(engine, each) for each in folders)
    assert one == other
    assert len(one) == branches.branches_of(engine.text)
    assert (
        len([line for line in engine.text.splitlines() if branches.UNWEIGHTED.search(line) and "define" in line]) == 1
    )
    assert sum(map(any, one)) > len(one) / 2
