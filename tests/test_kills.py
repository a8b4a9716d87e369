"""Commands that are killed, or meet a full disk, lose no file and leave nothing behind."""

import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP / "scripts/lib"))
try:
    import kills
finally:
    sys.path.pop(0)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", kills.COMMANDS)
def test_killed_at_any_moment(name: str) -> None:
    assert len(list(kills.attempts(4, seed=7, names=[name]))) == 5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["questions", "trust"])  # scripts/kills has them all
def test_a_folder_is_made_whole_by_the_next_run(name: str) -> None:
    assert len(list(kills.attempts(1, seed=1, names=[name]))) == 2


@pytest.mark.slow
def test_a_loss_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(kills.COMMANDS, "pieces", ("show", "../in.pcapng", "--format", "json", "-o", "out.json"))
    with pytest.raises(kills.LostError):
        list(kills.attempts(1, seed=1, names=["pieces"]))
