"""A Dask scheduler or worker that lies, run as a program: `lying.py scheduler|worker HOW MARK ARGUMENTS...`.

Where a pickle of it is loaded, it makes a folder whose name is MARK and the process's number.
"""

import pickle
import sys
from types import ModuleType
from typing import Any

from distributed.protocol.serialize import Serialize, ToPickle

_program, ROLE, HOW, MARK, *ARGUMENTS = sys.argv


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (f"import os; os.makedirs({MARK!r} + '-' + str(os.getpid()), exist_ok=True)",)


def lie_as_worker() -> None:
    from labkit.jobs import batches

    honest = batches.judge_as_data

    def lying(*arguments: Any) -> Any:
        from distributed import get_worker
        from distributed import print as print_there

        match HOW:
            case "pickle":
                return Evil()
            case "exception":
                raise RuntimeError(Evil())
            case "text":
                return "{\x1b[2J"
            case "count":
                return '{"verdicts": []}'
            case "print":
                print_there("\x1b[2J")
                get_worker().log_event("warn", {"message": pickle.dumps(Evil())})
        return honest(*arguments)

    batches.judge_as_data = lying


def lie_as_scheduler() -> None:
    from distributed.comm.core import Comm
    from distributed.comm.tcp import TCP
    from distributed.scheduler import Scheduler

    # A scheduler needs no labkit.
    sys.modules["labkit"] = None  # type: ignore[assignment]
    honest_start, honest_tasks = Scheduler.__init__, Scheduler.update_graph

    def identity(self: Any, *args: Any, **kwargs: Any) -> None:
        honest_start(self, *args, **kwargs)
        honest = self.handlers["identity"]
        self.handlers["identity"] = lambda *args, **kwargs: {
            **honest(*args, **kwargs),
            "more": Serialize(Evil()),
            "most": ToPickle(Evil()),
        }

    async def nonsense(self: Any, client: str, **kwargs: Any) -> Any:
        self.client_comms[client].send(17)
        return await honest_tasks(self, client=client, **kwargs)

    async def pickled(self: Any, client: str, **kwargs: Any) -> Any:
        self.client_comms[client].send({"op": "event", "topic": "x", "event": ToPickle(Evil())})
        return await honest_tasks(self, client=client, **kwargs)

    if HOW == "handshake":
        TCP.handshake_info = lambda self: {**Comm.handshake_info(self), "more": ToPickle(Evil())}  # type: ignore[method-assign]
    elif HOW == "identity":
        Scheduler.__init__ = identity  # type: ignore[method-assign]
    elif HOW == "nonsense":
        Scheduler.update_graph = nonsense  # type: ignore[method-assign]
    elif HOW == "event":
        Scheduler.update_graph = pickled  # type: ignore[method-assign]


def main() -> None:
    from importlib import import_module

    lie_as_worker() if ROLE == "worker" else lie_as_scheduler()
    program: ModuleType = import_module(f"distributed.cli.dask_{ROLE}")
    sys.argv = [ROLE, *ARGUMENTS]
    program.main()


if __name__ == "__main__":
    main()
