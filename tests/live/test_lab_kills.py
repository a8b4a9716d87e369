"""A command that makes a lab and is killed leaves no namespace, process or file."""

import os
import signal
import sys

import pytest
from support import TOP, needs_ip, needs_root

from labkit.live import lab as labs
from labkit.live import wiring

sys.path.insert(0, str(TOP / "scripts/lib"))
try:
    import lab_kills
finally:
    sys.path.pop(0)

pytestmark = [needs_root, needs_ip]


@pytest.mark.timeout(300)
@pytest.mark.xdist_group("lab kills")  # all use the same name
@pytest.mark.parametrize("name", lab_kills.LABS)
def test_killed_at_any_moment(name: str) -> None:
    assert len(list(lab_kills.attempts(4, seed=3, names=[name], part=lab_kills.NAME))) == 4


@pytest.mark.xdist_group("lab kills")
def test_a_process_that_stays_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(lab_kills.LABS, "stays", ("lab", "exec", "--", "true"))
    monkeypatch.setattr(lab_kills, "SECONDS", 0)
    monkeypatch.setattr(lab_kills, "processes", lambda _mark: [1])
    with pytest.raises(lab_kills.LostError, match=r"leaves processes: \[1\]"):
        list(lab_kills.attempts(1, seed=1, names=["stays"], part=lab_kills.NAME))


def test_an_interrupt_while_a_namespace_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for the program that makes it, which would else make it after the lab was removed."""
    name, run_ip = f"i{os.getpid()}", wiring.run_ip

    def interrupted(*words: str) -> object:
        if words[:2] == ("netns", "add"):
            signal.raise_signal(signal.SIGINT)
        return run_ip(*words)

    monkeypatch.setattr(wiring, "run_ip", interrupted)
    made: list[str] = []
    monkeypatch.setattr(labs, "down", lambda given: made.extend(names_of(given)))
    try:
        with pytest.raises(KeyboardInterrupt):
            labs.up(name)
        assert made == [f"labkit-{name}-client"]
    finally:
        monkeypatch.undo()
        labs.down(name)
    assert names_of(name) == []


def names_of(name: str) -> list[str]:
    return sorted(path.name for path in labs.NAMES.glob(f"labkit-{name}-*"))
