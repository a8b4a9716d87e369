"""A real Linux 6.18 against scripts, built again: the segments of the script are written down, Linux's side is a stack."""

from typing import NamedTuple

import pytest
from kernel_captures import ALL, capture, fields, times

from labkit.build.scenario import Scenario
from labkit.build.trace import Trace

SYN = "S 0:0(0) <mss 1460,sackOK,TS val 1000 ecr 0,nop,wscale 7>"
OPENING = [SYN, ". 1:1(0) ack 1 <nop,nop,TS val 1001 ecr last>"]


BASE = 2322736465
"""Linux's timestamp at the other end of K11-zero-window, where a script takes its place."""


def segments(lines: list[str], when: str = "", side: str = "client") -> str:
    """A step that sends lines; `when` is its keys."""
    block = "".join(f"        {line}\n" for line in lines)
    keys = "".join(f"      {key}\n" for key in when.split(", ") if key)
    return f"- {side}:\n    segments:\n{keys}      lines: |\n{block}"


def stamped(lines: list[str], first: int, echo: str = "0") -> list[str]:
    """The lines with timestamps that count from `first`."""
    return [f"{line} <nop,nop,TS val {first + n} ecr {echo}>" for n, line in enumerate(lines)]


def server(*steps: str, more: str = "") -> str:
    """A scenario with Linux as the server."""
    return f"name: x\nserver: {{stack: linux-6.18{more}}}\npath: {{rtt: 0ms}}\nsteps:\n{''.join(steps)}"


def client(*steps: str, more: str = "") -> str:
    """A scenario with Linux as the client."""
    return (
        f"name: x\nclient: {{stack: linux-6.18{more}}}\npath: {{rtt: 0ms}}\nsteps:\n- client: connect\n{''.join(steps)}"
    )


def answer(lines: list[str], after: str) -> str:
    """A script's answer some time after the step before it has begun."""
    return segments(lines, f"at_once: true, after: {after}", "server")


def send(octets: int, after: str = "0ms", side: str = "client") -> str:
    return f"- {side}: {{send: {{octets: {octets}, after: {after}}}}}\n"


def bulk(first: int, count: int, every: str, stamp: int, size: int = 1448) -> list[str]:
    """Full-sized segments, one after the other."""
    starts = [first + n * size for n in range(count)]
    return stamped([f"+{every} . {start}:{start + size}({size}) ack 1" for start in starts], stamp)


def flights(first: int, sizes: list[int], stamp: int) -> list[str]:
    """Full-sized segments in flights, each sent when the one before it has been answered."""
    waits = [place for size in sizes for place in range(size)]
    lines = bulk(first, len(waits), "0", stamp)
    return [line if place else line.removeprefix("+0 ") for line, place in zip(lines, waits, strict=True)]


CLOSING = (
    segments(OPENING),
    "- server: {close: {after: 15.8ms}}\n",
)
"""The server closes first, and waits in TIME-WAIT."""
ACK_OF_FIN = [". 1:1(0) ack 2 <nop,nop,TS val 3038 ecr last>", "+0.0001 F. 1:1(0) ack 2 <nop,nop,TS val 3039 ecr last>"]


class Case(NamedTuple):
    """A capture as a scenario."""

    text: str
    connection: int = 0
    """Its number in the capture."""
    side: str = "server"
    """The side that is Linux."""
    part: slice = ALL
    """The segments of Linux that are compared; what is left out has a reason in docs/kernel.md."""
    capture: str = ""


CASES = {
    "K7-synack-dupsyn": Case(server(segments([SYN, f"+0.3003 {SYN}", f"+0.1003 {SYN}", f"+0.5003 {SYN}"]))),
    "K26-mss0": Case(
        server(segments([SYN.replace("1460", "0"), OPENING[1]]), send(3000, "15.9ms", "server")), part=slice(8)
    ),
    "K26-mss1": Case(
        server(segments([SYN.replace("1460", "1"), OPENING[1]]), send(3000, "17.2ms", "server")), part=slice(12)
    ),
    "E2-sack-reneging": Case(server(segments(OPENING), send(11584, "0ms", "server")), part=slice(9)),
    "K42-sack": Case(
        server(
            segments(
                [
                    *OPENING,
                    "+0.0001 . 201:301(100) ack 1 <nop,nop,TS val 2065 ecr 0>",
                    *stamped(
                        [
                            "+0.0103 . 401:501(100) ack 1",
                            "+0.0114 . 601:701(100) ack 1",
                            "+0.0103 . 801:901(100) ack 1",
                            "+0.0104 . 1001:1101(100) ack 1",
                            "+0.0125 . 401:501(100) ack 1",
                            "+0.0248 . 1:201(200) ack 1",
                            "+0.0203 . 1:201(200) ack 1",
                            "+0.0237 . 51:251(200) ack 1",
                            "+0.0625 . 1:1101(1100) ack 1",
                        ],
                        2066,
                        "last",
                    ),
                ]
            )
        )
    ),
    "E11-comp-sack": Case(
        server(
            "- server: pause\n",
            segments(
                [
                    *OPENING,
                    *bulk(1, 30, "0.0006", 11002),
                    *bulk(44889, 1, "0.0984", 11032),
                    # The kernel answers these flights; the script waits for it, for its pace depends on microseconds.
                    *flights(46337, [1, 1, 4, 5, 4, 5, 5, 5, *[1] * 9], 11033),
                ]
            ),
        )
    ),
    "E31-small-window": Case(
        server(
            segments(
                [
                    "S 0:0(0) win 3000 <mss 1460,sackOK,TS val 1000 ecr 0>",
                    ". 1:1(0) ack 1 win 3000 <nop,nop,TS val 1001 ecr last>",
                    "+0.0001 . 1:1(0) ack 1 win 500 <nop,nop,TS val 2001 ecr 0>",
                ]
            ),
            send(2896, "50.2ms", "server"),
        ),
        part=slice(7),
    ),
    "K39-shrink": Case(server("- server: pause\n", segments([*OPENING, *bulk(1, 30, "0.0022", 2005)])), part=slice(21)),
    "E1-ece-cwr": Case(
        client(
            segments(["SE. 0:0(0) ack 1 " + SYN[9:]], side="server"),
            send(1000, "20.2ms"),
            answer(
                stamped(
                    [
                        ". 1:1(0) ack 1001",
                        "+0.0001 P. 1:101(100) ack 1001 ecn 3",
                        "+0.0303 P. 101:201(100) ack 1001 ecn 3",
                        "+0.0307 P. 201:301(100) ack 1001 ecn 3",
                        "+0.0303 P. 301:401(100) ack 1001 ecn 2",
                    ],
                    2001,
                    "last",
                ),
                "5.9ms",
            ),
            send(100, "50.3ms"),
            answer(stamped(["PEW. 401:501(100) ack 1101 ecn 2"], 2006, "last"), "10.3ms"),
            send(100, "61.6ms"),
            answer(stamped([". 501:501(0) ack 1201"], 2007, "last"), "10.3ms"),
            send(100),
            answer(
                stamped(
                    [
                        ". 501:501(0) ack 1301",
                        "+0.0001 PW. 501:601(100) ack 1301 ecn 3",
                        "+0.0604 PW. 601:701(100) ack 1301 ecn 2",
                        "+0.0603 E. 701:701(0) ack 1301",
                    ],
                    2008,
                    "last",
                ),
                "10.3ms",
            ),
            send(3000),
            more=", ecn: true",
        ),
        side="client",
        part=slice(14),
    ),
    "K4-accecn-client-data": Case(
        client(
            segments(["SW. 0:0(0) ack 1 " + SYN[9:-1] + ",accecn1 e1b 1 ceb 0 e0b 1,nop>"], side="server"),
            send(3000, "60.2ms"),
            answer(
                stamped(
                    [
                        "EA. 1:1(0) ack 3001",
                        "+0.0604 PEA. 1:1001(1000) ack 3001 ecn 2",
                        "+0.1005 PEA. 1001:2001(1000) ack 3001 ecn 3",
                        "+0.1052 PEA. 2001:3001(1000) ack 3001 ecn 3",
                        "+0.0001 PEA. 3001:4001(1000) ack 3001 ecn 3",
                        "+0.0000 PEA. 4001:5001(1000) ack 3001 ecn 3",
                        "+0.0000 PEA. 5001:6001(1000) ack 3001 ecn 3",
                        "+0.0000 PEA. 6001:7001(1000) ack 3001 ecn 3",
                    ],
                    2001,
                    "last",
                ),
                "29.3ms",
            ),
            send(500, "101.3ms"),
            answer(stamped(["EW. 7001:7001(0) ack 3501"], 2009, "last"), "20.3ms"),
            "- client: {abort: {after: 26.1ms}}\n",
            more=", ecn: true",
        ),
        side="client",
    ),
    **{
        f"K5-accecn-syn-to-ecn1 {number}": Case(
            server(segments([SYN.replace("S ", f"{bits} ", 1).replace(" <", words), OPENING[1]]), more=", ecn: true"),
            connection=number,
            capture="K5-accecn-syn-to-ecn1",
        )
        for number, (bits, words) in enumerate(
            [("SEWA", " <"), ("SEW", " <"), ("SA", " <"), ("S", " <")],
        )
    },
    "K11-zero-window": Case(
        client(
            segments(
                [f"S. 0:0(0) ack 1 win 2896 <mss 1460,sackOK,TS val {BASE} ecr last,nop,wscale 0>"], side="server"
            ),
            send(1000, "200us"),
            answer([f". 1:1(0) ack 1001 win 2896 <nop,nop,TS val {BASE} ecr last>"], "0us"),
            send(1000, "6us"),
            send(28000, "6us"),
            answer(
                [
                    f". 1:1(0) ack 3449 win 1448 <nop,nop,TS val {BASE + 41} ecr last-5,nop,nop,sack 2001:3449>",
                    f"+0.044 . 1:1(0) ack 4897 win 1448 <nop,nop,TS val {BASE + 85} ecr last>",
                    f"+0.044 . 1:1(0) ack 6345 win 0 <nop,nop,TS val {BASE + 129} ecr last>",
                    f"+0.220 . 1:1(0) ack 6345 win 0 <nop,nop,TS val {BASE + 349} ecr last-264>",
                    f"+1.352 . 1:1(0) ack 6345 win 0 <nop,nop,TS val {BASE + 1701} ecr last-1616>",
                    f"+1.760 . 1:1(0) ack 6345 win 0 <nop,nop,TS val {BASE + 3461} ecr last-3376>",
                    f"+3.648 . 1:1(0) ack 6345 win 0 <nop,nop,TS val {BASE + 7109} ecr last-7024>",
                    f"+6.392 . 1:1(0) ack 6345 win 2896 <nop,nop,TS val {BASE + 14000} ecr last-7024>",
                    f"+0.036 . 1:1(0) ack 9241 win 1448 <nop,nop,TS val {BASE + 14037} ecr last-37,nop,nop,sack 7793:9241>",
                    f"+0.044 . 1:1(0) ack 10689 win 1448 <nop,nop,TS val {BASE + 14081} ecr last>",
                    f"+0.044 . 1:1(0) ack 12137 win 0 <nop,nop,TS val {BASE + 14125} ecr last>",
                    f"+0.228 . 1:1(0) ack 12137 win 0 <nop,nop,TS val {BASE + 14353} ecr last-272>",
                ],
                "40.4ms",
            ),
        ),
        side="client",
        part=slice(19),
    ),
    "G6-oow-ratelimit": Case(
        server(
            segments(
                [
                    *OPENING,
                    *stamped(
                        [
                            "+0.0003 P. 1:101(100) ack 1",
                            *("+0.65 . 100:100(0) ack 1", *["+0.1004 . 100:100(0) ack 1"] * 3),
                            *("+0.7016 . 51:61(10) ack 1", *["+0.1004 . 51:61(10) ack 1"] * 3),
                            *("+0.7062 . 100:101(1) ack 1", *["+0.1004 . 100:101(1) ack 1"] * 3),
                            *("+0.7044 S 101:101(0) ack 1", *["+0.1028 S 101:101(0) ack 1"] * 3),
                            *("+0.7075 . 101:101(0) ack 51", *["+0.1006 . 101:101(0) ack 51"] * 3),
                            *("+0.7005 . 100000101:100000102(1) ack 1",),
                            *["+0.1004 . 100000101:100000102(1) ack 1"] * 3,
                        ],
                        2001,
                    ),
                ]
            )
        )
    ),
    "E29-halfopen": Case(
        server(segments([*OPENING, f"+0.0001 {SYN.replace('0:0', '72777:72777')}", "+0.0503 R 1:1(0)"]))
    ),
    "G12-rst-sack-edge": Case(
        server(
            segments(
                [
                    *OPENING,
                    *stamped(["+0.0063 P. 101:201(100) ack 1"], 2027),
                    "+0.5803 R 201:201(0)",
                    "+0.1 . 1:1(0) ack 1",
                ]
            )
        ),
        part=slice(2),
    ),
    "K17-closed-port": Case(
        server(
            segments(
                [
                    *("S 0:0(0)", "S 0:5(5)", SYN, ". 0:0(0) ack 4660"),
                    *("P. 0:5(5) ack 4660 <sackOK,TS val 1000 ecr 0>", "S. 0:0(0) ack 4660", "F 0:0(0)", "- 0:3(3)"),
                    *("R 0:0(0)", "+0.0502 SF 0:0(0)", "SR 0:0(0)", "+0.0503 S 0:0(0) ecn 1"),
                ]
            ),
            more=", listen: false",
        ),
        part=slice(9),
    ),
    "K22-tw-newsyn": Case(
        server(
            *CLOSING,
            segments(
                [*ACK_OF_FIN, "+0.0203 S 1000002:1000002(0) <mss 1460,sackOK,TS val 9000000 ecr 0,nop,wscale 7>"],
                "at_once: true, after: 20.3ms",
            ),
        ),
        part=slice(4),
    ),
    "E22-tw-refin": Case(
        server(
            *CLOSING,
            segments(
                [
                    *stamped(
                        [
                            *(". 1:1(0) ack 2", "+0.0001 F. 1:1(0) ack 2", *(["+0.0503 F. 1:1(0) ack 2"] * 3)),
                            *("+0.0503 P. 2:6(4) ack 2", "+0.0543 P. 4294967293:1(4) ack 2"),
                        ],
                        3042,
                        "last",
                    ),
                    "+0.0503 S 4294967293:4294967293(0) <mss 1460>",
                    *stamped(["+0.1004 R 2:2(0) ack 2", "+0.0133 F. 1:1(0) ack 2"], 3049, "last"),
                ],
                "at_once: true, after: 20.3ms",
            ),
        ),
        connection=1,
    ),
}


COOKIES = [
    ("1460,sackOK,TS val 1000 ecr 0,nop,wscale 7", 7, 4),
    ("1460", 8, 4),
    ("1440", 9, 4),
    ("256", 10, 5),
    ("1460,nop,nop,sackOK", 11, 4),
    ("535", 12, 5),
    *(
        (f"{mss}", number, 9)
        for number, mss in enumerate((536, 537, 1299, 1300, 1301, 1439, 1440, 1441, 1459, 1460), 13)
    ),
]
"""What the clients of K33-syncookies ask for, the number of their connections, and how many segments of each are compared."""


@pytest.mark.parametrize(("options", "connection", "count"), COOKIES)
def test_a_server_with_cookies_forgets_what_the_kernel_does(options: str, connection: int, count: int) -> None:
    path = capture("K33-syncookies")
    if path is None:
        pytest.skip("LABKIT_CAPTURES names no folder with this capture")
    echo = " <nop,nop,TS val 1001 ecr last>" if "TS" in options else ""
    text = server(
        segments([f"S 0:0(0) <mss {options}>", f". 1:1(0) ack 1{echo}"]),
        send(1500, "0ms", "server"),
        "- server: {close: {after: 20.8ms}}\n",
        more=", syn_cookies: true",
    )
    real = fields(Trace.from_capture(path), "server", connection, echoes=True)[:count]
    assert fields(Scenario.parse(text).play(), "server", echoes=True)[: len(real)] == real
    assert len(real) >= 3


@pytest.mark.parametrize("name", CASES)
def test_linux_answers_a_script_as_the_kernel_does(name: str) -> None:
    case = CASES[name]
    path = capture(case.capture or name)
    if path is None:
        pytest.skip("LABKIT_CAPTURES names no folder with this capture")
    captured, built = Trace.from_capture(path), Scenario.parse(case.text).play()
    real = fields(captured, case.side, case.connection, echoes=True)[case.part]
    made = fields(built, case.side, echoes=True)[case.part]
    if name == "K7-synack-dupsyn":
        made = made[: len(real)]  # the capture ends before the last SYN ACKs
    assert made == real
    for one, other in zip(
        times(built, case.side), times(captured, case.side, case.connection)[case.part], strict=False
    ):
        # The kernel's clock ticks each 4 ms, and rounds each wait up; the model's does not.
        assert one == pytest.approx(other, rel=0.08, abs=12_000_000)
