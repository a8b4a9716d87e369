"""Processes that judge, and what happens to them when a signal comes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

INTERRUPTED = """
import os, signal
from labkit.cli._processes import Processes

if __name__ == "__main__":
    signal.signal(signal.SIGINT, lambda *_: None)
    with Processes(2) as processes:
        tasks = [processes.submit(pow, 2, each) for each in range(4)]
        os.killpg(0, signal.SIGINT)
        print([task.result() for task in tasks], signal.pthread_sigmask(signal.SIG_BLOCK, []))
"""

KILLED = """
import os, signal, time
from labkit.cli._processes import Processes

if __name__ == "__main__":
    with Processes(2) as processes:
        print(processes.submit(pow, 2, 3).result(), flush=True)
        processes.submit(time.sleep, 600)
        os.kill(os.getpid(), signal.{signal})
"""


def outcome(program: str, here: Path) -> tuple[int, str, str]:
    """The exit code and what was said by a program and by all that it started, when none of them is there any more."""
    (here / "program.py").write_text(program)
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "LANGUAGE": "en"}
    done = subprocess.run(
        [sys.executable, "program.py"],
        check=False,
        cwd=here,
        env=environment,
        start_new_session=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


def test_ctrl_c_is_for_the_one_that_started_them(tmp_path: Path) -> None:
    assert outcome(INTERRUPTED, tmp_path) == (0, "[1, 2, 4, 8] set()\n", "")


@pytest.mark.parametrize("signal", ["SIGKILL", "SIGTERM"])
def test_none_outlives_the_one_that_started_it(signal: str, tmp_path: Path) -> None:
    code, out, error = outcome(KILLED.replace("{signal}", signal), tmp_path)
    assert code < 0
    assert out == "8\n"
    assert "Traceback" not in error
