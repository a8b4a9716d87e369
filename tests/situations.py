"""The table of situations (`situations.txt`), for the tests of both engines."""

import re
from pathlib import Path

PACES = ("0.001", "0.020", "0.200")
"""Seconds from a segment to the next one, where the table has no time."""


def situations() -> dict[str, str]:
    """Conversations in the notation, by their titles."""
    text = Path(__file__).with_name("situations.txt").read_text("utf-8")
    parts = [part.partition("\n") for part in re.split(r"(?m)^== ", text)[1:]]
    return {title: body for title, _, body in parts}


def at_pace(text: str, pace: str) -> str:
    """The conversation with this time before each line that has none."""
    return re.sub(r"(?m)^(?=[<>])", f"+{pace} ", text)
