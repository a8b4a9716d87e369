"""Connect to a Dask cluster, as a `concurrent.futures.Executor`. Only this module imports `distributed`.

Dask's messages hold pickles, which could run any code. While a cluster is connected, this process loads pickles as plain data.
"""

import io
import logging
import pickle
import re
from asyncio import run, wait_for
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor
from contextlib import contextmanager, suppress
from pkgutil import resolve_name
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, NamedTuple

from labkit import __version__
from labkit.errors import LinkError, MissingError, UsageError
from labkit.i18n import _

if TYPE_CHECKING:
    from distributed import Client

TIMEOUT = 10
"""Seconds within which a scheduler must answer, and have a worker."""


class Cluster(NamedTuple):
    """A connected cluster."""

    executor: Executor
    threads: int
    """Tasks that its workers run at a time."""


@contextmanager
def connected(address: str, on_notice: Callable[[str], None] = lambda _text: None) -> Iterator[Cluster]:
    """Connect to the cluster of the scheduler at an address such as "tcp://192.0.2.1:8786".

    When no worker is left, tasks wait for a new one; a thread then calls `on_notice`. UsageError for an invalid address or
    another version of labkit on a worker; MissingError without Dask here or without labkit on a worker; LinkError where no
    scheduler answers or it has no worker.
    """
    if not re.fullmatch(r"(tcp|tls|ucx)://\S+:\d+", address):
        raise UsageError(
            _("{address}: not the address of a scheduler, such as tcp://192.0.2.1:8786").format(address=address)
        )
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise MissingError(_("a cluster needs Dask: pip install 'labkit[cluster]'")) from error
    with _silent(), _plain_data():
        _identify(address)
        try:
            client = _client_class()(address, timeout=TIMEOUT, set_as_default=False)
        except (OSError, ValueError) as error:
            raise _no_answer(address, error) from error
        with client:
            try:
                client.wait_for_workers(1, timeout=TIMEOUT)
            except TimeoutError as error:
                raise LinkError(_("{address}: the scheduler has no workers").format(address=address)) from error
            _check(client, address)
            with _workers_watched(client, address, on_notice):
                yield Cluster(client.get_executor(pure=False), sum(client.nthreads().values()))


class _Unknown(Exception):  # noqa: N818 - it stands for any class
    """Stands for every class that a pickle names: it takes anything and does nothing."""

    def __init__(self, *args: object, **_kwargs: object) -> None:
        super().__init__(*args)


def _exception(kind: object, attributes: Any, *_rest: object) -> Exception:
    """The exception that tblib would make, without its traceback."""
    args = attributes.get("args", ()) if isinstance(attributes, dict) else attributes
    return kind(*args) if isinstance(kind, type) and issubclass(kind, Exception) else _Unknown(*args)


KNOWN: dict[tuple[str, str], object] = {
    ("builtins", "bytearray"): bytearray,
    ("builtins", "bytes"): bytes,
    ("builtins", "memoryview"): memoryview,
    ("builtins", "ImportError"): ImportError,
    ("builtins", "ModuleNotFoundError"): ImportError,
    ("distributed.scheduler", "KilledWorker"): BrokenExecutor,
    ("tblib.pickling_support", "unpickle_exception"): _exception,
    ("tblib.pickling_support", "unpickle_exception_with_attrs"): _exception,
    ("tblib.pickling_support", "unpickle_traceback"): lambda *_parts: None,
}
"""What stands for the classes and functions of Dask's own messages: octets, exceptions, and tracebacks, which are left out."""


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        found = KNOWN.get((module, name))
        # A class of its own, so that the message about an exception has its name.
        return found or type(name.rpartition(".")[2][:100], (_Unknown,), {})


@contextmanager
def _plain_data() -> Iterator[None]:
    """Have this process load no class and call no function of a pickle: numbers, texts, lists and dictionaries only.

    Dask unpickles in many places, and before a connection is made. All of them call `pickle.loads`.
    """

    def loads(data: bytes, /, *, buffers: Any = (), **_options: Any) -> Any:
        return _PlainUnpickler(io.BytesIO(data), buffers=buffers).load()

    original = pickle.loads
    pickle.loads = loads  # type: ignore[assignment]
    try:
        yield
    finally:
        pickle.loads = original


def _client_class() -> "type[Client]":
    from distributed import Client

    class QuietClient(Client):  # type: ignore[misc]
        """A client that prints nothing for others, and gives up its tasks where it no longer understands the scheduler."""

        def subscribe_topic(self, topic: str, handler: object) -> None:
            # Dask would print what workers have it print, on standard output too.
            pass

        async def _handle_report(self) -> None:
            # A message that makes no sense ends the conversation; Dask would raise its error again when the client closes.
            with suppress(Exception):
                await super()._handle_report()
            for state in list(self.futures.values()):
                state.cancel()

    return QuietClient


def _identify(address: str) -> None:
    """Check that a scheduler answers. A `Client` would wait for ever for a program that does not speak Dask's protocol."""
    from distributed.comm import connect
    from distributed.security import Security

    async def ask() -> bool:
        connection = await connect(address, timeout=TIMEOUT, **Security().get_connection_args("client"))
        try:
            await connection.write({"op": "identity", "reply": True})
            # A worker answers too, but without this key.
            return "workers" in await connection.read()
        finally:
            connection.abort()

    try:
        found = run(wait_for(ask(), TIMEOUT * 1.1))
    except TimeoutError:
        found = False
    except OSError as error:
        raise _no_answer(address, error) from error
    except (TypeError, ValueError, RuntimeError) as error:
        # The transport lacks something, such as the certificates of TLS, or Dask's configuration wants TLS.
        raise UsageError(f"{address}{_(': ')}{error}") from error
    if not found:
        raise LinkError(_("{address}: not a Dask scheduler").format(address=address))


def _no_answer(address: str, error: Exception) -> LinkError:
    return LinkError(_("{address}: no scheduler answers: {error}").format(address=address, error=error))


def _check(client: "Client", address: str) -> None:
    """Check that all workers have this version of labkit. A worker without labkit would end at its first task."""
    # Every worker has a function of the standard library.
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
def _workers_watched(client: "Client", address: str, on_notice: Callable[[str], None]) -> Iterator[None]:
    """Check at intervals that the cluster has workers, and give a notice each time that it loses the last one."""
    done = Event()

    def check() -> None:
        before = True
        while not done.wait(TIMEOUT / 2):
            try:
                now = bool(client.nthreads())
            except (OSError, ValueError, RuntimeError):
                return  # the scheduler is gone, which ends the tasks too
            if before and not now:
                on_notice(_("{address}: no worker is left; waiting for a new one").format(address=address))
            before = now

    watcher = Thread(target=check, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


@contextmanager
def _silent() -> Iterator[None]:
    """Silence Dask's log of lost workers, schedulers, and messages that make no sense: the verdicts report them."""
    logs = [logging.getLogger(name) for name in ("distributed", "distributed.client")]
    levels = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)
