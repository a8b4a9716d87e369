"""The machine code follows from certain files, and is compiled again when one of them changes."""

import inspect
import sys
from pathlib import Path

from labkit.analysis.native import library


def test_each_file_is_listed_once() -> None:
    files = library.files()
    assert len(files) == len(set(files))
    assert all(Path(file).is_file() for file in files)


def test_the_files_of_all_compiled_functions_and_their_constants_are_listed() -> None:
    from labkit.analysis.native.kernels import kernels

    _text, names = kernels()
    compiled = {function.__module__ for function in names}
    # Constants come from the modules that these import.
    imported = {
        getattr(value, "__module__", None) or getattr(value, "__name__", None)
        for module in compiled
        for value in vars(sys.modules[module]).values()
        if inspect.ismodule(value) or inspect.isclass(value) or inspect.isfunction(value)
    }
    wings = tuple(f"labkit.{wing}." for wing in ("tcp", "packet", "capture", "analysis"))
    needed = {name for name in compiled | imported if name and name.startswith(wings)}
    missing = {name for name in needed if inspect.getfile(sys.modules[name]) not in library.files()}
    assert missing == set()
