"""The compiled engine, compiled once for all tests of all processes, and kept for the next run."""

import fcntl
from collections.abc import Callable

import pytest

from labkit.analysis.native import library, loader
from labkit.analysis.native.loader import Library


@pytest.fixture(scope="session")
def code() -> Library:
    pytest.importorskip("numba", reason="Numba is not installed")
    return compiled(library.library)


def compiled(load: Callable[[Callable[[], None]], Library]) -> Library:
    """The library; where several processes want it, one compiles."""
    folder = loader.folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        return load(lambda: None)
