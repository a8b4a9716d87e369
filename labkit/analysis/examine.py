"""Look at complete conversations once more, as a whole, and give every mistake to the packet where it was made.

The first pass judges a capture segment by segment and forgives whatever a missing packet could explain. This second look
takes conversations that open in the capture, keeps the accounts of both sides (`labkit.analysis.ledger`), and knows when
nothing is missing: because the user says so, or because the file shows it. What it finds replaces what the first pass said
of the same numbers. One mistake is one error; what follows from it becomes notes that name it (`Finding.caused_by`).

A small capture is looked at whole. Of a large one only the conversations are looked at in which the first pass found
something that depends on this.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from labkit.analysis.catalogue import shipped
from labkit.analysis.completeness import DECIDED, MAX_WHOLE, NUMBERS
from labkit.analysis.completeness import Completeness as Completeness
from labkit.analysis.findings import groups
from labkit.analysis.flows import Flow, end_of
from labkit.analysis.limits import not_accounted, of_flows
from labkit.analysis.severity import Severity
from labkit.analysis.verdict import Verdict
from labkit.capture import Frame

if TYPE_CHECKING:
    from labkit.analysis.rule import Rule
    from labkit.analysis.talks import Heard, Suspects

MAX_FLOWS = 200
"""Conversations of a larger capture that are looked at."""


def examine(
    verdict: Verdict,
    again: Callable[[], Iterable[Frame] | None],
    rules: "Iterable[Rule] | None" = None,
    assume: Completeness = Completeness.AUTO,
    wanted: Callable[[Flow], bool] | None = None,
    over: Callable[[], bool] = bool,
    heard: "Iterable[Heard] | None" = None,
) -> Verdict:
    """Look at the conversations of a judged capture once more; return its verdict with what is found.

    `again` opens the capture from its start, or gives None where it cannot be read twice. `rules` is the catalogue, of which
    labkit's own rules count: what others find stays as it is, whatever their families are called, and tells nothing; without it,
    all of labkit's own. `over` says when the time for it is over. `heard` are all segments, where they were kept: then nothing is
    read again. What was not looked at is the limit `not-accounted`.
    """
    verdict = replace(verdict, completeness=str(assume))
    if assume == Completeness.PARTIAL or not verdict.segments:
        return verdict
    whole = verdict.segments <= MAX_WHOLE or assume == Completeness.COMPLETE
    named = _named(rules) if whole or verdict.findings else {}  # to name the rules is to import them
    chosen = None if whole else _suspects(verdict, named)
    if verdict.segments <= MAX_WHOLE:  # of a larger capture they stay what they are
        verdict = replace(verdict, findings=list(verdict.findings))
    if chosen is not None and not chosen:
        limits = [*verdict.limits, not_accounted(verdict.flows)]
        return replace(verdict, completeness=str(Completeness.AUTO), limits=limits)
    # Most verdicts of large captures need none of it.
    from labkit.analysis.second_look import Look
    from labkit.analysis.talks import gathered, talks_of

    look = Look(verdict, named, assume, over)
    look.left = 0 if chosen is None else verdict.flows - len(chosen)
    if heard is not None and chosen is None and not look.misread:
        return look.through(list(gathered(heard)), wanted)
    frames = again()
    return verdict if frames is None else look.through(list(talks_of(frames, chosen, look.misread)), wanted)


def _named(rules: "Iterable[Rule] | None") -> "Mapping[tuple[str, str], Rule]":
    """labkit's own rules among some, or all of them, by code and name."""
    own = frozenset(shipped())
    return {(rule.code, rule.name): rule for rule in (shipped() if rules is None else rules) if rule in own}


def _suspects(verdict: Verdict, named: "Mapping[tuple[str, str], Rule]") -> "Suspects":
    """The conversations of a large capture in which something was found that completeness decides."""
    found: set[int] = set()
    for group in groups(verdict.findings, MAX_FLOWS):
        rule = named.get((group.code, group.name))
        if rule is not None and (group.code in DECIDED or rule.family in NUMBERS) and group.severity > Severity.NOTE:
            found |= {verdict.findings[place].flow for place in group.places}
    if not found:
        return {}
    from labkit.analysis.ledger import MAX_SEGMENTS

    short = (each for each in of_flows(verdict.conversations, found) if sum(each.packets) <= MAX_SEGMENTS)
    return {
        (frozenset((end_of(each.client), end_of(each.server))), each.first_packet): each.flow
        for each in islice(short, MAX_FLOWS)
    }
