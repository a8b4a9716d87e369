"""Values of an assignment's own for each student: `draw: {port: [8080, 8443], request: 50..400}`, written `$port` where used.

A list is spread evenly over the class; a range is drawn from the student's seed.
"""

import re
from collections.abc import Mapping
from typing import Any

from labkit.build.scenario.units import Range, number, ranged
from labkit.i18n import _, listed

Value = int | str
Drawn = Range | tuple[Value, ...]

MAX_CHOICES = 1_000
"""Values that a list of an assignment may have."""
NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
USE = re.compile(r"\$(\$|[a-z][a-z0-9-]{0,39})")


def read(value: Any) -> Drawn:
    """A list of choices, a range such as `50..400`, or `random` (any sequence number). ValueError with what was expected."""
    if value == "random":
        return Range(0, 0xFFFFFFFF)
    if isinstance(value, Mapping) and set(value) == {"one-of"}:
        value = value["one-of"]
    if isinstance(value, list | tuple):
        if not 1 <= len(value) <= MAX_CHOICES or any(isinstance(each, dict | list) or each is None for each in value):
            raise ValueError(_("is not a list of choices; expected numbers or words, such as [8080, 8443]"))
        return tuple(each if isinstance(each, int) and not isinstance(each, bool) else str(each) for each in value)
    try:
        found: Range = ranged(number)(value)
    except ValueError as error:
        text = _("{value!r} is not a range or list; expected one such as 50..400, [8080, 8443] or random")
        raise ValueError(text.format(value=str(value)[:40])) from error
    return found


def values(drawn: Mapping[str, Drawn], seed: int, place: int = 0) -> dict[str, Value]:
    """The values of a student with a seed, at a place among all students, which decides over the lists."""
    found: dict[str, Value] = {}
    stride = 1
    for name, choices in drawn.items():
        if isinstance(choices, Range):
            found[name] = choices.draw(seed, name)
        else:
            # The second list advances when the first has been through, so that all pairs occur.
            found[name] = choices[(place // stride + place) % len(choices) if stride > 1 else place % len(choices)]
            stride *= len(choices)
    return found


def substituted(data: Any, given: Mapping[str, Value]) -> Any:
    """The data with `$name` replaced by values. A whole `$name` becomes the value itself; `$$` is a dollar sign.

    ValueError for a name that is not drawn.
    """
    if isinstance(data, Mapping):
        return {key: substituted(value, given) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [substituted(each, given) for each in data]
    if not isinstance(data, str) or "$" not in data:
        return data
    whole = USE.fullmatch(data)
    if whole is not None and whole[1] != "$":
        return _value(whole[1], given)
    return USE.sub(lambda match: "$" if match[1] == "$" else str(_value(match[1], given)), data)


def _value(name: str, given: Mapping[str, Value]) -> Value:
    if name not in given:
        raise ValueError(
            _("${name} is not drawn; expected one of {value}").format(
                name=name, value=listed(f"${each}" for each in given) or _("none")
            )
        )
    return given[name]
