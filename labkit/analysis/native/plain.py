"""What is left of translated functions for segments of a kind.

Most segments of a capture are plain, and most others open a connection (`labkit.analysis.native.segment_loop.KINDS`). So the
tests that ask for something else have a known answer, and most rules begin with such a test: they need not be asked. In the same
way what tracks the state of a conversation is shorter for usual segments (`labkit.analysis.native.segment_loop.is_usual`).
"""

import ast
import operator
from collections.abc import Callable, Collection, Mapping
from copy import deepcopy
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
HARMLESS = frozenset(("min", "max", "abs", "range"))
"""Functions of Python that change nothing."""


class Fact(NamedTuple):
    """What is known of a field: its bits in `mask` are those of `value`."""

    mask: int
    value: int


def facts(test: ast.FunctionDef, functions: Mapping[str, ast.FunctionDef]) -> dict[str, Fact]:
    """The facts that a function asks for, by names such as "seg.ctl".

    It has the form `return seg.a & MASK == VALUE and me.b == VALUE and ...`. A part may call another of the functions that has
    this form and the same names for what it is given.
    """
    match test.body:
        case [ast.Return(value=ast.BoolOp(op=ast.And(), values=parts))]:
            return {name: fact for part in parts for name, fact in _facts_of(part, functions).items()}
    raise AssertionError(f"{test.name}: expected facts that are all true")


def _facts_of(part: ast.expr, functions: Mapping[str, ast.FunctionDef]) -> dict[str, Fact]:
    match part:
        case ast.Call(func=ast.Name(id=name), args=given) if name in functions:
            if [each.arg for each in functions[name].args.args] == [ast.unparse(each) for each in given]:
                return facts(functions[name], functions)
    return dict([_fact(part)])


class Simplified:
    """Functions simplified for arguments of which facts are known. A function that they call with the same arguments, as far as
    facts are about them, is simplified too. None may change a field of which a fact is known."""

    def __init__(self, functions: Mapping[str, ast.FunctionDef], known: Mapping[str, Fact], kind: str) -> None:
        self._functions, self._known, self._kind = functions, known, kind
        self.made: dict[str, ast.FunctionDef] = {}
        """What was simplified, by the names of the functions that it is made of; the callees first."""
        self._answers: dict[str, ast.Constant] = {}
        self._about = {name.partition(".")[0] for name in known}
        self._changing: dict[str, bool] = {}

    def changes(self, node: ast.AST) -> bool:
        """Whether a statement or an expression may change something, itself or by a call."""
        return any(self._is_change(each) for each in ast.walk(node))

    def _is_change(self, node: ast.AST) -> bool:
        match node:
            case ast.Attribute(ctx=ast.Store()) | ast.Subscript(ctx=ast.Store()):
                return True
            case ast.Call(func=ast.Name(id=name)) if name not in HARMLESS:
                if name not in self._changing:
                    made = self.made.get(name.removeprefix(f"{self._kind}_"))
                    function = made if made is not None and made.name == name else self._functions.get(name)
                    self._changing[name] = function is None or any(map(self.changes, function.body))
                return self._changing[name]
        return False

    def of(self, name: str) -> ast.FunctionDef | ast.Constant:
        """What is left of a function: another one, by a name that begins with the kind, or a constant."""
        if name in self._answers:
            return self._answers[name]
        if name not in self.made:
            node = deepcopy(self._functions[name])
            self._check(node)
            before = ""
            while before != (before := ast.unparse(node)):
                node.body = _Simplifier(self._known, self, _set_once(node)).block(node.body)
            node.body = node.body or [ast.Return(None)]
            match node.body:
                case [ast.Return(value=ast.Constant() as answer)]:
                    self._answers[name] = answer
                    return answer
            node.name = f"{self._kind}_{name}"
            self.made[name] = ast.fix_missing_locations(node)
        return self.made[name]

    def _check(self, node: ast.FunctionDef) -> None:
        for each in ast.walk(node):
            if isinstance(each, ast.Attribute) and isinstance(each.ctx, ast.Store) and ast.unparse(each) in self._known:
                raise AssertionError(f"{node.name} changes {ast.unparse(each)}, of which a fact is known")

    def of_call(self, node: ast.Call) -> ast.expr:
        """A call, of what is left where the function has the same names for the arguments that facts are about."""
        match node:
            case ast.Call(func=ast.Name(id=name), args=given, keywords=[]) if name in self._functions:
                names = [each.arg for each in self._functions[name].args.args]
                same = [
                    ast.unparse(one) == other for one, other in zip(given, names, strict=True) if other in self._about
                ]
                if same and all(same):
                    found = self.of(name)
                    if isinstance(found, ast.FunctionDef):
                        return ast.Call(ast.Name(found.name, ast.Load()), given, [])
                    return node if any(map(self.changes, given)) else found
        return node


def _fact(node: ast.expr) -> tuple[str, Fact]:
    match _Simplifier({}).visit(node):
        case ast.Compare(left=ast.Attribute() as field, ops=[ast.Eq()], comparators=[right]):
            return ast.unparse(field), Fact(WHOLE, ast.literal_eval(right))
        case ast.Compare(
            left=ast.BinOp(left=ast.Attribute() as field, op=ast.BitAnd(), right=mask),
            ops=[ast.Eq()],
            comparators=[right],
        ):
            return ast.unparse(field), Fact(ast.literal_eval(mask), ast.literal_eval(right))
    raise AssertionError(f"{ast.unparse(node)}: expected a field's value")


class _Simplifier(ast.NodeTransformer):
    """Simplifies statements and expressions about fields of which some facts are known."""

    def __init__(
        self, known: Mapping[str, Fact], functions: Simplified | None = None, once: Collection[str] = frozenset()
    ) -> None:
        """`once`: the variables that are set in one place."""
        self._known, self._functions, self._once = known, functions, once
        self._values: dict[str, ast.Constant] = {}

    def block(self, body: list[ast.stmt]) -> list[ast.stmt]:
        """The statements up to one that returns."""
        done: list[ast.stmt] = []
        for each in body:
            changed = self.visit(each)
            for one in changed if isinstance(changed, list) else [changed]:
                if isinstance(one, ast.Return):
                    while done and _only_returns(done[-1], one) and not self._changes(done[-1]):
                        del done[-1]
                    return [*done, one]
                done.append(one)
        return done

    def visit_If(self, node: ast.If) -> ast.stmt | list[ast.stmt]:
        test = self.visit(node.test)
        node.test = test if self._changes(test) else _condition(test)
        node.body, node.orelse = self.block(node.body), self.block(node.orelse)
        if isinstance(node.test, ast.Constant):
            return node.body if node.test.value else node.orelse
        if not node.body and not node.orelse and not self._changes(node.test):
            return []
        node.body = node.body or [ast.Pass()]
        return node

    def visit_For(self, node: ast.For) -> ast.stmt | list[ast.stmt]:
        self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        match node.iter:
            case ast.Call(func=ast.Name(id="range"), args=[*_, ast.Constant(value=0)]):
                return node.orelse
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.stmt | list[ast.stmt]:
        self.generic_visit(node)
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant() as value) if name in self._once:
                self._values[name] = value
                return []
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._values.get(node.id, node)

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

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        return node if self._functions is None else self._functions.of_call(node)

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        fact = self._some(node.left)
        self.generic_visit(node)
        match node:
            case ast.Compare(ops=[ast.Eq() | ast.NotEq() as op], comparators=[ast.Constant(value=int(other))]) if (
                other & fact.mask != fact.value
            ):
                return ast.Constant(int(isinstance(op, ast.NotEq)))
        return self._folded(node, node.left, node.ops[0], node.comparators[0]) if len(node.ops) == 1 else node

    def visit_While(self, node: ast.While) -> ast.stmt:
        self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        return node

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
            if isinstance(each, ast.Constant):
                # 1 is as good as what stands before it only where that is 0 or 1 too: the value counts, not just its truth.
                exact = not each.value or (each.value == 1 and all(map(_is_truth, values)))
                if bool(each.value) == decides and exact and not any(map(self._changes, values)):
                    return each
                if bool(each.value) != decides and (exact or each is not node.values[-1]):
                    continue
            values.append(each)
        node.values = values
        return node if len(values) > 1 else values[0] if values else ast.Constant(int(not decides))

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.test, ast.Constant):
            return node.body if node.test.value else node.orelse
        return node

    def _changes(self, node: ast.AST) -> bool:
        return self._functions is not None and self._functions.changes(node)

    def _of(self, node: ast.AST) -> Fact | None:
        match node:
            case ast.Attribute(value=ast.Name(), ctx=ast.Load()):
                return self._known.get(ast.unparse(node))
        return None

    def _some(self, node: ast.expr) -> Fact:
        """What is known of the bits of an expression."""
        match node:
            case ast.BinOp(left=left, op=ast.BitAnd(), right=ast.Constant(value=int(bits))):
                mask, value = self._some(left)
                return Fact(mask | ~bits, value & bits)
        return self._of(node) or Fact(0, 0)

    def _folded(self, node: ast.expr, left: Any, op: ast.AST, right: Any) -> ast.expr:
        match left, right:
            case ast.Constant(value=int(a)), ast.Constant(value=int(b)) if type(op) in OPERATORS:
                return ast.Constant(int(OPERATORS[type(op)](a, b)))
        return node


def _set_once(node: ast.FunctionDef) -> set[str]:
    """The variables of a function that are set in one place."""
    names = [each.arg for each in node.args.args]
    names += [each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)]
    return {name for name in names if names.count(name) == 1}


def _is_truth(node: ast.expr) -> bool:
    """Whether an expression is 0 or 1 (False or True)."""
    match node:
        case ast.Compare() | ast.UnaryOp(op=ast.Not()):
            return True
        case ast.BoolOp(values=values):
            return all(map(_is_truth, values))
    return False


def _condition(node: ast.expr) -> ast.expr:
    """A condition, known where one of its alternatives is true."""
    match node:
        case ast.BoolOp(op=ast.Or(), values=values):
            for each in values:
                if isinstance(each, ast.Constant) and each.value:
                    return each
    return node


def _only_returns(node: ast.stmt, answer: ast.Return) -> bool:
    """Whether a statement can only give an answer that is given after it anyway."""
    match node, answer:
        case ast.If(body=[ast.Return(value=ast.Constant(value=early))], orelse=[]), ast.Return(
            value=ast.Constant(value=late)
        ):
            return bool(early == late)
    return False
