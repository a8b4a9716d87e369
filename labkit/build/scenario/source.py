"""Read a scenario's text: YAML 1.2 as plain values, with the line of every key.

Scenarios are hostile input. Tags, anchors, aliases and duplicate keys are errors; size and depth are bounded.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labkit.errors import ScenarioError
from labkit.i18n import N_, _, reason_of, unreadable

MAX_FILE_SIZE = 1 << 20
"""Octets of a scenario file."""
MAX_DEPTH = 12
"""Levels of nested lists and mappings."""
MAX_EVENTS = 40_000
"""Keys and values of a scenario; a list or a mapping counts twice. To read this many takes a second or two."""
MAX_WORD = 60
"""Characters of a key or value that a message shows."""

FOREIGN = re.compile(r"^(%(?!YAML 1\.[12]\s*$).*)|(?:^|[\s,:?\[{-])([!&*]\S{1000})", re.MULTILINE)
"""A directive, some of which ruamel does not survive; a long tag, anchor or alias, for which it takes a time that grows with the
square of the length."""

Key = tuple[str | int, ...]
"""The path to a value: keys and list positions from the top."""


@dataclass(slots=True)
class Source:
    """A scenario's values and their lines."""

    name: str
    data: dict[str, Any] = field(default_factory=dict)
    lines: dict[Key, int] = field(default_factory=dict)
    folder: Path | None = None
    """The folder of the files that the scenario names; None if it may not name files."""
    text: str = ""
    """The scenario's text."""
    files: dict[str, bytes] = field(default_factory=dict)
    """The content of each named file."""
    in_code: bool = False
    """Whether the scenario was written in Python: `lines` only orders its keys, and messages name no line."""
    blocks: dict[Key, int] = field(default_factory=dict)
    """The line of the first line of each text that is written line by line (after `|`)."""

    def line(self, key: Key) -> int:
        """The line (from 1) of a key, or of the nearest key that contains it."""
        while key and key not in self.lines:
            key = key[:-1]
        return self.lines.get(key, 1)

    def error(self, key: Key, message: str, line: int = 0) -> ScenarioError:
        """An error at a key: `FILE:LINE: key: message`. `line`: where in the file, if not where the key is."""
        where = self.name if self.in_code else f"{self.name}:{line or self.line(key)}"
        return ScenarioError(f"{where}: {spell(key)}{_(': ') if key else ''}{message}")

    def load(self, key: Key, name: str, largest: int) -> None:
        """Load a file of at most `largest` octets that the scenario names at `key`.

        Scenarios may come from strangers, so files outside the scenario's folder are refused.
        """
        if name in self.files:
            return
        if self.folder is None:
            raise self.error(key, _("a scenario without a folder cannot name files"))
        try:
            path = (self.folder / name).resolve()
            if not path.is_relative_to(self.folder.resolve()):
                raise self.error(
                    key, _("{name!r} is outside the scenario's folder; expected a file in it").format(name=name[:80])
                )
            if not path.is_file():
                raise self.error(key, _("{name!r} is not a file in the scenario's folder").format(name=name[:80]))
            with path.open("rb") as file:
                octets = file.read(largest + 1)
        except (OSError, ValueError) as error:
            text = _("{name!r} cannot be read: {reason}").format(name=name[:80], reason=reason_of(error))
            raise self.error(key, text) from error
        if len(octets) > largest:
            raise self.error(key, _("{name!r} is larger than {n} MiB").format(name=name[:80], n=largest >> 20))
        self.files[name] = octets


def spell(key: Key) -> str:
    """A key as a user would write it: `client.port`, `steps[2].send` (steps count from 1)."""
    text = ""
    for part in key:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{short(part)}" if text else short(part)
    return text


def short(text: str) -> str:
    """A word for a message: a long one ends in an ellipsis."""
    return text if len(text) <= MAX_WORD else f"{text[:MAX_WORD]}…"


def read_file(path: Path, largest: int = MAX_FILE_SIZE, what: str = N_("a scenario file")) -> str:
    """The text of a file of at most `largest` octets. ScenarioError, one line, if it cannot be read."""
    try:
        if path.is_dir():
            raise ScenarioError(_("{path}: is a directory; expected {what}").format(path=path, what=_(what)))
        with path.open("rb") as file:
            octets = file.read(largest + 1)
    except OSError as error:
        raise ScenarioError(unreadable(path, error)) from error
    except ValueError as error:
        raise ScenarioError(_("{path!r}: is not a file name").format(path=str(path))) from error
    if len(octets) > largest:
        raise ScenarioError(
            _("{path}: is larger than {n} MiB; expected {what}").format(path=path, n=largest >> 20, what=_(what))
        )
    try:
        return octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        raise ScenarioError(
            _("{path}:{line}: is not UTF-8 text (octet {start})").format(path=path, line=line, start=error.start)
        ) from error


def parse(text: str, name: str, folder: Path | None = None) -> Source:
    """The values of a scenario's text. ScenarioError if it is not YAML, or too large."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    if len(text) > MAX_FILE_SIZE:
        raise ScenarioError(
            _("{name}: is larger than {n} MiB; expected a scenario").format(name=name, n=MAX_FILE_SIZE >> 20)
        )
    if mark := FOREIGN.search(text):
        at = text.count("\n", 0, mark.end() - 1) + 1
        raise ScenarioError(
            _("{name}:{at}: {short} is not allowed in a scenario").format(
                name=name, at=at, short=short(mark[1] or mark[2])
            )
        )
    source = Source(name, folder=folder, text=text)
    try:
        constructor, parser = YAML(typ="safe", pure=True).get_constructor_parser(text)
        parser.get_event = _checked(parser.get_event, name)
        root = constructor.composer.get_single_node()
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise ScenarioError(
            _("{name}{line}: is not YAML: {one_line}").format(
                name=name, line=line, one_line=_one_line(error.problem or error.context)
            )
        ) from error
    except (YAMLError, ValueError, RecursionError) as error:
        raise ScenarioError(
            _("{name}: is not YAML: {one_line}").format(name=name, one_line=_one_line(str(error)))
        ) from error
    if root is None:
        raise ScenarioError(_("{name}: is empty; expected a scenario").format(name=name))
    if root.id != "mapping":
        raise ScenarioError(
            _("{name}:{n}: is not a mapping; expected keys such as 'steps:'").format(
                name=name, n=root.start_mark.line + 1
            )
        )
    source.data = _value(root, (), source)
    return source


def _one_line(text: str | None) -> str:
    if text is not None and r"character '\t'" in text:
        return _("a tab is not allowed here; expected spaces")
    return " ".join((text or _("not readable")).split())


def _checked(get_event: Callable[[], Any], name: str) -> Callable[[], Any]:
    """Pass on the events of a text, up to tags, anchors, aliases, deep nesting, too many values and a second document."""
    count = depth = documents = 0

    def checked() -> Any:
        nonlocal count, depth, documents
        event = get_event()
        count += 1
        kind = type(event).__name__
        line = event.start_mark.line + 1
        depth += kind in {"MappingStartEvent", "SequenceStartEvent"}
        depth -= kind in {"MappingEndEvent", "SequenceEndEvent"}
        documents += kind == "DocumentStartEvent"
        if count > MAX_EVENTS:
            raise ScenarioError(
                _("{name}:{line}: has more than {max_events:,} keys and values; expected a scenario").format(
                    name=name, line=line, max_events=MAX_EVENTS
                )
            )
        if depth > MAX_DEPTH:
            raise ScenarioError(
                _("{name}:{line}: lists and mappings are nested more than {max_depth} deep").format(
                    name=name, line=line, max_depth=MAX_DEPTH
                )
            )
        if documents > 1:
            raise ScenarioError(
                _("{name}:{line}: a second document begins; expected one scenario in a file").format(
                    name=name, line=line
                )
            )
        if kind == "AliasEvent" or getattr(event, "anchor", None):
            raise ScenarioError(
                _("{name}:{line}: anchors and aliases (& and *) are not allowed in a scenario").format(
                    name=name, line=line
                )
            )
        if getattr(event, "ctag", None) is not None and event.tag is not None:
            raise ScenarioError(
                _("{name}:{line}: tags ({tag}) are not allowed in a scenario").format(
                    name=name, line=line, tag=short(event.tag)
                )
            )
        return event

    return checked


def _value(node: Any, key: Key, source: Source) -> Any:
    """The value of a node of ruamel. The lines of its keys go to `source`."""
    source.lines.setdefault(key, node.start_mark.line + 1)
    if node.id == "mapping":
        found: dict[str, Any] = {}
        for name_node, value_node in node.value:
            if name_node.id != "scalar":
                raise ScenarioError(
                    _("{name}:{n}: a key must be a word").format(name=source.name, n=name_node.start_mark.line + 1)
                )
            name = str(name_node.value)
            inner = (*key, name)
            source.lines[inner] = name_node.start_mark.line + 1
            if name in found:
                raise source.error(inner, _("occurs twice"))
            found[name] = _value(value_node, inner, source)
        return found
    if node.id == "sequence":
        return [_value(item, (*key, number), source) for number, item in enumerate(node.value)]
    if node.style == "|":
        source.blocks[key] = node.start_mark.line + 2
    return _scalar(node.tag, node.value, key, source)


def _scalar(tag: str, text: str, key: Key, source: Source) -> Any:
    """A scalar by its YAML 1.2 type. A date is text."""
    kind = tag.rpartition(":")[2]
    if kind in {"int", "float"} and len(text) > MAX_WORD:
        raise source.error(key, _("{text!r} is not a number").format(text=short(text)))
    try:
        if kind == "int":
            return int(text, 0) if text.lstrip("+-")[:2].lower() in {"0x", "0o", "0b"} else int(text)
        if kind == "float":
            return float(text.replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError as error:
        raise source.error(key, _("{text!r} is not a number").format(text=text[:40])) from error
    if kind == "bool":
        return text.lower() == "true"
    return None if kind == "null" else text
