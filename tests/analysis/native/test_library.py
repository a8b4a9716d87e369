"""The machine code follows from certain files, and is compiled again when one of them changes."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import labkit
from labkit.analysis.native import library

FOLDER = Path(labkit.__file__).parent


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


def made() -> list[str]:
    """The sources of machine code that another process makes."""
    code = (
        "from labkit.analysis.native import kernels, library\nkernels.assembly()\nprint(*library.sources(), sep='\\n')"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_machine_code_follows_from_the_modules_that_are_imported_for_it() -> None:
    found = made()
    assert {"tcp/seq.py", "packet/seen.py", "capture/base.py", "analysis/side.py"} <= set(found)
    assert {f"analysis/rules/{each.name}" for each in (FOLDER / "analysis/rules").glob("*.py")} <= set(found)
    assert not [each for each in found if each.startswith("tcp/endpoint/")]


def test_the_digest_tells_a_change_of_a_source_and_another_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for wing in library.WINGS:
        (tmp_path / wing).mkdir()
        (tmp_path / wing / "one.py").write_text("A = 1\n")
        (tmp_path / wing / "two.py").write_text("B = 1\n")
    monkeypatch.setattr(labkit, "__path__", [str(tmp_path)])
    sources = ["tcp/one.py", "analysis/one.py"]
    before = library.digest_of(sources)
    (tmp_path / "tcp/two.py").write_text("B = 2\n")
    assert library.digest_of(sources) == before
    (tmp_path / "analysis/one.py").write_text("A = 2\n")
    changed = library.digest_of(sources)
    assert changed != before
    (tmp_path / "packet/three.py").write_text("")
    assert library.digest_of(sources) not in (before, changed)
    (tmp_path / "tcp/one.py").unlink()
    with pytest.raises(FileNotFoundError):
        library.digest_of(sources)
