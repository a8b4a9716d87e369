"""Both engines say the same of every capture: findings, limits, conversations and counts."""

import os
from pathlib import Path

import pytest

from labkit.capture import Frame, open_capture
from labkit.compiled.judge import Judge
from labkit.compiled.loader import Library
from labkit.compiled.reader import Batch, Feed
from labkit.errors import CaptureError, LabkitError
from labkit.examples import frames
from labkit.faults import faults, inject
from labkit.finding import groups
from labkit.notation import parse
from labkit.rule import DOCUMENT, LITERAL, RFC9293, collect
from labkit.scenario import Scenario
from labkit.verifier import Verdict, Verifier

PCAPS = Path(__file__).parents[2] / "pcaps"
FOLDER = os.environ.get("LABKIT_CAPTURES")
LARGEST = 150_000
"""Octets of a capture that is tried here; larger ones have little else in them."""
FILES = [
    each for each in sorted(Path(FOLDER or PCAPS).rglob("*.*")) if each.is_file() and each.stat().st_size < LARGEST
]
PROFILES = {RFC9293: RFC9293, DOCUMENT: DOCUMENT, LITERAL: DOCUMENT}
"""Each profile of rules, and the one that a verdict names."""


def compiled(found: list[Frame], code: Library, profile: str) -> Verdict:
    judge, feed, batch = Judge(profile, code), Feed(found, code), Batch()
    while feed.fill(batch):
        judge.take(batch)
    return judge.verdict(batch.packets, batch.start, PROFILES[profile])


def agree(found: list[Frame], code: Library, profile: str) -> None:
    # The pieces of a datagram in an example have one number; in a capture each has its own.
    found = [frame._replace(number=number) for number, frame in enumerate(found, 1)]
    one = Verifier(PROFILES[profile], literal=profile == LITERAL).run(found)
    other = compiled(found, code, profile)
    assert list(other.findings) == list(one.findings)
    assert other == one
    assert sorted(map(repr, groups(other.findings, 3))) == sorted(map(repr, groups(one.findings, 3)))


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_of_captures(path: Path, profile: str, code: Library) -> None:
    try:
        with open_capture(path) as capture:
            found = list(capture)
    except CaptureError as why:
        pytest.skip(str(why))
    agree(found, code, profile)


@pytest.mark.parametrize("isns", [(0, 0), (2**32 - 1, 2**32 - 50)])
def test_of_the_rules_examples(isns: tuple[int, int], code: Library) -> None:
    for rule in collect():
        for text in (rule.good, rule.bad):
            for profile in PROFILES:
                agree(list(frames(list(parse(text)), isns=isns)), code, profile)


@pytest.mark.parametrize("name", ["document", "fast-retransmit-sack", "keep-alive", "http-ipv6"])
def test_of_faults(name: str, code: Library, tmp_path: Path) -> None:
    trace = Scenario.load(name).play(seed=5)
    tried = 0
    for fault in faults():
        try:
            spoiled = inject(trace, [fault.name])
        except LabkitError:
            continue  # it does not apply to this scenario
        tried += 1
        spoiled.write(tmp_path / "a.pcapng")
        with open_capture(tmp_path / "a.pcapng") as capture:
            agree(list(capture), code, RFC9293)
    assert tried > 10
