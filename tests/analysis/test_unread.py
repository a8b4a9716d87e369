"""Frames that hold TCP, or may hold it, and that labkit cannot read: their number, the first one and the reason."""

from dataclasses import replace

import pytest
from frames import ether, ip4, tcp
from unread_cases import ARP, CASES, FOREIGN, SEGMENT, cut, frames

from labkit.analysis import unread
from labkit.analysis.limit_kinds import KINDS, NOTHING
from labkit.analysis.unread import MAX_ROWS, Unread, mark_pair, pair_bit
from labkit.analysis.verdict import Verdict
from labkit.analysis.verifier import Verifier
from labkit.capture import Damage, Frame


def verdict_on(found: list[Frame]) -> Verdict:
    return Verifier().run(found)


@pytest.mark.parametrize(("found", "limits", "other"), CASES.values(), ids=list(CASES))
def test_limits(found: list[Frame], limits: list[tuple[int, int, str]], other: int) -> None:
    verdict = verdict_on(found)
    named = [each for each in verdict.limits if each.kind == "not-read"]
    assert [(each.count, each.packet) for each in named] == [each[:2] for each in limits]
    for limit, (_count, _packet, words) in zip(named, limits, strict=True):
        assert words in limit.message
        assert f"packet {limit.packet})" in limit.message
    assert (verdict.other, verdict.not_read) == (other, sum(each.count for each in named))


def test_every_kind_is_known() -> None:
    kinds = {limit.kind for found, _limits, _other in CASES.values() for limit in verdict_on(found).limits}
    assert kinds <= {*KINDS, *NOTHING}


@pytest.mark.parametrize(
    "found",
    [
        [],
        frames(ARP),
        frames(ether(b"\x55" + ip4(tcp())[1:])),
        frames((65534, SEGMENT), (65534, SEGMENT)),
        cut(SEGMENT, 40)[:1],
        frames(FOREIGN),
    ],
    ids=["nothing", "arp", "malformed", "link type", "cut", "protocol"],
)
def test_a_capture_without_a_usable_segment_is_not_judged(found: list[Frame]) -> None:
    verdict = verdict_on(found)
    assert (verdict.outcome(), verdict.ok) == ("not-judged", False)
    assert verdict.limits[0].kind == "no-segments"


def test_nothing_of_the_selection_is_not_judged() -> None:
    verdict = Verifier(wanted=lambda _flow: False).run(frames(SEGMENT))
    assert (verdict.outcome(), verdict.limits[0].kind) == ("not-judged", "none-wanted")


def test_a_damaged_capture_never_passes() -> None:
    verdict = verdict_on(frames(SEGMENT))
    assert verdict.ok
    verdict = verdict.with_damage(Damage("it ends here", 9, cut=True))
    assert (verdict.outcome(), verdict.ok, verdict.up_to) == ("unreadable", False, 1)
    assert (verdict.limits[0].kind, verdict.limits[0].message) == ("damaged", "it ends here; judged up to there")
    verdict = verdict.with_damage(Damage("and here", 9, cut=True))
    assert [each.kind for each in verdict.limits].count("damaged") == 1


def test_a_limit_fails_only_if_it_is_named() -> None:
    verdict = verdict_on(frames(SEGMENT, FOREIGN))
    assert verdict.ok
    assert not replace(verdict, strict=("truncated",)).failing_limits()
    strict = replace(verdict, strict=KINDS)
    assert strict.outcome() == "fail"
    assert {each.kind for each in strict.failing_limits()} == {each.kind for each in verdict.limits}
    assert replace(verdict_on([]), strict=KINDS).outcome() == "not-judged"


def test_keys_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unread, "MAX_KEYS", 2)
    verdict = verdict_on(frames(SEGMENT, *(ether(ip4(tcp(), number)) for number in (99, 100, 101, 102))))
    (limit,) = [each for each in verdict.limits if each.kind == "not-read"]
    assert (limit.count, limit.packet) == (4, 2)
    assert "IP protocol 99, 100 " in limit.message


def test_the_first_packet_is_the_least_one() -> None:
    found = Unread()
    found.add(3 * unread.REASON, 9)
    found.add(3 * unread.REASON, 4, times=2)
    assert found.reasons(b"") == {3: (3, 4, [])}


def test_pairs_have_a_bit_of_their_own() -> None:
    pairs = bytearray(unread.PAIR_OCTETS)
    bits = {pair_bit(one, other) for one in range(30) for other in range(one, 30)}
    assert len(bits) == 465
    for bit in bits:
        mark_pair(pairs, bit)
    assert sum(octet.bit_count() for octet in pairs) == len(bits)
    assert pair_bit(3, 5) == pair_bit(5, 3)


def test_a_table_is_as_long_as_the_cases_need() -> None:
    """The case with many link types fills the rows of a batch of the compiled engine more than once."""
    assert len(CASES["many link types"][0]) > 2 * MAX_ROWS
