"""The state machine: RFC 9293 figure 5, copied here by hand, and what follows from it."""

import pytest

from labkit.tcp.state import DOCUMENT_WORDS, TRANSITIONS, Event, State, after

FIGURE_5 = """
CLOSED        passive OPEN                  LISTEN
CLOSED        active OPEN, snd SYN          SYN-SENT
LISTEN        rcv SYN, snd SYN,ACK          SYN-RECEIVED
LISTEN        active OPEN, snd SYN          SYN-SENT
LISTEN        delete TCB                    CLOSED
SYN-SENT      delete TCB                    CLOSED
SYN-SENT      rcv SYN, snd SYN,ACK          SYN-RECEIVED
SYN-SENT      rcv SYN,ACK, snd ACK          ESTABLISHED
SYN-RECEIVED  rcv ACK of SYN                ESTABLISHED
SYN-RECEIVED  CLOSE, snd FIN                FIN-WAIT-1
ESTABLISHED   CLOSE, snd FIN                FIN-WAIT-1
ESTABLISHED   rcv FIN, snd ACK              CLOSE-WAIT
FIN-WAIT-1    rcv ACK of FIN                FIN-WAIT-2
FIN-WAIT-1    rcv FIN, snd ACK              CLOSING
FIN-WAIT-2    rcv FIN, snd ACK              TIME-WAIT
CLOSE-WAIT    CLOSE, snd FIN                LAST-ACK
CLOSING       rcv ACK of FIN                TIME-WAIT
LAST-ACK      rcv ACK of FIN                CLOSED
TIME-WAIT     timeout=2MSL                  CLOSED
"""
"""The figure's arrows, by the words of the RFC; resets are in its note 3 and in section 3.10.7."""

SYNCHRONISED = frozenset(State) - {State.CLOSED, State.LISTEN, State.SYN_SENT, State.SYN_RECEIVED}
"""RFC 9293 section 3.5.2, group 3."""

BEYOND = {
    # Note 3 of the figure; section 3.10.5 (ABORT) and 3.10.7.4, second step (RST).
    *((state, event) for state in SYNCHRONISED for event in (Event.RCV_RST, Event.SEND_RST)),
    (State.SYN_RECEIVED, Event.RCV_RST),
    (State.SYN_RECEIVED, Event.SEND_RST),
    (State.SYN_SENT, Event.RCV_RST),
    # The same, in one step.
    (State.FIN_WAIT_1, Event.RCV_FIN_AND_ACK_OF_FIN),
    # The eighth step of 3.10.7.4.
    (State.SYN_RECEIVED, Event.RCV_FIN),
    (State.TIME_WAIT, Event.DELETE),
}

ARROWS = [(line[:14].strip(), line[14:44].strip(), line[44:].strip()) for line in FIGURE_5.strip().splitlines()]


@pytest.mark.parametrize(("source", "event", "target"), ARROWS, ids=lambda value: value.replace(" ", "-"))
def test_arrows_of_the_figure(source: str, event: str, target: str) -> None:
    assert TRANSITIONS[State(source)][Event(event)] is State(target)
    assert after(State(source), Event(event)) is State(target)


def test_no_other_arrows() -> None:
    drawn = {(State(source), Event(event)) for source, event, _ in ARROWS}
    table = {(state, event) for state, events in TRANSITIONS.items() for event in events}
    assert table - drawn <= BEYOND


def test_a_reset_always_ends_in_closed() -> None:
    for events in TRANSITIONS.values():
        for event in (Event.RCV_RST, Event.SEND_RST):
            assert events.get(event, State.CLOSED) is State.CLOSED


@pytest.mark.parametrize("state", State)
def test_every_state_has_events_and_can_end(state: State) -> None:
    reached = {state}
    while True:
        more = {target for each in reached for target in TRANSITIONS[each].values()} - reached
        if not more:
            break
        reached |= more
    assert State.CLOSED in reached


def test_every_state_can_be_reached() -> None:
    assert {target for events in TRANSITIONS.values() for target in events.values()} == set(State)


def test_what_is_no_transition_changes_nothing() -> None:
    assert after(State.ESTABLISHED, Event.RCV_SYN) is State.ESTABLISHED
    assert after(State.CLOSED, Event.RCV_RST) is State.CLOSED
    for state in State:
        for event in set(Event) - set(TRANSITIONS[state]):
            assert after(state, event) is state


def test_two_fins_at_once_is_the_short_way() -> None:
    way = after(after(State.FIN_WAIT_1, Event.RCV_ACK_OF_FIN), Event.RCV_FIN)
    assert after(State.FIN_WAIT_1, Event.RCV_FIN_AND_ACK_OF_FIN) is way


def test_words() -> None:
    assert str(State.FIN_WAIT_1) == "FIN-WAIT-1"
    assert sorted(DOCUMENT_WORDS.values()) == sorted(
        [
            "CLOSED",
            "LISTEN",
            "SYN_SEND",
            "SYN_RCVD",
            "ESTABLISHED",
            "FIN_WAIT_1",
            "FIN_WAIT_2",
            "CLOSE_WAIT",
            "CLOSING",
            "LAST_ACK",
            "TIME_WAIT",
        ]
    )
