"""The fuzzer: each target takes hostile inputs, and what fails is kept."""

import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]
sys.path.insert(0, str(TOP / "scripts" / "lib"))

import fuzz  # noqa: E402


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("LABKIT_CACHE", raising=False)
    monkeypatch.setattr(fuzz, "library", lambda: None)
    return tmp_path / "labkit-fuzz"


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_a_target_takes_hostile_inputs(name: str, cache: Path) -> None:
    assert fuzz.by_hypothesis(name, 0.2) > 0


@pytest.mark.parametrize("name", sorted(set(fuzz.TARGETS) - {"roster"}))
def test_an_undamaged_input_is_sound(name: str) -> None:
    """Otherwise no input would come past the first check."""
    fuzz.TARGETS[name](fuzz.Draw(b""))


def test_a_failure_is_kept_and_can_be_replayed(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(draw: fuzz.Draw) -> None:
        if draw.number(256) == 7:
            raise ZeroDivisionError

    monkeypatch.setitem(fuzz.TARGETS, "pcap", fail)
    with pytest.raises(ZeroDivisionError):
        fuzz.by_hypothesis("pcap", 60)
    (kept,) = (cache / "failed").iterdir()
    assert str(kept) in capsys.readouterr().err
    assert kept.read_bytes() == b"\x07"  # Hypothesis shrinks
    monkeypatch.setattr("sys.argv", ["fuzz", "--replay", str(kept), "pcap"])
    with pytest.raises(ZeroDivisionError):
        fuzz.main()


def test_inputs_by_chance_are_counted_over_all_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in ("1", "2"):
        monkeypatch.setattr("sys.argv", ["fuzz", "--seed", seed, "--seconds", "0.1", "configuration"])
        assert fuzz.main() == 0
    count, _seconds = fuzz.figures()["configuration"]
    monkeypatch.setattr("sys.argv", ["fuzz", "--figures"])
    assert fuzz.main() == 0
    assert f"| `configuration` | {count:,} |" in capsys.readouterr().out


def test_a_failure_by_chance_is_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fuzz.TARGETS, "pcap", lambda draw: 1 // draw.number(2))
    with pytest.raises(ZeroDivisionError):
        fuzz.by_chance("pcap", 60, 1)
    (kept,) = (cache / "failed").iterdir()
    with pytest.raises(ZeroDivisionError):
        fuzz.attempt(fuzz.TARGETS["pcap"], kept.read_bytes())


def test_a_hang_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(_draw: fuzz.Draw) -> None:
        while True:
            pass

    monkeypatch.setattr(fuzz, "MAX_SECONDS", 0.1)
    with pytest.raises(fuzz.Hang):
        fuzz.attempt(hang, b"")
