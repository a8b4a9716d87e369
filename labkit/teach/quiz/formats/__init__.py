"""Quizzes in the forms of learning platforms. Each module here is one format.

A module has a `SUMMARY`, the suffix that its files have (`SUFFIX`), and a function `render(quiz)`, which returns the file's
octets. A format of several files has `files(quiz)` instead, which returns the octets by path, and is written as a folder or a
zip. A module escapes what its format takes for marks; control characters never get here, because all text is printable.
"""

import io
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import NamedTuple
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from labkit.modules import modules_in
from labkit.teach.quiz import Quiz


class Format(NamedTuple):
    """A form of quizzes."""

    name: str
    summary: str
    suffix: str
    """What the name of its file ends in; `/` for a folder."""
    render: Callable[[Quiz], bytes]
    """The octets of the file; of a zip if the format has several files."""
    files: Callable[[Quiz], Mapping[str, bytes]] | None
    """The files of a folder, by path."""


@cache
def names() -> tuple[str, ...]:
    """The names of the formats. No module is loaded for it."""
    return tuple(modules_in(__path__))


def format_of(name: str) -> Format:
    """The format with a name."""
    module = import_module(f"{__name__}.{name}")
    files = getattr(module, "files", None)
    render = getattr(module, "render", None) or (lambda quiz: zipped(module.files(quiz)))
    return Format(name, module.SUMMARY, module.SUFFIX, render, files)


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip with these files: the same files give the same octets."""
    stream = io.BytesIO()
    with ZipFile(stream, "w", ZIP_DEFLATED) as archive:
        for name, octets in sorted(files.items()):
            entry = ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, octets)
    return stream.getvalue()
