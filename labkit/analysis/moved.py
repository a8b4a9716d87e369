"""The states of a conversation's two ends, and what a segment has moved of them (`labkit.analysis.ends`).

A state is its position in `labkit.analysis.ends.STATES`.
"""

from dataclasses import dataclass, field

from labkit.packet.seen import ABSENT, U8, U32, Record

UNKNOWN = 11
"""No state: the capture does not show it. RFC 9293 section 3.3.2 has eleven states, numbered from 0."""
NOBODY = 2
"""No side: no SYN waits for its answer."""


def _no_states() -> list[int]:
    return [UNKNOWN, UNKNOWN]


@dataclass(slots=True, init=False, eq=False, repr=False)
class Ends(Record):
    """The states of a conversation's two ends, by side."""

    states: list[U8] = field(default_factory=_no_states)
    pending: list[U8] = field(default_factory=_no_states)
    """A new state that is shown with the next segment of its side."""
    asking: U8 = NOBODY
    """The side whose SYN waits for an answer."""


@dataclass(slots=True, init=False, eq=False, repr=False)
class Moved(Record):
    """What a segment has moved, and what is shown of it besides its own fields. Lists have the client's end first."""

    flow: int = 0
    """The number of its conversation; ABSENT where only conversations are finished."""
    at: U32 = 0
    """Which segment it is: its place in the compiled engine's batch."""
    sender: U8 = 0
    """0: the client, 1: the server."""
    client: U8 = 0
    """The client's side."""
    states: list[U8] = field(default_factory=_no_states)
    """The states after the segment."""
    shown: list[U8] = field(default_factory=_no_states)
    """The states beside this segment in the tables of the introductory text."""
    plain: U8 = 0
    """1: only numbers are shown of it. It is neither a SYN nor the first segment of its sender, has no option of an
    extension (MD5, TCP-AO, AccECN, MPTCP), answers no SYN that waits, and finishes no conversation."""
    waits: U8 = 0
    """1: the answer to this SYN shows the state of the other end."""
    answered: U8 = 0
    """1: this segment answers the SYNs that wait in its conversation."""
    answer: U8 = UNKNOWN
    """The state of their other end that the answer shows."""
    relative_seq: int = 0
    relative_ack: int = 0
    window: U32 = 0
    """The window in octets: scaled, where both SYNs offered a scale."""
    ended: int = ABSENT
    """The number of the conversation that is finished because this segment begins the next one on its four-tuple, or ABSENT."""
