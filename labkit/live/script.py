"""Run the steps of a scenario in real time, in the order that `labkit.build.scenario` describes."""

from collections.abc import Callable

from labkit.build.scenario.play import SILENT
from labkit.build.scenario.setup import Plan
from labkit.build.scenario.source import Source
from labkit.errors import LinkError, UsageError
from labkit.i18n import _
from labkit.live.peers import End


class Script:
    """The steps of one conversation and its two ends, `client` and `server`.

    `loss` says how the peer or a timeout ended the connection, for error messages.
    """

    def __init__(self, plans: list[Plan], ends: dict[str, End], source: Source, loss: Callable[[], str]) -> None:
        self.plans = plans
        self.ends = ends
        self._source = source
        self._loss = loss
        self._cursor = 0
        self._sent = {"client": 0, "server": 0}
        self._wanted = {"client": 0, "server": 0}
        self._connection = 0

    @property
    def finished(self) -> bool:
        """Whether every step has begun."""
        return self._cursor == len(self.plans)

    def complete(self, now: int) -> bool:
        """Whether every step has begun and the last one is complete."""
        return self.finished and self._complete(self.plans[-1], now)

    def due(self) -> int | None:
        """When the next step begins or the wait before it ends; None if the time is unknown."""
        if not self.finished and self.plans[self._cursor].due is not None:
            return self.plans[self._cursor].due
        before = self.plans[self._cursor - 1] if self._cursor else None
        return before.until if before is not None and before.verb == "wait" else None

    def go_on(self, now: int) -> bool:
        """Begin every step that is due; return whether there was one. LinkError if a step is impossible."""
        begun = False
        while not self.finished:
            plan = self.plans[self._cursor]
            if plan.due is None:
                if not self._ready(plan, now):
                    break
                plan.due = now + plan.after
            if plan.due > now:
                break
            self._do(plan, now)
            self._cursor += 1
            begun = True
        return begun

    def waiting_for(self) -> str:
        """The step that has not happened, and what it waits for."""
        if self.finished:
            plan = self.plans[-1]
            return _("the {side}'s {verb} (line {line}) is not complete").format(
                side=plan.side, verb=plan.verb, line=plan.line
            )
        plan = self.plans[self._cursor]
        if plan.number == 0:
            return _("the {side} has not begun").format(side=plan.side)
        before = self.plans[plan.number - 1]
        return _("{side} {verb} (line {line}) waits for the {other}'s {before}").format(
            side=plan.side, verb=plan.verb, line=plan.line, other=before.side, before=before.verb
        )

    def _ready(self, plan: Plan, now: int) -> bool:
        """Whether the previous step is complete, from the point of view of this step's side."""
        if not self.ends[plan.side].begins(plan):
            return False
        if plan.number == 0 or plan.at_once:
            return True
        previous = self.plans[plan.number - 1]
        if previous.side == plan.side or previous.verb in SILENT:
            return self._complete(previous, now)
        own, peer = self.ends[plan.side], self.ends[previous.side]
        if previous.verb == "connect" and not previous.octets:
            return own.connected
        if previous.verb in {"connect", "send"}:
            if own.delivered < previous.until and not own.peer_closed:
                return False
            return plan.verb != "close" or peer.knows(previous.until)
        return own.peer_closed if previous.verb == "close" else own.gone

    def _complete(self, plan: Plan, now: int) -> bool:
        """Whether a step is complete for its own side. LinkError if it never will be."""
        end = self.ends[plan.side]
        if plan.verb == "connect":
            return end.connected or end.gone
        if plan.verb == "receive":
            if end.delivered < plan.until and end.peer_closed:
                text = _("{file}:{line}: the {side} received {count} of {octets} octets: {reason}")
                raise self._error(
                    plan, text, count=end.delivered, octets=plan.until, reason=self._loss() or _("the peer has closed")
                )
            return end.delivered >= plan.until
        return plan.verb != "wait" or now >= plan.until

    def _do(self, plan: Plan, now: int) -> None:
        side = plan.side
        if plan.connection != self._connection:
            self._connection = plan.connection
            self._sent = dict.fromkeys(self._sent, 0)
            self._wanted = dict.fromkeys(self._wanted, 0)
        match plan.verb:
            case "connect" | "send":
                self._sent[side] += plan.octets
                plan.until = self._sent[side]
            case "receive":
                self._wanted[side] += plan.octets
                plan.until = self._wanted[side]
            case "wait":
                plan.until = now + plan.time
        try:
            self.ends[side].do(plan, now)
        except UsageError as error:
            if self.ends[side].gone and self._loss():
                text = _("{file}:{line}: {reason} before step {step} ({side} {verb})")
                raise self._error(plan, text, reason=self._loss(), step=plan.place + 1) from error
            raise self._error(plan, _("{file}:{line}: the {side} cannot {verb}: {reason}"), reason=error) from error

    def _error(self, plan: Plan, text: str, **more: object) -> LinkError:
        return LinkError(text.format(file=self._source.name, line=plan.line, side=plan.side, verb=plan.verb, **more))
