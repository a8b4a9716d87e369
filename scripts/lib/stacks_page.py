"""Print docs/stacks.md: the stacks by fact, with the source of each value. The tests check that it is current.

python scripts/lib/stacks_page.py > docs/stacks.md
"""

import ast
import inspect
from collections.abc import Iterator
from typing import Any

from labkit.build.scenario.model import Side
from labkit.tcp import stacks
from labkit.tcp.endpoint.config import MILLISECOND, SECOND, Config
from labkit.tcp.stacks import DEFAULT, Header, Stack

HEAD = """# Stacks

With `stack: NAME` a side of a scenario looks like a real host ([Writing scenarios](scenarios.md#stacks)). This page lists what
each stack does, and where each value is from. `scripts/docs` generates it from the files in `labkit/tcp/stacks/`, one for each
stack.

`linux-6.18` is measured: `scripts/kernel-facts` repeats the experiments with the kernel of the machine that it runs on, and fails
where that does something else. The others have the habits of their handshakes and headers, as published fingerprints and manuals
tell them; after the handshake they behave like labkit's own endpoint. [The comparison with the kernel](kernel.md) lists what
`linux-6.18` still does differently.

`labkit explain stack CAPTURE` goes the other way: it says which system each side of a capture looks like, by which evidence, and
what contradicts it. It names a system only for a side whose SYN or SYN ACK is in the capture, with options that few stacks have
in this order; else the side is unknown. A packet that somebody forged, a NAT or a middlebox shows as a contradiction.

Measured with captures of Linux 6.18: of 903 sides with a SYN it names 882 as Linux, 21 are unknown (such as answers with SYN
cookies, which have only an MSS), and none gets another name; none of the 85 scripts in them has a name. In public captures, p0f
3.09b knows 971 of the sides that have a name, each as the same system."""

MEANING = """## What the keys mean

Keys of a side are explained in [Writing scenarios](scenarios.md#the-hosts). The others belong to a stack only."""

DURATIONS = {"delayed_ack", "rto_min", "rto_max", "msl", "keep_alive_interval", "compress_acks", "answer_interval"}
"""The keys whose defaults are nanoseconds."""
DEFAULTS = {name: field.default for name, field in Side.model_fields.items()}


def _docstrings(owner: type) -> dict[str, str]:
    """What a class says about its fields, by their names: fields without a text share that of the next one."""
    body = ast.parse(inspect.getsource(owner)).body[0]
    assert isinstance(body, ast.ClassDef)  # noqa: S101 - the source of a class
    found: dict[str, str] = {}
    waiting: list[str] = []
    for line in body.body:
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
            waiting.append(line.target.id)
        elif isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) and waiting:
            found |= dict.fromkeys(waiting, " ".join(str(line.value.value).split()))
            waiting = []
    return found


def _default(key: str) -> Any:
    for owner in (Config, Header):
        if key in owner.__dataclass_fields__ and key not in DEFAULTS:
            return owner.__dataclass_fields__[key].default
    return DEFAULTS[key]


def _words(key: str, value: Any) -> str:
    """A value as a scenario writes it."""
    match value:
        case bool():
            return "yes" if value else "no"
        case None:
            return "none"
        case [int(low), int(high)]:
            return f"{low}..{high}"
        case [str(first), *_]:
            return f"`{first}`"
        case [] | ():
            return "none"
        case int() if key in DURATIONS:
            return f"{value // SECOND}s" if value % SECOND == 0 and value else f"{value // MILLISECOND}ms"
        case _:
            return str(value)


def _values(stack: Stack) -> dict[str, Any]:
    own = {key: getattr(stack.header, key) for key in Header.__dataclass_fields__ if key in stack.sources}
    return {**stack.settings, **stack.habits, **{k: list(v) if isinstance(v, tuple) else v for k, v in own.items()}}


def lines() -> Iterator[str]:
    """The lines of the page."""
    yield HEAD
    all_stacks = [stacks.load(name) for name in stacks.names()]
    values = {stack.name: _values(stack) for stack in all_stacks}
    keys = list(dict.fromkeys(key for found in values.values() for key in found))
    yield from ("", "## The stacks", "", "| name | host |", "| --- | --- |")
    yield from (f"| `{stack.name}` | {stack.title} |" for stack in all_stacks)
    yield from ("", "## By fact", "", "An empty cell is labkit's own default, which the column `rfc` shows.", "")
    yield f"| fact | {' | '.join(f'`{stack.name}`' for stack in all_stacks)} |"
    yield "| --- " * (len(all_stacks) + 1) + "|"
    for key in keys:
        cells = [_words(key, found[key]) if key in found else "" for found in values.values()]
        cells[0] = _words(key, _default(key))
        yield f"| `{key}` | {' | '.join(cells)} |"
    for stack in all_stacks:
        if stack.name == DEFAULT:
            continue
        yield from ("", f"## {stack.name}", "", "| fact | value | source |", "| --- | --- | --- |")
        for key, value in values[stack.name].items():
            yield f"| `{key}` | {_words(key, value)} | {stack.sources[key]} |"
    yield from ("", MEANING, "", "| key | meaning |", "| --- | --- |")
    texts = _docstrings(Config) | _docstrings(Header)
    yield from (f"| `{key}` | {texts[key]} |" for key in keys if key not in DEFAULTS)


if __name__ == "__main__":
    print("\n".join(lines()))
