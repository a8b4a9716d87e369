"""How values are written in a scenario: durations, sizes, ranges, chances; and how a range is drawn from the
seed.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, WithJsonSchema

UNITS = {"ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "min": 60_000_000_000}
SIZES = {"": 1, "B": 1, "kB": 1_000, "KiB": 1 << 10, "MB": 1_000_000, "MiB": 1 << 20}
LARGEST = 1 << 26
"""Octets that one step can send: 64 MiB."""
LONGEST = 86_400_000_000_000
"""The longest duration: a day, in nanoseconds."""


class Seed(int):
    """A seed that remembers what was drawn from it: the number that each range became, by its key."""

    drawn: dict[str, int]

    def __new__(cls, number: int) -> Self:
        """The seed, from which nothing was drawn yet."""
        seed = super().__new__(cls, number)
        seed.drawn = {}
        return seed


@dataclass(frozen=True, slots=True)
class Range:
    """Whole numbers from `low` to `high`, both included; one number where they are equal."""

    low: int
    high: int

    def draw(self, seed: int, key: str) -> int:
        """The number for a seed. `key` says which value is drawn, so that no range changes what another
        becomes.
        """
        if self.low == self.high:
            return self.low
        # 16 octets, so that no number of a range is likelier than another by more than one part in 2**80.
        chance = int.from_bytes(blake2b(f"{seed}/{key}".encode(), digest_size=16).digest())
        found = self.low + chance % (self.high - self.low + 1)
        if isinstance(seed, Seed):
            seed.drawn[key] = found
        return found


def duration(value: Any) -> int:
    """`20ms`, `1.5s`, `250us` as nanoseconds. ValueError says what was expected."""
    text = str(value).strip()
    match = re.fullmatch(r"(\d{1,12}(?:\.\d{1,9})?)\s*([a-zµ]*)", text)
    if match is None or (match[2] not in UNITS and (match[2] or float(match[1]))):
        missing = " has no unit" if match and not match[2] else " is not a duration"
        raise ValueError(f"{text[:40]!r}{missing}; expected a number with {', '.join(UNITS)}, such as 20ms")
    whole, _, part = match[1].partition(".")
    unit = UNITS.get(match[2], 1)
    nanoseconds = int(whole) * unit + int(part.ljust(9, "0") or 0) * unit // 1_000_000_000
    if nanoseconds > LONGEST:
        raise ValueError(f"{text[:40]!r} is longer than a day")
    return nanoseconds


def size(value: Any) -> int:
    """`99`, `10kB`, `1MiB` as octets."""
    match = re.fullmatch(r"(\d{1,12})\s*([A-Za-z]*)", str(value).strip())
    if isinstance(value, bool) or match is None or match[2] not in SIZES:
        raise ValueError(f"{str(value)[:40]!r} is not a size; expected octets, such as 99, 10kB or 1MiB")
    octets = int(match[1]) * SIZES[match[2]]
    if octets > LARGEST:
        raise ValueError(f"{str(value)[:40]!r} is more than {LARGEST >> 20} MiB")
    return octets


def number(value: Any) -> int:
    """A whole number that is not negative."""
    if isinstance(value, bool) or not re.fullmatch(r"\d{1,15}", str(value).strip()):
        raise ValueError(f"{str(value)[:40]!r} is not a number; expected a whole one, such as 80")
    return int(value)


def chance(value: Any) -> float:
    """`0.02` or `2%` as a chance from 0 to 1."""
    match = re.fullmatch(r"(\d{1,3}(?:\.\d{1,9})?)\s*(%?)", str(value).strip())
    found = float(match[1]) / (100 if match[2] else 1) if match else -1.0
    if isinstance(value, bool) or not 0 <= found <= 1:
        raise ValueError(f"{str(value)[:40]!r} is not a chance; expected 0 to 1, or a percentage such as 2%")
    return found


def rate(value: Any) -> int:
    """`10Mbit/s` as bits a second."""
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)\s*([kMG]?)bit/s", str(value).strip())
    bits = int(float(match[1]) * {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}[match[2]]) if match else 0
    if bits <= 0:
        raise ValueError(f"{str(value)[:40]!r} is not a rate; expected one such as 10Mbit/s")
    return bits


def ranged(one: Callable[[Any], int]) -> Callable[[Any], Any]:
    """A reader for `LOW..HIGH`, or for one value, of a kind."""

    def read(value: Any) -> Any:
        if isinstance(value, Range):
            return value
        low, dots, high = str(value).partition("..")
        if not dots:
            single = one(value)
            return Range(single, single)
        found = Range(one(low), one(high))
        if found.low > found.high:
            raise ValueError(f"{str(value)[:40]!r} runs backwards; expected LOW..HIGH")
        return found

    return read


def or_off(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A reader for `off`, which is None, or for what `read` takes."""

    def either(value: Any) -> Any:
        return None if value == "off" else read(value)

    return either


_DURATION = r"\d+(\.\d+)? ?(ns|us|µs|ms|s|min)|0"
_SIZE = r"\d+ ?(B|kB|KiB|MB|MiB)?"


def _text(pattern: str, example: str, *, numbers: bool = False) -> WithJsonSchema:
    """What an editor is told of a value: its pattern, and one as an example."""
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
