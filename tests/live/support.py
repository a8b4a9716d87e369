"""What the tests of the live part share: whether there can be a lab here, and labs to play in."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit.live.lab import Lab
from labkit.live.system import capable

TOP = Path(__file__).parents[2]

needs_root = pytest.mark.skipif(not capable(), reason="making a lab needs the capabilities of root")
needs_ip = pytest.mark.skipif(shutil.which("ip") is None, reason="the program 'ip' is missing")

ROOTLESS = """
import ctypes, importlib, os, pkgutil, sys
import encodings.ascii, encodings.idna, encodings.latin_1, labkit.cli, labkit.live
for package in (labkit.cli, labkit.live):
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
if os.getuid() == 0:
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    # Who has changed may not look at itself; a program that was started by an ordinary user may.
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
os.chdir("/")
sys.exit(labkit.cli.run(sys.argv[1:]))
"""
"""Labkit as nobody. All is imported before: where this Python lies, nobody may have no business."""


def labkit(*words: str, **more: object) -> subprocess.CompletedProcess[str]:
    """Run the command, and return what it has printed."""
    environment = os.environ | {"PYTHONPATH": str(TOP), "LANGUAGE": "en"}
    return subprocess.run(
        [sys.executable, "-m", "labkit", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment,
        **more,  # type: ignore[call-overload]
    )


def as_nobody(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the command without privileges."""
    return subprocess.run(
        [sys.executable, "-c", ROOTLESS, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(TOP), "LANGUAGE": "en"},
    )


@pytest.fixture
def lab() -> Iterator[Lab]:
    """A lab of the test's own."""
    with Lab.temporary() as made:
        yield made
