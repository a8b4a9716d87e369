"""The engine's machine code: which entries it has, and which files they follow from."""

from collections.abc import Callable, Mapping
from pathlib import Path

from labkit.compiled import loader
from labkit.compiled.loader import Library, Source

NAME = "engine"
FOLDERS = ("capture", "compiled", "decode", "rules")
"""Packages whose files, with all modules of `labkit` itself, may change what is compiled."""


def files() -> list[Path]:
    """All files that the machine code may follow from."""
    root = Path(__file__).parent.parent
    return [*root.glob("*.py"), *(file for folder in FOLDERS for file in (root / folder).glob("*.py"))]


def sources() -> Mapping[str, Source]:
    """Every entry. ImportError where Numba is missing."""
    from labkit.compiled import decoding, kernels

    return {**decoding.sources(), **kernels.sources()}


def library(say: Callable[[], None]) -> Library:
    """The engine's library. `say` is called before it is compiled, which takes a minute; ImportError without Numba."""
    return loader.load(NAME, files(), sources, say)


def is_built() -> bool:
    """Whether it need not be compiled, and what loads it is there."""
    try:
        return loader.is_built(NAME, files())
    except ImportError:
        return False
