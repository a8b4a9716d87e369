"""The checks of the verifier notice what they are there for: a rule that is silent, a comparison that is turned round."""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from labkit.analysis import tracker, verifier
from labkit.analysis.rule import DOCUMENT, LITERAL, RFC9293, Rule, collect
from labkit.analysis.verifier import Verifier
from labkit.tcp.notation import parse
from labkit.teach.examples import frames

LIB = str(Path(__file__).parents[1] / "scripts" / "lib")


@pytest.fixture(scope="module")
def mutation() -> Iterator[ModuleType]:
    sys.path.insert(0, LIB)
    yield import_module("mutation")
    sys.path.remove(LIB)


def places(rule: Rule) -> set[tuple[int | None, str, str]]:
    """Where the rule's own bad example has findings: packet, code and name."""
    profile = next((each for each in (RFC9293, DOCUMENT) if each in rule.profiles), DOCUMENT)
    verdict = Verifier(profile, literal=rule.profiles == {LITERAL}).run(frames(list(parse(rule.bad))))
    return {(each.packet, each.code, each.name) for each in verdict.findings}


@pytest.mark.parametrize("rule", collect(), ids=lambda rule: f"{rule.code}-{rule.name}")
def test_a_silent_rule_fails_its_bad_example(rule: Rule, mutation: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    marked = {(packet, code, rule.name) for packet, code in mutation.marked(rule.bad) if code == rule.code}
    found = marked & places(rule)
    assert found
    others = tuple(each for each in collect() if each is not rule)
    monkeypatch.setattr(verifier, "collect", lambda: others)
    assert not found & places(rule)


@pytest.fixture(scope="module")
def checks(mutation: ModuleType) -> object:
    return mutation.Checks(1)


EACH = 24
"""One mutant of so many is tried here; scripts/mutation tries all."""

ENOUGH = 0.62
"""What part of them must be noticed at least; two thirds of all are. Of the others most make no difference that could show:
conditions that guard against what cannot come together, and bounds that no example lies upon."""


def test_most_small_changes_are_noticed(mutation: ModuleType, checks: object) -> None:
    # All parts together, for a part by itself has too few mutants to tell a part of them.
    mutants = [mutant for function in mutation.functions() for mutant in mutation.mutants(function)][::EACH]
    unnoticed = [str(mutant) for mutant in mutants if not checks.notice(mutant)]  # type: ignore[attr-defined]
    assert len(mutants) >= 100
    assert len(unnoticed) <= (1 - ENOUGH) * len(mutants), unnoticed


def test_a_mutant_is_gone_afterwards(mutation: ModuleType) -> None:
    before = tracker.look.__code__
    mutant = next(mutation.mutants(tracker.look))
    with mutation.at_work(mutant):
        assert tracker.look.__code__ is mutant.code is not before
    assert tracker.look.__code__ is before
