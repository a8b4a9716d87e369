"""Translated source gives the same results as the original. Here both run in the interpreter, on the same objects."""

import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import fields
from typing import Any

import pytest

from labkit.analysis import pending, tracker
from labkit.analysis.catalogue import collect
from labkit.analysis.flows import FlowTable
from labkit.analysis.native.translate import Translation, UntranslatableError
from labkit.analysis.rule import Rule, Scope
from labkit.analysis.side import Side
from labkit.capture import Frame
from labkit.packet.decode.layer import ones_sum
from labkit.packet.decode.walk import decode
from labkit.packet.seen import Seen
from labkit.tcp.notation import parse
from labkit.teach.examples import frames

RULES = [rule for rule in collect() if rule.scope != Scope.LEDGER]


class Translated:
    """The functions of the verifier, translated, and run by the interpreter."""

    def __init__(self) -> None:
        whole = Translation({ones_sum: "ones_sum"})
        for function in (tracker.look, tracker.relate, tracker.advance, pending.resolve, pending.close, decode):
            whole.add(function)
        for rule in RULES:
            for each in (rule.predicate, rule.expected, rule.actual, rule.field):
                if callable(each):
                    whole.add(each)
        self.words, self.names = whole.words, whole.names
        space: dict[str, Any] = {"ones_sum": ones_sum}
        exec(compile(whole.text, "translation", "exec"), space)  # noqa: S102 - its own
        self.functions = {function: space[name] for function, name in whole.names.items()}

    def of(self, function: Callable[..., Any]) -> Callable[..., Any]:
        found: Callable[..., Any] = self.functions[function]
        return found


@pytest.fixture(scope="module")
def translated() -> Translated:
    return Translated()


def values(of: Any) -> dict[str, int]:
    return {field.name: getattr(of, field.name) for field in fields(of)}


@pytest.mark.parametrize("isns", [(0, 0), (2**32 - 1, 2**32 - 50)])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.code}-{rule.name}")
def test_the_translation_of_every_rule_gives_the_same(
    rule: Rule, isns: tuple[int, int], translated: Translated
) -> None:
    for text in (rule.good, rule.bad):
        compare(list(frames(list(parse(text)), isns=isns)), translated)


def compare(found: list[Frame], translated: Translated) -> None:
    """Verify a conversation with the original functions. At each step the translation must give the same on a copy."""
    table = FlowTable()
    for frame in found:
        seg = Seen(number=frame.number, time=frame.time, caplen=len(frame.data), wirelen=frame.wirelen)
        mine = deepcopy(seg)
        status = decode(frame.data, 0, len(frame.data), frame.link, seg)
        assert translated.of(decode)(frame.data, 0, len(frame.data), frame.link, mine) == status
        assert values(mine) == values(seg)
        if status != 1 or not seg.readable:
            continue
        flow, side = table.find(frame.data, seg)
        sides = [flow.sides[side], flow.sides[1 - side]]
        both(translated, tracker.look, seg, *sides)
        resolved = pending.Resolved()
        for me, peer in (sides, sides[::-1]):
            while both(translated, pending.resolve, me, resolved):
                ask(translated, seg, me, peer, resolved)
        both(translated, tracker.relate, seg, sides[0])
        ask(translated, seg, *sides)
        both(translated, tracker.advance, seg, *sides)
    for flow in table.close():
        both(translated, pending.close, *flow.sides)
        ask(translated, Seen(), *flow.sides)


def both(translated: Translated, function: Callable[..., Any], *arguments: Any) -> Any:
    copies = deepcopy(arguments)
    answer = function(*arguments)
    assert translated.of(function)(*copies) == (None if answer is None else int(answer))
    assert [values(each) for each in copies] == [values(each) for each in arguments]
    return answer


def ask(translated: Translated, *arguments: Any) -> None:
    """Ask the rules that take these arguments."""
    for rule in RULES:
        for each in (rule.predicate, rule.expected, rule.actual, rule.field):
            if callable(each) and (rule.scope == Scope.PENDING) == (len(arguments) == 4):
                answer = each(*arguments)
                mine = translated.of(each)(*arguments)
                assert (translated.words[mine] if isinstance(answer, str) else mine) == answer


# Functions that cannot be translated.

LIST = [1, 2]


def a_list(seg: Seen, me: Side, peer: Side) -> int:
    return LIST[seg.len]


def a_slice(buf: bytes) -> int:
    return len(buf[1:2])


def an_exception(number: int) -> int:
    try:
        return 1 // number
    except ZeroDivisionError:
        return 0


def a_float(number: int) -> bool:
    return number > 0.5


def a_comprehension(number: int) -> int:
    return max(each for each in (number, 2))


def a_call(number: int) -> int:
    return len(str(number))


def a_field_of_a_field(rule: Rule) -> int:
    return len(rule.code.name)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (a_list, "a list"),
        (a_slice, "a slice"),
        (an_exception, "try cannot be compiled"),
        (a_float, "a float"),
        (a_comprehension, "generatorexp cannot be compiled"),
        (a_call, "'str' is not known"),
        (a_field_of_a_field, "a field of a field"),
    ],
)
def test_an_untranslatable_function_is_refused(function: Callable[..., Any], words: str) -> None:
    with pytest.raises(UntranslatableError, match=rf"test_translate:\d+: {function.__name__}: {re.escape(words)}"):
        Translation().add(function)


LOWER, UPPER = (lambda number: number + 1), (lambda number: number + 2)


def test_lambdas_on_one_line_are_distinguished() -> None:
    whole = Translation()
    names = [whole.add(each) for each in (LOWER, UPPER)]
    space: dict[str, Any] = {}
    exec(whole.text, space)  # noqa: S102 - its own
    assert [space[name](5) for name in names] == [6, 7]


TABLE = {1: LOWER, 2: UPPER, 5: LOWER}


def from_table(kind: int, number: int) -> int:
    return TABLE[kind](number) if kind in TABLE else 0


def test_a_call_through_a_table_becomes_a_chain() -> None:
    whole = Translation()
    name = whole.add(from_table)
    space: dict[str, Any] = {}
    exec(whole.text, space)  # noqa: S102 - its own
    assert (
        [space[name](kind, 5) for kind in range(7)]
        == [from_table(kind, 5) for kind in range(7)]
        == [0, 6, 7, 0, 0, 6, 0]
    )
