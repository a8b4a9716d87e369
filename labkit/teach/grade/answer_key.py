"""The answer key of a class, which `labkit.teach.assign.kit` writes: the students, and the task of each.

It is JSON. Line breaks stand between students only, so that a large one is read one student at a time.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar

from labkit.errors import InputError
from labkit.i18n import _, printable, unreadable
from labkit.teach.grade.classroom import Pupil
from labkit.teach.grade.task import Task
from labkit.teach.roster import Student

MAX_ANSWERS = 256 << 20
"""Octets of an answer key."""
MAX_LINE = 1 << 24
"""Octets of a student in an answer key, and of one whose lines were broken anew."""

START, BETWEEN, END = b', "students": [\n', b",\n", b"\n]}\n"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AnswerKey(Generic[T]):
    """What is known of everybody's hand-outs."""

    digest: str
    """The digest of the assignment."""
    key: bytes
    students: dict[str, T]
    """In the order of the roster."""


def line(value: Mapping[str, Any]) -> bytes:
    """A student's line, or the head, in an answer key."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace")


def text(head: Mapping[str, Any], students: Iterable[Mapping[str, Any]]) -> bytes:
    """An answer key. `head` has `digest` and `key`."""
    return line(head)[:-1] + START + BETWEEN.join(map(line, students)) + END


def read_answers(path: str | Path, kept: Callable[[Mapping[str, Any]], T]) -> AnswerKey[T]:
    """Read an answer key. `kept` makes of each student what is kept. InputError if it cannot be read or is not one."""
    name = printable(str(path))
    try:
        with Path(path).open("rb") as file:
            return _read(file, name, kept)
    except (OSError, ValueError) as error:
        raise InputError(unreadable(path, error)) from error


def _read(file: BinaryIO, name: str, kept: Callable[[Mapping[str, Any]], T]) -> AnswerKey[T]:
    try:
        head, students = _parts(file, name)
        found = {each["student"]: kept(each) for each in students}
        return AnswerKey(head["digest"], bytes.fromhex(head["key"]), found)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(_("{name}: not an answer key of 'labkit assign build'").format(name=name)) from error


def _parts(file: BinaryIO, name: str) -> tuple[Mapping[str, Any], Iterable[Mapping[str, Any]]]:
    """The head of an answer key, and its students."""
    first = file.readline(MAX_LINE)
    if first.endswith(START):
        return json.loads(first + END), _students(file, name, MAX_ANSWERS - len(first))
    value = json.loads(first + file.read(MAX_LINE - len(first)))
    return value, value["students"]


def _students(file: BinaryIO, name: str, left: int) -> Iterator[Mapping[str, Any]]:
    while (octets := file.readline(MAX_LINE)).strip() != END.strip():
        left -= len(octets)
        if left < 0:
            raise InputError(_("{name}: larger than {most} MiB").format(name=name, most=MAX_ANSWERS >> 20))
        yield json.loads(octets.removesuffix(b"\n").removesuffix(b","))


def pupil(each: Mapping[str, Any]) -> Pupil:
    """A student with the task that is theirs."""
    student = Student(each["student"], 0, each["folder"], tuple(each["cells"]), tuple(each["names"]))
    return Pupil(student, Task.from_json(each["task"]))
