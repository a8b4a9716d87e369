"""The engine's machine code follows from certain files, and is compiled anew when one of them changes."""

import inspect
from pathlib import Path

import pytest

from labkit.analysis.native import library

pytest.importorskip("numba", reason="Numba is not installed")


def test_the_files_are_there() -> None:
    files = library.files()
    assert len(files) == len(set(files))
    assert [file for file in files if not file.is_file()] == []


def test_all_that_is_compiled_stands_in_them() -> None:
    from labkit.analysis.native.kernels import kernels

    files = set(library.files())
    translated = {Path(inspect.getfile(function)) for function in kernels().names}
    assert translated - files == set()
    # What is no function is a constant, whose modules are imported by those that use it.
    for file in translated:
        for module in vars(inspect.getmodule(next(iter(_functions(file, kernels().names))))).values():
            if inspect.ismodule(module) and module.__name__.startswith("labkit.") and not hasattr(module, "__path__"):
                assert Path(inspect.getfile(module)) in files, module.__name__


def _functions(file: Path, names: object) -> list[object]:
    return [function for function in names if Path(inspect.getfile(function)) == file]  # type: ignore[attr-defined]
