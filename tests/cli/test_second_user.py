"""A second user of the same machine: nothing of theirs runs, is followed, or changes a verdict."""

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
SECOND = 65534
"""The number of the user `nobody`, who owns nothing else."""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as two users")


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A folder where everybody may write, such as /tmp."""
    for each in (tmp_path, *tmp_path.parents[:2]):
        each.chmod(each.stat().st_mode | 0o055)
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    return folder


def theirs(make: Callable[[], object], *paths: Path) -> None:
    """Have the second user own what is made."""
    make()
    for each in paths:
        os.chown(each, SECOND, SECOND, follow_symlinks=False)


def labkit(*words: str, folder: Path, **more: str) -> "subprocess.CompletedProcess[str]":
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(TOP),
        "LANGUAGE": "en",
        "HOME": str(folder.parent),
        **more,
    }
    command = [sys.executable, "-P", "-m", "labkit", *words]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def make_link(place: Path, to: Path) -> None:
    theirs(lambda: place.symlink_to(to), place)


@pytest.mark.parametrize("kind", ["file", "folder", "chain", "missing"])
@pytest.mark.parametrize(
    "words", [["build", "document", "-o"], ["verify", "../in.pcapng", "-o"], ["draw", "../in.pcapng", "-o"]]
)
def test_no_link_of_theirs_is_written_through(words: list[str], kind: str, shared: Path) -> None:
    shutil.copy(TOP / "pcaps/document.pcapng", shared.parent / "in.pcapng")
    mine = shared.parent / "mine"
    mine.mkdir()
    suffix = {"build": ".pcapng", "verify": ".txt", "draw": ".svg"}[words[0]]
    secret = mine / f"secret{suffix}"
    if kind != "missing":
        secret.write_text("mine")
    target = shared / f"out{suffix}"
    if kind == "folder":
        make_link(shared / "way", mine)
        target = shared / "way" / secret.name
    elif kind == "chain":
        make_link(shared / "second", secret)
        (shared / "first").symlink_to(shared / "second")
        target.symlink_to("first")
    else:
        make_link(target, secret)
    done = labkit(*words, str(target), folder=shared)
    assert done.returncode == 3, done.stderr
    assert "another user put" in done.stderr
    assert secret.exists() == (kind != "missing")
    assert kind == "missing" or secret.read_text() == "mine"


@pytest.mark.parametrize(
    "words",
    [
        ["assign", "build", "wraparound", "--roster", "../class.csv", "--answers", "../mine/answers.json", "-o", "way/out"],
        ["assign", "show", "wraparound", "--models", "way/out"],
        ["build", "document", "--variants", "../class.csv", "--key", "../key", "-o", "way/out"],
        ["verify", "../in.pcapng", "../in.pcapng", "--format", "html", "-o", "way/out"],
        ["quiz", "../in.pcapng", "--format", "prairielearn", "-o", "way/out"],
        ["grade", "handshake", "../in.pcapng", "-o", "../mine/out.csv", "--feedback", "way/out"],
        ["grade", "handshake", "../in.pcapng", "--format", "gradescope", "-o", "way/out/"],
    ],
)  # fmt: skip
def test_no_folder_is_made_behind_a_link_of_theirs(words: list[str], shared: Path) -> None:
    shutil.copy(TOP / "pcaps/document.pcapng", shared.parent / "in.pcapng")
    (shared.parent / "class.csv").write_text("student\ns1\n")
    (shared.parent / "key").write_bytes(bytes(32))
    (shared.parent / "mine").mkdir()
    secret = shared.parent / "secret"
    secret.mkdir()
    make_link(shared / "way", secret)
    done = labkit(*words, folder=shared)
    assert (done.returncode, "another user put" in done.stderr) == (3, True), done.stderr
    assert list(secret.iterdir()) == []


def test_no_pipe_of_theirs_is_written_to(shared: Path) -> None:
    pipe = shared / "out.pcapng"
    theirs(lambda: os.mkfifo(pipe), pipe)
    done = labkit("build", "document", "-o", str(pipe), folder=shared)
    assert (done.returncode, "another user put" in done.stderr) == (3, True)


def test_links_of_ones_own_are_followed(shared: Path) -> None:
    target = shared.parent / "mine.pcapng"
    (shared / "out.pcapng").symlink_to(target)
    assert labkit("build", "document", "-o", str(shared / "out.pcapng"), folder=shared).returncode == 0
    assert target.is_file()


def test_a_file_of_theirs_does_not_say_who_may_write_the_new_one(shared: Path) -> None:
    target = shared / "out.pcapng"
    theirs(target.touch, target)
    target.chmod(0o666)
    assert labkit("build", "document", "-o", str(target), folder=shared).returncode == 0
    found = target.stat()
    assert (found.st_uid, found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)) == (0, 0)


def test_nothing_of_theirs_changes_a_verdict(shared: Path) -> None:
    """Their modules, configuration, cache, temporary folder and programs lie where labkit may look."""
    captures = shared / "captures"
    captures.mkdir()
    for number in range(4):
        shutil.copy(TOP / "pcaps/document.pcapng", captures / f"{number}.pcapng")
    first = labkit("verify", "captures", "--format", "json", folder=shared)
    ran = shared.parent / "ran"
    evil = f"open({str(ran)!r}, 'a').write('x')\n"
    planted = [shared / "json.py", shared / "sitecustomize.py", shared / "labkit" / "__init__.py", captures / "gzip.py"]
    (shared / "labkit").mkdir()
    for each in planted:
        each.write_text(evil)
    (shared / "labkit.toml").write_text('ignore = ["KA", "WIN", "SEQ"]\nfail-on = "note"\nprofile = "document"\n')
    cache = shared / "cache" / "labkit"
    cache.mkdir(parents=True)
    for name in ("engine-0.object", "lock"):
        (cache / name).write_bytes(b"\x7fELF" + bytes(100))
    for name in ("tshark", "python3", "sh", "sysctl", "ip"):
        (shared / name).write_text(f"#!/bin/sh\ntouch {ran}\n")
        (shared / name).chmod(0o755)
    for each in (*shared.rglob("*"),):
        os.chown(each, SECOND, SECOND, follow_symlinks=False)
    again = labkit(
        "verify", "captures", "--format", "json", "--jobs", "2", folder=shared,
        XDG_CACHE_HOME=str(shared / "cache"), TMPDIR=str(shared),
    )  # fmt: skip
    assert not ran.exists()
    assert (first.returncode, again.returncode) == (0, 0), again.stderr
    assert json.loads(first.stdout)["captures"] == json.loads(again.stdout)["captures"]
