"""The fuzzer: each target takes hostile inputs, and what fails is kept."""

import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from labkit.analysis.native import library as native

TOP = Path(__file__).parents[1]
sys.path.insert(0, str(TOP / "scripts" / "lib"))

import fuzz  # noqa: E402
import fuzz_targets  # noqa: E402

LIBRARY = fuzz_targets.library


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("LABKIT_CACHE", raising=False)
    monkeypatch.setattr(fuzz_targets, "library", lambda: None)
    monkeypatch.setattr(fuzz, "compile_engine", lambda: None)
    return tmp_path / "labkit-fuzz"


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_a_target_takes_hostile_inputs(name: str, cache: Path) -> None:
    with fuzz.watched(name):
        assert fuzz.by_hypothesis(name, 0.2) > 0


@pytest.mark.parametrize("name", sorted(set(fuzz.TARGETS) - {"roster"}))
def test_an_undamaged_input_is_sound(name: str) -> None:
    """Otherwise no input would come past the first check."""
    with fuzz_targets.place():
        fuzz.TARGETS[name](fuzz.Draw(b""))


def test_a_failure_is_kept_and_can_be_replayed(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(draw: fuzz.Draw) -> None:
        if draw.number(256) == 7:
            raise ZeroDivisionError

    monkeypatch.setitem(fuzz.TARGETS, "pcap", fail)
    with pytest.raises(ZeroDivisionError), fuzz.watched("pcap"):
        fuzz.by_hypothesis("pcap", 60)
    (kept,) = (cache / "failed").iterdir()
    assert str(kept) in capsys.readouterr().err
    assert kept.read_bytes() == b"\x07"  # Hypothesis shrinks
    monkeypatch.setattr("sys.argv", ["fuzz", "--replay", str(kept), "pcap"])
    with pytest.raises(ZeroDivisionError):
        fuzz.main()


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["fuzz", *words])
    return fuzz.main()


def test_inputs_by_chance_are_counted_over_all_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in ("1", "2"):
        assert run(monkeypatch, "--seed", seed, "--seconds", "0.1", "configuration") == 0
    found = fuzz.figures()["configuration"]
    assert run(monkeypatch, "--figures") == 0
    assert f"| `configuration` | {found['inputs']:,} |" in capsys.readouterr().out


def test_runs_at_the_same_time_add_up(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "TURN", 0.02)
    assert run(monkeypatch, "--seed", "1", "--jobs", "3", "--seconds", "0.3", "configuration", "roster") == 0
    printed = [line.split() for line in capfd.readouterr().err.splitlines()]
    assert len(printed) > 10
    for name in ("configuration", "roster"):
        inputs = sum(int(words[1].replace(",", "")) for words in printed if words[0] == name)
        assert fuzz.figures()[name]["inputs"] == inputs > 0


def test_a_failure_by_chance_is_kept_and_the_others_go_on(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fuzz.TARGETS, "pcap", lambda draw: 1 // (1 - draw.number(2)))
    assert run(monkeypatch, "--seed", "1", "--seconds", "60", "pcap") == 1
    found = fuzz.figures()["pcap"]
    kept = list((cache / "failed").iterdir())
    assert len(kept) == found["failed"] >= fuzz.MAX_FAILURES
    assert found["inputs"] > found["failed"]
    with pytest.raises(ZeroDivisionError):
        fuzz.attempt(fuzz.TARGETS["pcap"], kept[0].read_bytes())


def test_the_engines_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    from labkit.analysis.native import engine

    real = engine.verify_capture

    def wrong(*given: Any, **more: Any) -> Any:
        more["engine"], which = "interpreted", more["engine"]
        found = real(*given, **more)
        return replace(found, flows=found.flows + 1) if which == "compiled" else found

    monkeypatch.setattr(fuzz_targets, "library", lambda: True)
    monkeypatch.setattr(engine, "verify_capture", wrong)
    for name in ("pcap", "frames"):
        with fuzz.watched(), pytest.raises(fuzz_targets.MistakeError, match="engines"):
            fuzz.attempt(fuzz.TARGETS[name], b"")


@pytest.mark.compiled
def test_memory_that_is_used_again_changes_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiled engine of `--seed` keeps its tables: whatever one input left in them would show with another one."""
    draw = random.Random(1)
    monkeypatch.setattr(fuzz_targets, "library", LIBRARY)
    assert native.library(lambda _why: None)
    before = fuzz_targets.Process.compared
    with fuzz_targets.reused_memory(), fuzz.watched():
        for _ in range(200):
            fuzz.attempt(fuzz.TARGETS["frames"], draw.randbytes(40))
    assert fuzz_targets.Process.compared - before > 100


def test_a_hang_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(_draw: fuzz.Draw) -> None:
        while True:
            pass

    monkeypatch.setattr(fuzz, "MAX_SECONDS", 0.1)
    with pytest.raises(fuzz.Hang), fuzz.watched():
        fuzz.attempt(hang, b"")


def test_too_much_memory_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "MAX_GROWTH", 20_000_000)
    with fuzz.watched(), pytest.raises(fuzz_targets.MistakeError, match="memory"):
        fuzz.attempt(lambda _draw: bytes(range(256)) * (fuzz.peak() // 256) and None, b"")
