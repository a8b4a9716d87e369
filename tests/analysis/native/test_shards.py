"""Several threads that share the conversations of a capture give the verdict of one, however many they are."""

import os
import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

pytest.importorskip("numpy", reason="numpy is not installed")

from frames import ether, ip4, n16, tcp
from hypothesis import given
from hypothesis import strategies as st
from tricks import written

from labkit.analysis import limits
from labkit.analysis.flow_filter import FlowFilter
from labkit.analysis.native import engine
from labkit.analysis.native.native_verifier import NativeVerifier
from labkit.analysis.native.packed import Library
from labkit.analysis.native.pipeline import batches, run
from labkit.analysis.native.reader import CHUNK, Feed, Never
from labkit.analysis.native.shards import MAX_SHARDS, Numbers, ShardedVerifier, threads
from labkit.analysis.severity import RFC9293, Severity
from labkit.analysis.verdict import Bounds, Verdict
from labkit.capture import Damage, Frame, budget, open_capture
from labkit.capture.budget import Budget, Meter
from labkit.errors import LabkitError
from labkit.tcp.segment import ACK, SYN

THREADS = [(2, 0), (3, 1), (MAX_SHARDS, 2)]
"""Threads that judge, and threads that decode."""

FOLDER = os.environ.get("LABKIT_CAPTURES")
PATHS = sorted(path for path in Path(FOLDER).rglob("*.pcap*") if path.stat().st_size < 1 << 22) if FOLDER else []

Judged = tuple[Verdict, Damage | None]


def by_one(path: Path, code: Library, bounds: Bounds) -> Judged:
    with open_capture(path) as capture:
        verifier, feed = NativeVerifier(RFC9293, code, bounds), Feed(capture, code)
        whole = run(feed, verifier, batches(parallel=False))
        return listed(verifier.verdict(whole.packets, whole.start, RFC9293, feed.unread)), feed.damage


def by_two(path: Path, code: Library, bounds: Bounds, chunk: int) -> Judged:
    """One thread reads, one judges, and both decode."""
    with open_capture(path) as capture:
        verifier, feed = NativeVerifier(RFC9293, code, bounds), Feed(capture, code, chunk=chunk)
        whole = run(feed, verifier, batches())
        return listed(verifier.verdict(whole.packets, whole.start, RFC9293, feed.unread)), feed.damage


def by_several(path: Path, code: Library, bounds: Bounds, judges: int, decoders: int, chunk: int) -> Judged | None:
    with open_capture(path) as capture:
        verifier = ShardedVerifier(RFC9293, code, judges, bounds, decoders=decoders)
        feed = Feed(capture, code, chunk=chunk)
        verdict = verifier.run(feed, RFC9293, lambda _packets: None)
        return None if verdict is None else (listed(verdict), feed.damage)


def listed(verdict: Verdict) -> Verdict:
    """The verdict, of which all was made."""
    assert len(list(verdict.conversations)) == min(verdict.reported, limits.MAX_DESCRIBED)
    assert list(verdict.findings) is not None
    return verdict


def agree(path: Path, code: Library, bounds: Bounds, chunk: int = CHUNK) -> Verdict:
    one = by_one(path, code, bounds)
    assert by_two(path, code, bounds, chunk) == one
    for judges, decoders in THREADS:
        assert by_several(path, code, bounds, judges, decoders, chunk) == one
    return one[0]


def between(number: int, ctl: int, seq: int = 1000, data: bytes = b"") -> bytes:
    """A segment of one of many conversations, from one of many clients."""
    octets = bytearray(ether(ip4(tcp(data, seq=seq, ctl=ctl))))
    octets[29] = number % 200
    octets[34:36] = n16(1024 + number)
    return bytes(octets)


def kept(path: Path, octets: list[bytes]) -> Path:
    path.write_bytes(written([Frame(n, n * 1000, 1, each, len(each)) for n, each in enumerate(octets, 1)]))
    return path


@pytest.mark.skipif(not PATHS, reason="LABKIT_CAPTURES names no folder of captures")
@pytest.mark.timeout(300)
def test_captures(code: Library) -> None:
    draw = random.Random(3)
    tried = 0
    for path in draw.sample(PATHS, 40):
        small = Bounds(
            draw.randrange(1, 300), draw.randrange(100), draw.randrange(1, 50), every=draw.choice([1, 7, 5000])
        )
        for bounds, chunk in ((Bounds(), CHUNK), (small, draw.choice([3000, 60_000]))):
            try:
                agree(path, code, bounds, chunk)
            except LabkitError:
                continue  # it is no capture
            tried += 1
    assert tried > 50


@pytest.mark.parametrize("every", [1, 64, 1000, 16_384])
def test_conversations_leave_in_rounds(every: int, code: Library, tmp_path: Path) -> None:
    """Hundreds of conversations are open at a time, then over, then continued; findings of all severities have bounds."""
    draw = random.Random(every)
    found = [between(number, ctl) for ctl in (0x02, 0x10, 0x04, 0x18) for number in draw.sample(range(900), 800)]
    verdict = agree(kept(tmp_path / "a.pcap", found), code, Bounds(300, 120, 90, every=every), 20_000)
    assert {limit.kind for limit in verdict.limits} >= {"findings-not-kept"}
    assert ("forgotten" in {limit.kind for limit in verdict.limits}) == (every < 3000)


def test_initial_sequence_numbers_of_a_host_are_compared_in_order(code: Library, tmp_path: Path) -> None:
    """Each host's conversations are in several shards. Its third number is the same step further; only the first is reported."""
    found = [between(number, SYN, seq=number // 200 * 64_000) for number in range(1600)]
    verdict = agree(kept(tmp_path / "a.pcap", found), code, Bounds(), 5000)
    assert [each.packet for each in verdict.findings if each.code == "ISN01"] == list(range(401, 601))


def test_only_segments_whose_headers_fit_have_an_initial_sequence_number_to_judge(
    code: Library, tmp_path: Path
) -> None:
    """A header that is too long for its segment hides what it says; its number is the host's last one nevertheless."""
    found = [between(number, SYN, seq=number // 200 * 64_000) for number in range(1600)]
    broken = [octets[:46] + b"\xf0" + octets[47:] if number % 3 else octets for number, octets in enumerate(found)]
    verdict = agree(kept(tmp_path / "a.pcap", broken), code, Bounds(), 5000)
    foretold = {each.packet for each in verdict.findings if each.code == "ISN01"}
    assert foretold
    assert all((packet - 1) % 3 == 0 for packet in foretold if packet is not None)


def test_a_host_that_was_forgotten_is_not_compared(code: Library, tmp_path: Path) -> None:
    """A SYN ACK stands again behind a broken copy, when others have taken its host's place."""
    first, *others, last = (between(number, SYN | ACK, seq=77) for number in (0, 1, 2, 3, 200))
    broken = last[:46] + b"\xf0" + last[47:]
    path = kept(tmp_path / "a.pcap", [first, broken, *others, last])
    assert "ISN01" in {each.code for each in agree(path, code, Bounds()).findings}
    assert "ISN01" not in {each.code for each in agree(path, code, Bounds(hosts=2)).findings}


def test_a_batch_of_fragments_that_has_no_room_for_all_datagrams(code: Library, tmp_path: Path) -> None:
    """Thirty datagrams of 60,000 octets are complete in one batch: it is judged in parts."""
    found = []
    for number in range(30):
        octets = bytearray(between(number, 0x18, data=bytes(60_000)))
        octets[18:20] = n16(number)
        *first, last = fragments_of(bytes(octets))
        found.append((first, last))
    first = [each for pieces, _ in found for each in pieces]
    whole = [*first, *(last for _, last in found), *(between(number, 0x10, 61_000) for number in range(30))]
    verdict = agree(kept(tmp_path / "a.pcap", whole), code, Bounds())
    assert verdict.segments == 60


def fragments_of(octets: bytes, size: int = 1200) -> list[bytes]:
    """An Ethernet frame's datagram in a few pieces; the last one is short."""
    head, body = octets[14:34], octets[34:]
    places = [*range(0, len(body) - 8, size)]
    made = []
    for place in places:
        end = place + size if place != places[-1] else len(body)
        more = 0x2000 if end < len(body) else 0
        new = head[:2] + n16(20 + end - place) + head[4:6] + n16(more | place // 8) + head[8:10] + bytes(2) + head[12:]
        made.append(octets[:14] + new + body[place:end])
    return made


def test_only_one_thread_knows_what_was_reported_before_hosts_were_forgotten(
    code: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [between(number, SYN, seq=number // 200 * 64_000) for number in range(1600)]
    path, bounds = kept(tmp_path / "a.pcap", found), Bounds(once=8)
    assert by_several(path, code, bounds, 2, 0, CHUNK) is None
    monkeypatch.setattr(engine, "processors", lambda: 4)
    monkeypatch.setattr(engine, "LARGE_TO_DIVIDE", 0)
    with open_capture(path) as capture:
        verdict = engine.verify_capture(capture, engine="compiled", bounds=bounds, completeness="partial")
    assert list(verdict.findings) == list(by_one(path, code, bounds)[0].findings)


def test_what_is_reported_once_more_has_no_room(code: Library, tmp_path: Path) -> None:
    """Thousands of hosts where eight are remembered, and room for few findings."""
    found = [between(number, SYN, seq=number // 200 * 64_000) for number in range(20_000)]
    verifier = ShardedVerifier(RFC9293, code, 2, Bounds(once=8, findings=1))
    *shards, hosts = (*verifier._shards, verifier._hosts)
    with open_capture(kept(tmp_path / "a.pcap", found)) as capture:
        assert verifier.run(Feed(capture, code), RFC9293, lambda _packets: None) is None
    assert hosts.context.crowded
    for each in (*shards, hosts):
        assert each.context.finding_count <= len(each.table("findings")) == 3 + 8


@pytest.mark.parametrize("wanted", [None, FlowFilter(ports=(1030,)), FlowFilter(flows=(7,))], ids=str)
@pytest.mark.parametrize("processors", [1, 3, 6])
def test_the_engine_divides_a_large_capture(
    processors: int, wanted: FlowFilter | None, code: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = kept(tmp_path / "a.pcap", [between(number, SYN) for number in range(300)])
    made = []
    monkeypatch.setattr(ShardedVerifier, "run", noting(ShardedVerifier.run, made))
    verdicts = []
    for available in (processors, 1):
        monkeypatch.setattr(engine, "processors", lambda available=available: available)
        monkeypatch.setattr(engine, "LARGE_TO_DIVIDE", 0)
        verdicts.append(engine.verify(path, engine="compiled", wanted=wanted))
    assert verdicts[0] == verdicts[1]
    assert verdicts[0].reported == (300 if wanted is None else 1)
    assert len(made) == (processors > 2 and (wanted is None or not wanted.flows))


class Stop(Never):
    """Interrupts after some waiting."""

    seen = False

    def __init__(self, times: int = 1) -> None:
        self._left = times

    def waiting(self) -> AbstractContextManager[None]:
        self.seen = self._left == 0
        self._left = max(0, self._left - 1)
        return super().waiting()


def test_what_has_no_place_is_not_kept(code: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread keeps findings of a severity, or figures of conversations, where those before them are enough for a verdict."""
    monkeypatch.setattr(limits, "MAX_DESCRIBED", 600)
    monkeypatch.setattr(NativeVerifier, "release", lambda _self: None)
    path = kept(tmp_path / "a.pcap", [between(number, 0x10) for number in range(3000)] * 2)
    bounds = Bounds(findings=500)
    one, damage = by_one(path, code, bounds)
    verifier = ShardedVerifier(RFC9293, code, 2, bounds)
    shards = list(verifier._shards)
    with open_capture(path) as capture:
        assert verifier.run(Feed(capture, code, chunk=3000), RFC9293, lambda _packets: None) == one
    assert damage is None
    assert len(one.conversations) == 600
    assert 600 <= sum(each.context.max_described for each in shards) < 900
    assert all(each.context.max_findings[Severity.ERROR] == 0 for each in shards)
    assert 500 <= sum(each.table("kept")[Severity.ERROR] for each in shards) < 900


def dividing(path: Path, monkeypatch: pytest.MonkeyPatch, meter: Meter | None = None, **options: object) -> Verdict:
    """The verdict of the whole engine on a capture that is large enough for several threads."""
    monkeypatch.setattr(engine, "LARGE_TO_DIVIDE", 0)
    with open_capture(path, meter) as capture:
        return engine.verify_capture(capture, engine="compiled", completeness="partial", **options)  # type: ignore[arg-type]


def test_one_thread_judges_where_several_take_too_much_memory(
    code: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = kept(tmp_path / "a.pcap", [between(number, SYN) for number in range(40_000)])
    monkeypatch.setattr(engine, "processors", lambda: 1)
    one = dividing(path, monkeypatch, Meter(Budget()))
    used, run = [0], ShardedVerifier.run

    def greedy(*arguments: object) -> Verdict | None:
        used[0] = 1 << 40
        try:
            return run(*arguments)  # type: ignore[arg-type]
        finally:
            used[0] = 0

    monkeypatch.setattr(ShardedVerifier, "run", greedy)
    monkeypatch.setattr(budget, "resident", lambda: used[0])
    monkeypatch.setattr(engine, "processors", lambda: 4)
    assert dividing(path, monkeypatch, Meter(Budget())) == one


@pytest.mark.parametrize("end", ["interruption", "seconds", "octets"])
def test_one_thread_judges_what_several_have_read(
    end: str, code: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several threads cannot judge the capture, of which they have read a part."""
    path, bounds = kept(tmp_path / "a.pcap", [between(number, SYN, seq=0) for number in range(40_000)]), Bounds(once=8)
    monkeypatch.setattr(engine, "processors", lambda: 4)
    times = iter([0, 0])  # the last reading is in time, and nothing later
    meters = {
        "seconds": lambda: Meter(Budget(seconds=5), clock=lambda: next(times, 9)),
        "octets": lambda: Meter(Budget(octets=1 << 20)),
    }
    verdict = dividing(
        path,
        monkeypatch,
        meters.get(end, lambda: None)(),
        bounds=bounds,
        interruption=Stop(2) if end == "interruption" else None,
    )
    assert 5000 < verdict.packets < 40_000
    assert verdict.segments == verdict.packets
    assert (verdict.damage is None) == (end == "interruption")


def noting(function: Callable[..., Verdict | None], made: list[object]) -> Callable[..., Verdict | None]:
    def noted(*arguments: object) -> Verdict | None:
        made.append(arguments[0])
        return function(*arguments)

    return noted


@pytest.mark.parametrize(("judges", "decoders"), THREADS)
def test_an_interruption_ends_the_reading(judges: int, decoders: int, code: Library, tmp_path: Path) -> None:
    path = kept(tmp_path / "a.pcap", [between(number, SYN) for number in range(40_000)])
    with open_capture(path) as capture:
        verifier = ShardedVerifier(RFC9293, code, judges, decoders=decoders)
        verdict = verifier.run(Feed(capture, code, Stop()), RFC9293, lambda _packets: None)
    assert verdict is not None
    assert 0 < verdict.packets < 40_000
    assert verdict.segments == verdict.flows == verdict.packets


@pytest.mark.parametrize("entry", ["decode_batch", "process_shard", "plan_round", "compare_isns", "finish_shard"])
def test_a_mistake_in_a_thread_ends_all(entry: str, code: Library, tmp_path: Path) -> None:
    def fails(*_addresses: int) -> int:
        raise ValueError("a mistake")

    changed = Library()
    changed.entries = {**code.entries, entry: fails}
    path = kept(tmp_path / "a.pcap", [between(number, SYN) for number in range(300)])
    verifier = ShardedVerifier(RFC9293, changed, 2, Bounds(open=10, every=10), decoders=1)
    with open_capture(path) as capture, pytest.raises(ValueError, match="a mistake"):
        verifier.run(Feed(capture, changed, chunk=3000), RFC9293, lambda _packets: None)


@pytest.mark.parametrize("processors", range(3, 70))
def test_there_are_no_more_threads_than_processors(processors: int) -> None:
    judges, decoders = threads(processors)
    assert 2 <= judges <= MAX_SHARDS
    assert 0 <= decoders <= MAX_SHARDS
    assert 1 + judges + decoders <= processors


@given(st.lists(st.lists(st.booleans(), max_size=40), max_size=6))
def test_numbers_of_conversations(parts: list[list[bool]]) -> None:
    numbers, first = Numbers(), 0
    for part in parts:
        bits = sum(1 << place for place, begins in enumerate(part) if begins)
        numbers.add(first, bits.to_bytes((len(part) + 7) // 8, "little"), sum(part))
        first += len(part)
    begin = [place for place, begins in enumerate((each for part in parts for each in part), 1) if begins]
    assert [numbers.number(place) for place in begin] == list(range(len(begin)))
    assert numbers.count == len(begin)
