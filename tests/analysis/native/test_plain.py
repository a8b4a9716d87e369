"""What is left of a rule for segments of a kind gives the same answer as the whole rule."""

import ast
from copy import deepcopy
from dataclasses import fields
from functools import cache
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.analysis.native.kernels import kernels
from labkit.analysis.native.plain import WHOLE, Fact, Simplified, facts
from labkit.analysis.native.segment_loop import KINDS
from labkit.analysis.side import Side
from labkit.packet.seen import Seen
from labkit.tcp.segment import ACK, PSH

KNOWN = {
    "seg.ctl": Fact(~PSH, ACK),
    "seg.sack_n": Fact(WHOLE, 0),
    "seg.mss": Fact(WHOLE, -1),
    "peer.probe": Fact(WHOLE, 0),
}


def function(body: str, head: str = "f(seg, me, peer)") -> ast.FunctionDef:
    found = ast.parse(f"def {head}:\n" + "\n".join(f"    {line}" for line in body.splitlines())).body[0]
    assert isinstance(found, ast.FunctionDef)
    return found


def left_of(*functions: ast.FunctionDef) -> str:
    """What is left of the last function, as text."""
    made = Simplified({each.name: each for each in functions}, KNOWN, "plain").of(functions[-1].name)
    return "\n".join(map(ast.unparse, made.body)) if isinstance(made, ast.FunctionDef) else f"return {made.value}"


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ("return seg.ctl & 2 != 0 and me.x", "return 0"),
        ("return seg.ctl & (2 | 4) == 0 and me.x", "return me.x"),
        ("return seg.ctl & 24 == 24", "return seg.ctl & 24 == 24"),
        ("return seg.ctl & 24 == 8", "return 0"),
        ("return seg.ctl & 24 != 8", "return 1"),
        ("return seg.ctl & 63 == 0", "return 0"),
        ("return seg.ctl & 8 == 0", "return seg.ctl & 8 == 0"),
        ("return seg.ctl & 8", "return seg.ctl & 8"),
        ("return me.x and seg.sack_n", "return 0"),
        ("return me.x or seg.sack_n", "return me.x"),
        ("return me.x or seg.mss", "return me.x or -1"),
        ("return me.x or not seg.sack_n", "return me.x or 1"),
        ("return me.x > 2 or not seg.sack_n", "return 1"),
        ("return me.x and not seg.sack_n", "return me.x and 1"),
        ("return me.x > 2 and not seg.sack_n", "return me.x > 2"),
        ("return me.x and not seg.sack_n and me.y", "return me.x and me.y"),
        ("return not seg.sack_n and not seg.sack_n", "return 1"),
        ("return seg.sack_n or seg.sack_n", "return 0"),
        ("return (me.x or me.y > 2) and not seg.sack_n", "return (me.x or me.y > 2) and 1"),
        ("return seg.sack_n or me.x", "return me.x"),
        ("return not seg.sack_n and me.x", "return me.x"),
        ("return seg.mss == -1 and 7", "return 7"),
        ("return seg.mss != -1", "return 0"),
        ("return seg.mss >= 0 or me.y", "return me.y"),
        ("return 0 <= seg.mss < 9", "return 0 <= -1 < 9"),
        ("return me.sack_n > 0", "return me.sack_n > 0"),
        ("return peer.probe or me.probe", "return me.probe"),
        ("if seg.ctl & 16 == 0:\n    return 0\nreturn me.x", "return me.x"),
        ("if seg.ctl & 16:\n    return me.y\nreturn me.x", "return me.y"),
        ("if me.x or me.y or not seg.sack_n:\n    return me.y\nreturn me.x", "return me.y"),
        ("if me.x:\n    if seg.sack_n:\n        a = 1\nreturn me.x", "return me.x"),
        (
            "if me.x:\n    a = me.x\nelse:\n    a = seg.sack_n\nreturn a",
            "if me.x:\n    a = me.x\nelse:\n    a = 0\nreturn a",
        ),
        (
            "if me.x:\n    if seg.sack_n:\n        return 1\nelse:\n    return me.y\nreturn 2",
            "if me.x:\n    pass\nelse:\n    return me.y\nreturn 2",
        ),
        ("if seg.sack_n:\n    return 1\nelse:\n    return 0", "return 0"),
        ("if me.x:\n    return 0\nif me.y:\n    return 0\nreturn seg.sack_n", "return 0"),
        ("if me.x:\n    return 1\nreturn seg.sack_n", "if me.x:\n    return 1\nreturn 0"),
        ("return 2 if seg.sack_n else me.x", "return me.x"),
        ("a = seg.sack_n > 0\nreturn a and me.x", "return 0"),
        ("a = seg.sack_n\nif me.x:\n    a = 1\nreturn a", "a = 0\nif me.x:\n    a = 1\nreturn a"),
        ("me = seg.sack_n\nreturn me", "me = 0\nreturn me"),
        ("a = 0\nfor i in range(seg.sack_n):\n    a |= seg.left[i]\nreturn a", "return 0"),
        ("a = 0\nfor i in range(1, seg.sack_n):\n    a |= seg.left[i]\nreturn a", "return 0"),
        ("a = 0\nfor i in range(me.x):\n    a |= 1\nreturn a", "a = 0\nfor i in range(me.x):\n    a |= 1\nreturn a"),
    ],
)
def test_tests_with_a_known_answer_go(body: str, left: str) -> None:
    assert left_of(function(body)) == left


@pytest.mark.parametrize(
    ("callee", "call", "left"),
    [
        ("g(seg)", "g(seg)", "return plain_g(seg)"),
        ("g(seg, me, peer)", "g(seg, me, peer)", "return plain_g(seg, me, peer)"),
        ("g(peer)", "g(me)", "return g(me)"),
        ("g(seg, me, peer)", "g(seg, peer, me)", "return g(seg, peer, me)"),
        ("g(seg, x)", "g(seg, me.x)", "return plain_g(seg, me.x)"),
        ("g(seg, x)", "g(me, me.x)", "return g(me, me.x)"),
        ("h(seg)", "g(seg)", "return g(seg)"),
    ],
)
def test_functions_that_are_called_with_the_same_arguments_are_simplified(callee: str, call: str, left: str) -> None:
    assert left_of(function("return seg.x + seg.sack_n", callee), function(f"return {call}")) == left


CHANGES = function("me.x = me.x + 1\nreturn me.x", "g(me)")


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ("return g(me) and seg.sack_n", "return g(me) and 0"),
        ("return me.y and seg.sack_n and g(me)", "return 0"),
        ("if g(me) or not seg.sack_n:\n    return me.y\nreturn 0", "if g(me) or 1:\n    return me.y\nreturn 0"),
        ("if g(me):\n    if seg.sack_n:\n        return 1\nreturn 0", "if g(me):\n    pass\nreturn 0"),
        ("if g(me):\n    return 0\nreturn seg.sack_n", "if g(me):\n    return 0\nreturn 0"),
        ("return h(seg, g(me))", "return h(seg, g(me))"),
        ("return h(seg, min(me.x, 2))", "return 0"),
        ("return unknown(me) and seg.sack_n", "return unknown(me) and 0"),
        ("me.y = seg.mss\nreturn", "me.y = -1\nreturn"),
        ("while me.x:\n    if seg.sack_n:\n        me.x = 1\nreturn", "while me.x:\n    pass\nreturn"),
        (
            "for i in range(me.x):\n    if seg.sack_n:\n        me.x = 1\nreturn",
            "for i in range(me.x):\n    pass\nreturn",
        ),
        ("if seg.sack_n:\n    me.x = 1", "return"),
    ],
)
def test_what_changes_something_stays(body: str, left: str) -> None:
    assert left_of(CHANGES, function("return seg.sack_n", "h(seg, a)"), function(body)) == left


def test_a_function_that_is_left_alone_changes_what_it_did() -> None:
    """The same function, called with the segment of which facts are known, and with another one."""
    callee = function("if seg.sack_n:\n    me.x = 1\nreturn 0", "g(seg, me)")
    body = function("g(seg, me)\nif g(other, me):\n    return 0\nreturn 0", "f(seg, other, me)")
    assert left_of(callee, body) == "0\nif g(other, me):\n    return 0\nreturn 0"


def test_facts_may_not_change() -> None:
    with pytest.raises(AssertionError, match=r"f changes seg.mss"):
        left_of(function("seg.mss = 3\nreturn"))


def test_an_answer_of_a_function_that_is_called_is_known() -> None:
    assert left_of(function("return seg.sack_n > 0", "g(seg)"), function("return g(seg) or me.x")) == "return me.x"


def test_facts_are_those_of_the_test() -> None:
    assert (
        facts(function("return seg.ctl & ~8 == 16 and seg.sack_n == 0 and seg.mss == -1 and peer.probe == 0"), {})
        == KNOWN
    )


def test_facts_of_a_function_that_is_called_with_the_same_names() -> None:
    called = {"g": function("return seg.x == 1 and me.y == 2")}
    called["g"].args.args = [ast.arg("seg"), ast.arg("me")]
    found = facts(function("return seg.z == 3 and g(seg, me)"), called)
    assert found == {"seg.z": Fact(WHOLE, 3), "seg.x": Fact(WHOLE, 1), "me.y": Fact(WHOLE, 2)}
    with pytest.raises(AssertionError):
        facts(function("return seg.z == 3 and g(me, seg)"), called)


@pytest.mark.parametrize("body", ["return seg.x == 0", "x = 1\nreturn x", "return seg.x == 0 and seg.y > 0"])
def test_a_test_of_another_kind_is_refused(body: str) -> None:
    with pytest.raises(AssertionError):
        facts(function(body), {})


class Translated(NamedTuple):
    """All functions as they are compiled, and the names of those that are asked of any segment, and of each kind."""

    text: str
    functions: dict[str, Any]
    asked: list[str]
    kinds: dict[str, list[str]]


@cache
def translated() -> Translated:
    text, _names = kernels()
    functions: dict[str, Any] = {}
    exec(compile(text, "kernels", "exec"), functions)  # noqa: S102 - its own
    kinds = {kind: asked(text, f"ask_{kind}") for kind in KINDS}
    return Translated(text, functions, asked(text, "ask_others"), kinds)


def asked(text: str, name: str) -> list[str]:
    """The functions that one of the functions `ask_*` asks."""
    lines = text.partition(f"def {name}(")[2].partition("\ndef ")[0].splitlines()
    return [line.split()[2].partition("(")[0] for line in lines if line.strip().startswith("found =")]


@cache
def known(test: str) -> dict[str, Fact]:
    """The facts that a function of `segment_loop` asks for."""
    parsed = {each.name: each for each in ast.parse(translated().text).body if isinstance(each, ast.FunctionDef)}
    return facts(parsed[f"analysis_native_segment_loop__{test}"], parsed)


USUAL = [f"analysis_tracker__{name}" for name in ("look", "advance")]
"""Functions that do something."""
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


@pytest.mark.parametrize("name", USUAL)
@settings(max_examples=50)
@given(data=st.data())
def test_what_is_left_for_usual_segments_does_the_same(name: str, data: st.DataObject) -> None:
    functions = translated().functions
    seg = filled(Seen, data)
    for field, fact in known("is_usual").items():
        field = field.removeprefix("seg.")
        setattr(seg, field, getattr(seg, field) & ~fact.mask | fact.value)
    assert functions["analysis_native_segment_loop__is_usual"](seg)
    whole = seg, filled(Side, data), filled(Side, data)
    for side in whole[1:]:
        side.pending_n = data.draw(st.integers(0, 2))
    left = deepcopy(whole)
    try:
        answer = functions[name](*whole)
    except (ValueError, ZeroDivisionError):
        return  # numbers that no capture gives
    assert functions[f"usual_{name}"](*left) == answer
    assert left == whole


@pytest.mark.parametrize(("kind", "most"), [("plain", 40), ("first_syn", 12), ("first_syn_ack", 24), ("third", 36)])
def test_few_rules_are_asked_of_a_kind(kind: str, most: int) -> None:
    _text, _functions, every, kinds = translated()
    assert {name.removeprefix(f"{kind}_") for name in kinds[kind]} < set(every)
    assert len(kinds[kind]) <= most < len(every) / 2


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_what_is_left_answers_like_the_whole_rule(kind: str, data: st.DataObject) -> None:
    _text, _functions, every, kinds = translated()
    given = {"seg": filled(Seen, data), "me": filled(Side, data), "peer": filled(Side, data)}
    seg, me, peer = given.values()
    seg.ctl = data.draw(st.sampled_from([ACK, ACK | PSH]))
    for name, fact in known(KINDS[kind].__name__).items():
        owner, _dot, field = name.partition(".")
        setattr(given[owner], field, getattr(given[owner], field) & ~fact.mask | fact.value)
    assert KINDS[kind](seg, me, peer)
    for name in every:
        whole = answer(name, seg, me, peer)
        left = [each for each in (name, f"{kind}_{name}") if each in kinds[kind]]
        assert whole in (None, answer(left[0], seg, me, peer) if left else 0), name
