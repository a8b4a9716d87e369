"""Where the octets of a capture come from: a file, a pipe or standard input, plain or compressed with gzip.

Everything is read once, in order, in chunks of bounded size. What goes wrong with the compression is not an
exception but `Source.trouble`, so that the packets before that place can be used.
"""

import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from labkit.errors import CaptureError
from labkit.i18n import _, printable

if TYPE_CHECKING:
    import zlib

T = TypeVar("T")

CHUNK_OCTETS = 1 << 20
"""Octets that are read, or uncompressed, at once."""

GZIP_PIECE_OCTETS = 1 << 16
"""Compressed octets that are handled at once."""

GZIP = b"\x1f\x8b"


def reason_of(error: OSError) -> str:
    """The system's reason, in a few words."""
    return error.strerror or str(error) or type(error).__name__


class Source:
    """Octets in order. CaptureError where they cannot be had."""

    def __init__(self, source: str | Path | BinaryIO) -> None:
        self._file, self.name, self._owned = _open(source)
        self.trouble = ""
        """What is wrong with the compression, once that has ended the data too early."""
        self.compressed = False
        self._taken = 0
        self._chunks = self._read()
        self._head = b""
        try:
            if self.peek(2) == GZIP:
                self.compressed = True
                self._chunks = self._uncompress(self._head, self._chunks)
                self._head = b""
        except BaseException:
            self.close()
            raise

    @property
    def size(self) -> int | None:
        """Octets of the whole, where that is known: of a plain file."""
        status = self._status()
        return status.st_size if status is not None and stat.S_ISREG(status.st_mode) and not self.compressed else None

    @property
    def share(self) -> float | None:
        """How much of the file was read, from 0 to 1; None where nobody knows how long it will be, as with a pipe."""
        status = self._status()
        if status is None or not stat.S_ISREG(status.st_mode) or not status.st_size:
            return None
        return min(1.0, self._taken / status.st_size)

    @property
    def waits(self) -> bool:
        """Whether octets may be long in coming: from a pipe, or a terminal."""
        status = self._status()
        return status is not None and not stat.S_ISREG(status.st_mode)

    def _status(self) -> os.stat_result | None:
        """What the system says of the file; None where there is no file."""
        try:
            return os.fstat(self._file.fileno())
        except (AttributeError, OSError, ValueError):
            return None

    def peek(self, want: int) -> bytes:
        """The next `want` octets, or as many as there are, which stay to be read."""
        self._head = self.more(b"", want)
        return self._head[:want]

    def more(self, rest: bytes, want: int) -> bytes:
        """`rest` and what follows it: at least `want` octets in all, or everything up to the end."""
        parts = [rest, self._head]
        have = len(rest) + len(self._head)
        self._head = b""
        while have < want:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            parts.append(chunk)
            have += len(chunk)
        return b"".join(parts)

    def into(self, buffer: memoryview) -> int:
        """Put what follows into a buffer, as much as is at hand and fits; how many octets, 0 at the end."""
        if not self._head and not self.compressed:
            # Where octets need not be looked at they are not copied.
            read = getattr(self._file, "readinto1", None) or getattr(self._file, "readinto", None)
            if read is not None:
                count = self._had(lambda: read(buffer)) or 0
                self._taken += count
                return count
        chunk = self._head or next(self._chunks, b"")
        count = min(len(chunk), len(buffer))
        buffer[:count] = chunk[:count]
        self._head = chunk[count:]
        return count

    def close(self) -> None:
        """Close the file, if it was opened here."""
        if self._owned:
            self._file.close()

    def _read(self) -> Iterator[bytes]:
        # read1 gives what a pipe has, where read would wait for a whole chunk: a live capture comes at once.
        read = getattr(self._file, "read1", self._file.read)
        while chunk := self._had(lambda: read(CHUNK_OCTETS)):
            self._taken += len(chunk)
            yield chunk

    def _had(self, read: Callable[[], T]) -> T:
        """What the file gives."""
        try:
            return read()
        except OSError as error:
            raise CaptureError(
                _("{name}: cannot be read: {reason}").format(name=self.name, reason=reason_of(error))
            ) from error

    def _uncompress(self, head: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """The contents of gzip members (RFC 1952), one after the other, with zeros allowed after them."""
        import zlib

        inflate = None
        first = True
        data = head
        while data := data or next(chunks, b""):
            if inflate is None:
                if not first and not (data := data.lstrip(b"\0")):
                    continue
                if not data.startswith(GZIP[:1]):
                    self.trouble = _("the gzip data is followed by something else")
                    return
                inflate = zlib.decompressobj(31)
                first = False
            piece, data = data[:GZIP_PIECE_OCTETS], data[GZIP_PIECE_OCTETS:]
            before = inflate.copy()
            try:
                out = inflate.decompress(piece, CHUNK_OCTETS)
            except zlib.error as error:
                self.trouble = _("the gzip data is damaged ({reason})").format(reason=str(error).rpartition(": ")[2])
                # zlib keeps what it had when it failed: give it the same octets one by one, up to the bad
                # one.
                yield from _single(before, piece)
                return
            data = (inflate.unconsumed_tail or inflate.unused_data) + data
            if inflate.eof:
                inflate = None
            if out:
                yield out
        if inflate is not None:
            self.trouble = _("the gzip data is cut short")
            yield inflate.flush()


def _single(inflate: "zlib._Decompress", piece: bytes) -> Iterator[bytes]:
    """What can be uncompressed of a piece before its first bad octet."""
    import zlib

    for at in range(len(piece)):
        try:
            out = inflate.decompress(piece[at : at + 1])
        except zlib.error:
            return
        if out:
            yield out


def _open(source: str | Path | BinaryIO) -> tuple[BinaryIO, str, bool]:
    """The file to read, its name for messages, and whether it is ours to close."""
    if source == "-":
        name = _("standard input")
        stream = getattr(sys.stdin, "buffer", None)
        if stream is None:
            raise CaptureError(_("{name}: is closed").format(name=name))
        return stream, name, False
    if not isinstance(source, str | os.PathLike):
        return source, printable(str(getattr(source, "name", _("the stream")))), False
    name = printable(os.fspath(source))
    try:
        return open(source, "rb", buffering=0), name, True  # noqa: PTH123 - Path("") would be "."
    except IsADirectoryError:
        raise CaptureError(_("{name}: is a directory, not a capture").format(name=name)) from None
    except OSError as error:
        raise CaptureError(_("{name}: cannot be read: {reason}").format(name=name, reason=reason_of(error))) from error
    except ValueError as error:  # a null character in the name
        raise CaptureError(_("{name}: cannot be read: {reason}").format(name=name, reason=error)) from error
