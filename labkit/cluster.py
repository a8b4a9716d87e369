"""A Dask cluster as a `concurrent.futures.Executor`: the only module that imports `distributed`."""

import logging
import re
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import NamedTuple

from labkit.errors import LinkError, MissingError, UsageError
from labkit.i18n import _

PATIENCE = 10
"""Seconds in which a scheduler must answer, and have a worker."""


class Cluster(NamedTuple):
    """A cluster that answers."""

    executor: Executor
    threads: int
    """Tasks that its workers do at a time."""


@contextmanager
def connected(address: str) -> Iterator[Cluster]:
    """The cluster with a scheduler at an address such as "tcp://192.0.2.1:8786".

    UsageError for what is no address, MissingError where Dask is not installed, LinkError where nobody answers, or there is
    no worker.
    """
    if not re.fullmatch(r"[a-z]+://\S+:\d+", address):
        raise UsageError(
            _("{address}: expected a scheduler's address, such as tcp://192.0.2.1:8786").format(address=address)
        )
    try:
        from distributed import Client
    except ImportError as error:
        raise MissingError(_("a cluster needs Dask: pip install 'labkit[cluster]'")) from error
    with _silent():
        try:
            client = Client(address, timeout=PATIENCE, set_as_default=False)
        except (OSError, ValueError) as error:
            raise LinkError(
                _("{address}: no scheduler answers: {error}").format(address=address, error=error)
            ) from error
        with client:
            try:
                client.wait_for_workers(1, timeout=PATIENCE)
            except TimeoutError as error:
                raise LinkError(_("{address}: the scheduler has no workers").format(address=address)) from error
            yield Cluster(client.get_executor(pure=False), sum(client.nthreads().values()))


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
