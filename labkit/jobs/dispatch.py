"""Choose where captures are judged: in this process, in several, or by the workers of a cluster."""

from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from functools import partial
from os import cpu_count
from os.path import getsize

from labkit.analysis.native import engine
from labkit.analysis.verifier import Verdict
from labkit.jobs import batches
from labkit.jobs.inputs import Input
from labkit.jobs.interrupts import Interrupts
from labkit.jobs.judging import Listener, Request, judge

MIN_CAPTURES = 4
"""Captures from which on several processes judge them, unless the user asks for a number of processes."""
MIN_OCTETS = 4_000_000
"""Octets of all captures below which starting processes costs more than it gains."""


def verdicts(
    captures: Sequence[Input],
    request: Request,
    interrupts: Interrupts,
    listener: Listener,
    *,
    jobs: int | None = None,
    cluster: str | None = None,
) -> Generator[Verdict, None, None]:
    """Yield the verdicts in the order of the captures, up to an interruption. A file that cannot be read has a verdict too.

    `jobs` is the number of processes; None lets labkit choose. `cluster` is the address of a Dask scheduler.
    """
    count = jobs or _processes(captures)
    if cluster is not None:
        found = _on_cluster(captures, request, interrupts, listener, cluster)
    elif count > 1 and len(captures) > 1 and all(each.path != "-" for each in captures):
        found = _in_processes(captures, request, interrupts, listener, min(count, len(captures)))
    else:
        found = _here(captures, request, interrupts, listener)
    for verdict in found:
        verdict.profile = request.config.profile
        yield verdict


def _processes(captures: Sequence[Input]) -> int:
    return 1 if len(captures) < MIN_CAPTURES or sum(_sizes(captures)) < MIN_OCTETS else cpu_count() or 1


def _sizes(captures: Sequence[Input]) -> Iterator[int]:
    for each in captures:
        with suppress(OSError, ValueError):
            yield getsize(each.path)  # noqa: PTH202 - the path may be any string


def _here(captures: Sequence[Input], request: Request, interrupts: Interrupts, listener: Listener) -> Iterator[Verdict]:
    for number, (path, error) in enumerate(captures, 1):
        if interrupts.seen:
            return
        listener.on_capture(path, number, len(captures))
        if error:
            yield Verdict(path, "", error=error)
            continue
        judge_path = partial(judge, request, interrupts=interrupts, listener=listener)
        verdict = batches.judge_file(judge_path, path, path)
        if interrupts.seen and not verdict.packets and verdict.error is None:
            return  # a verdict on no packet says nothing
        yield verdict


def _in_processes(
    captures: Sequence[Input], request: Request, interrupts: Interrupts, listener: Listener, count: int
) -> Iterator[Verdict]:
    from labkit.jobs.processes import Processes

    # This process compiles what all of them need, before they begin.
    with interrupts.waiting():
        engine.prepare(request.engine, max(_sizes(captures), default=0), listener.on_notice)
    # Small enough that every process has batches up to the end.
    size = max(1, min(batches.MAX_BATCH, len(captures) // (count * 4)))
    with Processes(count) as pool:
        yield from _by_executor(captures, replace(request, alone=False), interrupts, listener, pool, count * 2, size)
        if interrupts.seen:
            pool.terminate()


def _on_cluster(
    captures: Sequence[Input], request: Request, interrupts: Interrupts, listener: Listener, address: str
) -> Iterator[Verdict]:
    from labkit.jobs.cluster import connected

    with ExitStack() as stack:
        cluster = None
        with interrupts.waiting():
            cluster = stack.enter_context(connected(address, listener.on_notice))
        if cluster is not None:
            ahead, size = cluster.threads * 2, batches.MAX_BATCH
            yield from _by_executor(captures, request, interrupts, listener, cluster.executor, ahead, size)


def _by_executor(
    captures: Sequence[Input],
    request: Request,
    interrupts: Interrupts,
    listener: Listener,
    executor: Executor,
    ahead: int,
    size: int,
) -> Iterator[Verdict]:
    paths = [each.path for each in captures if not each.error]
    with closing(batches.verdicts(paths, partial(judge, request), executor, ahead=ahead, size=size)) as judged:
        for number, (path, error) in enumerate(captures, 1):
            listener.on_capture(path, number, len(captures))
            verdict = Verdict(path, "", error=error) if error else None
            if verdict is None:
                with interrupts.waiting():
                    verdict = next(judged)
            if verdict is None or interrupts.seen:
                return
            yield verdict
