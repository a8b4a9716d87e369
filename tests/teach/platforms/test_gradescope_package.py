"""The autograder for Gradescope, run as Gradescope runs it: with nothing but its own files, and no network."""

import json
import os
import shutil
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import class_of_sixty as klass
import pytest

from labkit.cli import run
from labkit.teach.assign import Assignment
from labkit.teach.assign.material import material, models
from labkit.teach.grade.answer_key import pupil, read_answers

pytestmark = pytest.mark.slow


class Autograder:
    """The folder /autograder of Gradescope's container."""

    def __init__(self, root: Path, archive: bytes) -> None:
        self.root = root
        source = root / "source"
        source.mkdir(parents=True)
        with ZipFile(BytesIO(archive)) as package:
            package.extractall(source)
            self.modes = {each.filename: each.external_attr >> 16 & 0o777 for each in package.infolist()}
        for name in ("setup.sh", "run_autograder"):
            (source / name).chmod(self.modes[name])
        (root / "submission").mkdir()
        # Only a Python without any package, and the programs of a bare system.
        programs = root / "bin"
        programs.mkdir()
        (programs / "python3").write_text(f'#!/bin/sh\nexec "{bare_python()}" -S "$@"\n')
        (programs / "python3").chmod(0o755)
        self.environment = {"PATH": f"{programs}:/usr/bin:/bin", "AUTOGRADER": str(root)}

    def script(self, name: str) -> "subprocess.CompletedProcess[str]":
        command = [str(self.root / "source" / name)]
        if os.geteuid() == 0 and shutil.which("unshare"):
            command = ["unshare", "--net", *command]
        return subprocess.run(command, env=self.environment, cwd=self.root, capture_output=True, text=True, check=False)

    def graded(self, files: dict[str, bytes]) -> dict[str, object]:
        shutil.rmtree(self.root / "submission")
        (self.root / "submission").mkdir()
        for name, octets in files.items():
            (self.root / "submission" / name).write_bytes(octets)
        done = self.script("run_autograder")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        found: dict[str, object] = json.loads((self.root / "results" / "results.json").read_text("utf-8"))
        return found


def bare_python() -> str:
    """Python outside of any virtual environment."""
    return str(Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def package(*arguments: str) -> bytes:
    assert run(["grade", "--package", "gradescope", *arguments, "-o", "autograder.zip"]) == 0
    return Path("autograder.zip").read_bytes()


def test_it_grades_as_the_command_does(here: Path) -> None:
    grader = Autograder(here / "autograder", package("handshake"))
    assert grader.modes["setup.sh"] == grader.modes["run_autograder"] == 0o755
    assert grader.script("setup.sh").returncode == 0
    own = material(Assignment.load("handshake"), 0)
    assert grader.graded({"a.pcap": klass.saved(own.trace)})["score"] == 10
    assert grader.graded({"a.pcap": klass.PDF})["score"] == 0
    assert grader.graded({})["score"] == 0
    assert grader.graded({"a.zip": klass.zipped({"b/a.pcap": klass.saved(own.trace)})})["score"] == 10
    for each, model in models(Assignment.load("handshake")):
        assert grader.graded({model.file: model.octets})["score"] == model.points, each


BARE = """
set -e
mount -t tmpfs none "$ROOT"
cd "$ROOT"
mkdir usr dev proc tmp etc autograder
ln -s usr/bin usr/sbin usr/lib usr/lib64 .
mount --bind /usr usr
for each in usr/local usr/lib/python3/dist-packages usr/lib/python3.*/dist-packages; do
    [ ! -d "$each" ] || mount -t tmpfs none "$each"
done
mount --bind /dev dev
mount --bind "$AUTOGRADER" autograder
exec chroot . /usr/bin/env -i PATH=/usr/bin:/bin HOME=/ sh -c \
    '/autograder/source/setup.sh && cp /autograder/source/run_autograder /autograder/ && cd /autograder && ./run_autograder'
"""
"""Call the autograder as the platform does, in a root with Debian's own files alone: no package of Python, no configuration."""


def debian_python() -> bool:
    python = "/usr/bin/python3"
    code = "import sys; sys.exit(sys.version_info < (3, 11))"
    return Path(python).exists() and subprocess.run((python, "-c", code), check=False).returncode == 0


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare") or not debian_python(),
    reason="needs root, unshare, and the system's own Python 3.11 or later",
)
def test_in_a_bare_root_without_network(here: Path) -> None:
    grader = Autograder(here / "autograder", package("handshake"))
    (grader.root / "submission" / "a.pcap").write_bytes(klass.saved(material(Assignment.load("handshake"), 0).trace))
    (here / "root").mkdir()
    done = subprocess.run(
        ("unshare", "--net", "--mount", "sh", "-c", BARE),
        env={"PATH": os.environ["PATH"], "ROOT": str(here / "root"), "AUTOGRADER": str(grader.root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    found = json.loads((grader.root / "results" / "results.json").read_text("utf-8"))
    assert found["score"] == 10
    assert all(each["status"] == "passed" for each in found["tests"])
    assert list((here / "root").iterdir()) == []


def test_each_submitter_has_a_task_of_their_own(here: Path) -> None:
    Path("class.csv").write_text("id,name\ns1,Ann\ns2,Bob\n")
    assert run(["assign", "build", "find-the-mistake", "--roster", "class.csv", "--answers", "key.json"]) == 0
    grader = Autograder(here / "autograder", package("find-the-mistake", "--answers", "key.json"))
    assert read_answers("key.json", pupil).key.hex() not in (grader.root / "source" / "answers.json").read_text()
    answers = {
        each.student.id: "".join(
            f"{part.answer.number}: {part.answer.right[0]}\n" for part in each.task.parts if part.answer
        )
        for each in read_answers("key.json", pupil).students.values()
    }
    assert answers["s1"] != answers["s2"]
    for student, points in (("s1", 8), ("s2", None)):
        user = {"email": "x@example.edu", "id": 1, "name": "X", "sid": student}
        (grader.root / "submission_metadata.json").write_text(json.dumps({"users": [user]}))
        score = grader.graded({"answers.txt": answers["s1"].encode()})["score"]
        assert score == points if points is not None else score != 8
    (grader.root / "submission_metadata.json").write_text(json.dumps({"users": [{"name": "Eve", "email": "e@x"}]}))
    found = grader.graded({"answers.txt": answers["s1"].encode()})
    assert (found["score"], "nobody on the roster" in str(found["output"])) == (0, True)


@pytest.mark.parametrize("breaking", ["lib/labkit/cli/grade.py", "task.json", "lib"])
def test_a_broken_autograder_leaves_a_valid_result(here: Path, breaking: str) -> None:
    grader = Autograder(here / "autograder", package("handshake"))
    place = grader.root / "source" / breaking
    shutil.rmtree(place) if place.is_dir() else place.write_text("raise SystemExit(9)")
    done = grader.script("run_autograder")
    assert done.returncode == 0
    found = json.loads((grader.root / "results" / "results.json").read_text("utf-8"))
    assert found["score"] == 0
    assert "not your fault" in found["output"]


def test_the_same_assignment_gives_the_same_archive(here: Path) -> None:
    assert package("handshake") == package("handshake")
