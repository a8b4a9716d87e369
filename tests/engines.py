"""What both engines say of the same frames."""

import mmap
from collections.abc import Iterator
from dataclasses import replace
from unittest.mock import patch

from labkit.analysis.findings import groups
from labkit.analysis.flow_filter import FlowFilter
from labkit.analysis.flows import End, Flow
from labkit.analysis.native import observing
from labkit.analysis.native.line_writer import LineWriter
from labkit.analysis.native.native_verifier import NativeVerifier
from labkit.analysis.native.packed import Library
from labkit.analysis.native.reader import CHUNK, Batch, Feed
from labkit.analysis.native.shards import ShardedVerifier
from labkit.analysis.severity import DOCUMENT, LITERAL, RFC9293
from labkit.analysis.states import Lines, Row, observe
from labkit.analysis.verdict import MAX_ONCE, Bounds, Verdict
from labkit.analysis.verifier import Verifier
from labkit.capture import Frame
from labkit.report import conversation_table
from labkit.report.conversation_table import TableStyle, TextTable

PROFILES = {RFC9293: RFC9293, DOCUMENT: DOCUMENT, LITERAL: DOCUMENT}
"""Each profile of rules, and the one that a verdict names."""


def compiled(
    found: list[Frame], code: Library, profile: str, bounds: Bounds, wanted: FlowFilter | None = None
) -> Verdict:
    verifier, feed, batch = NativeVerifier(profile, code, bounds, wanted), Feed(found, code), Batch()
    while feed.fill(batch):
        verifier.take(batch)
    return verifier.verdict(batch.row.packets, batch.row.start, PROFILES[profile], feed.unread)


def agree(
    found: list[Frame], code: Library, profile: str, bounds: Bounds | None = None, wanted: FlowFilter | None = None
) -> None:
    """Judge frames with both engines, and compare all that they say."""
    bounds = bounds or Bounds()
    # The pieces of a datagram in an example have one number; in a capture each has its own.
    found = [frame._replace(number=number) for number, frame in enumerate(found, 1)]
    one = Verifier(PROFILES[profile], literal=profile == LITERAL, bounds=bounds, wanted=wanted).run(found)
    other = compiled(found, code, profile, bounds, wanted)
    assert list(other.findings) == list(one.findings)
    assert other == one
    if wanted is None or not wanted.flows:
        shards, chunk = ((2, 300), (3, CHUNK))[len(found) % 2]
        divided = by_shards(found, code, profile, shards, bounds, wanted, chunk)
        assert divided is not None or bounds.once < MAX_ONCE
        assert divided is None or (list(divided.findings) == list(one.findings) and divided == one)
    assert sorted(map(repr, groups(other.findings, 3))) == sorted(map(repr, groups(one.findings, 3)))


def by_shards(
    found: list[Frame],
    code: Library,
    profile: str,
    shards: int,
    bounds: Bounds,
    wanted: FlowFilter | None = None,
    chunk: int = CHUNK,
) -> Verdict | None:
    """The verdict of several threads that share the conversations; None where only one thread can judge them."""
    with patch.object(mmap, "MADV_HUGEPAGE", mmap.MADV_NOHUGEPAGE):  # whose zeroing would take most of the time
        verifier = ShardedVerifier(profile, code, shards, bounds, wanted)
    return verifier.run(Feed(found, code, chunk=chunk), PROFILES[profile], lambda _packets: None)


def agree_about_rows(found: list[Frame], code: Library, wanted: FlowFilter | None = None) -> None:
    """Show frames with both engines, and compare all rows, and all lines of the table."""

    def rows(writer: LineWriter | None = None) -> Iterator[Row | Lines]:
        verifier = NativeVerifier(RFC9293, code, wanted=wanted, judges=writer is None)
        return observing.observe(Feed(found, code), verifier, [Batch(shows=True) for _ in range(2)], writer)

    any_flow = Flow(0, ((b"", 0), (b"", 0)), observing.NO_SIDES)

    def told(row: Row) -> tuple[Row, int, tuple[End, End]]:
        return replace(row, edits={}, flow=any_flow), row.flow.index, row.flow.ends

    assert list(map(told, rows())) == list(map(told, observe(found, wanted)))
    style = TableStyle(document=len(found) % 2 == 1, colour=len(found) % 3 == 0)
    with patch.object(conversation_table, "MAX_PREVIEW", 1):  # so that most rows are lines
        one, other = TextTable(style), TextTable(style)
        assert "\n".join(other.lines(rows(LineWriter(other, code)))) == "\n".join(one.lines(observe(found, wanted)))
