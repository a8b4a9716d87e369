"""Both threads pass every batch in order, whatever their speeds. An exception in one ends both."""

import threading
import time
from random import Random

import pytest

pytest.importorskip("numpy", reason="numpy is not installed")

from frames import OTHERS, SEGMENTS

from labkit.analysis.native.packed import Library
from labkit.analysis.native.pipeline import BATCHES, batches, run
from labkit.analysis.native.reader import Batch, Feed
from labkit.capture import Frame


def frames(count: int) -> list[Frame]:
    kinds = [*SEGMENTS, *OTHERS]
    return [Frame(n, n, 1, data, len(data)) for n in range(1, count + 1) if (data := kinds[n % len(kinds)])]


class Notes:
    """A slow verifier that notes its segments."""

    def __init__(self, *, slow: bool = False, fails_at: int | None = None) -> None:
        self.numbers: list[int] = []
        self.batches = 0
        self.threads: set[int] = set()
        self._random = Random(5) if slow else None
        self._fails_at = fails_at

    def take(self, batch: Batch) -> None:
        self.batches += 1
        self.threads.add(threading.get_ident())
        if self.batches == self._fails_at:
            raise ValueError("a mistake")
        if self._random:
            time.sleep(self._random.random() / 500)
        self.numbers += [row.number for row in batch.segments[: batch.row.count]]


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("count", [0, 1, 500])
def test_every_segment_is_verified_in_order(count: int, slow: bool, parallel: bool, code: Library) -> None:
    notes, told = Notes(slow=slow), list[int]()
    whole = run(Feed(frames(count), code, chunk=1000), notes, batches(parallel=parallel), told.append)
    wanted = [n for n in range(1, count + 1) if n % (len(SEGMENTS) + len(OTHERS)) < len(SEGMENTS)]
    assert notes.numbers == wanted
    assert whole == (count, min(count, 1))
    assert told == sorted(told)
    assert told[-1:] == [count] * (count > 0)
    assert len(told) == notes.batches
    assert (notes.batches > BATCHES) == (count == 500)
    assert (threading.get_ident() in notes.threads) == (not parallel and count > 0)


def test_one_thread_has_something_to_do_while_it_waits(code: Library) -> None:
    answers = iter([True, True, *[False] * 500])
    asked = []

    def on_wait() -> bool:
        asked.append(threading.get_ident())
        return next(answers)

    notes = Notes(slow=True)
    run(Feed(frames(500), code, chunk=1000), notes, batches(), on_wait=on_wait)
    assert {*asked} == {threading.get_ident()}
    assert 3 <= len(asked) <= notes.batches + 2
    assert (
        run(Feed(frames(500), code, chunk=1000), Notes(), batches(parallel=False), on_wait=pytest.fail).packets == 500
    )


@pytest.mark.parametrize("fails_at", [1, BATCHES + 3])
def test_an_exception_in_the_verifier_is_raised(fails_at: int, code: Library) -> None:
    before = threading.active_count()
    with pytest.raises(ValueError, match="a mistake"):
        run(Feed(frames(500), code, chunk=1000), Notes(fails_at=fails_at), batches())
    assert threading.active_count() == before


def test_an_exception_in_the_frames_is_raised(code: Library) -> None:
    def broken():  # type: ignore[no-untyped-def]
        yield from frames(100)
        raise ValueError("no more")

    before = threading.active_count()
    with pytest.raises(ValueError, match="no more"):
        run(Feed(broken(), code, chunk=1000), Notes(), batches())
    assert threading.active_count() == before
