"""Two stages, a thread for each: while one batch is judged the next one is read and decoded.

Compiled code holds no lock of the interpreter, so that both run at once. Batches are judged one after the other, in the order
of the capture: what a rule sees is what the interpreter would have shown it. Reading stays in the caller's thread, which alone
gets signals; so Ctrl-C ends the reading, and what was read is judged.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

from labkit.compiled.reader import Batch, Feed

if TYPE_CHECKING:
    from labkit.verifier import Verdict

BATCHES = 3
"""One is filled, one is judged, and one waits, so that neither stage waits for the other where their paces vary."""


class Judge(Protocol):
    """Who judges batches."""

    def take(self, batch: Batch) -> None:
        """Judge the next segments. The batch is filled again afterwards: nothing of it may be kept."""

    def finish(self) -> "Verdict":
        """The verdict, after the last batch."""


def run(feed: Feed, judge: Judge, watch: Callable[[int], None] | None = None, *, parallel: bool = True) -> "Verdict":
    """The verdict on all that a feed gives. `watch` is called with the number of frames from time to time."""
    if parallel:
        packets = _both(feed, judge, watch or _nobody)
    else:
        batch = Batch()
        while feed.fill(batch):
            judge.take(batch)
            (watch or _nobody)(batch.packets)
        packets = batch.packets
    verdict = judge.finish()
    verdict.packets = packets
    return verdict


def _both(feed: Feed, judge: Judge, watch: Callable[[int], None]) -> int:
    batches = deque(Batch() for _ in range(BATCHES))
    judged: deque[Future[None]] = deque()
    packets = 0
    with ThreadPoolExecutor(1) as thread:
        while feed.fill(batches[0]):
            packets = batches[0].packets
            judged.append(thread.submit(judge.take, batches[0]))
            watch(packets)
            batches.rotate(-1)
            # The next batch is free once it was judged, and so were all before it.
            if len(judged) == BATCHES:
                judged.popleft().result()
        for each in judged:
            each.result()
    return packets


def _nobody(_packets: int) -> None:
    """Watches nothing."""
