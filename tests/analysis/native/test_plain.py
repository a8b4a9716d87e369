"""What is left of a rule for a plain segment gives the same answer as the whole rule."""

import ast
from dataclasses import fields
from functools import cache
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.analysis.native.kernels import kernels
from labkit.analysis.native.plain import WHOLE, Fact, facts, simplify
from labkit.analysis.native.segment_loop import is_plain
from labkit.analysis.side import Side
from labkit.packet.seen import Seen
from labkit.tcp.segment import ACK, PSH

KNOWN = {"ctl": Fact(~PSH, ACK), "sack_n": Fact(WHOLE, 0), "mss": Fact(WHOLE, -1)}


def function(body: str) -> ast.FunctionDef:
    found = ast.parse("def f(seg, me, peer):\n" + "\n".join(f"    {line}" for line in body.splitlines())).body[0]
    assert isinstance(found, ast.FunctionDef)
    return found


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ("return seg.ctl & 2 != 0 and me.x", None),
        ("return seg.ctl & (2 | 4) == 0 and me.x", "return me.x"),
        ("return seg.ctl & 24 == 24", "return seg.ctl & 24 == 24"),
        ("return seg.ctl & 8", "return seg.ctl & 8"),
        ("return me.x and seg.sack_n", "return me.x and 0"),
        ("return me.x or seg.sack_n", "return me.x or 0"),
        ("return seg.sack_n or me.x", "return me.x"),
        ("return not seg.sack_n and me.x", "return me.x"),
        ("return seg.mss == -1 and 7", "return 7"),
        ("return seg.mss != -1", None),
        ("return seg.mss >= 0 or me.y", "return me.y"),
        ("return 0 <= seg.mss < 9", "return 0 <= -1 < 9"),
        ("return me.sack_n > 0", "return me.sack_n > 0"),
        ("if seg.ctl & 16 == 0:\n    return 0\nreturn me.x", "return me.x"),
        ("if seg.ctl & 16:\n    return me.y\nreturn me.x", "return me.y"),
        ("if me.x:\n    if seg.sack_n:\n        a = 1\nreturn me.x", "if me.x:\n    pass\nreturn me.x"),
        ("if seg.sack_n:\n    return 1\nelse:\n    return 0", None),
        ("return 2 if seg.sack_n else me.x", "return me.x"),
    ],
)
def test_tests_with_a_known_answer_go(body: str, left: str | None) -> None:
    found = simplify(function(body), "g", KNOWN)
    assert (found and "\n".join(map(ast.unparse, found.body))) == left


def test_facts_are_those_of_the_test() -> None:
    assert facts(function("return seg.ctl & ~8 == 16 and seg.sack_n == 0 and seg.mss == -1")) == KNOWN


@pytest.mark.parametrize("body", ["return seg.x == 0", "x = 1\nreturn x", "return seg.x == 0 and seg.y > 0"])
def test_a_test_of_another_kind_is_refused(body: str) -> None:
    with pytest.raises(AssertionError):
        facts(function(body))


class Translated(NamedTuple):
    """All functions as they are compiled, and the names of the rules that are asked of any and of a plain segment."""

    text: str
    functions: dict[str, Any]
    asked: list[str]
    plain: list[str]


@cache
def translated() -> Translated:
    text, _names = kernels()
    functions: dict[str, Any] = {}
    exec(compile(text, "kernels", "exec"), functions)  # noqa: S102 - its own
    asked = [
        line.split()[2].partition("(")[0]
        for line in text.partition("def ask_segment(")[2].partition("\ndef ")[0].splitlines()
        if line.strip().startswith("found =")
    ]
    plain = sorted(name.removeprefix("plain_") for name in functions if name.startswith("plain_"))
    return Translated(text, functions, asked, plain)


NUMBERS = st.sampled_from([0, 0, 0, 1, 1, 2, 3, 16, 24, 100, 1460, 65535, -1, 2**31, 2**32 - 1])


def filled(kind: type, data: st.DataObject) -> Any:
    """An object with numbers that are often equal; lists keep their defaults."""
    made = kind()
    names = [each.name for each in fields(kind) if not isinstance(getattr(made, each.name), list)]
    for name, value in zip(names, data.draw(st.lists(NUMBERS, min_size=len(names), max_size=len(names))), strict=True):
        setattr(made, name, value)
    return made


def answer(name: str, seg: Seen, me: Side, peer: Side) -> int | None:
    """A rule's answer; None where such numbers, which no capture gives, have it divide by 0 or shift by a negative number."""
    try:
        return int(translated().functions[name](seg, me, peer))
    except (ValueError, ZeroDivisionError):
        return None


def test_few_rules_are_asked_of_a_plain_segment() -> None:
    _text, _functions, asked, plain = translated()
    assert set(plain) < set(asked)
    assert len(plain) <= 2 / 3 * len(asked)


@given(st.data())
def test_what_is_left_answers_like_the_whole_rule(data: st.DataObject) -> None:
    text, _functions, asked, plain = translated()
    seg, me, peer = filled(Seen, data), filled(Side, data), filled(Side, data)
    seg.ctl = data.draw(st.sampled_from([ACK, ACK | PSH]))
    for name, fact in facts(
        ast.parse(text[text.index("def analysis_native_segment_loop__is_plain") :]).body[0]
    ).items():  # type: ignore[arg-type]
        setattr(seg, name, getattr(seg, name) & ~fact.mask | fact.value)
    assert is_plain(seg)
    for name in asked:
        left = answer(f"plain_{name}", seg, me, peer) if name in plain else 0
        assert answer(name, seg, me, peer) == left, name
