"""Result files appear whole or not at all, and secret ones belong to their owner alone at every moment."""

import os
import stat
from pathlib import Path

import pytest

from labkit.capture.sink import Sink
from labkit.errors import InputError
from labkit.teach.files import write_file, write_folder


@pytest.mark.parametrize("before", [None, 0o644])
def test_nobody_else_may_read_a_secret_file(before: int | None, tmp_path: Path) -> None:
    target = tmp_path / "answers.json"
    if before is not None:
        target.touch()
        target.chmod(before)
    sink = Sink(target, secret=True)
    sink.write(b"secret")
    assert stat.S_IMODE(os.fstat(sink._file.fileno()).st_mode) == 0o600  # before anybody can find it
    sink.commit()
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    write_file(target, b"new", secret=True)
    assert (stat.S_IMODE(target.stat().st_mode), target.read_bytes()) == (0o600, b"new")


def test_the_rest_of_a_killed_run_is_replaced(tmp_path: Path) -> None:
    rest = tmp_path / ".out.part"
    rest.mkdir()
    (rest / "old").touch()
    write_folder(tmp_path / "out", {"a/b": b"new"})
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["out", "a", "b"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as two users")
@pytest.mark.parametrize("kind", ["link", "folder"])
def test_what_a_stranger_put_there_stays(kind: str, tmp_path: Path) -> None:
    other, part = tmp_path / "other", tmp_path / ".out.part"
    other.mkdir()
    (other / "file").touch()
    if kind == "link":
        part.symlink_to(other)
    else:
        other.rename(part)
        os.chown(part, 65534, 65534)
    with pytest.raises(InputError, match="cannot be created"):
        write_folder(tmp_path / "out", {"a": b"new"})
    assert (part / "file").exists()
