"""Run the steps of a scenario: decide when each step begins and what the application at its end then does.

`Application` is the only place that knows these rules; `labkit.build.scenario` describes them for users. It drives two ends.
The simulation gives it endpoints on a virtual clock (`labkit.build.scenario.play`), `labkit.live` gives it labkit's end, a
socket of the kernel or an external program in real time.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from labkit.errors import UsageError
from labkit.i18n import _

if TYPE_CHECKING:
    from labkit.build.scenario.scripted import ScriptLine

SILENT = {"receive", "wait", "pause", "resume", "crash"}
"""Verbs that send nothing: such a step is complete for the peer when it is complete for its own side."""


MAX_REPLY = 64 << 20
"""Octets that a function may return."""


@dataclass(slots=True)
class Plan:
    """A step with its drawn values, and its progress. A step of an exchange becomes several plans."""

    number: int
    """The position among the plans, from 0."""
    place: int
    """The position in the scenario's `steps`, from 0."""
    line: int
    side: str
    verb: str
    after: int
    at_once: bool = False
    connection: int = 0
    """The number of its connection, from 0: several connections may follow each other."""
    text: str = ""
    payload: bytes = b""
    reply: Callable[[bytes], object] | None = None
    """What makes the payload, when the step begins, of the octets that its side has received."""
    octets: int = 0
    urgent: bool = False
    more: bool = False
    """Whether the octets are not pushed, because more follow."""
    time: int = 0
    """The duration of a wait."""
    script: "ScriptLine | None" = None
    """The segment that is sent as it is written."""
    answers: bool = False
    """Whether it begins when a segment of the peer has arrived after the plan before it."""
    due: int | None = None
    """When the step begins; None until this is known."""
    until: int = 0
    """When a wait ends. For a connect, send or receive: the octets that its side has sent or received after it."""
    heard: int = 0
    """How many segments of the peer had arrived when it began."""
    arrived: Callable[[], bool] | None = None
    """Whether the written segment has arrived, or the path has lost it; None before it is sent."""


class End(Protocol):
    """One end of a conversation. Its methods raise UsageError if TCP forbids the call."""

    step: str
    """The text of the step that began last; segments that the step causes are attributed to it."""
    reading: bool
    """Whether the application reads what arrives."""

    @property
    def heard(self) -> int:
        """How many segments of the peer have arrived."""

    @property
    def connected(self) -> bool:
        """Whether the handshake is complete, as far as this end knows."""

    @property
    def delivered(self) -> int:
        """Octets of the present connection that TCP has delivered to the application."""

    @property
    def peer_closed(self) -> bool:
        """Whether the peer's FIN has arrived, or the connection is gone."""

    @property
    def gone(self) -> bool:
        """Whether there is no connection, or it has ended."""

    def knows(self, octets: int) -> bool:
        """Whether this end knows that this many of its octets have arrived."""

    def serves(self, connection: int) -> bool:
        """Whether this end can begin a step of this connection that is not a connect."""

    def connect(self, connection: int, now: int) -> None:
        """Open a connection actively."""

    def send(self, payload: bytes, now: int, *, urgent: bool = False, more: bool = False) -> None:
        """Queue octets for sending."""

    def close(self, now: int) -> None:
        """Close the connection: send a FIN after the queued octets."""

    def abort(self, now: int) -> None:
        """Reset the connection."""

    def crash(self, now: int) -> None:
        """Forget the connection without sending anything."""

    def script(self, line: "ScriptLine", now: int) -> Callable[[], bool]:
        """Send a segment as it is written; return what tells whether it has arrived, or is lost."""

    def flush(self, now: int) -> None:
        """Read what has arrived if `reading`, and send what TCP allows."""


class Application:
    """The steps of one conversation and its two ends, `client` and `server`.

    Call `go_on` whenever an end has changed, and at each time that `on_due` was called with.
    """

    def __init__(self, plans: list[Plan], ends: Mapping[str, End], on_due: Callable[[int], None] | None = None) -> None:
        self.plans = plans
        self.ends = ends
        self._on_due = on_due or (lambda _time: None)
        self._cursor = 0
        self._connection = 0
        self._sent = {"client": 0, "server": 0}
        self._wanted = {"client": 0, "server": 0}
        self._streams = {"client": bytearray(), "server": bytearray()}
        """What each side has sent in the present connection, if a reply depends on it."""
        self._replied = {"client": 0, "server": 0}
        """How many octets of its peer's stream each side's replies have seen."""
        self._replies = any(plan.reply is not None for plan in plans)

    @property
    def next(self) -> Plan | None:
        """The first step that has not begun: after UsageError, the step that failed. None if all have begun."""
        return self.plans[self._cursor] if self._cursor < len(self.plans) else None

    @property
    def latest(self) -> Plan | None:
        """The step that began last; None before the first."""
        return self.plans[self._cursor - 1] if self._cursor else None

    def due(self) -> int | None:
        """When the next step begins or the wait before it ends; None if the time is unknown."""
        if self.next is not None and self.next.due is not None:
            return self.next.due
        return self.latest.until if self.latest is not None and self.latest.verb == "wait" else None

    def finished(self, now: int) -> bool:
        """Whether every step has begun and the last one is complete."""
        return self._cursor == len(self.plans) and self.complete(self.plans[-1], now)

    def go_on(self, now: int) -> str:
        """Begin every step that is due. Return the side of the last one that began, or "" if none did.

        UsageError if TCP forbids the step `next`.
        """
        side = ""
        while self._cursor < len(self.plans):
            plan = self.plans[self._cursor]
            if plan.due is None:
                if not self._ready(plan, now):
                    break
                plan.due = now + plan.after
                if plan.after:
                    self._on_due(plan.due)
            if plan.due > now:
                break
            side = plan.side
            self._begin(plan, self.ends[side], now)
            self._cursor += 1
            # TCP sends what one call allows before the application makes the next call.
            self.ends[side].flush(now)
        return side

    def complete(self, plan: Plan, now: int) -> bool:
        """Whether a step that has begun is complete for its own side."""
        end = self.ends[plan.side]
        if plan.verb == "connect":
            return end.connected or end.gone
        if plan.verb == "receive":
            return end.delivered >= plan.until
        return plan.verb != "wait" or now >= plan.until

    def _ready(self, plan: Plan, now: int) -> bool:
        """Whether the step before this one is complete, as far as this step's side can tell."""
        own = self.ends[plan.side]
        if plan.verb != "connect" and not own.serves(plan.connection):
            return False
        if plan.number == 0 or plan.at_once:
            return True
        previous = self.plans[plan.number - 1]
        if plan.answers:
            return own.heard > previous.heard
        if previous.script is not None:
            return previous.side == plan.side or (previous.arrived is not None and previous.arrived())
        if previous.side == plan.side or previous.verb in SILENT:
            return self.complete(previous, now)
        if previous.verb == "connect" and not previous.octets:
            return own.connected
        if previous.verb in {"connect", "send"}:
            if own.delivered < previous.until and not own.peer_closed:
                return False
            # An application that closes now has nothing more to say, so it waits until its peer has the acknowledgement.
            return plan.verb != "close" or self.ends[previous.side].knows(previous.until)
        return own.peer_closed if previous.verb == "close" else own.gone

    def _begin(self, plan: Plan, end: End, now: int) -> None:
        side = plan.side
        if plan.connection != self._connection:
            self._forget(plan.connection)
        self._make_reply(plan, end)
        end.step = plan.text
        match plan.verb:
            case "connect" | "send":
                if plan.verb == "connect":
                    end.connect(plan.connection, now)
                if plan.verb == "send" or plan.payload:
                    end.send(plan.payload, now, urgent=plan.urgent, more=plan.more)
                if self._replies:
                    self._streams[side] += plan.payload
                self._sent[side] += plan.octets
                plan.until = self._sent[side]
            case "receive":
                self._wanted[side] += plan.octets
                plan.until = self._wanted[side]
            case "close":
                end.close(now)
            case "abort":
                end.abort(now)
            case "crash":
                end.crash(now)
            case "segments" if plan.script is not None:
                plan.heard, plan.arrived = end.heard, end.script(plan.script, now)
            case "pause" | "resume":
                end.reading = plan.verb == "resume"
            case _:
                plan.until = now + plan.time
                self._on_due(plan.until)

    def _forget(self, connection: int) -> None:
        """Count from 0 again, for another connection."""
        self._connection = connection
        self._sent = dict.fromkeys(self._sent, 0)
        self._wanted = dict.fromkeys(self._wanted, 0)
        self._replied = dict.fromkeys(self._replied, 0)
        self._streams = {each: bytearray() for each in self._streams}

    def _make_reply(self, plan: Plan, end: End) -> None:
        """Let a function make the payload of a step that has one. UsageError if it returns something else than octets."""
        if plan.reply is None:
            return
        side, seen = plan.side, self._replied[plan.side]
        stream = self._streams["server" if side == "client" else "client"]
        if end.delivered > len(stream):
            raise UsageError(_("what the peer has sent is not known here, so that no function can reply to it"))
        payload = plan.reply(bytes(stream[seen : end.delivered]))
        self._replied[side] = end.delivered
        if not isinstance(payload, bytes | bytearray):
            raise UsageError(_("its function returned {name}; expected bytes").format(name=type(payload).__name__))
        if len(payload) > MAX_REPLY:
            raise UsageError(
                _("its function returned {n} octets; expected at most {max_reply}").format(
                    n=len(payload), max_reply=MAX_REPLY
                )
            )
        plan.payload, plan.octets = bytes(payload), len(payload)
        plan.text += f" {len(payload)} octets"
