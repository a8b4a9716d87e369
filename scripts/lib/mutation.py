"""Mutation testing of the verifier: small changes of track, doubt and the rules, each of which some check must notice.

A mutant is one function with one thing in it changed: `before` for `after`, `<` for `<=`, `and` for `or`, a number that is
one more, a `not` left out, a condition that is always false. The function's code is exchanged in place, so that everything
that has imported it runs the mutant. The checks are those of the suite that need no program and no folder: every rule's
examples, and the conversations of tests/conversations.txt, with their whole verdicts (`verdicts`).

What survives is either a change that makes no difference (an equivalent mutant), or a hole in the checks.
"""

import argparse
import ast
import inspect
import re
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from itertools import chain, islice
from pathlib import Path
from types import CodeType, FrameType, FunctionType

from verdicts import CONVERSATIONS, EXAMPLES, blocks, told

from labkit.analysis.rule import DOCUMENT, LITERAL, RFC9293, collect
from labkit.analysis.verifier import Finding, Verifier
from labkit.capture import Frame
from labkit.tcp.notation import parse
from labkit.teach.examples import frames

CORE = ("labkit.analysis.tracker", "labkit.analysis.pending")
ISNS = ((0, 0), (2**32 - 101, 2**32 - 50))
"""Initial sequence numbers of client and server with which every check runs."""

LONGEST = 20.0
"""Seconds after which a mutant that does not come to an end counts as noticed."""

SWAPS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}
NAMES = {"before": "after", "after": "before"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One changed function: where, and what was changed."""

    function: FunctionType
    code: CodeType
    line: int
    change: str

    def __str__(self) -> str:
        return f"{self.function.__module__}.{self.function.__name__}, line {self.line}: {self.change}"


class _Change(ast.NodeTransformer):
    """Makes the n-th change that is possible; counts them where n is -1."""

    def __init__(self, wanted: int) -> None:
        self.wanted, self.count = wanted, 0
        self.line, self.said = 0, ""

    def _turn(self, node: ast.AST, said: str) -> bool:
        self.count += 1
        if self.count - 1 != self.wanted:
            return False
        self.line, self.said = getattr(node, "lineno", 0), said
        return True

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        for i, operator in enumerate(node.ops):
            other = SWAPS.get(type(operator))
            if other is not None and self._turn(node, f"{type(operator).__name__} → {other.__name__}"):
                node.ops[i] = other()
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        self.generic_visit(node)
        if self._turn(node, "and ↔ or"):
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        for i in range(len(node.values)):
            if self._turn(node, f"without operand {i + 1}"):
                node.values = [*node.values[:i], *node.values[i + 1 :]]
                return node if len(node.values) > 1 else node.values[0]
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, ast.Not) and self._turn(node, "without not"):
            return node.operand
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        name = node.func
        if isinstance(name, ast.Attribute) and name.attr in NAMES and self._turn(node, f"{name.attr} swapped"):
            name.attr = NAMES[name.attr]
        elif isinstance(name, ast.Name) and name.id in NAMES and self._turn(node, f"{name.id} swapped"):
            node.args.reverse()
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        # Most numbers that are assigned as they stand are marks, of which another would do as well.
        values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
        return node if all(isinstance(each, ast.Constant) for each in values) else self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if type(node.value) is int and self._turn(node, f"{node.value} → {node.value + 1}"):
            return ast.copy_location(ast.Constant(node.value + 1), node)
        if type(node.value) is bool and self._turn(node, f"{node.value} → {not node.value}"):
            return ast.copy_location(ast.Constant(not node.value), node)
        return node

    def visit_If(self, node: ast.If) -> ast.AST:
        self.generic_visit(node)
        if self._turn(node, "if never"):
            node.test = ast.copy_location(ast.Constant(False), node.test)
        return node


def functions() -> Iterator[FunctionType]:
    """The functions that are changed: those of track and doubt, and of every rule."""
    modules = [*CORE, *dict.fromkeys(rule.predicate.__module__ for rule in collect())]
    for module in map(import_module, modules):
        for value in vars(module).values():
            if isinstance(value, FunctionType) and value.__module__ == module.__name__ and value.__name__ != "<lambda>":
                yield value


def mutants(function: FunctionType) -> Iterator[Mutant]:
    """Every mutant of a function."""
    source = textwrap.dedent(inspect.getsource(function))
    start = function.__code__.co_firstlineno
    counter = _Change(-1)
    counter.visit(_bare(source))
    for number in range(counter.count):
        tree = _bare(source)
        change = _Change(number)
        changed = ast.fix_missing_locations(change.visit(tree))
        space: dict[str, object] = {}
        exec(compile(changed, f"<mutant of {function.__name__}>", "exec"), function.__globals__, space)  # noqa: S102
        made = space[function.__name__]
        if isinstance(made, FunctionType):
            yield Mutant(function, made.__code__, start + change.line - 1, change.said)


def _bare(source: str) -> ast.Module:
    """A function without its decorators, docstring and annotations."""
    tree = ast.parse(source)
    node = tree.body[0]
    if not isinstance(node, ast.FunctionDef):
        raise TypeError(f"no function: {source[:40]!r}")
    node.decorator_list, node.returns = [], None
    for argument in node.args.args:
        argument.annotation = None
    if ast.get_docstring(node) is not None:
        node.body = node.body[1:]
    return tree


@contextmanager
def at_work(mutant: Mutant) -> Iterator[None]:
    """The mutant in the place of its function."""
    code = mutant.function.__code__
    mutant.function.__code__ = mutant.code
    try:
        yield
    finally:
        mutant.function.__code__ = code


Lines = list[str]
Isns = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Check:
    """A conversation, and what a test asks of its verdict."""

    profile: str
    literal: bool
    packets: Sequence[Frame]
    holds: Callable[[Sequence[Finding]], bool]

    def passes(self) -> bool:
        """Whether the test would pass."""
        return self.holds(Verifier(self.profile, literal=self.literal).run(self.packets).findings)


class Checks:
    """All checks, with so many of ISNS. ValueError where one fails without a mutant."""

    def __init__(self, isns: int = len(ISNS)) -> None:
        self.every = [
            *_examples(ISNS[:1]),
            *_verdicts(EXAMPLES, ISNS[:1]),
            *_verdicts(CONVERSATIONS, ISNS[:isns]),
        ]
        failing = sum(not check.passes() for check in self.every)
        if failing:
            raise ValueError(f"{failing} checks fail as it is")

    def notice(self, mutant: Mutant) -> bool:
        """Whether some check fails with the mutant at work."""
        with at_work(mutant), _limited():
            for number, check in enumerate(self.every):
                if not _passes(check):
                    self.every.insert(0, self.every.pop(number))  # what has noticed one may notice the next
                    return True
        return False


def _passes(check: Check) -> bool:
    """Whether a check passes; a mutant that breaks off, or does not end, makes it fail."""
    try:
        return check.passes()
    except Exception:
        return False


def _examples(starts: Isns) -> Iterator[Check]:
    """As tests/test_rules.py asks of a bad example: what is marked is found, by this rule."""
    for rule in collect():
        profile = next((each for each in (RFC9293, DOCUMENT) if each in rule.profiles), DOCUMENT)
        marks = set(marked(rule.bad))

        def holds(found: Sequence[Finding], marks: set[Place] = marks, name: str = rule.name) -> bool:
            by_this = any(each.name == name for each in found)
            return by_this and marks <= {(each.packet, each.code) for each in found}

        for isns in starts:
            yield Check(profile, rule.profiles == {LITERAL}, list(frames(list(parse(rule.bad)), isns=isns)), holds)


Place = tuple[int | None, str]


def marked(text: str) -> Iterator[Place]:
    """The packets and codes that an example's comments name; None: the whole conversation."""
    number = 0
    for line in text.splitlines():
        segment, _, comment = line.partition("#")
        number += bool(segment.strip())
        yield from ((number if segment.strip() else None, code) for code in re.findall(r"[A-Z]+\d\d", comment))


def _verdicts(path: Path, starts: Isns) -> Iterator[Check]:
    """As tests/test_conversations.py asks: the whole verdict."""
    for _, text, expected in blocks(path):
        packets = [list(frames(list(parse(text)), isns=isns)) for isns in starts]
        for profile, lines in expected.items():

            def holds(found: Sequence[Finding], lines: Lines = lines) -> bool:
                return lines == told(list(found))

            yield from (Check(profile, False, each, holds) for each in packets)


@contextmanager
def _limited() -> Iterator[None]:
    """An exception where what is done within takes too long."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError

    before: Callable[[int, FrameType | None], object] | int | None = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, LONGEST)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)  # type: ignore[arg-type]


def main() -> int:
    """Try every mutant, or each N-th; print those that nothing notices, and the rate."""
    parser = argparse.ArgumentParser(prog="scripts/mutation")
    parser.add_argument("--each", type=int, default=1, metavar="N", help="try each N-th mutant only")
    parser.add_argument("--of", default="", metavar="TEXT", help="only functions whose module and name contain this")
    asked = parser.parse_args()
    chosen = [each for each in functions() if asked.of in f"{each.__module__}.{each.__name__}"]
    checks, tried, noticed = Checks(), 0, 0
    for mutant in islice(chain.from_iterable(map(mutants, chosen)), 0, None, max(1, asked.each)):
        tried += 1
        if checks.notice(mutant):
            noticed += 1
        else:
            print(mutant, flush=True)
    print(f"{noticed:,} of {tried:,} mutants are noticed ({noticed / max(1, tried):.1%})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
