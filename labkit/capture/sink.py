"""Where the octets of a new capture go: a file that appears whole or not at all, or a stream.

A file is written beside its place, under another name, and takes its place at the end. What is not a regular
file (a pipe, a device, standard output) is written directly.
"""

import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from labkit.capture.source import because, printable
from labkit.errors import CaptureError
from labkit.i18n import _

BUFFER = 1 << 18


class Sink:
    """Takes octets; `commit` or `discard` ends it. CaptureError where the system cannot write."""

    def __init__(self, target: str | Path | BinaryIO) -> None:
        self._part = ""
        """The file's name while it is written; empty where it has none of its own, and at the end."""
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
                raise self._failed(because(error)) from error
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
            self._file = open(place, "wb", buffering=BUFFER)  # noqa: SIM115, PTH123 - closed at the end
            self._owned = True
            return
        descriptor, self._part = _beside(place)
        self._file = open(descriptor, "wb", buffering=BUFFER)  # noqa: SIM115, PTH123 - closed at the end
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
            raise self._failed(because(error)) from error

    def commit(self) -> None:
        """Finish: the file takes its place. Nothing happens the second time, or after `discard`."""
        try:
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
                raise self._failed(because(error)) from error
            raise

    def discard(self) -> None:
        """Give up: the file under construction is removed. What went to a stream cannot be taken back."""
        part, self._part = self._part, ""
        if self._owned:
            # What can no longer be written was to be thrown away.
            with suppress(OSError):
                self._file.close()
        if part:
            Path(part).unlink(missing_ok=True)

    def _failed(self, reason: str) -> CaptureError:
        return CaptureError(_("{name}: cannot be written: {reason}").format(name=self.name, reason=reason))


def _beside(place: str) -> tuple[int, str]:
    """A new file beside `place`, with the permissions that the umask leaves: its number and name."""
    folder = Path(place).parent
    count = 0
    while True:
        part = str(folder / f".labkit-{os.getpid()}-{count}.part")
        try:
            return os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666), part
        except FileExistsError:
            count += 1
