"""Segments are printed while something else reads the same frames."""

from pathlib import Path

import click
import pytest

from labkit.analysis.verifier import Verifier
from labkit.build.faults import inject
from labkit.build.scenario import Scenario
from labkit.capture import open_capture
from labkit.cli._follow import Follower


def test_a_segment_is_printed_before_the_next_frame_is_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.pcapng"
    inject(Scenario.load("document").play(), ["ack-of-unsent-data"]).write(path)
    with open_capture(path) as capture, Follower() as follower:
        verdict = Verifier().run(follower.follow(capture), None, lambda found: click.echo(f"finding {found.packet}"))
    assert verdict.packets == 10
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    numbers = [int(words[1]) for words in lines if len(words) > 3 and words[0] == "0" and words[1].isdigit()]
    assert numbers == list(range(1, 11))
    finding = next(place for place, words in enumerate(lines) if words[:2] == ["finding", "4"])
    assert any(words[:2] == ["0", "4"] for words in lines[:finding])


def test_a_reader_that_stops_early_ends_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.pcapng"
    Scenario.load("document").play().write(path)
    with open_capture(path) as capture, pytest.raises(ZeroDivisionError), Follower() as follower:
        for frame in follower.follow(capture):
            if frame.number == 3:
                raise ZeroDivisionError
    assert "ESTABLISHED" in capsys.readouterr().out
