"""Which of the two engines judges a capture, and the compiled one, put together.

Both give the same verdict. The interpreter's needs nothing, and has judged a small capture before the compiled one has begun;
the compiled one judges millions of packets a second. Its code is compiled once, which takes a while, and kept.
"""

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from labkit.analysis.examine import Completeness, examine
from labkit.analysis.flow_filter import FlowFilter
from labkit.analysis.native import AUTO, COMPILED, INTERPRETED
from labkit.analysis.rule import DOCUMENT, RFC9293, Rule, collect, shipped
from labkit.analysis.verifier import Verdict, Verifier
from labkit.capture import Reader, open_again, open_capture
from labkit.capture.source import CHUNK_OCTETS
from labkit.errors import UncompilableError, UsageError
from labkit.i18n import _

if TYPE_CHECKING:
    from labkit.analysis.flows import Flow
    from labkit.analysis.native.loader import Library
    from labkit.analysis.native.native_verifier import NativeVerifier
    from labkit.analysis.native.reader import Batch, Interruption

LARGE = 1 << 20
"""Octets of a capture from which on compiled code that is at hand is the quicker one, its start included."""
LARGE_ENOUGH_TO_COMPILE = 1 << 26
"""The same where it must be compiled first."""

Say = Callable[[str], None]
"""Takes a line for the user."""


def verify(
    source: str | Path | BinaryIO,
    profile: str = RFC9293,
    *,
    literal: bool = False,
    watch: Callable[[int], None] | None = None,
    wanted: "Callable[[Flow], bool] | None" = None,
    engine: str = AUTO,
    rules: Iterable[Rule] | None = None,
    completeness: str = Completeness.AUTO,
) -> Verdict:
    """Judge one capture, as `labkit.analysis.verifier.verify` does, with one of ENGINES.

    AUTO takes the compiled one where a capture is large. Where Numba is missing, and nothing was compiled before, the
    interpreter judges.
    """
    with open_capture(source) as capture:
        verdict = judge(
            capture,
            profile,
            literal=literal,
            watch=watch,
            wanted=wanted,
            engine=engine,
            rules=rules,
            completeness=completeness,
        )
        verdict.path = str(source) if isinstance(source, str | Path) else getattr(source, "name", "<stream>")
        return verdict


def judge(
    capture: Reader,
    profile: str = RFC9293,
    *,
    literal: bool = False,
    watch: Callable[[int], None] | None = None,
    wanted: "Callable[[Flow], bool] | None" = None,
    engine: str = AUTO,
    interruption: "Interruption | None" = None,
    say: Say | None = None,
    alone: bool = True,
    rules: Iterable[Rule] | None = None,
    completeness: str = Completeness.AUTO,
) -> Verdict:
    """The verdict on an open capture, its damage included; it has no path yet.

    `say` takes a line where code is compiled, or cannot be. `interruption` may end the reading. Not `alone` is who shares the
    processors with others of its kind: it takes one thread, and compiles nothing. `rules` is the catalogue, as for `Verifier`;
    the compiled engine knows the shipped one only. `completeness` says whether packets may be missing
    (`labkit.analysis.examine`). UsageError for COMPILED with a `wanted` that is no FlowFilter.
    """
    rules = collect() if rules is None else tuple(rules)
    verifier = Verifier(profile, literal=literal, wanted=wanted, rules=rules)
    compiled = None
    if engine == COMPILED and not (wanted is None or isinstance(wanted, FlowFilter)):
        raise UsageError(_("the compiled engine needs a FlowFilter, not another function, to choose conversations"))
    if engine != INTERPRETED and (wanted is None or isinstance(wanted, FlowFilter)):
        with interruption.waiting() if interruption else nullcontext():
            library = _library(capture, engine, say or _silent, alone, rules)
            if library is not None:
                compiled = _Compiled.having_room(library, verifier.profile, wanted, say or _silent, alone)
    if compiled is None:
        frames = interruption.frames(capture) if interruption else capture
        verdict = verifier.run(frames, watch)
        verdict.damage = capture.damage
    else:
        verdict = compiled.verdict(capture, profile, interruption, watch)
    assume = Completeness(completeness)
    if assume == Completeness.AUTO and profile == DOCUMENT:
        assume = Completeness.COMPLETE  # the teaching text knows no lost packet
    examine(verdict, lambda: open_again(capture), rules, assume, wanted)
    return verdict


class _Compiled(NamedTuple):
    """Compiled code, and the memory to judge a capture with it."""

    library: "Library"
    verifier: "NativeVerifier"
    batches: "list[Batch]"

    @classmethod
    def having_room(
        cls, library: "Library", profile: str, wanted: FlowFilter | None, say: Say, alone: bool
    ) -> "_Compiled | None":
        """With all the memory that it takes; None, and a line, where there is not so much."""
        from labkit.analysis.native.native_verifier import NativeVerifier
        from labkit.analysis.native.pipeline import room

        try:
            return cls(library, NativeVerifier(profile, library, wanted=wanted), room(parallel=alone))
        except MemoryError:
            say(_("there is too little memory for compiled code: interpreted, which takes longer"))
            return None

    def verdict(
        self,
        capture: Reader,
        profile: str,
        interruption: "Interruption | None",
        watch: Callable[[int], None] | None,
    ) -> Verdict:
        """On a capture, `profile` being the one that the user named; its damage included."""
        from labkit.analysis.native.pipeline import run
        from labkit.analysis.native.reader import Feed

        feed = Feed(capture, self.library, interruption)
        whole = run(feed, self.verifier, self.batches, watch)
        verdict = self.verifier.verdict(whole.packets, whole.start, profile)
        verdict.damage = capture.damage or feed.damage
        return verdict


def prepare(engine: str, largest: int, say: Say) -> None:
    """Compile now what captures, the largest of so many octets, will be judged by elsewhere."""
    if engine == COMPILED or (engine == AUTO and largest >= LARGE_ENOUGH_TO_COMPILE):
        _loaded(say)


def _library(capture: Reader, engine: str, say: Say, alone: bool, rules: tuple[Rule, ...]) -> "Library | None":
    """The compiled code, where it is to judge."""
    if engine == AUTO and not capture.waits and not is_large(capture, LARGE):
        return None
    if rules != shipped():
        say(_("only labkit's own rules can be compiled: interpreted, which takes longer"))
        return None
    from labkit.analysis.native import library

    if not library.is_built():
        # Of what comes through a pipe nobody knows how much there will be.
        worth = engine == COMPILED or (not capture.waits and is_large(capture, LARGE_ENOUGH_TO_COMPILE))
        if not alone or not worth:
            return None
    return _loaded(say)


def _loaded(say: Say) -> "Library | None":
    """The compiled code; None, and a line, where what it needs is missing."""
    from labkit.analysis.native import library

    def compiling() -> None:
        say(_("compiling for this computer, once: about a minute"))

    try:
        _require("numpy")
        return library.library(compiling)
    except UncompilableError as error:
        say(_("{reason}: interpreted, which takes longer").format(reason=error))
        return None
    except ImportError as error:
        text = _("{name} is missing: interpreted, which takes longer; pip install 'labkit[fast]' has it")
        say(text.format(name=error.name or "Numba"))
        return None


def _require(name: str) -> None:
    """ImportError where a module is not there. It is not imported: numpy is needed where something is found, and takes as long
    as all else."""
    if find_spec(name) is None:
        raise ImportError(name=name)


def _silent(_line: str) -> None:
    """Says nothing."""


def is_large(capture: Reader, least: int) -> bool:
    """Whether a capture that nothing was read of has at least so many octets, uncompressed.

    A compressed one is uncompressed until that shows, and is then read on from its start.
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
