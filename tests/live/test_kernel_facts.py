"""Tests of scripts/kernel-facts: the comparison, and on a kernel that it knows, all facts."""

import sys
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest
from support import TOP, needs_ip, needs_root

LIB = str(TOP / "scripts" / "lib")


@pytest.fixture(scope="module", name="facts")
def _facts() -> Iterator[ModuleType]:
    sys.path.insert(0, LIB)
    yield import_module("kernel_facts")
    sys.path.remove(LIB)


@pytest.mark.parametrize(
    ("expected", "seen", "same"),
    [
        (10, 10, True),
        (10, 11, False),
        ("a", "a", True),
        ("a", "b", False),
        ("10..20", 10, True),
        ("10..20", 20.0, True),
        ("10..20", 20.1, False),
        ("10..20", "10..20", True),
        ("a", 5, False),
        ([1, "2..3"], [1, 2.5], True),
        ([1, "2..3"], [1], False),
        ([1], 1, False),
        (10, None, False),
        ("1..2", None, False),
    ],
)
def test_comparison(facts: ModuleType, expected: Any, seen: Any, same: bool) -> None:
    assert facts.matches(expected, seen) is same


def test_each_file_names_experiments_only(facts: ModuleType) -> None:
    files = list(facts.FACTS.glob("*.toml"))
    assert files
    for path in files:
        assert set(facts.tomllib.loads(path.read_text("utf-8"))) <= set(facts.EXPERIMENTS), path.name


def test_another_kernel_is_another_file(facts: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert facts.main(["--against", "linux-1.0"]) == 4
    assert "nothing is written down for linux-1.0; --against takes linux-6.18" in capsys.readouterr().err
    assert facts.main(["--against", "linux-6.18", "no-such-fact"]) == 2
    assert "no fact no-such-fact; there are: syn-options" in capsys.readouterr().err


@needs_root
@needs_ip
def test_this_kernel(facts: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    if not (facts.FACTS / f"{facts.kernel_name()}.toml").exists():
        pytest.skip(f"nothing is written down for {facts.kernel_name()}")
    # The facts whose times a busy machine does not change.
    named = ["syn-options", "syn-windows", "third-ack-windows", "identifications", "closed-port", "mss-floor", "ports"]
    assert facts.main([*named, "--against", facts.kernel_name()]) == 0, capsys.readouterr().out
    assert "7 of 7 facts" in capsys.readouterr().out


@needs_root
@needs_ip
def test_a_fact_that_differs_fails(
    facts: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "linux-0.1.toml").write_text('scale = 3\nmss-floor = "broken"\n')
    monkeypatch.setattr(facts, "FACTS", tmp_path)
    assert facts.main(["scale", "--against", "linux-0.1"]) == 1
    out = capsys.readouterr().out
    assert "DIFFERENT scale: the window scale" in out
    assert "expected 3" in out
