"""Run labkit as a user who may read no more than the files of their own: tests often run as root, who may read everything."""

import os
import subprocess
import sys
from pathlib import Path
from shutil import which

import pytest

WITHOUT_RIGHTS = (
    "setpriv",
    "--bounding-set=-dac_override,-dac_read_search",
    "--inh-caps=-dac_override,-dac_read_search",
)


def limited(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run labkit in a folder. Skips the test where the superuser cannot give up a right."""
    prefix: tuple[str, ...] = ()
    if os.geteuid() == 0:
        if which("setpriv") is None:
            pytest.skip("the superuser may read everything, and setpriv is missing")
        prefix = WITHOUT_RIGHTS
    command = [*prefix, sys.executable, "-P", "-m", "labkit", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
