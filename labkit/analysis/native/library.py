"""The machine code of the engine."""

import os
from collections.abc import Callable
from functools import cache

import labkit
from labkit.analysis.native.packed import Library, load_packed

NAME = "engine"
WINGS = ("tcp", "packet", "capture", "analysis")
APART = {"endpoint", "stacks"}
"""Folders in them whose modules no compiled function follows from: to read them takes time whenever labkit starts."""


def files() -> list[str]:
    """All files that the machine code may follow from: every module of the wings that the compiled functions belong to."""
    package = labkit.__path__[0]
    return [file for wing in WINGS for file in _modules(f"{package}/{wing}")]


def _modules(folder: str) -> list[str]:
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".py"):
                found.append(entry.path)
            elif entry.name.isidentifier() and entry.name not in APART and entry.is_dir():
                found += _modules(entry.path)
    return found


def library(on_compile: Callable[[str], None]) -> Library:
    """The engine's library, the same for the whole process: from the wheel, from the user's folder, or compiled.

    `on_compile` is called before a compilation, which takes some seconds, with the reason why its result cannot be kept, or an
    empty text. ImportError without llvmlite.
    """
    if (found := _packed()) is not None:
        return found
    from labkit.analysis.native import kernels, loader

    held = _held(str(loader.folder()))
    if not held:
        held.append(loader.load(NAME, files(), kernels.assembly, on_compile))
    return held[0]


def is_packed() -> bool:
    """Whether the wheel that labkit was installed from has the library. It is loaded then."""
    return _packed() is not None


@cache
def _packed() -> Library | None:
    return load_packed(files)


@cache
def _held(_folder: str) -> list[Library]:
    """The library of a folder, once it was loaded: where no file can be kept, each capture would have it compiled again."""
    return []


def is_built() -> bool:
    """Whether the library can be loaded without a compilation."""
    if is_packed():
        return True
    from labkit.analysis.native import loader

    try:
        return bool(_held(str(loader.folder()))) or loader.is_built(NAME, files())
    except ImportError:
        return False
