"""How Python finds labkit's modules, where a wheel was installed that has the simulation as machine code.

`scripts/wheel` compiles the modules in MODULES as they are into one library for each version of Python. The library's name has
a digest of the sources that it was made from, and it is loaded for no others: after a change of one of them, and where there is
no library, Python runs the sources. Wheels for Linux on x86-64 have such libraries for some versions of Python.

Compiled functions check types: a value that a declaration excludes is a TypeError, also where Python would get along with it.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, ModuleSpec, SourceFileLoader
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

# Every program that imports labkit imports this module, so that it imports nothing that Python has not loaded already, but a list
# of names.

HOME = os.path.dirname(__file__)  # noqa: PTH120
FOLDER = os.path.join(HOME, "machine")  # noqa: PTH118
LIBRARY = "labkit_simulation__mypyc"
"""The module in which the others are, as mypyc calls it."""
MODULES = (
    "tcp.ranges",
    *(f"tcp.endpoint.{name}" for name in ("accurate_ecn", "acks", "arrival", "by_time", "config", "ecn", "endpoint")),
    *(f"tcp.endpoint.{name}" for name in ("handshake", "multipath", "output", "rack", "receiver", "recovery", "rtt")),
    *(f"tcp.endpoint.{name}" for name in ("scoreboard", "sender", "syn_cookies", "timers", "timestamps")),
    *(f"tcp.endpoint.congestion.{name}" for name in ("cubic", "cubic_linux", "reno")),
    *("packet.stamp", "capture._packet_blocks"),
    *(f"build.{name}" for name in ("path", "flight", "application", "explain", "trace_file")),
    *(f"build.scenario.{name}" for name in ("end", "header", "merge", "play")),
)
"""The modules that are loaded from the library."""
INLINED = ("tcp.seq", "tcp.flags", "tcp.segment")
"""Modules whose functions or constants the library has too. They are loaded from their sources: verifying needs them."""
PREFIX = "labkit."
"""What the names of labkit's modules begin with."""
READ_OCTETS = 1 << 16


def digest(files: Iterable[str | os.PathLike[str]]) -> str:
    """The digest of files' names and contents, by which a library is known to be made from them.

    It is the same in each version of Python, as `importlib.util.source_hash` is not, and tells a change, but no attack: to
    import `hashlib` takes ten times as long.
    """
    from binascii import crc32

    found = ""
    for file in sorted(os.fspath(each) for each in files):
        octets = read(file)
        found += f"{os.path.basename(file)} {len(octets)} {crc32(octets):08x}\n"  # noqa: PTH119
    return f"{crc32(found.encode()):08x}"


def read(file: str) -> bytes:
    """The contents of a file. Python's own files ask the system four things that nobody wants to know of a hundred files."""
    opened = os.open(file, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        octets = found = os.read(opened, READ_OCTETS)
        while len(found) == READ_OCTETS:
            found = os.read(opened, READ_OCTETS)
            octets += found
    finally:
        os.close(opened)
    return octets


def library_name(package: str, suffix: str) -> str:
    """The name of the library that is made from the sources in a package's folder; `suffix` is that of extension modules."""
    files = (f"{package}/{name.replace('.', '/')}.py" for name in (*MODULES, *INLINED))
    return f"simulation-{digest(files)}{suffix}"


class Source(SourceFileLoader):
    """Loads a module of labkit from its source, or from what Python has kept of that."""

    def get_data(self, path: str) -> bytes:
        """The contents of a file."""
        return read(path)


class Finder:
    """Finds labkit's modules: those in the library there, all others as Python would find them.

    Python would ask several finders, and look through several folders, for each of a hundred modules.
    """

    NAMES = frozenset((LIBRARY, *(f"{PREFIX}{name}" for name in MODULES)))
    place: str | None = None
    """The library; empty if there is none for these sources, None before anybody has looked."""

    @classmethod
    def find_spec(
        cls, name: str, _path: Sequence[str] | None = None, _target: "ModuleType | None" = None
    ) -> ModuleSpec | None:
        """The module, if it is labkit's."""
        if name in cls.NAMES and (spec := cls._in_library(name)):
            return spec
        return _as_source(name) if name.startswith(PREFIX) else None

    @classmethod
    def _in_library(cls, name: str) -> ModuleSpec | None:
        """The module, if it is in a library of these sources."""
        from importlib.util import spec_from_file_location

        if cls.place is None:
            place = os.path.join(FOLDER, library_name(HOME, EXTENSION_SUFFIXES[0]))  # noqa: PTH118
            cls.place = place if os.path.isfile(place) else ""  # noqa: PTH113
        if not cls.place:
            return None
        return spec_from_file_location(name, cls.place, loader=ExtensionFileLoader(name, cls.place))


def _as_source(name: str) -> ModuleSpec | None:
    """The module, if its source lies in labkit's folder."""
    base = os.path.join(HOME, *name.removeprefix(PREFIX).split("."))  # noqa: PTH118
    file = f"{base}.py"
    if os.path.isfile(file):  # noqa: PTH113
        spec = ModuleSpec(name, Source(name, file), origin=file)
    else:
        file = os.path.join(base, "__init__.py")  # noqa: PTH118
        if not os.path.isfile(file):  # noqa: PTH113
            return None
        spec = ModuleSpec(name, Source(name, file), origin=file, is_package=True)
        spec.submodule_search_locations = [base]
    spec.has_location = True
    return spec


def install() -> None:
    """Have Python look into the library, if this labkit was installed with one."""
    if os.path.isdir(FOLDER) and Finder not in sys.meta_path:  # noqa: PTH112
        sys.meta_path.insert(0, Finder)
