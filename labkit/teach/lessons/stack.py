"""Which stack each side of a capture looks like, with the evidence for it and against it."""

from collections.abc import Iterator, Sequence

import click

from labkit.capture import lacking, open_capture
from labkit.capture.budget import Budget, Meter
from labkit.errors import CaptureError, UsageError
from labkit.i18n import N_, _, listed
from labkit.tcp import stacks

SUMMARY = N_("the system that each side of a capture looks like, and why: stack [CAPTURE]")

MAX_SHOWN = 50
"""Conversations that are listed; the totals count all."""


def lines(arguments: Sequence[str]) -> Iterator[str]:
    """What each side of a capture's conversations looks like; without a capture, the stacks."""
    from labkit.report.fingerprint import MAX_CONVERSATIONS, Identified, identify

    if not arguments:
        yield from (f"{click.style(name, bold=True)}  {_(stacks.load(name).title)}" for name in stacks.names())
        yield _(
            "labkit explain stack CAPTURE tells which of them each side looks like; a scenario has them as 'stack: NAME'"
        )
        return
    if len(arguments) != 1:
        raise UsageError(_("expected: labkit explain stack [CAPTURE]"))

    def side(name: str, each: Identified) -> Iterator[str]:
        system = click.style(each.family if each.names else _("unknown"), bold=True)
        most = _(", most like {names}").format(names=_(" or ").join(each.names)) if each.names else ""
        yield f"  {name} {each.end}{_(': ')}{system}{most}"
        yield from (f"    + {text}" for text in each.evidence)
        yield from (f"    {'-' if each.names else '?'} {text}" for text in each.against)

    totals: dict[str, int] = {}
    number = 0
    with open_capture(arguments[0], Meter(Budget())) as capture:
        for number, (client, server) in enumerate(identify(capture), 1):
            for each in (client, server):
                totals[each.family] = totals.get(each.family, 0) + 1
            if number <= MAX_SHOWN:
                yield _("conversation {n}").format(n=number)
                yield from side(_("client"), client)
                yield from side(_("server"), server)
        damage = capture.damage
    if not number:
        raise lacking(_("{path}: there is no TCP conversation in it").format(path=arguments[0]), damage)
    if number > MAX_SHOWN:
        yield _("… and {n} more conversations").format(n=number - MAX_SHOWN)
    if number == MAX_CONVERSATIONS:
        yield _("further conversations were not looked at")
    counts = listed(f"{_(name)} {count}" for name, count in sorted(totals.items()))
    yield _("sides: {counts}").format(counts=counts)
    if damage is not None:
        text = _("{capture}: {message}; looked at up to there").format(capture=arguments[0], message=damage.message)
        if not damage.cut:
            raise CaptureError(text)
        yield text
