#!/bin/sh
# mypyc 2.4.1: whether a compiled record with a field of a built-in type can be imported depends on which built-in type it is.
#
# Guess: the annotation of a field may be any type that mypy accepts, and what is not special to mypyc is looked up like any name:
# in the module, then among the built-in ones. Seen: in NamedTuple, TypedDict and dataclass, mypyc looks up annotations in the
# module only, but for a dozen types that it knows by heart (int, str, list, range, bytearray, but not memoryview). `object`,
# `Exception`, `memoryview`, `complex`, `slice` and others pass the type check and compile, and the import of the finished
# module ends in a KeyError with the name of the type. `from __future__ import annotations` does not help. A plain class with
# the same annotations works, for it keeps none of them; so does `builtins.object`, and `object | None`: of that, as of every
# union, `__annotations__` says `type` at run time, so that a reader of types (a decoder of JSON) sees something else than was
# written.
#
# Needs python3 with venv, its headers and a C compiler. Exit code 0 if it is as described, 1 if that has changed, 4 if something is
# missing.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip -q install mypy==2.4.1 setuptools==80.9.0 2>/dev/null || { echo "cannot install mypy" >&2; exit 4; }
env/bin/python -c 'from importlib.metadata import version; print("mypyc", version("mypy"))'
known="int float str bytes bool list dict set tuple frozenset range type bytearray"
unknown="object complex slice memoryview BaseException Exception property zip map enumerate reversed"
for type in $known $unknown; do
    printf 'from typing import NamedTuple\n\n\nclass Row(NamedTuple):\n    number: int\n    note: %s\n' "$type" >"tuple_$type.py"
done
for type in object Exception; do
    printf 'from dataclasses import dataclass\n\n\n@dataclass\nclass Row:\n    number: int\n    note: %s\n' "$type" >"data_$type.py"
    printf 'from __future__ import annotations\n\n' | cat - "data_$type.py" >"future_$type.py"
    printf 'from typing import TypedDict\n\n\nclass Row(TypedDict):\n    number: int\n    note: %s\n' "$type" >"typed_$type.py"
    printf 'class Row:\n    number: int\n    note: %s\n' "$type" >"plain_$type.py"
    sed "s/note: $type/note: $type | None/" "data_$type.py" >"union_$type.py"
    sed "s/note: /note: builtins./; 1s/^/import builtins\n/" "data_$type.py" >"named_$type.py"
done
env/bin/mypyc *_*.py >log 2>&1 || { tail -3 log >&2; exit 4; }
rm ./*_*.py # so that only compiled modules can be imported
env/bin/python - "$known" "$unknown" <<'IMPORT'
import sys
from importlib import import_module

sys.path.insert(0, ".")
known, unknown = (each.split() for each in sys.argv[1:])


def found(name: str) -> str:
    """What the import of a module gives: the annotation of `note`, or the error."""
    try:
        kind = import_module(name).Row.__annotations__.get("note")
    except KeyError as error:
        return f"KeyError: {error}"
    return getattr(kind, "__name__", str(kind))


seen = {name: found(f"tuple_{name}") for name in (*known, *unknown)}
wanted = {name: name for name in known} | {name: f"KeyError: '{name}'" for name in unknown}
print("NamedTuple, imported:", *(name for name in seen if seen[name] == name))
print("NamedTuple, KeyError:", *(name for name in seen if seen[name].startswith("KeyError")))
failed = seen != wanted
for form, expected in (
    ("data", "KeyError: '{}'"),
    ("future", "KeyError: '{}'"),
    ("typed", "KeyError: '{}'"),
    ("plain", "None"),
    ("union", "type"),
    ("named", "{}"),
):
    results = [found(f"{form}_{name}") for name in ("object", "Exception")]
    print(f"{form:7}", results)
    failed |= results != [expected.format(name) for name in ("object", "Exception")]
if failed:
    sys.exit("changed: not as described")
IMPORT
