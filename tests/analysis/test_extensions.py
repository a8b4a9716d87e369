"""AccECN, signatures and MPTCP: what the SYNs agree on, and what follows for every segment, in tables."""

import pytest

from labkit.analysis.extensions import (
    ACCURATE_ECN,
    CLASSIC_ECN,
    NO_ECN,
    UNCLEAR_ECN,
    ace,
    agreed_ecn,
    wrong_ace,
)
from labkit.analysis.side import Side
from labkit.analysis.verifier import Verifier
from labkit.packet.seen import Seen
from labkit.tcp.notation import LETTERS, parse
from labkit.tcp.segment import ACK
from labkit.teach.examples import frames

MD5 = "md5 00112233445566778899aabbccddeeff"
OTHER_MD5 = "md5 ffeeddccbbaa99887766554433221100"
AO = "ao keyid 1 rnextkeyid 1 mac 001122334455667788990011"
ROLLED = "ao keyid 2 rnextkeyid 2 mac 001122334455667788990011"
CAPABLE = "mp_capable version 1 flags 0x01"
SERVER_KEY = f"{CAPABLE} sender 0x00000000000000a1"
BOTH_KEYS = f"{CAPABLE} sender 0x00000000000000b2 receiver 0x00000000000000a1"


def found(text: str) -> list[tuple[str, int | None, str]]:
    """Code, packet and severity of what concerns these extensions."""
    verdict = Verifier().run(frames(list(parse(text, "test"))))
    return [
        (each.code, each.packet, str(each.severity))
        for each in verdict.findings
        if each.code.startswith(("ECN", "OPT", "MP", "WIN", "RTX")) and each.code not in ("WIN03", "OPT06")
    ]


@pytest.mark.parametrize(
    ("offer", "answer", "mode"),
    [
        ("EWA", "W", ACCURATE_ECN),
        ("EWA", "EW", ACCURATE_ECN),
        ("EWA", "A", ACCURATE_ECN),
        ("EWA", "WA", ACCURATE_ECN),
        ("EWA", "E", CLASSIC_ECN),
        ("EWA", "", NO_ECN),
        ("EWA", "EWA", NO_ECN),
        ("EWA", "EA", UNCLEAR_ECN),
        ("EW", "E", CLASSIC_ECN),
        ("EW", "EA", CLASSIC_ECN),
        ("EW", "W", ACCURATE_ECN),
        ("EW", "A", ACCURATE_ECN),
        ("EW", "EW", UNCLEAR_ECN),
        ("EW", "", NO_ECN),
        ("", "E", NO_ECN),
        ("", "W", NO_ECN),
        ("A", "W", ACCURATE_ECN),
        ("A", "E", NO_ECN),
    ],
)
def test_what_two_syns_agree_on(offer: str, answer: str, mode: int) -> None:
    bits = [sum(LETTERS[each] for each in side) for side in (offer, answer)]
    assert agreed_ecn(bits[0], bits[1]) == mode


@pytest.mark.parametrize(
    ("letters", "number"), [("", 0), ("E", 1), ("W", 2), ("EW", 3), ("A", 4), ("EA", 5), ("EWA", 7)]
)
def test_ace_is_a_number_of_three_bits(letters: str, number: int) -> None:
    assert ace(ACK + sum(LETTERS[each] for each in letters)) == number


@pytest.mark.parametrize("marked", range(12))
@pytest.mark.parametrize("capable", range(14))
def test_a_counter_is_wrong_only_where_no_number_of_marks_explains_it(marked: int, capable: int) -> None:
    """The same by trying every number of marks."""
    if marked > capable:
        return
    for number in range(8):
        ctl = ACK | (number >> 2) << 8 | (number >> 1 & 1) << 7 | (number & 1) << 6
        seg, peer = Seen(ctl=ctl, ack=100), Side(nxt=100, ce_n=marked, ect_n=capable)
        explained = any((5 + marks) & 7 == number for marks in range(marked, capable + 1))
        assert wrong_ace(seg, peer) == (not explained)
        peer.resent = 1  # a marked copy may have been lost
        assert wrong_ace(seg, peer) == (not any((5 + marks) & 7 == number for marks in range(capable + 1)))


MULTIPATH = (
    f"> S 0:0(0) <mss 1460,{CAPABLE}>\n< S. 0:0(0) ack 1 win 1000 <mss 1460,{SERVER_KEY}>\n"
    f"> . 1:1(0) ack 1 <{BOTH_KEYS}>\n"
)
ACCURATE = "> SEWA 0:0(0) <mss 1460>\n< SW. 0:0(0) ack 1 <mss 1460>\n> W. 1:1(0) ack 1\n"
CLASSIC = "> SEW 0:0(0) <mss 1460>\n< SE. 0:0(0) ack 1 <mss 1460>\n> . 1:1(0) ack 1\n"

CONVERSATIONS = {
    "ECN, a mark that is echoed": (
        CLASSIC + "> P. 1:100(99) ack 1 win 65535 ecn 3\n< E. 1:1(0) ack 100",
        [],
    ),
    "ECN, a mark that is not echoed": (
        CLASSIC + "> P. 1:100(99) ack 1 win 65535 ecn 3\n< . 1:1(0) ack 100",
        [("ECN08", 5, "warning")],
    ),
    "ECN, the last packet has no mark": (
        CLASSIC + "> P. 1:100(99) ack 1 win 65535 ecn 3\n> P. 100:199(99) ack 1 win 65535 ecn 2\n< . 1:1(0) ack 199",
        [],
    ),
    "ECN, a mark and a FIN behind it": (
        CLASSIC + "> P. 1:100(99) ack 1 win 65535 ecn 3\n> F. 100:100(0) ack 1\n< F. 1:1(0) ack 101",
        [("ECN08", 6, "warning")],
    ),
    "AccECN": (
        ACCURATE
        + "> PEA. 1:100(99) ack 1 win 65535 ecn 3\n< WA. 1:1(0) ack 100 win 65535 ecn 2\n> PEA. 100:199(99) ack 1",
        [],
    ),
    "AccECN, a router marks behind the point of capture": (
        ACCURATE + "> PEA. 1:100(99) ack 1 win 65535 ecn 2\n< WA. 1:1(0) ack 100",
        [],
    ),
    "AccECN, a mark that is not counted": (
        ACCURATE + "> PEA. 1:100(99) ack 1 win 65535 ecn 3\n< EA. 1:1(0) ack 100",
        [("ECN06", 5, "warning")],
    ),
    "AccECN, marks that nobody could make": (
        ACCURATE + "> PEA. 1:100(99) ack 1\n< WA. 1:1(0) ack 100",
        [("ECN06", 5, "warning")],
    ),
    "AccECN, ECE as in classic ECN": (
        ACCURATE + "> PEA. 1:100(99) ack 1 win 65535 ecn 3\n< E. 1:1(0) ack 100",
        [("ECN06", 5, "warning")],
    ),
    "AccECN from a classic SYN, as Linux 6.18": (
        "> SEW 0:0(0) <mss 1460>\n< SW. 0:0(0) ack 1 <mss 1460>\n> W. 1:1(0) ack 1 win 65535 ecn 2 <accecn1 e1b 1 ceb 0 e0b 1>",
        [("ECN07", 2, "note")],
    ),
    "AccECN that a classic server declines": (
        "> SEWA 0:0(0) <mss 1460>\n< SE. 0:0(0) ack 1 <mss 1460>\n> . 1:1(0) ack 1\n> P. 1:100(99) ack 1 win 65535 ecn 2",
        [],
    ),
    "AccECN option after a classic answer": (
        "> SEWA 0:0(0) <mss 1460>\n< SE. 0:0(0) ack 1 <mss 1460>\n> . 1:1(0) ack 1 <accecn0>",
        [("ECN04", 3, "warning")],
    ),
    "AccECN that a server reflects": (
        "> SEWA 0:0(0) <mss 1460>\n< SEWA. 0:0(0) ack 1 <mss 1460>\n> . 1:1(0) ack 1\n> PA. 1:100(99) ack 1",
        [("ECN02", 4, "warning")],
    ),
    "AccECN, a SYN ACK that arrived as ECT(0)": (
        "> SEWA 0:0(0) <mss 1460>\n< SW. 0:0(0) ack 1 win 65535 ecn 2 <mss 1460>\n> A. 1:1(0) ack 1",
        [],
    ),
    "AccECN, a SYN ACK that was marked later": (
        "> SEWA 0:0(0) <mss 1460>\n< SW. 0:0(0) ack 1 win 65535 ecn 2 <mss 1460>\n> WA. 1:1(0) ack 1",
        [],
    ),
    "AccECN, a SYN ACK that was never marked": (
        "> SEWA 0:0(0) <mss 1460>\n< SW. 0:0(0) ack 1 <mss 1460>\n> WA. 1:1(0) ack 1",
        [("ECN05", 3, "warning")],
    ),
    "a SYN that is sent again without ECN, and the answer to the first": (
        (
            "> SEW 0:0(0) <mss 1460>\n+1 > S 0:0(0) <mss 1460>\n< SE. 0:0(0) ack 1 <mss 1460>\n> . 1:1(0) ack 1\n"
            "> P. 1:100(99) ack 1 win 65535 ecn 2"
        ),
        [("RTX01", 2, "note")],
    ),
    "signatures on all segments": (
        (
            f"> S 0:0(0) <mss 1460,{MD5}>\n< S. 0:0(0) ack 1 <mss 1460,{OTHER_MD5}>\n> . 1:1(0) ack 1 <{MD5}>\n"
            f"> R. 1:1(0) ack 1 <{MD5}>"
        ),
        [],
    ),
    "TCP-AO changes its key": (
        f"> S 0:0(0) <mss 1460,{AO}>\n< S. 0:0(0) ack 1 <mss 1460,{AO}>\n> . 1:1(0) ack 1 <{AO}>\n> P. 1:9(8) ack 1 <{ROLLED}>",
        [],
    ),
    "MD5 that stops": (
        (
            f"> S 0:0(0) <mss 1460,{MD5}>\n< S. 0:0(0) ack 1 <mss 1460,{MD5}>\n> . 1:1(0) ack 1 <{MD5}>\n> P. 1:9(8) ack 1\n"
            f"> P. 9:17(8) ack 1\n< . 1:1(0) ack 17 <{MD5}>"
        ),
        [("OPT07", 4, "error")],
    ),
    "one segment without TCP-AO": (
        f"> S 0:0(0) <mss 1460,{AO}>\n< S. 0:0(0) ack 1 <mss 1460,{AO}>\n> . 1:1(0) ack 1\n> P. 1:9(8) ack 1 <{AO}>",
        [("OPT07", 3, "error")],
    ),
    "a FIN without MD5": (
        f"> S 0:0(0) <mss 1460,{MD5}>\n< S. 0:0(0) ack 1 <mss 1460,{MD5}>\n> . 1:1(0) ack 1 <{MD5}>\n> F. 1:1(0) ack 1",
        [("OPT07", 4, "error")],
    ),
    "a SYN ACK without MD5": (
        f"> S 0:0(0) <mss 1460,{MD5}>\n< S. 0:0(0) ack 1 <mss 1460>",
        [("OPT07", 2, "error")],
    ),
    "a SYN ACK with MD5 that nobody asked for": (
        f"> S 0:0(0) <mss 1460>\n< S. 0:0(0) ack 1 <mss 1460,{MD5}>",
        [("OPT09", 2, "warning")],
    ),
    "a host without the key refuses": (f"> S 0:0(0) <mss 1460,{MD5}>\n< R. 0:0(0) ack 1", []),
    "a RST of a host that has lost the key": (
        f"> S 0:0(0) <mss 1460,{MD5}>\n< S. 0:0(0) ack 1 <mss 1460,{MD5}>\n> . 1:1(0) ack 1 <{MD5}>\n< R 1:1(0)",
        [("OPT07", 4, "warning")],
    ),
    "MD5 that stops in the middle of a stream": (
        f"> P. 1:9(8) ack 1 <{MD5}>\n< . 1:1(0) ack 9 <{MD5}>\n> P. 9:17(8) ack 1\n< . 1:1(0) ack 17 <{MD5}>",
        [("OPT07", 3, "error")],
    ),
    "MD5 and TCP-AO on the two sides": (
        f"> S 0:0(0) <mss 1460,{MD5}>\n< S. 0:0(0) ack 1 <mss 1460,{AO}>",
        [("OPT08", 2, "error")],
    ),
    "an option of MD5 that is too short": ("> S 0:0(0) <mss 1460,raw 130400ff>", [("OPT01", 1, "error")]),
    "an option of AccECN of six octets": (ACCURATE + "> PEA. 1:9(8) ack 1 <raw ac06aabbccdd>", [("OPT01", 4, "error")]),
    "a DSS whose flags say more than it holds": (
        (
            f"> S 0:0(0) <mss 1460,{CAPABLE}>\n< S. 0:0(0) ack 1 <mss 1460,{SERVER_KEY}>\n> . 1:1(0) ack 1 <{BOTH_KEYS}>\n"
            "< . 1:1(0) ack 1 <raw 1e082003aabbccdd>"
        ),
        [("OPT01", 4, "error"), ("MP05", None, "note")],
    ),
    "MPTCP: a window that is the whole connection's": (
        (
            f"{MULTIPATH}> P. 1:601(600) ack 1 <{BOTH_KEYS} length 600>\n< . 1:1(0) ack 601 win 100 <dss ack8 601>\n"
            "> P. 601:1201(600) ack 1 <dss dsn8 601 ssn 601 length 600>\n< . 1:1(0) ack 1201 win 100 <dss ack8 1201>"
        ),
        [("MP05", None, "note")],
    ),
    "the same without MPTCP": (
        (
            "> S 0:0(0) <mss 1460>\n< S. 0:0(0) ack 1 win 1000 <mss 1460>\n> . 1:1(0) ack 1\n> P. 1:601(600) ack 1\n"
            "< . 1:1(0) ack 601 win 100\n> P. 601:1201(600) ack 1"
        ),
        [("WIN02", 5, "warning"), ("WIN01", 6, "error")],
    ),
    "MPTCP that the server declines": (
        f"> S 0:0(0) <mss 1460,{CAPABLE}>\n< S. 0:0(0) ack 1 <mss 1460>\n> . 1:1(0) ack 1",
        [],
    ),
    "MPTCP: joins answered by another subtype": (
        f"> S 0:0(0) <mss 1460,mp_join id 1 token 0x00000001 nonce 0x00000002>\n< S. 0:0(0) ack 1 <mss 1460,{SERVER_KEY}>",
        [("MP01", 2, "error"), ("MP05", None, "note")],
    ),
    "MPTCP: ADD_ADDR, DATA_FIN and Data ACKs are not duplicate ACKs": (
        (
            f"{MULTIPATH}> P. 1:9(8) ack 1 <{BOTH_KEYS} length 8>\n> P. 9:17(8) ack 1 <dss dsn8 9 ssn 9 length 8>\n"
            "< . 1:1(0) ack 9 win 1000 <dss ack8 9>\n"
            "< . 1:1(0) ack 9 win 1000 <dss ack8 17>\n"
            "< . 1:1(0) ack 9 win 1000 <dss fin ack8 17 dsn8 1 ssn 0 length 1>\n"
            "< . 1:1(0) ack 9 win 1000 <add_addr id 1 ipv4 10.0.0.9>\n"
            "< . 1:1(0) ack 9 win 1000 <mp_prio>"
        ),
        [("MP05", None, "note")],
    ),
    "MPTCP: the same Data ACK again is one": (
        (
            f"{MULTIPATH}> P. 1:9(8) ack 1 <{BOTH_KEYS} length 8>\n> P. 9:17(8) ack 1 <dss dsn8 9 ssn 9 length 8>\n"
            "< . 1:1(0) ack 9 win 1000 <dss ack8 9>\n< . 1:1(0) ack 9 win 1000 <dss ack4 9>"
        ),
        [("RTX06", 7, "note"), ("MP05", None, "note")],
    ),
}


@pytest.mark.parametrize("title", CONVERSATIONS)
def test_conversation(title: str) -> None:
    text, expected = CONVERSATIONS[title]
    assert sorted(found(text), key=str) == sorted(expected, key=str)
