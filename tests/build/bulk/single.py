"""Simulate one conversation of a bulk file alone. The bulk file must hold the same packets."""

from dataclasses import replace

from labkit.build.bulk.bulk_plan import BulkPlan, Field
from labkit.build.bulk.schedule import Block
from labkit.build.bulk.template import conversations, probe
from labkit.build.scenario import Scenario, setup
from labkit.build.scenario.setup import TICK, Parts


def single(scenario: Scenario, plan: BulkPlan, block: Block, column: int) -> Parts:
    """The conversation of a column of a block."""
    model = scenario.model
    number = int(block.template[column])
    listens = number < len(plan.accepted)
    fields = {field: int(block.fields[column, field]) for field in Field}
    begin = int(block.begin[column])
    given = conversations(model, setup.host(model, "server", plan.seed))
    drawn = number if listens else number - len(plan.accepted)
    found = probe(model, given, plan.seed, drawn, listens=listens)
    assert found.numbers is not None
    client, server = found.hosts["client"], found.hosts["server"]
    if given.clients is not None:
        client = setup.pooled(client, given.clients, int(block.place[column]), plan.server)
    # The ISN clock runs from the begin of the conversation.
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
