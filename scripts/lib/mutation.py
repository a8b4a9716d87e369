"""Mutation testing: change the code in small ways, and list the changes that no test notices.

A mutant is one function with one change: `before` for `after`, `<` for `<=`, `and` for `or`, a number minus one, a missing
`not`, a condition that is always false. The mutant's code replaces the function's in place, so that every module that
imported the function runs the mutant.

pytest collects the quick tests once. A first run records which tests execute which lines. Then each
mutant gets a child process of its own, which runs the tests that execute the changed line, the quickest first, until one fails.
Some survivors change nothing that a caller could see; the others show a hole in the tests.
"""

import argparse
import ast
import gc
import inspect
import os
import pickle
import pkgutil
import select
import signal
import sys
import textwrap
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from io import StringIO
from pathlib import Path
from random import Random
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

import pytest

import labkit.analysis.rules
from labkit.capture import Frame
from labkit.teach import examples

TOP = Path(__file__).parents[2]
PAGE = TOP / "docs" / "mutation.md"
GOAL = 0.8
"""The part of a family's mutants that the tests must notice."""
SAMPLE = 40
"""Mutants of each family that are tried."""
WORKERS = 2
TIMEOUT = 60
"""Seconds after which a test counts as failed: many mutants never end."""
HEARTBEAT = b"."
"""What a child sends before each test, and a worker after each mutant. No pickle starts with it."""

TESTS = ("tests/analysis", "tests/packet", "tests/tcp", "tests/build/scenario", "tests/test_pcaps.py")
MARKERS = "not live and not compiled and not slow"

FAMILIES = {
    "verifier": "labkit.analysis.verifier",
    "analyzer": "labkit.analysis.analyzer",
    "policy": "labkit.analysis.policy",
    "flows": "labkit.analysis.flows",
    "tracker": "labkit.analysis.tracker",
    "pending": "labkit.analysis.pending",
    "decode": "labkit.packet.decode",
    "endpoint": "labkit.tcp.endpoint",
    **{
        f"rules: {module.name}": f"labkit.analysis.rules.{module.name}"
        for module in pkgutil.iter_modules(labkit.analysis.rules.__path__)
    },
}
"""The module or package of each family."""

SWAPS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}
NAMES = {"before": "after", "after": "before"}

HEAD = """# Mutation

`scripts/mutation` changes one thing in one function (`<` becomes `<=`, `and` becomes `or`, a condition never holds, a number
is one less) and runs the quick tests that execute the changed line. It tries some changes of each family of modules, always
the same ones for the same code. The tests must notice {goal:.0%} of each family's changes. Most changes that they miss make no
visible difference, such as one to a guard against what cannot happen.

| family | functions | changes | tried | noticed |
| --- | ---: | ---: | ---: | ---: |
"""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One changed function."""

    function: FunctionType
    code: CodeType
    line: int
    change: str

    @property
    def place(self) -> "Place":
        """The file and line of the change."""
        return self.function.__code__.co_filename, self.line

    def __str__(self) -> str:
        return f"{self.function.__module__}.{self.function.__qualname__}, line {self.line}: {self.change}"


class _Change(ast.NodeTransformer):
    """Make the change with a number; with -1 only count the possible changes."""

    def __init__(self, number: int) -> None:
        self.number, self.count = number, 0
        self.line, self.change = 0, ""

    def _turn(self, node: ast.AST, change: str) -> bool:
        self.count += 1
        if self.count - 1 != self.number:
            return False
        self.line, self.change = getattr(node, "lineno", 0), change
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
        # Most constants that are assigned alone are marks: another number would do as well.
        values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
        return node if all(isinstance(each, ast.Constant) for each in values) else self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if type(node.value) is int:
            # One less: one more makes a check of a length only stricter, which the next layer's check hides.
            other = node.value - 1 if node.value else 1
            if self._turn(node, f"{node.value} → {other}"):
                return ast.copy_location(ast.Constant(other), node)
        if type(node.value) is bool and self._turn(node, f"{node.value} → {not node.value}"):
            return ast.copy_location(ast.Constant(not node.value), node)
        return node

    def visit_If(self, node: ast.If) -> ast.AST:
        self.generic_visit(node)
        if self._turn(node.test, "if never"):
            node.test = ast.copy_location(ast.Constant(False), node.test)
        return node


def modules(name: str) -> Iterator[ModuleType]:
    """Yield a module, and all modules below it if it is a package."""
    module = import_module(name)
    yield module
    for each in pkgutil.iter_modules(getattr(module, "__path__", ()), f"{name}."):
        yield from modules(each.name)


def functions(name: str) -> Iterator[FunctionType]:
    """Yield the functions, methods and properties that a module or package defines."""
    for module in modules(name):
        spaces = [vars(module)]
        spaces += [vars(each) for each in vars(module).values() if isinstance(each, type)]
        for value in (value for space in spaces for value in space.values()):
            found = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
            if (
                isinstance(found, FunctionType)
                and found.__module__ == module.__name__
                and found.__code__.co_filename == module.__file__  # dataclasses write methods that have no source
                and found.__name__ != "<lambda>"
                and not found.__code__.co_freevars
            ):
                yield found


def mutants(function: FunctionType) -> Iterator[Mutant]:
    """Yield every mutant of a function."""
    source = textwrap.dedent(inspect.getsource(function))
    start = function.__code__.co_firstlineno
    counter = _Change(-1)
    counter.visit(_bare(source))
    for number in range(counter.count):
        change = _Change(number)
        changed = ast.fix_missing_locations(change.visit(_bare(source)))
        space: dict[str, object] = {}
        exec(compile(changed, f"<mutant of {function.__name__}>", "exec"), function.__globals__, space)  # noqa: S102
        made = space[function.__name__]
        if isinstance(made, FunctionType):
            yield Mutant(function, made.__code__, start + change.line - 1, change.change)


def _bare(source: str) -> ast.Module:
    """Parse a function without its decorators, docstring, annotations and default values."""
    tree = ast.parse(source)
    node = tree.body[0]
    if not isinstance(node, ast.FunctionDef):
        raise TypeError(f"not a function: {source[:40]!r}")
    node.decorator_list, node.returns = [], None
    arguments = node.args
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        argument.annotation = None
    for each in (arguments.vararg, arguments.kwarg):
        if each is not None:
            each.annotation = None
    arguments.defaults = [ast.Constant(None) for _ in arguments.defaults]
    arguments.kw_defaults = [each and ast.Constant(None) for each in arguments.kw_defaults]
    if ast.get_docstring(node) is not None:
        node.body = node.body[1:] or [ast.Pass()]
    return tree


@contextmanager
def installed(mutant: Mutant) -> Iterator[None]:
    """Run the mutant in the place of its function."""
    code = mutant.function.__code__
    mutant.function.__code__ = mutant.code
    try:
        yield
    finally:
        mutant.function.__code__ = code


@dataclass(frozen=True, slots=True)
class Job:
    """A mutant of a family."""

    family: str
    mutant: Mutant


Place = tuple[str, int]
"""A file and a line in it."""


@dataclass(slots=True)
class Baseline:
    """What the first run records, without a mutant. Tests are known by their places in the collection."""

    tests: dict[Place, list[int]]
    """The tests that execute a line, the quickest first."""
    failed: list[int]


class Session:
    """A pytest plugin that runs the collected tests once for each mutant, in child processes."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.jobs = jobs
        self.results: list[bool] = []
        """Whether a test noticed the mutant of each job."""
        self.items: list[pytest.Item] = []
        self._failed = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a failure."""
        self._failed = self._failed or report.failed

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run the tests: pytest itself must not."""
        self.items = session.items
        # In this process, so that the tests' caches of built packets serve all children.
        baseline = self._baseline()
        gc.freeze()
        if baseline.failed:
            names = ", ".join(self.items[number].nodeid for number in baseline.failed[:5])
            raise pytest.UsageError(f"{len(baseline.failed)} tests fail without a mutant: {names}")
        parts = [_start(lambda part=part: self._try(part, baseline)) for part in range(WORKERS)]
        found = [_result(part, told=self._tell) for part in parts]
        self.results = [found[number % WORKERS][number // WORKERS] for number in range(len(self.jobs))]
        return True

    def _tell(self, tried: int) -> None:
        """Show how far the workers are: each has the same number of mutants, and about the same speed."""
        if tried % 10 == 0:
            print(f"mutation: {min(tried * WORKERS, len(self.jobs))} of {len(self.jobs)} mutants", file=sys.stderr)

    def _passes(self, number: int) -> bool:
        """Run one test and tear down all its fixtures."""
        self._failed = False
        item = self.items[number]
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        return not self._failed

    def _baseline(self) -> Baseline:
        """Run all tests and record which lines of the functions they execute."""
        files = {job.mutant.function.__code__.co_filename for job in self.jobs}
        seen: set[Place] = set()

        def trace(frame: FrameType, _event: str, _argument: object) -> Any:
            seen.add((frame.f_code.co_filename, frame.f_lineno))
            return trace if frame.f_code.co_filename in files else None

        took: list[tuple[float, int]] = []
        executed: dict[Place, set[int]] = defaultdict(set)
        failed = []
        for number in range(len(self.items)):
            seen.clear()
            start = time.perf_counter()
            sys.settrace(trace)
            passed = self._passes(number)
            sys.settrace(None)
            took.append((time.perf_counter() - start, number))
            if not passed:
                failed.append(number)
            for place in seen:
                if place[0] in files:
                    executed[place].add(number)
        order = [number for _, number in sorted(took)]
        return Baseline({place: [each for each in order if each in some] for place, some in executed.items()}, failed)

    def _try(self, part: int, baseline: Baseline) -> list[bool]:
        """Try the mutants of one part; list whether a test noticed each."""
        results = []
        killers: Counter[int] = Counter()
        for job in self.jobs[part::WORKERS]:
            # Tests that noticed other mutants probably notice this one.
            tests = sorted(baseline.tests.get(job.mutant.place, []), key=lambda number: -killers[number])
            killer = _result(_start(lambda job=job, tests=tests: self._killer(job.mutant, tests)), TIMEOUT)
            results.append(killer != -1)
            os.write(_sink, HEARTBEAT)
            if killer is not None and killer != -1:
                killers[killer] += 1
        return results

    def _killer(self, mutant: Mutant, tests: Sequence[int]) -> int:
        """Return the first test that fails with a mutant; -1 if none does."""
        with installed(mutant):
            for number in tests:
                os.write(_sink, HEARTBEAT)
                if not self._passes(number):
                    return number
        return -1


Process = tuple[int, int]
"""A child's process id, and the descriptor from which its heartbeats and its result come."""


def _start(function: Callable[[], Any]) -> Process:
    """Run a function in a child process that prints nothing."""
    global _sink
    source, sink = os.pipe()
    child = os.fork()
    if child:
        os.close(sink)
        return child, source
    code = 1
    try:
        os.close(source)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for number in (1, 2):
            os.dup2(nowhere, number)
        _sink = sink
        result = pickle.dumps(function())
        with os.fdopen(sink, "wb") as stream:
            stream.write(result)
        code = 0
    finally:
        os._exit(code)


_sink = -1
"""In a child: the descriptor of its heartbeats and its result."""


def _result(process: Process, seconds: float | None = None, told: Callable[[int], None] | None = None) -> Any:
    """Wait for the result of a child; None if it dies without one, or sends nothing for some seconds and is killed.

    `told` is called with the number of heartbeats so far.
    """
    child, source = process
    octets = b""
    while True:
        ready, _, _ = select.select([source], [], [], seconds)
        if not ready:
            os.kill(child, signal.SIGKILL)
        part = os.read(source, 1 << 16)
        if not part:
            break
        octets += part
        if told is not None:
            told(len(octets) - len(octets.lstrip(HEARTBEAT)))
    os.close(source)
    os.waitpid(child, 0)
    octets = octets.lstrip(HEARTBEAT)
    return pickle.loads(octets) if octets else None  # noqa: S301 - our own child wrote it


def sample(family: str, size: int | None) -> tuple[list[Job], str]:
    """Return mutants of a family, always the same ones for the same code, and the counts for the table."""
    every = list(functions(FAMILIES[family]))
    found = [Job(family, mutant) for function in every for mutant in mutants(function)]
    chosen = found if size is None or len(found) <= size else Random(family).sample(found, size)
    return chosen, f"{len(every):,} | {len(found):,} | {len(chosen):,}"


def remember_frames() -> None:
    """Keep the frames that tests build from notation: building takes longer than judging, and no mutant changes it."""
    build = examples.frames
    built: dict[str, list[Frame]] = {}

    def frames(*arguments: Any, **more: Any) -> Iterator[Frame]:
        key = repr((arguments, more))
        if key not in built:
            built[key] = list(build(*arguments, **more))
        return iter(built[key])

    examples.frames = frames


def write_page(rows: dict[str, str]) -> None:
    """Write the page: these rows, and the rows that it has of other families."""
    lines = PAGE.read_text("utf-8").splitlines() if PAGE.exists() else []
    old = {line.split(" | ")[0].removeprefix("| "): line for line in lines}
    table = [row for name in FAMILIES if (row := rows.get(name) or old.get(name))]
    PAGE.write_text(HEAD.format(goal=GOAL) + "\n".join(table) + "\n", "utf-8")


def main() -> int:
    """Try the mutants, print the survivors and the table; return 1 if a family misses the goal."""
    parser = argparse.ArgumentParser(prog="scripts/mutation", description="Test the tests with mutants.")
    parser.add_argument("families", nargs="*", metavar="FAMILY", help=f"one of: {', '.join(FAMILIES)}; default: all")
    parser.add_argument("--sample", type=int, default=SAMPLE, metavar="N", help="mutants of each family (default: 40)")
    parser.add_argument("--all", action="store_true", help="try all mutants")
    parser.add_argument("--tests", action="append", metavar="PATH", help="run only these tests (repeatable)")
    asked = parser.parse_args()
    if unknown := set(asked.families) - set(FAMILIES):
        parser.error(f"unknown family: {', '.join(sorted(unknown))}")
    families = {
        name: sample(name, None if asked.all else asked.sample)
        for name in FAMILIES
        if name in asked.families or not asked.families
    }
    session = Session([job for jobs, _ in families.values() for job in jobs])
    os.environ.pop("LABKIT_CAPTURES", None)
    arguments = ["-q", "-s", "-p", "no:cacheprovider"]
    # labkit is a plugin of pytest too, which would rewrite its assertions if it were not imported yet.
    arguments += ["-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"]
    arguments += ["-m", MARKERS, "--hypothesis-profile=quick", "--timeout=0", *(asked.tests or TESTS)]
    remember_frames()
    with redirect_stdout(StringIO()) as printed:
        code = pytest.main(arguments, plugins=[session])
    if len(session.results) != len(session.jobs):
        print(f"{printed.getvalue()}mutation: pytest ended with {code!r}", file=sys.stderr)
        return 2
    noticed = Counter(job.family for job, result in zip(session.jobs, session.results, strict=True) if result)
    for job, result in zip(session.jobs, session.results, strict=True):
        if not result:
            print(f"survivor: {job.mutant}")
    rates = {name: noticed[name] / max(1, len(jobs)) for name, (jobs, _) in families.items()}
    rows = {name: f"| {name} | {counts} | {rates[name]:.0%} |" for name, (_, counts) in families.items()}
    print("\n".join(rows.values()))
    if not asked.tests:
        write_page(rows)
    low = [name for name, rate in rates.items() if rate < GOAL]
    print(f"below {GOAL:.0%}: {', '.join(low) or 'no family'}")
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main())
