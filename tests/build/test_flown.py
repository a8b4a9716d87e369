"""The records of a simulation are made when they are read, and a file has the same packets without them."""

import pickle
from copy import copy, deepcopy
from dataclasses import replace
from io import BytesIO

import pytest

from labkit.build.explain import Words
from labkit.build.flown import Flown
from labkit.build.record import Record
from labkit.build.scenario import Scenario, shipped
from labkit.build.trace import EDITIONS, Trace

BOTH_SIDES = """
name: both-sides
summary: Captured at both ends of a path that loses, marks, delays and duplicates, with two conversations
capture: both
path: {rtt: 20ms, hops: 2, to_client: {lose: [5], late: {7: 30ms}, mark: [9]}, to_server: {duplicate: [3]}}
client: {ecn: true}
server: {ecn: true}
conversations: {count: 3, arrivals: every 15ms}
steps:
  - client: connect
  - client: {send: 300}
  - server: {send: 9000}
  - server: close
  - client: close
"""


def written(trace: Trace, edition: str = "annotated", kind: str = "pcapng", *, translated: bool = False) -> bytes:
    target = BytesIO()
    trace.write(target, format=kind, edition=edition, translated=translated)
    return target.getvalue()


def with_records(trace: Trace) -> Trace:
    """The same trace, of records that are made."""
    return replace(trace, records=tuple(trace.records))


@pytest.mark.slow
@pytest.mark.parametrize("edition", EDITIONS)
@pytest.mark.parametrize("kind", ["pcap", "pcapng"])
@pytest.mark.parametrize("name", shipped())
def test_a_file_is_the_same_with_and_without_records(name: str, kind: str, edition: str) -> None:
    trace = Scenario.load(name).play(seed=5)
    assert isinstance(trace.records, Flown)
    if kind == "pcap" and len(trace.records.taps) > 1:
        pytest.skip("a pcap has one capture point")
    assert written(trace, edition, kind) == written(with_records(trace), edition, kind)


@pytest.mark.parametrize("edition", EDITIONS)
def test_both_capture_points_of_several_conversations(edition: str) -> None:
    trace = Scenario.parse(BOTH_SIDES).play()
    assert written(trace, edition) == written(with_records(trace), edition)
    assert {record.connection for record in trace} == {0, 1, 2}
    assert {record.tap for record in trace} == {"client", "server"}
    assert [record.time for record in trace] == sorted(record.time for record in trace)
    assert not all(record.arrived for record in trace)


def test_writing_makes_no_record(monkeypatch: pytest.MonkeyPatch) -> None:
    trace = Scenario.load("document").play()
    monkeypatch.setattr("labkit.build.flown.records_of", None)
    assert written(trace)
    assert len(trace) == 10
    with pytest.raises(TypeError):
        list(trace.records)


def test_records_are_made_once_and_like_a_tuple() -> None:
    records = Scenario.load("document").play().records
    made = tuple(records)
    assert all(one is other for one, other in zip(records, made, strict=True))
    assert records == made
    assert made == records
    assert records != made[:-1]
    assert records != list(reversed(made))
    assert repr(records) == repr(made)
    assert records[2:4] == made[2:4]
    assert records[-1] is made[-1]
    assert [record.number for record in records] == list(range(1, 11))
    for again in (copy(records), deepcopy(records), pickle.loads(pickle.dumps(records))):  # noqa: S301 - its own
        assert again == made
        assert type(again) is tuple
        assert {type(record) for record in again} == {Record}


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("{a} octets", ("5",), "5 octets"),
        ("octets", ("5",), "octets"),
        ("{a} or {a}", ("5",), "5 or 5"),
        ("seq {a} (raw {b})", ("1", "2"), "seq 1 (raw 2)"),
        ("raw {b}, seq {a}", ("1", "2"), "raw 2, seq 1"),
        ("{a}{b}", ("1", "2"), "12"),
        ("ack {a} (raw {b}) = {c} of {{}}", ("1", "2", "3"), "ack 1 (raw 2) = 3 of {}"),
        ("{c}: {a} {b}", ("1", "2", "3"), "3: 1 2"),
        ("{b}", ("1", "2", "3"), "2"),
    ],
)
def test_words_are_filled_in_as_by_format(text: str, values: tuple[str, ...], expected: str) -> None:
    words = Words(text, *"abc"[: len(values)])
    assert (words.one, words.two, words.three)[len(values) - 1](*values) == expected
    assert text.format(**dict(zip("abc", values, strict=False))) == expected
