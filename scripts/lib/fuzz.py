"""Feed hostile input to labkit, and keep what makes it fail; see scripts/fuzz.

An input is a string of octets from which `fuzz_targets.Draw` takes decisions: which good file to begin with, and how to damage
it. So coverage-guided octets of atheris, octets of Hypothesis and octets by chance make structured inputs alike. An input fails
if anything but a LabkitError is raised, if it takes longer than MAX_SECONDS, if the process has then ever taken MAX_GROWTH of
memory more than before the first one, or if the two engines do not agree.
"""

import argparse
import json
import os
import random
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from importlib import import_module
from pathlib import Path

import fuzz_targets
from fuzz_targets import TARGETS, Draw, MistakeError, Process, place, reused_memory

MAX_SECONDS = 5
"""Of the processor, so that a busy machine fails no input."""
TICKS = 5
"""Looks at the clock in that time."""
MAX_GROWTH = 512_000_000
MAX_INPUT = 4096
"""Octets of decisions."""
LENGTHS = (8, 8, 12, 12, 16, 16, 24, 24, 40, 80, 400)
"""Octets of inputs by chance: two changes each, or a hundred."""
TURN = 60.0
"""Seconds for which a target is fed before the next one, so that a run that is ended early has fed all of them."""
MAX_FAILURES = 20
"""Inputs that may fail in a run before their target is fed no more."""


class Hang(BaseException):
    """An input took longer than MAX_SECONDS. No handler of labkit catches it."""


class Watch:
    """Time and memory of the inputs. A timer looks at the time, so that an input itself costs no system call for it."""

    ticks = 0
    """Ticks of the timer since the input began."""
    most = 0
    """Octets of memory that the process may take."""


@contextmanager
def watched(*names: str) -> Iterator[None]:
    """Watch the inputs of these targets that are attempted inside."""

    def tick(*_: object) -> None:
        Watch.ticks += 1
        if Watch.ticks > TICKS:
            raise Hang(f"longer than {MAX_SECONDS} s")

    with place():
        for name in names:
            prepare(name)
        Watch.most = peak() + MAX_GROWTH
        signal.signal(signal.SIGPROF, tick)
        signal.setitimer(signal.ITIMER_PROF, MAX_SECONDS / TICKS, MAX_SECONDS / TICKS)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)


def attempt(target: Callable[[Draw], None], octets: bytes) -> None:
    """Run one input, inside `watched`. Any exception is a failure of labkit, a LabkitError is not."""
    from labkit.errors import LabkitError

    Watch.ticks = 0
    try:
        target(Draw(octets))
    except LabkitError as error:
        if "\n" in str(error):
            raise MistakeError("an error of several lines") from error
    if peak() > Watch.most:
        Watch.most = peak() + MAX_GROWTH
        raise MistakeError("too much memory")


def peak() -> int:
    """The most octets of memory that this process has taken."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def folder() -> Path:
    """Where inputs are kept."""
    base = os.environ.get("LABKIT_CACHE") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base, "labkit-fuzz")


def keep(name: str, octets: bytes) -> Path:
    path = folder() / "failed" / f"{name}-{sha256(octets).hexdigest()[:16]}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(octets)
    return path


def by_hypothesis(name: str, seconds: float) -> int:
    """Run a target for some time; return the number of inputs. What fails is raised, after it was kept."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import strategies as st
    from hypothesis.database import DirectoryBasedExampleDatabase

    count, until, failed = 0, time.monotonic() + seconds, b""

    @settings(
        max_examples=50,
        derandomize=False,  # in continuous integration, Hypothesis would try the same inputs again and again
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.reuse, Phase.generate, Phase.target, Phase.shrink),
        database=DirectoryBasedExampleDatabase(folder() / "corpus" / name),
    )
    @given(st.binary(max_size=MAX_INPUT) | st.binary(min_size=4, max_size=40))
    def one(octets: bytes) -> None:
        nonlocal count, failed
        if time.monotonic() > until and not failed:
            return
        count += 1
        try:
            attempt(TARGETS[name], octets)
        except BaseException as error:
            failed = octets
            if isinstance(error, Hang):
                raise MistakeError(str(error)) from error
            raise

    try:
        while time.monotonic() < until:
            one()
    except BaseException:
        if failed:
            print(f"fuzz: {name}: failed: {keep(name, failed)}", file=sys.stderr)
        raise
    return count


def by_chance(name: str, seconds: float, draw: random.Random) -> tuple[int, int]:
    """Run a target with inputs by chance, which cost least; return how many there were, and how many failed. Those are kept."""
    target, count, failed, until = TARGETS[name], 0, 0, time.monotonic() + seconds
    while time.monotonic() < until and failed < MAX_FAILURES:
        for _ in range(20):
            octets = draw.randbytes(draw.choice(LENGTHS))
            count += 1
            try:
                attempt(target, octets)
            except (Exception, Hang):
                failed += 1
                traceback.print_exc()
                print(f"fuzz: {name}: failed: {keep(name, octets)}", file=sys.stderr)
    return count, failed


def by_atheris(name: str, seconds: float) -> None:
    """Run a target for some time under libFuzzer, which ends this process."""
    import atheris

    corpus = folder() / "corpus" / f"{name}-atheris"
    corpus.mkdir(parents=True, exist_ok=True)
    atheris.instrument_all()
    words = [f"-max_total_time={int(seconds)}", f"-max_len={MAX_INPUT}", f"-artifact_prefix={folder()}/failed-{name}-"]
    atheris.Setup([sys.argv[0], *words, str(corpus)], lambda octets: attempt(TARGETS[name], octets))
    with watched(name):
        atheris.Fuzz()


# The figures of all runs.


def enter(name: str, **figures: float) -> None:
    """Add figures of a run to those of all runs. Runs at the same time append their lines one after the other."""
    path = folder() / "figures.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab", buffering=0) as file:
        file.write(json.dumps({"target": name, **figures}).encode() + b"\n")


def figures() -> dict[str, dict[str, float]]:
    """For each target the `inputs`, the `seconds` of a processor, how many inputs both engines `judged` and how many `failed`:
    the sums of all runs with this cache folder."""
    path = folder() / "figures.jsonl"
    found: dict[str, dict[str, float]] = {}
    for line in path.read_text("utf-8").splitlines() if path.exists() else ():
        with suppress(ValueError):  # a line that a full disk has cut
            run = json.loads(line)
            sums = found.setdefault(run.pop("target"), dict.fromkeys(("inputs", "seconds", "judged", "failed"), 0))
            for key, value in run.items():
                sums[key] += value
    return {name: found[name] for name in TARGETS if name in found}


def table() -> str:
    """The figures of all runs, as docs/security.md shows them."""
    heads = "target", "inputs", "hours of a processor", "inputs an hour", "judged by both engines", "failed"
    rows = [heads, ("---",) * len(heads)]
    known = figures()
    sums = {key: sum(each[key] for each in known.values()) for key in ("inputs", "seconds", "judged", "failed")}
    for name, each in (*known.items(), ("all", sums)):
        hours = each["seconds"] / 3600
        rate = round(each["inputs"] / hours, -2) if hours else 0
        shown = (
            f"{each['inputs']:,.0f}",
            f"{hours:,.2f}",
            f"{rate:,.0f}",
            f"{each['judged']:,.0f}",
            f"{each['failed']:,.0f}",
        )
        rows.append((f"`{name}`" if name in known else name, *shown))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


# Runs.


def spare_pages() -> None:
    """Have Linux give single pages: it would fill two megabytes for the first octet that an engine writes into a table."""
    from ctypes import CDLL

    with suppress(OSError, AttributeError):
        CDLL(None).prctl(41, 1, 0, 0, 0)  # PR_SET_THP_DISABLE


def prepare(name: str) -> None:
    """Import and compile what a target needs first: that is not the input's fault."""
    from labkit.errors import LabkitError

    with suppress(LabkitError):
        TARGETS[name](Draw(b""))


def run_by_chance(names: list[str], seconds: float, seed: int, job: int) -> int:
    """Feed the targets in turn; the exit code."""
    draws = {name: random.Random(f"{name} {seed} {job}") for name in names}
    failures = dict.fromkeys(names, 0)
    turn = min(TURN, seconds / len(names))
    spare_pages()
    with reused_memory(), watched(*names):
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            fed = [name for name in names if failures[name] < MAX_FAILURES]
            if not fed:
                break
            for name in fed:
                began, before = time.process_time(), Process.compared
                count, failed = by_chance(name, min(turn, left), draws[name])
                used = time.process_time() - began
                failures[name] += failed
                enter(name, inputs=count, seconds=used, judged=Process.compared - before, failed=failed)
                # In one piece, for other processes write too.
                sys.stderr.write(f"{name:<14} {count:>9,} inputs in {used:.0f} s of the processor\n")
    return int(any(failures.values()))


def compile_engine() -> None:
    """Compile the engine, so that long runs compare it. Without the package for that, say so."""
    from labkit.analysis.native import library

    try:
        library.library(lambda _why: print("fuzz: compiling the engine", file=sys.stderr))
    except ImportError:
        print("fuzz: llvmlite is missing: the engines are not compared", file=sys.stderr)
    fuzz_targets.library.cache_clear()


def in_processes(count: int, work: Callable[[int], int]) -> int:
    """Do the work in several processes, each with a number; the greatest exit code."""
    children = []
    for job in range(count):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = work(job)
            finally:
                sys.stderr.flush()
                os._exit(code)
        children.append(child)
    try:
        return max(abs(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])) for child in children)
    except BaseException:
        for child in children:
            with suppress(OSError):
                os.kill(child, signal.SIGTERM)
        raise


def main() -> int:
    """Run the targets."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description="Feed labkit hostile input.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all by default")
    parser.add_argument("--seconds", type=float, default=60, help="time for all targets together")
    parser.add_argument("--replay", metavar="FILE", help="run one kept input again")
    parser.add_argument("--seed", type=int, help="draw inputs by chance: most inputs in an hour, for long runs")
    parser.add_argument("--jobs", type=int, default=1, help="with --seed: as many processes at the same time")
    parser.add_argument("--figures", action="store_true", help="print how many inputs all runs have tried")
    parser.add_argument("--list", action="store_true", help="list the targets")
    given = parser.parse_args()
    if given.list:
        print("\n".join(f"{name:<14} {(target.__doc__ or '').splitlines()[0]}" for name, target in TARGETS.items()))
        return 0
    if given.figures:
        print(table())
        return 0
    if unknown := set(given.targets) - set(TARGETS):
        parser.error(f"unknown target: {', '.join(sorted(unknown))}")
    if given.jobs < 1 or (given.jobs > 1 and given.seed is None):
        parser.error("--jobs needs --seed, and a number from 1")
    targets = given.targets or list(TARGETS)
    if given.replay:
        with watched(targets[0]):
            attempt(TARGETS[targets[0]], Path(given.replay).read_bytes())
        return 0
    if given.seed is not None:
        compile_engine()
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # which removes the files of a process

        def work(job: int) -> int:
            return run_by_chance(targets, given.seconds, given.seed, job)

        return work(0) if given.jobs == 1 else in_processes(given.jobs, work)
    try:
        import_module("atheris")
    except ImportError:
        return guided(targets, given.seconds)
    if len(targets) == 1:
        by_atheris(targets[0], given.seconds)
    code = 0
    for name in targets:  # libFuzzer ends its process

        def feed(_job: int, name: str = name) -> int:
            by_atheris(name, given.seconds / len(targets))
            return 0

        code = max(code, in_processes(1, feed))
    return code


def guided(targets: list[str], seconds: float) -> int:
    """Run the targets with inputs of Hypothesis; the exit code."""
    code = 0
    for name in targets:
        before = Process.compared
        try:
            with watched(name):
                began = time.process_time()
                count = by_hypothesis(name, seconds / len(targets))
        except Exception:
            traceback.print_exc()
            code = 1
        else:
            used = time.process_time() - began
            enter(name, inputs=count, seconds=used, judged=Process.compared - before, failed=0)
            # In one piece, for other processes write too.
            sys.stderr.write(f"{name:<14} {count:>9,} inputs in {used:.0f} s of the processor\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
