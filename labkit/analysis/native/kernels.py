"""The compiled engine as one text: the interpreter's source, translated, and what follows from the catalogue of rules.

From the catalogue come a function for each scope, which asks its rules one after the other, and a function for each rule, which
puts down what the rule has found, with the numbers that its message shows.
"""

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from labkit.analysis import payload
from labkit.analysis.catalogue import shipped
from labkit.analysis.native import line_writer, order, primitives, segment_loop, shard_loop
from labkit.analysis.native.assembly import Assembly
from labkit.analysis.native.context import NONE, SEVERITIES, BatchRow, Context, ShardsRow
from labkit.analysis.native.lines import Row
from labkit.analysis.native.plain import Simplified, facts
from labkit.analysis.native.translate import Translation, UntranslatableError
from labkit.analysis.rule import Rule, Scope
from labkit.analysis.severity import RFC9293, Severity
from labkit.errors import UncompilableError
from labkit.i18n import _
from labkit.packet.decode.layer import ones_sum

ASK = {
    Scope.FRAME: segment_loop.ask_frame,
    Scope.SEGMENT: segment_loop.ask_segment,
    Scope.PENDING: segment_loop.ask_pending,
    Scope.SIDE: segment_loop.ask_side,
    Scope.FLOW: segment_loop.ask_flow,
}
OPERATIONS = {each: each.__name__ for each in (primitives.behind, primitives.fetch, primitives.half, primitives.copy)}
"""Functions that are a single operation of `labkit.analysis.native.assembly`."""

FASTER: dict[Callable[..., Any], Callable[..., Any]] = {
    ones_sum: primitives.ones_sum,
    payload.copy_octets: primitives.copy_octets,
    payload.first_difference: primitives.first_difference,
}
"""Functions of the interpreter, and what is compiled in their place."""

ENTRIES: dict[Callable[..., int], tuple[type, ...]] = {
    segment_loop.find_records: (BatchRow,),
    segment_loop.decode_batch: (BatchRow,),
    segment_loop.process_batch: (BatchRow, Context),
    segment_loop.finish: (Context,),
    shard_loop.process_shard: (BatchRow, Context),
    shard_loop.finish_shard: (BatchRow, Context),
    shard_loop.plan_round: (ShardsRow,),
    shard_loop.compare_isns: (BatchRow, Context),
    shard_loop.merge_findings: (ShardsRow,),
    order.order_findings: (Context,),
    order.ask_about: (Context,),
    order.settle: (Context,),
    line_writer.write_lines: (BatchRow, line_writer.LinesRow),
}
"""The entries of the machine code, each of which takes the addresses of such rows."""

PARAMETERS = "seg, me, peer, flow, side, ctx"
OTHERS = "ask_others"
"""The function that asks the rules about a segment which is not plain."""
RESOLVED = "    resolved = ctx.resolved[0]"


@cache
def words() -> tuple[str, ...]:
    """The names that the numbers in `FindingRow.field_name` stand for."""
    whole = Translation()
    _add_field_functions(whole)
    return tuple(whole.words)


def _add_field_functions(whole: Translation) -> None:
    """Translate the functions by which rules choose a field: their strings become `Translation.words`."""
    for rule in shipped():
        if callable(rule.field) and rule.scope in ASK:
            whole.add(rule.field)


@cache
def kernels() -> tuple[str, Mapping[Callable[..., Any], str]]:
    """The text that is compiled, and the names of functions in it. UncompilableError for a rule that cannot be translated."""
    placeholders: list[Callable[..., Any]] = [*ASK.values(), shard_loop.ask_hosts, segment_loop.judge_usual]
    whole = Translation(OPERATIONS | {each: each.__name__ for each in placeholders})
    whole.names |= {slow: whole.add(fast) for slow, fast in FASTER.items()}
    _add_field_functions(whole)  # first, so that their strings have the numbers of `words`
    rules = shipped()
    codes = list(dict.fromkeys(rule.code for rule in rules))
    report_functions = []
    asked: dict[Scope, list[tuple[int, str]]] = {scope: [] for scope in ASK}
    for number, rule in enumerate(rules):
        if rule.scope not in ASK:
            continue  # scope LEDGER: both engines leave these rules to `labkit.analysis.examine`
        asked[rule.scope].append((number, _predicate(rule, whole)))
        report_functions.append("\n".join(_report(number, rule, codes.index(rule.code), whole)))
    kinds = {kind: whole.add(test) for kind, test in segment_loop.KINDS.items()}
    before = whole.text
    judge, is_usual = whole.add(segment_loop.judge), whole.add(segment_loop.is_usual)
    judging = whole.text[len(before) :]
    for entry in ENTRIES:
        whole.add(entry)
    functions = _functions(before)
    hosts = [(number, name) for number, name in asked[Scope.SEGMENT] if _reads_host(name, functions)]
    simplified: list[str] = []
    ask_functions: list[str] = []
    for kind, test in kinds.items():
        simpler = Simplified(functions, facts(functions[test], functions), kind)
        ask_functions.append(_asking(f"ask_{kind}", _left(asked[Scope.SEGMENT], simpler)))
        simplified += map(ast.unparse, simpler.made.values())
    ask_functions.append(_asking(shard_loop.ask_hosts.__name__, hosts))
    for scope, each in asked.items():
        ask_functions.append(_asking(ASK[scope].__name__, each, kinds if scope == Scope.SEGMENT else {}))
    parts = [before, *simplified, *report_functions, *ask_functions, judging]
    parts += [*_usual("\n\n\n".join(parts), judge, is_usual), whole.text[len(before) + len(judging) :]]
    return "\n\n\n".join(parts), dict(whole.names)


def _functions(text: str) -> dict[str, ast.FunctionDef]:
    """The functions of a text, by name."""
    return {each.name: each for each in ast.parse(text).body if isinstance(each, ast.FunctionDef)}


def _usual(text: str, judge: str, test: str) -> Iterator[str]:
    """`segment_loop.judge_usual`, and the functions that it calls: what is left of `segment_loop.judge` for usual segments."""
    functions = _functions(text)
    known = facts(functions[test], functions)
    # Few usual segments find something, or are asked about all that.
    rare = {OTHERS, ASK[Scope.PENDING].__name__, *(name for name in functions if name.startswith("report_"))}
    simpler = Simplified({name: each for name, each in functions.items() if name not in rare}, known, "usual")
    simpler.of(judge)
    simpler.made[judge].name = segment_loop.judge_usual.__name__
    yield from map(ast.unparse, simpler.made.values())


def _left(predicates: Iterable[tuple[int, str]], simpler: Simplified) -> Iterator[tuple[int, str]]:
    """The predicates that may find something in segments of a kind, simplified where that is possible."""
    for number, name in predicates:
        left = simpler.of(name)
        if isinstance(left, ast.FunctionDef):
            yield number, left.name
        elif left.value:
            yield number, name


def _reads_host(name: str, functions: Mapping[str, ast.FunctionDef]) -> bool:
    """Whether a function, or one that it calls, reads the initial sequence numbers of a host."""
    for node in ast.walk(functions[name]):
        if isinstance(node, ast.Attribute) and node.attr == "host_isns":
            return True
        if isinstance(node, ast.Name) and node.id in functions and _reads_host(node.id, functions):
            return True
    return False


def _asking(name: str, predicates: Iterable[tuple[int, str]], kinds: Mapping[str, str] = MappingProxyType({})) -> str:
    """A function that asks rules, given by their numbers and the names of their predicates. Segments of `kinds`, which tests
    tell, have functions of their own."""
    lines = [f"def {name}({PARAMETERS}):", RESOLVED]
    for number, (kind, test) in enumerate(kinds.items()):
        lines += [f"    if {test}(seg, me, peer):", f"        ask_{kind}({PARAMETERS})", "        return"]
        if number == 0:  # the kind of most segments
            lines += [f"    {OTHERS}({PARAMETERS})", "    return", "", "", f"def {OTHERS}({PARAMETERS}):", RESOLVED]
    for number, predicate in predicates:
        rule = shipped()[number]
        lines += [
            f"    if {RFC9293 in rule.profiles:d} or ctx.severities[{number}]:",
            f"        found = {predicate}({_arguments(rule)})",
            "        if found:",
            f"            report_{number}(found, {PARAMETERS})",
        ]
    return "\n".join([*lines, "    return"])


def _arguments(rule: Rule) -> str:
    return "seg, me, peer, resolved" if rule.scope == Scope.PENDING else "seg, me, peer"


def _predicate(rule: Rule, whole: Translation) -> str:
    """The name of a rule's translated predicate. UncompilableError, naming the rule, where it cannot be translated."""
    try:
        return whole.add(rule.predicate)
    except UntranslatableError as error:
        text = _("rule {code} ({name}) cannot be compiled: {reason}")
        raise UncompilableError(text.format(code=rule.code, name=rule.name, reason=error)) from None


def _report(number: int, rule: Rule, code: int, whole: Translation) -> Iterator[str]:
    """The function that puts down what a rule has found."""
    packet, time = rule.place or ("0", "0")
    yield f"def report_{number}(found, {PARAMETERS}):"
    yield RESOLVED
    # The interpreter refuses any other answer. Here it must not write to foreign memory.
    yield f"    answer = max(1, min(found, {max(Severity):d}))"
    if rule.limits:
        yield f"    {whole.add(segment_loop.count_hit)}({SEVERITIES * number} + answer, {packet}, ctx)"
    if rule.retransmission:
        yield "    flow.resent[side] = flow.resent[side] + 1"
    sender = "1 - side" if rule.at.startswith("peer") else "side"
    once = code if rule.once else NONE
    yield f"    rule, once, sender, packet, time = {number}, {once}, {sender}, {packet}, {time}"
    add_finding = whole.add(segment_loop.add_finding)
    yield f"    row = {add_finding}(rule, answer, once, sender, packet, time, flow, me, peer, ctx)"
    yield "    if row < 0:"
    yield "        return"
    yield "    finding = ctx.findings[row]"
    field = rule.field if callable(rule.field) else None
    for name, value in (("field_name", field), ("expected", rule.expected), ("actual", rule.actual)):
        number_ = f"{whole.add(value)}({_arguments(rule)})" if callable(value) else value or "0"
        yield f"    finding.{name} = {number_}"
    for place, value in enumerate(rule.numbers):
        yield f"    finding.values[{place}] = {value}"
    yield "    return"


def assembly() -> Assembly:
    """The module that is compiled, with its entries. UncompilableError for a rule that cannot be compiled."""
    text, names = kernels()
    whole = Assembly(text, apart=(OTHERS,))
    for entry, rows in ENTRIES.items():
        whole.add_entry(entry.__name__, names[entry], tuple(map(Row, rows)))
    return whole
