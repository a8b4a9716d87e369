"""What `scripts/accuracy` prints, and docs/accuracy.md."""

from collections.abc import Iterator

from accuracy_errors import ERRORS
from accuracy_reasons import LABKIT, NOBODY, REASONS, TSHARK
from accuracy_score import CLASSES, ENOUGH, FAMILY, GOAL, Case, Score, verdict
from accuracy_situations import section

SHOWN = 10
"""The most packets of an error that are listed one by one."""

EXAMPLES = 3
"""The captures that a reason names as examples."""

HEAD = """# Accuracy

How far labkit and Wireshark agree on what happens in a capture, packet by packet. `scripts/accuracy` writes this page. It runs
labkit and tshark {release} (two passes, validated checksums) on every capture of a folder. For each class of events it counts
the segments that both name, and the segments that only one of them names.

Wireshark does not judge TCP: it describes what it sees from a few numbers and from the clock. So this page has two pairs of
figures. *Raw* figures take Wireshark as the truth. *Adjudicated* figures take the reasons below as the truth. Each reason is a
condition that a program checks on facts that do not come from labkit's rules: which octets the capture showed before, which
were acknowledged, what a checksum says. Without a reason, Wireshark counts as right. Undecided cases are in the raw figures
only. The goal is {goal} for each adjudicated figure of a class in which Wireshark names {enough} segments or more.

Three things limit the adjudicated figures. The facts come from labkit's decoder. The author of the reasons knew these
disagreements; you can check each reason in the captures that it names. And an event that neither program names does not show
here: two observers that agree may both be wrong.

- *Precision*: the part of the segments that labkit counts in a class and that belong to it.
- *Recall*: the part of the segments that belong to a class and that labkit finds.

The classes use the Wireshark names of labkit's findings: `tcp.analysis.lost_segment` is SEQ01, `tcp.analysis.duplicate_ack`
RTX06, and so on ([the catalogue](rules.md) has all of them). Each segment with a wrong checksum counts by itself, although
labkit makes one finding for many of one side. A checksum that was left to hardware (CK03) counts as wrong, as in this version
of Wireshark. A segment that an ICMP error quotes belongs to no conversation and does not count.
"""


def table(scores: dict[str, Score]) -> str:
    """Return the figures as text for a terminal."""
    return "".join(f"{line}\n" for name, score in scores.items() for line in (_summary(name, score), *_lines(score)))


def _summary(name: str, score: Score) -> str:
    return f"{name}: {score.captures:,} captures, {score.packets:,} packets, {score.segments:,} TCP segments"


def _lines(score: Score) -> Iterator[str]:
    yield f"  {'class':26}{'Wireshark':>10}{'both':>8}{'precision':>11}{'recall':>9}   adjudicated"
    for group in CLASSES:
        if score.named(group) or score.count(group, LABKIT):
            raw, just = score.raw(group), score.adjudicated(group)
            yield (
                f"  {group:26}{score.named(group):10,}{score.both[group]:8,}{raw[0]:11.4f}{raw[1]:9.4f}"
                f"   {just[0]:.4f} {just[1]:.4f}"
            )
    for case in score.cases:
        if case.reason is None:
            yield f"  without a reason: {case.group}: only {case.only}: {case.path} {case.packet}"


def page(scores: dict[str, Score], release: str) -> str:
    """Return the page in Markdown. It names captures by their path in the folder."""
    lines = [HEAD.format(release=release, goal=GOAL, enough=ENOUGH)]
    for name, score in scores.items():
        lines += [
            "## Figures: " + name,
            "",
            _summary("Measured on", score).replace(":", "", 1) + ".",
            "",
            *_figures(score),
            "",
        ]
    whole = Score()
    for score in scores.values():
        whole.add(score)
    lines += ["## Disagreements", "", *_reasons(whole), *_wrong(whole), "## Kinds of resend", "", *_kinds(whole), ""]
    lines += ["## Errors on real captures", "", *_errors(), ""]
    lines += [*section(release), "## Segments", "", *_unseen(whole)]
    return "\n".join(lines) + "\n"


def _figures(score: Score) -> Iterator[str]:
    yield "| class | Wireshark | labkit | both | precision | recall | adjudicated precision | adjudicated recall |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for group in CLASSES:
        named, ours = score.named(group), score.both[group] + score.count(group, LABKIT)
        figures = (*score.raw(group), *score.adjudicated(group)) if named or ours else ()
        cells = [f"{figure:.4f}" for figure in figures] or ["–"] * 4
        yield f"| {group} | {named:,} | {ours:,} | {score.both[group]:,} | {' | '.join(cells)} |"


def _reasons(score: Score) -> Iterator[str]:
    yield "Each with the number of segments, who is right, and examples: a capture and its packets."
    yield ""
    for number, reason in enumerate(REASONS):
        cases = [case for case in score.cases if case.reason == number]
        if cases:
            right = reason.right if reason.right == NOBODY else f"{reason.right} is right"
            yield f"### {reason.group[0].upper()}{reason.group[1:]}, only {reason.only}: {len(cases):,}, {right}"
            yield ""
            yield reason.why
            yield ""
            yield from (f"- {line}" for line in _examples(cases))
            yield ""


def _examples(cases: list[Case]) -> Iterator[str]:
    packets: dict[str, list[int]] = {}
    for case in cases:
        packets.setdefault(case.path, []).append(case.packet)
    for path, numbers in sorted(packets.items(), key=lambda each: -len(each[1]))[:EXAMPLES]:
        shown = ", ".join(map(str, numbers[:5])) + (f" and {len(numbers) - 5:,} more" if len(numbers) > 5 else "")
        yield f"`{path}`: {shown}"
    if len(packets) > EXAMPLES:
        yield f"and {len(packets) - EXAMPLES:,} more capture{'s' * (len(packets) > EXAMPLES + 1)}"


def _wrong(score: Score) -> Iterator[str]:
    yield "## labkit is wrong here"
    yield ""
    cases = [case for case in score.cases if verdict(case) == TSHARK]
    if not cases:
        yield "Nowhere: each disagreement has a reason."
        yield ""
        return
    yield "Without a reason, Wireshark counts as right in these cases."
    yield ""
    yield from (f"- {case.group}, only {case.only}: `{case.path}` packet {case.packet}" for case in cases)
    yield ""


def _kinds(score: Score) -> Iterator[str]:
    yield "The kinds of the segments that both count in the retransmission family. Here the two differ by design: Wireshark"
    yield "guesses from the clock, labkit compares the octets that the capture showed before. For labkit, a segment out of"
    yield "order has octets that the capture never showed, and a fast retransmission follows three duplicate ACKs (RFC 5681"
    yield "section 3.2). Wireshark needs only two, and counts other ACKs as duplicates too. Rows are Wireshark's kinds,"
    yield "columns labkit's."
    yield ""
    names = [kind.replace("_", " ") for kind in FAMILY]
    yield f"| Wireshark | {' | '.join(names)} |"
    yield "| --- |" + " ---: |" * len(FAMILY)
    for theirs, name in zip(FAMILY, names, strict=True):
        yield f"| {name} | {' | '.join(f'{score.kinds[theirs, ours]:,}' for ours in FAMILY)} |"


def _errors() -> Iterator[str]:
    yield "An error fails a capture, so a false alarm would be serious. These are all errors that labkit finds in the"
    yield "captures above, under either profile. Each was checked in the packets, and a test fails for any other. If all"
    yield "checksums of one side are wrong alike, labkit gives a warning, which is not listed here: the capture does not"
    yield "tell whether the packets were sent so."
    for each in ERRORS:
        yield from ("", f"### {each.title}", "", each.proof, "")
        for path, found in each.found.items():
            yield f"- `{path}`: {', '.join(_packets(code, numbers) for code, numbers in found.items())}"


def _packets(code: str, numbers: tuple[int, ...]) -> str:
    """Return a rule's code with the packets of its errors."""
    if len(numbers) > SHOWN:
        return f"{code} (packets {numbers[0]} to {numbers[-1]})"
    word = "packet" if len(numbers) == 1 else "packets"
    return f"{code} ({word} {', '.join(map(str, numbers))})" if numbers else code


def _unseen(score: Score) -> Iterator[str]:
    if not score.unseen:
        yield "Both see the same frames as TCP segments, in every capture."
        return
    yield "Both see the same frames as TCP segments, except these:"
    yield ""
    yield from (f"- `{path}`: {count:,} that only {who} sees" for path, count, who in score.unseen)
