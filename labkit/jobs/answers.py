"""What another machine answers: verdicts as JSON, of which nothing is used before all of it is checked.

A pickle would run code of its own here. JSON is data, and its schema is that of `Verdict`: every field, with its type, none more.
Any other answer is an `AnswerError`. A verdict that is well-formed but wrong cannot be told from a right one.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from functools import cache
from typing import TYPE_CHECKING, Any, get_type_hints

from labkit import errors
from labkit.analysis.finding import Finding
from labkit.analysis.limit_kinds import NOTHING
from labkit.analysis.limits import words
from labkit.analysis.rule import Rule
from labkit.analysis.verdict import Verdict
from labkit.errors import LabkitError, MissingError
from labkit.i18n import _, printable

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Answers = list[Verdict | None]
"""For each capture of a batch its verdict, or None where the worker does not see the file."""

LOCAL = {"content"}
"""Fields of a verdict that stay where the capture is."""
MAX_INTEGER = 1 << 63
"""Bound of every integer; times are in nanoseconds."""
MAX_FLOAT = 1e12
"""Bound of every other number; times are in seconds."""
MAX_SHOWN = 100
"""Characters of a wrong answer that a message shows."""


class AnswerError(Exception):
    """An answer is not what labkit's workers answer."""


def encode(answers: Answers) -> str:
    """The text of answers."""
    from pydantic import TypeAdapter

    # The compiled engine builds findings only when they are read.
    records = [each and {name: _built(getattr(each, name)) for name in _names()} for each in answers]
    return TypeAdapter(dict[str, Any]).dump_json({"verdicts": records}).decode()


def encode_failure(error: LabkitError | ImportError) -> str:
    """The text of an error that every other capture would meet too."""
    kind = type(error).__name__ if isinstance(error, LabkitError) else MissingError.__name__
    return json.dumps({"error": [kind, str(error)]})


def decode(text: object, paths: Sequence[str], rules: Iterable[Rule] = ()) -> Answers:
    """The answers of a text, one for each path, judged by `rules`.

    AnswerError for any other text; the LabkitError that the worker met.
    """
    from pydantic import ValidationError

    try:
        if not isinstance(text, str):
            raise AnswerError(_("{what} where JSON was expected").format(what=_short(type(text).__name__)))
        json.loads(text, parse_int=_integer, parse_float=_number, parse_constant=_number)
        found = _schema().validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise AnswerError(f"{_short(place)}: {_short(first['msg'])}") from None
    except (ValueError, RecursionError) as error:
        raise AnswerError(_short(str(error))) from None
    if hasattr(found, "error"):
        kind, message = found.error
        raise vars(errors)[kind](printable(message))
    verdicts = [each and Verdict(**{name: getattr(each, name) for name in _names()}) for each in found.verdicts]
    if len(verdicts) != len(paths):
        raise AnswerError(_("{n} verdicts on {captures} captures").format(n=len(verdicts), captures=len(paths)))
    for each in verdicts:
        if each is not None:
            _check(each, {*NOTHING, *words(rules)})
    return [each and replace(each, path=path) for each, path in zip(verdicts, paths, strict=True)]


def _built(value: Any) -> Any:
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def _names() -> list[str]:
    return [each.name for each in fields(Verdict) if each.name not in LOCAL]


@cache
def _schema() -> "TypeAdapter[Any]":
    """The schema of an answer. It is made from the declarations, and stands nowhere else."""
    from typing import Literal

    from pydantic import ConfigDict, TypeAdapter, create_model

    hints = get_type_hints(Verdict, localns={"Finding": Finding})
    kinds = Literal[tuple(name for name, each in vars(errors).items() if _is_error(each))]  # type: ignore[valid-type]
    closed = ConfigDict(extra="forbid")
    shape: dict[str, Any] = {name: (hints[name], ...) for name in _names()}
    verdict = create_model("VerdictRecord", __config__=closed, **shape)
    verdicts = create_model("Verdicts", __config__=closed, verdicts=(list[verdict | None], ...))  # type: ignore[valid-type]
    failure = create_model("Failure", __config__=closed, error=(tuple[kinds, str], ...))  # type: ignore[valid-type]
    either: Any = verdicts | failure
    return TypeAdapter(either)


def _is_error(found: object) -> bool:
    return isinstance(found, type) and issubclass(found, LabkitError)


def _integer(text: str) -> int:
    found = int(text) if len(text) <= 20 else MAX_INTEGER
    if abs(found) >= MAX_INTEGER:
        raise ValueError(_("the number {n} is too large").format(n=_short(text)))
    return found


def _number(text: str) -> float:
    found = float(text)
    if not abs(found) <= MAX_FLOAT:
        raise ValueError(_("the number {n} is too large").format(n=_short(text)))
    return found


def _check(verdict: Verdict, kinds: set[str]) -> None:
    """What the types do not say, and the reports rely on."""
    following = [each for each in verdict.findings if each.caused_by is not None]
    packets = [each.packet for each in verdict.findings if each.packet is not None]
    packets += [each.packet for each in verdict.limits if each.packet is not None]
    packets += [each.first_packet for each in verdict.conversations]
    counts = [verdict.packets, verdict.segments, verdict.other, verdict.not_read, verdict.flows, verdict.reported]
    counts += [verdict.left_out, verdict.known, *(each.count for each in verdict.limits)]
    counts += [each.count for each in verdict.beyond]
    for name, fits in (
        ("caused_by", all(each.packet and _is_cause(verdict, each.caused_by) for each in following)),
        ("packet", all(1 <= each <= verdict.packets for each in packets)),
        ("count", all(each >= 0 for each in counts)),
        ("places", not any(each.places for each in verdict.beyond)),
        ("kind", all(each.kind in kinds for each in verdict.limits)),
    ):
        if not fits:
            raise AnswerError(_("{name}: a value that no capture gives").format(name=name))


def _is_cause(verdict: Verdict, place: int | None) -> bool:
    findings = verdict.findings
    return place is not None and 0 <= place < len(findings) and findings[place].caused_by is None


def _short(text: str) -> str:
    return printable(text[:MAX_SHOWN])
