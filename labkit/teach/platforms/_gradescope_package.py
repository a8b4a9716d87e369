"""The autograder that an instructor uploads to Gradescope: a zip archive that holds all it needs, so that it needs no network.

Its root has `setup.sh`, which Gradescope runs once and which only looks for Python, and `run_autograder`, which runs for each
submission and always leaves a valid result. `lib` holds labkit and click, which labkit's command line needs.
"""

import json
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import labkit
from labkit.errors import MissingError
from labkit.i18n import _, language
from labkit.teach.grade.answer_key import text
from labkit.teach.grade.classroom import Pupil
from labkit.teach.grade.task import Task

LIBRARIES = ("click",)
KEPT = {".py", ".mo", ".typed"}

FIND_PYTHON = """\
find_python() {
    for each in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$each" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            python=$each
            return 0
        fi
    done
    return 1
}
"""

SETUP = f"""\
#!/bin/sh
# Gradescope runs this once, when it builds the image of the autograder. labkit needs Python 3.11 or later.
{FIND_PYTHON}
find_python && exit 0
apt-get update
apt-get install -y --no-install-recommends python3.11 || apt-get install -y --no-install-recommends python3
find_python || {{ echo "labkit needs Python 3.11 or later: choose a newer base image" >&2; exit 1; }}
"""

RUN = f"""\
#!/bin/sh
# Gradescope runs this for each submission. Whatever happens, a valid result is there afterwards.
root=${{AUTOGRADER:-/autograder}}
result=$root/results/results.json
mkdir -p "$root/results"
rm -f "$result"
{FIND_PYTHON}
find_python || python=python3
set --
[ -f "$root/source/answers.json" ] && set -- --answers "$root/source/answers.json" --metadata "$root/submission_metadata.json"
export LABKIT_LANG=@LANGUAGE@ PYTHONPATH=$root/source/lib PYTHONDONTWRITEBYTECODE=1
timeout 240 "$python" -m labkit grade "$root/source/task.json" \\
    "$root/submission" --format gradescope -o "$result" "$@"
if [ ! -s "$result" ]; then
    cat > "$result" <<'RESULT'
{{"score": 0, "output": "The hand-in could not be graded, which is not your fault. Please tell your instructor.", "tests": []}}
RESULT
fi
exit 0
"""


def package(task: Task, pupils: Sequence[Pupil] | None) -> bytes:
    """The archive. With `pupils`, each submitter is graded by the task of their own."""
    stream = BytesIO()
    with ZipFile(stream, "w", ZIP_DEFLATED) as archive:
        _add(archive, "setup.sh", SETUP.encode(), executable=True)
        _add(archive, "run_autograder", RUN.replace("@LANGUAGE@", language()).encode(), executable=True)
        _add(archive, "task.json", json.dumps(task.to_json(), indent=1).encode())
        if pupils is not None:
            _add(archive, "answers.json", _answers(pupils))
        for name, octets in _library():
            _add(archive, f"lib/{name}", octets)
    return stream.getvalue()


def _add(archive: ZipFile, name: str, octets: bytes, *, executable: bool = False) -> None:
    info = ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.external_attr = (0o100755 if executable else 0o100644) << 16
    archive.writestr(info, octets, ZIP_DEFLATED)


def _answers(pupils: Sequence[Pupil]) -> bytes:
    """What `labkit.teach.grade.answer_key.read_answers` reads, without the secret key."""
    students = [
        {
            "student": each.student.id,
            "folder": each.student.file,
            "cells": each.student.cells,
            "names": each.student.names,
            "task": each.task.to_json(),
        }
        for each in pupils
    ]
    return text({"digest": "", "key": ""}, students)


def _library() -> Iterator[tuple[str, bytes]]:
    """The files of labkit and of the libraries that it needs here, with their licences."""
    yield from _sources(Path(labkit.__file__).parent)
    for name in LIBRARIES:
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            raise MissingError(_("{name} is missing").format(name=name))
        yield from _sources(Path(spec.origin).parent)
    for name in ("labkit", *LIBRARIES):
        try:
            found = distribution(name).files or []
        except PackageNotFoundError:  # a checkout that is not installed
            continue
        for each in found:
            if "licen" in each.name.lower() and each.parent.name != name:
                yield f"licences/{name}-{each.name}", Path(str(each.locate())).read_bytes()


def _sources(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in KEPT:
            yield f"{folder.name}/{path.relative_to(folder).as_posix()}", path.read_bytes()
