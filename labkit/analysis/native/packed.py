"""The machine code that a wheel carries: a shared library for each level of processor, loaded without any other package.

`scripts/wheel` makes it. It is loaded only for the sources that it was made from: a digest beside it says which.
"""

import ctypes
from collections.abc import Iterable
from contextlib import suppress
from json import loads
from pathlib import Path

from labkit.analysis.native.loader import Entry, Library, digest
from labkit.analysis.native.records import PREFIX

FOLDER = Path(__file__).with_name("machine")
ABOUT = "engine.json"
"""The file that names the libraries, from the oldest processor to the newest; their entries; and the digest of their sources."""
LEVEL = "level"
"""The entry that says which of two libraries the processor can run: 2 or 3, for x86-64-v2 or v3."""


class PackedLibrary(Library):
    """A loaded shared library."""

    def __init__(self, path: Path, entries: dict[str, int]) -> None:
        """OSError for a file that is no such library, ValueError for one without an entry."""
        code = ctypes.CDLL(str(path))
        try:
            self.entries = {name: _entry(code, name, count) for name, count in entries.items()}
        except AttributeError as error:
            raise ValueError(str(error)) from None


def load_packed(files: Iterable[Path]) -> Library | None:
    """The library that was made from these files, for this processor; None where there is none."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        about = loads((FOLDER / ABOUT).read_bytes())
        if about["digest"] != digest(files):
            return None
        first, *newer = about["libraries"]
        if newer and PackedLibrary(FOLDER / first, {LEVEL: 0}).entries[LEVEL]() >= 3:
            first = newer[-1]
        return PackedLibrary(FOLDER / first, about["entries"])
    return None


def _entry(code: ctypes.CDLL, name: str, arguments: int) -> Entry:
    entry = code[PREFIX + name]
    entry.restype, entry.argtypes = ctypes.c_int64, [ctypes.c_int64] * arguments
    return entry
