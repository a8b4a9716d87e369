"""Helpers of the live tests: skip marks, labs, and ways to run labkit."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from labkit.live.system import capable

TOP = Path(__file__).parents[2]

needs_root = pytest.mark.skipif(not capable(), reason="making a lab needs the capabilities of root")
needs_ip = pytest.mark.skipif(shutil.which("ip") is None, reason="the program 'ip' is missing")

ROOTLESS = """
import ctypes, importlib, os, pkgutil, sys, traceback
import encodings.ascii, encodings.idna, encodings.latin_1, labkit.analysis.verifier, labkit.cli, labkit.live
for package in (labkit.cli, labkit.live):
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
if os.getuid() == 0:
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    # PR_SET_DUMPABLE: after setresuid a process may not read its own /proc entries.
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
os.chdir("/")
sys.exit(labkit.cli.run(sys.argv[1:]))
"""
"""Run labkit as user `nobody`, who may lack access to this Python. So the script imports everything first."""


def labkit(*words: str, **more: object) -> subprocess.CompletedProcess[str]:
    """Run the command and return its output."""
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
