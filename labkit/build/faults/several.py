"""Faults of a connection after another one: an ISN that depends on the earlier connection.

The whole connection gets another ISN, and all its numbers change with it, so that only the ISN is wrong.
"""

from dataclasses import replace

from labkit.build.faults.base import Fault
from labkit.build.trace import Record, Trace
from labkit.i18n import N_
from labkit.tcp import options as opt
from labkit.tcp.segment import ACK, RST, SYN, Segment
from labkit.tcp.seq import add, diff
from labkit.tcp.state import State


def _opening(trace: Trace, index: int) -> bool:
    """Whether a record is the first SYN of its connection, after another connection."""
    record = trace.records[index]
    if record.segment.ctl & (SYN | ACK | RST) != SYN or record.sender != "client" or record.connection == 0:
        return False
    return not any(each.connection == record.connection for each in trace.records[:index])


def _same_isn(trace: Trace, index: int) -> Trace | None:
    """Give the client the ISN of its previous connection, which had another peer or port."""
    if not _opening(trace, index):
        return None
    mine = trace.connections[trace.records[index].connection]
    for each in reversed(trace.records[:index]):
        other = trace.connections[each.connection]
        begins = each.segment.ctl & (SYN | ACK) == SYN and each.sender == "client"
        if begins and other.client.address == mine.client.address:
            same = (other.client.port, str(other.server)) == (mine.client.port, str(mine.server))
            return None if same else _renumbered(trace, trace.records[index].connection, other.client_isn)
    return None


def _reused_too_low(trace: Trace, index: int) -> Trace | None:
    """Reuse the ports in TIME-WAIT with a sequence number that the previous connection has used."""
    record = trace.records[index]
    if not _opening(trace, index) or record.segment.option(opt.Timestamps) is not None:
        return None
    mine = trace.connections[record.connection]
    earlier = [
        place
        for place, other in enumerate(trace.connections[: record.connection])
        if (str(other.client), str(other.server)) == (str(mine.client), str(mine.server))
    ]
    over = [each for each in trace.records[:index] if earlier and each.connection == earlier[-1]]
    if not over or any(each.segment.ctl & RST for each in over) or not _has_ended(over):
        return None
    return _renumbered(trace, record.connection, trace.connections[earlier[-1]].client_isn)


def _has_ended(records: list[Record]) -> bool:
    """Whether each end is in TIME-WAIT or CLOSED."""
    last = records[-1]
    return all(states and states[1] in {State.TIME_WAIT, State.CLOSED} for states in (last.client, last.server))


def _renumbered(trace: Trace, connection: int, isn: int) -> Trace:
    """The trace with another ISN of the client in a connection."""
    own = trace.connections[connection]
    by = diff(isn, own.client_isn)
    connections = list(trace.connections)
    connections[connection] = replace(own, client_isn=isn)
    records = [
        replace(each, segment=_moved(each.segment, each.sender == "client", by))
        if each.connection == connection
        else each
        for each in trace.records
    ]
    return replace(trace, connections=tuple(connections), records=records)


def _moved(segment: Segment, mine: bool, by: int) -> Segment:
    """A segment after the client's numbers have changed: its seq, or the server's ack and SACK blocks."""
    if mine:
        return segment.with_(seq=add(segment.seq, by))
    if not segment.ctl & ACK:
        # The seq of a reset that answers an ACK is the acknowledged number.
        return segment
    options = tuple(
        opt.Sack(tuple((add(left, by), add(right, by)) for left, right in each.blocks))
        if isinstance(each, opt.Sack)
        else each
        for each in segment.options
    )
    return segment.with_(ack=add(segment.ack, by), options=options)


FAULTS = (
    Fault(
        "initial-number-again",
        "ISN01",
        N_("a client's ISN as that of its connection before; all numbers follow"),
        remake=_same_isn,
    ),
    Fault(
        "port-reused-too-low",
        "ST02",
        N_("the same ports again, with the ISN of the connection before; all numbers follow"),
        remake=_reused_too_low,
    ),
)
