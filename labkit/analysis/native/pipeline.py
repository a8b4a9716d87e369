"""Two threads: one reads and decodes a batch while the other verifies the batch before. If it has nothing to verify, it decodes a
batch too.

Compiled code does not hold the interpreter's lock, so that both run at once. Batches are verified one after the other, in the
order of the capture. The caller's thread reads, for it alone gets signals: Ctrl-C ends the reading, and everything up to there is
verified.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from labkit.analysis.native.reader import Batch, Feed

if TYPE_CHECKING:
    from labkit.analysis.native.worker import Task

BATCHES = 3
"""One is filled, one is verified, and one waits, so that neither thread waits for the other."""


class BatchVerifier(Protocol):
    """Verifies batches."""

    def take(self, batch: Batch) -> None:
        """Verify the next segments. The batch is filled again afterwards: the verifier must keep nothing of it."""


class Whole(NamedTuple):
    """What was read of a capture."""

    packets: int
    """Frames of any kind."""
    start: int
    """The time of the first one; 0 for an empty capture."""


def batches(*, parallel: bool = True, shows: bool = False, small: bool = False) -> list[Batch]:
    """Memory for one capture: several batches, so that both threads run at once, or one. MemoryError if there is too little."""
    return [Batch(shows=shows, small=small) for _ in range(BATCHES if parallel and not small else 1)]


def run(
    feed: Feed,
    verifier: BatchVerifier,
    memory: Sequence[Batch],
    on_progress: Callable[[int], None] | None = None,
    on_wait: Callable[[], bool] = bool,
) -> Whole:
    """Verify all segments of a feed, in the memory of `batches`: with two threads, if there are several batches. `on_progress`
    is called with the number of frames from time to time, and `on_wait` while one thread waits for the other, until it returns
    False."""
    if len(memory) > 1:
        return _both(feed, verifier, deque(memory), on_progress or _ignore, on_wait)
    (batch,) = memory
    while feed.fill(batch):
        verifier.take(batch)
        (on_progress or _ignore)(batch.row.packets)
    return Whole(batch.row.packets, batch.row.start)


def verified(feed: Feed, verifier: BatchVerifier, memory: Sequence[Batch]) -> Iterator[Batch]:
    """Each batch once it is verified. Other threads read and verify the next ones meanwhile; a batch is filled again when another
    one is asked for."""
    from labkit.analysis.native.worker import Worker

    going = True

    def fill(batch: Batch) -> bool:
        nonlocal going
        # After an exception nothing is read any more.
        before, going = going, False
        going = before and feed.fill(batch)
        return going

    def take(filled: "Task[bool]", batch: Batch) -> bool:
        if filled.result():
            verifier.take(batch)
            return True
        return False

    with Worker() as reader, Worker() as judge:

        def submit(batch: Batch) -> "tuple[Batch, Task[bool]]":
            return batch, judge.submit(take, reader.submit(fill, batch), batch)

        following = deque(map(submit, memory))
        while following:
            batch, taken = following.popleft()
            if not taken.result():
                return
            yield batch
            following.append(submit(batch))


def _both(
    feed: Feed,
    verifier: BatchVerifier,
    batches: deque[Batch],
    on_progress: Callable[[int], None],
    on_wait: Callable[[], bool],
) -> Whole:
    from labkit.analysis.native.worker import Worker  # a small capture needs no thread

    def judge(batch: Batch, decoded: bool) -> None:
        if not decoded:
            feed.decode(batch)
        while not feed.complete(batch):
            verifier.take(batch)
            batch.clear()
            feed.decode(batch)
        verifier.take(batch)

    judged: deque[Task[None]] = deque()
    last: Task[None] | None = None
    credit = len(batches)
    """The judging thread may decode while this is left: a batch that it had time for adds to it, each wait for it takes of it.
    Then it never does again: to find records before they are decoded takes time."""
    with Worker() as thread:
        while True:
            batch = batches[0]
            if credit > 0 and feed.read(batch):
                idle = not judged or judged[-1].over
                credit += idle
                if not idle:
                    feed.decode(batch)
                judged.append(last := thread.submit(judge, batch, not idle))
            else:
                if last is not None:
                    last.result()  # what was read must be complete
                    last = None
                if not feed.fill(batch):
                    break
                judged.append(thread.submit(verifier.take, batch))
            on_progress(feed.packets)
            batches.rotate(-1)
            # The next batch is free once it is verified.
            if len(judged) == len(batches):
                oldest = judged.popleft()
                credit -= not oldest.over
                while not oldest.over and on_wait():
                    pass
                oldest.result()
        for each in judged:
            each.result()
    # The last call of `fill` has put the final count there, though it found no frames.
    return Whole(batches[0].row.packets, batches[0].row.start)


def _ignore(_packets: int) -> None:
    """Take no notice."""
