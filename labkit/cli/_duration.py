"""`--for`, which is also `--seconds`: the longest time that a command runs."""

from collections.abc import Callable
from typing import Any

import click

from labkit.cli._common import F
from labkit.i18n import _


class Duration(click.ParamType):  # type: ignore[type-arg]  # old versions of click have no type argument
    """A time such as 60s, 1.5s or 200ms, as seconds; a number without a unit is seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read the seconds."""
        from labkit.build.scenario.units import duration

        if isinstance(value, float):
            return value
        text = str(value)
        try:
            nanoseconds = duration(f"{text}s" if text[-1:].isdecimal() else text)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if not nanoseconds:
            self.fail(_("'{text}' must be longer than 0").format(text=text), param, ctx)
        return nanoseconds / 1e9


def for_option(default: float | None, shown: str) -> Callable[[F], F]:
    """`--for`, passed as `seconds`; `shown` is the default in words."""
    return click.option(
        "--for",
        "--seconds",
        "seconds",
        type=Duration(),
        metavar="TIME",
        default=default,
        help=_("Stop after this time: 60s, 1.5s, 200ms.  [default: {default}]").format(default=shown),
    )
