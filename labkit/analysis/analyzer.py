"""The order of work for each segment of a capture.

    the conversation, and which side sent the segment        labkit.analysis.flows
    FRAME      rules about the frame
    relate the segment to what is known of its sender         labkit.analysis.tracker
    PENDING    rules about each earlier segment whose open question this segment answers   labkit.analysis.pending
    compare the payload with what was sent before             labkit.analysis.payload
    SEGMENT    rules about the segment
    add the segment to what is known                          labkit.analysis.tracker
    DONE

A conversation ends with PENDING for each question that is still open, SIDE for each side, and FLOW. The names in capitals are
steps: the verifier asks the rules of that scope, `labkit.analysis.states` moves the states of both ends. A segment with a broken
header has the steps FRAME and DONE only. `labkit.analysis.native.segment_loop` has the same order in compiled code.
"""

from collections.abc import Iterable, Iterator

from labkit.analysis.damage import spoiled
from labkit.analysis.flows import Flow, FlowTable, segments
from labkit.analysis.payload import PayloadStore, remember
from labkit.analysis.pending import Resolved, close, resolve
from labkit.analysis.rule import Scope
from labkit.analysis.side import Side
from labkit.analysis.tracker import advance, look, relate
from labkit.analysis.unread import Unread
from labkit.capture import Frame
from labkit.packet.seen import Seen

FRAME, SEGMENT, PENDING, SIDE, FLOW, _LEDGER = Scope
DONE = len(Scope)
"""`Step.scope` after a segment was added to what is known: no rule is asked."""


class Step:
    """One step of the analysis. The analyzer uses one object for all steps, as it does for `seg`."""

    __slots__ = ("data", "flow", "frame", "me", "peer", "resolved", "scope", "seg", "sender")

    scope: int
    """A `Scope`, or DONE."""
    frame: Frame
    data: bytes
    """The octets in which positions of `seg` count: the frame, or the datagram that fragments were put together to."""
    seg: Seen
    """A new `Seen` at the end of a conversation."""
    flow: Flow
    sender: int
    """Which side of the flow `me` is."""
    me: Side
    peer: Side
    resolved: Resolved
    """The earlier segment of `me` that the step PENDING is about."""

    def __init__(self) -> None:
        self.seg, self.resolved = Seen(), Resolved()

    def set_sender(self, flow: Flow, sender: int) -> None:
        """Take one side of a conversation as the sender."""
        self.flow, self.sender = flow, sender
        self.me, self.peer = flow.sides[sender], flow.sides[1 - sender]


def analyze(
    frames: Iterable[Frame], table: FlowTable, payload: PayloadStore | None = None, unread: Unread | None = None
) -> Iterator[Step]:
    """Every step of a capture, in order. Without `payload`, octets are not compared, and `Seen.conflict` is never found.

    Frames that cannot be read are counted in `unread`.
    """
    step, end = Step(), Step()
    seg = step.seg
    for frame, data in segments(frames, seg, unread):
        flow, sender = table.find(data, seg)
        if payload is not None:
            payload.segment = table.segments
        me, peer = flow.sides[sender], flow.sides[1 - sender]
        step.frame, step.data, step.flow, step.sender, step.me, step.peer = frame, data, flow, sender, me, peer
        step.scope = FRAME
        yield step
        if seg.readable:
            look(seg, me, peer)
            if not seg.former and (me.pending_n or peer.pending_n):
                yield from _resolve(step, flow, sender)
                step.set_sender(flow, sender)
                relate(seg, me)
            if payload is not None and seg.data_len and not seg.former and not spoiled(seg):
                remember(data, seg, me, payload)
            step.scope = SEGMENT
            yield step
            advance(seg, me, peer)
            table.settle(flow)
        step.scope = DONE
        yield step
        table.keep_bounds()
        if payload is not None:
            payload.octets_before += seg.data_len
        if table.over:
            for over in table.over:
                yield from _end(end, over)
            table.over.clear()
    for flow in table.close():
        yield from _end(end, flow)


def _resolve(step: Step, flow: Flow, sender: int) -> Iterator[Step]:
    step.scope = PENDING
    for side in (sender, 1 - sender):
        step.set_sender(flow, side)
        while resolve(step.me, step.resolved):
            yield step


def _end(step: Step, flow: Flow) -> Iterator[Step]:
    one, other = flow.sides
    close(one, other)
    close(other, one)
    yield from _resolve(step, flow, 0)
    step.scope = SIDE
    for side in (0, 1):
        step.set_sender(flow, side)
        yield step
    step.set_sender(flow, 0)
    step.scope = FLOW
    yield step
