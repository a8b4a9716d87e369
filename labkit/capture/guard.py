"""The files that a running command must not replace: what it reads, and what it has written, under whatever name.

A command refuses outputs that it knows beforehand (`labkit.cli._paths`). Other names follow from a student's name, or from
another output: every `labkit.capture.sink.Sink` asks here before it replaces a file.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar

from labkit.errors import UsageError
from labkit.i18n import _

Place = tuple[int, int]
"""The device and the inode of a file."""


class _Guard:
    def __init__(self) -> None:
        self.paths: list[str] = []
        """What the command reads, as far as nobody has asked the system about it yet."""
        self.read: set[Place] = set()
        self.written: set[Place] = set()


_guard: ContextVar[_Guard | None] = ContextVar("_guard", default=None)


@contextmanager
def guarding() -> Iterator[None]:
    """Guard files up to the end of a command, which may be one of a group."""
    token = _guard.set(_guard.get() or _Guard())
    try:
        yield
    finally:
        _guard.reset(token)


def protect(paths: Iterable[str]) -> None:
    """The running command reads these files."""
    if (guard := _guard.get()) is not None:
        guard.paths.extend(paths)


def count_in(path: str) -> None:
    """The running command has written this file."""
    if (guard := _guard.get()) is not None:
        guard.written.add(_place(os.stat(path)))  # noqa: PTH116 - a plain string


def take_back(path: str) -> None:
    """The running command has failed: it may write a file again that it has written, to bring back what was there."""
    if (guard := _guard.get()) is not None:
        with suppress(OSError):
            guard.written.discard(_place(os.stat(path)))  # noqa: PTH116 - a plain string


def check(name: str, old: os.stat_result) -> None:
    """UsageError if the existing file, called `name` in messages, must not be replaced."""
    guard = _guard.get()
    if guard is None:
        return
    while guard.paths:  # only now: a command may read thousands of captures and replace nothing
        with suppress(OSError, ValueError):
            guard.read.add(_place(os.stat(guard.paths.pop())))  # noqa: PTH116 - a plain string
    if _place(old) in guard.read:
        raise UsageError(_("{name}: this would overwrite what the command reads").format(name=name))
    if _place(old) in guard.written:
        raise UsageError(_("{name}: the command would write this file twice").format(name=name))


def _place(found: os.stat_result) -> Place:
    return found.st_dev, found.st_ino
