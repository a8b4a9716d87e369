"""The commands run with the oldest versions of the packages that pyproject.toml allows, as far as these are not compiled."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from labkit.modules import modules_in

TOP = Path(__file__).parents[2]
OLDEST = TOP / ".venv" / "oldest"
COMMANDS = [name.replace("_", "-") for name in modules_in([str(TOP / "labkit" / "cli")])]

needs_oldest = pytest.mark.skipif(
    not (OLDEST / "click").exists(), reason="scripts/test installs the oldest packages in .venv"
)


def run(folder: Path, *arguments: str) -> str:
    """What a command prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:labkit", "-m", "labkit", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{OLDEST}{os.pathsep}{TOP}", "LANGUAGE": "en"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_lock_file_has_the_oldest_that_are_allowed() -> None:
    allowed = dict(
        each.split(">=")
        for each in tomllib.loads((TOP / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    )
    locked = dict(re.findall(r"^(\S+)==(\S+)", (TOP / "requirements-oldest.lock").read_text("utf-8"), re.MULTILINE))
    assert allowed.keys() - locked.keys() == {"pydantic"}  # compiled for each version of Python
    for name, version in allowed.items():
        assert name == "pydantic" or f"{locked[name]}.".startswith(f"{version}."), name


@needs_oldest
def test_they_are_used(tmp_path: Path) -> None:
    code = "import click, ruamel.yaml, scapy; print(click.__file__, ruamel.yaml.__file__, scapy.__file__)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(OLDEST)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(each.startswith(str(OLDEST)) for each in done.stdout.split())


@needs_oldest
@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself(name: str, tmp_path: Path) -> None:
    assert f"labkit {name}" in run(tmp_path, name, "--help")


@needs_oldest
def test_commands_do_their_work(tmp_path: Path) -> None:
    assert "labkit" in run(tmp_path, "--version")
    run(tmp_path, "build", "document", "-o", "a.pcapng")
    assert "PASS" in run(tmp_path, "verify", "a.pcapng")
    assert "SYN" in run(tmp_path, "show", "a.pcapng")
    run(tmp_path, "draw", "a.pcapng", "-o", "a.svg")
    assert "<svg" in (tmp_path / "a.svg").read_text("utf-8")
    run(tmp_path, "build", "document", "--as-scapy", "-o", "a.py")
    assert "IP(" in (tmp_path / "a.py").read_text("utf-8")
