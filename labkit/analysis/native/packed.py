"""The machine code that a wheel carries: a shared library for each level of processor, loaded without any other package.

`scripts/wheel` makes it. It is loaded only for the sources that it was made from: a digest beside it says which.
"""

import ctypes
import os
from ast import literal_eval
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib.util import source_hash

from labkit.analysis.native.records import PREFIX

FOLDER = os.path.join(os.path.dirname(__file__), "machine")  # noqa: PTH118, PTH120 - pathlib takes a while to be imported
ABOUT = "engine.json"
"""The file that names the libraries, from the oldest processor to the newest; their entries; and the digest of their sources."""
LEVEL = "level"
"""The entry that says which of two libraries the processor can run: 2 or 3, for x86-64-v2 or v3."""

Entry = Callable[..., int]
"""Takes integers and addresses; returns an integer."""


class Library:
    """Loaded machine code: its `entries` by name."""

    entries: dict[str, Entry]


class PackedLibrary(Library):
    """A loaded shared library."""

    def __init__(self, path: str, entries: dict[str, int]) -> None:
        """OSError for a file that is no such library, ValueError for one without an entry."""
        code = ctypes.CDLL(path)
        try:
            self.entries = {name: _entry(code, name, count) for name, count in entries.items()}
        except AttributeError as error:
            raise ValueError(str(error)) from None


def load_packed(files: Callable[[], Iterable[str]]) -> Library | None:
    """The library that was made from these files, for this processor; None where there is none."""
    with suppress(OSError, ValueError, KeyError, TypeError, SyntaxError):
        # Texts and numbers are the same in JSON and in Python. click has loaded `ast` already, `json` nobody.
        about = literal_eval(_read(_place(ABOUT)).decode())
        if about["digest"] != digest(files()):
            return None
        first, *newer = about["libraries"]
        if newer and PackedLibrary(_place(first), {LEVEL: 0}).entries[LEVEL]() >= 3:
            first = newer[-1]
        return PackedLibrary(_place(first), about["entries"])
    return None


def digest(files: Iterable[str | os.PathLike[str]]) -> str:
    """The digest of files' names and contents: 64 bits, which tell a change, and need no library for cryptography."""
    found: list[bytes] = []
    for file in sorted(os.fspath(each) for each in files):
        octets = _read(file)
        found += f"\n{os.path.basename(file)} {len(octets)}\n".encode(), octets  # noqa: PTH119
    return source_hash(b"".join(found)).hex()


def _place(name: str) -> str:
    return os.path.join(FOLDER, name)  # noqa: PTH118


def _read(file: str) -> bytes:
    with open(file, "rb", buffering=0) as opened:  # noqa: PTH123
        return opened.readall()


def _entry(code: ctypes.CDLL, name: str, arguments: int) -> Entry:
    entry = code[PREFIX + name]
    entry.restype, entry.argtypes = ctypes.c_int64, [ctypes.c_int64] * arguments
    return entry
