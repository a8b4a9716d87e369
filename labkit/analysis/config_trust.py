"""Decide whether a configuration file that labkit found may change verdicts.

Whoever unpacks a hand-in owns its files, so ownership alone proves nothing. A file that was found counts only if nobody else
could have written it, and if it lies neither beside nor below the captures. The user can trust any other file once: the state
folder then holds its path and the digest of its content.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from labkit.errors import UsageError
from labkit.i18n import _, printable, reason_of

MAX_LINKS = 40
"""Symbolic links that the path of a file may lead through, as in Linux."""

OTHERS = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class Trusted:
    """A file that the user trusts."""

    file: str
    digest: str
    """SHA-256 of its content."""


def refusal(path: Path, content: bytes, captures: Iterable[str]) -> str | None:
    """The reason why a file that was found does not count; None if it counts.

    `captures` are the paths that the user named, and those found in them; "-" is standard input.
    """
    trusted = trusted_digest(path)
    if trusted == digest(content):
        return None
    if trusted is not None:
        return _("its content has changed since you trusted it")
    return foreign(path) or _among(path, captures)


# Who could have written it.


def foreign(path: Path) -> str | None:
    """The reason why another user could have written a file, or put it in its place; None if nobody could."""
    sticky = False  # whether others can create names in a folder on the path
    try:
        for place in _walk(path):
            status = place.lstat()
            name = printable(str(place))
            if status.st_uid not in (os.geteuid(), 0):
                return _("{place} belongs to another user").format(place=name)
            if stat.S_ISLNK(status.st_mode) or not _others_can_write(place, status):
                continue
            # In a sticky folder, only its owner and a file's owner can replace the file, and each owner is checked.
            if not (stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX):
                return _("other users can write {place}").format(place=name)
            sticky = True
        if not path.is_file():
            return _("it is not a regular file")
        if sticky and path.stat().st_nlink > 1:  # a user may have linked the file there under this name
            return _("it has several names, and other users can create names on its path")
    except (OSError, ValueError) as error:
        return reason_of(error)
    return None


def _walk(path: Path) -> Iterator[Path]:
    """Yield every folder, link and file that the kernel goes through to open a file. OSError for a loop of links."""
    todo = list(reversed(Path(os.path.abspath(path.parent)).parts + (path.name,)))  # noqa: PTH100, RUF005 - may end in `..`
    here, links = Path(todo.pop()), 0
    yield here
    while todo:
        name = todo.pop()
        if name == "..":
            here = here.parent
            continue
        step = here / name
        yield step
        if not step.is_symlink():
            here = step
            continue
        links += 1
        if links > MAX_LINKS:
            raise OSError(_("its path leads through too many symbolic links"))
        target = Path(os.readlink(step))  # noqa: PTH115 - `Path.readlink` needs the same
        if target.is_absolute():
            here = Path(target.anchor)
            yield here
        todo.extend(reversed([part for part in target.parts if part != target.anchor]))


def _others_can_write(place: Path, status: os.stat_result) -> bool:
    """Whether another user can write a file or folder. A group that has its owner as its only member does not count."""
    if status.st_mode & stat.S_IWOTH:
        return True
    return bool(status.st_mode & stat.S_IWGRP) and not _is_private_group(place, status.st_gid)


def _is_private_group(place: Path, group: int) -> bool:
    """Whether a group is the user's own, as most systems create it with the user, and no access list widens it."""
    import grp
    import pwd

    try:
        user, found = pwd.getpwuid(os.geteuid()), grp.getgrgid(group)
    except KeyError:
        return False
    if (found.gr_gid, found.gr_name) != (user.pw_gid, user.pw_name) or set(found.gr_mem) - {user.pw_name}:
        return False
    listed: list[str] = []
    with suppress(OSError):  # a file system without such attributes has no access lists
        listed = os.listxattr(place)
    return "system.posix_acl_access" not in listed


# Where it lies.


def _among(path: Path, captures: Iterable[str]) -> str | None:
    folders = {Path(os.path.realpath(path.parent)), Path(os.path.realpath(path)).parent}
    above = {place for folder in folders for place in (folder, *folder.parents)}
    for capture in captures:
        if not above.isdisjoint(_folders(capture)):
            return _("it lies beside or below the captures, and may be part of a hand-in")
    return None


def _folders(capture: str) -> Iterator[Path]:
    """Yield the folder that holds a capture, by its name and with links followed. A folder holds itself.

    Of a pipe nobody knows where its octets come from: the current folder counts.
    """
    if capture == "-":
        with suppress(OSError):
            yield Path(os.path.realpath("/proc/self/fd/0")).parent
        yield Path.cwd()
        return
    try:
        mode = os.stat(capture).st_mode  # noqa: PTH116 - the path may be any string
    except (OSError, ValueError):
        mode = stat.S_IFREG
    if stat.S_ISDIR(mode):
        yield Path(os.path.realpath(capture))
        return
    if not stat.S_ISREG(mode):
        yield Path.cwd()
    with suppress(OSError, ValueError):
        yield Path(os.path.realpath(os.path.dirname(capture) or "."))  # noqa: PTH120
        yield Path(os.path.realpath(capture)).parent


# What the user trusts.


def digest(content: bytes) -> str:
    """SHA-256 of a file's content."""
    return sha256(content).hexdigest()


def place_of(path: Path) -> str:
    """The path by which a file is trusted: absolute, with the links in its folder followed, but not the file itself.

    A link to a trusted file is another file.
    """
    return str(Path(os.path.realpath(path.parent)) / path.name)


def trust(path: Path, content: bytes) -> Trusted:
    """Trust a file with this content. UsageError if the folder of records cannot be used, CaptureError if it is full."""
    import json

    from labkit.capture.sink import Sink

    found = Trusted(place_of(path), digest(content))
    folder = _state()
    target = folder / _record_name(found.file)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_state(folder)
    except OSError as error:
        raise _state_error(folder, error) from None
    sink = Sink(target, secret=True)
    try:
        sink.write(json.dumps({"file": found.file, "sha256": found.digest}).encode() + b"\n")
        sink.commit()
    finally:
        sink.discard()
    return found


def revoke(path: Path) -> bool:
    """Trust a file no longer, whether or not it still exists. False if it was not trusted."""
    folder = _state()
    try:
        _check_state(folder)
        (folder / _record_name(place_of(path))).unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _state_error(folder, error) from None
    return True


def all_trusted() -> list[Trusted]:
    """The files that the user trusts, by path."""
    folder = _state()
    try:
        _check_state(folder)
        records = [each for each in sorted(folder.iterdir()) if not each.name.startswith(".")]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _state_error(folder, error) from None
    found = [each for each in map(_read, records) if each is not None]
    return sorted(found, key=lambda each: each.file)


def trusted_digest(path: Path) -> str | None:
    """The digest of the content with which a file is trusted; None if it is not, or if others can write the records."""
    try:
        folder, place = _state(), place_of(path)
        _check_state(folder)
    except (OSError, UsageError):
        return None
    found = _read(folder / _record_name(place))
    return found.digest if found is not None and found.file == place else None


def _state() -> Path:
    """The folder of the records. UsageError if the user has no home folder."""
    given = os.environ.get("XDG_STATE_HOME", "")
    try:
        base = Path(given) if Path(given).is_absolute() else Path.home() / ".local" / "state"
    except RuntimeError:
        raise UsageError(_("there is no home folder: set XDG_STATE_HOME")) from None
    return base / "labkit" / "trusted"


def _check_state(folder: Path) -> None:
    """OSError for a folder whose records another user could have written."""
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & OTHERS:
        raise PermissionError(_("other users can write it"))


def _state_error(folder: Path, error: OSError) -> UsageError:
    text = _("{folder}: cannot keep records of trusted files: {reason}")
    return UsageError(text.format(folder=printable(str(folder)), reason=reason_of(error)))


def _record_name(place: str) -> str:
    return sha256(os.fsencode(place)).hexdigest()


def _read(record: Path) -> Trusted | None:
    """A record; None if it is not one that this user wrote."""
    import json

    try:
        with os.fdopen(os.open(record, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & OTHERS:
                return None
            value = json.loads(file.read(1 << 16))
        return Trusted(str(value["file"]), str(value["sha256"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
