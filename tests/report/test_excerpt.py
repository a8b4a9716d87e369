"""Excerpts: frames of other conversations are skipped, and skipping them changes nothing."""

from pathlib import Path

import pytest

from labkit.analysis.finding import Finding
from labkit.analysis.verifier import verify
from labkit.capture import create, open_capture
from labkit.errors import CaptureError
from labkit.packet.linktype import ETHERNET
from labkit.report.formats import _excerpt
from labkit.report.formats._excerpt import excerpts

PCAPS = Path(__file__).parents[2] / "pcaps"


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[Finding]]:
    """All shipped captures in one file, with VLANs, fragments and both versions of IP; and its findings."""
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


def comparable(path: str, found: list[Finding]) -> dict[int | None, object]:
    """The excerpts as values that can be compared."""
    columns = ("number", "relative_seq", "relative_ack", "states", "client", "sender")
    return {
        number: [[[getattr(row, name) for name in columns] for row in rows] for rows in (each.rows, each.history)]
        for number, each in excerpts(path, found).items()
    }


@pytest.mark.parametrize("step", [1, 7, 50])
def test_skipping_other_conversations_changes_nothing(
    step: int, capture: tuple[str, list[Finding]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, found = capture
    some = found[::step]
    seen = comparable(path, some)
    assert seen.keys() == {each.packet for each in some}
    monkeypatch.setattr(_excerpt, "possible_frames", lambda frames, _ends: frames)
    assert seen == comparable(path, some)


def test_most_frames_of_other_conversations_are_skipped(
    capture: tuple[str, list[Finding]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, found = capture
    frames = []
    monkeypatch.setattr(_excerpt, "observe", lambda some, _only: frames.extend(some) or iter(()))
    excerpts(path, [next(each for each in found if not each.source.startswith(("192.0.2.", "[2001:db8:")))])
    everything = sum(1 for _ in open_capture(path))
    assert 0 < len(frames) < everything / 5


def test_the_number_of_decoded_segments_is_bounded(
    capture: tuple[str, list[Finding]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, found = capture
    monkeypatch.setattr(_excerpt, "MAX_SEGMENTS", 100)
    assert 0 < len(comparable(path, found)) < len({each.packet for each in found})


def test_an_unreadable_capture_has_no_excerpts(
    capture: tuple[str, list[Finding]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: str) -> None:
        raise CaptureError("gone")

    monkeypatch.setattr(_excerpt, "open_capture", refuse)
    assert excerpts(*capture) == {}
