"""Where the octets of a new capture go: a file that appears whole or not at all, or a stream.

A file is written beside its place and takes its place at the end. Up to then it has no name, where the system has such
files (O_TMPFILE of Linux): so nothing is left of it, however the program ends; elsewhere it has another name. What is
not a regular file (a pipe, a device, standard output) is written directly.
"""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import BinaryIO

from labkit.capture.source import reason_of
from labkit.errors import CaptureError
from labkit.i18n import _, printable

BUFFER_OCTETS = 1 << 18


class Sink:
    """Takes octets; `commit` or `discard` ends it. CaptureError where the system cannot write."""

    def __init__(self, target: str | Path | BinaryIO) -> None:
        self._part = ""
        """The file's name while it is written; empty where it has none of its own, and at the end."""
        self._nameless = False
        """Whether it has no name at all yet."""
        self._place = ""
        self._owned = False
        """Whether the file was opened here, and is closed here."""
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
                self._open(os.path.realpath(target))
            except OSError as error:
                self.discard()
                raise self._failed(reason_of(error)) from error
            except ValueError as error:  # a null character in the name
                raise self._failed(str(error)) from error

    def _open(self, place: str) -> None:
        try:
            old = os.stat(place)  # noqa: PTH116 - a plain string is what the system gave
        except FileNotFoundError:
            old = None
        if old and stat.S_ISDIR(old.st_mode):
            raise self._failed(_("it is a directory"))
        if old and not os.access(place, os.W_OK):
            raise PermissionError(None, _("it may not be written to"))
        if old and not stat.S_ISREG(old.st_mode):
            self._file = open(place, "wb", buffering=BUFFER_OCTETS)  # noqa: SIM115, PTH123 - closed at the end
            self._owned = True
            return
        nameless = _nameless(place)
        if nameless is None:
            descriptor, self._part = _beside(place)
        else:
            descriptor, self._nameless = nameless, True
        self._file = open(descriptor, "wb", buffering=BUFFER_OCTETS)  # noqa: SIM115, PTH123 - closed at the end
        self._owned = True
        self._place = place
        if old:
            os.fchmod(descriptor, stat.S_IMODE(old.st_mode))

    def write(self, octets: bytes | bytearray) -> None:
        """Append octets. BrokenPipeError where nobody reads the pipe."""
        try:
            self._file.write(octets)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise self._failed(reason_of(error)) from error

    def commit(self) -> None:
        """Finish: the file takes its place. Nothing happens the second time, or after `discard`."""
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
        except BaseException as error:
            self.discard()
            if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
                raise self._failed(reason_of(error)) from error
            raise

    def discard(self) -> None:
        """Give up: the file under construction is removed. What went to a stream cannot be taken back."""
        part, self._part, self._nameless = self._part, "", False
        if self._owned:
            # What can no longer be written was to be thrown away.
            with suppress(OSError):
                self._file.close()
        if part:
            Path(part).unlink(missing_ok=True)

    def _failed(self, reason: str) -> CaptureError:
        return CaptureError(_("{name}: cannot be written: {reason}").format(name=self.name, reason=reason))


DESCRIPTORS = "/proc/self/fd"
"""Where files without names can be reached, to be given one."""


def _nameless(place: str) -> int | None:
    """A new file without a name in the folder of `place`; None where there is no such thing."""
    kind = getattr(os, "O_TMPFILE", None)
    if kind is None:
        return None
    try:
        descriptor = os.open(Path(place).parent, os.O_WRONLY | os.O_CLOEXEC | kind, 0o666)
    except OSError:  # not on every file system; what else is wrong is said when a name is tried
        return None
    if not Path(f"{DESCRIPTORS}/{descriptor}").exists():  # /proc is not there, or not for this program
        os.close(descriptor)
        return None
    return descriptor


def _named(descriptor: int, place: str) -> str:
    """Give a file without a name one beside `place`."""
    for part in _parts(place):
        with suppress(FileExistsError):
            # With a descriptor of a folder, which an absolute path needs none of, Python follows the link.
            os.link(f"{DESCRIPTORS}/{descriptor}", part, src_dir_fd=descriptor, follow_symlinks=True)
            return part
    raise AssertionError  # there is no last one


def _beside(place: str) -> tuple[int, str]:
    """A new file beside `place`, with the permissions that the umask leaves: its number and name."""
    for part in _parts(place):
        with suppress(FileExistsError):
            return os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666), part
    raise AssertionError  # as above


def _parts(place: str) -> Iterator[str]:
    """Names beside `place`, of which one will be free."""
    folder = Path(place).parent
    return (str(folder / f".labkit-{os.getpid()}-{number}.part") for number in count())
