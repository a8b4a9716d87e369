"""The kinds of values in compiled code, and the lines of a function in the assembly language of LLVM."""

import ast
from ctypes import sizeof
from dataclasses import dataclass

from labkit.analysis.native.records import TYPES, near, record

LINE = 64
"""Octets that the processor brings from memory at a time."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """The address of integers, `size` octets each."""

    size: int
    signed: bool


@dataclass(frozen=True, slots=True)
class Row:
    """The address of a row of a dataclass."""

    row: type


@dataclass(frozen=True, slots=True)
class Rows:
    """The address of consecutive rows."""

    rows: type


@dataclass(frozen=True, slots=True)
class Integer:
    """An integer, or, with one bit, the result of a comparison."""

    bits: int = 64


Kind = Numbers | Row | Rows | Integer
INT, BIT = Integer(), Integer(1)


@dataclass(frozen=True, slots=True)
class Value:
    """A value, by the name or the number that the text has for it."""

    kind: Kind
    name: str

    @property
    def typed(self) -> str:
        """The value with its type, as an operand."""
        return f"{type_of(self.kind)} {self.name}"


Result = Value | tuple[Value, ...] | None
"""What an expression gives; a tuple for one of integers, None for a call without a result."""
Kinds = tuple[Kind, ...]
Returned = Kind | int | None
"""What a function returns; a number for a tuple of so many integers."""


def numbers(width: str) -> Numbers:
    """The kind of integers of a width of `labkit.analysis.native.records.TYPES`."""
    return Numbers(sizeof(TYPES[width]), width.startswith("i"))


def type_of(kind: Returned) -> str:
    """The type of a kind in the text."""
    if kind is None:
        return "void"
    if isinstance(kind, int):
        return f"{{ {', '.join(['i64'] * kind)} }}"
    return f"i{kind.bits}" if isinstance(kind, Integer) else "ptr"


def zero_of(kind: Returned) -> str:
    """A value of a kind."""
    return "" if kind is None else "zeroinitializer" if isinstance(kind, int) else "0" if kind == INT else "null"


DECLARATIONS = """declare void @llvm.prefetch.p0(ptr, i32, i32, i32)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
declare i64 @llvm.smin.i64(i64, i64)
declare i64 @llvm.smax.i64(i64, i64)
declare i64 @llvm.abs.i64(i64, i1)

attributes #0 = { nounwind }
!0 = !{}
!1 = !{!"memory"}
"""

OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.BitAnd: "and",
    ast.BitOr: "or",
    ast.BitXor: "xor",
}
COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "eq",
    ast.NotEq: "ne",
    ast.Lt: "slt",
    ast.LtE: "sle",
    ast.Gt: "sgt",
    ast.GtE: "sge",
}


def signed(value: int) -> int:
    """An integer of 64 bits."""
    return (value + (1 << 63)) % (1 << 64) - (1 << 63)


class Tags:
    """Tells LLVM which field an access is to. Two fields never share memory, so that a store to one of them changes no other one,
    which need not be loaded again. An access without a tag may be to any of them."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def of(self, row: type, field: str) -> str:
        """What follows an access to a field of a dataclass."""
        number = self._numbers.setdefault(f"{row.__name__}.{field}", 2 * len(self._numbers) + 2)
        return f", !tbaa !{number + 1}"

    @property
    def text(self) -> str:
        """The fields so far, for the end of the module: for each its type, and the tag of an access to all of it."""
        return "".join(
            f'!{number} = !{{!"{name}", !1, i64 0}}\n!{number + 1} = !{{!{number}, !{number}, i64 0}}\n'
            for name, number in self._numbers.items()
        )


class Lines:
    """The lines of one function: its slots, of which each holds a variable, and its code."""

    def __init__(self) -> None:
        self._slots: list[str] = []
        self._lines: list[str] = []
        self._count = 0
        self._open = True
        """Whether the code so far goes on."""

    def _new(self, stem: str = "v") -> str:
        self._count += 1
        return f"{stem}{self._count}"

    def _do(self, line: str) -> None:
        self._lines.append(f"  {line}")

    def _make(self, kind: Kind, line: str) -> Value:
        value = Value(kind, f"%{self._new()}")
        self._do(f"{value.name} = {line}")
        return value

    def _end(self, line: str) -> None:
        if self._open:
            self._do(line)
        self._open = False

    def _label(self, name: str) -> None:
        self._end(f"br label %{name}")
        self._lines.append(f"{name}:")
        self._open = True

    def _slot(self, kind: Kind) -> Value:
        slot = Value(kind, f"%{self._new('s')}")
        self._slots.append(f"  {slot.name} = alloca {type_of(kind)}")
        return slot

    def _store(self, value: Value, slot: Value) -> None:
        self._do(f"store {value.typed}, ptr {slot.name}")

    def _load(self, slot: Value) -> Value:
        return self._make(slot.kind, f"load {type_of(slot.kind)}, ptr {slot.name}")

    def _beyond(self, address: str, octets: str | int) -> str:
        return self._make(INT, f"getelementptr i8, ptr {address}, i64 {octets}").name

    def _element(self, value: Value, index: Value) -> str:
        """The address of an element."""
        size = value.kind.size if isinstance(value.kind, Numbers) else sizeof(record(value.kind.rows))  # type: ignore[union-attr]
        return self._beyond(value.name, self._make(INT, f"mul i64 {index.name}, {size}").name)

    def _read(self, address: str, size: int, *, signed: bool, align: int | None = None, tag: str = "") -> Value:
        found = self._make(Integer(8 * size), f"load i{8 * size}, ptr {address}, align {align or size}{tag}")
        return found if size == 8 else self._make(INT, f"{'sext' if signed else 'zext'} {found.typed} to i64")

    def _write(self, address: str, value: Value, size: int, tag: str = "") -> None:
        narrow = value if size == 8 else self._make(Integer(8 * size), f"trunc {value.typed} to i{8 * size}")
        self._do(f"store {narrow.typed}, ptr {address}, align {size}{tag}")

    def _divided(self, left: Value, right: Value, *, whole: bool) -> Value:
        """The quotient, or the remainder, rounded down as in Python; 0 for a division by 0."""
        if right.name.isdigit() and (by := int(right.name)) and by & (by - 1) == 0:
            line = f"ashr i64 {left.name}, {by.bit_length() - 1}" if whole else f"and i64 {left.name}, {by - 1}"
            return self._make(INT, line)

        def made(line: str, bits: int = 64) -> str:
            return self._make(Integer(bits), line).name

        # 0, and -1, with which the least integer overflows, are replaced.
        zero = made(f"icmp eq i64 {right.name}, 0", 1)
        negated = made(f"icmp eq i64 {right.name}, -1", 1)
        by_one = made(f"or i1 {zero}, {negated}", 1)
        by_ = made(f"select i1 {by_one}, i64 1, i64 {right.name}")
        rest = made(f"srem i64 {left.name}, {by_}")
        other_sign = made(f"icmp slt i64 {made(f'xor i64 {rest}, {by_}')}, 0", 1)
        down = made(f"and i1 {made(f'icmp ne i64 {rest}, 0', 1)}, {other_sign}", 1)
        if whole:
            rounded = made(f"sub i64 {made(f'sdiv i64 {left.name}, {by_}')}, {made(f'zext i1 {down} to i64')}")
            opposite = made(f"sub i64 0, {left.name}")
            return self._make(
                INT, f"select i1 {zero}, i64 0, i64 {made(f'select i1 {negated}, i64 {opposite}, i64 {rounded}')}"
            )
        return self._make(INT, f"add i64 {rest}, {made(f'select i1 {down}, i64 {by_}, i64 0')}")

    def _fetch(self, rows: Value, index: Value) -> None:
        size = rows.kind.size if isinstance(rows.kind, Numbers) else near(rows.kind.rows)  # type: ignore[union-attr]
        address = self._element(rows, index)
        for octets in sorted({*range(0, size, LINE), max(0, size - 8)}):
            # For reading, into every cache.
            self._do(f"call void @llvm.prefetch.p0(ptr {self._beyond(address, octets)}, i32 0, i32 3, i32 1)")

    def _copy(self, to: str, source: str, size: str) -> None:
        self._do(f"call void @llvm.memcpy.p0.p0.i64(ptr {to}, ptr {source}, i64 {size}, i1 false)")


def read_again(target: ast.expr) -> ast.expr:
    """The target of an assignment as an expression."""
    return ast.parse(ast.unparse(target), mode="eval").body


def is_truth(node: ast.expr) -> bool:
    """Whether an expression's value is 0 or 1."""
    match node:
        case ast.BoolOp():
            return all(is_truth(each) for each in node.values)
        case ast.UnaryOp():
            return isinstance(node.op, ast.Not)
        case _:
            return isinstance(node, ast.Compare)
