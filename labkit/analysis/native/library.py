"""The engine's machine code: which entries it has, and which files they follow from."""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from labkit.analysis.native import loader
from labkit.analysis.native.loader import Library, Source

NAME = "engine"
PACKAGES = ("packet/decode", "analysis/rules")
"""All of these is compiled."""
MODULES = (
    *("capture/base", "capture/pcapng_blocks", "packet/linktype", "packet/seen", "tcp/segment", "tcp/seq"),
    *(f"analysis/{name}" for name in ("finding", "flows", "limits", "payload", "pending", "rule", "side", "tracker")),
    *(f"analysis/native/{name}" for name in ("decoding", "judging", "kernels", "library", "loader", "memory")),
    *(f"analysis/native/{name}" for name in ("records", "scan", "table", "translate")),
)
"""Of what else there is, what is compiled, or decides what is."""


def files() -> list[Path]:
    """All files that the machine code follows from."""
    root = Path(__file__).parents[2]
    packages = (file for package in PACKAGES for file in (root / package).glob("*.py"))
    return [*packages, *(root / f"{module}.py" for module in MODULES)]


def sources() -> Mapping[str, Source]:
    """Every entry. ImportError where Numba is missing."""
    from labkit.analysis.native import decoding, kernels

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
