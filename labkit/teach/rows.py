"""Rows of CSV text as spreadsheets and learning platforms write it, read one at a time.

The text may be UTF-8, UTF-16 or Windows-1252; the separator a comma, a semicolon or a tab. A line `sep=;` before the header, as
Excel writes it, is read.
"""

import csv
import re
from codecs import getincrementaldecoder
from collections.abc import Iterator
from io import BufferedReader, RawIOBase, TextIOWrapper
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any
from weakref import finalize

from labkit.errors import InputError
from labkit.i18n import _, printable, unreadable

MAX_FILE = 1 << 28
"""Octets of a roster."""
MAX_WAITING = 1 << 24
"""Octets of a roster that wait in memory; a larger one waits in a file without a name."""
MAX_ROW = 1 << 20
"""Characters of a row."""
MAX_COLUMNS = 10_000
"""Cells of a row."""
MAX_LINES = 1 << 22
"""Lines of a roster, of which most may be empty."""
CHUNK = 1 << 18
"""Octets that are read at a time."""

WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""How the files of spreadsheets begin: zip archives, and the older format."""

SEPARATOR = re.compile(r'"?sep=([^"\w\r\n])"?\s*', re.IGNORECASE)

NumberedRow = tuple[int, list[str]]
"""The line of a row, and its cells without spaces around them."""


class Table:
    """CSV text as it was when it was opened, to be read from its start any number of times."""

    def __init__(self, path: str | Path) -> None:
        """InputError if the file cannot be read, is too large, or is not text."""
        self.name = printable(str(path))
        self._file = SpooledTemporaryFile(MAX_WAITING)  # noqa: SIM115 - closed with the table
        finalize(self, self._file.close)
        try:
            with Path(path).open("rb") as file:
                while octets := file.read(CHUNK):
                    self._file.write(octets)
                    if self._file.tell() > MAX_FILE:
                        text = _("{name}: larger than {most} MiB")
                        raise InputError(text.format(name=self.name, most=MAX_FILE >> 20))
        except (OSError, ValueError) as error:
            raise InputError(unreadable(self.name, error)) from error
        self.hint = ""
        """A remark for the user where the encoding is a guess; usually empty."""
        self._encoding = self._guessed()
        self._declared, self._delimiter = self._delimited()

    def _octets(self) -> BufferedReader:
        return BufferedReader(_Reader(self._file), CHUNK)

    def _guessed(self) -> str:
        with self._octets() as file:
            first = file.peek(4)
        if first.startswith(WORKBOOKS):
            text = _("{name}: is a workbook, not CSV text; in Excel, save it as 'CSV UTF-8'")
            raise InputError(text.format(name=self.name))
        if first.startswith((b"\xff\xfe", b"\xfe\xff")):
            encoding = "utf-16"
        elif first[:2].count(0) == 1:  # a letter of UTF-16 without a byte order mark
            encoding = "utf-16-be" if first[0] == 0 else "utf-16-le"
        elif line := self._wrong("utf-8-sig"):
            encoding = "cp1252"
            text = _("{name}:{line}: not UTF-8 text, read as Windows-1252; if names look wrong, save it as 'CSV UTF-8'")
            self.hint = text.format(name=self.name, line=line)
        else:
            return "utf-8-sig"
        if line := self._wrong(encoding):
            text = _("{name}:{line}: neither UTF-8 nor Windows-1252 text; in Excel, save it as 'CSV UTF-8'")
            raise InputError(text.format(name=self.name, line=line))
        return encoding

    def _wrong(self, encoding: str) -> int:
        """The line of the first octets that are not text in this encoding; 0 if all are."""
        decoder = getincrementaldecoder(encoding)()
        line = 1
        with self._octets() as file:
            octets = b"the first"
            try:
                while octets:
                    octets = file.read(CHUNK)
                    decoder.decode(octets, final=not octets)
                    line += octets.count(b"\n")
            except UnicodeDecodeError as error:
                return line + error.object.count(b"\n", 0, error.start)
        return 0

    def _delimited(self) -> tuple[bool, str]:
        """Whether the first line names the separator, and the separator."""
        lines = self._lines()
        first = next(lines, "")
        if declared := SEPARATOR.fullmatch(first):
            return True, declared[1]
        head = first if first.strip() else next(filter(str.strip, lines), "")
        # Spreadsheets write semicolons in some countries.
        return False, max(",;\t", key=head.count)

    def _lines(self) -> Iterator[str]:
        """The lines, each up to one character more than a row may have."""
        with TextIOWrapper(self._octets(), self._encoding, newline="") as file:
            while line := file.readline(MAX_ROW + 1):
                yield line

    def rows(self) -> Iterator[NumberedRow]:
        """The rows that are not empty. InputError if the text is not CSV, or a row is too long."""
        left = MAX_ROW
        reader: Any

        def lines() -> Iterator[str]:
            nonlocal left
            source = self._lines()
            if self._declared:
                next(source)
                yield "\n"  # so that the numbers of lines stay right
            for line in source:
                left -= len(line)
                if left < 0:
                    text = _("a row has more than {most:,} characters").format(most=MAX_ROW)
                    raise InputError(f"{self.name}:{reader.line_num + 1}: {text}")
                yield line

        reader = csv.reader(lines(), delimiter=self._delimiter, strict=True)
        try:
            for row in reader:
                left = MAX_ROW
                if reader.line_num > MAX_LINES:
                    text = _("more than {most:,} lines").format(most=MAX_LINES)
                    raise InputError(f"{self.name}:{reader.line_num}: {text}")
                if len(row) > MAX_COLUMNS:
                    text = _("a row has more than {most:,} columns").format(most=MAX_COLUMNS)
                    raise InputError(f"{self.name}:{reader.line_num}: {text}")
                cells = [cell.strip() for cell in row]
                if any(cells):
                    yield reader.line_num, cells
        except csv.Error as error:
            reason = str(error)
            if reason == "unexpected end of data":
                reason = _("a quotation mark is not closed")
            elif reason.startswith("field larger"):
                reason = _("a cell has more than {most:,} characters").format(most=csv.field_size_limit())
            raise InputError(f"{self.name}:{reader.line_num}: {reason}") from error


class _Reader(RawIOBase):
    """Reads a file at a place of its own, so that several can read it in turn."""

    def __init__(self, file: Any) -> None:
        self._file, self._at = file, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._file.seek(self._at)
        octets = self._file.read(len(buffer))
        buffer[: len(octets)] = octets
        self._at += len(octets)
        return len(octets)
