"""Prepare a bulk file in a worker process while this one loads numpy. Each takes as long as writing a million packets."""

import gc
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.connection import Connection
from pathlib import Path
from threading import active_count
from typing import TYPE_CHECKING, Any, TypeAlias

from labkit.errors import LabkitError

if TYPE_CHECKING:
    from labkit.build.bulk.bulk_plan import BulkPlan
    from labkit.build.scenario import Scenario
    from labkit.build.scenario.code import ScenarioBuilder

Given: TypeAlias = "Scenario | ScenarioBuilder | Mapping[str, Any] | str | Path"

MIN_FLOWS = 10_000
"""With fewer conversations, a worker process costs more time than it saves."""


def prepare_in_worker(scenario: "Given", flows: int, seed: int) -> "BulkPlan":
    """The result and the errors of `labkit.build.bulk.template.prepare`; `scenario` may be a name or a dictionary."""
    if not isinstance(scenario, str | Path) or not isinstance(flows, int) or flows < MIN_FLOWS or not _worth_it():
        return _prepare(scenario, flows, seed)
    # A forked process has all loaded modules and starts at once.
    context = get_context("fork")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(here, there, scenario, flows, seed), daemon=True)
    # Ctrl-C reaches all processes of a terminal. This one handles it and ends the worker.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    there.close()
    from labkit.build.bulk import order  # noqa: F401 - loads numpy

    try:
        found = here.recv()
    except EOFError:
        # The worker died. The same failure shows here.
        return _prepare(scenario, flows, seed)
    if isinstance(found, LabkitError):
        raise found
    return found  # type: ignore[no-any-return]


def _worth_it() -> bool:
    """Whether numpy is there and not loaded yet, and a fork is safe: a forked process would have the locks of other threads."""
    awaited = "numpy" not in sys.modules and find_spec("numpy") is not None
    return awaited and active_count() == 1 and "fork" in get_all_start_methods()


def _prepare(scenario: "Given", flows: int, seed: int) -> "BulkPlan":
    from labkit.build.bulk.template import prepare
    from labkit.build.scenario import Scenario
    from labkit.build.scenario.code import ScenarioBuilder

    if isinstance(scenario, str | Path):
        scenario = Scenario.load(scenario)
    elif isinstance(scenario, ScenarioBuilder):
        scenario = scenario.scenario()
    elif isinstance(scenario, Mapping):
        scenario = Scenario.from_dict(scenario)
    return prepare(scenario, flows, seed)


def _send(
    here: "Connection[object, object]",
    there: "Connection[object, object]",
    scenario: "str | Path",
    flows: int,
    seed: int,
) -> None:
    # The process ends soon: a search for garbage is wasted.
    gc.disable()
    # Close the reading end, so that a write fails once the parent has ended.
    here.close()
    found: object
    try:
        found = _prepare(scenario, flows, seed)
    except LabkitError as error:
        found = error
    with suppress(BrokenPipeError):  # the parent has ended
        there.send(found)
