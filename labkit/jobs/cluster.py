"""A Dask cluster as a `concurrent.futures.Executor`: the only module that imports `distributed`."""

import logging
import re
from asyncio import run, wait_for
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from pkgutil import resolve_name
from threading import Event, Thread
from typing import TYPE_CHECKING, NamedTuple

from labkit import __version__
from labkit.errors import LinkError, MissingError, UsageError
from labkit.i18n import _

if TYPE_CHECKING:
    from distributed import Client

PATIENCE = 10
"""Seconds in which a scheduler must answer, and have a worker."""


class Cluster(NamedTuple):
    """A cluster that answers."""

    executor: Executor
    threads: int
    """Tasks that its workers do at a time."""


@contextmanager
def connected(address: str, say: Callable[[str], None] | None = None) -> Iterator[Cluster]:
    """The cluster with a scheduler at an address such as "tcp://192.0.2.1:8786".

    When all workers are gone, their tasks wait for new ones: `say` is told, from a thread of its own.
    UsageError for what is no address, or where a worker has another version of labkit; MissingError where Dask is not installed
    here, or labkit there; LinkError where nobody answers, or there is no worker.
    """
    if not re.fullmatch(r"(tcp|tls|ucx)://\S+:\d+", address):
        raise UsageError(
            _("{address}: expected a scheduler's address, such as tcp://192.0.2.1:8786").format(address=address)
        )
    try:
        from distributed import Client
    except ImportError as error:
        raise MissingError(_("a cluster needs Dask: pip install 'labkit[cluster]'")) from error
    with _silent():
        _ask(address)
        try:
            client = Client(address, timeout=PATIENCE, set_as_default=False)
        except (OSError, ValueError) as error:
            raise _no_answer(address, error) from error
        with client:
            try:
                client.wait_for_workers(1, timeout=PATIENCE)
            except TimeoutError as error:
                raise LinkError(_("{address}: the scheduler has no workers").format(address=address)) from error
            _check(client, address)
            with _watched(client, address, say or (lambda _text: None)):
                yield Cluster(client.get_executor(pure=False), sum(client.nthreads().values()))


def _ask(address: str) -> None:
    """Whether a scheduler is at an address. A `Client` would wait without end for one who does not speak Dask's language."""
    from distributed.comm import connect
    from distributed.security import Security

    async def ask() -> bool:
        connection = await connect(address, timeout=PATIENCE, **Security().get_connection_args("client"))
        try:
            await connection.write({"op": "identity", "reply": True})
            # A worker would answer, too.
            return "workers" in await connection.read()
        finally:
            connection.abort()

    try:
        found = run(wait_for(ask(), PATIENCE * 1.1))
    except TimeoutError:
        found = False
    except OSError as error:
        raise _no_answer(address, error) from error
    except (TypeError, ValueError) as error:
        # What the way to it needs is not there, such as the certificates of TLS.
        raise UsageError(f"{address}: {error}") from error
    if not found:
        raise LinkError(_("{address}: what answers is no Dask scheduler").format(address=address))


def _no_answer(address: str, error: Exception) -> LinkError:
    return LinkError(_("{address}: no scheduler answers: {error}").format(address=address, error=error))


def _check(client: "Client", address: str) -> None:
    """Whether all workers have this version of labkit. One that has none would end itself at its first task."""
    # A function of Python's own is known there in any case.
    for worker, found in client.run(resolve_name, "labkit:__version__", on_error="return").items():
        if isinstance(found, ImportError):
            raise MissingError(
                _("{address}: the worker {worker} has no labkit: {error}").format(
                    address=address, worker=worker, error=found
                )
            )
        if isinstance(found, str) and found != __version__:
            raise UsageError(
                _("{address}: the worker {worker} has labkit {theirs}, not {ours}: its verdicts could differ").format(
                    address=address, worker=worker, theirs=found, ours=__version__
                )
            )


@contextmanager
def _watched(client: "Client", address: str, say: Callable[[str], None]) -> Iterator[None]:
    """Look from time to time whether there are workers, and tell when there are none, once each time."""
    done = Event()

    def look() -> None:
        before = True
        while not done.wait(PATIENCE / 2):
            try:
                now = bool(client.nthreads())
            except (OSError, ValueError, RuntimeError):
                return  # the scheduler is gone, which ends the tasks, too
            if before and not now:
                say(_("{address}: no worker is left; waiting for another one").format(address=address))
            before = now

    watcher = Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


@contextmanager
def _silent() -> Iterator[None]:
    """Dask tells its own story of every worker and scheduler that goes; here that is said in a verdict."""
    logs = [logging.getLogger(name) for name in ("distributed", "distributed.client")]
    levels = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)
