"""Quizzes: questions with answers that follow from a capture, for learning platforms.

`questions` finds what a capture allows to ask, `kinds` holds the kinds of questions, and `formats` writes a `Quiz` as a learning
platform reads it. The same capture and seed give the same quiz.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from labkit.teach.quiz.kinds import find, kinds
from labkit.teach.quiz.question import Choice, Kind, Question
from labkit.teach.quiz.subject import Subject

MAX_EMBEDDED = 256 * 1024
"""Octets of a capture that a quiz carries along."""


@dataclass(frozen=True, slots=True)
class Quiz:
    """Questions about one capture."""

    title: str
    questions: tuple[Question, ...]
    seed: int
    capture: bytes = b""
    """The capture, without comments or other hints; empty if it is too large to go along."""
    file: str = "capture.pcapng"
    """The name that the capture has for those who answer."""

    def choices(self, question: Question) -> list[Choice]:
        """The answers of a question in an order that follows from the seed."""
        found = [question.right, *question.wrong]
        Random(f"{self.seed} {question.id}").shuffle(found)
        return found


@dataclass(frozen=True, slots=True)
class Drawn:
    """The questions that were drawn, and the kinds of which there is none."""

    questions: tuple[Question, ...]
    missing: tuple[Kind, ...]


def questions(subject: Subject, names: Sequence[str] = (), count: int | None = None, seed: int = 0) -> Drawn:
    """Draw questions about a capture: of the named kinds, or of all; one of each, or `count` in turns.

    UsageError for an unknown kind. There are fewer than `count` if the capture allows no more.
    """
    wanted = [find(name) for name in dict.fromkeys(names)] or list(kinds().values())
    found: list[list[Question]] = []
    missing = []
    for kind in wanted:
        own = [each for talk in subject.talks for each in kind.find(talk)]
        Random(f"{seed} {kind.name}").shuffle(own)
        if own:
            found.append(own)
        else:
            missing.append(kind)
    most = len(found) if count is None else count
    turns = [own[turn] for turn in range(max(map(len, found), default=0)) for own in found if turn < len(own)]
    return Drawn(tuple(turns[:most]), tuple(missing))
