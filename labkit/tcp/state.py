"""The TCP state machine as data: RFC 9293 section 3.3.2, figure 5, free of roles.

TRANSITIONS maps a state and an event to the next state. Without an entry the endpoint follows the text of section 3.10
(ignore, acknowledge or reset), and an observer keeps its state. labkit draws its state diagram from this table.
"""

from enum import Enum


class State(Enum):
    """A connection's state, by the RFC's name."""

    CLOSED = "CLOSED"
    LISTEN = "LISTEN"
    SYN_SENT = "SYN-SENT"
    SYN_RECEIVED = "SYN-RECEIVED"
    ESTABLISHED = "ESTABLISHED"
    FIN_WAIT_1 = "FIN-WAIT-1"
    FIN_WAIT_2 = "FIN-WAIT-2"
    CLOSE_WAIT = "CLOSE-WAIT"
    CLOSING = "CLOSING"
    LAST_ACK = "LAST-ACK"
    TIME_WAIT = "TIME-WAIT"

    __hash__ = object.__hash__  # members are unique, and Enum's own hash is slow

    def __str__(self) -> str:
        return self.value


(
    CLOSED,
    LISTEN,
    SYN_SENT,
    SYN_RECEIVED,
    ESTABLISHED,
    FIN_WAIT_1,
    FIN_WAIT_2,
    CLOSE_WAIT,
    CLOSING,
    LAST_ACK,
    TIME_WAIT,
) = State
"""The states by their names alone: Python finds a member of an enumeration only slowly, and an endpoint asks for many."""


class Event(Enum):
    """The events that change a state: the user's calls, arriving and departing segments, timers."""

    PASSIVE_OPEN = "passive OPEN"
    ACTIVE_OPEN = "active OPEN, snd SYN"
    SEND_FIN = "CLOSE, snd FIN"
    DELETE = "delete TCB"
    RCV_SYN = "rcv SYN, snd SYN,ACK"
    RCV_SYN_ACK = "rcv SYN,ACK, snd ACK"
    RCV_ACK_OF_SYN = "rcv ACK of SYN"
    RCV_FIN = "rcv FIN, snd ACK"
    RCV_ACK_OF_FIN = "rcv ACK of FIN"
    RCV_FIN_AND_ACK_OF_FIN = "rcv FIN,ACK of FIN, snd ACK"
    RCV_RST = "rcv RST"
    SEND_RST = "ABORT, snd RST"
    TIMEOUT_2MSL = "timeout=2MSL"


S, E = State, Event

TRANSITIONS: dict[State, dict[Event, State]] = {
    S.CLOSED: {E.PASSIVE_OPEN: S.LISTEN, E.ACTIVE_OPEN: S.SYN_SENT},
    S.LISTEN: {E.RCV_SYN: S.SYN_RECEIVED, E.ACTIVE_OPEN: S.SYN_SENT, E.DELETE: S.CLOSED},
    S.SYN_SENT: {
        E.RCV_SYN_ACK: S.ESTABLISHED,
        E.RCV_SYN: S.SYN_RECEIVED,  # simultaneous open, figure 7
        E.DELETE: S.CLOSED,
        E.RCV_RST: S.CLOSED,
    },
    S.SYN_RECEIVED: {
        E.RCV_ACK_OF_SYN: S.ESTABLISHED,
        E.SEND_FIN: S.FIN_WAIT_1,
        # Section 3.10.7.4, eighth step: the segment that acknowledges the SYN may carry the peer's FIN.
        E.RCV_FIN: S.CLOSE_WAIT,
        # Section 3.10.7.4, second step: back to LISTEN after a passive OPEN. labkit's endpoint is one connection; its
        # listener is another object, so the connection itself is gone.
        E.RCV_RST: S.CLOSED,
        E.SEND_RST: S.CLOSED,
    },
    S.ESTABLISHED: {
        E.SEND_FIN: S.FIN_WAIT_1,
        E.RCV_FIN: S.CLOSE_WAIT,
        E.RCV_RST: S.CLOSED,
        E.SEND_RST: S.CLOSED,
    },
    S.FIN_WAIT_1: {
        E.RCV_ACK_OF_FIN: S.FIN_WAIT_2,
        E.RCV_FIN: S.CLOSING,
        E.RCV_FIN_AND_ACK_OF_FIN: S.TIME_WAIT,
        E.RCV_RST: S.CLOSED,
        E.SEND_RST: S.CLOSED,
    },
    S.FIN_WAIT_2: {E.RCV_FIN: S.TIME_WAIT, E.RCV_RST: S.CLOSED, E.SEND_RST: S.CLOSED},
    S.CLOSE_WAIT: {E.SEND_FIN: S.LAST_ACK, E.RCV_RST: S.CLOSED, E.SEND_RST: S.CLOSED},
    S.CLOSING: {E.RCV_ACK_OF_FIN: S.TIME_WAIT, E.RCV_RST: S.CLOSED, E.SEND_RST: S.CLOSED},
    S.LAST_ACK: {E.RCV_ACK_OF_FIN: S.CLOSED, E.RCV_RST: S.CLOSED, E.SEND_RST: S.CLOSED},
    S.TIME_WAIT: {E.TIMEOUT_2MSL: S.CLOSED, E.RCV_RST: S.CLOSED, E.DELETE: S.CLOSED},
}

DOCUMENT_WORDS = {state: state.name for state in State} | {
    State.SYN_SENT: "SYN_SEND",
    State.SYN_RECEIVED: "SYN_RCVD",
}
"""The states' names in the introductory text that labkit implements."""


def after(state: State, event: Event) -> State:
    """The state after an event; the same state if the table has no such transition."""
    return TRANSITIONS[state].get(event, state)
