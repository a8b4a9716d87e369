"""One conversation of a bulk file, as the scenario plays it by itself: what a bulk file must be equal to."""

from dataclasses import replace

from labkit.build.bulk.bulk_plan import BulkPlan, Field
from labkit.build.bulk.plan import Block
from labkit.build.bulk.template import conversations, probe
from labkit.build.scenario import Scenario, merge, setup
from labkit.build.scenario.setup import TICK, Parts


def single(scenario: Scenario, material: BulkPlan, block: Block, column: int) -> Parts:
    """The conversation at a column of a block."""
    model = scenario.model
    number = int(block.template[column])
    listens = number < len(material.accepted)
    fields = {field: int(block.fields[column, field]) for field in Field}
    begin = int(block.begin[column])
    given = conversations(model, setup.host(model, "server", material.seed))
    drawn = number if listens else number - len(material.accepted)
    found = probe(model, given, material.seed, drawn, listens=listens)
    assert found.numbers is not None  # noqa: S101 - a probe has them
    client, server = found.hosts["client"], found.hosts["server"]
    if given.clients is not None:
        client = merge.pooled(client, given.clients, int(block.place[column]), material.server)
    # The clock counts from the conversation's begin as well.
    numbers = {
        side: ((own + fields[seq] - begin // TICK) & 0xFFFF_FFFF, (stamp + fields[stamped]) & 0xFFFF_FFFF)
        for (side, (own, stamp)), seq, stamped in zip(
            found.numbers.items(),
            (Field.CLIENT_SEQ, Field.SERVER_SEQ),
            (Field.CLIENT_STAMP, Field.SERVER_STAMP),
            strict=True,
        )
    }
    return replace(
        found,
        begin=begin,
        hosts={
            "client": replace(client, port=fields[Field.CLIENT_PORT]),
            "server": replace(server, port=fields[Field.SERVER_PORT]),
        },
        idents=(fields[Field.CLIENT_IDENT], fields[Field.SERVER_IDENT]),
        numbers=numbers,
    )
