"""Grading within a budget, in a process of its own: one hand-in that fails costs one result."""

import gzip
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labkit.build.scenario import Scenario
from labkit.capture.budget import Budget
from labkit.cli import run
from labkit.errors import UsageError
from labkit.teach.grade import judging


@pytest.fixture
def handins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LANGUAGE", "en")
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "handins"
    for seed, name in enumerate(("ann", "bob", "cal")):
        (folder / name).mkdir(parents=True)
        Scenario.load("document").play(seed).write(folder / name / "a.pcapng", edition="student")
    bad = folder / "bob/a.pcapng"
    bad.write_bytes(gzip.compress(bad.read_bytes()))
    return folder


def points(folder: Path, *words: str, capsys: pytest.CaptureFixture[str]) -> list[tuple[float, str]]:
    """The points and the first reason of each student."""
    assert run(["grade", "handshake", str(folder), "--format", "json", *words]) == 0
    rows = json.loads(capsys.readouterr().out)["students"]
    return [(each["points"], json.dumps(each)) for each in rows]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def want_all() -> None:
    raise MemoryError


def fail() -> None:
    raise ZeroDivisionError


def have_a_wrong_rule() -> None:
    raise UsageError("course: EX01 (my-rule), line 7: cannot be used: ZeroDivisionError: division by zero")


@pytest.mark.parametrize(
    ("failing", "said"),
    [
        (die, "ended labkit's process"),
        (want_all, "too little memory"),
        (fail, "ZeroDivisionError"),
        (
            have_a_wrong_rule,
            "the file could not be graded: course: EX01 (my-rule), line 7: cannot be used: ZeroDivision",
        ),
    ],
)
def test_one_failure_costs_one_result(
    failing: Callable[[], None],
    said: str,
    handins: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = points(handins, capsys=capsys)
    bad = (handins / "bob/a.pcapng").read_bytes()
    honest = judging.judged

    def judged(task: Any, octets: bytes, budget: Budget | None = None) -> Any:
        if octets == bad:
            failing()
        return honest(task, octets, budget)

    monkeypatch.setattr(judging, "judged", judged)
    monkeypatch.setattr("labkit.jobs.processes._has_one_thread", lambda: True)  # a copy of this process knows `judged`
    found = points(handins, capsys=capsys)
    assert [each for each, _row in found] == [before[0][0], 0, before[2][0]]
    assert said in found[1][1]
    assert before[0][0] > 0


def test_each_bound_is_a_word_of_what_was_not_graded(handins: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = points(handins, "--max-seconds", "1e-9", capsys=capsys)
    assert all("--max-seconds" in row for _points, row in found)
    found = points(handins, "--max-bytes", "200", capsys=capsys)
    assert all((each, "--max-bytes" in row) == (0, True) for each, row in found)


def test_grading_has_bounds_by_default(handins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Budget] = []
    honest = judging.judged
    monkeypatch.setattr(
        judging, "judged", lambda task, octets, budget: seen.append(budget) or honest(task, octets, budget)
    )
    assert run(["grade", "handshake", str(handins / "ann/a.pcapng"), "--format", "gradescope"]) == 0
    assert seen == [judging.default_budget()]
    assert None not in (seen[0].octets, seen[0].seconds)
