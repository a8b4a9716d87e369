"""Where the octets of a capture come from: a file, a pipe or standard input, plain or compressed with gzip.

A source is read once, in order, in chunks of bounded size. An error of the compression is not an exception but
`Source.trouble`, so that the packets before it can be used.
"""

import os
import stat
import sys
from collections.abc import Callable, Iterator
from io import BytesIO
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from labkit.errors import CaptureError
from labkit.i18n import _, printable, unreadable

if TYPE_CHECKING:
    import zlib
    from pathlib import Path

    from labkit.capture.budget import Meter

T = TypeVar("T")

CHUNK_OCTETS = 1 << 20
"""Octets that are read, or uncompressed, at once."""

HEAD_OCTETS = 1 << 16
"""Octets that are read first, to know the format: compiled code reads what follows into its own memory."""

GZIP_HEAD_OCTETS = 1 << 10
"""Compressed octets of a member that are uncompressed first."""

GZIP_PIECE_OCTETS = 1 << 16
"""Compressed octets that are uncompressed at once."""

MAX_COPY_OCTETS = 1 << 22
"""Octets of a stream that are kept, so that a small capture can be read a second time."""

GZIP = b"\x1f\x8b"


class Source:
    """The octets of a file or stream, in order. CaptureError if the system cannot read them."""

    def __init__(self, source: "str | Path | BinaryIO", meter: "Meter | None" = None) -> None:
        """`meter` ends the octets where a bound is reached."""
        self._file, self.name, self._owned = _open(source)
        self.meter = meter
        self.trouble = ""
        """What is wrong with the compression, if it ended the data too early."""
        self.compressed = False
        self._taken = 0
        self._path = source if isinstance(source, str | os.PathLike) and self._owned and self._is_regular() else None
        self._begin = self._file.tell() if isinstance(self._file, BytesIO) else 0
        self._copy = bytearray() if self._path is None and not isinstance(self._file, BytesIO) else None
        self._chunks = self._read()
        self._head = b""
        try:
            if self.peek(2) == GZIP:
                self.compressed = True
                self._chunks = self._uncompress(self._head, self._chunks)
                self._head = b""
            if meter is not None:
                self._chunks, self._head = self._metered(meter, self._head, self._chunks), b""
        except BaseException:
            self.close()
            raise

    @property
    def size(self) -> int | None:
        """Octets of a regular, uncompressed file; None for any other."""
        status = self._status()
        return status.st_size if status is not None and self._is_regular() and not self.compressed else None

    def _is_regular(self) -> bool:
        status = self._status()
        return status is not None and stat.S_ISREG(status.st_mode)

    def again(self) -> "str | Path | BinaryIO | None":
        """What opens the same data from its start: the path of a regular file, or a copy of a stream that has ended after at
        most MAX_COPY_OCTETS; None for a longer stream."""
        if isinstance(self._file, BytesIO):
            return BytesIO(self._file.getvalue()[self._begin :])
        if self._path is not None or self._copy is None:
            return self._path
        return BytesIO(self._copy)

    @property
    def share(self) -> float | None:
        """The share of the file that has been read, from 0 to 1; None if its length is unknown, as with a pipe."""
        status = self._status()
        if status is None or not stat.S_ISREG(status.st_mode) or not status.st_size:
            return None
        return min(1.0, self._taken / status.st_size)

    @property
    def waits(self) -> bool:
        """Whether a read may block for long: on a pipe or a terminal."""
        status = self._status()
        return status is not None and not stat.S_ISREG(status.st_mode)

    def _status(self) -> os.stat_result | None:
        try:
            return os.fstat(self._file.fileno())
        except (AttributeError, OSError, ValueError):
            return None

    def peek(self, want: int) -> bytes:
        """The next `want` octets, or all up to the end, without consuming them."""
        self._head = self.more(b"", want)
        return self._head[:want]

    def more(self, rest: bytes, want: int) -> bytes:
        """`rest` and the octets after it: at least `want` in all, or all up to the end."""
        parts = [part for part in (rest, self._head) if part]
        have = len(rest) + len(self._head)
        self._head = b""
        while have < want:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            parts.append(chunk)
            have += len(chunk)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def into(self, buffer: memoryview) -> int:
        """Read the available octets into a buffer, as far as they fit; their number, 0 at the end."""
        if not self._head and not self.compressed:
            # Plain octets go into the buffer without a copy.
            read = getattr(self._file, "readinto1", None) or getattr(self._file, "readinto", None)
            if read is not None:
                count = self._attempt(lambda: read(buffer)) or 0
                self._taken += count
                if self.meter is not None:
                    count = self.meter.take(count)
                self._keep(buffer[:count])
                return count
        chunk = self._head or next(self._chunks, b"")
        count = min(len(chunk), len(buffer))
        buffer[:count] = chunk[:count]
        self._head = chunk[count:]
        return count

    def close(self) -> None:
        """Close the file, if the source opened it."""
        if self._owned:
            self._file.close()

    def _read(self) -> Iterator[bytes]:
        # read1 returns what a pipe holds, while read waits for a whole chunk: a live capture must not wait.
        read = getattr(self._file, "read1", self._file.read)
        while chunk := self._attempt(lambda: read(CHUNK_OCTETS if self._taken else HEAD_OCTETS)):
            self._taken += len(chunk)
            self._keep(chunk)
            yield chunk

    @staticmethod
    def _metered(meter: "Meter", head: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """The chunks up to the bound of a meter."""
        for chunk in chain([head], chunks):
            if count := meter.take(len(chunk)):
                yield chunk[:count]
            if meter.spent is not None:
                return

    def _keep(self, chunk: bytes | memoryview) -> None:
        if self._copy is not None:
            self._copy += chunk
            if len(self._copy) > MAX_COPY_OCTETS:
                self._copy = None

    def _attempt(self, read: Callable[[], T]) -> T:
        try:
            return read()
        except OSError as error:
            raise CaptureError(unreadable(self.name, error)) from error

    def _uncompress(self, head: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """The contents of consecutive gzip members (RFC 1952); zeros may follow them."""
        import re
        import zlib

        zeros = re.compile(rb"\0*")
        inflate, fresh, first = None, True, True
        for chunk in chain([head], chunks):
            data = memoryview(chunk)
            while data:
                if inflate is None:
                    if not first and data[0] == 0:
                        # Zeros may follow, up to the end.
                        found = zeros.match(data)
                        data = data[found.end() if found else 0 :]
                        continue
                    if data[0] != GZIP[0]:
                        self.trouble = _("other data follows the gzip data")
                        return
                    inflate, fresh, first = zlib.decompressobj(31), True, False
                # A hostile file may have a member in every 20 octets, so the first piece of each is small.
                piece = data[: GZIP_HEAD_OCTETS if fresh else GZIP_PIECE_OCTETS]
                before = None if fresh else inflate.copy()
                try:
                    out = inflate.decompress(piece, CHUNK_OCTETS)
                except zlib.error as error:
                    self.trouble = _("the gzip data is damaged ({reason})").format(
                        reason=str(error).rpartition(": ")[2]
                    )
                    # zlib gives nothing of a piece with an error: feed the same octets one by one, up to the bad one.
                    yield from _single(before or zlib.decompressobj(31), piece)
                    return
                fresh = False
                data = data[len(piece) - len(inflate.unconsumed_tail or inflate.unused_data) :]
                if inflate.eof:
                    inflate = None
                if out:
                    yield out
        if inflate is not None:
            self.trouble = _("the gzip data is cut short")
            yield inflate.flush()


def _single(inflate: "zlib._Decompress", piece: memoryview) -> Iterator[bytes]:
    """The data that a piece holds before its first bad octet."""
    import zlib

    for at in range(len(piece)):
        try:
            out = inflate.decompress(piece[at : at + 1])
        except zlib.error:
            return
        if out:
            yield out


def _open(source: "str | Path | BinaryIO") -> tuple[BinaryIO, str, bool]:
    """The file to read, its name for messages, and whether the source must close it."""
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
    except (OSError, ValueError) as error:
        raise CaptureError(unreadable(name, error)) from error
