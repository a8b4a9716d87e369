"""Preparing a bulk file in another process, while this one loads numpy: each takes about as long as writing a million packets."""

import gc
import signal
import sys
from contextlib import suppress
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.connection import Connection
from pathlib import Path
from threading import active_count
from typing import TYPE_CHECKING

from labkit.errors import LabkitError

if TYPE_CHECKING:
    from labkit.build.bulk.bulk_plan import BulkPlan
    from labkit.build.scenario import Scenario

FEW = 10_000
"""Conversations below which the start of a process is not worth it."""


def prepared(scenario: "Scenario | str | Path", flows: int, seed: int) -> "BulkPlan":
    """What `labkit.build.bulk.template.prepare` gives; a scenario may be given by its name. Errors are the same."""
    if flows < FEW or not isinstance(scenario, str | Path) or not _worth_it():
        return _prepare(scenario, flows, seed)
    # A fork has what is loaded here by now, and so starts at once.
    context = get_context("fork")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(here, there, scenario, flows, seed), daemon=True)
    # Ctrl-C goes to all processes of a terminal. This one takes it, and ends the other.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    there.close()
    from labkit.build.bulk import order  # noqa: F401 - for what it loads

    try:
        found = here.recv()
    except EOFError:
        # Whatever ended it: it shows here.
        return _prepare(scenario, flows, seed)
    if isinstance(found, LabkitError):
        raise found
    return found  # type: ignore[no-any-return]


def _worth_it() -> bool:
    """Whether numpy is still to be loaded, and a fork can do no harm: of threads it would only have the locks."""
    return "numpy" not in sys.modules and active_count() == 1 and "fork" in get_all_start_methods()


def _prepare(scenario: "Scenario | str | Path", flows: int, seed: int) -> "BulkPlan":
    from labkit.build.bulk.template import prepare
    from labkit.build.scenario import Scenario

    return prepare(Scenario.load(scenario) if isinstance(scenario, str | Path) else scenario, flows, seed)


def _send(
    here: "Connection[object, object]",
    there: "Connection[object, object]",
    scenario: "str | Path",
    flows: int,
    seed: int,
) -> None:
    # What is loaded stays, and the process soon ends: there is no garbage worth a search.
    gc.disable()
    # While anybody could read it, who writes to a pipe may wait for that. This one must not be waited for by itself.
    here.close()
    found: object
    try:
        found = _prepare(scenario, flows, seed)
    except LabkitError as error:
        found = error
    with suppress(BrokenPipeError):  # nobody waits for it any more
        there.send(found)
