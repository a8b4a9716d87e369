"""What a class gets: a folder for each student, with a hand-out and captures of their own, and one answer key for all.

    seed = the first 64 bits of HMAC-SHA256(key, SHA-256 of the assignment + the student)

The answer key is one JSON file outside the folder of the hand-outs. It holds the secret key, each student's values, task and
right answers, and what grading needs to recognize students. Built again with the same answer key, everybody who is in it keeps
what they have, and newcomers get theirs. Names and IDs of students are names of folders and stand in the answer key, never
in a file that a student gets.
"""

import os
from collections.abc import Callable, Collection, Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from pickle import dump, load
from secrets import token_bytes
from tempfile import SpooledTemporaryFile
from typing import Any

from labkit import __version__
from labkit.capture.source import CHUNK_OCTETS
from labkit.errors import InputError, LabkitError, UsageError
from labkit.i18n import _, printable
from labkit.teach.assign import Assignment
from labkit.teach.assign.handout import html, markdown
from labkit.teach.assign.material import ANSWER_FILE, Material, material, template
from labkit.teach.files import write_file
from labkit.teach.grade.answer_key import BETWEEN, END, MAX_ANSWERS, START, AnswerKey, line, read_answers
from labkit.teach.grade.task import ANSWERS
from labkit.teach.roster import Student
from labkit.teach.variants import seed_of

KEY_OCTETS = 32
MAX_WAITING = 1 << 25
"""Octets of hand-outs, and of answers, that wait in memory until all are made."""


def build(
    assignment: Assignment,
    students: Collection[Student],
    folder: Path,
    answers: Path,
    key: bytes | None = None,
    printer: Callable[[str], bytes] | None = None,
) -> Iterator[Material]:
    """Build what each student gets, and yield it; after the last one, write the answer key, and then the folders.

    `printer` makes a PDF of an HTML page; without it, there is none.
    So nothing is written where a student's values do not fit, and nobody has a hand-out that the answer key does not know: it
    gives the same hand-outs again. UsageError where the answer key would stand in the folder, or belongs to another assignment;
    CaptureError where a file cannot be written; ScenarioError where a student's values do not fit.
    """
    inside = Path(os.path.realpath(answers)).is_relative_to(os.path.realpath(folder))
    if inside:
        text = _("{answers}: the answer key must not be in the folder of the hand-outs")
        raise UsageError(text.format(answers=printable(str(answers))))
    known = _known(assignment, answers, key)
    key = known.key
    places = dict(known.students)
    # In an order that nobody can guess, lists are spread evenly.
    new = sorted((each for each in students if each.id not in places), key=lambda each: _seed(assignment, key, each.id))
    behind = max(places.values(), default=-1) + 1
    places |= {each.id: behind + at for at, each in enumerate(new)}
    head = {"labkit": __version__, "assignment": assignment.name, "digest": assignment.digest.hex(), "key": key.hex()}
    # What is not written yet waits in memory as far as it is little, and then in files without a name.
    with SpooledTemporaryFile(MAX_WAITING) as answered, SpooledTemporaryFile(MAX_WAITING) as made:
        answered.write(line(head)[:-1] + START)
        for number, student in enumerate(students):
            own = _one(assignment, key, student, places[student.id])
            for name, octets in files(own, printer).items():
                dump((str(folder / student.file / name), octets), made)
            answered.write((BETWEEN if number else b"") + line(_answer(own, student, key, places[student.id])))
            if answered.tell() > MAX_ANSWERS:
                text = _(
                    "student {student!r}: the answer key is larger than {most} MiB; split the roster, with a folder and an "
                    "answer key for each part"
                )
                raise InputError(text.format(student=student.id, most=MAX_ANSWERS >> 20))
            yield own
        answered.write(END)
        answered.seek(0)
        write_file(answers, iter(partial(answered.read, CHUNK_OCTETS), b""), secret=True)
        end = made.tell()
        made.seek(0)
        while made.tell() < end:
            path, octets = load(made)  # noqa: S301 - what this function has put there
            write_file(Path(path), octets)


def _known(assignment: Assignment, answers: Path, key: bytes | None) -> AnswerKey[int]:
    if not answers.exists():
        return AnswerKey(assignment.digest.hex(), key or token_bytes(KEY_OCTETS), {})
    found = read_answers(answers, lambda each: int(each["place"]))
    name = printable(str(answers))
    if found.digest != assignment.digest.hex():
        text = _(
            "{name}: is the answer key of another assignment, or of another version; move it away, or name another one"
        )
        raise UsageError(text.format(name=name))
    if key is not None and key != found.key:
        raise UsageError(_("{name}: was made with another key").format(name=name))
    return found


def _seed(assignment: Assignment, key: bytes, student: str) -> int:
    return seed_of(key, assignment.digest, student)


def _one(assignment: Assignment, key: bytes, student: Student, place: int) -> Material:
    try:
        return material(assignment, _seed(assignment, key, student.id), place)
    except LabkitError as error:
        raise type(error)(_("student {student!r}: {error}").format(student=student.id, error=error)) from error


def files(own: Material, printer: Callable[[str], bytes] | None = None) -> dict[str, bytes]:
    """The files that a student gets, by name."""
    name, page = own.assignment.name, html(own)
    found = {f"{name}.md": markdown(own).encode(), f"{name}.html": page.encode()}
    if printer is not None:
        found[f"{name}.pdf"] = printer(page)
    if own.task.kind == ANSWERS:
        found[ANSWER_FILE] = template(own.task).encode()
    return found | own.captures


def _answer(own: Material, student: Student, key: bytes, place: int) -> dict[str, Any]:
    return {
        "student": student.id,
        "folder": student.file,
        "cells": student.cells,
        "names": student.names,
        "seed": f"0x{_seed(own.assignment, key, student.id):016x}",
        "place": place,
        "values": dict(own.assignment.values),
        "files": {name: sha256(octets).hexdigest() for name, octets in own.captures.items()},
        "task": own.task.to_json(),
    }
