"""What labkit puts in Wireshark's configuration: two profiles, and a view that makes fields of labkit's comments.

The files begin with a line that holds the digest of the rest. So labkit knows its own files, older ones too, and never overwrites
or removes a file that somebody else wrote or changed.
"""

import hashlib
import os
import re
import stat
from contextlib import suppress
from functools import cache
from importlib.resources import files
from pathlib import Path

from labkit.capture.guard import take_back
from labkit.capture.sink import Sink
from labkit.errors import CaptureError, UsageError
from labkit.i18n import N_, _, printable, reason_of, unreadable

FILES = {
    "plugins/labkit.lua": "labkit.lua",
    "profiles/labkit/colorfilters": "colorfilters",
    "profiles/labkit/preferences": "preferences",
    "profiles/labkit raw/colorfilters": "colorfilters",
    "profiles/labkit raw/preferences": "preferences_raw",
}
"""Where each file goes below Wireshark's folder, and the file of this package that it is."""

INSTALLED, OLDER, CHANGED, FOREIGN, MISSING = (
    N_("installed"),
    N_("older"),
    N_("changed"),
    N_("not labkit's"),
    N_("missing"),
)
"""The states of a file. `OLDER` is what another version of labkit installed."""

OWN = frozenset({INSTALLED, OLDER})
"""The states in which labkit may replace or remove a file."""

MAX_OCTETS = 1 << 20
"""A longer file is not labkit's."""

STAMP = re.compile(rb"(?:--|#) labkit wireshark, sha256 ([0-9a-f]{64})\n")


def folder() -> Path:
    """Wireshark's folder of personal configuration, which need not exist.

    It is chosen as Wireshark does: WIRESHARK_CONFIG_DIR, else `wireshark` in XDG_CONFIG_HOME or ~/.config, else ~/.wireshark
    where only that exists. UsageError if there is no home folder.
    """
    if given := os.environ.get("WIRESHARK_CONFIG_DIR"):
        return Path(given)
    try:
        base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
        old = Path.home() / ".wireshark"
    except RuntimeError:
        raise UsageError(_("there is no home folder: set WIRESHARK_CONFIG_DIR")) from None
    place = Path(base) / "wireshark"
    return old if old.is_dir() and not place.is_dir() else place


def status(place: Path) -> dict[str, str]:
    """The state of each file of `FILES` in Wireshark's folder `place`. CaptureError if one cannot be looked at."""
    return {name: _state(place / name, name) for name in FILES}


def install(place: Path) -> list[str]:
    """Put all files in place, or none; return the names of those that were written.

    CaptureError if a file is there that is not labkit's or was changed, or if the system cannot write.
    """
    found = status(place)
    for name, state in found.items():
        if state in {CHANGED, FOREIGN}:
            text = _("{file}: {state}; nothing was installed: move the file away first")
            raise CaptureError(text.format(file=printable(str(place / name)), state=_(state)))
    before: dict[Path, bytes | None] = {}
    folders: list[Path] = []
    try:
        for name, state in found.items():
            if state == INSTALLED:
                continue
            target = place / name
            folders += _made(target.parent)
            before[target] = target.read_bytes() if state == OLDER else None
            _write(target, content(name))
    except BaseException as error:
        _undo(before, folders)
        if isinstance(error, OSError):
            where = printable(str(error.filename or place))
            raise CaptureError(
                _("{name}: cannot be written: {reason}").format(name=where, reason=reason_of(error))
            ) from error
        raise
    return [name for name, state in found.items() if state != INSTALLED]


def uninstall(place: Path) -> tuple[list[str], list[str]]:
    """Remove labkit's files, and its profiles' folders if nothing else is in them.

    Return the names of what was removed, and of what stays because it is not labkit's or was changed.
    """
    found = status(place)
    removed = [name for name, state in found.items() if state in OWN]
    try:
        for name in removed:
            (place / name).unlink()
    except OSError as error:
        where = printable(str(error.filename))
        raise CaptureError(
            _("{name}: cannot be removed: {reason}").format(name=where, reason=reason_of(error))
        ) from error
    for parent in {(place / name).parent for name in removed if name.startswith("profiles/")}:
        with suppress(OSError):  # Wireshark keeps files of its own in a profile that was used
            parent.rmdir()
    return removed, [name for name, state in found.items() if state in {CHANGED, FOREIGN}]


@cache
def content(name: str) -> bytes:
    """A file of `FILES`, stamped."""
    octets = files(__name__).joinpath(FILES[name]).read_bytes()
    mark = "--" if name.endswith(".lua") else "#"
    return f"{mark} labkit wireshark, sha256 {hashlib.sha256(octets).hexdigest()}\n".encode() + octets


def _state(path: Path, name: str) -> str:
    try:
        kind = path.lstat()
        if not stat.S_ISREG(kind.st_mode) or kind.st_size > MAX_OCTETS:
            return FOREIGN
        octets = path.read_bytes()
    except FileNotFoundError:
        return MISSING
    except NotADirectoryError:
        return FOREIGN
    except (OSError, ValueError) as error:
        raise CaptureError(unreadable(path, error)) from error
    stamp = STAMP.match(octets)
    if stamp is None:
        return FOREIGN
    if hashlib.sha256(octets[stamp.end() :]).hexdigest().encode() != stamp[1]:
        return CHANGED
    return INSTALLED if octets == content(name) else OLDER


def _made(parent: Path) -> list[Path]:
    """Make a folder and those above it; return the new ones, the innermost last."""
    missing = [each for each in (parent, *parent.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir()
    return missing[::-1]


def _write(target: Path, octets: bytes) -> None:
    sink = Sink(target)
    try:
        sink.write(octets)
        sink.commit()
    finally:
        sink.discard()


def _undo(before: dict[Path, bytes | None], folders: list[Path]) -> None:
    """Bring back what was there before a failed installation, as far as the system lets us."""
    for target, octets in before.items():
        with suppress(OSError, CaptureError):
            if octets is None:
                target.unlink(missing_ok=True)
            else:
                take_back(str(target))
                _write(target, octets)
    for each in reversed(folders):
        with suppress(OSError):
            each.rmdir()
