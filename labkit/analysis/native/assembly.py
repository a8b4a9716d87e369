"""Translated functions -> the assembly language of LLVM.

The text that `labkit.analysis.native.translate` makes knows four kinds of values: integers, the address of integers
(`Numbers`), the address of a row of a dataclass (`Row`), and that of consecutive rows (`Rows`). So each function is compiled in
one pass, for the kinds of its arguments. All integers have 64 bits and wrap; they are narrower in memory only. An access has no
check, a quotient by 0 is 0, and the count of a shift counts modulo 64.

Four functions have no source: `behind`, `fetch`, `half` and `copy` (`labkit.analysis.native.primitives`).
"""

import ast
from ctypes import sizeof

from labkit.analysis.native.columns import Column, columns
from labkit.analysis.native.lines import (
    BIT,
    COMPARISONS,
    DECLARATIONS,
    INT,
    OPERATORS,
    Kind,
    Kinds,
    Lines,
    Numbers,
    Result,
    Returned,
    Row,
    Rows,
    Tags,
    Value,
    is_truth,
    numbers,
    read_again,
    signed,
    type_of,
    zero_of,
)
from labkit.analysis.native.records import PREFIX, ColdRow, SideRow, record
from labkit.errors import UncompilableError
from labkit.i18n import _


def _refusal(function: str, reason: str) -> UncompilableError:
    return UncompilableError(_("{function} cannot be compiled: {reason}").format(function=function, reason=reason))


class Assembly:
    """Collects compiled functions; `text` is the module."""

    def __init__(self, source: str, apart: tuple[str, ...] = ()) -> None:
        """`source` is plain functions, each of which calls only functions that it defines. Those `apart` are seldom called, and
        LLVM does not put them into their callers."""
        self.apart = apart
        self._functions = {each.name: each for each in ast.parse(source).body if isinstance(each, ast.FunctionDef)}
        self._done: dict[tuple[str, Kinds], tuple[str, Returned] | None] = {}
        self._parts: list[str] = []
        self.tags = Tags()
        self.entries: dict[str, int] = {}
        """The names of the entries, and how many arguments each takes."""

    def add_entry(self, name: str, function: str, kinds: Kinds) -> None:
        """Compile a function, and let it be called from outside by `PREFIX` and a name. UncompilableError if it cannot be."""
        symbol, returned = self.call(function, kinds)
        if returned != INT:
            raise _refusal(function, _("it returns no integer"))
        given = ", ".join(f"{type_of(kind)} %p{i}" for i, kind in enumerate(kinds))
        body = f"  %r = call i64 @{symbol}({given})\n  ret i64 %r"
        self._parts.append(f"define i64 @{PREFIX}{name}({given}) #0 {{\n{body}\n}}")
        self.entries[name] = len(kinds)

    def call(self, name: str, kinds: Kinds) -> tuple[str, Returned]:
        """The symbol of a function for arguments of some kinds, and what it returns. UncompilableError as for `add_entry`."""
        key = name, kinds
        if key not in self._done:
            self._done[key] = None
            symbol = f"{name}.{len(self._done)}"
            function = _Function(self, self._functions[name], kinds)
            self._parts.append(function.text(symbol))
            self._done[key] = symbol, function.returned or None
        found = self._done[key]
        if found is None:
            raise _refusal(name, _("it calls itself"))
        return found

    def has(self, name: str) -> bool:
        """Whether there is such a function."""
        return name in self._functions

    def add_table(self, values: list[int]) -> str:
        """The symbol of a constant row of integers."""
        name = f"@table.{len(self._parts)}"
        numbers = ", ".join(f"i64 {value}" for value in values)
        self._parts.append(f"{name} = private constant [{len(values)} x i64] [{numbers}]")
        return name

    @property
    def text(self) -> str:
        """The module so far."""
        return "\n\n".join([*self._parts, DECLARATIONS]) + self.tags.text


class _Function(Lines):
    """Compiles one function for arguments of some kinds."""

    def __init__(self, whole: Assembly, node: ast.FunctionDef, kinds: Kinds) -> None:
        super().__init__()
        self._whole = whole
        self._node = node
        self._kinds = kinds
        self._variables: dict[str, Value] = {}
        self._loops: list[tuple[str, str]] = []
        """Where `continue` and `break` go."""
        self.returned: Returned = 0
        """0: not known yet."""

    def text(self, symbol: str) -> str:
        names = [each.arg for each in self._node.args.args]
        if len(names) != len(self._kinds):
            raise self._refuse(
                self._node,
                _("it takes {count} arguments, not {wanted}").format(count=len(names), wanted=len(self._kinds)),
            )
        for i, (name, kind) in enumerate(zip(names, self._kinds, strict=True)):
            self._set_variable(self._node, name, Value(kind, f"%p{i}"))
        self._block(self._node.body)
        if self._open:
            returned = self.returned or None
            self._end(f"ret {type_of(returned)} {zero_of(returned)}".rstrip())
        given = ", ".join(f"{type_of(kind)} %p{i}" for i, kind in enumerate(self._kinds))
        apart = " noinline" if self._node.name in self._whole.apart else ""
        head = f"define internal {type_of(self.returned or None)} @{symbol}({given}){apart} #0 {{"
        return "\n".join([head, *self._slots, *self._lines, "}"])

    def _refuse(self, node: ast.AST, reason: str) -> UncompilableError:
        shown = ast.unparse(node).splitlines()[0]
        return _refusal(self._node.name, _("{reason}: {shown}").format(reason=reason, shown=shown))

    # Statements.

    def _block(self, body: list[ast.stmt]) -> None:
        for each in body:
            if not self._open:
                return
            self._statement(each)

    def _statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Expr():
                self._expression(node.value)
            case ast.Assign():
                given = self._expression(node.value)
                for target in node.targets:
                    self._assign(target, given)
            case ast.AugAssign():
                self._assign(node.target, self._binary(node, self._int(read_again(node.target)), node.op, node.value))
            case ast.Return():
                self._return(node)
            case ast.If():
                self._if(node)
            case ast.While(orelse=[]):
                self._while(node)
            case ast.For(orelse=[], target=ast.Name()):
                self._for(node)
            case ast.Continue():
                self._end(f"br label %{self._loops[-1][0]}")
            case ast.Break():
                self._end(f"br label %{self._loops[-1][1]}")
            case ast.Pass():
                pass
            case _:
                raise self._refuse(node, _("a statement of another kind"))

    def _assign(self, target: ast.expr, given: Result) -> None:
        if isinstance(target, ast.Tuple):
            if not isinstance(given, tuple) or len(given) != len(target.elts):
                raise self._refuse(target, _("another number of values"))
            for each, value in zip(target.elts, given, strict=True):
                self._assign(each, value)
            return
        value = self._wide(self._single(target, given))
        match target:
            case ast.Name():
                self._set_variable(target, target.id, value)
            case ast.Attribute():
                address, column, tag = self._place(target)
                if column.is_list or column.target is not None:
                    raise self._refuse(target, _("an address is not assigned"))
                self._write(address, self._need(target, value, INT), column.size, tag)
                if column.seldom:
                    self._mark(target, value)
            case ast.Subscript():
                owner, index = self._single(target, self._expression(target.value)), self._int(target.slice)
                if isinstance(owner.kind, Numbers):
                    self._write(self._element(owner, index), self._need(target, value, INT), owner.kind.size)
                elif isinstance(owner.kind, Rows):
                    self._need(target, value, Row(owner.kind.rows))
                    size = sizeof(record(owner.kind.rows))
                    self._copy(self._element(owner, index), value.name, str(size))
                else:
                    raise self._refuse(target, _("no row of values"))
            case _:
                raise self._refuse(target, _("a target of another kind"))

    def _mark(self, target: ast.Attribute, value: Value) -> None:
        """Mark the side if a field in SELDOM is not 0."""
        mark = ast.Attribute(target.value, "has_seldom")
        true = self._wide(self._truth(target, value)).name
        self._assign(mark, self._make(INT, f"or i64 {self._field(mark).name}, {true}"))

    def _set_variable(self, node: ast.AST, name: str, value: Value) -> None:
        slot = self._variables.get(name)
        if slot is None:
            slot = self._variables[name] = self._slot(value.kind)
        self._store(self._need(node, value, slot.kind), slot)

    def _return(self, node: ast.Return) -> None:
        given = None if node.value is None else self._expression(node.value)
        returned: Returned
        if given is None:
            returned, line = None, "ret void"
        elif isinstance(given, tuple):
            returned, name = len(given), "poison"
            for i, value in enumerate(given):
                name = self._make(
                    INT, f"insertvalue {type_of(returned)} {name}, {self._need(node, value, INT).typed}, {i}"
                ).name
            line = f"ret {type_of(returned)} {name}"
        else:
            value = self._wide(given)
            returned, line = value.kind, f"ret {value.typed}"
        if self.returned not in (0, returned):
            raise self._refuse(node, _("it returns values of several kinds"))
        self.returned = returned
        self._end(line)

    def _if(self, node: ast.If) -> None:
        yes, no, end = self._new("then"), self._new("else"), self._new("end")
        self._branch(node.test, yes, no)
        self._label(yes)
        self._block(node.body)
        self._end(f"br label %{end}")
        self._label(no)
        self._block(node.orelse)
        # LLVM drops what follows an end that no branch reaches.
        self._label(end)

    def _while(self, node: ast.While) -> None:
        head, body, end = self._new("head"), self._new("body"), self._new("end")
        self._label(head)
        self._branch(node.test, body, end)
        self._label(body)
        self._loop(node.body, head, end)
        self._end(f"br label %{head}")
        self._label(end)

    def _loop(self, statements: list[ast.stmt], following: str, end: str) -> None:
        self._loops.append((following, end))
        self._block(statements)
        self._loops.pop()

    def _for(self, node: ast.For) -> None:
        assert isinstance(node.target, ast.Name)  # noqa: S101 - as `_statement` has found
        if isinstance(node.iter, ast.Tuple):
            end = self._new("end")
            for each in node.iter.elts:
                following = self._new("next")
                self._set_variable(node, node.target.id, self._int(each))
                self._loop(node.body, following, end)
                self._label(following)
            self._label(end)
            return
        if not (
            isinstance(node.iter, ast.Call) and ast.unparse(node.iter.func) == "range" and len(node.iter.args) <= 2
        ):
            raise self._refuse(node, _("a loop over something else than a range or constants"))
        *first, stop = [self._int(each) for each in node.iter.args]
        counter = self._slot(INT)
        self._store(first[0] if first else Value(INT, "0"), counter)
        head, body, following, end = self._new("head"), self._new("body"), self._new("next"), self._new("end")
        self._label(head)
        now = self._load(counter)
        test = self._make(BIT, f"icmp slt i64 {now.name}, {stop.name}")
        self._end(f"br i1 {test.name}, label %{body}, label %{end}")
        self._label(body)
        self._set_variable(node, node.target.id, now)
        self._loop(node.body, following, end)
        self._label(following)
        self._store(self._make(INT, f"add i64 {self._load(counter).name}, 1"), counter)
        self._end(f"br label %{head}")
        self._label(end)

    # Conditions.

    def _branch(self, node: ast.expr, yes: str, no: str) -> None:
        """Go on at one of two labels."""
        match node:
            case ast.BoolOp():
                *before, last = node.values
                for each in before:
                    following = self._new("or" if isinstance(node.op, ast.Or) else "and")
                    self._branch(each, *((yes, following) if isinstance(node.op, ast.Or) else (following, no)))
                    self._label(following)
                self._branch(last, yes, no)
            case ast.UnaryOp(op=ast.Not()):
                self._branch(node.operand, no, yes)
            case ast.Compare() if len(node.ops) > 1:
                left = self._int(node.left)
                for op, each in zip(node.ops, node.comparators, strict=True):
                    right = self._int(each)
                    following = self._new("and")
                    test = self._compare(node, left, op, right)
                    self._end(f"br i1 {test.name}, label %{following}, label %{no}")
                    self._label(following)
                    left = right
                self._end(f"br label %{yes}")
            case _:
                test = self._truth(node, self._single(node, self._expression(node)))
                self._end(f"br i1 {test.name}, label %{yes}, label %{no}")

    def _decided(self, node: ast.expr) -> Value:
        """1 or 0: whether a condition is true."""
        slot = self._slot(BIT)
        yes, no, end = self._new("then"), self._new("else"), self._new("end")
        self._branch(node, yes, no)
        for label, value in ((yes, "true"), (no, "false")):
            self._label(label)
            self._store(Value(BIT, value), slot)
            self._end(f"br label %{end}")
        self._label(end)
        return self._load(slot)

    def _either(self, node: ast.BoolOp) -> Value:
        """The value of `and` or `or`: of the last operand that was looked at."""
        slot, end = self._slot(INT), self._new("end")
        for each in node.values:
            value = self._int(each)
            self._store(value, slot)
            if each is node.values[-1]:
                break
            following = self._new("or" if isinstance(node.op, ast.Or) else "and")
            yes, no = (end, following) if isinstance(node.op, ast.Or) else (following, end)
            self._end(f"br i1 {self._truth(node, value).name}, label %{yes}, label %{no}")
            self._label(following)
        self._label(end)
        return self._load(slot)

    def _choice(self, node: ast.IfExp) -> Value:
        yes, no, end = self._new("then"), self._new("else"), self._new("end")
        slot = None
        self._branch(node.test, yes, no)
        for label, each in ((yes, node.body), (no, node.orelse)):
            self._label(label)
            value = self._wide(self._single(each, self._expression(each)))
            slot = slot or self._slot(value.kind)
            self._store(self._need(node, value, slot.kind), slot)
            self._end(f"br label %{end}")
        self._label(end)
        assert slot is not None  # noqa: S101 - there are two branches
        return self._load(slot)

    def _truth(self, node: ast.AST, value: Value) -> Value:
        if value.kind == BIT:
            return value
        return self._make(BIT, f"icmp ne {self._need(node, value, INT).typed}, 0")

    def _compare(self, node: ast.Compare, left: Value, op: ast.cmpop, right: Value) -> Value:
        if type(op) not in COMPARISONS:
            raise self._refuse(node, _("a comparison of another kind"))
        return self._make(BIT, f"icmp {COMPARISONS[type(op)]} i64 {left.name}, {right.name}")

    # Expressions.

    def _single(self, node: ast.AST, given: Result) -> Value:
        if not isinstance(given, Value):
            raise self._refuse(node, _("no single value"))
        return given

    def _need(self, node: ast.AST, value: Value, kind: Kind) -> Value:
        if value.kind != kind:
            raise self._refuse(node, _("a value of another kind"))
        return value

    def _wide(self, value: Value) -> Value:
        return self._make(INT, f"zext i1 {value.name} to i64") if value.kind == BIT else value

    def _int(self, node: ast.expr) -> Value:
        return self._need(node, self._wide(self._single(node, self._expression(node))), INT)

    def _expression(self, node: ast.expr) -> Result:  # noqa: C901 - a table of cases
        match node:
            case ast.Constant(value=int(number)):
                return Value(INT, str(signed(number)))
            case ast.Name():
                if node.id not in self._variables:
                    raise self._refuse(node, _("a name without a value"))
                return self._load(self._variables[node.id])
            case ast.Attribute():
                return self._field(node)
            case ast.Subscript():
                return self._item(node)
            case ast.Tuple():
                return tuple(self._wide(self._single(each, self._expression(each))) for each in node.elts)
            case ast.BinOp():
                return self._binary(node, self._int(node.left), node.op, node.right)
            case ast.UnaryOp():
                return self._unary(node)
            case ast.BoolOp():
                return self._decided(node) if is_truth(node) else self._either(node)
            case ast.Compare(ops=[op], comparators=[right]):
                return self._compare(node, self._int(node.left), op, self._int(right))
            case ast.Compare():
                return self._decided(node)
            case ast.IfExp():
                return self._choice(node)
            case ast.Call(func=ast.Name(id=name), keywords=[]):
                return self._call(node, name)
            case _:
                raise self._refuse(node, _("an expression of another kind"))

    def _unary(self, node: ast.UnaryOp) -> Value:
        match node.op:
            case ast.Not():
                value = self._truth(node, self._single(node, self._expression(node.operand)))
                return self._make(BIT, f"xor i1 {value.name}, true")
            case ast.USub():
                if isinstance(node.operand, ast.Constant) and isinstance(node.operand.value, int):
                    return Value(INT, str(signed(-node.operand.value)))
                return self._make(INT, f"sub i64 0, {self._int(node.operand).name}")
            case ast.Invert():
                return self._make(INT, f"xor i64 {self._int(node.operand).name}, -1")
            case _:
                return self._int(node.operand)

    def _binary(self, node: ast.AST, left: Value, op: ast.operator, other: ast.expr) -> Value:
        right = self._int(other)
        if type(op) in OPERATORS:
            return self._make(INT, f"{OPERATORS[type(op)]} i64 {left.name}, {right.name}")
        match op:
            case ast.LShift() | ast.RShift():
                count = self._make(INT, f"and i64 {right.name}, 63").name
                return self._make(INT, f"{'shl' if isinstance(op, ast.LShift) else 'ashr'} i64 {left.name}, {count}")
            case ast.FloorDiv() | ast.Mod():
                return self._divided(left, right, whole=isinstance(op, ast.FloorDiv))
            case _:
                raise self._refuse(node, _("an operator of another kind"))

    # Memory.

    def _place(self, node: ast.Attribute) -> tuple[str, Column, str]:
        """The address of a field, its column and its tag."""
        owner = self._single(node, self._expression(node.value))
        column = columns(owner.kind.row).get(node.attr) if isinstance(owner.kind, Row) else None
        if column is None or not isinstance(owner.kind, Row):
            raise self._refuse(node, _("a field that is not known"))
        address, tags = owner.name, self._whole.tags
        if column.cold and owner.kind.row is not ColdRow:
            link = self._beyond(address, columns(SideRow)["cold_row"].at)
            address = self._make(INT, f"load ptr, ptr {link}, align 8{tags.of(SideRow, 'cold_row')}").name
        return self._beyond(address, column.at), column, tags.of(ColdRow if column.cold else owner.kind.row, node.attr)

    def _field(self, node: ast.Attribute) -> Value:
        address, column, tag = self._place(node)
        if column.target is not None:
            kind = numbers(column.target) if isinstance(column.target, str) else Rows(column.target)
            # It stays the same while compiled code runs, so that LLVM need not load it again after each store.
            return self._make(kind, f"load ptr, ptr {address}, align 8, !invariant.load !0")
        if column.is_list:
            return Value(Numbers(column.size, column.signed), address)
        return self._read(address, column.size, signed=column.signed, tag=tag)

    def _item(self, node: ast.Subscript) -> Value:
        if isinstance(node.value, ast.Tuple):
            values = [signed(int(ast.literal_eval(each))) for each in node.value.elts]
            owner = Value(Numbers(8, signed=True), self._whole.add_table(values))
        else:
            owner = self._single(node, self._expression(node.value))
        if not isinstance(owner.kind, Numbers | Rows):
            raise self._refuse(node, _("no row of values"))
        address = self._element(owner, self._int(node.slice))
        if isinstance(owner.kind, Numbers):
            return self._read(address, owner.kind.size, signed=owner.kind.signed)
        return Value(Row(owner.kind.rows), address)

    # Calls.

    def _call(self, node: ast.Call, name: str) -> Result:
        if name == "len" and isinstance(node.args[0], ast.Tuple):
            return Value(INT, str(len(node.args[0].elts)))
        given = [self._wide(self._single(each, self._expression(each))) for each in node.args]
        if not self._whole.has(name):
            return self._built_in(node, name, given)
        symbol, returned = self._whole.call(name, tuple(value.kind for value in given))
        line = f"call {type_of(returned)} @{symbol}({', '.join(value.typed for value in given)})"
        if returned is None:
            self._do(line)
            return None
        if isinstance(returned, int):
            whole = self._make(INT, line).name
            return tuple(self._make(INT, f"extractvalue {type_of(returned)} {whole}, {i}") for i in range(returned))
        return self._make(returned, line)

    def _built_in(self, node: ast.Call, name: str, given: list[Value]) -> Result:
        match name, given:
            case "int", [value]:
                return self._need(node, value, INT)
            case "bool", [value]:
                return self._truth(node, value)
            case "abs", [value]:
                return self._make(INT, f"call i64 @llvm.abs.i64({self._need(node, value, INT).typed}, i1 false)")
            case "min" | "max", [first, *others]:
                for each in others:
                    first = self._make(
                        INT, f"call i64 @llvm.s{name}.i64({first.typed}, {self._need(node, each, INT).typed})"
                    )
                return first
            case "behind", [Value(kind=Numbers(size=1)) as octets, at]:
                return Value(octets.kind, self._beyond(octets.name, at.name))
            case "half", [Value(kind=Numbers(size=1)) as octets, at]:
                return self._read(self._beyond(octets.name, at.name), 4, signed=False, align=1)
            case "copy", [to, place, source, at, size]:
                self._copy(self._beyond(to.name, place.name), self._beyond(source.name, at.name), size.name)
            case "fetch", [rows, index]:
                self._fetch(rows, index)
            case _:
                raise self._refuse(node, _("a function that is not known"))
        return None
