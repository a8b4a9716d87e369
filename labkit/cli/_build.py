"""What `labkit build` writes: a capture with a manifest of its faults and losses, many conversations, or a folder of variants."""

import sys
from collections.abc import Mapping
from contextlib import suppress
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.cli._common import language_asked, note
from labkit.errors import UsageError
from labkit.i18n import _, listed, ngettext, printable

if TYPE_CHECKING:
    from labkit.build.trace import Trace

STANDARD_OUTPUT = "-"


def write(trace: "Trace", output: str, format_: str | None, edition: str, manifest: str | None) -> int:
    """Write a capture, and its manifest if it has faults or one is wanted; return the number of packets.

    If the manifest cannot be written, neither is the capture.
    """
    from labkit.capture.sink import Sink

    refuse_terminal(output)
    target = manifest
    if target is None and trace.injected and output != STANDARD_OUTPUT:
        target = str(Path(output).with_suffix(".manifest.json"))
    if target is None:
        if trace.injected:
            note(_("no list of the injected faults is written; '--manifest FILE' writes it"))
        return trace.write(output, format=format_, edition=edition, translated=language_asked())
    if target == output:
        raise UsageError(_("the capture and the manifest cannot both go to {name}").format(name=_name(output)))
    sink = Sink(target)
    try:
        sink.write(_manifest(trace, output).encode("utf-8", "backslashreplace"))
        if target != STANDARD_OUTPUT:
            sink.flush()
        count = trace.write(output, format=format_, edition=edition, translated=language_asked())
        sink.commit()
    finally:
        sink.discard()
    if target != STANDARD_OUTPUT:
        note(_("{file}: list of the injected faults").format(file=target))
    return count


def write_script(trace: "Trace", output: str) -> None:
    """Write a Python script that makes the packets of a trace with Scapy."""
    from labkit.build.as_scapy import script
    from labkit.capture.sink import Sink

    text = script(trace)
    sink = Sink(output)
    try:
        sink.write(text.encode())
        sink.commit()
    finally:
        sink.discard()
    note(
        _("{file}: a Python script; it writes {count:,} packets").format(file=_name(output), count=len(trace.packets()))
    )


def note_built(trace: "Trace", output: str, format_: str | None, count: int) -> None:
    """Print a line about the capture, and a warning if its suffix names another format."""
    from labkit.capture import formats

    suffix = Path(output).suffix.lower()
    usual = [each.name for each in formats() if suffix in each.suffixes]
    if output != STANDARD_OUTPUT and format_ is not None and usual and format_ not in usual:
        text = _("{file}: has the format {format}, as --format says, despite its suffix {suffix}")
        note(text.format(file=output, format=format_, suffix=suffix))
    text = ngettext("{file}: {count:,} packet", "{file}: {count:,} packets", count)
    if trace.seed is not None:
        text = ngettext("{file}: {count:,} packet, seed {seed}", "{file}: {count:,} packets, seed {seed}", count)
    note(text.format(file=_name(output), count=count, seed=trace.seed))


def build_bulk(
    scenario: str, flows: int, output: str | None, seed: int, format_: str | None, options: Mapping[str, Any]
) -> None:
    """Write many conversations of a scenario to one file. UsageError for an option that excludes this."""
    from labkit.build.bulk import build
    from labkit.cli._progress import ProgressLine

    for name in ("fault", "manifest", "variants", "key"):
        if options["faults" if name == "fault" else name]:
            raise UsageError(_("--flows excludes --{name}").format(name=name))
    if options["edition"] == "annotated":
        raise UsageError(_("--flows excludes --edition annotated: its packets have no comments"))
    target = output or f"{Path(scenario).stem}.{format_ or 'pcapng'}"
    with ProgressLine(_("building")) as progress:
        count = build(
            scenario,
            flows,
            target,
            seed=seed,
            format=format_,
            on_progress=lambda packets, total: progress.on_progress(packets, packets / total),
        )
    text = ngettext(
        "{file}: {count:,} packet, {flows}, seed {seed}", "{file}: {count:,} packets, {flows}, seed {seed}", count
    )
    conversations = ngettext("{n:,} conversation", "{n:,} conversations", flows).format(n=flows)
    note(text.format(file=_name(target), count=count, flows=conversations, seed=seed))


def build_variants(
    scenario: str, output: str | None, seed: int, format_: str | None, options: Mapping[str, Any]
) -> None:
    """Build a capture for each student of a roster, and the answers."""
    from labkit.build.scenario import Scenario
    from labkit.cli._progress import ProgressLine
    from labkit.teach import variants
    from labkit.teach.roster import COLUMN, read_roster

    if seed:
        raise UsageError(_("--variants excludes --seed: labkit derives each student's seed from the key"))
    if options["manifest"] is not None:
        raise UsageError(_("--variants excludes --manifest: the answers list the faults"))
    folder = output or f"{Path(scenario).stem}-variants"
    if folder == STANDARD_OUTPUT:
        raise UsageError(_("--variants writes a folder, and cannot write to standard output"))
    loaded = Scenario.load(scenario)
    if options["key"] is None:
        raise UsageError(_("--variants needs --key FILE with a secret; to make one: head -c 32 /dev/urandom > key"))
    order = variants.Order(
        loaded,
        variants.read_key(options["key"]),
        Path(folder),
        format_ or "pcapng",
        options["edition"] or "student",
        options["faults"],
    )
    roster = read_roster(options["variants"])
    for hint in roster.hints:
        note(hint)
    if roster.column.casefold() != COLUMN:
        text = _("{roster}: has no column '{expected}'; taking the students from its first column, '{column}'")
        note(text.format(roster=options["variants"], expected=COLUMN, column=printable(roster.column)))
    total = len(roster.students)
    digests: set[str] = set()
    with ProgressLine(_("building")) as progress:
        for number, answer in enumerate(variants.build(order, roster.students), 1):
            if len(digests) < 2:  # whether there are two, whatever the class
                digests.add(answer["sha256"])
            progress.show(_(": {number} of {total}").format(number=number, total=total))
    if len(digests) == 1 < total:
        note(_("all captures are the same: the scenario uses no random numbers"))
    answers = listed(map(_relative, variants.answer_files(order.folder)))
    text = ngettext(
        "{folder}: {count} capture; the answers are in {answers}",
        "{folder}: {count} captures; the answers are in {answers}",
        total,
    )
    note(text.format(folder=folder, count=total, answers=answers))


def refuse_terminal(output: str) -> None:
    """A terminal would take the octets of a capture for commands."""
    stream = sys.stdout
    if output == STANDARD_OUTPUT and stream is not None and not stream.closed and stream.isatty():
        raise UsageError(_("standard output is a terminal; write the capture to a file (-o FILE) or a pipe"))


def _manifest(trace: "Trace", output: str) -> str:
    from dataclasses import asdict

    from labkit.build.fates import fates
    from labkit.build.faults import plain

    content: dict[str, Any] = {"capture": Path(output).name, "scenario": trace.name}
    if trace.seed is not None:
        content["seed"] = trace.seed
    content |= {"faults": plain(trace.injected), "path": [asdict(each) for each in fates(trace)]}
    return dumps(content, indent=2, ensure_ascii=False) + "\n"


def _name(output: str) -> str:
    return _("standard output") if output == STANDARD_OUTPUT else output


def _relative(path: Path) -> str:
    """A path relative to the current folder, if it is below it."""
    with suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)
