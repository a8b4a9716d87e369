"""Choose one of the two engines for a capture, and run it.

Both give the same verdict. The interpreter needs no other package, and starts faster.
The compiled engine verifies millions of packets a second. Its code is compiled once, which takes some seconds, and kept.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, BinaryIO, TypeGuard

from labkit.analysis.catalogue import collect, only_shipped, shipped
from labkit.analysis.examine import Completeness, examine
from labkit.analysis.limit_kinds import BUDGETS, MEMORY, TIME
from labkit.analysis.native import AUTO, COMPILED, INTERPRETED
from labkit.analysis.severity import DOCUMENT, RFC9293
from labkit.analysis.verdict import Bounds, Verdict, profile_of
from labkit.capture import Frame, Reader, open_again, open_capture
from labkit.capture.source import CHUNK_OCTETS
from labkit.errors import UncompilableError, UsageError
from labkit.i18n import _, printable

if TYPE_CHECKING:
    from pathlib import Path

    from labkit.analysis.flow_filter import FlowFilter
    from labkit.analysis.flows import Flow
    from labkit.analysis.native.line_writer import Table
    from labkit.analysis.native.native_verifier import NativeVerifier
    from labkit.analysis.native.packed import Library
    from labkit.analysis.native.reader import Batch, Feed, Interruption
    from labkit.analysis.native.shards import ShardedVerifier
    from labkit.analysis.rule import Rule
    from labkit.analysis.states import Lines, Row
    from labkit.analysis.talks import Heard

LARGE = 1 << 20
"""Octets of a capture from which compiled code that is in the cache is faster, including its start."""
LARGE_FOR_PACKED = 1 << 16
"""The same for the library of a wheel, which takes as long to load as some hundred packets to interpret."""
LARGE_ENOUGH_TO_COMPILE = 1 << 25
"""The same as LARGE for code that must be compiled first."""
LARGE_TO_DIVIDE = 1 << 25
"""Octets of a capture from which more than two threads are faster: each needs tables of its own, which take a while to make."""
SMALL = 1 << 20
"""Octets of a capture for which one thread, and the memory of one batch, is enough."""
LEAST_OCTETS = 16
"""Octets of a capture file before each packet, of which little may be kept."""

small_octets = 0
"""Octets of the small captures that this process judges, as far as it knows: together they pay for loading compiled code."""

OnNotice = Callable[[str], None]
"""Is called with a line for the user."""


def verify(
    source: "str | Path | BinaryIO",
    profile: str = RFC9293,
    *,
    literal: bool = False,
    on_progress: Callable[[int], None] | None = None,
    wanted: "Callable[[Flow], bool] | None" = None,
    engine: str = AUTO,
    rules: "Iterable[Rule] | None" = None,
    completeness: str = Completeness.AUTO,
) -> Verdict:
    """Verify one capture, as `labkit.analysis.verifier.verify` does, with one of ENGINES.

    AUTO uses the compiled engine for a large capture. Without llvmlite, and without code in the cache, the interpreter is used.
    """
    with open_capture(source) as capture:
        verdict = verify_capture(
            capture,
            profile,
            literal=literal,
            on_progress=on_progress,
            wanted=wanted,
            engine=engine,
            rules=rules,
            completeness=completeness,
        )
        path = str(source) if isinstance(source, str | PathLike) else getattr(source, "name", "<stream>")
        return replace(verdict, path=path)


def verify_capture(
    capture: Reader,
    profile: str = RFC9293,
    *,
    literal: bool = False,
    on_progress: Callable[[int], None] | None = None,
    wanted: "Callable[[Flow], bool] | None" = None,
    engine: str = AUTO,
    interruption: "Interruption | None" = None,
    on_notice: OnNotice | None = None,
    alone: bool = True,
    rules: "Iterable[Rule] | None" = None,
    completeness: str = Completeness.AUTO,
    bounds: Bounds | None = None,
) -> Verdict:
    """The verdict on an open capture, including its damage. Its path is empty.

    `on_notice` is called with a line when code is compiled, or cannot be compiled. `interruption` may end the reading.
    `alone=False`: other workers run too; use one thread and never compile. `rules` is the catalogue, as for `Verifier`; the
    compiled engine has the shipped one only, which is not imported before it is needed. `completeness` says whether packets may
    be missing (`labkit.analysis.examine`). `bounds` of what is kept may be smaller ones. UsageError for COMPILED with a `wanted`
    that is not a FlowFilter.
    """
    if rules is None and not only_shipped():
        rules = collect()
    rules = None if rules is None else tuple(rules)
    own = rules is None or rules == shipped()
    chosen = profile_of(profile, literal=literal)
    library = compiled = divided = None
    if _can_be_compiled(wanted):
        with interruption.waiting() if interruption else nullcontext():
            library = _library(capture, engine, on_notice or _ignore, alone, own=own)
            if library is not None:
                small = _is_small(capture)
                compiled = _compiled(library, chosen, wanted, on_notice or _ignore, alone, bounds=bounds, most=small)
                if alone and _is_worth_dividing(capture, wanted):
                    divided = _divided(library, chosen, wanted, bounds)
    elif engine == COMPILED:
        raise UsageError(_("the compiled engine needs a FlowFilter, not another function, to choose conversations"))
    heard = None
    if library is None or compiled is None:
        frames: Iterable[Frame] = interruption.frames(capture) if interruption else capture
        with _unmetered(capture):
            from labkit.analysis.verifier import Verifier

            verifier = Verifier(profile, literal=literal, wanted=wanted, bounds=bounds, rules=rules)
        verdict = verifier.run(frames, on_progress).with_damage(capture.damage)
    elif divided is not None:
        verdict = _run_divided(capture, library, divided, compiled, profile, interruption, on_progress)
    else:
        verdict, heard = _run_compiled(capture, library, compiled, profile, interruption, on_progress)
    compiled = divided = None  # so that their memory is free
    verdict = _bounded(verdict, capture)
    assume = Completeness.PARTIAL if literal else Completeness(completeness)
    if assume == Completeness.AUTO and profile == DOCUMENT:
        verdict, assume = replace(verdict, assumed=True), Completeness.TAUGHT
    if any(limit.kind in BUDGETS for limit in verdict.limits):
        return verdict
    over = capture.meter.over if capture.meter is not None else bool
    return _bounded(examine(verdict, lambda: open_again(capture), rules, assume, wanted, over, heard), capture)


def _can_be_compiled(wanted: "Callable[[Flow], bool] | None") -> "TypeGuard[FlowFilter | None]":
    """Whether a choice of conversations is one that compiled code can make."""
    if wanted is None:
        return True
    from labkit.analysis.flow_filter import FlowFilter

    return isinstance(wanted, FlowFilter)


def _bounded(verdict: Verdict, capture: Reader) -> Verdict:
    """Say what was not judged if the capture has spent its budget."""
    return verdict.with_damage(capture.spent())


def observe_capture(
    capture: Reader,
    wanted: "FlowFilter | None" = None,
    *,
    engine: str = AUTO,
    on_notice: OnNotice | None = None,
    table: "Table | None" = None,
) -> "Iterator[Row | Lines]":
    """The rows of an open capture, as `labkit.analysis.states.observe` gives them.

    The compiled engine gives rows without `Row.edits`, and lines of `table` instead of most rows of a large capture.
    """
    listener = on_notice or _ignore
    library = _library(capture, engine, listener, True)
    compiled = None if library is None else _compiled(library, RFC9293, wanted, listener, True, shows=True)
    if library is None or compiled is None:
        from labkit.analysis import states

        return states.observe(capture, wanted)
    from labkit.analysis.native.line_writer import LineWriter
    from labkit.analysis.native.observing import observe
    from labkit.analysis.native.reader import Feed

    verifier, memory = compiled
    writer = LineWriter(table, library) if table is not None else None
    return observe(Feed(capture, library), verifier, memory, writer)


def _run_compiled(
    capture: Reader,
    library: "Library",
    compiled: "tuple[NativeVerifier, list[Batch]]",
    profile: str,
    interruption: "Interruption | None",
    on_progress: Callable[[int], None] | None,
) -> "tuple[Verdict, list[Heard] | None]":
    """The verdict, and all segments of a small capture."""
    from labkit.analysis.native.pipeline import run
    from labkit.analysis.native.reader import Feed

    native, memory = compiled
    feed = Feed(capture, library, interruption)
    hearing = None
    if memory[0].row.shows:
        from labkit.analysis.native.hearing import Hearing

        hearing = Hearing(native)
    whole = run(feed, hearing or native, memory, on_progress, native.prepare)
    memory.clear()  # findings take its place
    if native.context.finding_count:
        with _unmetered(capture):
            shipped()
    verdict = native.verdict(whole.packets, whole.start, profile, feed.unread)
    return verdict.with_damage(capture.damage or feed.damage), hearing.heard if hearing is not None else None


def processors() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _is_worth_dividing(capture: Reader, wanted: "FlowFilter | None") -> bool:
    """Whether several threads can judge a capture, and are faster. They know the numbers of conversations only at the end, and
    one thread must be able to begin again."""
    large = capture.size is not None and capture.size >= LARGE_TO_DIVIDE
    return large and processors() > 2 and (wanted is None or not wanted.flows) and capture.again() is not None


def _divided(
    library: "Library", profile: str, wanted: "FlowFilter | None", bounds: Bounds | None
) -> "ShardedVerifier | None":
    """Allocate all memory of several threads; None if the process may not have that much."""
    from labkit.analysis.native.shards import ShardedVerifier, threads

    judges, decoders = threads(processors())
    try:
        return ShardedVerifier(profile, library, judges, bounds, wanted, decoders=decoders)
    except MemoryError:
        return None


def _run_divided(
    capture: Reader,
    library: "Library",
    divided: "ShardedVerifier",
    compiled: "tuple[NativeVerifier, list[Batch]]",
    profile: str,
    interruption: "Interruption | None",
    on_progress: Callable[[int], None] | None,
) -> Verdict:
    """The verdict of several threads; of one, where they could not tell what is reported once of each host, or took more memory
    than they may: one thread takes less."""
    from labkit.analysis.native.reader import Feed, UpTo

    feed, meter, read = Feed(capture, library, interruption), capture.meter, 0

    def progress(packets: int) -> None:
        nonlocal read
        read = packets
        (on_progress or _ignore)(packets)

    verdict = divided.run(feed, profile, progress)
    spent = meter.spent.kind if meter is not None and meter.spent is not None else None
    if verdict is not None and spent != MEMORY:
        return verdict.with_damage(capture.damage or feed.damage)
    if spent == TIME or (interruption is not None and interruption.seen):
        # What was read is judged.
        source, meter, interruption = capture.again(), None, UpTo(read)
        on_progress = interruption.note
    else:
        source = capture.again()
        if meter is not None:
            meter.restart()
    assert source is not None  # noqa: S101 - as `_is_worth_dividing` has found
    with open_capture(source, meter) as again:
        return _run_compiled(again, library, compiled, profile, interruption, on_progress)[0]


def _is_small(capture: Reader) -> int | None:
    """The most segments that a small capture can have; None for a larger one, and one of unknown size."""
    return capture.size // LEAST_OCTETS if capture.size is not None and capture.size <= SMALL else None


def _compiled(
    library: "Library",
    profile: str,
    wanted: "FlowFilter | None",
    on_notice: OnNotice,
    alone: bool,
    *,
    shows: bool = False,
    bounds: Bounds | None = None,
    most: int | None = None,
) -> "tuple[NativeVerifier, list[Batch]] | None":
    """Allocate all memory; None, and a notice, if the process may not have that much. `most`: the segments of a small capture."""
    from labkit.analysis.native.native_verifier import NativeVerifier
    from labkit.analysis.native.pipeline import batches

    try:
        small = most is not None
        memory = batches(parallel=alone, shows=shows or small, small=small)
        return NativeVerifier(profile, library, bounds, wanted, most, judges=not shows), memory
    except MemoryError:
        on_notice(_("there is too little memory for compiled code: interpreted, which takes longer"))
        return None


def feed_of(capture: Reader) -> "Feed | None":
    """The segments of an open capture in batches, decoded by compiled code; None for a small capture, or without that code.

    Nothing of the capture may have been read; nothing is read of it where there is no feed.
    """
    library = _library(capture, AUTO, _ignore, True)
    if library is None:
        return None
    from labkit.analysis.native.reader import Feed

    return Feed(capture, library)


def prepare(engine: str, sizes: Sequence[int], on_notice: OnNotice, rules: "tuple[Rule, ...]") -> None:
    """Load now what workers will need for captures of these sizes in octets: they are copies of this process."""
    global small_octets
    if engine == COMPILED or (engine == AUTO and max(sizes, default=0) >= LARGE_ENOUGH_TO_COMPILE):
        _loaded(on_notice, own=rules == shipped())
    elif engine == AUTO and sum(sizes) >= LARGE_FOR_PACKED and rules == shipped():
        from labkit.analysis.native import library

        if library.is_packed():
            small_octets = LARGE_FOR_PACKED


def _library(capture: Reader, engine: str, on_notice: OnNotice, alone: bool, *, own: bool = True) -> "Library | None":
    """The compiled code, if it is to be used for a capture. `own`: only the shipped rules are asked."""
    global small_octets
    if engine == INTERPRETED:
        return None
    if engine == AUTO and not capture.waits and not is_large(capture, LARGE_FOR_PACKED):
        small_octets += capture.size or 0
        if small_octets < LARGE_FOR_PACKED or not own:
            return None
    from labkit.analysis.native import library

    if engine == AUTO and not library.is_packed() and not capture.waits and not is_large(capture, LARGE):
        return None
    if not library.is_built():
        # The size of a capture that comes through a pipe is unknown.
        worth = engine == COMPILED or (not capture.waits and is_large(capture, LARGE_ENOUGH_TO_COMPILE))
        if not alone or not worth:
            return None
    return _loaded(on_notice, own=own)


def _loaded(on_notice: OnNotice, *, own: bool) -> "Library | None":
    """The compiled code; None, and a notice, if a package is missing or a rule cannot be compiled."""
    if not own:
        on_notice(_("only labkit's own rules can be compiled: interpreted, which takes longer"))
        return None
    from labkit.analysis.native import library

    def compiling(obstacle: str) -> None:
        if not obstacle:
            on_notice(_("compiling for this computer, once: about ten seconds"))
            return
        from labkit.analysis.native import loader

        text = _(
            "compiling for this computer: about ten seconds, each time, because {folder} cannot keep the code ({reason}); "
            "{variable} may name another folder"
        )
        on_notice(text.format(folder=printable(str(loader.folder())), reason=obstacle, variable=loader.FOLDER))

    try:
        return library.library(compiling)
    except UncompilableError as error:
        on_notice(_("{reason}: interpreted, which takes longer").format(reason=error))
        return None
    except ImportError as error:
        text = _("{name} is missing: interpreted, which takes longer; pip install 'labkit[fast]' has it")
        on_notice(text.format(name=(error.name or "llvmlite").partition(".")[0]))
        return None


def _unmetered(capture: Reader) -> AbstractContextManager[None]:
    """What is imported within is not part of what the capture costs."""
    return nullcontext() if capture.meter is None else capture.meter.paused()


def _ignore(_line: object) -> None:
    """Take no notice."""


def is_large(capture: Reader, least: int) -> bool:
    """Whether a capture has at least that many octets, uncompressed. Nothing of it may have been read.

    This uncompresses a compressed capture as far as needed. The capture is read from its start afterwards.
    """
    if capture.size is not None:
        return capture.size >= least
    read, at = capture.rest()
    octets = bytearray(read)
    buffer = memoryview(bytearray(CHUNK_OCTETS))
    while len(octets) < least and (count := capture.into(buffer)):
        octets += buffer[:count]
    capture.resume(bytes(octets), at, 1)
    return len(octets) >= least
