"""The executor of processes: their death, and signals."""

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from pathlib import Path
from types import NoneType
from typing import Any

import pytest

from labkit.jobs.processes import Processes

ROOT = Path(__file__).parents[2]

INTERRUPTED = """
import os, signal
from labkit.jobs.processes import Processes

if __name__ == "__main__":
    signal.signal(signal.SIGINT, lambda *_: None)
    with Processes(2) as processes:
        tasks = [processes.submit(pow, 2, each) for each in range(4)]
        os.killpg(0, signal.SIGINT)
        print([task.result() for task in tasks], signal.pthread_sigmask(signal.SIG_BLOCK, []))
"""

ENDED = """
import time
from labkit.jobs.processes import Processes

if __name__ == "__main__":
    for pause in (0, 0.01, 0.1, 0.5):
        processes = Processes(2)
        tasks = [processes.submit(time.sleep, 600) for _ in range(9)]
        time.sleep(pause)
        for task in tasks:
            task.cancel()
        processes.terminate()
        print([task.cancelled() or type(task.exception()).__name__ for task in tasks][-2:])
"""

KILLED = """
import os, signal, time
from labkit.jobs.processes import Processes

if __name__ == "__main__":
    with Processes(2) as processes:
        print(processes.submit(pow, 2, 3).result(), flush=True)
        processes.submit(time.sleep, 600)
        os.kill(os.getpid(), signal.{signal})
"""


def outcome(program: str, here: Path) -> tuple[int, str, str]:
    """Run a program; return its exit code and outputs after it and all its children have ended."""
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


def test_ctrl_c_does_not_reach_the_processes(tmp_path: Path) -> None:
    assert outcome(INTERRUPTED, tmp_path) == (0, "[1, 2, 4, 8] set()\n", "")


def test_terminate_works_at_any_time(tmp_path: Path) -> None:
    assert outcome(ENDED, tmp_path) == (0, "[True, True]\n" * 4, "")


def test_a_death_fails_one_task_only() -> None:
    calls: list[tuple[Callable[[Any], Any], Any]] = [
        (abs, -3),
        (os._exit, 9),
        (int, "x"),
        (os._exit, 9),
        (open, os.devnull),  # its result cannot be pickled
        (abs, -4),
    ]
    with Processes(2) as processes:
        tasks = [processes.submit(*call) for call in calls]
        kinds = [type(task.exception()) for task in tasks]
    assert kinds == [NoneType, BrokenExecutor, ValueError, BrokenExecutor, TypeError, NoneType]
    assert [tasks[0].result(), tasks[-1].result()] == [3, 4]


@pytest.mark.parametrize("signal", ["SIGKILL", "SIGTERM"])
def test_no_process_outlives_its_parent(signal: str, tmp_path: Path) -> None:
    code, out, error = outcome(KILLED.replace("{signal}", signal), tmp_path)
    assert code < 0
    assert out == "8\n"
    assert "Traceback" not in error
