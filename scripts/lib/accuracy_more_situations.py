"""More situations for `accuracy_situations`: title, conversation, reference, what Linux does, what a verdict should hold."""

OPEN = """
> S  0:0(0) <mss 1460>
< S. 0:0(0) ack 1 <mss 1460>
> .  1:1(0) ack 1
"""
STAMPED = """
> S  0:0(0) <mss 1460,nop,nop,TS val 1000 ecr 0>
< S. 0:0(0) ack 1 <mss 1460,nop,nop,TS val 9000 ecr 1000>
> .  1:1(0) ack 1 <nop,nop,TS val 1001 ecr 9000>
"""
SACKED = """
> S  0:0(0) <mss 1460,sackOK>
< S. 0:0(0) ack 1 <mss 1460,sackOK>
> .  1:1(0) ack 1
"""
ECN = """
> SEW 0:0(0) <mss 1460>
< SE. 0:0(0) ack 1 <mss 1460>
> . 1:1(0) ack 1
"""
DATA = "> P. 1:11(10) ack 1\n< . 1:1(0) ack 11\n"
NOT_MEASURED = "not measured"
RIGHT, DOUBTFUL, WRONG = "nothing to report", "at most a warning", "at least a warning"

MORE = (
    (
        "A capture that begins with a window probe",
        (
            "> . 99:99(0) ack 1\n< . 1:1(0) ack 100 win 0\n+0.4 > . 99:99(0) ack 1\n< . 1:1(0) ack 100 win 5000\n"
            "> P. 100:200(100) ack 1\n< . 1:1(0) ack 200"
        ),
        "RFC 9293 3.8.6.1: the probe of a closed window is not a new number.",
        "probes with SND.NXT - 1 and no octet (K11-zero-window).",
        RIGHT,
    ),
    (
        "A SYN ACK that is sent again without options, and taken",
        (
            "> S 0:0(0) <mss 1460,nop,nop,TS val 1000 ecr 0>\n< S. 0:0(0) ack 1 <mss 1460,nop,nop,TS val 90 ecr 1000>\n"
            "+1 < S. 0:0(0) ack 1 <mss 1460>\n> . 1:1(0) ack 1\n> P. 1:11(10) ack 1\n< . 1:1(0) ack 11"
        ),
        "RFC 7323 3.2: the client uses timestamps if the SYN ACK that it has received carries them.",
        "repeats a SYN ACK with the same options (K7-synack-dupsyn).",
        RIGHT,
    ),
    (
        "A SYN in the connection that is challenged",
        OPEN + DATA + "> S 5000:5000(0) <mss 536>\n< . 1:1(0) ack 11\n> P. 11:21(10) ack 1\n< . 1:1(0) ack 21",
        "RFC 9293 3.10.7.4, RFC 5961 4.2: it is answered with a challenge ACK, and nothing is agreed on anew.",
        "challenges it, not more than once in 0.5 s (E29-halfopen, G6-oow-ratelimit).",
        RIGHT,
    ),
    (
        "A simultaneous Fast Open",
        (
            "> S 0:20(20) <mss 1460,FO a1b2c3d4,nop,nop>\n< S 0:30(30) <mss 1460,FO a1b2c3d4,nop,nop>\n"
            "> S. 0:0(0) ack 31 <mss 1460>\n< S. 0:0(0) ack 21 <mss 1460>\n> . 21:21(0) ack 31\n< . 31:31(0) ack 21"
        ),
        "RFC 7413 4.2, RFC 9293 3.5: the data on each SYN takes its numbers.",
        "carries data on a SYN with a cookie (K29-tfo); not measured for two at once.",
        RIGHT,
    ),
    (
        "An ACK in SYN-SENT, of an old connection",
        (
            "> S 1000:1000(0) <mss 1460>\n< . 700:700(0) ack 4000\n> R 4000:4000(0)\n"
            "+1 > S 1000:1000(0) <mss 1460>\n< S. 0:0(0) ack 1001 <mss 1460>\n> . 1001:1001(0) ack 1"
        ),
        "RFC 9293 3.5.1, figure 9: the RST with the number of that ACK ends the old connection, not this attempt.",
        "answers such an ACK with that RST (E29-halfopen).",
        DOUBTFUL,
    ),
    (
        "A SYN ACK in TIME-WAIT",
        OPEN + "> F. 1:1(0) ack 1\n< F. 1:1(0) ack 2\n> . 2:2(0) ack 2\n< S. 0:0(0) ack 1 <mss 1460>\n> . 2:2(0) ack 2",
        "RFC 9293 3.10.7.4: the old segment is answered with an ACK.",
        "answers FINs, data and SYNs in TIME-WAIT with the same ACK (E22-tw-refin).",
        RIGHT,
    ),
    (
        "A SYN with a lower number and a newer timestamp in TIME-WAIT",
        (
            "> S 9000:9000(0) <mss 1460,nop,nop,TS val 1000 ecr 0>\n"
            "< S. 0:0(0) ack 9001 <mss 1460,nop,nop,TS val 9000 ecr 1000>\n"
            "> . 9001:9001(0) ack 1 <nop,nop,TS val 1001 ecr 9000>\n> F. 9001:9001(0) ack 1 <nop,nop,TS val 1002 ecr 9000>\n"
            "< F. 1:1(0) ack 9002 <nop,nop,TS val 9003 ecr 1002>\n> . 9002:9002(0) ack 2 <nop,nop,TS val 1004 ecr 9003>\n"
            "+2 > S 5000:5000(0) <mss 1460,nop,nop,TS val 3004 ecr 0>\n"
            "< S. 77000:77000(0) ack 5001 <mss 1460,nop,nop,TS val 11004 ecr 3004>\n"
            "> . 5001:5001(0) ack 77001 <nop,nop,TS val 3005 ecr 11004>"
        ),
        "RFC 6191 2: the timestamp tells that the SYN is new.",
        "reopens for a SYN with a higher number (K22-tw-newsyn); not measured for a lower one.",
        RIGHT,
    ),
    (
        "The last ACK is one too high",
        OPEN + "> P. 1:11(10) ack 1\n< . 1:1(0) ack 12",
        "RFC 9293 3.10.7.4: octet 11 was not sent; a pure ACK takes no number.",
        "does not send such an ACK.",
        WRONG,
    ),
    (
        "A reset tells what the capture lacks",
        OPEN + "< P. 1:11(10) ack 1\n> . 1:1(0) ack 21\n< R. 21:21(0) ack 1",
        "RFC 9293 3.5.2: an abort has SND.NXT as its number, so that the octets before it were sent.",
        "aborts at SND.NXT.",
        RIGHT,
    ),
    (
        "A damaged FIN, and its sender goes on",
        OPEN + "> PF. 1:11(10) ack 1 {sum=1}\n+0.3 > P. 1:11(10) ack 1\n< . 1:1(0) ack 11\n> P. 11:21(10) ack 1",
        "RFC 9293 3.1: a receiver drops it. Its octets were sent, nothing else of it counts.",
        "drops it without a word.",
        "an error: the checksum; nothing about what follows",
    ),
    (
        "ACKs of parts of a super-segment, just before it",
        OPEN + "< . 1:1(0) ack 1461\n+0.000005 > P. 1:5841(5840) ack 1\n< . 1:1(0) ack 5841",
        "RFC 9293 3.10.7.4; the capture has the card's interrupts in another order than the wire.",
        "segments in the card, above the point of capture (K45-offload).",
        RIGHT,
    ),
    (
        "One packet, captured twice",
        OPEN + "> P. 1:11(10) ack 1 {ip.id=9}\n+0.00002 > P. 1:11(10) ack 1 {ip.id=9}\n< . 1:1(0) ack 11",
        "RFC 6864 4.1: one identification means one packet.",
        "counts identifications, and gives a resend a new one (K14-rto-1pkt).",
        "at least a note",
    ),
    (
        "A RST at the right edge of the window",
        (
            "> S 0:0(0) <mss 1460>\n< S. 0:0(0) ack 1 win 1000 <mss 1460>\n> . 1:1(0) ack 1\n> P. 1:11(10) ack 1\n"
            "< . 1:1(0) ack 11 win 1000\n> R. 1011:1011(0) ack 1"
        ),
        "RFC 9293 3.10.7.4, RFC 5961 3.2: RCV.NXT + RCV.WND is the first number outside.",
        "takes a RST at RCV.NXT, and at the right edge of a SACK block (G12-rst-sack-edge-at_SACK_right_edge).",
        WRONG,
    ),
    (
        "An echo older than the peer's first timestamp",
        STAMPED + "> P. 1:11(10) ack 1 <nop,nop,TS val 1002 ecr 8500>",
        "RFC 7323 3.2: TSecr repeats a TSval of the peer.",
        "echoes the last timestamp in order.",
        WRONG,
    ),
    (
        "An echo on a SYN",
        "> S 0:0(0) <mss 1460,nop,nop,TS val 1000 ecr 123456>\n< S. 0:0(0) ack 1 <mss 1460,nop,nop,TS val 9000 ecr 1000>",
        "RFC 7323 3.2: without ACK, TSecr is 0.",
        "echoes an old TSval only where it reopens TIME-WAIT (K22-tw-newsyn).",
        WRONG,
    ),
    (
        "A second SACK block below the ack",
        SACKED + "> . 1:101(100) ack 1\n> . 101:201(100) ack 1\n> . 301:401(100) ack 1\n"
        "< . 1:1(0) ack 201 <nop,nop,sack 301:401 101:201>",
        "RFC 2883 4: only the first block may be a D-SACK.",
        "sends a D-SACK block first (K42-sack).",
        WRONG,
    ),
    (
        "SACK blocks on a SYN ACK",
        "> S 0:0(0) <mss 1460,sackOK>\n< S. 0:0(0) ack 1 <mss 1460,sackOK,nop,nop,sack 1:101>",
        "RFC 2018 2, 3: nothing has been received yet.",
        "sends SACK-permitted only.",
        WRONG,
    ),
    (
        "A SACK block beyond any window",
        SACKED
        + "> . 1:101(100) ack 1\n> . 201:301(100) ack 1\n< . 1:1(0) ack 101 <nop,nop,sack 2000000201:2000000301>",
        "RFC 2018 3: a block tells of octets in the window. A middlebox has changed numbers, but not the blocks.",
        "reports what it has (K42-sack).",
        WRONG,
    ),
    (
        "A RST that answers a bad ACK with another number",
        "> S 1000:1000(0) <mss 1460>\n< . 700:700(0) ack 4000\n> R 4001:4001(0)",
        "RFC 9293 3.10.7.3: <SEQ=SEG.ACK><CTL=RST>.",
        "takes the ack as its number (K17-closed-port).",
        WRONG,
    ),
    (
        "A refusal with an impossible ack",
        "> S 1000:1000(0) <mss 1460>\n< R. 0:0(0) ack 5000",
        "RFC 9293 3.10.7.3: a RST in SYN-SENT counts only if its ack acknowledges the SYN.",
        "acknowledges the SYN (K17-closed-port).",
        WRONG,
    ),
    (
        "A SYN in the connection that nobody challenges",
        OPEN + DATA + "> S 5000:5000(0) <mss 1460>\n< P. 1:11(10) ack 11\n> . 11:11(0) ack 11\n< P. 11:21(10) ack 11",
        "RFC 9293 3.10.7.4, RFC 5961 4.2: a receiver must send a challenge ACK.",
        "challenges it (E29-halfopen).",
        WRONG,
    ),
    (
        "An ACK without SYN answers the SYN",
        "> S 0:0(0) <mss 1460>\n< . 0:0(0) ack 1\n+1 > S 0:0(0) <mss 1460>",
        "RFC 9293 3.10.7.3: without SYN the segment is dropped; SYN ACK opens the connection.",
        "answers a SYN with SYN ACK.",
        WRONG,
    ),
    (
        "Data of the server before the third segment",
        "> S 0:0(0) <mss 1460>\n< S. 0:0(0) ack 1 <mss 1460>\n< P. 1:11(10) ack 1\n> . 1:1(0) ack 11",
        "RFC 9293 3.5: in SYN-RECEIVED a host waits for the ACK of its SYN.",
        "sends data once the connection is established, or after Fast Open (K29-tfo).",
        WRONG,
    ),
    (
        "Data into a closed window that its sender has seen",
        (
            "> S 0:0(0) <mss 1460>\n< S. 0:0(0) ack 1 win 1000 <mss 1460>\n> . 1:1(0) ack 1\n> P. 1:1001(1000) ack 1\n"
            "< . 1:1(0) ack 1001 win 0\n+1 > P. 1001:1501(500) ack 1\n< . 1:1(0) ack 1001 win 0"
        ),
        "RFC 9293 3.8.6.1: only a probe.",
        "probes with an old number (K11-zero-window).",
        WRONG,
    ),
    (
        "A SYN ACK with ECE and CWR",
        "> SEW 0:0(0) <mss 1460>\n< SEW. 0:0(0) ack 1 <mss 1460>\n> . 1:1(0) ack 1",
        "RFC 3168 6.1.1: ECE alone accepts.",
        "accepts with ECE alone (E37-ecn-kernel).",
        WRONG,
    ),
    (
        "A resend that is ECN-capable",
        ECN + "> P. 1:11(10) ack 1 win 65535 ecn 2\n+0.3 > P. 1:11(10) ack 1 win 65535 ecn 2\n< . 1:1(0) ack 11",
        "RFC 3168 6.1.5.",
        "does not mark resends (E37-ecn-kernel).",
        WRONG,
    ),
    (
        "CWR on a pure ACK",
        ECN + "> P. 1:11(10) ack 1 win 65535 ecn 3\n< E. 1:1(0) ack 11\n> W. 11:11(0) ack 1",
        "RFC 3168 6.1.2: CWR is set on the first new data packet.",
        "sets CWR on the first new data (E1-ece-cwr).",
        WRONG,
    ),
)
