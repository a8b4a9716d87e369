"""The machine code of the engine."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

from labkit.analysis.native import loader
from labkit.analysis.native.loader import Library
from labkit.analysis.native.packed import ABOUT, FOLDER, PackedLibrary, load_packed

NAME = "engine"
WINGS = ("tcp/*.py", "packet/**/*.py", "capture/*.py", "analysis/**/*.py")


def files() -> list[Path]:
    """All files that the machine code may follow from: every module of the wings that the compiled functions belong to."""
    root = Path(__file__).parents[2]
    return [file for wing in WINGS for file in root.glob(wing)]


def library(on_compile: Callable[[], None]) -> Library:
    """The engine's library, the same for the whole process: from the wheel, from the user's folder, or compiled.

    `on_compile` is called before a compilation, which takes some seconds. ImportError without llvmlite.
    """
    held = _held(loader.folder())
    if not held and not is_packed():
        from labkit.analysis.native import kernels

        held.append(loader.load(NAME, files(), kernels.assembly, on_compile))
    return held[0]


def is_packed() -> bool:
    """Whether the wheel that labkit was installed from has the library. It is loaded then."""
    held = _held(loader.folder())
    if not held and (found := _packed()):
        held.append(found)
    return isinstance(held[0], PackedLibrary) if held else False


@cache
def _packed() -> Library | None:
    return load_packed(files()) if (FOLDER / ABOUT).exists() else None


@cache
def _held(_folder: Path) -> list[Library]:
    """The library of a folder, once it was loaded: where no file can be kept, each capture would have it compiled again."""
    return []


def is_built() -> bool:
    """Whether the library can be loaded without a compilation."""
    try:
        return bool(_held(loader.folder())) or is_packed() or loader.is_built(NAME, files())
    except ImportError:
        return False
