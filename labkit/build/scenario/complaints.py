"""Word the errors in a scenario: the key as the user wrote it, the expected value, and the nearest word."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails, PydanticUndefined

from labkit.build.scenario.model import ScenarioModel, Way
from labkit.build.scenario.scripted import LineError
from labkit.build.scenario.source import Key, Source
from labkit.build.scenario.steps import MAIN, Action
from labkit.errors import ScenarioError
from labkit.i18n import N_, _, joined, listed, nearest

LISTS = {
    "answers": N_("one such as [192.0.2.80]"),
    "faults": N_("names such as [ack-goes-back@6]"),
    "look": N_("lines of text"),
    "steps": N_("one such as '- client: connect'"),
    "wireshark": N_("one such as [tcp.analysis.retransmission]"),
}
"""The expected content of a list, by its key."""

PATTERNS = {
    "method": N_("capital letters such as GET"),
    "name": N_("letters, digits, dots, dashes and underscores"),
    "path": N_("a path without spaces, such as /index.html"),
    "sender": N_("an address such as alice@example"),
    "to": N_("an address such as bob@example"),
    "wireshark": N_("a name such as tcp.analysis.retransmission"),
}
"""The expected content of a text, by its key."""

SIMPLE = {
    "bool_type": N_("{given} does not fit; expected true or false"),
    "bool_parsing": N_("{given} does not fit; expected true or false"),
    "string_type": N_("{given} is not text; expected text, in quotes if it looks like a number or contains a colon"),
    "tuple_type": N_("{given} is not a list; expected {listed}"),
    "list_type": N_("{given} is not a list; expected {listed}"),
    "too_short": N_("is empty; expected at least one"),
    "too_long": N_("is longer than {max_length}"),
    "string_too_short": N_("is empty; expected text"),
    "string_too_long": N_("is longer than {max_length} characters"),
    "less_than_equal": N_("{given} is too large; expected at most {le}"),
    "greater_than_equal": N_("{given} is too small; expected at least {ge}"),
    "string_pattern_mismatch": N_("{given} does not fit; expected {pattern}"),
}
"""Messages by the type of pydantic's error, for errors that need no further information."""


def first_error(source: Source, errors: list[ErrorDetails], top: type[BaseModel] = ScenarioModel) -> ScenarioError:
    """The first error in the file among those that pydantic has found with the model `top`."""
    found = [(_key(each["loc"], source.data), each) for each in errors]
    # An error inside a mapping matters more than the error that it causes for the whole mapping.
    inner = [(key, each) for key, each in found if not any(_holds(key, other) for other, _error in found)]
    # A misspelt key is missing too; report the misspelling.
    misspelt = {key[:-1] for key, each in inner if each["type"] == "extra_forbidden"}
    inner = [(key, each) for key, each in inner if each["type"] != "missing" or key[:-1] not in misspelt]
    key, first = min(inner, key=lambda item: source.line(item[0]))
    message = _message(key, first, source.data, top)
    written = _written(key, source)
    if first["type"] == "extra_forbidden" and written != key:
        message = f"{key[-1]!r} {message}"
    bad = first.get("ctx", {}).get("error")
    if isinstance(bad, LineError) and written in source.blocks:
        return source.error(written, bad.why, source.blocks[written] + bad.number - 1)
    return source.error(key if first["type"] == "missing" else written, message)


def _key(location: tuple[int | str, ...], data: Any) -> Key:
    """The key of an error in `data`, without the names that pydantic adds for its own types."""
    key: list[int | str] = []
    for part in location:
        known = isinstance(data, Mapping) and part in data
        if isinstance(part, int) or known or "[" not in part:
            key.append(part)
            inside = known or (isinstance(data, list) and isinstance(part, int) and part < len(data))
            data = data[part] if inside else None
    return tuple(key)


def _written(key: Key, source: Source) -> Key:
    """The part of a key that the user has written: `send: x` is a short form, and so is one tag instead of a list."""
    for end in range(len(key), 0, -1):
        for found in (key[:end], tuple(part for part in key[:end] if part != 0)):
            if found in source.lines:
                return found
    return ()


def _holds(key: Key, other: Key) -> bool:
    """Whether `other` is inside `key`."""
    return len(other) > len(key) and other[: len(key)] == key


def _message(key: Key, error: ErrorDetails, data: Any, top: type[BaseModel]) -> str:
    """The sentence for one of pydantic's errors: what is wrong, what was expected, and the nearest word."""
    kind, given, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown(key, data, top)
    if kind == "missing":
        return _("is missing")
    if kind == "value_error":
        return _reader_message(key, given, str(context.get("error", error["msg"])))
    if kind == "literal_error":
        words = [word.strip(" '") for word in context["expected"].replace(" or ", ",").split(",")]
        text = _("{given} is not known; expected one of {known}").format(given=_shown(given), known=listed(words))
        return text + nearest(str(given), words)
    if kind in {"model_type", "model_attributes_type", "dict_type"}:
        text = _("{given} is not a mapping; expected {keys}")
        return text.format(given=_shown(given), keys=_mapping(key, top))
    word = next((part for part in reversed(key) if isinstance(part, str)), "")
    template = _(SIMPLE.get(kind, N_("{given} does not fit here")))
    pattern, wanted = _(PATTERNS.get(word, N_("other characters"))), _(LISTS.get(word, N_("one")))
    return joined(template.format_map({**context, "given": _shown(given), "pattern": pattern, "listed": wanted}))


def _reader_message(key: Key, given: Any, message: str) -> str:
    """A message of one of the model's readers. It begins with the value."""
    if key[-2:] == ("send", "octets") and isinstance(given, str) and not given[:1].isdigit():
        message += _(", or a payload such as {text: …}")
    if given is None or isinstance(given, Mapping | list | tuple):
        # Do not show the repr of a mapping or list.
        return re.sub(r"^(['\"]).*?\1(?= )", _shown(given), message)
    return message


def _mapping(key: Key, top: type[BaseModel]) -> str:
    """The expected content of a mapping."""
    if len(key) == 2 and key[0] == "steps":
        return _("a step such as 'client: connect'")
    if key[-1:] == ("late",):
        return _("one such as {4: 1ms}")
    return _("keys and values, such as {example}").format(example=f"{{{min(_fields(key, top))}: …}}")


def _unknown(key: Key, data: Any, top: type[BaseModel]) -> str:
    """The message about an unknown key: the known keys, or the place where the key is allowed."""
    words = sorted(_fields(key[:-1], top))
    beside = data
    for part in key[:-1]:
        there = range(len(beside)) if isinstance(beside, list) else beside if isinstance(beside, Mapping) else ()
        beside = beside[part] if part in there else None
    verb = next((word for word in beside if word in words), None) if isinstance(beside, Mapping) else None
    if verb in Action.model_fields and key[-1] in _fields((*key[:-1], verb), top):
        main = f"{MAIN[verb]}: …, " if verb in MAIN else ""
        where = f"{{{verb}: {{{main}{key[-1]}: …}}}}"
        return _("is not known here; it belongs to the verb: {where}").format(where=where)
    if key[:-1] == ("path",) and key[-1] in Way.model_fields:
        where = f"{{to_server: {{{key[-1]}: …}}}}"
        return _("is not known here; it belongs to a direction: {where}, or to_client").format(where=where)
    text = _("is not known here; expected one of {known}").format(known=listed(words))
    return text + nearest(str(key[-1]), words)


def _shown(value: Any) -> str:
    if isinstance(value, Mapping | list | tuple):
        return _("a mapping") if isinstance(value, Mapping) else _("a list")
    return _("nothing") if value is None or value is PydanticUndefined else repr(value)[:60]


def _fields(key: Key, top: type[BaseModel]) -> set[str]:
    """The allowed keys of the mapping at `key`."""
    model = top
    for part in key:
        named = {field.alias or name: field for name, field in model.model_fields.items()}
        field = named.get(part) if isinstance(part, str) else None
        model = next(_models(field.annotation), model) if field is not None else model
    return {field.alias or name for name, field in model.model_fields.items()}


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models in a type: the type itself, or those inside an optional, a tuple or an annotated type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def models(top: type[BaseModel]) -> set[type[BaseModel]]:
    """A model, and all models in its fields."""
    found: set[type[BaseModel]] = set()
    waiting = [top]
    while waiting:
        model = waiting.pop()
        if model not in found:
            found.add(model)
            waiting += [inner for field in model.model_fields.values() for inner in _models(field.annotation)]
    return found
