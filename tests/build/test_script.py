"""Handwritten traces: packets are exactly as written, and the output of `show` builds the same segments again."""

import os
from collections.abc import Iterable, Iterator
from io import BytesIO
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.analysis.states import Row, observe
from labkit.build.scenario import Scenario, shipped
from labkit.build.script import LARGEST_DATAGRAM, LATEST, START, STEP, load, parse
from labkit.build.trace import Trace
from labkit.capture import open_capture
from labkit.cli import run
from labkit.errors import CaptureError, ScenarioError
from labkit.report.conversation_table import FORMATS, TableStyle, flow_of
from labkit.tcp.notation import LETTERS, Line, format_line
from labkit.tcp.options import Mss, Nop, Raw, Sack, SackPermitted, Timestamps, WindowScale
from labkit.tcp.segment import Segment

FOLDER = Path(os.environ.get("LABKIT_CAPTURES", "/nonexistent"))
MOST_ROWS = 150
"""How many rows of a capture are compared."""
FEWER_ROWS = 30
"""How many rows of a foreign capture are compared."""
LARGEST = 60_000
"""Octets of the largest foreign capture."""

SAME = (
    "time",
    "sender",
    "ctl",
    "seq",
    "ack",
    "relative_seq",
    "relative_ack",
    "length",
    "window",
    "urgent",
    "ecn",
    "options",
    "options_cut",
    "payload",
    "edits",
)
"""The values of a segment that the notation holds, as an observer sees them."""


# What a file says.


def test_lines_become_packets_exactly_as_written() -> None:
    trace = parse(
        """
        # A comment, and a line without a time
        0.5 > S 7:7(0) win 100 <mss 1460>
        +0.25 < S. 4294967295:4294967295(0) ack 8   # the server's
              > . 8:8(0) ack 0
        """
    )
    assert [record.time for record in trace] == [500_000_000, 750_000_000, 750_000_000 + STEP]
    assert [record.sender for record in trace] == ["client", "server", "client"]
    assert [record.segment.seq for record in trace] == [7, 0xFFFF_FFFF, 8]
    assert [comment for _, _, comment in trace.frames()] == ["", "the server's", ""]
    assert (trace.start, trace.seed) == (START, None)
    assert (str(trace.client), str(trace.server)) == ("192.0.2.10:40000", "192.0.2.20:80")
    assert (trace.client_isn, trace.server_isn) == (7, 0xFFFF_FFFF)
    # What a handwritten segment does to the ends is unknown.
    assert {(record.client, record.server) for record in trace} == {(None, None)}


def test_a_start_and_several_conversations() -> None:
    trace = parse(
        "# start 1000.25\n"
        "# 192.0.2.1:1 > 192.0.2.2:2\n> S 0:0(0)\n"
        "# [2001:db8::1]:3 > [2001:db8::2]:4\n> S 0:0(0)\n< R. 0:0(0) ack 1\n"
        "# 192.0.2.1:1 > 192.0.2.2:2\n< R. 0:0(0) ack 1\n"
    )
    assert trace.start == 1_000_250_000_000
    assert [record.connection for record in trace] == [0, 1, 1, 0]
    assert [str(each.client) for each in trace.connections] == ["192.0.2.1:1", "[2001:db8::1]:3"]
    stream = BytesIO()
    trace.write(stream, format="pcap")
    assert [(row.flow.index, row.time) for row in rows(stream)] == [
        (flow, trace.start + STEP * number) for number, flow in enumerate((0, 1, 1, 0))
    ]


def test_the_file_decides_which_end_is_the_client() -> None:
    trace = parse("< S 0:0(0)\n> S. 0:0(0) ack 1\n< . 1:1(0) ack 1\n")
    assert [record.sender for record in trace] == ["server", "client", "server"]
    assert trace.client_isn == trace.server_isn == 0


def test_all_line_endings_are_read(tmp_path: Path) -> None:
    path = tmp_path / "trace.pkt"
    path.write_bytes(b"\xef\xbb\xbf> S 0:0(0)\r\n\r\n< S. 0:0(0) ack 1 # \xc3\xa4\r\n")
    trace = load(path)
    assert [record.step for record in trace] == ["", "ä"]
    assert trace.name == "trace"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a.pkt: contains no segment; expected lines such as '> S 0:0(0)'"),
        ("# only a comment\n\n", "a.pkt: contains no segment"),
        ("> S 0:0(0)\nnonsense", "a.pkt:2: 'nonsense' is not understood; expected '>' or '<'"),
        ("> S 0:0(0) wni 5", "a.pkt:1: 'wni 5' is not understood; expected the line's end, or one of ack, win"),
        ("> S 0:5(0)", "a.pkt:1: 0:5(0): 0 + 0 is not 5; expected 0"),
        ("\n\n> Q 0:0(0)", "a.pkt:3: 'Q 0:0(0)' is not understood; expected control bits"),
        ("> S 4294967296:4294967296(0)", "a.pkt:1: "),
        ("> S 0:0(0) ack 4294967296", "a.pkt:1: ack 4294967296 is outside 0..4294967295"),
        ("> S 0:0(0) win 65536", "a.pkt:1: window 65536 is outside 0..65535"),
        ("> S 0:0(0) <mss 70000>", "a.pkt:1: option 'mss 70000' is not understood"),
        ("> S 0:0(0) <" + "mss 1,nop," * 9 + ">", "a.pkt:1: TCP options take "),
        ("> . 0:65535(65535)", f"a.pkt:1: a datagram of 65575 octets; expected at most {LARGEST_DATAGRAM}"),
        ("> . 0:70000(70000)", "a.pkt:1: a segment of 70000 octets does not fit into an IP datagram"),
        ('> . 0:3(3) "four"', "a.pkt:1: the payload has 4 octets, but the segment has 3"),
        ('> . 0:3(3) "abc" {fill=x}', "a.pkt:1: the payload is given twice"),
        ("> . 0:0(0) {nonsense=1}", "a.pkt:1: unknown edit 'nonsense'; expected one of doff, sum"),
        ("> . 0:0(0) {doff=99}", "a.pkt:1: 99 is outside 0..15"),
        ("> . 0:0(0) {doff}", "a.pkt:1: {doff}: expected name=value"),
        ("> . 0:0(0) {caplen=20}", "a.pkt:1: caplen 20: the frame's headers alone take 54 octets"),
        ("> . 0:0(0) {caplen=60, fragment=8}", "a.pkt:1: caplen and fragment exclude each other"),
        ("# [::1]:1 > [::2]:2\n> . 0:0(0) {ip.sum=1}", "a.pkt:2: IPv6 has no header checksum"),
        ("# 192.0.2.1:1 > [::2]:2", "a.pkt:1: 192.0.2.1 and ::2 differ in their address family; expected one family"),
        ("# 192.0.2.999:1 > 192.0.2.2:2", "a.pkt:1: '192.0.2.999' is not an address; expected one such as 192.0.2.10"),
        ("# ::1:1 > ::2:2", "a.pkt:1: '::1' is not an address"),
        ("# [192.0.2.1]:1 > 192.0.2.2:2", "a.pkt:1: '[192.0.2.1]' is not an address"),
        ("# [fe80::1%eth0]:1 > [::2]:2", "a.pkt:1: '[fe80::1%eth0]' is not an address"),
        ("# 192.0.2.1:65536 > 192.0.2.2:2", "a.pkt:1: 65536 is not a port; expected at most 65535"),
        ("> S 0:0(0)\n# start 5", "a.pkt:2: '# start' follows a segment; expected it before the first one"),
        ("-1767225601 > S 0:0(0)", "a.pkt:1: the time is before 1970 or after 2105"),
        (f"# start {LATEST // 10**9}\n> S 0:0(0)", "a.pkt:2: the time is before 1970 or after 2105"),
    ],
)
def test_errors_have_the_line(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.pkt").write_text(text, "utf-8")
    assert run(["build", "a.pkt"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith(f"labkit: {message}")
    assert [path.name for path in tmp_path.iterdir()] == ["a.pkt"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "a.pkt: cannot be read: No such file or directory"),
        (b"> S 0:0(0)\n\xff\xfe", "a.pkt:2: is not UTF-8 text"),
        (b"> S 0:0(0)\n" + b"#" * (16 << 20), "a.pkt: is larger than 16 MiB; expected a file of segments"),
    ],
)
def test_unreadable_files_are_refused(
    content: bytes | None,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path("a.pkt").write_bytes(content)
    assert run(["build", "a.pkt"]) == 2
    assert capsys.readouterr().err.startswith(f"labkit: {message}")


def test_the_total_payload_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    # A line of fifteen characters stands for 65,000 octets.
    monkeypatch.setattr("labkit.build.script.MAX_PAYLOADS", 4 << 20)
    with pytest.raises(
        ScenarioError, match=r"a\.pkt:65: up to this line there are more than 4 MiB of payload; expected less"
    ):
        parse("> . 0:65000(65000)\n" * 1000, "a.pkt")


# There and back.


def rows(source: BytesIO | Path, most: int = MOST_ROWS) -> list[Row]:
    """The first rows of a capture."""
    if isinstance(source, BytesIO):
        source.seek(0)
    with open_capture(source) as capture:
        return list(islice(observe(capture), most))


def notation(found: Iterable[Row]) -> str:
    """The output of `labkit show --format notation` for some rows."""
    return "\n".join(
        FORMATS["notation"](iter(found), TableStyle(document=False, window=False, names={}, interfaces=[]))
    )


def facts(row: Row) -> tuple[object, ...]:
    """The values of a row that a round trip must preserve."""
    return flow_of(row), *(getattr(row, name) for name in SAME)


def assert_the_same_again(found: list[Row]) -> None:
    """Check that the output of `show` builds the same rows."""
    text = notation(found)
    stream = BytesIO()
    trace = parse(text)
    trace.write(stream, format="pcapng", edition="student")
    again = rows(stream)
    assert [facts(row) for row in again] == [facts(row) for row in found]
    assert notation(again) == text


@pytest.mark.parametrize("name", shipped())
def test_round_trip_of_shipped_scenarios(name: str) -> None:
    stream = BytesIO()
    Scenario.load(name).play(1).write(stream, format="pcapng")
    assert_the_same_again(rows(stream))


def captures(folder: str) -> Iterator[Path]:
    """The captures of an external folder, if there is one."""
    for path in sorted((FOLDER / folder).rglob("*")):
        if {".pcap", ".pcapng", ".trace"} & set(path.suffixes) and 0 < path.stat().st_size < LARGEST:
            yield path


@pytest.mark.skipif(not FOLDER.is_dir(), reason="LABKIT_CAPTURES names no folder of captures")
@pytest.mark.parametrize("folder", ["kernel", "real"])
def test_round_trip_of_foreign_captures(folder: str) -> None:
    seen = 0
    for path in captures(folder):
        try:
            found = rows(path, FEWER_ROWS)
        except CaptureError:
            continue
        if found:
            seen += len(found)
            try:
                assert_the_same_again(found)
            except AssertionError as error:
                raise AssertionError(f"{path}: {error}") from error
    assert seen > 1000


@pytest.mark.parametrize(
    "line",
    [
        "> P. 1:4(3) ack 1 {sum=0x1234}",
        "> P. 1:4(3) ack 1 {sum=partial}",
        "> P. 1:4(3) ack 1 {ip.sum=0x4321, sum=0}",
        "> P. 1:401(400) ack 1 {caplen=100}",
        '> P. 1:401(400) ack 1 "what the capture has" {caplen=74}',
        "> P. 1:4(3) ack 1 {data=00ff80}",
        "> P. 1:4(3) ack 1 {fill=0x00, reserved=5}",
        "> SFRPUEWA. 1:4(3) ack 1 urg 9 ecn 3",
        "> - 4294967295:2(3)",
        "> S. 0:0(0) <mss 1,raw 0203,wscale 99>",
        "> S. 0:0(0) <sack 1:2 4294967295:0,TS val 1 ecr 4294967295>",
        "> S 0:0(0) <raw 0509000102030405060708>",
    ],
)
def test_round_trip_of_faulty_frames(line: str) -> None:
    stream = BytesIO()
    # A conversation around it, so that one line is not the whole of the capture.
    parse(f"> S 0:0(0)\n< S. 0:0(0) ack 1\n{line}\n").write(stream, format="pcap")
    assert_the_same_again(rows(stream))


numbers = st.one_of(st.integers(0, 2**32 - 1), st.integers(2**32 - 20, 2**32 - 1), st.integers(0, 20))
options = st.lists(
    st.one_of(
        st.just(Nop()),
        st.just(SackPermitted()),
        st.builds(Mss, st.integers(0, 0xFFFF)),
        st.builds(WindowScale, st.integers(0, 255)),
        st.builds(Timestamps, numbers, numbers),
        st.builds(lambda *edges: Sack((edges,)), numbers, numbers),
        st.builds(lambda octets: Raw(bytes((253, 2 + len(octets))) + octets), st.binary(max_size=4)),
    ),
    max_size=3,
).map(tuple)
lines = st.builds(
    lambda sender, time, **values: Line(sender, Segment(**values), time, relative=True),
    st.integers(0, 1),
    st.integers(0, 10**12),
    seq=numbers,
    ack=numbers,
    ctl=st.integers(0, 0xFFF),
    window=st.integers(0, 0xFFFF),
    payload=st.one_of(st.binary(max_size=40), st.text(max_size=10).map(str.encode)),
    options=options,
    urgent=st.integers(0, 0xFFFF),
    ecn=st.integers(0, 3),
)
hosts = st.sampled_from(
    [
        "# 192.0.2.1:1 > 192.0.2.2:2",
        "# 192.0.2.1:0 > 192.0.2.2:65535",
        "# [2001:db8::1]:1 > [2001:db8::2]:2",
        "# 10.0.0.1:7 > 10.0.0.1:7",
    ]
)


@given(st.lists(st.tuples(hosts, lines), min_size=1, max_size=12))
def test_round_trip_of_random_traces(said: list[tuple[str, Line]]) -> None:
    text = "\n".join(f"{host}\n{format_line(line)}" for host, line in said)
    stream = BytesIO()
    trace = parse(text)
    trace.write(stream, format="pcapng")
    found = rows(stream)
    # A sender and its peer with the same address and port cannot be told apart, but their segments can.
    for row, (_, line) in zip(found, said, strict=True):
        assert (row.seq, row.ack, row.ctl) == (line.segment.seq, line.segment.ack, line.segment.ctl)
        assert (row.window, row.urgent, row.ecn) == (line.segment.window, line.segment.urgent, line.segment.ecn)
        assert (row.payload, row.options) == (line.segment.payload, line.segment.options)
    assert_the_same_again(found)


pieces = st.sampled_from(
    [
        *LETTERS,
        *'<>:()[]{}#"\\=,.+- \n\t\r\0é\ud800',
        "0:0(0)",
        "1:100(99)",
        "> S 0:0(0)\n",
        "< S. 0:0(0) ack 1\n",
        "ack 1",
        "<mss 1460>",
        "{sum=0}",
        "{caplen=60}",
        "{fragment=8}",
        "{doff=15}",
        "# start 5\n",
        "# 192.0.2.1:1 > [::1]:2\n",
        "# [::1]:1 > [::1]:2\n",
        "99999999999",
        "0x",
    ]
)


SOUND = """# start 5.5
# 192.0.2.1:1 > 192.0.2.2:2
0.5 > S 7:7(0) win 100 <mss 1460,nop,wscale 3,sackOK,TS val 1 ecr 0>
+0.25 < S. 9:9(0) ack 8 # yes
> P. 8:28(20) ack 10 urg 3 ecn 1 "twenty octets or so." {caplen=60}
# [::1]:1 > [::1]:2
< P. 8:28(20) ack 10 {data=0001020304050607080900010203040506070809, sum=0x12}
> R. 8:8(0) ack 10 {fragment=8}
"""


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """A valid file with some changed characters."""
    text = SOUND
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.one_of(pieces, st.just(""))) + text[at + draw(st.integers(0, 3)) :]
    return text


@given(st.one_of(st.lists(pieces, max_size=30).map("".join), damaged()))
def test_any_text_is_a_trace_or_an_error_with_a_line(text: str) -> None:
    try:
        trace: Trace = parse(text, "any.pkt")
    except ScenarioError as error:
        assert str(error).startswith("any.pkt")
        assert "\n" not in str(error)
        return
    stream = BytesIO()
    # One with fragments has more packets than segments.
    assert trace.write(stream, format="pcapng") >= len(trace) > 0
    assert list(trace.packets())
