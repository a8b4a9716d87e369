"""Situations that verifiers get wrong: what the RFC says, what Linux does, and what Wireshark and labkit say of each.

Each situation is a short conversation. `section` runs tshark and labkit on it, so that the page cannot remember wrongly what
they say. What Linux does was measured with captures of a 6.18.44 kernel in namespaces; their names stand in brackets.
"""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from accuracy_more_situations import DOUBTFUL, MORE, NOT_MEASURED, OPEN, RIGHT, SACKED, STAMPED, WRONG

from labkit.analysis.verifier import Verifier
from labkit.build.script import parse
from labkit.capture import open_capture

BEGIN, END = "## Situations", "## Segments"
"""The headings around the section in docs/accuracy.md."""


@dataclass(frozen=True)
class Situation:
    """One situation. `linux` says what a 6.18 kernel does, `right` what a verdict should hold."""

    title: str
    conversation: str
    reference: str
    linux: str
    right: str


MISSING = """
> S  0:0(0) <mss 1460> {ip.id=1}
< S. 0:0(0) ack 1 <mss 1460> {ip.id=1}
> .  1:1(0) ack 1 {ip.id=2}
"""
"""The same, with identifications, so that later ones can leave out those of packets that the capture lacks."""
MD5 = "md5 00112233445566778899aabbccddeeff"
AO = "ao keyid 1 rnextkeyid 1 mac 001122334455667788990011"
CAPABLE = "mp_capable version 1 flags 0x01"
KEYS = f"{CAPABLE} sender 0x00000000000000b2 receiver 0x00000000000000a1"
SUBFLOW = f"""
> S  0:0(0) <mss 1460,{CAPABLE}>
< S. 0:0(0) ack 1 win 1000 <mss 1460,{CAPABLE} sender 0x00000000000000a1>
> .  1:1(0) ack 1 <{KEYS}>
> P. 1:601(600) ack 1 <{KEYS} length 600>
"""

SITUATIONS = (
    Situation(
        "A capture that begins with a keep-alive",
        "> . 99:99(0) ack 1\n< . 1:1(0) ack 100\n+1 > P. 100:110(10) ack 1\n< . 1:1(0) ack 110",
        "RFC 9293 3.8.4: a keep-alive has SEG.SEQ = SND.NXT - 1, so that its end is not SND.NXT.",
        "sends keep-alives of this form, without an octet (E37-ecn-kernel).",
        RIGHT,
    ),
    Situation(
        "A capture that begins with a retransmission",
        "> . 1:101(100) ack 1 {ip.id=9}\n< . 1:1(0) ack 501\n> . 501:601(100) ack 1 {ip.id=10}\n< . 1:1(0) ack 601",
        "RFC 9293 3.8.1: octets that were sent before the capture began are acknowledged in it.",
        "fills gaps as usual; a capture may begin anywhere.",
        RIGHT,
    ),
    Situation(
        "A SYN that is sent again without options",
        "> S 0:0(0) <mss 1460,nop,wscale 7>\n+1 > S 0:0(0)\n< S. 0:0(0) ack 1 <mss 1460,nop,wscale 7>\n> . 1:1(0) ack 1",
        "RFC 7323 1.3: the SYN ACK may answer the first SYN, whose options count.",
        "keeps its options on a SYN that it sends again, but for ECN (K8-ecn1-syn-retries) and Fast Open (E27-tfo-synretry).",
        RIGHT,
    ),
    Situation(
        "Two SYN ACKs with different ISNs",
        "> S 0:0(0) <mss 1460>\n< S. 0:0(0) ack 1 <mss 1460>\n< S. 700:700(0) ack 1 <mss 1460>\n> . 1:1(0) ack 701\n"
        "< P. 701:711(10) ack 1\n> . 1:1(0) ack 711",
        "RFC 9293 3.10.7.3: the SYN ACK that the client acknowledges counts.",
        "repeats a SYN ACK with the same number (K7-synack-dupsyn).",
        DOUBTFUL,
    ),
    Situation(
        "A RST in SYN-SENT",
        "> S 0:0(0) <mss 1460>\n< R. 0:0(0) ack 1\n+1 > S 5000:5000(0) <mss 1460>\n< S. 0:0(0) ack 5001 <mss 1460>\n"
        "> . 5001:5001(0) ack 1",
        "RFC 9293 3.10.7.3: the connection is refused; the next SYN opens another one.",
        "answers a SYN to a closed port with RST, ACK and seq 0 (K17-closed-port).",
        RIGHT,
    ),
    Situation(
        "A FIN that its receiver cannot take",
        "> S 0:0(0) <mss 1460>\n< S. 0:0(0) ack 1 win 10 <mss 1460>\n> . 1:1(0) ack 1\n> P. 1:11(10) ack 1\n"
        "< . 1:1(0) ack 11 win 0\n> F. 11:11(0) ack 1\n< . 1:1(0) ack 11 win 0\n+2 < . 1:1(0) ack 11 win 500\n"
        "> F. 11:11(0) ack 1\n< . 1:1(0) ack 12 win 500",
        "RFC 9293 3.10.7.4: a FIN beyond the window is not taken, and is sent again.",
        "acknowledges the FIN only when it takes it (K11-zero-window shows the closed window).",
        RIGHT,
    ),
    Situation(
        "An ACK that crosses a FIN, at the end of the capture",
        OPEN + "> P. 1:11(10) ack 1\n> F. 11:11(0) ack 1\n< . 1:1(0) ack 11",
        "RFC 9293 3.6: the ACK was sent before the FIN arrived.",
        "acknowledges a FIN some 40 ms late (K1-K3-basic).",
        RIGHT,
    ),
    Situation(
        "The last ACK covers octets that the capture lacks",
        MISSING + "< P. 1:11(10) ack 1 {ip.id=2}\n> . 1:1(0) ack 111 {ip.id=3}",
        "RFC 9293 3.10.7.4: an ack of unsent data is wrong; a lost record of the capture looks the same.",
        "does not send such an ACK.",
        DOUBTFUL,
    ),
    Situation(
        "A segment is missing, and the receiver acknowledges its octet",
        MISSING + "< . 1:1(0) ack 2 {ip.id=2}\n> P. 2:12(10) ack 1 {ip.id=4}\n< . 1:1(0) ack 12 {ip.id=3}",
        "RFC 9293 3.4: the ACK proves that octet 1 was sent.",
        "sends single octets as any others.",
        RIGHT,
    ),
    Situation(
        "SACK covers a segment that the capture lacks",
        MISSING.replace("1460", "1460,sackOK")
        + "< . 1:1(0) ack 1 <nop,nop,sack 101:201> {ip.id=2}\n> . 1:101(100) ack 1 {ip.id=5}\n< . 1:1(0) ack 201 {ip.id=3}",
        "RFC 2018 3: the block proves that the octets arrived.",
        "reports what it has, the newest block first (K42-sack).",
        RIGHT,
    ),
    Situation(
        "A damaged RST",
        OPEN + "< R. 1:1(0) ack 1 {sum=1}\n> P. 1:11(10) ack 1\n< . 1:1(0) ack 11",
        "RFC 9293 3.1: a receiver drops a segment with a wrong checksum; the connection goes on.",
        "drops it without a word.",
        "an error: the checksum; nothing about what follows",
    ),
    Situation(
        "A keep-alive's octet while a FIN is not acknowledged",
        OPEN
        + "> P. 1:3(2) ack 1\n< . 1:1(0) ack 3\n> F. 3:3(0) ack 1\n+5 > . 2:3(1) ack 1 {fill=0x00}\n< . 1:1(0) ack 4",
        "RFC 9293 3.8.4: the octet below the left edge is garbage by design.",
        "sends keep-alives without an octet (E37-ecn-kernel).",
        RIGHT,
    ),
    Situation(
        "A RST one below the window",
        OPEN + "> F. 1:1(0) ack 1\n< . 1:1(0) ack 2\n> R. 1:1(0) ack 1",
        "RFC 9293 3.5.3, RFC 5961 3.2: it lies outside of the window, and is dropped.",
        "takes a RST at RCV.NXT, and also at the right edge of the highest SACK block (G12-rst-sack-edge-at_SACK_right_edge).",
        "at least a note",
    ),
    Situation(
        "MPTCP: the right edge of a subflow falls",
        SUBFLOW + "< . 1:1(0) ack 601 win 100 <dss ack8 601>",
        "RFC 8684 3.3.4: the window is that of the whole connection, counted from the Data ACK.",
        "lets the edge of a subflow fall at any time (L-mptcp2big-a).",
        RIGHT,
    ),
    Situation(
        "MPTCP: ADD_ADDR and DATA_FIN while data is under way",
        SUBFLOW
        + "> P. 601:701(100) ack 1 <dss dsn8 601 ssn 601 length 100>\n< . 1:1(0) ack 601 win 1000 <dss ack8 601>\n"
        "< . 1:1(0) ack 601 win 1000 <add_addr id 1 ipv4 192.0.2.30>\n"
        "< . 1:1(0) ack 601 win 1000 <dss fin ack8 601 dsn8 1 ssn 0 length 1>",
        "RFC 8684 3: an ACK with an option of MPTCP other than DSS is not a duplicate ACK. 3.3.3: DATA_FIN has a number of its "
        "own.",
        "sends ADD_ADDR and its echo on ACKs of their own (K34-mptcp-join), and DATA_FIN before FIN (K34-mptcp).",
        RIGHT,
    ),
    Situation(
        "MPTCP: a SYN ACK with an option that nobody offered",
        f"> S 0:0(0) <mss 1460>\n< S. 0:0(0) ack 1 <mss 1460,{CAPABLE} sender 0x00000000000000a1>\n> . 1:1(0) ack 1",
        "RFC 8684 3.1: only a SYN with MP_CAPABLE is answered with MP_CAPABLE.",
        NOT_MEASURED,
        WRONG,
    ),
    Situation(
        "AccECN entered from a classic ECN SYN",
        "> SEW 0:0(0) <mss 1460>\n< SW. 0:0(0) ack 1 <mss 1460>\n"
        "> W. 1:1(0) ack 1 win 65535 ecn 2 <accecn1 e1b 1 ceb 0 e0b 1>\n> PEA. 1:11(10) ack 1 win 65535 ecn 2\n"
        "< EA. 1:1(0) ack 11",
        "RFC 9768 3.1.2: CWR alone answers only an AccECN SYN; what the client does is not said.",
        "enters AccECN: option 174 on every segment, pure ACKs as ECT(0), ACE from 5 on (K4-accecn-client-data). ECE, or AE with "
        "ECE, mean classic ECN.",
        DOUBTFUL,
    ),
    Situation(
        "AccECN: AE, CWR and ECE are a counter",
        "> SEWA 0:0(0) <mss 1460>\n< SW. 0:0(0) ack 1 <mss 1460>\n> W. 1:1(0) ack 1\n> PEA. 1:11(10) ack 1 win 65535 ecn 3\n"
        "< WA. 1:1(0) ack 11",
        "RFC 9768 3.2.2: the lowest three bits of 5 plus the packets that arrived with CE.",
        "counts from 5, and wraps at 8 (K4-accecn-client-data). With tcp_ecn=1 it answers an AccECN SYN in the classic way "
        "(K5-accecn-syn-to-ecn1).",
        RIGHT,
    ),
    Situation(
        "AccECN: a mark that the counter leaves out",
        "> SEWA 0:0(0) <mss 1460>\n< SW. 0:0(0) ack 1 <mss 1460>\n> W. 1:1(0) ack 1\n> PEA. 1:11(10) ack 1 win 65535 ecn 3\n"
        "< EA. 1:1(0) ack 11",
        "RFC 9768 3.2.2.",
        "counts every mark.",
        WRONG,
    ),
    Situation(
        "MD5 that stops",
        f"> S 0:0(0) <mss 1460,{MD5}>\n< S. 0:0(0) ack 1 <mss 1460,{MD5}>\n> . 1:1(0) ack 1 <{MD5}>\n> P. 1:11(10) ack 1",
        "RFC 2385 2.0: every segment of the connection has the option; others are dropped.",
        NOT_MEASURED,
        WRONG,
    ),
    Situation(
        "TCP-AO that is not on the SYN ACK",
        f"> S 0:0(0) <mss 1460,{AO}>\n< S. 0:0(0) ack 1 <mss 1460>",
        "RFC 5925 7.3, 7.4: a connection is signed from its SYN on, in both directions.",
        NOT_MEASURED,
        WRONG,
    ),
    Situation(
        "A pure ACK at SND.UNA while data is out",
        OPEN + "> P. 1:101(100) ack 1\n< P. 1:11(10) ack 1\n> . 1:1(0) ack 11\n< . 11:11(0) ack 101",
        "RFC 9293 3.4: a segment without data has SND.NXT as its number.",
        "sends SND.NXT.",
        WRONG,
    ),
    Situation(
        "Pure ACKs with seq 0",
        "> S 5000:5000(0) <mss 1460>\n< S. 0:0(0) ack 5001 <mss 1460>\n> . 5001:5001(0) ack 1\n< P. 1:11(10) ack 5001\n"
        "> . 0:0(0) ack 11",
        "RFC 9293 3.10.7.4: the number lies outside of the window; the ACK is not read.",
        "sends SND.NXT, and 0 only with RST.",
        WRONG,
    ),
    Situation(
        "1,460 bytes for a peer without an MSS",
        "> S 0:0(0) <mss 1460>\n< S. 0:0(0) ack 1\n> . 1:1(0) ack 1\n> . 1:1461(1460) ack 1",
        "RFC 9293 3.7.1 (MUST-15): without the option, the peer takes 536 bytes.",
        "takes 536, and no less than 48 for a smaller option (K26-mss1).",
        WRONG,
    ),
    Situation(
        "An MSS of 0",
        "> S 0:0(0) <mss 0>\n< S. 0:0(0) ack 1 <mss 1460>\n> . 1:1(0) ack 1",
        "RFC 9293 3.7.1: no segment could carry a byte.",
        "takes 0 as no option: 536 (K26-mss0).",
        "at least a note",
    ),
    Situation(
        "An echo of 0",
        STAMPED + "> P. 1:11(10) ack 1 <nop,nop,TS val 1002 ecr 9000>\n< . 1:1(0) ack 11 <nop,nop,TS val 9010 ecr 0>",
        "RFC 7323 3.2: TSecr is valid with every ACK.",
        "echoes the last timestamp.",
        WRONG,
    ),
    Situation(
        "Timestamps of pure ACKs that go back",
        STAMPED
        + "> P. 1:11(10) ack 1 <nop,nop,TS val 1002 ecr 9000>\n< . 1:1(0) ack 11 <nop,nop,TS val 9010 ecr 1002>\n"
        "+1 > P. 11:21(10) ack 1 <nop,nop,TS val 2002 ecr 9010>\n< . 1:1(0) ack 21 <nop,nop,TS val 4000 ecr 2002>",
        "RFC 7323 5.4: the clock only goes forward.",
        "ticks each millisecond; the offset depends on addresses and ports (K5-accecn-syn-to-ecn1).",
        WRONG,
    ),
    Situation(
        "A SACK block that touches the ack",
        SACKED + "> . 1:101(100) ack 1\n> . 101:201(100) ack 1\n< . 1:1(0) ack 101 <nop,nop,sack 101:201>",
        "RFC 2018 3: the octet before a block has not been received.",
        "advances the ack over it (K42-sack).",
        WRONG,
    ),
    Situation(
        "SACK blocks that overlap",
        SACKED + "> . 1:101(100) ack 1\n> . 201:301(100) ack 1\n> . 301:401(100) ack 1\n"
        "< . 1:1(0) ack 101 <nop,nop,sack 201:401 301:401>",
        "RFC 2018 3: blocks are isolated; only a first one below may repeat (RFC 2883 4).",
        "sends a D-SACK block first, also inside a block that follows (K42-sack).",
        WRONG,
    ),
    Situation(
        "A SYN that is ECN-capable",
        "> SEW 0:0(0) win 65535 ecn 2 <mss 1460>\n< SE. 0:0(0) ack 1 <mss 1460>\n> . 1:1(0) ack 1",
        "RFC 3168 6.1.1: a host must not set ECT on a SYN.",
        "marks only new data in classic ECN (E37-ecn-kernel).",
        WRONG,
    ),
    Situation(
        "A pure ACK that is ECN-capable",
        "> SEW 0:0(0) <mss 1460>\n< SE. 0:0(0) ack 1 <mss 1460>\n> . 1:1(0) ack 1 win 65535 ecn 2",
        "RFC 3168 6.1.4: not in classic ECN. RFC 9768 3.3 allows it in AccECN.",
        "marks pure ACKs in AccECN only (K4-accecn-client-data, E37-ecn-kernel).",
        WRONG,
    ),
    Situation(
        "A RST that refuses a SYN without ACK",
        "> S 0:0(0) <mss 1460>\n< R 77:77(0)",
        "RFC 9293 3.5.2: it has seq 0 and acknowledges the SYN; otherwise it is ignored.",
        "sends seq 0, RST and ACK (K17-closed-port).",
        WRONG,
    ),
    Situation(
        "A FIN with a number that is one too high",
        OPEN + "> P. 1:11(10) ack 1\n< . 1:1(0) ack 11\n> F. 12:12(0) ack 1\n< . 1:1(0) ack 11",
        "RFC 9293 3.10.7.4: octet 11 is missing, so that the FIN waits.",
        "sends the FIN at SND.NXT.",
        WRONG,
    ),
    *(Situation(*each) for each in MORE),
)


def section(release: str) -> Iterator[str]:
    """The lines of the section, with what this tshark and this labkit say."""
    yield BEGIN
    yield ""
    yield "Situations that verifiers get wrong, each as a conversation in [the notation](verifying.md): what is right, what"
    yield "Linux 6.18.44 does (the capture that shows it in brackets), and what Wireshark and labkit say of each packet."
    yield ""
    for situation in SITUATIONS:
        theirs, ours = opinions(situation)
        yield f"### {situation.title}"
        yield ""
        yield "```notation"
        yield from situation.conversation.strip().splitlines()
        yield "```"
        yield ""
        yield f"- Right: {situation.right}. {situation.reference}"
        yield f"- Linux 6.18.44: {situation.linux}{'' if situation.linux.endswith('.') else '.'}"
        yield f"- Wireshark {release}: {theirs or 'nothing'}."
        yield f"- labkit: {ours or 'nothing'}."
        yield ""


def opinions(situation: Situation) -> tuple[str, str]:
    """What tshark and labkit say: each with the packet."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "a.pcap")
        parse(situation.conversation.strip(), "situation").write(path)
        with open_capture(path) as capture:
            verdict = Verifier().run(capture)
        asked = ["-o", "tcp.check_checksum:TRUE", "-T", "fields", "-E", "aggregator=;", "-e", "_ws.expert.message"]
        command = ["tshark", "-n", "-2", "-r", str(path), *asked]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    theirs = [f"packet {number}: {_plain(line)}" for number, line in enumerate(lines, 1) if _plain(line)]
    ours = [
        f"{f'packet {each.packet}: ' if each.packet else ''}{each.code} ({each.severity})"
        for each in verdict.findings
        if each.code not in QUIET
    ]
    return "; ".join(theirs), "; ".join(ours)


QUIET = frozenset({"OPT06", "CAP05", "FIN06"})
"""Notes about how short these conversations are."""

CHAT = (
    "Connection establish",
    "Connection finish",
    "Connection reset",
    "This frame ",
    "The non-SYN packet",
    "TCP window specified",
)


def _plain(line: str) -> str:
    """tshark's remarks without those about the mere opening and closing."""
    return ", ".join(each for each in line.split(";") if each and not each.startswith(CHAT))


def replaced(page: str, release: str) -> str:
    """The page with this section written anew."""
    before, _, rest = page.partition(f"{BEGIN}\n")
    if not rest:
        before, rest = page.partition(END)[0], page[page.index(END) :]
    else:
        rest = rest[rest.index(END) :]
    return before + "\n".join(section(release)) + "\n" + rest
