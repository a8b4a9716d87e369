"""The captures that a command line names: files as they are, what captures there are in folders, and what patterns match."""

import os
import stat
from collections.abc import Iterable
from glob import glob, has_magic
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from labkit.errors import CaptureError
from labkit.i18n import _, printable

NAMES = (".pcap", ".pcapng", ".cap")
"""How names of captures end, compressed ones before `.gz`. A file that has such a name and is none was handed in as one."""


class Input(NamedTuple):
    """One capture to be read, or why there is none."""

    path: str
    error: str = ""


class Inputs(NamedTuple):
    """All that a command line names, in its order; folders with their captures in alphabetical order."""

    captures: list[Input]
    passed_over: int
    """Files in the folders that are no captures."""


def expand(paths: Iterable[str]) -> Inputs:
    """Find the captures of a command line. What is no folder is taken for a capture, and judged by who reads it."""
    captures: list[Input] = []
    passed_over = 0
    for path in chain.from_iterable(map(_named, paths)):
        if path == "-" or not os.path.isdir(path):  # noqa: PTH112 - a name with a null character is none
            captures.append(Input(path))
            continue
        found, others = _within(path)
        passed_over += others
        name = printable(path)
        captures += found or [Input(path, _("{name}: there is no capture in this folder").format(name=name))]
    return Inputs(captures, passed_over)


def _named(path: str) -> list[str]:
    """What a pattern stands for that no shell has replaced: it may stand for more names than a command line can hold."""
    if os.path.lexists(path) or not has_magic(path):
        return [path]
    found = glob(path, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
    return sorted(found, key=lambda each: Path(each).parts) or [path]


def _within(folder: str) -> tuple[list[Input], int]:
    """The captures in a folder and those in it, and how many other files there are. Links to folders are not followed."""
    found: list[Input] = []
    others = 0

    def unreadable(error: OSError) -> None:
        found.append(_unreadable(str(error.filename), error))

    for place, _folders, names in os.walk(folder, onerror=unreadable):
        for name in names:
            path = str(Path(place) / name)
            try:
                # A pipe would keep us waiting.
                known = stat.S_ISREG(Path(path).stat().st_mode) and (_is_named_so(name) or _is_capture(path))
            except (CaptureError, OSError) as error:
                found.append(Input(path, str(error)) if isinstance(error, CaptureError) else _unreadable(path, error))
                continue
            if known:
                found.append(Input(path))
            else:
                others += 1
    return sorted(found, key=lambda each: Path(each.path).parts), others


def _is_named_so(name: str) -> bool:
    # macOS puts what else it knows of a.pcap into ._a.pcap, also into archives.
    return not name.startswith("._") and name.lower().removesuffix(".gz").endswith(NAMES)


def _is_capture(path: str) -> bool:
    from labkit.capture import is_capture

    return is_capture(path)


def _unreadable(path: str, error: OSError) -> Input:
    reason = error.strerror or str(error)
    return Input(path, _("{name}: cannot be read: {reason}").format(name=printable(path), reason=reason))
