"""A command that makes a lab and is killed leaves no namespace, process or file."""

import sys

import pytest
from support import TOP, needs_ip, needs_root

sys.path.insert(0, str(TOP / "scripts/lib"))
try:
    import lab_kills
finally:
    sys.path.pop(0)

pytestmark = [needs_root, needs_ip]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", lab_kills.LABS)
def test_killed_at_any_moment(name: str) -> None:
    assert len(list(lab_kills.attempts(4, seed=3, names=[name]))) == 4


def test_a_process_that_stays_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(lab_kills.LABS, "stays", ("lab", "exec", "--", "true"))
    monkeypatch.setattr(lab_kills, "SECONDS", 0)
    monkeypatch.setattr(lab_kills, "processes", lambda _mark: [1])
    with pytest.raises(lab_kills.LostError, match=r"leaves processes: \[1\]"):
        list(lab_kills.attempts(1, seed=1, names=["stays"]))
