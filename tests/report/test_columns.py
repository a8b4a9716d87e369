"""The columns that compiled code and numpy give are those that the interpreter reads segment by segment."""

from pathlib import Path

import pytest

from labkit.analysis.native import engine
from labkit.build.faults import inject
from labkit.build.scenario import Scenario, shipped
from labkit.capture import open_capture
from labkit.report.draw import _columns, _series
from labkit.report.draw._series import Direction
from labkit.report.draw._subject import of_capture

np = pytest.importorskip("numpy")
pytestmark = pytest.mark.compiled

CAPTURES = sorted((Path(__file__).parents[2] / "pcaps").glob("*.pcap*"))


@pytest.fixture(autouse=True)
def every_capture_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LARGE", "LARGE_FOR_PACKED", "LARGE_ENOUGH_TO_COMPILE"):
        monkeypatch.setattr(engine, name, 0)


def numbers(direction: Direction) -> dict[str, object]:
    """All values of a direction."""
    marks = {kind: tuple(map(list, columns)) for kind, columns in sorted(direction.marks._columns.items())}
    curves = {name: (list(each.time), list(each.value)) for name, each in curves_of(direction).items()}
    return {"ends": (direction.source, direction.target), "marks": marks, **curves}


def curves_of(direction: Direction) -> dict[str, _series.Curve]:
    return {name: getattr(direction, name) for name in ("rtt", "flight", "fresh")}


def both(path: Path, most: int = 100_000) -> None:
    subject = of_capture(path.name, lambda: open_capture(path), most=most)
    for conversation in subject.conversations:
        expected, found = _series.read(subject, conversation), _columns.read(subject, conversation)
        assert list(map(numbers, found)) == list(map(numbers, expected))


def test_the_fast_way_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.pcap"
    Scenario.load("fast-retransmit-sack").play().write(path)
    subject = of_capture("a", lambda: open_capture(path))
    monkeypatch.setattr(_series, "_add", lambda *_args: pytest.fail("read segment by segment"))
    client, server = _columns.read(subject, subject.conversations[0])
    assert client.sends or server.sends


@pytest.mark.parametrize("name", shipped())
def test_every_scenario(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    Scenario.load(name).play(seed=3).write(path)
    both(path)


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.name)
def test_every_capture(path: Path) -> None:
    both(path)


@pytest.mark.parametrize("fault", ["ack-of-unsent-data", "ack-of-unsent-data@9", "sequence-number-skips@6"])
def test_wrong_numbers(fault: str, tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    inject(Scenario.load("fast-retransmit-sack").play(), [fault]).write(path)
    both(path)


@pytest.mark.parametrize("most", [2, 3, 8])
def test_a_conversation_that_goes_on_behind_what_was_read(most: int, tmp_path: Path) -> None:
    for name in ("fast-retransmit-sack", "half-open-connections", "timestamps-loss"):
        path = tmp_path / f"{name}.pcapng"
        Scenario.load(name).play().write(path)
        both(path, most)


@pytest.mark.parametrize("isns", [(0, 0), (2**32 - 1, 2**32 - 50), (2**31 - 10, 2**31 + 5), (2**32 - 3000, 2**32 - 1)])
def test_numbers_wrap_around(isns: tuple[int, int], tmp_path: Path) -> None:
    scenario = Scenario.from_dict(
        {
            "name": "a",
            "client": {"isn": isns[0], "window_scale": 7},
            "server": {"isn": isns[1], "window_scale": 3},
            "path": {"rtt": "20ms", "to_server": {"loss": "5%"}, "to_client": {"loss": "5%"}},
            "steps": [
                {"client": "connect"},
                {"client": {"send": 60000}},
                {"server": {"send": 90000}},
                {"client": "close"},
            ],
        }
    )
    for seed in range(3):
        path = tmp_path / f"{seed}.pcap"
        scenario.play(seed).write(path)
        both(path)
