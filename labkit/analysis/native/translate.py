"""The interpreter's source, rewritten as one text that can be compiled.

Decoding, tracking and rules are plain functions over integers and over the integer fields of `Seen` and `Side`.
`labkit.analysis.native.assembly` compiles such functions. What is rewritten is only the spelling:

- a name of a constant becomes its value, and a name of a function that function's name in the one text that comes out;
- `match` becomes a chain of `if`, and `x in (A, B)` one of `or`;
- `TABLE[number](...)`, a call of a function that a module's table has for a number, becomes a function with a chain of `if`;
- annotations and docstrings are left out.

So there is one source for both engines. UntranslatableError names the place of code that cannot be translated, and the reason.
"""

import ast
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from labkit.errors import LabkitError
from labkit.i18n import _

BUILT_IN = frozenset({"abs", "bool", "int", "len", "max", "min", "range"})


class UntranslatableError(LabkitError):
    """A function uses something that cannot be compiled."""


class Translation:
    """Collects functions, with all that they call. `names` gives each one's name in the text."""

    def __init__(self, replaced: Mapping[Callable[..., Any], str] | None = None) -> None:
        """`replaced` functions are not translated. The text calls them by the names given there."""
        self.names: dict[Callable[..., Any], str] = dict(replaced or {})
        self.words: list[str] = []
        """Strings. The text has their positions in this list."""
        self._texts: list[str] = []
        self._tables: dict[str, str] = {}

    def add(self, function: Callable[..., Any]) -> str:
        """Translate a function and its callees. Returns its name in the text. UntranslatableError if it cannot be translated."""
        if function not in self.names:
            name = _mangled(function)
            while name in self.names.values():
                name += "_"
            self.names[function] = name
            node = _node_of(function)
            arguments = [each.arg for each in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
            body: list[ast.stmt] = [ast.Return(node.body)] if isinstance(node, ast.Lambda) else list(node.body)
            writer = _Writer(self, function, {*arguments, *_assigned(body)})
            for default in node.args.defaults:
                writer.visit(default)
            body = [changed for each in body if (changed := writer.visit(each)) is not None]
            made = ast.FunctionDef(name, _plain(node.args), body or [ast.Pass()], [], lineno=1, col_offset=0)
            # Callees come first: they were added while the body was visited.
            self._texts.append(ast.unparse(ast.fix_missing_locations(made)) + "\n")
        return self.names[function]

    def add_table(self, module: str, name: str, table: Mapping[int, FunctionType]) -> str:
        """Translate a table of functions, all with the same parameters; its name in the text.

        It becomes a function of the number and those parameters. The caller asks first whether the table has the number.
        """
        title = f"{module.removeprefix('labkit.').replace('.', '_')}__{name}"
        if title not in self._tables:
            functions = {self.add(function): function.__code__ for function in table.values()}
            numbers = {name: [n for n, each in table.items() if self.names[each] == name] for name in functions}
            names = ", ".join(f"p{i}" for i in range(next(iter(functions.values())).co_argcount))
            lines = [
                f"    if {' or '.join(f'number == {n}' for n in numbers[name])}:\n        return {name}({names})\n"
                for name in functions
            ]
            last = list(functions)[-1]
            lines[-1] = f"    return {last}({names})\n"
            self._tables[title] = title
            self._texts.append(f"def {title}(number, {names}):\n{''.join(lines)}")
        return title

    @property
    def text(self) -> str:
        """Every function so far."""
        return "\n\n".join(self._texts)


class _Writer(ast.NodeTransformer):
    """Rewrites the body of one function."""

    def __init__(self, whole: Translation, function: Callable[..., Any], local: set[str]) -> None:
        self._whole = whole
        self._function = function
        self._globals = function.__globals__
        self._local = local

    def refuse(self, node: ast.AST, reason: str) -> UntranslatableError:
        place = f"{self._function.__module__}:{getattr(node, 'lineno', 0)}: {self._function.__qualname__}"
        return UntranslatableError(
            _("{place}: {reason}; expected integers, their fields and plain functions only").format(
                place=place, reason=reason
            )
        )

    # Names.

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if isinstance(node.ctx, ast.Store) or node.id in self._local:
            return node
        if node.id in self._globals:
            return self._value(node, self._globals[node.id])
        if node.id in BUILT_IN:
            return node
        raise self.refuse(node, _("'{name}' is not known").format(name=node.id))

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        owner = node.value
        if isinstance(owner, ast.Name) and owner.id not in self._local:
            holder = self._globals.get(owner.id)
            if isinstance(holder, ModuleType | type):
                return self._value(node, getattr(holder, node.attr))
            raise self.refuse(node, _("'{owner}.{field}' is no constant").format(owner=owner.id, field=node.attr))
        if isinstance(owner, ast.Subscript):
            return ast.Attribute(self.visit(owner), node.attr, node.ctx)
        if not isinstance(owner, ast.Name):
            raise self.refuse(node, _("a field of a field"))
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        if isinstance(node.slice, ast.Slice):
            raise self.refuse(node, _("a slice"))
        return ast.Subscript(self.visit(node.value), self.visit(node.slice), node.ctx)

    def _value(self, node: ast.AST, value: object) -> ast.expr:
        if isinstance(value, int):
            return ast.Constant(int(value))
        if isinstance(value, tuple) and all(isinstance(each, int) for each in value):
            return ast.Tuple([ast.Constant(int(each)) for each in value], ast.Load())
        if isinstance(value, FunctionType) and (value in self._whole.names or value.__module__.startswith("labkit.")):
            return ast.Name(self._whole.add(value), ast.Load())
        raise self.refuse(node, _("a {kind}").format(kind=type(value).__name__))

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if isinstance(node.value, str):
            if node.value not in self._whole.words:
                self._whole.words.append(node.value)
            return ast.Constant(self._whole.words.index(node.value))
        if isinstance(node.value, int):
            return ast.Constant(int(node.value))
        if node.value is None:
            return node
        raise self.refuse(node, _("a {kind}").format(kind=type(node.value).__name__))

    def _table(self, node: ast.expr) -> dict[int, FunctionType] | None:
        """The table of functions by number that a name means; None where it means something else."""
        value = self._globals.get(node.id) if isinstance(node, ast.Name) and node.id not in self._local else None
        is_table = isinstance(value, dict) and all(isinstance(each, FunctionType) for each in value.values())
        return value if is_table else None

    # Statements and operators.

    def visit_Call(self, node: ast.Call) -> ast.expr:
        values = [self.visit(each) for each in node.args]
        if isinstance(node.func, ast.Subscript) and (table := self._table(node.func.value)):
            name = self._whole.add_table(self._globals["__name__"], ast.unparse(node.func.value), table)
            return ast.Call(ast.Name(name, ast.Load()), [self.visit(node.func.slice), *values], [])
        called = self.visit(node.func)
        return ast.Call(called, values, [self.visit(each) for each in node.keywords])

    def visit_Expr(self, node: ast.Expr) -> ast.stmt | None:
        if isinstance(node.value, ast.Constant):
            return None
        return ast.Expr(self.visit(node.value))

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt | None:
        if node.value is None:
            return None
        return ast.Assign([self.visit(node.target)], self.visit(node.value))

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt:
        if isinstance(node.target, ast.Name):
            return ast.AugAssign(node.target, node.op, self.visit(node.value))
        read = ast.parse(ast.unparse(node.target), mode="eval").body
        return ast.Assign([self.visit(node.target)], ast.BinOp(self.visit(read), node.op, self.visit(node.value)))

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        if not isinstance(node.ops[0], ast.In | ast.NotIn):
            return self.generic_visit(node)  # type: ignore[return-value]
        table = self._table(node.comparators[0])
        values = self._value(node, tuple(table)) if table else self.visit(node.comparators[0])
        if len(node.ops) > 1 or not isinstance(values, ast.Tuple):
            raise self.refuse(node, _("'in' something else than a row of constants"))
        left = self.visit(node.left)
        found = ast.BoolOp(ast.Or(), [ast.Compare(left, [ast.Eq()], [value]) for value in values.elts])
        return found if isinstance(node.ops[0], ast.In) else ast.UnaryOp(ast.Not(), found)

    def visit_Match(self, node: ast.Match) -> ast.stmt:
        if not isinstance(node.subject, ast.Name):
            raise self.refuse(node, _("'match' of something else than a name"))
        chain: list[ast.stmt] = []
        for case in reversed(node.cases):
            body = [changed for each in case.body if (changed := self.visit(each)) is not None]
            if case.guard is not None:
                raise self.refuse(node, _("a guard"))
            if isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None and case.pattern.name is None:
                chain = body
            else:
                chain = [ast.If(self._test(node.subject, case.pattern), body, chain)]
        return chain[0] if len(chain) == 1 else ast.If(ast.Constant(1), chain, [])

    def _test(self, subject: ast.Name, pattern: ast.pattern) -> ast.expr:
        if isinstance(pattern, ast.MatchOr):
            return ast.BoolOp(ast.Or(), [self._test(subject, each) for each in pattern.patterns])
        if isinstance(pattern, ast.MatchValue):
            return ast.Compare(ast.Name(subject.id, ast.Load()), [ast.Eq()], [self.visit(pattern.value)])
        raise self.refuse(pattern, _("a pattern other than a value"))

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if not isinstance(node, ALLOWED):
            raise self.refuse(node, _("{kind} cannot be compiled").format(kind=type(node).__name__.lower()))
        return super().generic_visit(node)


ALLOWED = (
    *(ast.Assign, ast.If, ast.While, ast.For, ast.Continue, ast.Break, ast.Pass, ast.Return),
    *(ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Call, ast.Tuple),
    *(ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context, ast.keyword),
)
"""The nodes that a function may have, besides those with a method of their own."""


def _plain(arguments: ast.arguments) -> ast.arguments:
    """The arguments without annotations."""
    for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        each.annotation = None
    return arguments


def _assigned(body: list[ast.stmt]) -> set[str]:
    """The names that a body assigns to."""
    nodes = (node for each in body for node in ast.walk(each))
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def _mangled(function: Callable[..., Any]) -> str:
    module = function.__module__.removeprefix("labkit.").replace(".", "_")
    return f"{module}__{function.__name__.strip('<>')}"


def _node_of(function: Callable[..., Any]) -> ast.FunctionDef | ast.Lambda:
    """The function's part of a copy of its file's syntax tree."""
    code = function.__code__
    tree = ast.parse(_text_of(code.co_filename))
    found = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.Lambda) and _is_of(node, code, function.__name__)
    ]
    if len(found) != 1:
        raise UntranslatableError(
            _("{module}: {function}: its source is not found").format(
                module=function.__module__, function=function.__qualname__
            )
        )
    return found[0]


def _is_of(node: ast.FunctionDef | ast.Lambda, code: CodeType, name: str) -> bool:
    """Whether code was compiled from a node. The positions of their bodies distinguish several lambdas on a line."""
    if isinstance(node, ast.FunctionDef):
        first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
        return node.name == name and first == code.co_firstlineno
    start, end = (node.body.lineno, node.body.col_offset), (node.body.end_lineno, node.body.end_col_offset)
    return name == "<lambda>" and any(
        (line, column) == start and (last, stop) <= end for line, last, column, stop in code.co_positions()
    )


@cache
def _text_of(path: str) -> str:
    return Path(path).read_text("utf-8")
