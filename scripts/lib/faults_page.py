"""Print docs/faults.md: what the verifier finds for each fault in each shipped scenario. The tests check that it is current.

python scripts/lib/faults_page.py > docs/faults.md
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from itertools import product

from fault_bases import AXES, WORDS, base, bases, kind

from labkit.analysis.catalogue import collect
from labkit.analysis.severity import RFC9293, Severity
from labkit.analysis.verdict import Verdict
from labkit.analysis.verifier import verify
from labkit.build.faults import faults, inject
from labkit.build.faults.base import Fault
from labkit.build.scenario import Scenario, shipped
from labkit.build.trace import Trace
from labkit.errors import UsageError

SEED = 3

HEAD = """# Faults

`labkit build SCENARIO --fault NAME` breaks a rule on purpose, at the first packet that the fault applies to; `NAME@N` breaks
it at packet N. This page lists, for each fault and each shipped scenario that it applies to (seed {seed}), what `labkit verify`
finds. `scripts/docs` generates the page, and the tests check it.

In every listed case the verifier reports the rule that the fault breaks, at the packet of the fault, and no error before it. One
wrong number may make later packets wrong too. Such a consequence is an error or a warning that the verifier does not report
without the fault. It precedes the scenarios that have it, with its distance from the fault in packets: `ACK02 +0` is at the same
packet, `+3` three packets later. Scenarios without such a prefix have no further errors or warnings.

Each fault is also made in small conversations: without any TCP option, with MSS alone, and with all options; over IPv4 and
IPv6; the client or the server sends data first; the ISNs are low, or the sequence numbers wrap soon. The last line of a fault
says in which of them it can be made. It is found in all of these.
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a fault in a scenario."""

    scenario: str
    packet: int
    found: bool
    """Whether the verifier reports its rule at its packet."""
    severity: Severity | None
    early: tuple[tuple[str, int], ...]
    """Errors before the fault. The tests require that there are none."""
    hidden: str
    """Why the verifier cannot find it there, if so."""
    further: tuple[tuple[str, int], ...]
    """The consequences: codes and packets of further errors and warnings."""


@cache
def sound(name: str) -> Trace:
    """The trace of a scenario, or of a small conversation, without faults."""
    return base(name) if name in bases() else Scenario.load(name).play(SEED)


@cache
def _before(name: str) -> frozenset[tuple[str, int]]:
    """The errors and warnings without faults."""
    return frozenset(_grave(judged(sound(name))))


def judged(trace: Trace) -> Verdict:
    """The verdict about a trace."""
    stream = BytesIO()
    trace.write(stream, format="pcapng", edition="student")
    stream.seek(0)
    return verify(stream, RFC9293)


def _grave(verdict: Verdict) -> Iterator[tuple[str, int]]:
    for each in verdict.findings:
        if each.severity >= Severity.WARNING and each.packet is not None:
            yield each.code, each.packet


def faulty(fault: Fault, names: Iterable[str] | None = None) -> Iterator[tuple[str, Trace]]:
    """The scenarios that a fault applies to, with the fault."""
    for name in shipped() if names is None else names:
        try:
            yield name, inject(sound(name), [fault.name])
        except UsageError:
            continue


@cache
def outcomes(fault: Fault) -> tuple[Outcome, ...]:
    """The results of a fault in all scenarios that it applies to."""
    return tuple(_outcome(fault, name, trace) for name, trace in faulty(fault))


@cache
def small_outcomes(fault: Fault) -> tuple[Outcome, ...]:
    """What becomes of a fault in each of the small conversations that it applies to."""
    return tuple(_outcome(fault, name, trace) for name, trace in faulty(fault, bases()))


def small_kinds(fault: Fault) -> set[tuple[str, ...]]:
    """The kinds of small conversations in which a fault can be found: options, IP, who speaks first, and ISN."""
    return {kind(each.scenario) for each in small_outcomes(fault) if not each.hidden}


def small_line(fault: Fault) -> str:
    """The line about the small conversations."""
    kinds = small_kinds(fault)
    chosen = [[value for value in axis if any(each[at] == value for each in kinds)] for at, axis in enumerate(AXES)]
    if kinds != set(product(*chosen)):
        raise ValueError(f"{fault.name}: the small conversations that it applies to are no product of their kinds")
    words = [
        " or ".join(WORDS[value] for value in values)
        for values, axis in zip(chosen, AXES, strict=True)
        if len(values) < len(axis)
    ]
    return f"- small conversations: {'; '.join(words) if words else 'all'}"


def _outcome(fault: Fault, name: str, trace: Trace) -> Outcome:
    packet = trace.injected[0].packet
    verdict = judged(trace)
    own = [each for each in verdict.findings if (each.code, each.packet) == (fault.code, packet)]
    errors = [(each.code, each.packet) for each in verdict.findings if each.severity == Severity.ERROR and each.packet]
    further = {each for each in _grave(verdict) if each != (fault.code, packet) and each not in _before(name)}
    return Outcome(
        name,
        packet,
        bool(own),
        max((each.severity for each in own), default=None),
        tuple(sorted((code, number) for code, number in errors if number is not None and number < packet)),
        _hidden(fault, name, trace),
        tuple(sorted(further, key=lambda each: each[::-1])),
    )


def _hidden(fault: Fault, name: str, trace: Trace) -> str:
    """Why the verifier cannot find a fault in a scenario; "" if it can."""
    if fault.hidden is None:
        return ""
    before, injected = sound(name), trace.injected[0]
    record = before.records[bisect_left(before.numbers(), injected.packet - injected.inserted)]
    own = [each for each in before.records if each.connection == record.connection]
    return fault.hidden(own, own.index(record))


def section(fault: Fault) -> str:
    """The section of a fault."""
    found = [each for each in outcomes(fault) if not each.hidden]
    severities = " or ".join(
        str(each) for each in sorted({each.severity for each in found if each.severity is not None})
    )
    lines = [
        f"### {fault.name}",
        "",
        f"{fault.summary[0].upper()}{fault.summary[1:]}. Breaks [{fault.code}](rules.md#{_anchor(fault.code)}): {severities}.",
        "",
    ]
    groups: dict[str, list[str]] = {}
    for each in found:
        groups.setdefault(_consequences(each), []).append(f"{each.scenario}@{each.packet}")
    for further, places in sorted(groups.items()):
        lines.append(f"- {f'{further}: ' if further else ''}{', '.join(places)}")
    lines += [f"- not in {each.scenario}: {each.hidden}" for each in outcomes(fault) if each.hidden]
    lines.append(small_line(fault))
    return "\n".join(lines) + "\n"


def _consequences(outcome: Outcome) -> str:
    """The consequences: each code with its distances from the fault in packets."""
    places: dict[str, list[str]] = {}
    for code, packet in outcome.further:
        places.setdefault(code, []).append(f"{packet - outcome.packet:+d}")
    return "; ".join(f"{code} {_few(numbers)}" for code, numbers in places.items())


def _few(numbers: list[str]) -> str:
    return ", ".join(numbers) if len(numbers) <= 4 else f"{', '.join(numbers[:3])} and {len(numbers) - 3} more"


def _anchor(code: str) -> str:
    name = next(rule.name for rule in collect() if rule.code == code)
    return f"{code.lower()}-{name}"


def summary() -> str:
    """The table of all faults, and the rules without one."""
    lines = ["| rule | fault | scenarios |", "| --- | --- | --- |"]
    for fault in faults():
        count = sum(not each.hidden for each in outcomes(fault))
        lines.append(f"| {fault.code} | [{fault.name}](#{fault.name}) | {count} |")
    lines += ["", "Rules that no fault breaks:", ""]
    without = {rule.code: rule.no_fault for rule in collect() if rule.no_fault}
    lines += [f"- {code}: {why}" for code, why in sorted(without.items())]
    return "\n".join(lines) + "\n"


def page() -> str:
    """The whole page."""
    parts = [HEAD.format(seed=SEED), summary(), *map(section, faults())]
    return "\n".join(parts)


if __name__ == "__main__":
    print(page(), end="")
