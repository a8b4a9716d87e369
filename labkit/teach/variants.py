"""Build an individual capture for each student of a roster, and one answer key for all.

    seed = the first 64 bits of HMAC-SHA256(key, SHA-256 of the scenario + the student)

A student gets the same capture at every run, whoever else is on the roster. Nobody can compute a seed without the key. A
changed scenario gives other captures. A student's file has no comments and no names, unless the user asks for them, and never
the seed. Its name is the student's, with a digest where that name is unsafe or differs from another one in case only.

Two files hold the answers: NAME.answers.json, and NAME.answers.csv for a spreadsheet. They stand beside the folder of captures,
so that the folder can be handed out. They appear when all captures are built.
"""

import csv
import hmac
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from io import BytesIO, StringIO
from json import dumps
from pathlib import Path
from typing import Any
from unicodedata import normalize

from labkit.build.faults import inject, plain
from labkit.build.scenario import Scenario
from labkit.build.scenario.units import Seed
from labkit.build.trace import Trace
from labkit.capture.sink import Sink, make_folder
from labkit.errors import InputError, LabkitError
from labkit.i18n import _, printable, unreadable
from labkit.report.formats.csv import FORMULA_STARTS
from labkit.teach.roster import COLUMN, Student

MIN_KEY = 16
"""Octets of a key."""
MAX_KEY = 1 << 24
"""Octets of a key."""
MAX_CONNECTIONS = 100
"""Connections of a capture in the answers."""
COLUMNS = (COLUMN, "file", "sha256", "seed", "packets")
"""The columns of the CSV answers that are keys of the JSON answers too."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to build for each student."""

    scenario: Scenario
    key: bytes
    folder: Path
    format: str = "pcapng"
    edition: str = "student"
    faults: tuple[str, ...] = ()


def read_key(path: str | Path) -> bytes:
    """Read a key file. InputError if it cannot be read, is too short or too long."""
    name = printable(str(path))
    try:
        with Path(path).open("rb") as file:
            key = file.read(MAX_KEY + 1)
    except (OSError, ValueError) as error:
        raise InputError(unreadable(path, error)) from error
    if len(key) > MAX_KEY:
        raise InputError(_("{name}: larger than {most} MiB").format(name=name, most=MAX_KEY >> 20))
    if len(key) < MIN_KEY:
        text = _("{path}: a key of {have} bytes can be guessed; expected at least {want}")
        raise InputError(text.format(path=name, have=len(key), want=MIN_KEY))
    return key


def seed(key: bytes, scenario: Scenario, student: str) -> int:
    """Derive a student's seed."""
    return seed_of(key, scenario.digest, student)


def seed_of(key: bytes, digest: bytes, student: str) -> int:
    """Derive a student's seed for what has this digest."""
    return int.from_bytes(hmac.digest(key, digest + normalize("NFC", student).encode(), "sha256")[:8])


def build(order: Order, students: Iterable[Student]) -> Iterator[dict[str, Any]]:
    """Build each student's capture, and yield its answer; after the last one, write the files of answers.

    CaptureError where a file cannot be written; ScenarioError and UsageError as for a single capture.
    """
    made = not order.folder.exists()
    make_folder(order.folder)
    with ExitStack() as undo:
        if made:
            undo.callback(_remove_if_empty, order.folder)
        sinks = []
        for path in answer_files(order.folder):
            sink = Sink(path, secret=True)
            undo.callback(sink.discard)
            sinks.append(sink)
        answers = _Answers(order, *sinks)
        for student in students:
            answer = _one(order, student)
            answers.add(answer)
            yield answer
        answers.finish()
        for sink in sinks:
            sink.flush()
        for sink in sinks:
            sink.commit()


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def answer_files(folder: Path) -> tuple[Path, Path]:
    """The paths of the answers: JSON and CSV."""
    # The path as given may have no name, such as "out/..".
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - Path.resolve would follow links
    return folder.with_name(f"{folder.name}.answers.json"), folder.with_name(f"{folder.name}.answers.csv")


def _one(order: Order, student: Student) -> dict[str, Any]:
    """Build a student's capture, and return its answer."""
    drawing = Seed(seed(order.key, order.scenario, student.id))
    file = f"{student.file}.{order.format}"
    octets = BytesIO()
    try:
        trace = inject(order.scenario.play(drawing), order.faults)
        # The annotated edition would write the seed into the comment on the capture.
        packets = replace(trace, seed=None).write(octets, format=order.format, edition=order.edition)
    except LabkitError as error:
        raise type(error)(_("student {student!r}: {error}").format(student=student.id, error=error)) from error
    sink = Sink(order.folder / file)
    try:
        sink.write(octets.getvalue())
        sink.commit()
    finally:
        sink.discard()
    return {
        "student": student.id,
        "file": file,
        "sha256": sha256(octets.getvalue()).hexdigest(),
        "seed": f"0x{drawing:016x}",
        "packets": packets,
        "drawn": dict(sorted(drawing.drawn.items())),
        "connections": _connections(trace),
        "faults": plain(trace.injected),
    }


def _connections(trace: Trace) -> list[dict[str, Any]]:
    return [
        {
            "client": str(each.client),
            "server": str(each.server),
            "client_isn": each.client_isn,
            "server_isn": each.server_isn,
        }
        for each in trace.connections[:MAX_CONNECTIONS]
    ]


class _Answers:
    """Write the answers student by student, so that a long roster need not fit into memory."""

    def __init__(self, order: Order, objects: Sink, table: Sink) -> None:
        self._objects = objects
        self._table = table
        self._separator = "\n"
        head = {"scenario": order.scenario.name, "digest": order.scenario.digest.hex()}
        objects.write(f'{dumps(head, ensure_ascii=False)[:-1]}, "students": ['.encode())
        self._row([*COLUMNS, "client", "server", "client_isn", "server_isn", "drawn", "faults"])

    def add(self, answer: dict[str, Any]) -> None:
        """Write the answer of a student."""
        line = self._separator + dumps(answer, ensure_ascii=False)
        self._separator = ",\n"
        self._objects.write(line.encode("utf-8", "backslashreplace"))
        first = answer["connections"][0]
        drawn = "; ".join(f"{name} {value}" for name, value in answer["drawn"].items())
        faults = "; ".join(f"{each['code']} {each['fault']}@{each['packet']}" for each in answer["faults"])
        self._row([*(answer[column] for column in COLUMNS), *first.values(), drawn, faults])

    def finish(self) -> None:
        """End the JSON after the last student."""
        self._objects.write(b"\n]}\n")

    def _row(self, values: Iterable[object]) -> None:
        text = StringIO()
        csv.writer(text).writerow(
            [f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value for value in values]
        )
        self._table.write(text.getvalue().encode("utf-8", "backslashreplace"))
