"""Pictures: what is lost, sent again and expected; the same bytes each time; every format of every picture."""

import io
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections import Counter
from html import unescape
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit import verify
from labkit.analysis.native import engine
from labkit.build.faults import inject
from labkit.build.scenario import Scenario, shipped
from labkit.capture import create, open_capture
from labkit.cli import run
from labkit.errors import UsageError
from labkit.report.draw import (
    CONVERTED,
    DrawOptions,
    _conversation,
    _plot,
    _subject,
    _svg,
    draw,
    formats,
    names,
    picture,
    summary,
)
from labkit.report.draw._conversation import (
    CLIENT,
    DUPLICATE_ACK,
    KEEP_ALIVE,
    PROBE,
    RETRANSMISSION,
    SERVER,
    ZERO_WINDOW,
    Conversation,
)
from labkit.report.draw._folding import Fold, folded
from labkit.report.draw._ladder_layout import first_states, layout
from labkit.report.draw._marks import expected_label, fault_of
from labkit.report.draw._series import ACKED, AGAIN, DATA, DUPLICATE, LATE, PUSHED, read
from labkit.report.draw._subject import Subject, of_capture
from labkit.report.draw.states import ways
from labkit.report.reveal import reveal
from labkit.tcp.state import State

GOLDEN = Path(__file__).parent / "golden"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def subject(path: str) -> Subject:
    return of_capture(path, lambda: open_capture(path), verify(path))


def built(name: str, *faults: str, path: str = "a.pcapng") -> Subject:
    inject(Scenario.load(name).play(), faults).write(path)
    return subject(path)


def one(found: Subject) -> Conversation:
    (conversation,) = found.conversations
    return conversation


def lost(conversation: Conversation) -> set[tuple[int, int]]:
    """Sender and sequence number of the segments that are drawn as lost."""
    return {(arrow.sender, arrow.row.seq) for arrow in conversation.arrows if arrow.lost}


# Where segments are, and when.


@pytest.mark.parametrize("point", ["client", "server"])
def test_the_capture_point_does_not_move_the_arrows(point: str) -> None:
    """Both captures of one conversation give the same times at both ends."""
    scenario = Scenario.load("document")
    scenario = Scenario(scenario.source, scenario.model.model_copy(update={"capture": point}))
    scenario.play().write("a.pcapng")
    arrows = one(subject("a.pcapng")).arrows
    start = arrows[0].sent
    times = [(arrow.sent - start, (arrow.arrives or 0) - start) for arrow in arrows]
    ms = 1_000_000
    assert times[:5] == [(0, 10 * ms), (10 * ms, 20 * ms), (20 * ms, 30 * ms), (20 * ms, 30 * ms), (30 * ms, 40 * ms)]


def test_two_points_show_losses_and_one_point_surmises_the_same() -> None:
    both = one(built("lossy-both-sides"))
    assert both.points == 2
    truth = lost(both)
    assert {sender for sender, _seq in truth} == {CLIENT, SERVER}
    assert not any(arrow.surmised for arrow in both.arrows)
    with open_capture("a.pcapng") as capture:
        frames = list(capture)
    for interface, sender in ((0, CLIENT), (1, SERVER)):
        with create("b.pcap", link=1) as writer:
            for frame in frames:
                if frame.interface == interface:
                    writer.write(frame.time, frame.data)
        single = one(subject("b.pcap"))
        assert lost(single) == {each for each in truth if each[0] == sender}
        assert all(arrow.surmised for arrow in single.arrows if arrow.lost)


def test_a_scenario_shows_what_its_capture_lacks() -> None:
    assert run(["draw", "syn-ack-lost", "-o", "a.svg"]) == 0
    text = Path("a.svg").read_text("utf-8")
    assert "not in the capture" in text
    built("syn-ack-lost")
    assert "not in the capture" not in "".join(picture("ladder", "svg")(subject("a.pcapng"), DrawOptions()))


def test_a_segment_that_came_twice_is_not_lost() -> None:
    """A D-SACK says that the original arrived: the retransmission was spurious."""
    text = """
        > S  0:0(0) <sackOK, mss 1000>
        < S. 0:0(0) ack 1 <sackOK, mss 1000>
        > .  1:1(0) ack 1
        > P. 1:101(100) ack 1
        > P. 1:101(100) ack 1
        < .  1:1(0) ack 101 {dsack}
    """
    for dsack, expected in (("<sack 1:101>", 0), ("", 1)):
        Path("a.pkt").write_text(text.format(dsack=dsack), "utf-8")
        assert run(["build", "a.pkt", "-o", "a.pcapng"]) == 0
        assert len(lost(one(subject("a.pcapng")))) == expected


@pytest.mark.parametrize(
    ("scenario", "kind", "least"),
    [
        ("fast-retransmit", RETRANSMISSION, 1),
        ("fast-retransmit", DUPLICATE_ACK, 3),
        ("zero-window", PROBE, 2),
        ("zero-window", ZERO_WINDOW, 2),
        ("keep-alive", KEEP_ALIVE, 1),
        ("document", "", 10),
    ],
)
def test_kinds(scenario: str, kind: str, least: int) -> None:
    count = Counter(arrow.kind for arrow in one(built(scenario)).arrows)
    assert count[kind] >= least
    if scenario == "document":
        assert set(count) == {""}


def test_a_retransmission_is_tied_to_its_original() -> None:
    for arrow in one(built("fast-retransmit-sack")).arrows:
        if arrow.kind == RETRANSMISSION:
            assert arrow.original is not None
            assert arrow.original.row.seq == arrow.row.seq
            assert (arrow.original.number or 0) < (arrow.number or 0)
            break
    else:
        pytest.fail("nothing is sent again")


def test_states_are_those_of_each_end() -> None:
    """In a simultaneous close each end is in FIN-WAIT-1 until the other's FIN arrives, wherever the capture was taken."""
    conversation = one(built("simultaneous-close"))
    for way in ways(conversation):
        reached = [step.target for step in way]
        assert reached[-3:] == [State.FIN_WAIT_1, State.CLOSING, State.TIME_WAIT]


@pytest.mark.parametrize("name", shipped())
def test_every_scenario_can_be_drawn(name: str) -> None:
    found = built(name, path=f"{name}.pcapng")
    for conversation in found.conversations:
        check_layout(conversation)
    text = "".join(picture("ladder", "svg")(found, DrawOptions()))
    root = ET.fromstring(text)  # noqa: S314 - labkit's own
    assert root.tag == f"{SVG}svg"
    assert "".join(picture("ladder", "svg")(found, DrawOptions())) == text


def check_layout(conversation: Conversation) -> None:
    """Time runs downwards at each end, and nothing arrives before it leaves."""
    found = layout(conversation, list(conversation.arrows), 0, first_states(conversation))
    assert len(found.arrows) == len(conversation.arrows)
    for end in (CLIENT, SERVER):
        leaves = [(placed.arrow.sent, placed.leaves) for placed in found.arrows if placed.arrow.sender == end]
        leaves.sort()
        assert [y for _time, y in leaves] == sorted(y for _time, y in leaves)
    assert all(placed.arrives > placed.leaves for placed in found.arrows)
    assert all(change.y <= found.height for change in found.changes)


# Faults.


def test_a_fault_has_the_expected_arrow() -> None:
    found = built("document", "ack-of-unsent-data")
    faulty = [arrow for arrow in one(found).arrows if fault_of(arrow)]
    (arrow,) = faulty
    finding = fault_of(arrow)
    assert finding is not None
    assert f"ack={finding.expected_relative}" in expected_label(arrow).split()
    text = "".join(picture("ladder", "svg")(found, DrawOptions()))
    assert "dashed right-line" in text
    assert "fault-line thick" in text
    sound = "".join(picture("ladder", "svg")(built("document"), DrawOptions()))
    assert "dashed right-line" not in sound
    assert "fault-line" not in re.sub(r"<style>.*?</style>", "", sound, flags=re.DOTALL)


def test_a_hidden_value_is_in_no_picture(capsys: pytest.CaptureFixture[str]) -> None:
    built("document", "ack-of-unsent-data")
    for what in ("ladder", "header"):
        for format_ in ("svg", "html", "terminal"):
            assert run(["draw", "a.pcapng", "--what", what, "--format", format_, "--reveal", "actual"]) == 0
            text = re.sub(r"<style>.*?</style>|<script>.*?</script>", "", capsys.readouterr().out, flags=re.DOTALL)
            assert "expected" not in text
            assert "should be" not in text


def test_octets_out_of_order_are_not_sent_again() -> None:
    """At the receiver, a late segment fills a gap; its octets count as new ones."""
    scenario = Scenario.load("reordering")
    Scenario(scenario.source, scenario.model.model_copy(update={"capture": "server"})).play().write("a.pcap")
    found = subject("a.pcap")
    client, _server = read(found, one(found))
    assert client.marks.count(LATE) == 1
    assert client.marks.count(AGAIN) == 0
    assert sum(client.fresh.value) == 7000
    text = "\n".join(picture("time-sequence", "svg")(found, DrawOptions()))
    assert ">O</text>" in text
    assert ">R</text>" not in text


def test_a_wrong_ack_leaves_the_round_trip_times() -> None:
    """An ACK of what nobody has sent is marked where it is; all later ACKs are measured as without it."""
    expected = read(built("document"), one(built("document")))
    found = built("document", "ack-of-unsent-data")
    client, server = read(found, one(found))
    assert list(server.rtt.value) == list(expected[1].rtt.value)
    assert list(client.rtt.value) == list(expected[0].rtt.value)
    assert [low for _time, low, _high, _packet in server.marks.of(ACKED)] == [1, 1001, 120, 121]
    assert list(server.flight.value) == list(expected[1].flight.value)


@pytest.mark.parametrize("level", ["none", "full"])
def test_a_wrong_sequence_number_leaves_no_gap_to_fill(level: str) -> None:
    """What follows at the right numbers is in order."""
    built("document", "sequence-number-skips@5")
    found = of_capture("a", lambda: open_capture("a.pcapng"), reveal(verify("a.pcapng"), level))
    assert [arrow.kind for arrow in one(found).arrows] == [""] * 10
    assert sum(fault_of(arrow) is not None for arrow in one(found).arrows) == 1


# Folding.


def test_long_runs_are_folded() -> None:
    conversation = one(built("slow-start"))
    parts = folded(conversation)
    folds = [part for part in parts if isinstance(part, Fold)]
    assert folds
    assert str(folds[0]) == f"{len(folds[0].arrows):,} segments, in order"
    drawn = [arrow for part in parts for arrow in (part.arrows if isinstance(part, Fold) else [part])]
    assert drawn == conversation.arrows
    assert folded(conversation, whole=True) == conversation.arrows


@given(most=st.integers(1, 60))
@settings(max_examples=20, deadline=None)
def test_a_fold_never_hides_a_fault_while_there_is_room(most: int) -> None:
    conversation = one(built("fast-retransmit", "ack-of-unsent-data"))
    parts = folded(conversation, most)
    shown = [part for part in parts if not isinstance(part, Fold)]
    assert len(shown) <= max(most, 2) + 10 * sum(isinstance(part, Fold) for part in parts) + 6
    if most >= 5:
        assert any(fault_of(part) for part in shown)


# Every picture and format.

ALL = [(what, format_) for what in names() for format_ in formats(what)]


@pytest.mark.parametrize(("what", "format_"), ALL)
def test_every_picture_in_every_format(what: str, format_: str, capsys: pytest.CaptureFixture[str]) -> None:
    if format_ in CONVERTED and not shutil.which("rsvg-convert"):
        pytest.skip("rsvg-convert is not installed")
    built("fast-retransmit-sack", "ack-of-unsent-data")
    assert run(["draw", "a.pcapng", "--what", what, "--format", format_, "-o", "one"]) == 0
    assert run(["draw", "a.pcapng", "--what", what, "--format", format_, "-o", "two"]) == 0
    octets = Path("one").read_bytes()
    if format_ != "pdf":  # which has the time of its making
        assert octets == Path("two").read_bytes()
    heads = {
        "png": b"\x89PNG",
        "pdf": b"%PDF",
        "svg": b"<svg ",
        "html": b"<!DOCTYPE html>",
        "xpl": b"timeval",
        "dot": b"digraph",
    }
    assert octets.startswith(heads.get(format_, b""))
    if format_ == "svg":
        ET.fromstring(octets)  # noqa: S314 - labkit's own
    if format_ in ("dot", "mermaid", "terminal"):
        assert b"\x1b" not in octets
        assert octets.endswith(b"\n")
    assert summary(what)


@pytest.mark.parametrize("what", ["ladder", "states"])
def test_graphviz_takes_the_source(what: str) -> None:
    if not shutil.which("dot"):
        pytest.skip("graphviz is not installed")
    built("lossy-both-sides")
    assert run(["draw", "a.pcapng", "--what", what, "-o", "a.dot"]) == 0
    done = subprocess.run(["dot", "-Tsvg", "a.dot"], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "SYN-SENT" in unescape(done.stdout)


@pytest.mark.parametrize(
    ("scenario", "faults", "what"),
    [
        ("document", (), "ladder"),
        ("document", ("ack-of-unsent-data",), "ladder"),
        ("fast-retransmit-sack", (), "ladder"),
        ("zero-window", (), "ladder"),
        ("simultaneous-close", (), "ladder"),
        ("lossy-both-sides", (), "ladder"),
        ("fast-retransmit-sack", (), "time-sequence"),
        ("simultaneous-close", (), "states"),
        ("document", ("ack-of-unsent-data",), "header"),
        ("http", (), "layers"),
    ],
)
def test_golden_pictures(scenario: str, faults: tuple[str, ...], what: str) -> None:
    """The bytes are those that a person has looked at. `python tests/report/golden/renew.py` writes them anew."""
    name = "-".join((scenario, *faults, what))
    text = "\n".join(picture(what, "svg")(built(scenario, *faults), DrawOptions()))
    assert text == (GOLDEN / f"{name}.svg").read_text("utf-8"), "look at the picture, and then renew it"


def test_the_simulated_congestion_window_stands_beside_the_bytes_in_flight() -> None:
    trace = Scenario.load("slow-start").play()
    windows = [each.cwnd for each in trace if each.sender == "server" and each.segment.payload]
    assert windows[0] is not None
    assert windows[-1] > windows[0]
    assert "congestion window" in draw(trace, "in-flight")
    trace.write("a.pcapng")
    assert "congestion window" not in draw("a.pcapng", "in-flight")


def test_a_large_capture_has_curves_but_no_ladder(monkeypatch: pytest.MonkeyPatch) -> None:
    Scenario.load("document").play().write("a.pcapng")
    run(["draw", "a.pcapng", "--what", "rtt", "-o", "a.html"])
    assert "data-packet" in Path("a.html").read_text("utf-8")
    for bound in ("labkit.cli.draw.MAX_LINKED", "labkit.report.draw._subject.MAX_SEGMENTS"):
        with monkeypatch.context() as patch:
            patch.setattr(bound, 9)
            run(["draw", "a.pcapng", "--what", "rtt", "-o", "b.html"])
        text = Path("b.html").read_text("utf-8")
        assert 'class="segment"' not in text
        assert "<code>labkit draw a.pcapng --packets 1-1000 -o part.html</code>" in text


@pytest.mark.compiled
@pytest.mark.parametrize(
    "name", ["fast-retransmit-sack", "lossy-both-sides", "simultaneous-close", "half-open-connections"]
)
def test_compiled_code_draws_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a large capture, compiled code reads the segments."""
    pytest.importorskip("llvmlite")
    expected = pages_of(built(name, path="a.pcapng"))
    for constant in ("LARGE", "LARGE_FOR_PACKED", "LARGE_ENOUGH_TO_COMPILE"):
        monkeypatch.setattr(engine, constant, 0)
    monkeypatch.setattr(_subject, "MAX_INTERPRETED", 0)
    several = name == "lossy-both-sides"  # two points of capture, which only the interpreter tells apart
    if not several:
        monkeypatch.setattr(_subject, "observe", lambda *_args: pytest.fail("read by the interpreter"))
    assert pages_of(subject("a.pcapng")) == expected


@pytest.mark.parametrize("name", ["slow-start", "fast-retransmit-sack", "lossy-both-sides", "zero-window"])
def test_states_of_a_long_conversation(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a part of it is followed once more, with the same states."""
    expected = pages_of(built(name))
    monkeypatch.setattr(_conversation, "FEW", 0)
    assert pages_of(subject("a.pcapng")) == expected


def pages_of(found: Subject) -> list[str]:
    return ["\n".join(picture(what, "html")(found, DrawOptions())) for what in ("ladder", "states")]


def test_only_the_first_conversations_are_made() -> None:
    """All are counted."""
    text = "".join(
        f"# 192.0.2.10:{40000 + n} > 192.0.2.20:80\n> S 0:0(0)\n< S. 0:0(0) ack 1\n> . 1:1(0) ack 1\n"
        for n in range(12)
    )
    Path("a.pkt").write_text(text, "utf-8")
    assert run(["build", "a.pkt", "-o", "a.pcapng"]) == 0
    for verdict in (None, verify("a.pcapng")):
        whole = of_capture("a", lambda: open_capture("a.pcapng"), verdict)
        few = of_capture("a", lambda: open_capture("a.pcapng"), verdict, count=8)
        assert (len(whole.conversations), len(few.conversations), whole.total, few.total) == (12, 8, 12, 12)
        assert pages_of(whole) == pages_of(few)
        assert "4 more conversations" in pages_of(few)[0]


@pytest.mark.parametrize("packets", [(1, 5), (20, 30), (33, 34)])
def test_chosen_packets_are_drawn_as_in_the_whole(packets: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {arrow.number: arrow for arrow in one(built("fast-retransmit-sack")).arrows}
    monkeypatch.setattr(_subject, "MAX_BEFORE", 30)
    monkeypatch.setattr(_subject, "MAX_AFTER", 2)
    found = of_capture("a", lambda: open_capture("a.pcapng"), packets=packets)
    for arrow in one(found).arrows:
        same = whole[arrow.number]
        shown, expected = (
            (each.kind, each.lost, each.sender_state, each.row.relative_seq, each.row.relative_ack)
            for each in (arrow, same)
        )
        assert shown == expected
    assert [arrow.number for arrow in one(found).arrows] == list(range(packets[0], packets[1] + 1))


# Wrong usage.


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["document", "--what", "ladder", "--format", "xpl"], 2, "the picture ladder has no format xpl; it has: svg"),
        (["document", "-o", "a.bmp"], 2, "a.bmp: the suffix names no format"),
        (["nowhere.pcap"], 3, "nowhere.pcap"),
        (["nosuch"], 2, "is not a shipped scenario"),
        (["a.pcapng", "--packets", "0"], 2, "'0' is not a range of packets"),
        (["a.pcapng", "--packets", "5-2"], 2, "'5-2' is not a range of packets"),
        (["a.pcapng", "--packets", "900"], 2, "there is no TCP segment in these packets"),
        (["a.pcapng", "--flow", "9"], 2, "there is no conversation 9"),
        (["document", "--flow", "9"], 2, "document: there is no conversation 9"),
        (["document", "--host", "203.0.113.9"], 2, "document: there is no conversation with 203.0.113.9"),
        (["document", "--packets", "900"], 2, "document: there is no TCP segment in these packets"),
        (["a.pcapng", "--seed", "1"], 2, "--seed and --fault need a scenario"),
        (["a.pcapng", "--what", "header", "--packets", "1-2", "--fault", "x"], 2, "--seed and --fault need a scenario"),
        (["notes.txt"], 3, "not a capture"),
        (["a.pcapng", "-o", "missing/a.svg"], 3, "missing/a.svg: cannot be written"),
    ],
)
def test_wrong_usage(arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    built("document")
    Path("notes.txt").write_text("nothing", "utf-8")
    assert run(["draw", *arguments]) == code
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_without_a_converter_it_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "")
    assert run(["draw", "document", "-o", "a.png"]) == 4
    assert "install one of: rsvg-convert, inkscape" in capsys.readouterr().err
    assert not Path("a.png").exists()


def test_a_capture_without_tcp() -> None:
    with create("empty.pcap", link=1):
        pass
    assert run(["draw", "empty.pcap", "-o", "a.svg"]) == 0
    assert "there is no TCP segment to draw" in Path("a.svg").read_text("utf-8")


def test_color_is_understood_on_both_sides_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    built("document")
    for command in ("draw", "show", "verify"):
        for arguments in (["--color", "always", command, "a.pcapng"], [command, "--color", "always", "a.pcapng"]):
            assert run(arguments) == 0
            assert "\x1b[" in capsys.readouterr().out
        assert run(["--color", "always", command, "--color=never", "a.pcapng"]) == 0
        assert "\x1b[" not in capsys.readouterr().out


# Curves.


def test_marks_agree_with_tcptrace() -> None:
    """tcptrace's own graph has the same segments, retransmissions and third duplicate ACKs."""
    if not shutil.which("tcptrace"):
        pytest.skip("tcptrace is not installed")
    found = built("fast-retransmit-sack", path="a.pcap")
    subprocess.run(["tcptrace", "-S", "a.pcap"], capture_output=True, check=True)
    theirs = Path("a2b_tsg.xpl").read_text("utf-8").splitlines()
    marks = read(found, one(found))[CLIENT].marks
    ours = "\n".join(picture("time-sequence", "xpl")(found, DrawOptions())).splitlines()
    assert ours.count("R") == theirs.count("R") == len(list(marks.of(AGAIN))) > 0
    assert ours.count("3") == theirs.count("3") == 1
    assert ours[0] == theirs[0]
    assert ours[-1] == theirs[-1] == "go"


@pytest.mark.parametrize("seed", [0, 1])
def test_positions_count_on_beyond_the_wraparound(seed: int) -> None:
    Scenario.load("seq-wraparound").play(seed=seed).write("a.pcapng")
    found = subject("a.pcapng")
    for direction in read(found, one(found)):
        ends = [high for _time, _low, high, _packet in direction.marks.of(DATA, PUSHED)]
        assert ends == sorted(ends)
        assert max(ends) < 1 << 32
        acked = [low for _time, low, _high, _packet in direction.marks.of(ACKED)]
        assert acked == sorted(acked)
        assert acked[-1] <= max(ends)


def test_flight_and_rtt_follow_the_path() -> None:
    found = built("fast-retransmit-sack")
    direction = read(found, one(found))[CLIENT]
    assert min(direction.rtt.value) == 50_000_000
    assert max(direction.flight.value) >= 10 * 1460
    assert direction.flight.value[-1] == 0
    assert sum(direction.fresh.value) == 20_000
    assert len(list(direction.marks.of(DUPLICATE))) >= 3


# Words of SVG.


@given(st.text())
def test_text_of_is_xml_whatever_it_holds(text: str) -> None:
    root = ET.fromstring(f'<a b="{_svg.text_of(text)}">{_svg.text_of(text)}</a>')  # noqa: S314 - labkit's own
    assert root.text is None or root.text.isprintable()
    assert len(root) == 0


@given(st.integers(0, 1 << 40), st.integers(1, 1 << 40))
def test_ticks_are_round_and_inside(first: int, width: int) -> None:
    low, span = first / 1e6, width / 1e6
    found = _plot.ticks(low, low + span)
    assert len(found) <= 2 * _plot.TICKS
    assert all(low - span * 0.01 <= each <= low + span * 1.01 for each in found)


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (-0.01, "0"), (1.0, "1"), (1.25, "1.2"), (-3.5, "-3.5"), (10.0, "10")]
)
def test_number_of(value: float, text: str) -> None:
    assert _svg.number_of(value) == text


LOSSY = {
    "name": "a",
    "client": {"name": "client.example"},
    "path": {"rtt": "20ms", "to_server": {"lose": [4]}},
    "steps": [{"client": "connect"}, {"client": {"send": 4000}}, {"server": {"send": 300}}, {"client": "close"}],
}


def both_ends(tmp_path: Path) -> tuple[str, str]:
    found = []
    for point, suffix in (("client", "pcap"), ("server", "pcapng")):
        path = tmp_path / f"{point}.{suffix}"
        Scenario.from_dict({**LOSSY, "capture": point}).play().write(path)
        found.append(str(path))
    return found[0], found[1]


@pytest.mark.parametrize(
    ("name", "options", "numbers"),
    [
        ("document", ["--packets", "3-4"], [3, 4]),
        ("document", ["--packets", "3-4", "--fault", "ack-goes-back"], [3, 4]),
        ("lossy-both-sides", ["--packets", "5-7"], [5, 6, 7]),
        ("conversations", ["--flow", "2"], [6, 19, 20, 21, 29, 30, 31, 44, 69, 96, 122, 123]),
        ("conversations", ["--flow", "2", "--packets", "19-30"], [19, 20, 21, 29, 30]),
        ("own.pkt", ["--packets", "2-3", "--port", "80"], [2, 3]),
    ],
)
def test_a_part_of_a_scenario(
    name: str, options: list[str], numbers: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("own.pkt").write_text("> S 0:0(0)\n< S. 0:0(0) ack 1\n> . 1:1(0) ack 1\n> P. 1:10(9) ack 1\n")
    assert run(["draw", name, *options]) == 0
    out = capsys.readouterr().out
    assert sorted(map(int, re.findall(r"(?<=─ )\d+(?= [A-Z])", out))) == numbers


def test_two_captures_are_drawn_as_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = str(tmp_path / "both.pcapng")
    Scenario.from_dict({**LOSSY, "capture": "both"}).play().write(both)
    assert run(["draw", both]) == 0
    expected = capsys.readouterr().out
    for order in (1, -1):
        assert run(["draw", *both_ends(tmp_path)[::order]]) == 0
        found = capsys.readouterr().out
        # Packets of the same time may be counted in another order.
        assert re.sub(r"\d+ ", "", found) == re.sub(r"\d+ ", "", expected)
        assert "(lost)" in found


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["{one}", "-"], 2, "two captures are read from files"),
        (["-", "{one}"], 2, "two captures are read from files"),
        (["{one}", "{both}"], 2, "has 2 interfaces"),
        (["{one}", "nosuch"], 3, "nosuch: cannot be read"),
        (["document", "{one}"], 3, "document: cannot be read"),
        (["{one}", "{one}", "--seed", "3"], 2, "--seed and --fault need a scenario"),
    ],
)
def test_two_captures_that_are_none(
    arguments: list[str], code: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = tmp_path / "both.pcapng"
    Scenario.from_dict({**LOSSY, "capture": "both"}).play().write(both)
    names = {"one": both_ends(tmp_path)[0], "both": str(both)}
    assert run(["draw", *(each.format(**names) for each in arguments)]) == code
    assert message in capsys.readouterr().err


def test_what_can_be_verified_can_be_drawn(tmp_path: Path) -> None:
    trace = Scenario.load("document").play()
    trace.write(tmp_path / "document.pcapng")
    octets = (tmp_path / "document.pcapng").read_bytes()
    path = tmp_path / "document.pcapng"
    picture = without_title(draw(trace))
    assert {without_title(draw(source)) for source in (path, octets, io.BytesIO(octets))} == {picture}
    assert draw(trace.packets()).count('class="segment"') == picture.count('class="segment"') == 10
    with pytest.raises(UsageError, match="from a value of type int"):
        draw(5)  # type: ignore[arg-type]


def without_title(picture: str) -> str:
    return re.sub("<title>.*?</title>", "", picture, count=1)
