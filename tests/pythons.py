"""The other versions of Python on this computer, for which labkit is made too."""

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

NEWEST = 15


def _places(name: str) -> list[str]:
    """Where a version may be: on PATH, or among those of pyenv."""
    root = (
        subprocess.run(["pyenv", "root"], capture_output=True, text=True, check=False).stdout.strip()
        if shutil.which("pyenv")
        else ""
    )
    kept = sorted(Path(root, "versions").glob(f"{name.removeprefix('python')}.*/bin/python")) if root else []
    return [name, *map(str, kept)]


@cache
def others() -> list[str]:
    """The programs."""
    found = []
    for minor in range(11, NEWEST + 1):
        if minor == sys.version_info.minor:
            continue
        for place in _places(f"python3.{minor}"):
            if (
                shutil.which(place)
                and not subprocess.run([place, "-c", ""], capture_output=True, check=False).returncode
            ):
                found.append(place)
                break
    return found


each_other = pytest.mark.parametrize(
    "python", others() or [pytest.param("", marks=pytest.mark.skip("there is no other Python here"))]
)
"""The mark of a test that each of them must pass."""
