"""The machine code of the engine."""

import os
import sys
from binascii import crc32
from collections.abc import Callable, Iterable
from functools import cache

import labkit
from labkit.analysis.native.packed import Library, load_packed
from labkit.compiled import digest

NAME = "engine"
WINGS = ("tcp", "packet", "capture", "analysis")


def files() -> list[str]:
    """All files that the machine code may follow from: every module of the wings that the compiled functions belong to."""
    return [file for wing in WINGS for file in _modules(_folder() + wing)]


def sources() -> list[str]:
    """The files that the machine code does follow from, named from labkit's folder on: those of all modules that are imported
    when it is made. Ask then, in the same process."""
    loaded = {getattr(each, "__file__", None) for each in sys.modules.values()}
    return [file[len(_folder()) :] for file in sorted(files()) if file in loaded]


def digest_of(sources: Iterable[str]) -> str:
    """A digest of what these files hold, and of the names of all files that may be such: one may have been added. To read those
    that are none takes time whenever labkit starts."""
    names = "\n".join(sorted(file[len(_folder()) :] for file in files()))
    return f"{digest(_folder() + each for each in sources)}-{crc32(names.encode()):08x}"


def _folder() -> str:
    return f"{labkit.__path__[0]}/"


def _modules(folder: str) -> list[str]:
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".py"):
                found.append(entry.path)
            elif entry.is_dir() and entry.name.isidentifier():
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
    return load_packed(digest_of)


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
