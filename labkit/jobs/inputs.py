"""Find the captures that a command line names: files, the captures in folders, and the matches of patterns."""

import os
import stat
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from labkit.errors import CaptureError
from labkit.i18n import _, printable, unreadable

SUFFIXES = (".pcap", ".pcapng", ".cap")
"""Suffixes of captures, before `.gz` where they are compressed. A file with such a suffix that is not a capture is an
error; any other file that is not a capture is skipped."""


class Input(NamedTuple):
    """A capture to read, or the reason why there is none."""

    path: str
    error: str = ""


class Inputs(NamedTuple):
    """The captures of a command line, in its order; the captures of a folder in alphabetical order."""

    captures: list[Input]
    skipped: list[str]
    """Files in the folders that are not captures."""


def expand(paths: Iterable[str]) -> Inputs:
    """Find the captures. A path that is not a folder counts as a capture; its reader checks it."""
    inputs = Inputs([], [])
    for each in chain.from_iterable(map(_matches, paths)):
        # Path.is_dir fails on a name with a null character.
        if not each.error and each.path != "-" and os.path.isdir(each.path):  # noqa: PTH112
            _walk(each.path, inputs)
        else:
            inputs.captures.append(each)
    return inputs


def _matches(path: str) -> list[Input]:
    """Expand a pattern that the shell left alone: it may match more names than a command line can hold."""
    if os.path.lexists(path):
        return [Input(path)]
    from glob import glob, has_magic

    if not has_magic(path):
        return [Input(path)]
    found = [*map(Input, glob(path, recursive=True)), *_closed(path)]  # noqa: PTH207 - Path.glob takes no absolute pattern
    return sorted(found, key=lambda each: _parts(each.path)) or [Input(path)]


def _closed(pattern: str) -> Iterator[Input]:
    """The folders in which a pattern may match what the system does not let labkit see. `glob` leaves them out without a word."""
    from glob import glob, has_magic

    parts = _parts(pattern)
    for at, part in enumerate(parts):
        for folder in glob(os.path.join(*parts[:at]), recursive=True) if at else [os.curdir]:  # noqa: PTH118, PTH207
            try:
                if has_magic(part):
                    os.scandir(folder).close()
                else:
                    os.lstat(os.path.join(folder, part))  # noqa: PTH118
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                yield _unreadable(error)


def _walk(folder: str, inputs: Inputs) -> None:
    """Add the captures in a folder and in the folders below it. Links to folders, and out of the folder, are not followed."""
    from pathlib import Path

    found: list[Input] = []
    root = os.path.realpath(folder)
    for place, folders, names in os.walk(folder, onerror=lambda error: found.append(_unreadable(error))):
        for name in folders:  # a link within the folder leads to what is read anyway
            path = str(Path(place) / name)
            if Path(path).is_symlink() and (strange := _strange_link(path, root)):
                found.append(Input(path, f"{printable(path)}: {strange}"))
        for name in names:
            path = str(Path(place) / name)
            try:
                strange = _strange(path, root)
                known = _has_suffix(name) or (not strange and _is_capture(path))
            except CaptureError as error:
                found.append(Input(path, str(error)))
            except OSError as error:
                found.append(_unreadable(error))
            else:
                if known and strange:
                    found.append(Input(path, f"{printable(path)}: {strange}"))
                elif known:
                    found.append(Input(path))
                else:
                    inputs.skipped.append(path)
    if not found:
        found.append(Input(folder, _("{name}: this folder has no capture in it").format(name=printable(folder))))
    inputs.captures.extend(sorted(found, key=lambda each: _parts(each.path)))


def _strange(path: str, root: str) -> str:
    """Why a file of a folder is not read; empty for any other. OSError if the system does not tell."""
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        if strange := _strange_link(path, root):
            return strange
        mode = os.stat(path).st_mode  # noqa: PTH116
    # Reading a named pipe would block, and a device has no end.
    return "" if stat.S_ISREG(mode) else _("is not read: it is not a regular file")


def _strange_link(path: str, root: str) -> str:
    """Why a link of a folder is not followed; empty for any other."""
    # Whoever packed the folder would have a file read that the packer may not read.
    inside = os.path.commonpath((root, os.path.realpath(path))) == root
    return "" if inside else _("is not read: it is a symbolic link out of the folder")


def _has_suffix(name: str) -> bool:
    # macOS stores metadata of a.pcap as ._a.pcap, in archives too.
    return not name.startswith("._") and name.lower().removesuffix(".gz").endswith(SUFFIXES)


def _is_capture(path: str) -> bool:
    from labkit.capture import is_capture

    return is_capture(path)


def _parts(path: str) -> tuple[str, ...]:
    from pathlib import Path

    return Path(path).parts


def _unreadable(error: OSError) -> Input:
    path = str(error.filename)
    return Input(path, unreadable(path, error))
