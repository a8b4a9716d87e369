"""Commands in a folder whose files are not the user's: nothing of it runs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from labkit.analysis.native import loader

TOP = Path(__file__).parents[2]

NAMES = (
    "click",
    "json",
    "multiprocessing",
    "numba",
    "numpy",
    "llvmlite",
    "scapy",
    "ruamel",
    "pydantic",
    "sitecustomize",
    "gzip",
)
"""Modules that the commands import."""


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    folder = tmp_path / "hand-ins"
    folder.mkdir()
    for each in NAMES:
        (folder / f"{each}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write({each!r})\n")
    for number in range(3):
        shutil.copy(TOP / "pcaps" / "document.pcapng", folder / f"{number}.pcapng")
    return folder


@pytest.mark.parametrize("words", ["verify 0.pcapng", "verify --jobs 2 .", "build document", "show 0.pcapng"])
@pytest.mark.parametrize("start", [["-m", "labkit"], ["-P", "-c", "from labkit.cli import main; main()"]])
def test_no_module_of_the_current_folder_is_imported(hostile: Path, start: list[str], words: str) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(TOP), "LANGUAGE": "en", "HOME": str(hostile.parent)}
    done = subprocess.run(
        [sys.executable, *start, *words.split()],
        cwd=hostile,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    ran = hostile.parent / "ran"
    assert (done.returncode, ran.exists() and ran.read_text()) == (0, False), done.stderr


@pytest.mark.parametrize("place", ["file", "folder", "parent"])
def test_machine_code_is_read_only_where_no_other_user_can_write(tmp_path: Path, place: str) -> None:
    folder = tmp_path / "a" / "cache"
    folder.mkdir(parents=True, mode=0o700)
    file = folder / "x.object"
    file.write_bytes(b"code")
    assert loader._read(file) == b"code"
    open_ = {"file": file, "folder": folder, "parent": folder.parent}[place]
    open_.chmod(0o777)
    with pytest.raises(PermissionError, match="other users"):
        loader._read(file)
