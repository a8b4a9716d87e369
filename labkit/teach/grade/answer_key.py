"""The answer key of a class, which `labkit.teach.assign.kit` writes: the students, and the task of each."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.errors import InputError
from labkit.i18n import _, printable, reason_of
from labkit.teach.grade.classroom import Pupil
from labkit.teach.grade.task import Task
from labkit.teach.roster import Student

MAX_ANSWERS = 256 << 20
"""Octets of an answer key."""


@dataclass(frozen=True, slots=True)
class AnswerKey:
    """What is known of everybody's hand-outs."""

    digest: str
    """The digest of the assignment."""
    key: bytes
    students: dict[str, dict[str, Any]]

    def pupils(self) -> list[Pupil]:
        """The students with their tasks, in the order of the roster."""
        return [
            Pupil(
                Student(name, number, each["folder"], tuple(each["cells"]), tuple(each["names"])),
                Task.from_json(each["task"]),
            )
            for number, (name, each) in enumerate(self.students.items(), 1)
        ]


def read_answers(path: str | Path) -> AnswerKey:
    """Read an answer key. InputError if it cannot be read or is not one."""
    name = printable(str(path))
    try:
        with Path(path).open("rb") as file:
            octets = file.read(MAX_ANSWERS + 1)
    except (OSError, ValueError) as error:
        reason = reason_of(error).lower()
        raise InputError(_("{name}: cannot be read: {reason}").format(name=name, reason=reason)) from error
    try:
        value = json.loads(octets)
        found = AnswerKey(
            value["digest"], bytes.fromhex(value["key"]), {each["student"]: each for each in value["students"]}
        )
        found.pupils()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(_("{name}: not an answer key of 'labkit assign build'").format(name=name)) from error
    return found
