"""Many conversations in one file: a scenario's packets, played a few times and stamped as often as is wanted.

    from labkit.build.bulk import build

    build(Scenario.load("http"), 1_000_000, "big.pcap", seed=1)

Each conversation follows one of a few templates, which were played as any other and have their chances: what they send,
what is lost, how long everything takes. By itself it has the client's address and port, and the server's where the scenario
has several; both sides' initial sequence numbers, unless they are given, and timestamps; the IPv4 identifications; and when
it begins. Checksums follow from that. The conversation's packets are, octet for octet, those that the scenario gives if it
is played between these hosts with these numbers (`labkit.build.bulk.parts`).

`conversations` in the scenario says where clients come from, at which ports, and how they arrive; without it they come from
the addresses for benchmarks (198.18.0.0/15, 2001:2::/48). No two conversations have the same addresses and ports. Memory
holds the conversations that are open at a time.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from labkit.errors import MissingError
from labkit.i18n import _

if TYPE_CHECKING:
    from labkit.build.bulk.bulk_plan import BulkPlan
    from labkit.build.bulk.plan import Block
    from labkit.build.scenario import Scenario
    from labkit.build.scenario.setup import Parts

SMALL, LARGE = 1 << 14, 1 << 23
"""Packets that are stamped at a time, and about how many octets of them at most."""


def build(
    scenario: "Scenario | str | Path",
    flows: int,
    target: str | Path | BinaryIO,
    *,
    seed: int = 0,
    format: str | None = None,  # noqa: A002 - the word of the field
    watch: Callable[[int], None] | None = None,
) -> int:
    """Write so many conversations of a scenario (or of the one with a name) to a file, a stream or "-"; the number of
    packets.

    `watch` is called now and then with the packets so far. Errors as `Scenario.load`, `labkit.build.bulk.template.prepare` and
    `labkit.capture.create` have them; MissingError without numpy.
    """
    from labkit.build.bulk.worker import prepared

    return write(prepared(scenario, flows, seed), target, format=format, watch=watch)


def write(
    material: "BulkPlan",
    target: str | Path | BinaryIO,
    *,
    format: str | None = None,  # noqa: A002 - the word of the field
    watch: Callable[[int], None] | None = None,
) -> int:
    """Write the conversations that `prepare` has prepared, as `build` does."""
    require_numpy()
    from labkit.build.bulk.order import interleaved
    from labkit.build.bulk.plan import Plan
    from labkit.build.bulk.stamp import Packets, Stamper
    from labkit.capture import create

    plan = Plan(material)
    rows = [row for template in plan.templates for row in template.rows]
    written = 0
    with create(target, link=material.link, format=format) as writer:
        for _interface in range(1, material.interfaces):
            writer.add_interface(material.link)
        stamper = Stamper(rows, writer)
        size = max(1, min(SMALL, LARGE // stamper.longest))
        for packets, fields in interleaved(plan):
            for first in range(0, len(packets.row), size):
                some = Packets(*(column[first : first + size] for column in packets))
                # The latest of them fits, or none is written.
                writer.record(int(some.time[-1]), b"")
                writer.append(stamper.records(some, fields))
                written += len(some.row)
            if watch is not None:
                watch(written)
    return written


def parts(scenario: "Scenario", material: "BulkPlan", block: "Block", column: int) -> "Parts":
    """A conversation of a block as `labkit.build.scenario.merge.play_one` plays it by itself."""
    from labkit.build.bulk.single import single

    return single(scenario, material, block, column)


def require_numpy() -> None:
    """MissingError where numpy is not installed."""
    try:
        import numpy  # noqa: F401
    except ImportError as error:
        raise MissingError(_("many flows need numpy: pip install 'labkit[fast]'")) from error
