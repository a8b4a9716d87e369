"""Compiled code is known by the digest of the sources that it was made from, which is the same wherever it is computed."""

import subprocess
from pathlib import Path

import pytest
from pythons import each_other, python3

from labkit import compiled

CHANGES = {
    "another name": {"rule.py": b"one = 1\n", "sides.py": b"two = 2\n"},
    "another octet": {"rule.py": b"one = 2\n", "side.py": b"two = 2\n"},
    "contents that changed places": {"rule.py": b"two = 2\n", "side.py": b"one = 1\n"},
    "a line that moved to the next file": {"rule.py": b"", "side.py": b"one = 1\ntwo = 2\n"},
    "one file less": {"rule.py": b"one = 1\n"},
}


def written(folder: Path, files: dict[str, bytes]) -> list[Path]:
    for name, octets in files.items():
        (folder / name).write_bytes(octets)
    return [folder / name for name in files]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return written(tmp_path, {"side.py": b"two = 2\n", "rule.py": b"one = 1\n"})


def test_the_digest_is_always_the_same(files: list[Path]) -> None:
    """A wheel is built by one version of Python, and used by others."""
    assert compiled.digest(files) == "64fb2cf9"
    assert compiled.digest(reversed(files)) == "64fb2cf9"


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_has_another_digest(change: str, files: list[Path], tmp_path: Path) -> None:
    (other := tmp_path / "other").mkdir()
    assert compiled.digest(written(other, CHANGES[change])) != compiled.digest(files)


def test_where_a_file_stands_does_not_count(files: list[Path], tmp_path: Path) -> None:
    (other := tmp_path / "other").mkdir()
    moved = written(other, {each.name: each.read_bytes() for each in files})
    assert compiled.digest(moved) == compiled.digest(files)


def test_a_file_of_many_octets_is_read_whole(tmp_path: Path) -> None:
    octets = bytes(range(256)) * (3 * compiled.READ_OCTETS // 256) + b"end"
    (path,) = written(tmp_path, {"large.py": octets})
    assert compiled.read(str(path)) == octets


@each_other
def test_other_versions_of_python_find_the_same(minor: int, files: list[Path]) -> None:
    code = "import runpy, sys; print(runpy.run_path(sys.argv[1])['digest'](sys.argv[2:]))"
    done = subprocess.run(
        [python3(minor), "-I", "-c", code, compiled.__file__, *files], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == compiled.digest(files)
