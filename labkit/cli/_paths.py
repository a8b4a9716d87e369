"""Paths on a command line: what a command reads, and what it writes, which is neither what it reads nor written twice."""

import os
import sys
from collections.abc import Iterator
from itertools import combinations, product
from typing import TYPE_CHECKING

import click

from labkit.errors import InputError, UsageError
from labkit.i18n import _, printable

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class PathType(click.ParamType):  # type: ignore[type-arg]  # old versions of click have no type argument
    """A path, or "-" for standard input or output. It is checked where it is opened, and then a file that cannot be read has an
    exit code of its own."""

    name = "path"

    def __init__(self, *, is_output: bool = False, replaces: str = "") -> None:
        """`is_output`: the command writes it, and neither over what it reads nor over another output. `replaces`: the option
        that may name the same file all the same."""
        self.is_output = is_output
        self.replaces = replaces

    def place(self, value: str) -> str:
        """The path in a value."""
        return value

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> "list[CompletionItem]":
        """Have the shell complete the name of a file."""
        from click.shell_completion import CompletionItem

        return [CompletionItem(incomplete, type="file")]


PATH = PathType()
OUTPUT = PathType(is_output=True)


def standard_input(most: int) -> bytes:
    """Standard input, or more than `most` octets of it if it has more. InputError if it is closed."""
    if sys.stdin is None:
        raise InputError(_("{name}: is closed").format(name=_("standard input")))
    return sys.stdin.buffer.read(most + 1)


def refuse_overwriting(context: click.Context) -> list[str]:
    """The inputs of the command that is to be run, which it must not replace. UsageError if one of its outputs is one of them, or
    another output."""
    read: list[str] = []
    written: list[tuple[click.Parameter, str]] = []
    for parameter, path in _paths(context):
        if _is_output(parameter):
            written.append((parameter, path))
        else:
            read.append(path)
    if not written:
        return read  # and nobody asks the system about thousands of captures
    for (output, path), source in product(written, filter(os.path.exists, read)):
        if source != context.params.get(_replaced(output)) and _are_same(path, source):
            raise UsageError(_("{name}: this would overwrite what the command reads").format(name=printable(path)))
    for (one, path), (other, again) in combinations(written, 2):
        if one is not other and _are_same(path, again):
            text = _("{one} and {other} cannot both go to {name}")
            raise UsageError(text.format(one=one.opts[-1], other=other.opts[-1], name=printable(path)))
    replaced = {context.params.get(_replaced(output)) for output, _path in written}
    return [path for path in read if path not in replaced]


def _paths(context: click.Context) -> Iterator[tuple[click.Parameter, str]]:
    """The paths on the command line."""
    for each in context.command.params:
        if isinstance(each, click.Argument) or isinstance(each.type, PathType):
            value = context.params.get(each.name or "")
            for path in value if isinstance(value, tuple) else (value,):
                if not isinstance(path, str) or path == "-":
                    continue
                if isinstance(each.type, PathType):
                    yield each, each.type.place(path)
                elif not {".", "/"}.isdisjoint(path):  # otherwise it names an interface, or what is shipped with labkit
                    yield each, path


def _is_output(parameter: click.Parameter) -> bool:
    return isinstance(parameter.type, PathType) and parameter.type.is_output


def _replaced(parameter: click.Parameter) -> str:
    return parameter.type.replaces if isinstance(parameter.type, PathType) else ""


def _are_same(one: str, other: str) -> bool:
    """Whether two paths name the same file, which need not exist. Pipes and devices take several outputs."""
    try:
        if os.path.exists(one) and os.path.exists(other):  # noqa: PTH110 - the paths may be any strings
            return os.path.isfile(one) and os.path.samefile(one, other)  # noqa: PTH113, PTH121
        return os.path.realpath(one) == os.path.realpath(other)
    except (OSError, ValueError):
        return False
