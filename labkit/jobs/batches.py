"""Judging many captures elsewhere: in other processes or on other machines, through any `concurrent.futures.Executor`.

    with ProcessPoolExecutor() as executor:
        for verdict in verdicts(paths, verify, executor):
            ...

Captures go out in batches, a few ahead of the one that is waited for; verdicts come back in the order of the captures.
A capture goes by its path, if who is to judge it sees the same file there (its size and its time of change are the same),
and by its content if not. So nobody has to say whether storage is shared.

Where a batch is lost, because its process or its machine died, its captures are sent again, one after the other: what kills
its judge is found out, and does not take others with it.
"""

import stat
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from labkit import __version__
from labkit.analysis.verifier import Verdict
from labkit.errors import CaptureError, LabkitError, MissingError, UsageError
from labkit.i18n import _, printable

SIZE = 50
"""Captures of a batch at most."""
OCTETS = 8_000_000
"""Octets of a batch at most, unless it is one capture."""
SHIPPED = 256_000_000
"""Octets of the largest capture that is sent by content; a larger one, where nobody sees its file, is judged here."""

Judge = Callable[[str], Verdict]


class Mark(NamedTuple):
    """By what a file is known to be the same elsewhere: octets, and nanoseconds of the last change."""

    size: int
    changed: int


@dataclass(frozen=True, slots=True)
class Sent:
    """A capture that is sent to be judged."""

    path: str
    """As it was given."""
    place: str
    """From the root."""
    mark: Mark | None
    """None: there is no such file, or none that may be looked at."""
    octets: bytes | None = None
    """Its content, where the file is not seen there."""


Batch = tuple[list[Sent], "Future[list[Verdict | None]]"]


def verdicts(
    paths: Sequence[str], judge: Judge, executor: Executor, *, ahead: int = 4, size: int = SIZE
) -> Generator[Verdict, None, None]:
    """The verdicts on captures, in their order.

    `judge` gets a path, and must be what the executor can send: a function of a module, or a `partial` of one. Its
    CaptureErrors become verdicts with an `error`, as does the loss of whoever judges; another LabkitError is raised.
    MissingError where labkit is not installed there, UsageError where it is another version. `ahead` batches are under way
    at a time, of at most `size` captures each. Closing the iterator cancels them.
    """
    crowd = _Crowd(judge, executor)
    waiting = crowd.batches(paths, size)
    pending: deque[Batch] = deque()
    try:
        while True:
            while len(pending) < ahead and (items := next(waiting, None)) is not None:
                pending.append((items, crowd.submitted(items)))
            if not pending:
                return
            yield from crowd.results(*pending.popleft())
    finally:
        for _items, future in pending:
            future.cancel()


class _Crowd:
    """Those who judge, and what is known of them."""

    def __init__(self, judge: Judge, executor: Executor) -> None:
        self._judge, self._executor = judge, executor
        self._shared = True
        """Whether they see our files, as far as is known."""
        self._gone: CancelledError | None = None
        """That nobody is left: what is cancelled, and not by us, was cancelled with all the rest."""

    def batches(self, paths: Sequence[str], size: int) -> Iterator[list[Sent]]:
        """The captures, some at a time."""
        items: list[Sent] = []
        octets = 0
        for path in paths:
            item = _sent(path)
            more = item.mark.size if item.mark is not None else 0
            if items and (len(items) == size or octets + more > OCTETS):
                yield items
                items, octets = [], 0
            items.append(item)
            octets += more
        if items:
            yield items

    def submitted(self, items: list[Sent]) -> "Future[list[Verdict | None]]":
        """Send a batch. What cannot be sent is a future that has failed."""
        try:
            if self._gone is not None:
                raise self._gone
            return self._executor.submit(
                judge_batch, __version__, self._judge, items if self._shared else list(map(_with_octets, items))
            )
        except (BrokenExecutor, CancelledError) as error:
            failed: Future[list[Verdict | None]] = Future()
            failed.set_exception(error)
            return failed

    def results(self, items: list[Sent], future: "Future[list[Verdict | None]]") -> Iterator[Verdict]:
        """Wait for a batch, and for what comes of its captures."""
        try:
            found = future.result()
        except Exception as error:
            _check(error)
            if isinstance(error, CancelledError):
                self._gone = error
            if len(items) == 1:
                yield _unjudged(items[0].path, error)
                return
            for item in items:
                yield from self.results([item], self.submitted([item]))
            return
        unseen = [item for item, verdict in zip(items, found, strict=True) if verdict is None]
        self._shared = self._shared and not any(item.mark for item in unseen)
        again = self._unseen(unseen)
        for verdict in found:
            yield verdict if verdict is not None else next(again)

    def _unseen(self, items: list[Sent]) -> Iterator[Verdict]:
        """The verdicts on captures whose files are not seen there: by content, or judged here."""
        read = list(map(_with_octets, items))
        some = [item for item in read if item.octets is not None]
        sent = self.results(some, self.submitted(some)) if some else iter(())
        for item in read:
            yield judged(self._judge, item.path, item.path) if item.octets is None else next(sent)


def judge_batch(version: str, judge: Judge, items: list[Sent]) -> list[Verdict | None]:
    """Judge captures, there where they were sent; None for each whose file is not here."""
    if version != __version__:
        raise UsageError(
            _("other machines have labkit {theirs}, not {ours}: their verdicts could differ").format(
                theirs=__version__, ours=version
            )
        )
    return [_judge_sent(judge, item) for item in items]


def _judge_sent(judge: Judge, item: Sent) -> Verdict | None:
    if item.octets is None:
        return judged(judge, item.place, item.path) if item.mark and _mark(item.place) == item.mark else None
    with TemporaryDirectory(prefix="labkit-") as folder:
        place = Path(folder, "capture")
        place.write_bytes(item.octets)
        return judged(judge, str(place), item.path)


def judged(judge: Judge, place: str, path: str) -> Verdict:
    """The verdict on the file at a place, which the user calls by another path."""
    try:
        verdict = judge(place)
    except CaptureError as error:
        verdict = Verdict(path, "", error=str(error))
    verdict.path = path
    if verdict.error is not None and place != path:
        verdict.error = verdict.error.replace(printable(place), printable(path), 1)
    return verdict


def _sent(path: str) -> Sent:
    place = str(Path(path).absolute())
    return Sent(path, place, _mark(place))


def _mark(place: str) -> Mark | None:
    try:
        found = Path(place).stat()
    except (OSError, ValueError):
        return None
    return Mark(found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None


def _with_octets(item: Sent) -> Sent:
    """The capture with its content, if it has one and is not too large."""
    if item.mark is None or item.mark.size > SHIPPED or item.octets is not None:
        return item
    try:
        return replace(item, octets=Path(item.place).read_bytes())
    except OSError:
        return item


def _check(error: Exception) -> None:
    """Raise what is nobody's death, and would happen again."""
    if isinstance(error, LabkitError):
        raise error
    if isinstance(error, ImportError):
        raise MissingError(
            _("labkit cannot be loaded where captures are judged: {error}").format(error=error)
        ) from error


def _unjudged(path: str, error: Exception) -> Verdict:
    """The verdict on a capture whose judge was lost."""
    if isinstance(error, BrokenExecutor):
        reason = _("a process that judges captures has died")
    elif isinstance(error, CancelledError):
        reason = _("those who judge captures have gone away")
    else:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    text = _("{name}: was not judged: {reason}")
    return Verdict(path, "", error=text.format(name=printable(path), reason=reason))
