"""`--for`, which is also `--seconds`: how long a command goes on, at most."""

from collections.abc import Callable
from typing import Any

import click

from labkit.cli._common import F
from labkit.i18n import _


class Duration(click.ParamType[float]):
    """A time such as 60s, 1.5s or 200ms, as seconds; a number without a unit is seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds."""
        from labkit.build.scenario.units import duration

        if isinstance(value, float):
            return value
        text = str(value)
        try:
            nanoseconds = duration(f"{text}s" if text[-1:].isdecimal() else text)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if not nanoseconds:
            self.fail(_("'{text}' is no time at all").format(text=text), param, ctx)
        return nanoseconds / 1e9


def for_option(default: float | None, shown: str) -> Callable[[F], F]:
    """`--for`, passed as `seconds`: None, or what `default` says, where it is not given; `shown` is that in words."""
    return click.option(
        "--for",
        "--seconds",
        "seconds",
        type=Duration(),
        metavar="TIME",
        default=default,
        help=_("How long it takes at most: 60s, 1.5s, 200ms.  [default: {default}]").format(default=shown),
    )
