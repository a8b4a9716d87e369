"""Write many conversations of a scenario to one file: simulate a few, and copy their packets for the others.

    from labkit.build.bulk import build

    build(Scenario.load("http"), 1_000_000, "big.pcap", seed=1)

A few simulated conversations are templates, each with its own random payloads, losses and delays. Every conversation follows
a template and has its own client address and port, server port, begin, IPv4 identifications, timestamps, and (unless the
scenario gives them) initial sequence numbers. The copies get these values and new checksums. The packets are, octet for octet,
those of a simulation between the same hosts with the same numbers.

`conversations` in the scenario sets the clients' addresses and ports, and their arrivals. Without it, clients have benchmark
addresses (198.18.0.0/15, 2001:2::/48). No two conversations have the same addresses and ports. Memory holds only the
conversations that are open at the same time.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from labkit.errors import MissingError
from labkit.i18n import _

if TYPE_CHECKING:
    from labkit.build.bulk.bulk_plan import BulkPlan
    from labkit.build.scenario import Scenario
    from labkit.build.scenario.code import ScenarioBuilder

CHUNK_PACKETS, CHUNK_OCTETS = 1 << 14, 1 << 23
"""The largest chunk that is stamped at a time. The number of octets is approximate."""


def build(
    scenario: "Scenario | ScenarioBuilder | Mapping[str, Any] | str | Path",
    flows: int,
    target: str | Path | BinaryIO,
    *,
    seed: int = 0,
    format: str | None = None,  # noqa: A002 - the word of the field
    on_progress: Callable[[int, int], object] | None = None,
) -> int:
    """Write `flows` conversations of a scenario to a file, a stream or "-" (standard output). Return the number of packets.

    `scenario` may be a name, a dictionary, or what `Scenario.build` began. `on_progress` gets the number of packets so far, and
    that of all. The errors are those of `Scenario.load`, `labkit.build.bulk.template.prepare` and `labkit.capture.create`;
    MissingError without numpy.
    """
    from labkit.build.bulk.worker import prepare_in_worker

    return write(prepare_in_worker(scenario, flows, seed), target, format=format, on_progress=on_progress)


def write(
    plan: "BulkPlan",
    target: str | Path | BinaryIO,
    *,
    format: str | None = None,  # noqa: A002 - the word of the field
    on_progress: Callable[[int, int], object] | None = None,
) -> int:
    """Write the conversations of a plan as `build` does."""
    require_numpy()
    from labkit.build.bulk.order import interleaved
    from labkit.build.bulk.schedule import Schedule
    from labkit.build.bulk.stamp import Packets, Stamper
    from labkit.capture import create

    schedule = Schedule(plan)
    rows = [row for template in schedule.templates for row in template.rows]
    written = 0
    total = schedule.packets() if on_progress is not None else 0
    with create(target, link=plan.link, format=format) as writer:
        for _interface in range(1, plan.interfaces):
            writer.add_interface(plan.link)
        stamper = Stamper(rows, writer)
        size = max(1, min(CHUNK_PACKETS, CHUNK_OCTETS // stamper.longest))
        for packets, fields in interleaved(schedule):
            for first in range(0, len(packets.row), size):
                some = Packets(*(column[first : first + size] for column in packets))
                # CaptureError if the format cannot hold the latest time.
                writer.record(int(some.time[-1]), b"")
                writer.append(stamper.records(some, fields))
                written += len(some.row)
                if on_progress is not None:
                    on_progress(written, total)
    return written


def require_numpy() -> None:
    """MissingError if numpy is not installed."""
    try:
        import numpy  # noqa: F401
    except ImportError as error:
        raise MissingError(_("--flows needs numpy: pip install 'labkit[fast]'")) from error
