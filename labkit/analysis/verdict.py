"""The verdict on a capture, and the bounds of what is kept for it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from labkit.analysis import flows
from labkit.analysis.findings import Group, tally
from labkit.analysis.limit_kinds import NOTHING
from labkit.analysis.limits import Conversation, Limit, damaged
from labkit.analysis.severity import DOCUMENT, LITERAL, RFC9293, Severity
from labkit.analysis.value import Value
from labkit.capture import Damage, Frames
from labkit.errors import UsageError
from labkit.i18n import _, listed

if TYPE_CHECKING:
    from labkit.analysis.finding import Finding

PROFILES = (RFC9293, DOCUMENT)

MAX_KEPT = 250_000
"""Findings of one severity that are kept; later ones are only counted."""

MAX_ONCE = 65_536
"""Hosts and codes that are remembered, so that a rule with `once` reports them no more. With another one, all are forgotten."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Verdict(Value):
    """The findings of one capture, in the order of its packets.

    `labkit.report.verdict` adds what prints it.
    """

    path: str
    profile: str
    findings: "Sequence[Finding]" = field(default_factory=list)
    packets: int = 0
    """Frames of any kind."""
    segments: int = 0
    """TCP segments among them."""
    other: int = 0
    """Frames of other protocols, and those with fragments of them."""
    not_read: int = 0
    """Frames and segments that labkit could not read: what the limits `not-read` count."""
    flows: int = 0
    damage: Damage | None = None
    """Why the capture could not be read to its end."""
    error: str | None = None
    """Why it could not be read at all."""
    crashed: bool = False
    """Whether `error` is a mistake of labkit."""
    limits: Sequence[Limit] = field(default_factory=list)
    """What the capture cannot show, so that it cannot be verified."""
    conversations: Sequence[Conversation] = field(default_factory=list)
    """The first reported conversations, at most `limits.MAX_DESCRIBED`."""
    reported: int = 0
    """Conversations whose findings are reported: all, unless `wanted` chose some."""
    left_out: int = 0
    """Findings that a `ReportConfig` left out."""
    start: int = 0
    """The time of the first frame, in nanoseconds since 1970."""
    completeness: str = "auto"
    """Whether packets may be missing: `complete` or `partial`, as the user says; `constant`, `counted`: nothing is missing, as
    the IP identifications show; `partly-complete`: they show it of some conversations; `auto`: nothing shows it."""
    assumed: bool = False
    """Whether the profile, not the user, says that nothing is missing."""
    beyond: Sequence[Group] = field(default_factory=list)
    """Findings that were only counted: there were more than MAX_KEPT of their severity."""

    fail_on: Severity = Severity.ERROR
    """The lowest severity that makes the capture fail."""
    strict: tuple[str, ...] = ()
    """Kinds of limits that make the capture fail."""
    known: int = 0
    """Findings that a baseline left out (`labkit.report.baseline`)."""
    known_outcome: str = ""
    """The outcome, `unreadable` or `not-judged`, that a baseline expects."""
    content: bytes | Frames | None = field(default=None, repr=False, compare=False)
    """What was judged if it is not a file, so that a report can show its packets."""

    def worst(self) -> Severity | None:
        """The gravest severity found."""
        return max(tally(self.findings, self.beyond), default=None)

    def outcome(self, fail_on: Severity | None = None) -> str:
        """The verdict in one word, `pass`, `fail`, `not-judged` or `unreadable`.

        A finding at or above `fail_on` (None: the verdict's own), or a limit of a kind in `strict`, makes a capture fail. It is
        not judged if no TCP segment of it could be judged, or none was selected. It is unreadable if it could not be read, or
        not to its end.
        """
        if self.error is not None:
            return "unreadable"
        if (self.worst() or 0) >= (fail_on or self.fail_on) or self.failing_limits():
            return "fail"
        if any(limit.kind in NOTHING for limit in self.limits):
            return "not-judged"
        return "pass" if self.damage is None else "unreadable"

    def failing_limits(self) -> list[Limit]:
        """The limits that make the capture fail."""
        return [limit for limit in self.limits if limit.kind in self.strict and limit.kind not in NOTHING]

    def passes(self, fail_on: Severity | None = None) -> bool:
        """Whether the capture was judged to its end, and nothing makes it fail."""
        return self.outcome(fail_on) == "pass"

    @property
    def source(self) -> str | BinaryIO | Frames:
        """What `open_capture` takes to read the capture again. Standard input, "-", is gone."""
        return (
            self.path
            if self.content is None
            else BytesIO(self.content)
            if isinstance(self.content, bytes)
            else self.content
        )

    @property
    def up_to(self) -> int | None:
        """The last packet that was judged of a capture that could not be read to its end."""
        return None if self.damage is None else self.packets

    @property
    def ok(self) -> bool:
        """Whether the capture passes: it was judged to its end, and nothing makes it fail."""
        return self.passes()

    def with_damage(self, damage: Damage | None) -> "Verdict":
        """The verdict that says why the capture could not be read to its end; a damage that is known already stays."""
        if damage is None or self.damage is not None:
            return self
        return replace(self, damage=damage, limits=[damaged(damage.message, damage.kind), *self.limits])


def profile_of(name: str, *, literal: bool = False) -> str:
    """The profile that rules know; UsageError for one that does not exist."""
    if name not in PROFILES:
        known = listed(PROFILES)
        raise UsageError(_("there is no profile '{name}'; the profiles are {known}").format(name=name, known=known))
    if literal and name != DOCUMENT:
        raise UsageError(_("the literal rules belong to the profile 'document'"))
    return LITERAL if literal else name


class Bounds(NamedTuple):
    """Bounds of what is kept of one capture, however long it is."""

    open: int = flows.MAX_OPEN
    """Conversations that are open at a time."""
    over: int = flows.MAX_OVER
    """Conversations that are kept although they are over."""
    findings: int = MAX_KEPT
    """Findings of one severity."""
    once: int = MAX_ONCE
    """Hosts and codes, for rules that report once."""
    hosts: int = flows.MAX_HOSTS
    """Hosts, as clients and as servers, with their last initial sequence numbers."""
    every: int = flows.ROUND
    """Segments from one look at the first two bounds to the next."""
