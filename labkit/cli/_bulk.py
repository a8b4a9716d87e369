"""`labkit build --flows`: many conversations of a scenario in one file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labkit.cli._build import STANDARD_OUTPUT
from labkit.cli._common import note
from labkit.cli._judge import Progress
from labkit.errors import UsageError
from labkit.i18n import _, ngettext


def build_bulk(
    scenario: str, flows: int, output: str | None, seed: int, format_: str | None, options: Mapping[str, Any]
) -> None:
    """Write them. UsageError where other options of `build` are given that are for single packets or students."""
    from labkit.build.bulk import build

    _check(options)
    target = output or f"{Path(scenario).stem}.{format_ or 'pcapng'}"
    with Progress(_("building")) as progress:
        count = build(scenario, flows, target, seed=seed, format=format_, on_progress=progress.packets)
    text = ngettext(
        "{file}: {count:,} packet, {flows}, seed {seed}", "{file}: {count:,} packets, {flows}, seed {seed}", count
    )
    file = _("standard output") if target == STANDARD_OUTPUT else target
    conversations = ngettext("{n:,} conversation", "{n:,} conversations", flows).format(n=flows)
    note(text.format(file=file, count=count, flows=conversations, seed=seed))


def _check(options: Mapping[str, Any]) -> None:
    for name, given in (
        ("--fault", options["faults"]),
        ("--manifest", options["manifest"]),
        ("--variants", options["variants"]),
        ("--key", options["key"]),
    ):
        if given:
            raise UsageError(
                _("--flows does not go with {name}: that is for captures of single packets").format(name=name)
            )
    if options["edition"] == "annotated":
        raise UsageError(
            _("--flows does not go with --edition annotated: packets of many conversations have no comments")
        )
