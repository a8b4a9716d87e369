"""Check what a rule declares and does that is not labkit's own, so that a mistake in it ends in a line that names it.

mypy and the tests check labkit's own rules; here that would take time at each start.
"""

from collections.abc import Callable, Mapping, Set
from string import Formatter
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from labkit.analysis import EVERY_LIMIT
from labkit.analysis.limit_kinds import COUNTED, KINDS, NOTHING, LimitKind
from labkit.errors import UsageError
from labkit.i18n import _, listed, printable

MAX_SHOWN = 60
"""Characters of a wrong value that a message shows."""

LINES = ("reference", "message", "should_be", "receiver", "mend", "field", "wireshark")
"""Parameters whose texts are shown on one line."""


def check(rule: str, given: Mapping[str, Any], decorator: Callable[..., Any], profiles: Set[str]) -> None:
    """Check the parameters that were given to the decorator, by its annotations. `profiles` are all profiles.

    UsageError, naming the rule and the parameter, for a value that does not fit.
    """

    def refuse(name: str, expected: str, value: object = None) -> None:
        text = _("rule {rule}: parameter {name} is {value}; expected {expected}")
        shown = _shown(given[name] if value is None else value)
        raise UsageError(text.format(rule=printable(rule), name=name, value=shown, expected=expected))

    hints = get_type_hints(decorator)
    for name, value in given.items():
        if name != "limit" and not _fits(value, hints[name]):
            refuse(name, _titled(hints[name]))
    if not all(map(str.isalnum, given["code"].replace("_", "-").split("-"))):
        refuse("code", _("letters, digits and dashes, as in 'EX01'"))
    for name in LINES:
        if isinstance(given[name], str) and not given[name].isprintable():
            refuse(name, _("one line of text"))
    for text in (given["otherwise"] or {}).values():
        if not text.isprintable():
            refuse("otherwise", _("one line of text"), text)
    if not given["profiles"] or not given["profiles"] <= profiles:
        refuse("profiles", _("some of {known}").format(known=listed(sorted(profiles))))
    if given["scope"].name == "LEDGER":
        refuse("scope", listed(f"Scope.{each.name}" for each in type(given["scope"]) if each.name != "LEDGER"))


def check_limit(rule: str, kind: object, *, packets: bool) -> None:
    """Check a kind of limit. `packets`: the rule's findings are about packets.

    UsageError, naming the rule, for a kind that cannot be counted or shown.
    """
    if type(kind) is not LimitKind:
        text = _("rule {rule}: a limit is {value}; expected a word, or a LimitKind")
        raise UsageError(text.format(rule=rule, value=_shown(kind)))
    if kind not in COUNTED:
        _check_kind(rule, kind)
    if not packets and any("{packet" in each for each in (kind.one, kind.many, kind.rest)):
        text = _(
            "rule {rule}: the limit '{word}' shows a packet, but the rule's findings are about whole conversations"
        )
        raise UsageError(text.format(rule=rule, word=kind.word))


class ReadOnly:
    """What a rule from outside sees of a segment or a side: one that changed a number would change what all rules find."""

    __slots__ = ("_seen",)

    def __init__(self, seen: object) -> None:
        object.__setattr__(self, "_seen", seen)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._seen, name)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(_("a rule cannot change '{name}'").format(name=name))

    def __delattr__(self, name: str) -> None:
        self.__setattr__(name, None)


def _check_kind(rule: str, kind: LimitKind) -> None:
    word: object = kind.word
    if not isinstance(word, str) or word != word.lower() or not all(map(str.isalnum, word.split("-"))):
        text = _(
            "rule {rule}: the word of a limit is {value}; expected small letters, digits and dashes, as in 'old-clock'"
        )
        raise UsageError(text.format(rule=rule, value=_shown(word)))
    if word in (*NOTHING, *KINDS, EVERY_LIMIT):
        text = _(
            "rule {rule}: the word '{word}' is one of labkit's limits; expected another word for your own LimitKind"
        )
        raise UsageError(text.format(rule=rule, word=word))
    for each in (kind.one, kind.many, kind.rest):
        if not _is_template(each):
            text = _(
                "rule {rule}: the limit '{word}' has the text {value}; expected one line, with no fields but {fields}"
            )
            fields = listed(("{n}", "{n:,}", "{packet}"))
            raise UsageError(text.format(rule=rule, word=word, value=_shown(each), fields=fields))


def _is_template(text: object) -> bool:
    """Whether a limit's text has one line that can be filled in."""
    if not isinstance(text, str) or not text.strip() or not text.isprintable():
        return False
    try:
        fields = [each[1:] for each in Formatter().parse(text) if each[1] is not None]
    except ValueError:
        return False  # a brace without its counterpart
    return all(name in ("n", "packet") and spec in ("", ",") and not conversion for name, spec, conversion in fields)


def _fits(value: object, hint: Any) -> bool:
    """Whether a value is of an annotation's type."""
    kind, arguments = get_origin(hint), get_args(hint)
    if kind in (Union, UnionType):
        return any(_fits(value, each) for each in arguments)
    if kind is Callable:
        return callable(value)
    if kind is None:
        return isinstance(value, hint)
    if not isinstance(value, kind):
        return False
    if isinstance(value, Mapping):
        key, each = arguments
        return all(_fits(one, key) and _fits(other, each) for one, other in value.items())
    return all(_fits(one, arguments[0]) for one in value)


def _titled(hint: Any) -> str:
    """An annotation, as a message names it."""
    if get_origin(hint) in (Union, UnionType):
        return " | ".join(map(_titled, get_args(hint)))
    if get_origin(hint) is Callable:
        return _("a function of (seg, me, peer)")
    if get_origin(hint) is None:
        return "None" if hint is type(None) else str(hint.__name__)
    return f"{get_origin(hint).__name__}[{', '.join(_titled(each) for each in get_args(hint) if each is not Ellipsis)}]"


def _shown(value: object) -> str:
    text = printable(repr(value))
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"
