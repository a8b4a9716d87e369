"""Where the octets of a new capture go: a file that appears whole or not at all, or a stream.

A new file is written in the folder of its target and replaces the target at the end. Until then it has no name, on systems
with such files (O_TMPFILE of Linux), so that nothing is left of it however the program ends; elsewhere it has a temporary
name. A target that is not a regular file (a pipe, a device, standard output) is written directly.

`labkit.capture.guard` says which files it must not replace.
"""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, BinaryIO

from labkit.capture.guard import check, count_in
from labkit.errors import CaptureError, InputError
from labkit.i18n import _, printable, reason_of

if TYPE_CHECKING:
    from pathlib import Path

BUFFER_OCTETS = 1 << 18
MAX_LINKS = 40
"""Symbolic links that a path may lead through, as in Linux."""


class Sink:
    """Takes octets until `commit` or `discard`. CaptureError if the system cannot write, UsageError for a guarded file."""

    def __init__(self, target: "str | Path | BinaryIO", *, secret: bool = False) -> None:
        """`secret`: nobody else may read the new file, at any moment."""
        self._secret = secret
        self._part = ""
        """The temporary name; empty if there is none."""
        self._nameless = False
        """Whether the file still has no name at all."""
        self._place = ""
        self._owned = False
        """Whether the sink opened the file, and closes it."""
        if target == "-":
            self.name = _("standard output")
            stream = getattr(sys.stdout, "buffer", None)
            if stream is None:
                raise self._failed(_("it is closed"))
            self._file: BinaryIO = stream
        elif not isinstance(target, str | os.PathLike):
            self.name = printable(str(getattr(target, "name", _("the stream"))))
            self._file = target
        else:
            self.name = printable(os.fspath(target))
            try:
                if foreign := _foreign(target):
                    raise PermissionError(None, _("another user put {name} there").format(name=printable(foreign)))
                self._open(os.path.realpath(target))
            except (OSError, ValueError) as error:
                self.discard()
                raise self._failed(reason_of(error)) from error

    def _open(self, place: str) -> None:
        try:
            old = os.stat(place)  # noqa: PTH116 - a plain string is what the system gave
        except FileNotFoundError:
            old = None
        if old and stat.S_ISDIR(old.st_mode):
            raise self._failed(_("it is a directory"))
        if old and not os.access(place, os.W_OK):
            raise PermissionError(None, _("write permission is missing"))
        if old and not stat.S_ISREG(old.st_mode):
            self._file = open(place, "wb", buffering=BUFFER_OCTETS)  # noqa: SIM115, PTH123 - closed at the end
            self._owned = True
            return
        if old:
            check(self.name, old)
        nameless = _nameless(place)
        if nameless is None:
            descriptor, self._part = _temporary(place)
        else:
            descriptor, self._nameless = nameless, True
        self._file = open(descriptor, "wb", buffering=BUFFER_OCTETS)  # noqa: SIM115, PTH123 - closed at the end
        self._owned = True
        self._place = place
        if old:
            # Whoever put a file there for others to write does not decide who may write the new one.
            ours = old.st_uid == os.geteuid()
            os.fchmod(descriptor, stat.S_IMODE(old.st_mode) & (0o7777 if ours else 0o755))
        if self._secret:
            os.fchmod(descriptor, 0o600)

    def write(self, octets: bytes | bytearray) -> None:
        """Append octets. BrokenPipeError if nobody reads the pipe."""
        try:
            self._file.write(octets)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise self._failed(reason_of(error)) from error

    def flush(self) -> None:
        """Have the system take the octets, so that a full disk shows before `commit`."""
        try:
            self._file.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise self._failed(reason_of(error)) from error

    def commit(self) -> None:
        """Replace the target by the file. Does nothing the second time, or after `discard`."""
        try:
            if self._nameless:
                self._file.flush()
                self._nameless, self._part = False, _named(self._file.fileno(), self._place)
            if self._owned:
                self._file.close()
            elif not self._file.closed:
                self._file.flush()
            if self._part:
                os.replace(self._part, self._place)  # noqa: PTH105 - both are plain strings
                self._part = ""
                count_in(self._place)
        except BaseException as error:
            self.discard()
            if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
                raise self._failed(reason_of(error)) from error
            raise

    def discard(self) -> None:
        """Remove the unfinished file. What a stream has taken stays there."""
        part, self._part, self._nameless = self._part, "", False
        if self._owned:
            # An error here concerns only octets that are discarded anyway.
            with suppress(OSError):
                self._file.close()
        if part:
            with suppress(FileNotFoundError):
                os.unlink(part)  # noqa: PTH108 - no pathlib yet

    def _failed(self, reason: str) -> CaptureError:
        return CaptureError(_("{name}: cannot be written: {reason}").format(name=self.name, reason=reason))


def make_folder(place: "str | Path") -> None:
    """Make a folder and those above it, unless they exist. InputError if the system does not let it, or another user leads
    the way elsewhere."""
    from pathlib import Path

    try:
        if foreign := _foreign(place):
            raise PermissionError(None, _("another user put {name} there").format(name=printable(foreign)))
        Path(place).mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = reason_of(error)
        text = _("{name}: cannot be created: {reason}").format(name=printable(str(place)), reason=reason)
        raise InputError(text) from error


DESCRIPTORS = "/proc/self/fd"
"""The folder in which a file without a name can be reached, to give it one."""


def _foreign(target: "str | os.PathLike[str]") -> str:
    """The link, pipe or device on a path that another user put into a folder where everybody may write; empty if there is none.

    Linux refuses these too (`protected_symlinks`, `protected_fifos`), but not where that is off, and not for a path that was
    resolved before.
    """
    from pathlib import Path

    place = Path(target).absolute()
    for _link in range(MAX_LINKS):
        for each in (*reversed(place.parents), place):
            try:
                found, folder = each.lstat(), each.parent.stat()
            except OSError:
                return ""  # the path ends here
            if stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode):
                continue
            if folder.st_mode & stat.S_IWOTH and found.st_uid not in (os.geteuid(), folder.st_uid):
                return str(each)
            if stat.S_ISLNK(found.st_mode):
                place = Path(each.parent, each.readlink(), *place.parts[len(each.parts) :])
                break
        else:
            return ""
    return ""


def _nameless(place: str) -> int | None:
    """A new file without a name in the folder of `place`; None if the system has no such files."""
    kind = getattr(os, "O_TMPFILE", None)
    if kind is None:
        return None
    try:
        descriptor = os.open(_folder(place), os.O_WRONLY | os.O_CLOEXEC | kind, 0o666)
    except OSError:  # not on every file system; any other error shows again with a named file
        return None
    if not os.path.exists(f"{DESCRIPTORS}/{descriptor}"):  # noqa: PTH110
        # /proc is not there, or not for this program.
        os.close(descriptor)
        return None
    return descriptor


def _named(descriptor: int, place: str) -> str:
    """Give a file without a name a temporary one in the folder of `place`."""
    for part in _parts(place):
        with suppress(FileExistsError):
            # Python follows the link only if src_dir_fd is given; an absolute path ignores it.
            os.link(f"{DESCRIPTORS}/{descriptor}", part, src_dir_fd=descriptor, follow_symlinks=True)
            return part
    raise AssertionError  # _parts is endless


def _temporary(place: str) -> tuple[int, str]:
    """A new file with a temporary name in the folder of `place`: its descriptor and name. The umask applies."""
    for part in _parts(place):
        with suppress(FileExistsError):
            return os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666), part
    raise AssertionError  # _parts is endless


def _parts(place: str) -> Iterator[str]:
    """Temporary names in the folder of `place`, without end."""
    folder = _folder(place)
    return (f"{folder}/.labkit-{os.getpid()}-{number}.part" for number in count())


def _folder(place: str) -> str:
    return os.path.dirname(place) or "."  # noqa: PTH120
