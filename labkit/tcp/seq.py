"""Arithmetic on sequence numbers, modulo 2**32 (RFC 9293 section 3.4).

No other module applies `+`, `-` or `<` to sequence numbers. They are plain integers in [0, 2**32): 0 is a sequence number
like any other, never a mark for "unknown". The module imports nothing, so that its functions compile as they are.
"""

MASK = 0xFFFF_FFFF
HALF = 0x8000_0000


def add(number: int, octets: int) -> int:
    """The sequence number `octets` (of either sign) after `number`."""
    return (number + octets) & MASK


def diff(number: int, other: int) -> int:
    """The distance from `other` to `number`, in [-2**31, 2**31): negative if `number` comes first."""
    return ((number - other + HALF) & MASK) - HALF


def unwrapped(number: int, start: int, near: int) -> int:
    """How far `number` lies behind `start`, without wrapping: of all answers, the one nearest to `near`."""
    return near + ((number - start - near + HALF) & MASK) - HALF


def before(number: int, other: int) -> bool:
    """Whether `number` comes before `other` (RFC 9293 section 3.4: the comparison "<" modulo 2**32)."""
    return ((number - other) & MASK) >= HALF


def after(number: int, other: int) -> bool:
    """Whether `number` comes after `other`."""
    return ((other - number) & MASK) >= HALF


def between(low: int, number: int, high: int) -> bool:
    """Whether `low` =< `number` =< `high` on the circle, for a span of less than 2**32."""
    return ((number - low) & MASK) <= ((high - low) & MASK)


def latest(number: int, other: int) -> int:
    """The later of two sequence numbers."""
    return other if after(other, number) else number
