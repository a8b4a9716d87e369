"""What is left of a translated function for a plain segment.

Most segments of a capture are plain (`labkit.analysis.native.segment_loop.is_plain`). So the tests that ask for something else
have a known answer, and most rules begin with such a test: they need not be asked.
"""

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

WHOLE = -1
OPERATORS: Mapping[type[ast.AST], Callable[[int, int], int]] = {
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


class Fact(NamedTuple):
    """What is known of a field: its bits in `mask` are those of `value`."""

    mask: int
    value: int


def facts(test: ast.FunctionDef) -> dict[str, Fact]:
    """The facts that a function of a segment asks for: `return seg.a & MASK == VALUE and seg.b == VALUE and ...`."""
    match test.body:
        case [ast.Return(value=ast.BoolOp(op=ast.And(), values=parts))]:
            return dict(map(_fact, parts))
    raise AssertionError(f"{test.name}: expected facts that are all true")


def simplify(node: ast.FunctionDef, name: str, known: Mapping[str, Fact]) -> ast.FunctionDef | None:
    """The function by another name, for a segment `seg` of which facts are known; None where it returns 0 at once. The node
    itself is changed."""
    body = _Simplifier(known).block(node.body)
    match body:
        case [ast.Return(value=ast.Constant(value=0)), *_]:
            return None
    node.name, node.body = name, body
    return ast.fix_missing_locations(node)


def _fact(node: ast.expr) -> tuple[str, Fact]:
    match _Simplifier({}).visit(node):
        case ast.Compare(left=ast.Attribute(attr=name), ops=[ast.Eq()], comparators=[right]):
            return name, Fact(WHOLE, ast.literal_eval(right))
        case ast.Compare(
            left=ast.BinOp(left=ast.Attribute(attr=name), op=ast.BitAnd(), right=mask),
            ops=[ast.Eq()],
            comparators=[right],
        ):
            return name, Fact(ast.literal_eval(mask), ast.literal_eval(right))
    raise AssertionError(f"{ast.unparse(node)}: expected a field's value")


class _Simplifier(ast.NodeTransformer):
    """Simplifies statements and expressions about a segment `seg` of which some facts are known."""

    def __init__(self, known: Mapping[str, Fact]) -> None:
        self._known = known

    def block(self, body: list[ast.stmt]) -> list[ast.stmt]:
        """The statements up to one that returns."""
        done: list[ast.stmt] = []
        for each in body:
            changed = self.visit(each)
            for one in changed if isinstance(changed, list) else [changed]:
                done.append(one)
                if isinstance(one, ast.Return):
                    return done
        return done

    def visit_If(self, node: ast.If) -> ast.stmt | list[ast.stmt]:
        node.test = self.visit(node.test)
        node.body, node.orelse = self.block(node.body), self.block(node.orelse)
        if isinstance(node.test, ast.Constant):
            return node.body if node.test.value else node.orelse
        node.body = node.body or [ast.Pass()]
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        fact = self._of(node)
        return ast.Constant(fact.value) if fact is not None and fact.mask == WHOLE else node

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        fact = self._of(node.left)
        self.generic_visit(node)
        match node:
            case ast.BinOp(op=ast.BitAnd(), right=ast.Constant(value=int(bits))) if fact and not bits & ~fact.mask:
                return ast.Constant(fact.value & bits)
        return self._folded(node, node.left, node.op, node.right)

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        return self._folded(node, node.left, node.ops[0], node.comparators[0]) if len(node.ops) == 1 else node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        self.generic_visit(node)
        match node:
            case ast.UnaryOp(op=ast.Not(), operand=ast.Constant(value=value)):
                return ast.Constant(int(not value))
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(value))):
                return ast.Constant(-value)
            case ast.UnaryOp(op=ast.Invert(), operand=ast.Constant(value=int(value))):
                return ast.Constant(~value)
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        self.generic_visit(node)
        decides = isinstance(node.op, ast.Or)
        values: list[ast.expr] = []
        for each in node.values:
            if isinstance(each, ast.Constant) and bool(each.value) == decides:
                values.append(each)
                break
            if not isinstance(each, ast.Constant) or each is node.values[-1]:
                values.append(each)
        node.values = values
        return node if len(values) > 1 else values[0]

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.test, ast.Constant):
            return node.body if node.test.value else node.orelse
        return node

    def _of(self, node: ast.AST) -> Fact | None:
        match node:
            case ast.Attribute(value=ast.Name(id="seg"), attr=name, ctx=ast.Load()):
                return self._known.get(name)
        return None

    def _folded(self, node: ast.expr, left: Any, op: ast.AST, right: Any) -> ast.expr:
        match left, right:
            case ast.Constant(value=int(a)), ast.Constant(value=int(b)) if type(op) in OPERATORS:
                return ast.Constant(int(OPERATORS[type(op)](a, b)))
        return node
