"""A thread that does one task after the other."""

from threading import Event, active_count, current_thread

import pytest

from labkit.analysis.native.worker import Worker


def test_tasks_are_done_in_order_by_another_thread() -> None:
    done = []
    with Worker() as worker:
        tasks = [worker.submit(done.append, number) for number in range(100)]
        names = worker.submit(lambda: current_thread().name).result()
        assert [task.result() for task in tasks] == [None] * 100
    assert done == list(range(100))
    assert names != current_thread().name


def test_a_result_is_what_the_task_returned_or_raised() -> None:
    with Worker() as worker:
        failed, fine = worker.submit(int, "x"), worker.submit(int, "7")
        assert fine.result() == fine.result() == 7
        for _again in range(2):
            with pytest.raises(ValueError, match="'x'"):
                failed.result()


def test_asking_waits_for_the_task() -> None:
    go, seen = Event(), []
    with Worker() as worker:
        task = worker.submit(go.wait, 60)
        after = worker.submit(seen.append, 1)
        assert seen == []
        go.set()
        assert task.result()
        after.result()
    assert seen == [1]


def test_the_end_waits_for_all_tasks_also_after_an_exception() -> None:
    before, seen = active_count(), []
    with pytest.raises(KeyError), Worker() as worker:
        for number in range(10):
            worker.submit(seen.append, number)
        raise KeyError
    assert seen == list(range(10))
    assert active_count() == before
