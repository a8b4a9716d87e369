"""Both threads pass every batch in order, whatever their speeds. An exception in one ends both."""

import threading
import time
from io import BytesIO
from itertools import count
from random import Random

import pytest

pytest.importorskip("numpy", reason="numpy is not installed")

from frames import OTHERS, SEGMENTS

from labkit.analysis.native.packed import Library
from labkit.analysis.native.pipeline import BATCHES, batches, run
from labkit.analysis.native.reader import Batch, Feed
from labkit.capture import Frame, Reader, create, open_capture


def frames(most: int) -> list[Frame]:
    kinds = [*SEGMENTS, *OTHERS]
    return [Frame(n, n, 1, data, len(data)) for n in range(1, most + 1) if (data := kinds[n % len(kinds)])]


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


def opened(frames: list[Frame], form: str) -> Reader | list[Frame]:
    """The frames themselves, or in a file; in a pcapng, some blocks between them are such as `labkit.capture` reads alone."""
    if form == "frames":
        return frames
    file = BytesIO()
    with create(file, link=1, format=form) as writer:
        for frame in frames:
            writer.write(
                frame.time, frame.data, comments=["odd"] if form == "pcapng" and frame.number % 97 == 0 else ()
            )
    file.seek(0)
    return open_capture(file)


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("count", [0, 1, 500])
@pytest.mark.parametrize("form", ["frames", "pcap", "pcapng"])
def test_every_segment_is_verified_in_order(form: str, count: int, slow: bool, parallel: bool, code: Library) -> None:
    notes, told = Notes(slow=slow), list[int]()
    feed = Feed(opened(frames(count), form), code, chunk=1000)
    whole = run(feed, notes, batches(parallel=parallel), told.append)
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


def test_a_thread_that_waits_for_a_batch_decodes_it(code: Library) -> None:
    feed = Feed(opened(frames(500), "pcap"), code, chunk=1000)
    threads, decode = set(), feed.decode

    def noted(batch: Batch) -> None:
        threads.add(threading.get_ident())
        decode(batch)

    feed.decode = noted  # type: ignore[method-assign]
    notes = Notes(slow=True)
    assert run(feed, notes, batches()).packets == 500
    assert threads > notes.threads  # the first batch is decoded where it is judged, others elsewhere


@pytest.mark.parametrize("fails_at", [1, 2, 9])
def test_an_exception_in_decoding_is_raised(fails_at: int, code: Library) -> None:
    feed = Feed(opened(frames(500), "pcap"), code, chunk=1000)
    calls, decode = count(1), feed.decode

    def fails(batch: Batch) -> None:
        if next(calls) == fails_at:
            raise ValueError("a mistake")
        decode(batch)

    feed.decode = fails  # type: ignore[method-assign]
    before = threading.active_count()
    with pytest.raises(ValueError, match="a mistake"):
        run(feed, Notes(), batches())
    assert threading.active_count() == before


def test_an_exception_in_the_frames_is_raised(code: Library) -> None:
    def broken():  # type: ignore[no-untyped-def]
        yield from frames(100)
        raise ValueError("no more")

    before = threading.active_count()
    with pytest.raises(ValueError, match="no more"):
        run(Feed(broken(), code, chunk=1000), Notes(), batches())
    assert threading.active_count() == before
