"""The one-line text form: what a line says, what is wrong with one, and that writing is the inverse of reading."""

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from labkit.errors import ScenarioError
from labkit.tcp.notation import (
    CLIENT,
    LETTERS,
    SERVER,
    Line,
    control_letters,
    format_line,
    format_option,
    format_segment,
    parse,
    parse_line,
    parse_options,
    pattern,
)
from labkit.tcp.options import End, FastOpen, Mss, Nop, Option, Raw, Sack, SackPermitted, Timestamps, WindowScale
from labkit.tcp.segment import ACK, AE, BITS, CWR, ECE, FIN, PSH, RST, SYN, URG, Segment

S = 1_000_000_000

READ = [
    ("> S 0:0(0)", Line(CLIENT, Segment(ctl=SYN))),
    ("  <   S.  0:0(0)   ack 1 ", Line(SERVER, Segment(ack=1, ctl=SYN | ACK))),
    ("> . 1:1(0) ack 1 win 0", Line(CLIENT, Segment(1, 1, ACK, 0))),
    ("> . 1:1(0) win 7 ack 9", Line(CLIENT, Segment(1, 9, ACK, 7))),
    ("> - 5:5(0)", Line(CLIENT, Segment(5))),
    ("> FPUEWA. 1:1(0) ack 1", Line(CLIENT, Segment(1, 1, FIN | PSH | URG | ECE | CWR | AE | ACK))),
    ("< R 1:1(0)", Line(SERVER, Segment(1, ctl=RST))),
    ("> P. 0:3(3) ack 1", Line(CLIENT, Segment(0, 1, PSH | ACK, payload=b"abc"))),
    ("> P. 25:28(3) ack 1", Line(CLIENT, Segment(25, 1, PSH | ACK, payload=b"zab"))),
    ("> P. 4294967295:1(2) ack 1", Line(CLIENT, Segment(2**32 - 1, 1, PSH | ACK, payload=pattern(2**32 - 1, 2)))),
    ("> PU. 1:2(1) ack 1 urg 1 ecn 3", Line(CLIENT, Segment(1, 1, PSH | URG | ACK, payload=b"b", urgent=1, ecn=3))),
    ("0.5 > S 0:0(0)", Line(CLIENT, Segment(ctl=SYN), S // 2)),
    ("+0.000000001 > S 0:0(0)", Line(CLIENT, Segment(ctl=SYN), 1, relative=True)),
    ("1700000000 > S 0:0(0)", Line(CLIENT, Segment(ctl=SYN), 1_700_000_000 * S)),
    ("> S 0:0(0)  # HS01, twice # yes", Line(CLIENT, Segment(ctl=SYN), comment="HS01, twice # yes")),
    ("> S 0:0(0) {sum=0, doff = 4}", Line(CLIENT, Segment(ctl=SYN), edits={"sum": "0", "doff": "4"})),
    ("> P. 1:4(3) ack 1 {fill=x}", Line(CLIENT, Segment(1, 1, PSH | ACK, payload=b"xxx"))),
    (
        "> S 0:0(0) win 1 <mss 1460,nop,wscale 7> {sum=0} # all",
        Line(
            CLIENT,
            Segment(ctl=SYN, window=1, options=(Mss(1460), Nop(), WindowScale(7))),
            edits={"sum": "0"},
            comment="all",
        ),
    ),
]


@pytest.mark.parametrize(("text", "line"), READ)
def test_what_a_line_says(text: str, line: Line) -> None:
    assert parse_line(text) == line


OPTIONS = [
    ("", ()),
    ("eol", (End(),)),
    ("nop,nop,TS val 7 ecr 3", (Nop(), Nop(), Timestamps(7, 3))),
    ("mss 65535", (Mss(65535),)),
    ("wscale 255", (WindowScale(255),)),
    ("sackOK", (SackPermitted(),)),
    ("sack 1:2 4294967295:0", (Sack(((1, 2), (2**32 - 1, 0))),)),
    ("FO", (FastOpen(),)),
    ("FO a1b2", (FastOpen(b"\xa1\xb2"),)),
    ("raw fd04ABcd", (Raw(b"\xfd\x04\xab\xcd"),)),
]


@pytest.mark.parametrize(("text", "options"), OPTIONS)
def test_what_options_say(text: str, options: tuple[Option, ...]) -> None:
    assert parse_options(text) == options


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "'' is not understood; expected '>' or '<' and a space"),
        ("S 0:0(0)", "'S 0:0(0)' is not understood; expected '>' or '<'"),
        (">S 0:0(0)", "'>S 0:0(0)' is not understood; expected '>' or '<' and a space"),
        ("> X 0:0(0)", "'X 0:0(0)' is not understood; expected control bits"),
        ("> -S 0:0(0)", "'-S 0:0(0)' is not understood; expected control bits"),
        ("> S 0:0", "'0:0' is not understood; expected numbers such as 1:100(99)"),
        ("> S -1:0(1)", "'-1:0(1)' is not understood; expected numbers"),
        ("> S 0:0(0) mss 1460", "'mss 1460' is not understood; expected the line's end, or one of ack, win"),
        ("> S 0:0(0) ack", "'ack' is not understood; expected the line's end"),
        ("> S 0:0(0) ack 1 ack 2", "ack is given twice"),
        ("0.0000000001 > S 0:0(0)", "'0.0000000001 > S 0:0(0)' is not understood; expected '>' or '<'"),
        ("> P. 1:100(100) ack 1", "1:100(100): 1 + 100 is not 100"),
        ("> P. 4294967295:4294967296(1) ack 1", "is not 4294967296"),
        ("> S 4294967296:4294967296(0)", "4294967296"),
        ("> . 1:1(0) ack 4294967296", "ack 4294967296 is outside 0..4294967295"),
        ("> . 1:1(0) ack 1 win 65536", "window 65536 is outside 0..65535"),
        ("> . 1:1(0) ack 1 urg 65536", "urgent 65536 is outside 0..65535"),
        ("> . 1:1(0) ack 1 ecn 4", "ecn 4 is outside 0..3"),
        ("> P. 0:65536(65536) ack 1", "65536 octets does not fit"),
        ("> S 0:0(0) {sum}", "{sum}: expected name=value"),
        ("> P. 1:4(3) ack 1 {fill=}", "{fill=}: expected a character"),
        ("> S 0:0(0) <mss>", "option 'mss' is not understood; expected mss, wscale"),
        ("> S 0:0(0) <mss 65536>", "option 'mss 65536' is not understood"),
        ("> S 0:0(0) <wscale 256>", "option 'wscale 256'"),
        ("> S 0:0(0) <TS val 1>", "option 'TS val 1'"),
        ("> S 0:0(0) <TS val 4294967296 ecr 0>", "option 'TS val 4294967296 ecr 0'"),
        ("> S 0:0(0) <sack>", "option 'sack'"),
        ("> S 0:0(0) <sack 1:2:3>", "option 'sack 1:2:3'"),
        ("> S 0:0(0) <sack 1>", "option 'sack 1'"),
        ("> S 0:0(0) <FO xyz>", "option 'FO xyz'"),
        ("> S 0:0(0) <raw>", "option 'raw'"),
        ("> S 0:0(0) <raw 123>", "option 'raw 123'"),
    ],
)
def test_what_is_wrong_with_a_line(text: str, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_line(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_text_skips_what_is_empty_and_counts_it() -> None:
    text = "\n# a comment\n> S 0:0(0)\n   \n   # another\n< S. 0:0(0) ack 1\n"
    assert [line.sender for line in parse(text)] == [CLIENT, SERVER]
    with pytest.raises(ScenarioError, match=r"^a\.txt:4: 'what' is not understood"):
        list(parse("\n\n> S 0:0(0)\nwhat\n", "a.txt"))


@given(st.text(st.sampled_from("<>SFRPUEWA.-0123456789:() ackwinurgecnmsTval{}=,#\n+é\x00"), max_size=60) | st.text())
def test_hostile_text_is_read_or_refused_in_one_line(text: str) -> None:
    try:
        assert all(isinstance(line, Line) for line in parse(text, "t"))
    except ScenarioError as why:
        assert str(why).startswith("t:")
        assert len(str(why).splitlines()) == 1


# The inverse.

u32 = st.integers(0, 2**32 - 1) | st.sampled_from([0, 1, 2**32 - 1])
u16 = st.integers(0, 0xFFFF)
options = st.one_of(
    st.just(End()),
    st.just(Nop()),
    u16.map(Mss),
    st.integers(0, 0xFF).map(WindowScale),
    st.just(SackPermitted()),
    st.lists(st.tuples(u32, u32), min_size=1, max_size=4).map(lambda blocks: Sack(tuple(blocks))),
    st.builds(Timestamps, u32, u32),
    st.binary(max_size=16).map(FastOpen),
    st.binary(min_size=1, max_size=20).map(Raw),
)


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    seq, octets = draw(u32), draw(st.integers(0, 200))
    return Segment(
        seq=seq,
        ack=draw(u32),
        ctl=draw(st.integers(0, 0x1FF)),
        window=draw(u16),
        payload=pattern(seq, octets),
        options=tuple(draw(st.lists(options, max_size=4))),
        urgent=draw(u16),
        ecn=draw(st.integers(0, 3)),
    )


word = st.text(string.ascii_letters + string.digits + "._", min_size=1, max_size=8)


@st.composite
def lines(draw: st.DrawFn) -> Line:
    time = draw(st.none() | st.integers(0, 2 * 10**18))
    return Line(
        draw(st.sampled_from([CLIENT, SERVER])),
        draw(segments()),
        time,
        relative=time is not None and draw(st.booleans()),
        edits=draw(st.dictionaries(word.filter(lambda name: name != "fill"), word, max_size=3)),
        comment=draw(st.text(string.printable[:95], max_size=20)).strip(),
    )


@given(lines())
@example(Line(CLIENT, Segment(seq=2**32 - 1, ack=0, ctl=ACK, payload=pattern(2**32 - 1, 2)), time=1, relative=True))
@example(Line(SERVER, Segment(ctl=0), comment="# twice"))
def test_reading_undoes_writing(line: Line) -> None:
    text = format_line(line)
    assert "\n" not in text
    assert parse_line(text) == line


@given(lines())
def test_writing_undoes_reading(line: Line) -> None:
    # What is written is written always the same way.
    text = format_line(line)
    assert format_line(parse_line(text)) == text


@given(options)
def test_options_come_back(option: Option) -> None:
    assert parse_options(format_option(option)) == (option,)


def test_how_a_segment_is_written() -> None:
    segment = Segment(100, 1, PSH | ACK, 500, bytes(20), (Mss(1460), Timestamps(1, 2)), urgent=3, ecn=1)
    assert format_segment(segment) == "P. 100:120(20) ack 1 win 500 urg 3 ecn 1 <mss 1460,TS val 1 ecr 2>"
    # An ack without its bit is odd, and must be seen.
    assert format_segment(Segment(ack=7, ctl=SYN)) == "S 0:0(0) ack 7 win 65535"
    assert format_segment(Segment(ctl=ACK)) == ". 0:0(0) ack 0 win 65535"


def test_a_letter_for_every_control_bit() -> None:
    assert set(LETTERS.values()) == set(BITS.values())
    assert control_letters(SYN | ACK) == "S."
    assert control_letters(PSH | FIN | ACK) == "FP."
    assert control_letters(0) == "-"


# The payload.


@given(st.integers(0, 2**31), st.integers(0, 300), st.integers(0, 300))
def test_a_resend_carries_the_same_octets(number: int, octets: int, offset: int) -> None:
    whole = pattern(number, octets + offset)
    assert len(whole) == octets + offset
    assert whole[offset:] == pattern(number + offset, octets)
    assert whole.isalpha() or not whole
