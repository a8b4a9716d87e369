"""The simulation as machine code, which a wheel for Linux on x86-64 carries for some versions of Python.

`scripts/wheel` compiles the modules in MODULES as they are into one library for each version of Python. The library's name has
a digest of the sources that it was made from, and it is loaded for no others: after a change of one of them, and where there is
no library, Python runs the sources.

Compiled functions check types: a value that a declaration excludes is a TypeError, also where Python would get along with it.
"""

import os
import sys
from collections.abc import Sequence
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


def library_name(package: str, suffix: str) -> str:
    """The name of the library that is made from the sources in a package's folder; `suffix` is that of extension modules."""
    from importlib.util import source_hash

    found = bytearray()
    for name in (*MODULES, *INLINED):
        with open(f"{package}/{name.replace('.', '/')}.py", "rb") as file:  # noqa: PTH123
            octets = file.read()
        found += len(octets).to_bytes(8) + octets
    return f"simulation-{source_hash(bytes(found)).hex()}{suffix}"


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
