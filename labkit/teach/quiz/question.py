"""What a question of a quiz is: its text, the right answer, two wrong ones with the mistake behind each, and the proof.

A kind of questions is declared by a `Kind` in `labkit.teach.quiz.kinds`; it finds the questions that a conversation allows.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from labkit.i18n import N_, _

if TYPE_CHECKING:
    from labkit.teach.quiz.subject import Talk

NAMESPACE = UUID("1d4c3f5e-6a0b-5c8e-9f57-7b0f6f6a2c11")
"""Names of questions are made from their content in this namespace, so that the same question has the same name."""

FIRST, LAST, COUNT, SUM = "first", "last", "count", "sum"
"""How a proof's value follows from what its field shows in the packets that its filter selects."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A display filter of Wireshark, and the field that shows the answer in the packets that it selects."""

    filter: str
    field: str
    value: str
    """What the field shows, as `tshark -T fields` prints it."""
    take: str = FIRST


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer of a question."""

    text: str
    why: str
    """Why it is right, or the mistake that leads to it."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question with three answers, of which one is right. All texts are plain text on one line."""

    kind: str
    stem: str
    right: Choice
    wrong: tuple[Choice, Choice]
    proof: Proof
    packet: int
    """The packet that it is about."""
    relative: bool
    """Whether sequence numbers count from the SYN, as Wireshark shows them by default."""
    figure: tuple[str, ...] = ()
    """Lines that belong to the question, to be shown in a font of constant width."""
    also: tuple[str, ...] = ()
    """What is right too where the answer is typed."""

    @property
    def id(self) -> str:
        """A UUID that follows from the content."""
        parts = (self.kind, self.stem, *self.figure, self.right.text, *(each.text for each in self.wrong))
        return str(uuid5(NAMESPACE, "\0".join(parts)))


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of questions."""

    name: str
    summary: str
    needs: str
    """What a conversation must have for it."""
    find: "Callable[[Talk], Iterator[Question]]"


def asked(
    kind: str,
    talk: "Talk",
    packet: int,
    stem: str,
    right: tuple[object, str],
    wrong: Iterable[tuple[object, str]],
    proof: Proof,
    *,
    numbers: bool = False,
    figure: tuple[str, ...] = (),
    also: tuple[str, ...] = (),
) -> Iterator[Question]:
    """A question, if there are two wrong answers that differ from the right one and from each other; the first two are taken.

    `numbers`: it is about sequence numbers, and says which ones are meant.
    """
    answers = {str(right[0]): right[1]}
    for text, why in wrong:
        answers.setdefault(str(text), why)
    choices = [Choice(text, why) for text, why in answers.items()]
    if len(choices) < 3:
        return
    if numbers:
        stem = _("{question} {note}").format(question=stem, note=_(RELATIVE) if talk.relative else _(RAW))
    yield Question(kind, stem, choices[0], (choices[1], choices[2]), proof, packet, talk.relative, figure, also)


RELATIVE = N_("Sequence numbers are relative: each side's SYN has the number 0.")
RAW = N_("Sequence numbers are raw, as they stand in the header.")
