"""The engine's machine code: which entries it has, and which files they follow from."""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from labkit.compiled import loader
from labkit.compiled.loader import Library, Source

NAME = "engine"
PACKAGES = ("decode", "rules")
"""All of these is compiled."""
MODULES = (
    *("doubt", "flows", "linktype", "payload", "rule", "segment", "seq", "side", "survey", "track"),
    *("capture/base", "capture/pcapng_blocks", "finding"),
    *(f"compiled/{name}" for name in ("decoding", "judging", "kernels", "library", "loader", "memory")),
    *(f"compiled/{name}" for name in ("records", "scan", "table", "translate")),
)
"""Of what else there is, what is compiled, or decides what is."""


def files() -> list[Path]:
    """All files that the machine code follows from."""
    root = Path(__file__).parent.parent
    packages = (file for package in PACKAGES for file in (root / package).glob("*.py"))
    return [*packages, *(root / f"{module}.py" for module in MODULES)]


def sources() -> Mapping[str, Source]:
    """Every entry. ImportError where Numba is missing."""
    from labkit.compiled import decoding, kernels

    return {**decoding.sources(), **kernels.sources()}


def library(say: Callable[[], None]) -> Library:
    """The engine's library, the same one for all of a process. `say` is called before it is compiled, which takes a minute;
    ImportError without Numba."""
    held = _held(loader.folder())
    if not held:
        held.append(loader.load(NAME, files(), sources, say))
    return held[0]


@cache
def _held(_folder: Path) -> list[Library]:
    """The library of a folder, once it was loaded: where nothing can be kept there, it would be compiled for each capture."""
    return []


def is_built() -> bool:
    """Whether it need not be compiled, and what loads it is there."""
    try:
        return bool(_held(loader.folder())) or loader.is_built(NAME, files())
    except ImportError:
        return False
