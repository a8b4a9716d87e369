"""The simulation as machine code, which a wheel for Linux on x86-64 carries for some versions of Python.

`scripts/wheel` compiles the modules in MODULES as they are into one library for each version of Python. The library's name has
a digest of the sources that it was made from, and it is loaded for no others: after a change of one of them, and where there is
no library, Python runs the sources.

Compiled functions check types: a value that a declaration excludes is a TypeError, also where Python would get along with it.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import ModuleType

# Every program that imports labkit imports this module, so that it imports nothing that Python has not loaded already.

FOLDER = os.path.join(os.path.dirname(__file__), "machine")  # noqa: PTH118, PTH120
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


class Finder:
    """Finds the modules in the library."""

    NAMES = frozenset((LIBRARY, *(f"labkit.{name}" for name in MODULES)))
    place: str | None = None
    """The library; empty if there is none for these sources, None before anybody has looked."""

    @classmethod
    def find_spec(
        cls, name: str, _path: Sequence[str] | None = None, _target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        """The module, if it is in a library of these sources."""
        if name not in cls.NAMES:
            return None
        from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader
        from importlib.util import spec_from_file_location

        if cls.place is None:
            place = os.path.join(FOLDER, library_name(os.path.dirname(__file__), EXTENSION_SUFFIXES[0]))  # noqa: PTH118, PTH120
            cls.place = place if os.path.isfile(place) else ""  # noqa: PTH113
        if not cls.place:
            return None
        return spec_from_file_location(name, cls.place, loader=ExtensionFileLoader(name, cls.place))


def install() -> None:
    """Have Python look into the library, if this labkit was installed with one."""
    if os.path.isdir(FOLDER) and Finder not in sys.meta_path:  # noqa: PTH112
        sys.meta_path.insert(0, Finder)
