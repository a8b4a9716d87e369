"""Notations of a scenario's numbers: durations, sizes, ranges, chances and rates; and how a range is drawn from the seed."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, WithJsonSchema

from labkit.i18n import _, listed

UNITS = {"ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "min": 60_000_000_000}
SIZES = {"": 1, "B": 1, "kB": 1_000, "KiB": 1 << 10, "MB": 1_000_000, "MiB": 1 << 20}
MAX_SEND = 1 << 26
"""The most octets that one step can send: 64 MiB."""
MAX_DURATION = 86_400_000_000_000
"""The longest duration: a day, in nanoseconds."""


class Seed(int):
    """A seed that records the value that each key has drawn from it."""

    drawn: dict[str, int]

    def __new__(cls, number: int) -> Self:
        """A seed without drawn values."""
        seed = super().__new__(cls, number)
        seed.drawn = {}
        return seed


@dataclass(frozen=True, slots=True)
class Range:
    """Whole numbers from `low` to `high`, both included."""

    low: int
    high: int

    def draw(self, seed: int, key: str) -> int:
        """The number for a seed. `key` is the name of the value, so that values are independent of each other."""
        if self.low == self.high:
            return self.low
        # With 16 octets the probabilities of two numbers differ by less than one part in 2**80.
        chance = int.from_bytes(blake2b(f"{seed}/{key}".encode(), digest_size=16).digest())
        found = self.low + chance % (self.high - self.low + 1)
        if isinstance(seed, Seed):
            seed.drawn[key] = found
        return found


def duration(value: Any) -> int:
    """Nanoseconds of `20ms`, `1.5s` or `250us`."""
    text = str(value).strip()
    match = re.fullmatch(r"(\d{1,12}(?:\.\d{1,9})?)\s*([a-zµ]*)", text)
    if match is None or (match[2] not in UNITS and (match[2] or float(match[1]))):
        what = (
            _("{text!r} has no unit; expected a number with {known}, such as 20ms")
            if match and not match[2]
            else _("{text!r} is not a duration; expected a number with {known}, such as 20ms")
        )
        raise ValueError(what.format(text=text[:40], known=listed(UNITS)))
    whole, _point, part = match[1].partition(".")
    unit = UNITS.get(match[2], 1)
    nanoseconds = int(whole) * unit + int(part.ljust(9, "0") or 0) * unit // 1_000_000_000
    if nanoseconds > MAX_DURATION:
        raise ValueError(_("{text!r} is longer than a day").format(text=text[:40]))
    return nanoseconds


def size(value: Any) -> int:
    """Octets of `99`, `10kB` or `1MiB`."""
    match = re.fullmatch(r"(\d{1,12})\s*([A-Za-z]*)", str(value).strip())
    if isinstance(value, bool) or match is None or match[2] not in SIZES:
        raise ValueError(
            _("{value!r} is not a size; expected octets, such as 99, 10kB or 1MiB").format(value=str(value)[:40])
        )
    octets = int(match[1]) * SIZES[match[2]]
    if octets > MAX_SEND:
        raise ValueError(_("{value!r} is more than {n} MiB").format(value=str(value)[:40], n=MAX_SEND >> 20))
    return octets


def number(value: Any) -> int:
    """A whole number from 0."""
    if isinstance(value, bool) or not re.fullmatch(r"\d{1,15}", str(value).strip()):
        raise ValueError(
            _("{value!r} is not a number; expected a whole number such as 80").format(value=str(value)[:40])
        )
    return int(value)


def chance(value: Any) -> float:
    """A chance from 0 to 1, written as `0.02` or `2%`."""
    match = re.fullmatch(r"(\d{1,3}(?:\.\d{1,9})?)\s*(%?)", str(value).strip())
    found = float(match[1]) / (100 if match[2] else 1) if match else -1.0
    if isinstance(value, bool) or not 0 <= found <= 1:
        raise ValueError(
            _("{value!r} is not a chance; expected 0 to 1, or a percentage such as 2%").format(value=str(value)[:40])
        )
    return found


def rate(value: Any) -> int:
    """Bits per second of `10Mbit/s`."""
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)\s*([kMG]?)bit/s", str(value).strip())
    bits = int(float(match[1]) * {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}[match[2]]) if match else 0
    if bits <= 0:
        raise ValueError(_("{value!r} is not a rate; expected one such as 10Mbit/s").format(value=str(value)[:40]))
    return bits


def ranged(one: Callable[[Any], int]) -> Callable[[Any], Any]:
    """A reader for `LOW..HIGH` or a single value."""

    def read(value: Any) -> Any:
        if isinstance(value, Range):
            return value
        low, dots, high = str(value).partition("..")
        if not dots:
            single = one(value)
            return Range(single, single)
        found = Range(one(low), one(high))
        if found.low > found.high:
            raise ValueError(
                _("{value!r} is not a range; expected LOW..HIGH with LOW at most HIGH").format(value=str(value)[:40])
            )
        return found

    return read


def or_off(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A reader for `off` (None) or a value that `read` accepts."""

    def either(value: Any) -> Any:
        return None if value == "off" else read(value)

    return either


_DURATION = r"\d+(\.\d+)? ?(ns|us|µs|ms|s|min)|0"
_SIZE = r"\d+ ?(B|kB|KiB|MB|MiB)?"


def _text(pattern: str, example: str, *, numbers: bool = False) -> WithJsonSchema:
    """The schema of a value: its pattern, with an example."""
    kinds = ["string", "number"] if numbers else "string"
    return WithJsonSchema({"type": kinds, "pattern": f"^({pattern})$", "examples": [example]})


def _span(pattern: str, example: str, *, numbers: bool = False) -> WithJsonSchema:
    return _text(rf"({pattern})(\.\.({pattern}))?", example, numbers=numbers)


Duration = Annotated[int, BeforeValidator(duration), _text(_DURATION, "20ms", numbers=True)]
DurationRange = Annotated[Range, BeforeValidator(ranged(duration)), _span(_DURATION, "10ms..50ms", numbers=True)]
DURATION_OR_OFF = _text(f"{_DURATION}|off", "40ms", numbers=True)
DurationOrOff = Annotated[int | None, BeforeValidator(or_off(duration)), DURATION_OR_OFF]
Size = Annotated[int, BeforeValidator(size), _text(_SIZE, "10kB", numbers=True)]
SizeRange = Annotated[Range, BeforeValidator(ranged(size)), _span(_SIZE, "50..400", numbers=True)]
Number = Annotated[int, BeforeValidator(number), WithJsonSchema({"type": "integer", "minimum": 0})]
NumberRange = Annotated[Range, BeforeValidator(ranged(number)), _span(r"\d+", "40000..60000", numbers=True)]
Chance = Annotated[float, BeforeValidator(chance), _text(r"\d+(\.\d+)? ?%?", "2%", numbers=True)]
Rate = Annotated[int, BeforeValidator(rate), _text(r"\d+(\.\d+)? ?[kMG]?bit/s", "10Mbit/s")]
