"""Judge many captures through any `concurrent.futures.Executor`: in other processes, or on other machines.

    with ProcessPoolExecutor() as executor:
        for verdict in verdicts(paths, verify, executor):
            ...

Captures go out in batches, a few ahead of the one whose verdicts are due; verdicts come back in the order of the captures.
A worker gets the path of a capture if it sees the same file there (of the same size, last changed at the same time), and
otherwise the content. So nobody has to declare whether storage is shared.

Where the process or the machine of a batch dies, its captures are sent again one by one: a capture that kills its worker
is found, and the others of its batch are judged.

What a worker on another machine answers may be anything. With `as_data` it is JSON that is checked (`labkit.jobs.answers`), and
the task is a pickle of this package that only the worker loads: what stands between, such as a scheduler, needs no labkit.
"""

import stat
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from dataclasses import dataclass, replace
from pathlib import Path
from pickle import dumps, loads
from tempfile import TemporaryDirectory
from typing import Any

from labkit import __version__
from labkit.analysis.rule import Rule
from labkit.analysis.verdict import Verdict
from labkit.errors import LabkitError, MissingError, UsageError
from labkit.i18n import _, printable
from labkit.jobs.answers import AnswerError, Answers, decode, encode, encode_failure
from labkit.jobs.judging import Judge, judge_file

MAX_BATCH = 50
"""Captures of a batch."""
MAX_BATCH_OCTETS = 8_000_000
"""Octets of a batch of more than one capture."""
MAX_SENT_OCTETS = 256_000_000
"""Octets of a capture that is sent by content; a larger one whose file no worker sees is judged here."""


@dataclass(frozen=True, slots=True)
class Item:
    """A capture to be judged elsewhere."""

    path: str
    """As the caller gave it."""
    absolute: str
    stamp: tuple[int, int] | None
    """Size and time of change (ns), which identify the file elsewhere; None where no regular file is found."""
    content: bytes | None = None
    """The octets, where the worker does not see the file."""


@dataclass(frozen=True, slots=True)
class _Call:
    """A batch to be judged: whoever loads its pickle judges it, and gets the answers as text."""

    version: str
    judge: Judge
    items: list[Item]

    def __reduce__(self) -> tuple[object, ...]:
        return judge_as_data, (self.version, self.judge, self.items)


def verdicts(
    paths: Sequence[str],
    judge: Judge,
    executor: Executor,
    *,
    ahead: int = 4,
    size: int = MAX_BATCH,
    as_data: bool = False,
    rules: tuple[Rule, ...] = (),
) -> Generator[Verdict, None, None]:
    """Yield the verdicts on captures, in their order.

    `judge` takes a path, and must be something the executor can send: a function of a module, or a `partial` of one. Its
    CaptureErrors, and the loss of a worker, become verdicts with an `error`; any other LabkitError is raised. MissingError
    where a worker has no labkit, UsageError where it has another version. At most `ahead` batches of at most `size`
    captures are under way at a time. Closing the iterator cancels them. `as_data`: the workers' machines are not trusted; the
    captures of an answer that is not one have an `error`. `rules`: those by which the workers judge.
    """
    dispatcher = _Dispatcher(judge, executor, as_data, rules)
    batches = batched(paths, size)
    pending: deque[tuple[list[Item], Future[Any]]] = deque()
    try:
        while True:
            while len(pending) < ahead and (items := next(batches, None)) is not None:
                pending.append((items, dispatcher.submit(items)))
            if not pending:
                return
            yield from dispatcher.results(*pending.popleft())
    finally:
        for _items, future in pending:
            future.cancel()


def batched(paths: Sequence[str], size: int) -> Iterator[list[Item]]:
    """Group captures into batches of at most `size` captures and MAX_BATCH_OCTETS octets."""
    items: list[Item] = []
    octets = 0
    for path in paths:
        absolute = str(Path(path).absolute())
        item = Item(path, absolute, _stamp(absolute))
        more = item.stamp[0] if item.stamp else 0
        if items and (len(items) == size or octets + more > MAX_BATCH_OCTETS):
            yield items
            items, octets = [], 0
        items.append(item)
        octets += more
    if items:
        yield items


class _Dispatcher:
    """Send batches to an executor, and remember what its workers see."""

    def __init__(self, judge: Judge, executor: Executor, as_data: bool, rules: tuple[Rule, ...]) -> None:
        self._judge, self._executor, self._as_data, self._rules = judge, executor, as_data, rules
        self._shared = True
        """Whether the workers see our files, as far as is known."""
        self._cancelled: CancelledError | None = None
        """Set where the executor itself cancelled a batch: then it has no workers left for any other one."""

    def submit(self, items: list[Item]) -> "Future[Any]":
        """Send a batch. The future fails where the batch cannot be sent."""
        try:
            if self._cancelled is not None:
                raise self._cancelled
            sent = items if self._shared else list(map(_with_content, items))
            if self._as_data:
                return self._executor.submit(loads, dumps(_Call(__version__, self._judge, sent)))
            return self._executor.submit(judge_batch, __version__, self._judge, sent)
        except (BrokenExecutor, CancelledError) as error:
            failed: Future[Any] = Future()
            failed.set_exception(error)
            return failed

    def results(self, items: list[Item], future: "Future[Any]") -> Iterator[Verdict]:
        """Wait for a batch, and yield the verdicts on its captures."""
        try:
            answers = future.result()
            if self._as_data:
                answers = decode(answers, [item.path for item in items], self._rules)
        except Exception as error:
            _raise_lasting(error)
            if isinstance(error, CancelledError):
                self._cancelled = error
            if len(items) == 1:
                yield _lost(items[0].path, error)
                return
            for item in items:
                yield from self.results([item], self.submit([item]))
            return
        unseen = [item for item, verdict in zip(items, answers, strict=True) if verdict is None]
        self._shared = self._shared and not any(item.stamp for item in unseen)
        again = self._judge_unseen(unseen)
        for verdict in answers:
            yield verdict if verdict is not None else next(again)

    def _judge_unseen(self, items: list[Item]) -> Iterator[Verdict]:
        """Send the content of captures whose files no worker sees; judge here what is too large to send."""
        read = list(map(_with_content, items))
        some = [item for item in read if item.content is not None]
        sent = self.results(some, self.submit(some)) if some else iter(())
        for item in read:
            yield judge_file(self._judge, item.path, item.path) if item.content is None else next(sent)


def judge_batch(version: str, judge: Judge, items: list[Item]) -> Answers:
    """Judge a batch where it was sent, for a caller whose labkit has this version."""
    if version != __version__:
        raise UsageError(
            _("other machines have labkit {theirs}, not {ours}: their verdicts could differ").format(
                theirs=__version__, ours=version
            )
        )
    return [_judge_item(judge, item) for item in items]


def judge_as_data(version: str, judge: Judge, items: list[Item]) -> str:
    """Judge a batch, and encode the answers; or what every other capture would meet too."""
    try:
        return encode(judge_batch(version, judge, items))
    except (LabkitError, ImportError) as error:
        return encode_failure(error)


def _judge_item(judge: Judge, item: Item) -> Verdict | None:
    if item.content is None:
        same = item.stamp is not None and _stamp(item.absolute) == item.stamp
        return judge_file(judge, item.absolute, item.path) if same else None
    with TemporaryDirectory(prefix="labkit-") as folder:
        file = Path(folder, "capture")
        file.write_bytes(item.content)
        return judge_file(judge, str(file), item.path)


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return None
    return (found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None


def _with_content(item: Item) -> Item:
    """Read the capture's content, unless it is too large or cannot be read."""
    if item.stamp is None or item.stamp[0] > MAX_SENT_OCTETS or item.content is not None:
        return item
    try:
        return replace(item, content=Path(item.absolute).read_bytes())
    except OSError:
        return item


def _raise_lasting(error: Exception) -> None:
    """Raise an error that every other capture would meet too."""
    if isinstance(error, LabkitError):
        raise error
    if isinstance(error, ImportError):
        raise MissingError(_("a worker cannot load labkit: {error}").format(error=error)) from error


def _lost(path: str, error: Exception) -> Verdict:
    """The verdict on a capture whose worker was lost."""
    if isinstance(error, BrokenExecutor):
        reason = _("its worker process has died")
    elif isinstance(error, CancelledError):
        reason = _("the connection to the scheduler has ended")
    elif isinstance(error, AnswerError):
        reason = _("the worker's answer is not a verdict: {error}").format(error=error)
    else:
        reason = printable(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")
    text = _("{name}: was not judged: {reason}")
    return Verdict(path, "", error=text.format(name=printable(path), reason=reason))
