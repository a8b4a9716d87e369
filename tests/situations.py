"""The table of situations (`situations.txt`), for the tests of both engines."""

import re
from pathlib import Path

PACES = ("0.001", "0.020", "0.200")
"""Seconds from a segment to the next one, where the table has no time."""

ISNS = {"raw": (1000, 5000), "wraps": (2**32 - 1, 2**32 - 50), "before zero": (2**32 - 70_000, 2**32 - 200_000)}
"""Initial sequence numbers of client and server."""

STAMPED = """
    > S  0:0(0) <mss 1460,sackOK,TS val 100 ecr 0>
    +0.02 < S. 0:0(0) ack 1 <mss 1460,sackOK,TS val 900 ecr 100>
    > .  1:1(0) ack 1 <nop,nop,TS val 120 ecr 900>
"""
"""A handshake with timestamps."""


def situations() -> dict[str, str]:
    """Conversations in the notation, by their titles."""
    text = Path(__file__).with_name("situations.txt").read_text("utf-8")
    parts = [part.partition("\n") for part in re.split(r"(?m)^== ", text)[1:]]
    return {title: body for title, _, body in parts}


def at_pace(text: str, pace: str) -> str:
    """The conversation with this time before each line that has none."""
    return re.sub(r"(?m)^(?=[<>])", f"+{pace} ", text)
