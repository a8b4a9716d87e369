"""The catalogue of rules: labkit's own, those of installed packages, and those of a user's files.

Rules are imported when somebody asks for them: most captures are judged without (`labkit.analysis.native.packed`).
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, wraps
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from labkit.analysis.severity import Severity
from labkit.errors import UsageError
from labkit.i18n import N_, _, printable, unreadable
from labkit.modules import modules_in

if TYPE_CHECKING:
    from pathlib import Path

    from labkit.analysis.rule import Rule

GROUP = "labkit.rules"
"""The group of entry points by which an installed package adds rules: each names a module that declares some."""

MAX_SOURCE_OCTETS = 1_048_576
"""Octets of a file of rules."""


@cache
def shipped() -> "tuple[Rule, ...]":
    """Every rule of labkit's own: families in the order of their files, rules in their order there."""
    from labkit.analysis.rule import FAMILIES

    package = import_module(FAMILIES)
    return tuple(
        found
        for name in modules_in(package.__path__)
        for found in _rules_of(import_module(f"{package.__name__}.{name}"))
    )


def collect(extra: tuple[str, ...] = ()) -> "tuple[Rule, ...]":
    """Every rule: the shipped ones, those of installed packages (entry points of the group `labkit.rules`), and those of the
    files `extra`. UsageError for a source that has no usable rules. A file is read again only if it has changed."""
    return _collected(extra, tuple(map(_stamp, extra)), tuple(sys.path))


def _stamp(path: str) -> tuple[str, int, int] | None:
    from pathlib import Path
    from stat import S_ISREG

    with suppress(OSError, ValueError):
        place = Path(path).absolute()
        found = place.stat()
        if not S_ISREG(found.st_mode):  # a pipe can be read once, and its time changes then
            return str(place), found.st_dev, found.st_ino
        return str(place), found.st_mtime_ns, found.st_size
    return None


def only_shipped() -> bool:
    """Whether no installed package adds rules: `collect()` then gives what `shipped` does, which may not be imported yet."""
    return not _adds_rules(tuple(sys.path))


@cache
def _adds_rules(path: tuple[str, ...]) -> bool:
    return any(map(_has_entry_points, path))


@cache
def _collected(
    extra: tuple[str, ...],
    stamps: tuple[object, ...],  # noqa: ARG001 - for the cache, as the folders that Python looks into
    folders: tuple[str, ...],  # noqa: ARG001
) -> "tuple[Rule, ...]":
    rules = shipped()
    for source, added in _installed():
        rules += _new(added, rules, source)
    for path in extra:
        rules += _new(_rules_in(path), rules, path)
    return rules


def load_rules(path: "str | Path") -> "tuple[Rule, ...]":
    """The rules of a Python file. UsageError for a file that cannot be imported, has no rule, or has a code that exists."""
    return collect((str(path),))[len(collect()) :]


def _rules_of(module: ModuleType) -> "Iterator[Rule]":
    from labkit.analysis.rule import Rule

    for value in vars(module).values():
        found = getattr(value, "rule", None)
        if isinstance(found, Rule) and value.__module__ == module.__name__:
            yield found


def _installed() -> "Iterator[tuple[str, tuple[Rule, ...]]]":
    """The rules of each installed package that has some. To import `importlib.metadata` takes longer than all else."""
    if only_shipped():
        return
    from importlib.metadata import entry_points

    for point in entry_points(group=GROUP):
        source = f"{GROUP}: {point.name} = {point.value}"
        with _complaints(source, ""):
            added = tuple(_rules_of(import_module(point.value)))
        yield source, added


def _has_entry_points(folder: str) -> bool:
    """Whether a package in a folder of `sys.path` names the group. Python skips folders that it cannot read, and so does this."""
    with suppress(OSError), os.scandir(folder or ".") as entries:
        return any(_names_group(entry.path) for entry in entries if entry.name.endswith("-info"))
    return False


def _names_group(folder: str) -> bool:
    with suppress(OSError), open(f"{folder}/entry_points.txt", "rb") as file:  # noqa: PTH123 - no pathlib yet
        return GROUP.encode() in file.read()
    return False


def _rules_in(path: str) -> "tuple[Rule, ...]":
    """Run a file as a module of its own; nothing is written beside it."""
    from pathlib import Path

    name = printable(path)
    try:
        with Path(path).open("rb") as file:
            source = file.read(MAX_SOURCE_OCTETS + 1)
    except (OSError, ValueError) as error:
        raise UsageError(unreadable(path, error)) from None
    if len(source) > MAX_SOURCE_OCTETS:
        raise UsageError(_("{file}: the file is larger than {most} bytes").format(file=name, most=MAX_SOURCE_OCTETS))
    stem = Path(path).stem
    module = ModuleType(f"labkit_rules_{abs(hash(path)):x}.{stem}")
    module.__file__ = path
    sys.modules[module.__name__] = module  # dataclasses look for it there
    with _complaints(name, path):
        exec(compile(source, path, "exec"), module.__dict__)  # noqa: S102 - the user names a file to be run
        return tuple(_rules_of(module))


@contextmanager
def _complaints(source: str, path: str) -> Iterator[None]:
    """Turn what goes wrong in the code of others into one line, with the line in their file."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{source}{_(': ')}{error}") from None
    except MemoryError:
        raise  # the capture's fault, not the rule's
    except (Exception, SystemExit) as error:
        from traceback import walk_tb  # it takes a while to be imported

        lines = [line for frame, line in walk_tb(error.__traceback__) if frame.f_code.co_filename == path]
        place = _("{file}, line {n}").format(file=source, n=lines[-1]) if lines else source
        reason = printable(f"{type(error).__name__}: {error}")
        raise UsageError(_("{file}: cannot be used: {reason}").format(file=place, reason=reason)) from None


def _new(added: "tuple[Rule, ...]", known: "tuple[Rule, ...]", source: str) -> "tuple[Rule, ...]":
    """The rules of a source from outside, so that a mistake in one of them ends in a line that names it."""
    name = printable(source)
    if not added:
        raise UsageError(_("{file}: there is no rule in it").format(file=name))
    names = {folded(rule.code): rule.name for rule in known}
    kinds = {kind.word: kind for rule in known for kind in rule.limits.values()}
    for rule in added:
        if (other := names.get(folded(rule.code))) is not None:
            text = _("{file}: rule {code} ({name}): its code is taken by {other}")
            raise UsageError(text.format(file=name, code=rule.code, name=rule.name, other=other))
        for kind in rule.limits.values():
            if kinds.setdefault(kind.word, kind) != kind:
                text = _(
                    "{file}: rule {code} ({name}): another rule declares the limit '{word}' with other texts; expected the same"
                )
                raise UsageError(text.format(file=name, code=rule.code, name=rule.name, word=kind.word))
    return tuple(_guarded(rule, name) for rule in dict.fromkeys(added))  # a function may have two names


def _guarded(rule: "Rule", source: str) -> "Rule":
    """The rule, with functions that raise UsageError and nothing else, and change nothing."""
    from labkit.analysis.rule_check import ReadOnly

    label = f"{source}: {rule.code} ({rule.name})"

    def guard(function: Any, fits: Callable[[object], bool], expected: str) -> Any:
        if not callable(function):
            return function
        code = getattr(function, "__code__", None)  # not every callable has one

        @wraps(function)
        def guarded(*arguments: object) -> Any:
            with _complaints(label, code.co_filename if code else ""):
                found = function(*map(ReadOnly, arguments))
                if not fits(found):
                    text = _("answers {value}; expected {expected}")
                    raise UsageError(text.format(value=printable(repr(found)[:40]), expected=_(expected)))
                return found

        return guarded

    answers = (False, True, *Severity)
    number = N_("an integer, or None")
    return rule._replace(
        predicate=guard(rule.predicate, lambda found: found in answers, N_("True, False or a Severity")),
        field=guard(rule.field, lambda found: isinstance(found, str), N_("a text")),
        expected=guard(rule.expected, lambda found: found is None or isinstance(found, int), number),
        actual=guard(rule.actual, lambda found: found is None or isinstance(found, int), number),
    )


def folded(word: str) -> str:
    """A word for rules as it is compared: in lower case, with dashes for underscores."""
    return word.strip().lower().replace("_", "-")


def lookup(text: str, rules: "tuple[Rule, ...]") -> "tuple[Rule, ...]":
    """The rules with a code or a name, in whatever case; several where profiles differ; none where there is none."""
    wanted = folded(text)
    return tuple(each for each in rules if wanted in {folded(each.code), folded(each.name)})
