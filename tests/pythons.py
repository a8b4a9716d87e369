"""The other versions of Python on this computer, for which labkit is made too."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

MINORS = [minor for minor in range(11, 16) if minor != sys.version_info.minor]

each_other = pytest.mark.parametrize("minor", MINORS)
"""The mark of a test that each of them must pass; `python3` finds it."""


def python3(minor: int) -> str:
    """Python 3.`minor`; where there is none, the test is skipped."""
    for place in _places(minor):
        if shutil.which(place) and not subprocess.run([place, "-c", ""], capture_output=True, check=False).returncode:
            return place
    pytest.skip(f"Python 3.{minor} is not installed")


def _places(minor: int) -> Iterator[str]:
    """Where it may be: on PATH, or among those of pyenv."""
    yield f"python3.{minor}"
    if shutil.which("pyenv"):
        root = subprocess.run(["pyenv", "root"], capture_output=True, text=True, check=False).stdout.strip()
        yield from map(str, sorted(Path(root, "versions").glob(f"3.{minor}.*/bin/python")))
