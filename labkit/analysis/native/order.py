"""The order of findings, and which of them policy must be asked about, as source for the compiler.

`labkit.analysis.native.found` decides with it what a verdict has, without making a million objects to sort them.
"""

from labkit.analysis.native.context import SEVERITIES, Context
from labkit.analysis.severity import Severity

FOUND, DEPENDS, SUMS = 1, 2, 4
"""Bits of `Context.depends`: the rule has findings; these depend on others, or others on them; the rule sums up."""

LEFT_OUT = 2
"""In `Context.asked`: policy leaves the finding out."""


def order_findings(ctx: Context) -> int:
    """Put the places of the findings into `Context.order`, as a verdict has them, and their rules and severities into
    `Context.grades`: a merge sort, from pairs up. They are found nearly in order. Returns their number."""
    count = ctx.finding_count
    for i in range(count):
        ctx.order[i] = i
        found = ctx.findings[i]
        severity = found.answer if found.answer > 1 else ctx.severities[found.rule]
        ctx.grades[i] = found.rule * SEVERITIES + severity
        ctx.depends[found.rule] = FOUND
    width = 1
    while width < count:
        first = 0
        while first + width < count:
            _merge(ctx, first, first + width, min(first + 2 * width, count))
            first += 2 * width
        width *= 2
    return count


def _merge(ctx: Context, first: int, middle: int, end: int) -> None:
    """Merge two sorted parts of `Context.order`, which lie one behind the other."""
    if not _is_after(ctx, ctx.order[middle - 1], ctx.order[middle]):
        return
    for i in range(first, middle):
        ctx.spare[i] = ctx.order[i]
    left, right, to = first, middle, first
    while left < middle:
        if right < end and _is_after(ctx, ctx.spare[left], ctx.order[right]):
            ctx.order[to] = ctx.order[right]
            right += 1
        else:
            ctx.order[to] = ctx.spare[left]
            left += 1
        to += 1


def _is_after(ctx: Context, one: int, other: int) -> bool:
    """Whether a finding comes after another one: by packets, what is about no packet last."""
    a, b = ctx.findings[one], ctx.findings[other]
    if a.packet != b.packet:
        return b.packet != 0 and (a.packet == 0 or a.packet > b.packet)
    if a.flow != b.flow:
        return a.flow > b.flow
    return ctx.ranks[a.rule] > ctx.ranks[b.rule]


def ask_about(ctx: Context) -> int:
    """Put the places of the findings that policy must be asked about into `Context.spare`, in the order in which they were
    found; returns their number. A finding below ERROR that stands alone at its packet depends on no other."""
    for i in range(ctx.finding_count):
        ctx.asked[i] = 0
    i = 0
    while i < ctx.finding_count:
        found = ctx.findings[ctx.order[i]]
        end = i
        several = 0
        while end < ctx.finding_count and ctx.findings[ctx.order[end]].packet == found.packet:
            several += ctx.depends[ctx.findings[ctx.order[end]].rule] > FOUND
            end += 1
        for k in range(i, end):
            place = ctx.order[k]
            depends = ctx.depends[ctx.findings[place].rule]
            grave = ctx.grades[place] % SEVERITIES >= Severity.ERROR
            ctx.asked[place] = depends > FOUND and (several > 1 or found.packet == 0 or grave or depends & SUMS != 0)
        i = end
    count = 0
    for i in range(ctx.finding_count):
        if ctx.asked[i]:
            ctx.spare[count] = i
            count += 1
    return count


def settle(ctx: Context) -> int:
    """Take what policy leaves out from `Context.order`, and put the grades of the others into `Context.spare`, in the same order;
    count them by grade; returns their number."""
    count = 0
    for i in range(ctx.finding_count):
        place = ctx.order[i]
        if ctx.asked[place] != LEFT_OUT:
            ctx.order[count] = place
            ctx.spare[count] = ctx.grades[place]
            ctx.counts[ctx.grades[place]] += 1
            count += 1
    return count
