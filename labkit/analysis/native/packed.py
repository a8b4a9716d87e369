"""The machine code that a wheel carries: a shared library for each level of processor, loaded without any other package.

`scripts/wheel` makes it. It is loaded only for the sources that it was made from: a digest beside it says which.
"""

import ctypes
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cached_property
from typing import NamedTuple, Self

from labkit.analysis.native.records import PREFIX
from labkit.compiled import read

FOLDER = os.path.join(os.path.dirname(__file__), "machine")  # noqa: PTH118, PTH120 - pathlib takes a while to be imported
ABOUT = "engine.txt"
"""The file that has an `About`."""
LEVEL = "level"
"""The entry that says which of two libraries the processor can run: 2 or 3, for x86-64-v2 or v3."""

Entry = Callable[..., int]
"""Takes integers and addresses; returns an integer."""

RuleRow = tuple[str, int, tuple[int, ...]]
"""What the engine's tables have of a rule: its code, 1 if it reports once of each host, and its severity under each profile of
`labkit.analysis.severity.EVERY_PROFILE`, 0 where it is not reported."""


class About(NamedTuple):
    """What a wheel says of its libraries. To import a parser of JSON would take longer than to load one of them."""

    sources: list[str]
    """The files that they follow from (`labkit.analysis.native.library.sources`)."""
    digest: str
    """That of the sources."""
    libraries: list[str]
    """From the oldest processor to the newest."""
    entries: dict[str, int]
    """How many arguments each entry takes."""
    rules: tuple[RuleRow, ...]
    """To import the rules would take as long as to judge a hundred thousand packets, and most captures need no more of them."""

    @property
    def text(self) -> str:
        """A line for each value, such as `source tcp/seq.py`, `digest 64fb2cf9-09d2b1c4`, `library engine-x86_64_v2.so`,
        `entry finish 1` and `rule ACK01 0 4 4 4`."""
        rows = [("source", each) for each in self.sources]
        rows += [("digest", self.digest), *(("library", each) for each in self.libraries)]
        rows += [("entry", f"{name} {count}") for name, count in self.entries.items()]
        rows += [("rule", " ".join(map(str, (code, once, *severities)))) for code, once, severities in self.rules]
        return "".join(f"{key} {value}\n" for key, value in rows)

    @classmethod
    def of(cls, text: str) -> Self:
        """What a text says. ValueError for one that is not such a text."""
        texts: dict[str, list[str]] = {"source": [], "digest": [], "library": []}
        entries: dict[str, int] = {}
        rules: list[RuleRow] = []
        for line in text.splitlines():
            key, _space, value = line.partition(" ")
            if key == "entry":
                name, count = value.split(" ")
                entries[name] = int(count)
            elif key == "rule":
                code, once, *severities = value.split(" ")
                rules.append((code, int(once), tuple(map(int, severities))))
            else:
                texts[key].append(value)
        (found,) = texts["digest"]
        return cls(texts["source"], found, texts["library"], entries, tuple(rules))


class Library:
    """Loaded machine code: its `entries` by name."""

    entries: dict[str, Entry]

    @cached_property
    def rules(self) -> tuple[RuleRow, ...]:
        """The rules that the code asks, in the order of their numbers."""
        return rule_rows()


class PackedLibrary(Library):
    """A loaded shared library."""

    def __init__(self, path: str, entries: dict[str, int]) -> None:
        """OSError for a file that is no such library, ValueError for one without an entry."""
        code = ctypes.CDLL(path)
        try:
            self.entries = {name: _entry(code, name, count) for name, count in entries.items()}
        except AttributeError as error:
            raise ValueError(str(error)) from None


def load_packed(digest_of: Callable[[Iterable[str]], str]) -> Library | None:
    """The library for this processor; None where there is none, or for other sources: `digest_of` gives the digest of those that
    are here."""
    with suppress(OSError, ValueError, KeyError):
        about = About.of(read(_place(ABOUT)).decode())
        if about.digest != digest_of(about.sources):
            return None
        first, *newer = about.libraries
        if newer and PackedLibrary(_place(first), {LEVEL: 0}).entries[LEVEL]() >= 3:
            first = newer[-1]
        found = PackedLibrary(_place(first), about.entries)
        found.rules = about.rules
        return found
    return None


def rule_rows() -> tuple[RuleRow, ...]:
    """The rows of all shipped rules."""
    from labkit.analysis.catalogue import shipped
    from labkit.analysis.severity import EVERY_PROFILE

    return tuple(
        (
            rule.code,
            int(rule.once),
            tuple(int(rule.severity_in(name, 1)) if name in rule.profiles else 0 for name in EVERY_PROFILE),
        )
        for rule in shipped()
    )


def _place(name: str) -> str:
    return os.path.join(FOLDER, name)  # noqa: PTH118


def _entry(code: ctypes.CDLL, name: str, arguments: int) -> Entry:
    entry = code[PREFIX + name]
    entry.restype, entry.argtypes = ctypes.c_int64, [ctypes.c_int64] * arguments
    return entry
