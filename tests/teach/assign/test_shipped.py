"""The shipped assignments: each model hand-in gets the points that it must get, for any student."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.cli import run
from labkit.teach.assign import Assignment, shipped, shipped_text
from labkit.teach.assign.material import material, models
from labkit.teach.grade.judging import grade
from labkit.teach.grade.task import Task

NINE = [
    "handshake", "close", "wraparound", "live-run", "find-the-mistake", "repair", "loss", "own-tcp", "middlebox",
]  # fmt: skip
"""The assignments of a course, from the first to the last."""


def test_there_are_nine_from_the_first_to_the_last() -> None:
    assert [each for each in shipped() if each in NINE] == NINE


PROGRAMS = {"own-tcp"}
"""Assignments whose hand-ins are run by `labkit check-live` (tests/live/test_check_live.py)."""


@pytest.mark.parametrize("name", [each for each in shipped() if each not in PROGRAMS])
@settings(max_examples=5)
@given(seed=st.integers(0, 2**64 - 1), place=st.integers(0, 200))
def test_each_model_hand_in_gets_its_points(name: str, seed: int, place: int) -> None:
    found = list(models(Assignment.load(name), seed, place))
    assert len(found) > 1
    for own, model in found:
        result = grade(own.task, model.octets, model.file)
        assert (model.name, result.points, result.status) == (model.name, model.points, "graded")


def test_each_pair_of_mistakes_to_repair_is_two_mistakes() -> None:
    """None of them hides the other one, or looks like its consequence."""
    source = Assignment.load("repair")
    first, second = (re.search(rf"  {name}: \[(.*)\]", source.source.text) for name in ("fault", "other"))
    assert first is not None
    assert second is not None
    for one in first[1].split(", "):
        for other in second[1].split(", "):
            text = source.source.text.replace(first[1], one).replace(second[1], other)
            own = material(Assignment.parse(text), 0)
            (capture,) = own.captures.values()
            assert [each.part for each in grade(own.task, capture).mistakes] == ["No mistakes left"] * 2, (one, other)


@pytest.mark.parametrize("name", shipped())
def test_a_task_goes_to_json_and_back(name: str) -> None:
    for own, _model in models(Assignment.load(name)):
        assert Task.from_json(json.loads(json.dumps(own.task.to_json()))) == own.task


@pytest.mark.parametrize("name", shipped())
def test_the_file_is_named_for_the_assignment(name: str) -> None:
    assert Assignment.load(name).name == name
    assert Assignment.parse(shipped_text(name)).digest == Assignment.load(name).digest


def test_assign_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["assign", "list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == shipped()
    assert run(["assign", "list", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)["assignments"]
    assert [row["name"] for row in rows] == shipped()
    assert [row["points"] for row in rows if row["name"] in NINE] == [10, 10, 10, 10, 8, 10, 10, 10, 8]


def test_assign_show_prints_what_can_be_used_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["assign", "show", "handshake"]) == 0
    (tmp_path / "mine.yaml").write_text(capsys.readouterr().out, "utf-8")
    assert run(["assign", "show", str(tmp_path / "mine.yaml"), "--models", str(tmp_path / "m")]) == 0
    assert run(["grade", str(tmp_path / "mine.yaml"), str(tmp_path / "m" / "no-close.pcapng"), "--format", "json"]) == 0
    out = capsys.readouterr().out
    assert json.loads(out[out.index("{") :])["students"][0]["points"] == 8
