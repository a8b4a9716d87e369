"""The templates of rules' texts, such as `ack {seg.ack}; should be {expected}`, and the numbers that they show."""

import re
from collections.abc import Iterator
from dataclasses import fields
from functools import cache

from labkit.analysis.pending import Resolved
from labkit.analysis.rule import MAX_NUMBERS, Rule, Scope
from labkit.analysis.side import Side
from labkit.errors import UsageError
from labkit.i18n import _, listed, printable
from labkit.packet.seen import OWN, PEER, Seen

NUMBER = re.compile(r"\{((?:seg|me|peer|resolved)\.\w+|expected|actual)(?::([^{}]*))?\}")
"""A number in a template, such as `{seg.ack}` or `{expected}`, and its format."""


def _spaces() -> Iterator[tuple[str, str]]:
    """Each name that a rule may use, and whose sequence number it holds: "me", "peer", or "" for another kind of number."""
    for name, kind in (("seg", Seen), ("me", Side), ("peer", Side), ("resolved", Resolved)):
        owner, other = ("peer", "me") if name == "peer" else ("me", "peer")
        spaces = {OWN: owner, PEER: other}
        for each in fields(kind):
            yield f"{name}.{each.name}", spaces.get(next(iter(getattr(each.type, "__metadata__", ())), ""), "")


SPACES = dict(_spaces())


@cache
def numbers(declared: Rule) -> tuple[str, ...]:
    """The numbers that a rule's templates show. UsageError for too many, for a name that does not exist in this scope, and for a
    format that numbers do not have."""
    scope = declared.scope
    if scope == Scope.LEDGER:
        return ()  # `labkit.analysis.examine` fills in its templates
    rule = f"{declared.code} ({declared.name})"
    templates = declared.message, *declared.otherwise.values(), declared.should_be, declared.receiver, declared.mend
    values = declared.expected, declared.actual
    shown: dict[str, None] = {}
    for match in (match for template in templates for match in NUMBER.finditer(template)):
        shown[match[1]] = None
        try:
            format(0, match[2] or "")
        except ValueError:
            text = _("rule {rule}: '{name}' is a number, which cannot be shown with the format '{format}'")
            raise UsageError(text.format(rule=rule, name=match[1], format=printable(match[2]))) from None
    known = {name for name, value in zip(("expected", "actual"), values, strict=True) if value is not None}
    absent = (
        ("seg.", "resolved.") if scope in (Scope.SIDE, Scope.FLOW) else () if scope == Scope.PENDING else ("resolved.",)
    )
    for name in (*shown, *values, *(declared.place or ())):
        if not isinstance(name, str) or name in known:
            continue
        if name not in SPACES or name.startswith(absent):
            text = _("rule {rule}: '{name}' does not exist in scope {scope}")
            raise UsageError(text.format(rule=rule, name=printable(name), scope=scope.name))
    found = tuple(name for name in shown if name in SPACES)
    if len(found) > MAX_NUMBERS:
        text = _("rule {rule}: its text shows {n} numbers ({names}); at most {most} are possible")
        raise UsageError(text.format(rule=rule, n=len(found), names=listed(found), most=MAX_NUMBERS))
    return found
