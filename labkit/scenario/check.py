"""A scenario's values against the model, and what is wrong with them in the user's words.

An unknown key, a value of the wrong kind and a combination that cannot work are errors with the line, the
key, what was expected, and the nearest word. One error is reported, the first in the file.
"""

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticUndefined

from labkit.scenario.model import MOST_STEPS, ScenarioModel, Step
from labkit.scenario.source import Key, Source, nearest


def validate(source: Source) -> ScenarioModel:
    """The model of a scenario's values; ScenarioError for the first thing that is wrong, by line."""
    try:
        model = ScenarioModel.model_validate(source.data)
    except ValidationError as error:
        found = [(_key(each["loc"]), each) for each in error.errors(include_url=False)]
        # What is wrong inside of something comes before what that does to the whole.
        inner = [(key, each) for key, each in found if not any(_holds(key, other) for other, _ in found)]
        key, first = min(inner, key=lambda item: source.line(item[0]))
        raise source.error(key, _message(key, first)) from error
    _check_hosts(model, source)
    return model


def _check_hosts(model: ScenarioModel, source: Source) -> None:
    """What only both hosts together can get wrong."""
    versions = {side: getattr(model, side).address for side in ("client", "server")}
    given = {side: ":" in address for side, address in versions.items() if address is not None}
    if len(given) == 2 and given["client"] != given["server"]:
        raise source.error(("server", "address"), "is of another family than the client's; expected the same")
    for side in ("client", "server"):
        port, isn = getattr(model, side).port, getattr(model, side).isn
        if port is not None and not 1 <= port.low <= port.high <= 65535:
            raise source.error((side, "port"), f"{port.high} is not a port; expected 1 to 65535")
        if isn is not None and isn.high > 0xFFFFFFFF:
            raise source.error((side, "isn"), f"{isn.high} is not a sequence number; expected at most 4294967295")
        try:
            getattr(model, side).config(0, ipv6=any(given.values()), stamp=0)
        except ValueError as error:
            raise source.error((side,), f"{error}") from error


def _key(location: tuple[int | str, ...]) -> Key:
    """Where an error is, without the names that pydantic adds for its own types."""
    return tuple(part for part in location if isinstance(part, int) or "[" not in part)


def _holds(key: Key, other: Key) -> bool:
    """Whether `other` lies inside of `key`."""
    return len(other) > len(key) and other[: len(key)] == key


def _message(key: Key, error: ErrorDetails) -> str:
    """Pydantic's error as a sentence: what is wrong; expected; did you mean."""
    kind, given, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "extra_forbidden":
        words = sorted(_fields(key[:-1]))
        return f"is not known here; expected one of {', '.join(words)}{nearest(key[-1], words)}"
    if kind == "missing":
        return "is missing"
    if kind == "value_error":
        return str(context.get("error", error["msg"]))
    if kind == "literal_error":
        words = [word.strip(" '") for word in context["expected"].replace(" or ", ",").split(",")]
        return f"{_shown(given)} is not known; expected one of {', '.join(words)}{nearest(given, words)}"
    if kind in {"model_type", "model_attributes_type", "dict_type"}:
        return f"{_shown(given)} is no mapping; expected keys and values"
    if kind in {"bool_type", "bool_parsing"}:
        return f"{_shown(given)} is neither true nor false; expected one of them"
    if kind == "string_type":
        return f"{_shown(given)} is no text; expected text, in quotes where it looks like a number"
    if kind in {"too_short", "too_long"}:
        return "is empty; expected at least one" if kind == "too_short" else f"has more than {MOST_STEPS} entries"
    if kind == "string_pattern_mismatch":
        return f"{_shown(given)} has other characters than letters, digits, dot, dash and underscore"
    message = error["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return f"{_shown(given)} does not fit; expected {message}"


def _shown(value: Any) -> str:
    if isinstance(value, Mapping | list | tuple):
        return "a mapping" if isinstance(value, Mapping) else "a list"
    return "nothing" if value is None or value is PydanticUndefined else repr(value)[:60]


def _fields(key: Key) -> set[str]:
    """The keys that a mapping at `key` may have."""
    model: type[BaseModel] = ScenarioModel
    for part in key:
        if isinstance(part, int) or part not in model.model_fields:
            continue
        annotation = model.model_fields[part].annotation
        for option in (annotation, *get_args(annotation)):
            if isinstance(option, type) and issubclass(option, BaseModel):
                model = option
        if part == "steps":
            model = Step
    return set(model.model_fields)
