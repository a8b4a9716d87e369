"""The modules of a package are found by their files, as pkgutil finds them."""

from pathlib import Path
from pkgutil import iter_modules

import pytest

import labkit
from labkit.modules import modules_in

PACKAGES = sorted(path.parent for path in Path(labkit.__file__).parent.rglob("__init__.py"))


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_the_modules_of_a_package_are_found(package: Path) -> None:
    found = [each.name for each in iter_modules([str(package)]) if not each.ispkg and not each.name.startswith("_")]
    assert modules_in([str(package)]) == found


def test_other_files_and_helpers_are_no_modules(tmp_path: Path) -> None:
    for name in ("b.py", "a.py", "_c.py", "__init__.py", "d.txt", "e.pyc"):
        (tmp_path / name).touch()
    (tmp_path / "f").mkdir()
    assert modules_in([str(tmp_path)]) == ["a", "b"]
    assert modules_in([]) == []
