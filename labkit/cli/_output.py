"""Write a result to a file, whole or not at all, or to standard output; and let another program convert a picture."""

import sys
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

from labkit.cli._common import echo
from labkit.errors import MissingError, UsageError
from labkit.i18n import _, listed

F = TypeVar("F", bound=Callable[..., Any])

STANDARD_OUTPUT = "-"

CONVERTERS = {
    "rsvg-convert": ("--format={format}",),
    "inkscape": ("--pipe", "--export-type={format}", "--export-filename=-"),
}
"""Programs that turn an SVG on standard input into PNG or PDF on standard output."""

SECONDS = 120
"""How long a converter may take."""


def write_lines(target: str | None, lines: Iterable[str]) -> None:
    """Print lines, or write them to a file that appears when it is complete."""
    if target is None or target == STANDARD_OUTPUT:
        for line in lines:
            echo(line)
        return
    write_octets(target, (f"{click.unstyle(line)}\n".encode("utf-8", "backslashreplace") for line in lines))


def write_octets(target: str, pieces: Iterable[bytes]) -> None:
    """Write octets to a file that appears when it is complete, or to standard output."""
    from labkit.capture.sink import Sink

    sink = Sink(target)
    try:
        for piece in pieces:
            sink.write(piece)
        sink.commit()
    finally:
        sink.discard()


def refuse_terminal(target: str | None) -> None:
    """UsageError if octets would go to a terminal."""
    stream = sys.stdout
    if (target is None or target == STANDARD_OUTPUT) and stream is not None and not stream.closed and stream.isatty():
        raise UsageError(_("standard output is a terminal; write the picture to a file (-o FILE) or a pipe"))


def converted(svg: str, format_: str) -> bytes:
    """An SVG as PNG or PDF. MissingError if no converter is installed, or the one that is fails."""
    import subprocess
    from shutil import which  # with all compressions that Python knows

    for name, arguments in CONVERTERS.items():
        program = which(name)
        if program is None:
            continue
        command = [program, *(each.format(format=format_) for each in arguments)]
        try:
            done = subprocess.run(command, input=svg.encode(), capture_output=True, check=True, timeout=SECONDS)  # noqa: S603
        except (OSError, subprocess.SubprocessError) as error:
            raise MissingError(
                _("{program} cannot convert the picture: {error}").format(program=name, error=error)
            ) from error
        return done.stdout
    text = _(
        "no converter from SVG to {format} is installed; install one of: {programs} (Debian: librsvg2-bin, inkscape)"
    )
    raise MissingError(text.format(format=format_.upper(), programs=listed(CONVERTERS)))
