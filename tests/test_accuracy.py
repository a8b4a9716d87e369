"""`scripts/accuracy`: the independent observer, the reasons and the figures."""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wireshark import needs_wireshark_4_0

from labkit.analysis.native.engine import verify
from labkit.analysis.severity import DOCUMENT, RFC9293, Severity
from labkit.analysis.verifier import Verifier
from labkit.build.scenario import Scenario
from labkit.capture import create
from labkit.errors import CaptureError
from labkit.packet.linktype import ETHERNET
from labkit.tcp.notation import parse
from labkit.tcp.seq import MASK
from labkit.teach.examples import frames

TOP = Path(__file__).parents[1]
LIB = str(TOP / "scripts" / "lib")


@pytest.fixture(scope="module", autouse=True)
def _scripts() -> Iterator[None]:
    sys.path.insert(0, LIB)
    yield
    sys.path.remove(LIB)


def module(name: str) -> ModuleType:
    return import_module(name)


def told(tmp_path: Path, text: str, isn: int = 0) -> list:
    """The facts about each line of a conversation."""
    path = tmp_path / "a.pcap"
    with create(path, link=ETHERNET) as capture:
        for frame in frames(list(parse(text)), isns=(isn, isn)):
            capture.write(frame.time, frame.data, wirelen=frame.wirelen)
    return list(module("accuracy_facts").facts(path).values())


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 12)), max_size=30), st.integers(0, 60), st.integers(0, 20))
def test_intervals_count_what_a_set_would(pieces: list[tuple[int, int]], low: int, size: int) -> None:
    line, seen = module("accuracy_facts")._Line(), set()
    for start, length in pieces:
        line.add(start, start + length)
        seen |= set(range(start, start + length))
    assert line.count(low, low + size) == len(seen & set(range(low, low + size)))
    assert line.edges == sorted(set(line.edges))


@pytest.mark.parametrize("isn", [0, MASK, MASK - 100])
def test_facts_of_a_resend(tmp_path: Path, isn: int) -> None:
    first, ack, again, gap, fills, stale = told(
        tmp_path,
        """
        > P. 1:101(100) ack 1
        < .  1:1(0) ack 101 win 0
        > P. 1:101(100) ack 1
        > P. 201:301(100) ack 1
        > P. 101:201(100) ack 1
        < .  1:1(0) ack 51
        """,
        isn,
    )
    assert (first.first, first.old, first.seg_len, first.gap) == (True, 0, 100, False)
    assert (ack.under_way, ack.alone, ack.repeats) == (False, False, False)
    assert (again.old, again.acked, again.idle, again.closed) == (100, True, True, True)
    assert (gap.gap, gap.old, gap.shown, gap.beyond) == (True, 0, False, False)
    assert (fills.gap, fills.old, fills.beyond, fills.idle) == (False, 0, True, False)
    assert (stale.stale, stale.under_way) == (True, True)


def test_a_reason_holds_only_for_its_own_class(tmp_path: Path) -> None:
    reasons = module("accuracy_reasons")
    (fact,) = told(tmp_path, "> P. 1:101(100) ack 1")
    assert reasons.adjudicate("duplicate ACK", reasons.TSHARK, fact) is not None
    assert reasons.adjudicate("zero window", reasons.TSHARK, fact) is None
    assert reasons.adjudicate("duplicate ACK", reasons.TSHARK, None) is None
    busy = replace(fact, alone=False, under_way=True)
    assert reasons.adjudicate("duplicate ACK", reasons.TSHARK, busy) is None


def test_figures() -> None:
    counts, reasons = module("accuracy_score"), module("accuracy_reasons")
    group = "lost segment"
    right, open_ = next(
        (number, None)
        for number, reason in enumerate(reasons.REASONS)
        if (reason.group, reason.only, reason.right) == (group, reasons.LABKIT, reasons.LABKIT)
    )
    score = counts.Score()
    score.both[group] = 97
    score.cases = [
        counts.Case("a", 1, group, reasons.LABKIT, right),
        counts.Case("a", 2, group, reasons.LABKIT, open_),
        counts.Case("a", 3, group, reasons.TSHARK, open_),
    ]
    assert score.raw(group) == (97 / 99, 97 / 98)
    assert score.adjudicated(group) == (98 / 99, 98 / 99)
    assert score.misses() == [group]
    score.cases = score.cases[:1]
    assert score.misses() == []


@needs_wireshark_4_0
def test_the_captures_at_hand_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tshark, accuracy, page = module("accuracy_tshark"), module("accuracy"), module("accuracy_page")
    monkeypatch.setattr(tshark.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = TOP / "pcaps" / "real"
    release = tshark.version()
    whole = module("accuracy_score").Score()
    for path in accuracy.captures(folder):
        whole.add(accuracy.compare(release, folder, path))
    assert whole.captures >= 3
    assert whole.both["checksum"] + whole.both["retransmission family"] > 0
    assert [case for case in whole.cases if case.reason is None] == []
    assert whole.unseen == []
    text = page.page({"pcaps": whole}, release)
    assert f"| retransmission family | {whole.named('retransmission family'):,} |" in text
    assert str(TOP) not in text


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
@pytest.mark.parametrize("name", ["lossy-both-sides", "zero-window"])
def test_scenarios_leave_no_disagreement_open(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tshark, accuracy = module("accuracy_tshark"), module("accuracy")
    monkeypatch.setattr(tshark.tempfile, "gettempdir", lambda: str(tmp_path))
    Scenario.load(name).play(seed=1).write(path := tmp_path / "a.pcapng")
    score = accuracy.compare(tshark.version(), tmp_path, path)
    assert score.cases, "there is something to be told"
    assert [case for case in score.cases if case.reason is None] == []


def errors_of(path: Path) -> dict[str, set[int | None]]:
    """The errors in a capture, under both profiles: the packets by code."""
    found: dict[str, set[int | None]] = {}
    for profile in (RFC9293, DOCUMENT):
        for each in verify(path, profile).findings:
            if each.severity == Severity.ERROR:
                found.setdefault(each.code, set()).add(each.packet)
    return found


def listed() -> dict[str, dict[str, tuple[int, ...]]]:
    """What `accuracy_errors` has of each capture."""
    every: dict[str, dict[str, tuple[int, ...]]] = {}
    for group in module("accuracy_errors").ERRORS:
        for path, found in group.found.items():
            assert not every.get(path, {}).keys() & found.keys(), f"{path} is listed twice"
            every.setdefault(path, {}).update(found)
    return every


@pytest.mark.skipif("LABKIT_CAPTURES" not in os.environ, reason="LABKIT_CAPTURES names no folder of captures")
@pytest.mark.parametrize("part", ["kernel", "real"])
def test_every_error_on_the_captures_is_listed_with_its_proof(part: str) -> None:
    folder = Path(os.environ["LABKIT_CAPTURES"])
    wanted = listed()
    judged = 0
    for path in module("accuracy").captures(folder / part):
        try:
            found = errors_of(path)
        except CaptureError:
            continue
        judged += 1
        name = path.relative_to(folder).as_posix()
        expected = wanted.get(name, {})
        assert found.keys() == expected.keys(), name
        for code, packets in expected.items():
            assert not packets or found[code] == set(packets), f"{name}: {code}"
    assert judged > 50


def test_the_page_has_every_error() -> None:
    page = (TOP / "docs" / "accuracy.md").read_text("utf-8")
    for path, found in listed().items():
        lines = [line for line in page.splitlines() if line.startswith(f"- `{path}`: ")]
        assert all(any(f"{code}" in line for line in lines) for code in found), path


def test_each_situation_can_be_judged() -> None:
    situations = module("accuracy_situations").SITUATIONS
    assert len({each.title for each in situations}) == len(situations) > 30
    for each in situations:
        verdict = Verifier().run(frames(list(parse(each.conversation, each.title))))
        assert verdict.segments == len(each.conversation.strip().splitlines())
        assert re.match(r"RFC \d{4} \d", each.reference)
        assert each.linux


@needs_wireshark_4_0
def test_the_section_of_situations_says_what_both_say() -> None:
    situations = module("accuracy_situations")
    chosen = {each.title: situations.opinions(each) for each in situations.SITUATIONS if "MPTCP" in each.title}
    edge = chosen["MPTCP: the right edge of a subflow falls"]
    assert edge == ("", "MP05 (note)")
    theirs, ours = chosen["MPTCP: ADD_ADDR and DATA_FIN while data is under way"]
    assert "Duplicate ACK" in theirs
    assert ours == "MP05 (note)"


def test_only_the_section_of_situations_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    situations = module("accuracy_situations")
    monkeypatch.setattr(situations, "section", lambda release: iter([situations.BEGIN, release, ""]))
    once = situations.replaced("# A\n\n## Segments\n\nrest\n", "4.0")
    assert once == "# A\n\n## Situations\n4.0\n\n## Segments\n\nrest\n"
    assert situations.replaced(once, "4.2") == once.replace("4.0", "4.2")
