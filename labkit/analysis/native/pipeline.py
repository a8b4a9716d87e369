"""Two stages, a thread for each: while one batch is judged the next one is read and decoded.

Compiled code holds no lock of the interpreter, so that both run at once. Batches are judged one after the other, in the order
of the capture: what a rule sees is what the interpreter would have shown it. Reading stays in the caller's thread, which alone
gets signals; so Ctrl-C ends the reading, and what was read is judged.
"""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, Protocol

from labkit.analysis.native.reader import Batch, Feed

BATCHES = 3
"""One is filled, one is judged, and one waits, so that neither stage waits for the other where their paces vary."""


class BatchVerifier(Protocol):
    """Verifies batches."""

    def take(self, batch: Batch) -> None:
        """Verify the next segments. The batch is filled again afterwards: the verifier must keep nothing of it."""


class Whole(NamedTuple):
    """What a capture was, all in all."""

    packets: int
    """Frames of any kind."""
    start: int
    """The time of the first one; 0 where there is none."""


def room(*, parallel: bool = True) -> list[Batch]:
    """Memory for the batches of one capture: several, so that the stages run at once, or one. MemoryError where there is none."""
    return [Batch() for _ in range(BATCHES if parallel else 1)]


def run(
    feed: Feed, verifier: BatchVerifier, batches: Sequence[Batch], watch: Callable[[int], None] | None = None
) -> Whole:
    """Have all judged that a feed gives, in the memory of `room`; at once where there is room for several batches. `watch` is
    called with the number of frames from time to time."""
    if len(batches) > 1:
        return _both(feed, verifier, deque(batches), watch or _nobody)
    (batch,) = batches
    while feed.fill(batch):
        verifier.take(batch)
        (watch or _nobody)(batch.packets)
    return Whole(batch.packets, batch.start)


def _both(feed: Feed, verifier: BatchVerifier, batches: deque[Batch], watch: Callable[[int], None]) -> Whole:
    judged: deque[Future[None]] = deque()
    with ThreadPoolExecutor(1) as thread:
        while feed.fill(batches[0]):
            judged.append(thread.submit(verifier.take, batches[0]))
            watch(batches[0].packets)
            batches.rotate(-1)
            # The next batch is free once it was judged, and so were all before it.
            if len(judged) == len(batches):
                judged.popleft().result()
        for each in judged:
            each.result()
    # The feed has told the batch that it did not fill anymore how many there were.
    return Whole(batches[0].packets, batches[0].start)


def _nobody(_packets: int) -> None:
    """Watches nothing."""
