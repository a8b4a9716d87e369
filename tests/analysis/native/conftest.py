"""Compile the engine once for all test processes, and keep it for the next run."""

import fcntl
from collections.abc import Callable

import pytest

from labkit.analysis.native import library, loader
from labkit.analysis.native.packed import Library


@pytest.fixture(scope="session")
def code() -> Library:
    pytest.importorskip("llvmlite", reason="llvmlite is not installed")
    return compiled(library.library)


def compiled(load: Callable[[Callable[[str], None]], Library]) -> Library:
    """The library. If several processes need it, one compiles."""
    folder = loader.folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        return load(lambda _obstacle: None)
