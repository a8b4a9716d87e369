"""Find each student's hand-in: in a folder, in the zip archives that Moodle, Canvas and Gradescope export, or in one file.

Moodle      Full Name_1234_assignsubmission_file_/FILE, or Full Name_1234_assignsubmission_file_FILE
Canvas      lastnamefirstname_LATE_12345_67890_FILE
Gradescope  submission_1234/FILE, and submission_metadata.yml with names, IDs and times
otherwise   STUDENT/FILE, or STUDENT.pcap, or a name that has the student's ID in it
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unicodedata import normalize

from labkit.errors import InputError
from labkit.i18n import _, listed, printable
from labkit.teach.grade.archive import Entry, listing
from labkit.teach.roster import Student

METADATA = "submission_metadata.yml"
MAX_METADATA = 16 << 20
"""Octets of a file of a learning platform that says who submitted what."""

MOODLE = re.compile(r"(?P<owner>.{1,200}?)_(?P<id>\d{1,12})_assignsubmission_(?:file|onlinetext)_?(?P<file>.*)")
CANVAS = re.compile(r"(?P<owner>[^_/]{1,200})_(?P<late>LATE_)?(?P<user>\d{1,15})_(?P<id>\d{1,15})_(?P<file>.+)")


@dataclass(slots=True)
class HandIn:
    """What one student handed in, as far as its names tell."""

    owner: str
    """The student as the folder, the archive or the file calls them."""
    keys: tuple[str, ...]
    """What may identify the student, the best first."""
    entries: list[Entry] = field(default_factory=list)
    paths: list[tuple[str, ...]] = field(default_factory=list)
    """The path of each file in the hand-in: without the student's folder, and without what a platform adds to a name."""
    alone: bool = False
    """Whether it is a file that is named for the student."""
    submitted: datetime | None = None
    late: bool = False
    """Whether the learning platform says that it came too late."""


def find(path: str, *, whole: bool = False) -> list[HandIn]:
    """The hand-ins of a folder or an archive, in order; those of one student are together. InputError if it cannot be read.

    A student whose folder is empty has one too, which has no entry. `whole`: all that is in a folder is the students', even if it
    is one folder only.
    """
    entries, empty = listing(path)
    found: dict[str, HandIn] = {}
    for handin in _by_layout(entries, Path(path).name, whole=whole and Path(path).is_dir(), empty=empty):
        known = found.setdefault(handin.owner, handin)
        if not known.entries:
            found[handin.owner] = handin
        elif known is not handin and handin.entries:
            known.entries += handin.entries
            known.paths += handin.paths
            known.alone = False
            known.late |= handin.late
    return list(found.values())


def _by_layout(
    entries: Sequence[Entry], name: str, *, whole: bool = False, empty: Sequence[tuple[str, ...]] = ()
) -> Iterator[HandIn]:
    for entry in entries:
        if entry.parts[-1] == METADATA:
            yield from _gradescope(entry, entries, empty)
            return
    # An empty folder stands where a file could stand.
    folders = [(*folder, "") for folder in empty]
    places = [entry.parts for entry in entries] or folders
    common = 0 if whole else _common(places, name)
    inner: list[tuple[tuple[str, ...], list[Entry]]] = [(entry.parts[common:], [entry]) for entry in entries]
    if folders:
        top = places[0][:common]
        inner += [(folder[common:] if folder[:common] == top else folder, []) for folder in folders]
        inner.sort(key=lambda each: each[0])
    moodle = sum(MOODLE.fullmatch(parts[0]) is not None for parts, _own in inner)
    canvas = sum(len(parts) == 1 and CANVAS.fullmatch(parts[0]) is not None for parts, _own in inner)
    for parts, own in inner:
        match = MOODLE.fullmatch(parts[0]) if moodle else None
        if match is not None:
            keys = (match["owner"], match["id"])
            inside = tuple(filter(None, (match["file"], *parts[1:])))
            yield HandIn(f"{match['owner']} ({match['id']})", keys, own, [inside] if own else [])
            continue
        # One file of this form among others is a name that happens to look so.
        match = CANVAS.fullmatch(parts[0]) if 2 * canvas > len(entries) and len(parts) == 1 else None
        if match is not None:
            keys = (match["user"], match["owner"])
            inside = (match["file"],)
            yield HandIn(f"{match['owner']} ({match['user']})", keys, own, [inside], late=bool(match["late"]))
            continue
        owner = parts[0] if len(parts) > 1 else _stem(parts[0])
        yield HandIn(owner, (owner,), own, [parts[1:] or parts] if own else [], alone=len(parts) == 1)


def _common(places: Sequence[tuple[str, ...]], name: str) -> int:
    """1 if all files are in one folder that is not a student's but the archive's own: it has the archive's name, or holds other
    folders, or files that are named as a learning platform names them."""
    first = {parts[0] for parts in places}
    if len(first) > 1 or any(len(parts) < 2 for parts in places):
        return 0
    if first == {_stem(name)}:
        return 1
    if len(places) > 1 and all(len(parts) > 2 for parts in places):
        return 1
    return int(all(MOODLE.fullmatch(parts[1]) or CANVAS.fullmatch(parts[1]) for parts in places))


def _stem(name: str) -> str:
    """A file's name without the suffixes of captures, archives and texts; without its last one, if that is another."""
    stem = name
    for suffix in (".gz", ".pcapng", ".pcap", ".cap", ".zip", ".txt", ".md", ".csv"):
        if stem.lower().endswith(suffix):
            stem = stem[: -len(suffix)]
    return stem or name if stem != name else name.rpartition(".")[0] or name


# Gradescope.


def _gradescope(metadata: Entry, entries: Sequence[Entry], empty: Sequence[tuple[str, ...]]) -> Iterator[HandIn]:
    base = metadata.parts[:-1]
    known = _metadata(metadata)
    inside: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry is not metadata and entry.parts[: len(base)] == base and len(entry.parts) > len(base) + 1:
            inside.setdefault(entry.parts[len(base)], []).append(entry)
    others = [folder[len(base)] for folder in empty if folder[: len(base)] == base and len(folder) > len(base)]
    for name in (*known, *others):
        inside.setdefault(name, [])
    for name, own in inside.items():
        submission = known.get(name, {})
        people = submission.get(":submitters") or submission.get("submitters") or []
        when = _time(submission.get(":created_at") or submission.get("created_at"))
        keyed = [_person(each) for each in people if isinstance(each, Mapping)] or [(name,)]
        for keys in keyed:  # a group hands in once for each of its members
            paths = [entry.parts[len(base) + 1 :] for entry in own]
            yield HandIn(keys[-1], keys, list(own), paths, submitted=when)


def _person(person: Mapping[str, Any]) -> tuple[str, ...]:
    values = (person.get(f":{key}", person.get(key)) for key in ("sid", "email", "name"))
    return tuple(str(value) for value in values if value)


def _metadata(entry: Entry) -> Mapping[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    octets = entry.read()
    if len(octets) > MAX_METADATA:
        raise InputError(_("{name}: larger than {most} MiB").format(name=entry.name, most=MAX_METADATA >> 20))
    try:
        loaded = YAML(typ="safe", pure=True).load(octets)
    except (YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(printable(str(error)).split())[:200]
        raise InputError(_("{name}: is not YAML: {reason}").format(name=entry.name, reason=reason)) from error
    if not isinstance(loaded, Mapping):
        raise InputError(_("{name}: expected one entry for each submission").format(name=entry.name))
    return {str(key): value for key, value in loaded.items() if isinstance(value, Mapping)}


def _time(value: object) -> datetime | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)


# Whose it is.


class Matcher:
    """Find the student of each hand-in by what a roster says of the students. What identifies no hand-in is not kept."""

    def __init__(self, students: Iterable[Student], handins: Iterable[HandIn]) -> None:
        self._exact: dict[str, set[str]] = {}
        self._ids: dict[str, set[str]] = {}
        wanted: set[str] = set()
        for key in {key for handin in handins for key in handin.keys}:
            wanted |= {_plain(key), _sorted(key), *_words(key)}
        for student in students:
            for key in {*_student_keys(student), _plain(student.file)} & wanted:
                self._exact.setdefault(key, set()).add(student.id)
            if (key := _plain(student.id)) in wanted:
                self._ids.setdefault(key, set()).add(student.id)

    def find(self, handin: HandIn) -> tuple[str | None, str]:
        """The student's ID, or None and the reason why it is not known."""
        several: set[str] = set()
        for key in handin.keys:
            # An ID outranks a name.
            for found in (
                self._ids.get(_plain(key)),
                self._exact.get(_plain(key)),
                self._exact.get(_sorted(key)),
                self._inside(key),
            ):
                if found and len(found) == 1:
                    return next(iter(found)), ""
                several |= found or set()
        if several:
            names = listed(sorted(map(printable, several))[:3])
            return None, _("it may be that of several students: {names}").format(names=names)
        return None, _("nobody on the roster has that name or ID")

    def _inside(self, key: str) -> set[str]:
        """The students whose ID is a word of a file's name, such as `handshake_s1234 (2)`."""
        return {each for word in _words(key) if word in self._ids for each in self._ids[word]}


def _words(key: str) -> set[str]:
    """The words of a name."""
    return {_plain(word) for word in (*re.split(r"[^\w.@+-]+|[_ -]", key), *key.split())}


def _student_keys(student: Student) -> Iterator[str]:
    for cell in student.cells:
        if len(cell) > 1:
            yield _plain(cell)
            yield _sorted(cell)
        if "@" in cell:
            yield _plain(cell.partition("@")[0])
    if student.names:
        words = re.findall(r"\w+", " ".join(student.names))
        yield _plain(" ".join(words))
        yield _plain(" ".join(reversed(words)))
        yield _sorted(" ".join(words))
        for at in range(1, len(words)):  # Canvas writes the last name first, whatever belongs to it
            yield _plain(" ".join([*words[at:], *words[:at]]))


def _plain(text: str) -> str:
    """Letters and digits only, without regard to capitals and accents' form."""
    return "".join(char for char in normalize("NFKC", text).casefold() if char.isalnum())


def _sorted(text: str) -> str:
    """The words in alphabetical order: `Doe, Jane` is `Jane Doe`."""
    return " ".join(sorted(re.findall(r"\w+", normalize("NFKC", text).casefold())))
