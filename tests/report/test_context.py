"""What stands around findings: the same, whatever of the capture need not be looked at for it."""

from pathlib import Path

import pytest

from labkit.analysis.finding import Finding
from labkit.analysis.verifier import verify
from labkit.capture import create, open_capture
from labkit.errors import CaptureError
from labkit.packet.linktype import ETHERNET
from labkit.report.formats import _context
from labkit.report.formats._context import gather

PCAPS = Path(__file__).parents[2] / "pcaps"


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[Finding]]:
    """The shipped captures in one, VLANs, fragments and both versions of IP among them; and what is found in it."""
    path = tmp_path_factory.mktemp("context") / "all.pcap"
    with create(path, link=ETHERNET) as writer:
        for each in sorted([*PCAPS.glob("*.pcapng"), *PCAPS.glob("real/*.pcap*")]):
            with open_capture(each) as reader:
                for frame in reader:
                    if frame.link == ETHERNET:
                        writer.write(frame.time, frame.data, wirelen=frame.wirelen)
    found = [each for each in verify(path).findings if each.packet is not None]
    assert len({each.flow for each in found}) > 30
    return str(path), found


def around(path: str, found: list[Finding]) -> dict[int | None, object]:
    """What can be seen of the contexts."""
    columns = ("number", "relative_seq", "relative_ack", "states", "client", "sender")
    return {
        number: [[[getattr(row, name) for name in columns] for row in rows] for rows in (each.rows, each.history)]
        for number, each in gather(path, found).items()
    }


@pytest.mark.parametrize("step", [1, 7, 50])
def test_of_other_conversations_nothing_is_missed(
    step: int, capture: tuple[str, list[Finding]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, found = capture
    some = found[::step]
    seen = around(path, some)
    assert seen.keys() == {each.packet for each in some}
    monkeypatch.setattr(_context, "_between", lambda frames, _ends: frames)
    assert seen == around(path, some)


def test_most_frames_of_others_are_passed_over(
    capture: tuple[str, list[Finding]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, found = capture
    frames = []
    monkeypatch.setattr(_context, "observe", lambda some, _only: frames.extend(some) or iter(()))
    gather(path, [next(each for each in found if not each.source.startswith(("192.0.2.", "[2001:db8:")))])
    everything = sum(1 for _ in open_capture(path))
    assert 0 < len(frames) < everything / 5


def test_of_so_many_segments_no_more(capture: tuple[str, list[Finding]], monkeypatch: pytest.MonkeyPatch) -> None:
    path, found = capture
    monkeypatch.setattr(_context, "MOST", 100)
    assert 0 < len(around(path, found)) < len({each.packet for each in found})


def test_a_capture_that_cannot_be_read_any_more(
    capture: tuple[str, list[Finding]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: str) -> None:
        raise CaptureError("gone")

    monkeypatch.setattr(_context, "open_capture", refuse)
    assert gather(*capture) == {}
