"""What `labkit build` writes beside a capture: a manifest of its faults, or a whole folder of variants."""

import sys
from contextlib import suppress
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.cli._common import note
from labkit.errors import UsageError
from labkit.i18n import _, ngettext, printable

if TYPE_CHECKING:
    from labkit.build.scenario import Scenario
    from labkit.build.trace import Trace

STANDARD_OUTPUT = "-"


def write(trace: "Trace", output: str, format_: str | None, edition: str, manifest: str | None) -> int:
    """Write a capture, and the manifest where there are faults in it; the number of packets.

    Where a manifest cannot be written, nothing is.
    """
    from labkit.capture.sink import Sink

    _refuse_terminal(output)
    target = manifest
    if target is None and trace.injected and output != STANDARD_OUTPUT:
        target = str(Path(output).with_suffix(".manifest.json"))
    if target is None:
        if trace.injected:
            note(_("what the faults have done is not written; '--manifest FILE' does it"))
        return trace.write(output, format=format_, edition=edition)
    if target == output:
        raise UsageError(_("the capture and the manifest cannot both go to {name}").format(name=_named(output)))
    sink = Sink(target)
    try:
        count = trace.write(output, format=format_, edition=edition)
        sink.write(_manifest(trace, output).encode("utf-8", "backslashreplace"))
        sink.commit()
    finally:
        sink.discard()
    if target != STANDARD_OUTPUT:
        note(_("{file}: what the faults have done").format(file=target))
    return count


def _refuse_terminal(output: str) -> None:
    """A capture on a terminal is of use to nobody, and may set it up strangely."""
    stream = sys.stdout
    if output == STANDARD_OUTPUT and stream is not None and not stream.closed and stream.isatty():
        raise UsageError(
            _("standard output is a terminal, and a capture is no text; expected '-o FILE', or a pipe behind it")
        )


def _warn_of_suffix(output: str, format_: str | None) -> None:
    """Say that a file's name promises another format than the one that was asked for."""
    from labkit.capture import formats

    suffix = Path(output).suffix.lower()
    promised = [each.name for each in formats() if suffix in each.suffixes]
    if output != STANDARD_OUTPUT and format_ is not None and promised and format_ not in promised:
        text = _("{file}: is {format}, as --format says, though its name ends in {suffix}")
        note(text.format(file=output, format=format_, suffix=suffix))


def _manifest(trace: "Trace", output: str) -> str:
    from labkit.build.faults import plain

    content: dict[str, Any] = {"capture": Path(output).name, "scenario": trace.name}
    if trace.seed is not None:
        content["seed"] = trace.seed
    return dumps({**content, "faults": plain(trace.injected)}, indent=2, ensure_ascii=False) + "\n"


def _named(output: str) -> str:
    return _("standard output") if output == STANDARD_OUTPUT else output


def built(trace: "Trace", output: str, format_: str | None, count: int) -> None:
    """Say what was written."""
    _warn_of_suffix(output, format_)
    file = _named(output)
    if trace.seed is None:
        text = ngettext("{file}: {count:,} packet", "{file}: {count:,} packets", count)
    else:
        text = ngettext("{file}: {count:,} packet, seed {seed}", "{file}: {count:,} packets, seed {seed}", count)
    note(text.format(file=file, count=count, seed=trace.seed))


def variants(
    scenario: "Scenario", roster: str, key: str | None, folder: str, format_: str, edition: str, faults: tuple[str, ...]
) -> None:
    """Build a capture for each student of a roster, and the answers."""
    from labkit.cli._judge import Progress
    from labkit.teach import variants as making

    if key is None:
        raise UsageError(
            _("--variants needs --key FILE, a secret of your own; to make one: head -c 32 /dev/urandom > key")
        )
    order = making.Order(scenario, making.read_key(key), Path(folder), format_, edition, faults)
    known = making.read_roster(roster)
    if known.column.casefold() != making.COLUMN:
        text = _("{roster}: there is no column '{wanted}'; the students are taken from the first, '{column}'")
        note(text.format(roster=roster, wanted=making.COLUMN, column=printable(known.column)))
    total = len(known.students)
    different = set()
    with Progress(_("building")) as progress:
        for number, answer in enumerate(making.build(order, known.students), 1):
            different.add(answer["sha256"])
            progress.show(_(": {number} of {total}").format(number=number, total=total))
    if len(different) == 1 < total:
        note(_("all captures are the same: the scenario draws nothing from the seed"))
    answers = making.answer_files(order.folder)
    text = ngettext(
        "{folder}: {count} capture; the answers are in {answers}",
        "{folder}: {count} captures; the answers are in {answers}",
        total,
    )
    note(text.format(folder=folder, count=total, answers=", ".join(map(_beside, answers))))


def _beside(path: Path) -> str:
    """A path as it is best shown: from here, where it is below."""
    with suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)
