"""Precision and recall of labkit's names against tshark's, for each class.

A segment that only one of the two counts in a class is a case. Raw figures take tshark as the truth, adjudicated figures take
the reasons of `accuracy_reasons`.
"""

from collections import Counter
from dataclasses import dataclass, field

from accuracy_reasons import LABKIT, REASONS, TSHARK

ENOUGH = 20
"""The goal holds for a class if tshark names at least this many of its segments."""
GOAL = 0.995

FAMILY = ("spurious_retransmission", "fast_retransmission", "out_of_order", "retransmission")
"""The kinds of the first class, the most precise first: tshark may give one segment several of these names."""

CLASSES = {
    "retransmission family": set(FAMILY),
    "lost segment": {"lost_segment"},
    "duplicate ACK": {"duplicate_ack"},
    "keep-alive": {"keep_alive"},
    "answer to a keep-alive": {"keep_alive_ack"},
    "zero window": {"zero_window"},
    "window update": {"window_update"},
    "window full": {"window_full"},
    "window probe": {"zero_window_probe"},
    "answer to a window probe": {"zero_window_probe_ack"},
    "checksum": {"checksum"},
    "option length": {"option_length"},
}


@dataclass(frozen=True, slots=True)
class Case:
    """A segment that only one of the two counts in a class."""

    path: str
    packet: int
    group: str
    only: str
    reason: int | None


@dataclass(slots=True)
class Score:
    """The counts of some captures."""

    captures: int = 0
    packets: int = 0
    segments: int = 0
    both: Counter[str] = field(default_factory=Counter)
    cases: list[Case] = field(default_factory=list)
    kinds: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(tshark's kind, labkit's kind) of each segment that both count in the retransmission family."""
    unseen: list[tuple[str, int, str]] = field(default_factory=list)
    """Captures in which only one of the two sees some segments as TCP: path, number of segments, who sees them."""

    def add(self, other: "Score") -> None:
        """Add the counts of another capture."""
        self.captures += other.captures
        self.packets += other.packets
        self.segments += other.segments
        self.both += other.both
        self.cases += other.cases
        self.kinds += other.kinds
        self.unseen += other.unseen

    def count(self, group: str, only: str, right: str | None = None) -> int:
        """Count the cases of a class that only `only` names; with `right`, only the cases in which `right` is right."""
        return sum(
            case.group == group and case.only == only and (right is None or verdict(case) == right)
            for case in self.cases
        )

    def raw(self, group: str) -> tuple[float, float]:
        """Return precision and recall with tshark as the truth; 1.0 if there is nothing to name."""
        both = self.both[group]
        return _part(both, both + self.count(group, LABKIT)), _part(both, both + self.count(group, TSHARK))

    def adjudicated(self, group: str) -> tuple[float, float]:
        """Return precision and recall with the reasons as the truth; undecided cases are left out."""
        both = self.both[group]
        found = both + self.count(group, LABKIT, LABKIT)
        wrong = self.count(group, LABKIT, TSHARK)
        missed = self.count(group, TSHARK, TSHARK)
        return _part(found, found + wrong), _part(found, found + missed)

    def named(self, group: str) -> int:
        """Count the segments that tshark names in a class."""
        return self.both[group] + self.count(group, TSHARK)

    def misses(self) -> list[str]:
        """Return the classes that miss the goal, among those with ENOUGH segments."""
        return [group for group in CLASSES if self.named(group) >= ENOUGH and min(self.adjudicated(group)) < GOAL]


def verdict(case: Case) -> str:
    """Return who is right about a case: Wireshark, unless a reason says otherwise."""
    return TSHARK if case.reason is None else REASONS[case.reason].right


def _part(of: int, all_: int) -> float:
    return of / all_ if all_ else 1.0
