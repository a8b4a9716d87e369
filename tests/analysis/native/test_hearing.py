"""The segments that the compiled engine keeps for the second look."""

from dataclasses import asdict
from pathlib import Path

import pytest
from frames import ether, ip4, n16, tcp

from labkit.analysis.flow_filter import FlowFilter
from labkit.analysis.native.hearing import Hearing
from labkit.analysis.native.native_verifier import NativeVerifier
from labkit.analysis.native.packed import Library
from labkit.analysis.native.pipeline import batches, run
from labkit.analysis.native.reader import Feed
from labkit.analysis.severity import RFC9293
from labkit.analysis.strays import Talk
from labkit.analysis.talks import gathered, talks_of
from labkit.analysis.verdict import Verdict
from labkit.capture import Frame, open_capture

PCAPS = sorted((Path(__file__).parents[3] / "pcaps").rglob("*.pcap*"))


def heard(found: list[Frame], code: Library, most: int, wanted: FlowFilter | None = None) -> tuple[Hearing, Verdict]:
    verifier = NativeVerifier(RFC9293, code, wanted=wanted, most=most)
    hearing, feed = Hearing(verifier), Feed(found, code, chunk=2000)
    whole = run(feed, hearing, batches(small=True, shows=True))
    return hearing, verifier.verdict(whole.packets, whole.start, RFC9293, feed.unread)


def of_port(port: int) -> bytes:
    return ether(ip4(n16(port) + tcp()[2:]))


def told(talk: Talk) -> tuple[object, ...]:
    return talk.index, talk.ends, talk.flow and talk.flow.client, [asdict(seg) for seg in talk.segments]


@pytest.mark.parametrize("path", PCAPS[::6], ids=lambda path: path.stem)
def test_what_is_kept_is_what_reading_again_gives(path: Path, code: Library) -> None:
    with open_capture(path) as capture:
        found = list(capture)
    kept = heard(found, code, len(found))[0].heard
    assert kept is not None
    assert list(map(told, gathered(kept))) == list(map(told, talks_of(found, None)))


def test_nothing_is_kept_where_something_would_be_left_out(code: Library) -> None:
    found = [Frame(number, number, 1, of_port(number), 60) for number in (1, 2, 3)]
    assert len(heard(found, code, 3)[0].heard or ()) == 3
    assert heard(found, code, 3, FlowFilter(flows=(1,)))[0].heard is None
    short = [*found, Frame(4, 4, 1, ether(ip4(tcp()[:13])), 60)]
    assert heard(short, code, 4)[0].heard is None


def test_a_file_that_grows_while_it_is_read_stays_within_memory(code: Library) -> None:
    found = [Frame(number, number, 1, of_port(number), 60) for number in range(1, 5000)]
    verdict = heard(found, code, 4)[1]
    assert (verdict.flows, verdict.segments) == (4999, 4999)
    assert "forgotten" in [limit.kind for limit in verdict.limits]
