"""Choose where captures are judged: in this process, in several, or by the workers of a cluster."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from functools import partial
from os import cpu_count
from os.path import getsize, isfile
from typing import TYPE_CHECKING

from labkit.analysis.catalogue import collect
from labkit.analysis.native import engine
from labkit.analysis.verdict import Verdict
from labkit.jobs.inputs import Input
from labkit.jobs.interrupts import Interrupts
from labkit.jobs.judging import Listener, Request, judge, judge_file

if TYPE_CHECKING:
    from concurrent.futures import Executor

MIN_CAPTURES = 4
"""Captures from which on several processes judge them, unless the user asks for a number of processes."""
MIN_OCTETS = 4_000_000
"""Octets of all captures below which starting processes costs more than it gains."""


class Dispatcher:
    """Captures to be judged, and the caller's interest in them."""

    def __init__(self, captures: Sequence[Input], request: Request, interrupts: Interrupts, listener: Listener) -> None:
        self._captures = captures
        self._request = request
        self._interrupts = interrupts
        self._listener = listener

    def verdicts(self, jobs: int | None = None, cluster: str | None = None) -> Generator[Verdict, None, None]:
        """Yield the verdicts in the order of the captures, up to an interruption; an unreadable file has a verdict too.

        `jobs` is the number of processes; None lets labkit choose. `cluster` is the address of a Dask scheduler.
        """
        count = min(jobs or self._processes(), len(self._captures))
        if cluster is not None:
            found = self._on_cluster(cluster)
        elif len(self._captures) > 1 and self._can_be_opened_elsewhere():
            found = self._in_processes(count)
        else:
            found = self._here()
        for verdict in found:
            yield replace(verdict, profile=self._request.config.profile)

    def _can_be_opened_elsewhere(self) -> bool:
        """Whether another process can open all captures, and the files of rules: a pipe of rules was read by this one."""
        rules = self._request.config.extra
        return all(each.path != "-" for each in self._captures) and all(map(isfile, rules))

    def _processes(self) -> int:
        few = len(self._captures) < MIN_CAPTURES or sum(self._sizes()) < MIN_OCTETS
        return 1 if few else cpu_count() or 1

    def _sizes(self) -> Iterator[int]:
        for each in self._captures:
            with suppress(OSError, ValueError):
                yield getsize(each.path)  # noqa: PTH202 - the path may be any string

    def _here(self) -> Iterator[Verdict]:
        judge_path = partial(judge, self._request, interrupts=self._interrupts, listener=self._listener)
        for number, (path, error) in enumerate(self._captures, 1):
            if self._interrupts.seen:
                return
            self._listener.on_capture(path, number, len(self._captures))
            verdict = Verdict(path, "", error=error) if error else judge_file(judge_path, path, path)
            if self._interrupts.seen and not verdict.packets and verdict.error is None:
                return  # a verdict on no packet says nothing
            yield verdict

    def _in_processes(self, count: int) -> Iterator[Verdict]:
        from labkit.jobs.batches import MAX_BATCH
        from labkit.jobs.processes import Processes

        # This process compiles what all of them need, before they begin.
        with self._interrupts.waiting():
            rules = collect(self._request.config.extra)
            engine.prepare(self._request.engine, list(self._sizes()), self._listener.on_notice, rules)
        # Small enough that every process has batches up to the end.
        size = max(1, min(MAX_BATCH, len(self._captures) // (count * 4)))
        with Processes(count, memory=2 * self._request.budget.memory) as pool:
            yield from self._by_executor(replace(self._request, alone=count == 1), pool, count * 2, size)
            if self._interrupts.seen:
                pool.terminate()

    def _on_cluster(self, address: str) -> Iterator[Verdict]:
        from labkit.jobs.batches import MAX_BATCH
        from labkit.jobs.cluster import connected

        with ExitStack() as stack:
            cluster = None
            with self._interrupts.waiting():
                if not self._interrupts.seen:
                    cluster = stack.enter_context(connected(address, self._listener.on_notice))
            if cluster is not None:
                yield from self._by_executor(
                    self._request, cluster.executor, cluster.threads * 2, MAX_BATCH, as_data=True
                )

    def _by_executor(
        self, request: Request, executor: "Executor", ahead: int, size: int, *, as_data: bool = False
    ) -> Iterator[Verdict]:
        from labkit.jobs import batches

        paths = [each.path for each in self._captures if not each.error]
        judge_path = partial(judge, request)
        rules = collect(request.config.extra)
        found = batches.verdicts(paths, judge_path, executor, ahead=ahead, size=size, as_data=as_data, rules=rules)
        with closing(found) as judged:
            for number, (path, error) in enumerate(self._captures, 1):
                self._listener.on_capture(path, number, len(self._captures))
                verdict = Verdict(path, "", error=error) if error else None
                if verdict is None:
                    with self._interrupts.waiting():
                        verdict = None if self._interrupts.seen else next(judged)
                if verdict is None or self._interrupts.seen:
                    return
                yield verdict
