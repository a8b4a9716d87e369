"""`labkit repair`: recompute the numbers, lengths and checksums of a hand-edited capture."""

from typing import TYPE_CHECKING, Any

import click

from labkit.cli._budget import budget_options, capture_budget
from labkit.cli._build import refuse_terminal
from labkit.cli._common import Command, Exit, damage_code, echo, emit_json, format_option, note, option
from labkit.cli._paths import OUTPUT, PATH
from labkit.i18n import N_, _, ngettext, printable

if TYPE_CHECKING:
    from labkit.report.repair import Repaired

MAX_SHOWN = 200
"""Lines of changes in the text report."""


@click.command(
    "repair",
    cls=Command,
    section="build",
    examples=(
        "labkit repair edited.pcapng -o repaired.pcapng",
        "labkit repair edited.pcap -o repaired.pcap --complete --format json",
    ),
)
@click.argument("capture", type=PATH)
@option("-o", "--output", required=True, type=OUTPUT, metavar="FILE", help=N_("Capture to write."))
@option("--complete", "completeness", flag_value="complete", help=N_("No packet is missing: close every gap."))
@option("--partial", "completeness", flag_value="partial", help=N_("Packets may be missing: leave every gap."))
@budget_options()
@format_option("text", "json")
def command(capture: str, output: str, completeness: str | None, format_: str, **others: Any) -> int:
    """Make a hand-edited conversation follow its edits.

    labkit recomputes sequence and acknowledgement numbers, lengths and checksums where an edit has left them wrong:
    a payload was changed, a packet was inserted or taken out, addresses were rewritten. It touches nothing else, says
    what it has changed, and what it cannot know. The exit code is 1 if something is still wrong.
    """
    from labkit.analysis.examine import Completeness
    from labkit.build.trace import Trace
    from labkit.cli._progress import ProgressLine
    from labkit.report.repair import repair

    refuse_terminal(output)
    with ProgressLine(_("repairing")):
        trace = Trace.from_capture(capture, capture_budget(others))
        repaired = repair(trace, Completeness(completeness or "auto"))
    repaired.trace.write(output)
    damage = trace.origin.damage if trace.origin is not None else None
    if damage is not None:
        note(_("{capture}: {message}; repaired up to there").format(capture=capture, message=damage.message))
    if output == "-":
        note(_headline(capture, output, repaired))
    elif format_ == "json":
        emit_json(_record(capture, output, repaired))
    else:
        _print(capture, output, repaired)
    outcome = repaired.verdict.outcome()
    return damage_code(damage) or (Exit.FINDINGS if outcome in ("fail", "not-judged") else Exit.OK)


def _headline(capture: str, output: str, repaired: "Repaired") -> str:
    text = ngettext(
        "{capture}: {count:,} packet changed, in {output}",
        "{capture}: {count:,} packets changed, in {output}",
        repaired.packets,
    )
    return text.format(capture=printable(capture), count=repaired.packets, output=printable(output))


def _print(capture: str, output: str, repaired: "Repaired") -> None:
    echo(click.style(_headline(capture, output, repaired), bold=True))
    lines: dict[int, list[str]] = {}
    for change in repaired.changes:
        shown = f"{change.field} {_value(change.field, change.old)} → {_value(change.field, change.new)}"
        if change.field in ("seq", "ack", "sack"):
            shown += f" ({(change.new - change.old + (1 << 31)) % (1 << 32) - (1 << 31):+})"
        lines.setdefault(change.packet, []).append(shown)
    for packet in list(lines)[:MAX_SHOWN]:
        echo(f"{packet:>7}  {', '.join(lines[packet])}")
    if len(lines) > MAX_SHOWN:
        echo(_("  … and {count:,} more packets; --format json lists all").format(count=len(lines) - MAX_SHOWN))
    if repaired.unknown:
        echo(_("not repaired:"))
    packets: dict[str, list[int | None]] = {}
    for each in repaired.unknown:
        packets.setdefault(each.message, []).append(each.packet)
    for message, found in list(packets.items())[:MAX_SHOWN]:
        text = ngettext(" (and {count:,} more packet)", " (and {count:,} more packets)", len(found) - 1)
        more = text.format(count=len(found) - 1) if len(found) > 1 else ""
        echo(f"{found[0] or '':>7}  {message}{more}")
    if len(packets) > MAX_SHOWN:
        echo(_("  … and {count:,} more; --format json lists all").format(count=len(packets) - MAX_SHOWN))


def _value(field: str, number: int) -> str:
    return f"0x{number:04x}" if field in ("sum", "ip.sum") else str(number)


def _record(capture: str, output: str, repaired: "Repaired") -> dict[str, object]:
    from dataclasses import asdict

    from labkit import __version__

    return {
        "labkit": __version__,
        "capture": capture,
        "output": output,
        "packets": repaired.verdict.packets,
        "changed": repaired.packets,
        "verdict": repaired.verdict.outcome(),
        "changes": [asdict(each) for each in repaired.changes],
        "unknown": [asdict(each) for each in repaired.unknown],
    }
