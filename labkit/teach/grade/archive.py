"""Read the files of folders and zip archives that students made, which are hostile until proven otherwise.

Nothing is written to disk and no name of an archive becomes a path, so that `../x`, absolute names and links lead nowhere. Links
are not followed; pipes and devices are not opened. An archive is read with bounds on its entries, on the octets of each file, and
on how deep archives stand in archives, whatever its own headers say.
"""

import os
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple, NoReturn
from zipfile import BadZipFile, ZipFile, ZipInfo

from labkit.errors import InputError
from labkit.i18n import _, printable, reason_of, unreadable
from labkit.teach.grade.filetype import is_zip

MAX_ENTRIES = 20_000
"""Entries of an archive, or files and folders of a folder."""
MAX_FILE = 64 << 20
"""Octets of one hand-in, uncompressed."""
MAX_NESTED = 2
"""How deep archives may stand in a hand-in."""
MAX_DEPTH = 8
"""Folders in folders of an archive, of which the empty ones are found."""
MAX_NESTED_ENTRIES = 200
"""Entries of an archive that a student made."""

JUNK = ("__macosx", ".ds_store", "thumbs.db", "desktop.ini", ".git", ".svn", "__pycache__")
"""What systems and programs leave in folders, in lower case."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, found but not read yet."""

    parts: tuple[str, ...]
    """Its path below the folder or archive."""
    read: Callable[[], bytes]
    """Read it. InputError if it is too large, damaged, encrypted, a link or a device."""

    @property
    def name(self) -> str:
        """Its path, fit to be printed."""
        return printable("/".join(self.parts))


class Listing(NamedTuple):
    """What a folder or an archive holds."""

    files: list[Entry]
    empty: list[tuple[str, ...]]
    """The paths of folders that hold neither a file nor a folder, or only what systems leave there."""


def files(path: str) -> list[Entry]:
    """The files of `listing`."""
    return listing(path).files


def listing(path: str) -> Listing:
    """The files of a folder and of the folders below it, or those of a zip archive, or the one file itself, in order.

    InputError if there is nothing to read.
    """
    place = Path(path)
    try:
        mode = place.stat().st_mode
    except (OSError, ValueError) as error:
        raise InputError(unreadable(path, error)) from error
    if stat.S_ISDIR(mode):
        empty: list[tuple[str, ...]] = []
        return Listing(sorted(_walk(place, empty), key=lambda entry: entry.parts), sorted(empty))
    if not stat.S_ISREG(mode):
        raise InputError(_("{name}: neither a file nor a folder").format(name=printable(path)))
    try:
        with place.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise InputError(unreadable(path, error)) from error
    if is_zip(head):
        archive = _open_zip(place, printable(path))
        return Listing(list(zip_entries(archive, MAX_ENTRIES)), _empty_folders(archive))
    return Listing([Entry((place.name,), lambda: _read(place))], [])


def _walk(folder: Path, empty: list[tuple[str, ...]]) -> Iterator[Entry]:
    """The files of a folder; `empty` gets the empty folders."""
    count = 0
    refused: list[OSError] = []
    for place, folders, names in os.walk(folder, onerror=refused.append):  # which does not follow links to folders
        folders[:] = sorted(each for each in folders if not _is_junk((each,)))
        kept = [each for each in names if not _is_junk((each,))]
        count += len(kept) + len(folders)
        if count > MAX_ENTRIES:
            text = _("{name}: more than {most} files and folders")
            raise InputError(text.format(name=printable(str(folder)), most=MAX_ENTRIES))
        if not (kept or folders) and Path(place) != folder:
            empty.append(Path(place).relative_to(folder).parts)
        for name in (*kept, *(each for each in folders if (Path(place) / each).is_symlink())):
            path = Path(place) / name
            yield Entry(path.relative_to(folder).parts, lambda path=path: _read(path))  # type: ignore[misc]
    for error in refused:  # a folder that cannot be read holds the work of a student all the same
        place = os.fsdecode(error.filename)
        if Path(place) == folder:
            raise InputError(unreadable(place, error)) from error
        yield Entry(Path(place).relative_to(folder).parts, partial(_refuse, error))


def _refuse(error: OSError) -> NoReturn:
    raise InputError(_("it cannot be read: {reason}").format(reason=reason_of(error))) from error


def _read(path: Path) -> bytes:
    try:
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            raise InputError(_("it is a link, which labkit does not follow"))
        if not stat.S_ISREG(mode):
            raise InputError(_("it is not a file but a pipe or a device"))
        with path.open("rb") as file:
            octets = file.read(MAX_FILE + 1)
    except OSError as error:
        _refuse(error)
    return _bounded(octets)


def _bounded(octets: bytes) -> bytes:
    if len(octets) > MAX_FILE:
        raise InputError(_("it is larger than {most} MiB").format(most=MAX_FILE >> 20))
    return octets


def _is_junk(parts: tuple[str, ...]) -> bool:
    return any(part.lower() in JUNK or part.startswith("._") for part in parts)


# Zip archives.


def _open_zip(source: Path | BytesIO, name: str) -> ZipFile:
    try:
        return ZipFile(source)
    except (BadZipFile, OSError, ValueError, NotImplementedError, EOFError) as error:
        reason = _("{name}: cannot be read as a zip archive: {reason}")
        raise InputError(reason.format(name=name, reason=printable(str(error)).lower())) from error


def zip_entries(archive: ZipFile, most: int) -> Iterator[Entry]:
    """The files of an archive, in the order of their names. InputError if there are too many."""
    entries = [each for each in archive.infolist() if not each.is_dir()]
    if len(entries) > most:
        raise InputError(_("an archive with more than {most} files").format(most=most))
    for info in sorted(entries, key=lambda each: each.filename):
        parts = _parts(info)
        if parts and not _is_junk(parts):
            yield Entry(parts, lambda info=info: _extract(archive, info))  # type: ignore[misc]


def _empty_folders(archive: ZipFile) -> list[tuple[str, ...]]:
    """The folders of an archive that have nothing in them but what systems leave there. InputError if there are too many."""
    empty: set[tuple[str, ...]] = set()
    full: set[tuple[str, ...]] = set()
    for info in archive.infolist():
        parts = _parts(info)[:MAX_DEPTH]
        kept = tuple(takewhile(lambda part: not _is_junk((part,)), parts))
        is_file = kept == parts and not info.is_dir()
        full |= {kept[:depth] for depth in range(1, len(kept) + is_file)}
        if kept and not is_file:
            empty.add(kept)
        if len(empty) > MAX_ENTRIES:
            raise InputError(_("an archive with more than {most} folders").format(most=MAX_ENTRIES))
    return sorted(empty - full)


def _parts(info: ZipInfo) -> tuple[str, ...]:
    """The path of an entry. It only names a file in messages, and tells whose it is."""
    return tuple(part for part in _file_name(info).replace("\\", "/").split("/") if part not in ("", ".", ".."))


def _file_name(info: ZipInfo) -> str:
    """The name of an entry. Some programs write UTF-8 and do not say so; Python then reads it as code page 437."""
    if not info.flag_bits & 0x800:
        with suppress(UnicodeError):
            return info.filename.encode("cp437").decode()
    return info.filename


def _extract(archive: ZipFile, info: ZipInfo) -> bytes:
    if stat.S_ISLNK(info.external_attr >> 16):
        raise InputError(_("it is a link, which labkit does not follow"))
    if info.flag_bits & 1:
        raise InputError(_("it is encrypted"))
    try:
        with archive.open(info) as file:
            # The header may name any size: what counts is what comes out.
            return _bounded(file.read(MAX_FILE + 1))
    except (BadZipFile, OSError, ValueError, NotImplementedError, EOFError, RuntimeError, zlib.error) as error:
        raise InputError(_("it is damaged: {reason}").format(reason=printable(str(error)).lower())) from error


def unpacked(entry: Entry, octets: bytes, depth: int = 0) -> Iterator[tuple[Entry, bytes | InputError]]:
    """A hand-in's file with its octets; for an archive, the files in it. An InputError stands for what cannot be read."""
    if not is_zip(octets) or _is_document(octets):
        yield entry, octets
        return
    if depth == MAX_NESTED:
        yield entry, InputError(_("an archive in an archive in an archive, which labkit does not open"))
        return
    try:
        inner = list(zip_entries(_open_zip(BytesIO(octets), entry.name), MAX_NESTED_ENTRIES))
    except InputError as error:
        yield entry, error
        return
    left = MAX_FILE
    for each in inner:
        named = Entry((*entry.parts, *each.parts), each.read)
        try:
            content = each.read()
        except InputError as error:
            yield named, error
            continue
        left -= len(content)
        if left < 0:
            yield named, InputError(_("an archive of more than {most} MiB").format(most=MAX_FILE >> 20))
            return
        yield from unpacked(named, content, depth + 1)


def _is_document(octets: bytes) -> bool:
    """Whether a zip archive is an office document."""
    return b"[Content_Types].xml" in octets[:4096] or b"mimetypeapplication/vnd" in octets[:200]
