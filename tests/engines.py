"""What both engines say of the same frames."""

from labkit.analysis.finding import groups
from labkit.analysis.flow_filter import FlowFilter
from labkit.analysis.native.loader import Library
from labkit.analysis.native.native_verifier import NativeVerifier
from labkit.analysis.native.reader import Batch, Feed
from labkit.analysis.rule import DOCUMENT, LITERAL, RFC9293
from labkit.analysis.verifier import Bounds, Verdict, Verifier
from labkit.capture import Frame

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
    assert sorted(map(repr, groups(other.findings, 3))) == sorted(map(repr, groups(one.findings, 3)))
