"""Batches: their order, what is sent, and lost workers."""

import os
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from labkit import verify
from labkit.analysis.verdict import Verdict
from labkit.capture import create
from labkit.errors import MissingError, UsageError
from labkit.jobs import batches
from labkit.jobs.batches import Item, batched, judge_batch, verdicts
from labkit.jobs.processes import Processes
from labkit.tcp.notation import parse
from labkit.teach.examples import frames


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Captures of 3, 4, 5... packets, with relative paths."""
    monkeypatch.chdir(tmp_path)
    found = []
    for number in range(12):
        text = "> S 0:0(0)\n< S. 0:0(0) ack 1\n> . 1:1(0) ack 1\n" + "> . 1:1(0) ack 7\n" * number
        with create(f"{number}.pcap", link=1) as writer:
            for frame in frames(list(parse(text))):
                writer.write(frame.time, frame.data)
        found.append(f"{number}.pcap")
    return found


class Elsewhere(Executor):
    """Another machine: it runs a task at once, sees the files that `sees` accepts, and records what it got."""

    def __init__(self, sees: Callable[[str], bool] = lambda _place: False) -> None:
        self.sees = sees
        self.sent: list[list[Item]] = []

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        version, judge, items = args
        self.sent.append(items)
        there = [
            item if self.sees(item.absolute) else replace(item, absolute=f"/nowhere{item.absolute}") for item in items
        ]
        future: Future[Any] = Future()
        try:
            future.set_result(function(version, judge, there, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def same(found: list[Verdict], paths: list[str]) -> bool:
    expected = [verify(path) for path in paths]
    return [(each.path, each.packets, each.findings) for each in found] == [
        (each.path, each.packets, each.findings) for each in expected
    ]


@pytest.mark.parametrize("size", [1, 5, 50])
@pytest.mark.parametrize("ahead", [1, 4])
def test_verdicts_are_in_order(size: int, ahead: int, paths: list[str]) -> None:
    with ThreadPoolExecutor(3) as executor:
        assert same(list(verdicts(paths, verify, executor, ahead=ahead, size=size)), paths)


def test_a_visible_file_is_sent_by_path(paths: list[str]) -> None:
    executor = Elsewhere(lambda _place: True)
    assert same(list(verdicts(paths, verify, executor, size=5)), paths)
    assert [len(items) for items in executor.sent] == [5, 5, 2]
    assert all(item.content is None and Path(item.absolute).is_absolute() for items in executor.sent for item in items)


def test_an_invisible_file_is_sent_by_content(paths: list[str]) -> None:
    executor = Elsewhere()
    assert same(list(verdicts(paths, verify, executor, size=5, ahead=1)), paths)
    # Only the first batch is sent twice.
    assert [items[0].content is not None for items in executor.sent] == [False, True, True, True]


def test_some_files_are_visible(paths: list[str]) -> None:
    executor = Elsewhere(lambda place: place.endswith(("0.pcap", "3.pcap")))
    assert same(list(verdicts(paths, verify, executor, size=4)), paths)


def test_a_changed_file_is_not_the_same(paths: list[str]) -> None:
    os.utime(paths[0], ns=(0, 1_000))
    (items,) = batched(paths[:1], 5)
    assert items[0].stamp == (Path(paths[0]).stat().st_size, 1_000)
    os.utime(paths[0], ns=(0, 2_000))
    assert judge_batch(batches.__version__, verify, items) == [None]


def test_batches_are_bounded_by_octets(paths: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = [Path(path).stat().st_size for path in paths]
    monkeypatch.setattr(batches, "MAX_BATCH_OCTETS", sum(sizes[:3]))
    assert [item.path for item in next(iter(batched(paths, 50)))] == paths[:3]
    monkeypatch.setattr(batches, "MAX_BATCH_OCTETS", 1)
    assert [len(items) for items in batched(paths, 50)] == [1] * 12


def test_a_capture_too_large_to_send_is_judged_here(paths: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MAX_SENT_OCTETS", Path(paths[5]).stat().st_size)
    executor = Elsewhere()
    assert same(list(verdicts(paths, verify, executor)), paths)
    sent = {item.path for items in executor.sent for item in items if item.content is not None}
    assert sent == set(paths[:6])


def test_an_unreadable_file_has_a_verdict(paths: list[str]) -> None:
    Path("b.pcap").write_text("nonsense")
    for executor in (Elsewhere(), Elsewhere(lambda _place: True)):
        found = list(verdicts([paths[0], "missing.pcap", "b.pcap", ".", paths[1]], verify, executor))
        assert [(each.path, each.error) for each in found] == [
            ("0.pcap", None),
            ("missing.pcap", "missing.pcap: cannot be read: No such file or directory"),
            ("b.pcap", 'b.pcap: not a capture: it begins with "nonsense"'),
            (".", ".: is a directory, not a capture"),
            ("1.pcap", None),
        ]


def deadly(deaths: Path, path: str) -> Verdict:
    """End the process at one capture, each time."""
    if verify(path).packets == 7:
        with deaths.open("a") as file:
            file.write("x")
        os._exit(9)
    return verify(path)


def test_only_the_capture_that_kills_its_worker_is_lost(paths: list[str], tmp_path: Path) -> None:
    with Processes(2) as executor:
        found = list(verdicts(paths, partial(deadly, tmp_path / "deaths"), executor, size=3))
    assert [each.path for each in found] == paths
    assert found[4].error == "4.pcap: was not judged: its worker process has died"
    assert same(found[:4] + found[5:], paths[:4] + paths[5:])
    assert (tmp_path / "deaths").read_text() == "xx"


class Gone(Executor):
    """An executor without workers."""

    def submit(self, *_args: Any, **_kwargs: Any) -> "Future[Any]":
        raise BrokenExecutor


def test_without_workers_each_capture_is_named(paths: list[str]) -> None:
    found = list(verdicts(paths, verify, Gone(), size=5))
    assert [each.path for each in found] == paths
    assert {(each.error or "").partition(": ")[2] for each in found} == {"was not judged: its worker process has died"}


def test_after_a_cancellation_nothing_is_sent(paths: list[str]) -> None:
    asked = []

    class Leaving(Executor):
        def submit(self, function: Callable[..., Any], /, *args: Any, **_kwargs: Any) -> "Future[Any]":
            asked.append(args)
            future: Future[Any] = Future()
            if len(asked) == 1:
                future.set_result(function(*args))
            else:
                future.cancel()
            return future

    found = list(verdicts(paths, verify, Leaving(), size=4, ahead=2))
    assert len(asked) == 3
    assert same(found[:4], paths[:4])
    assert [each.error for each in found[4:]] == [
        f"{path}: was not judged: the connection to the scheduler has ended" for path in paths[4:]
    ]


def strange(path: str) -> Verdict:
    raise RuntimeError(f"a\nmistake\n{Path(path).name}")


def test_an_exception_is_reported_for_each_capture(paths: list[str]) -> None:
    found = list(verdicts(paths[:2], strange, Elsewhere(lambda _place: True)))
    assert [each.error for each in found] == [
        f"{name}: was not judged: internal error: RuntimeError: a mistake {name} "
        "(LABKIT_DEBUG=1 shows where; please report it)"
        for name in ("0.pcap", "1.pcap")
    ]
    assert all(each.crashed for each in found)


def no_labkit(_path: str) -> Verdict:
    raise ModuleNotFoundError("No module named 'labkit'")


def test_a_worker_without_labkit_or_with_another_version(paths: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingError, match="a worker cannot load labkit"):
        list(verdicts(paths, no_labkit, Elsewhere(lambda _place: True)))
    monkeypatch.setattr(batches, "__version__", "9")
    with pytest.raises(UsageError, match=r"other machines have labkit 9, not 8"):
        judge_batch("8", verify, [])


def test_closing_cancels_the_pending_batches(paths: list[str]) -> None:
    futures: list[Future[Any]] = []

    class Slow(Executor):
        def submit(self, function: Callable[..., Any], /, *args: Any, **_kwargs: Any) -> "Future[Any]":
            futures.append(Future())
            if len(futures) == 1:
                futures[0].set_result(function(*args))
            return futures[-1]

    found = verdicts(paths, verify, Slow(), size=1, ahead=3)
    assert next(found).path == "0.pcap"
    found.close()
    assert [future.cancelled() for future in futures] == [False, True, True]
