"""The options that bound what judging one capture may cost."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from labkit.cli._common import F, option, options
from labkit.errors import UsageError
from labkit.i18n import N_, _, printable

if TYPE_CHECKING:
    from labkit.capture.budget import Budget

UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30}
"""Units of a size, in bytes."""


def budget_options(octets: str | None = None, seconds: float | None = None) -> Callable[[F], F]:
    """The options of `capture_budget`, with the defaults of `--max-bytes` and `--max-seconds`."""
    return options(
        option(
            "--memory",
            metavar="SIZE",
            default="512MB",
            show_default=True,
            help=N_("Stop reading a capture when this command takes this much memory for it."),
        ),
        option(
            "--max-bytes",
            metavar="SIZE",
            default=octets,
            show_default=octets or N_("all"),
            help=N_("Read only this much of each capture, counted uncompressed."),
        ),
        option(
            "--max-seconds",
            type=click.FloatRange(min=0, min_open=True),
            metavar="SECONDS",
            default=seconds,
            show_default=str(seconds) if seconds else N_("without limit"),
            help=N_("Read each capture for at most this long."),
        ),
    )


def capture_budget(values: dict[str, Any]) -> "Budget":
    """Take the values of the budget's options out of `values`. UsageError for a size that is not one."""
    from labkit.capture.budget import Budget

    memory, octets, seconds = (values.pop(name) for name in ("memory", "max_bytes", "max_seconds"))
    return Budget(
        size("--memory", memory),
        None if octets is None else size("--max-bytes", octets),
        None if seconds is None else seconds,
    )


def size(option: str, text: str) -> int:
    """Octets of a size such as `512MB`. UsageError for any other text."""
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?([A-Za-z]{0,3})", text)
    factor = UNITS.get(found[2].upper()) if found else None
    octets = int(float(found[1]) * factor) if found and factor else 0
    if octets <= 0:
        raise UsageError(
            _("{option}: '{text}' is not a size; expected one such as 512MB").format(
                option=option, text=printable(text[:40])
            )
        )
    return octets
