"""Mistakes in complete captures: numbers that no missing packet explains.

These rules look at the accounts of a whole conversation (`labkit.analysis.ledger`), where the capture shows, or a user
says, that nothing is missing. The first rule that fits an entry names the mistake. `unless` names the code of the first
pass whose error, at the same packet and with the same number, says as much.
"""

from labkit.analysis.entry import Entry
from labkit.analysis.rule import BOTH, LITERAL, Scope, Severity, rule
from labkit.tcp.flags import RST

PROFILES = BOTH - {LITERAL}

ONLY_COMPLETE = "found only in a complete capture"

OPENING = """
    > S  0:0(0)
    < S. 0:0(0) ack 1
    > .  1:1(0) ack 1
"""

GOOD = f"""{OPENING}
    > P. 1:19(18) ack 1
    < .  1:1(0) ack 19
    < P. 1:25(24) ack 19
    > .  19:19(0) ack 25
    > F. 19:19(0) ack 25
    < .  25:25(0) ack 20
    < F. 25:25(0) ack 20
    > .  20:20(0) ack 26
"""


@rule(
    "CON01",
    Severity.NOTE,
    "RFC 9293 3.4",
    "{field} {actual} follows from the mistake in packet {cause}",
    scope=Scope.LEDGER,
    no_fault=ONLY_COMPLETE,
    profiles=PROFILES,
    should_be="{field} {expected}, once packet {cause} is mended",
    good=GOOD,
    bad=f"""{OPENING}
    > P. 2:20(18) ack 1   # SEQ02
    < .  1:1(0) ack 20    # CON01
    """,
)
def follows_from_a_mistake(entry: Entry) -> int:
    """The number is right for a conversation that goes on from an earlier wrong number.

    It is not a mistake of its own: mend the first packet, count on from there, and this one is mended too.
    """
    return entry.cause is not None and not entry.repeats


@rule(
    "CON01",
    Severity.WARNING,
    "RFC 9293 3.4",
    "{field} {actual} repeats the mistake in packet {cause}",
    scope=Scope.LEDGER,
    no_fault=ONLY_COMPLETE,
    profiles=PROFILES,
    should_be="{field} {expected}",
    receiver="It answers as it did before.",
    mend="Set {field} to {expected}.",
    good=GOOD,
    bad=f"""{OPENING}
    < P. 1:19(18) ack 1
    > .  500:500(0) ack 19  # SEQ01
    < P. 19:37(18) ack 1
    > .  500:500(0) ack 37  # CON01
    """,
)
def repeats_a_mistake(entry: Entry) -> int:
    """The same side is off by as much as before: whoever mends the first packet knows how to mend this one."""
    return entry.repeats


@rule(
    "PORT01",
    Severity.ERROR,
    "RFC 9293 3.3.1",
    "the packet is {four_tuple}, but its numbers are the next ones of the conversation {right_tuple}",
    scope=Scope.LEDGER,
    no_fault=ONLY_COMPLETE,
    profiles=PROFILES,
    should_be="{right_tuple}, as in the other packets of this conversation",
    receiver="It knows no such connection and answers with RST.",
    mend="Set the source and destination to {right_tuple}.",
    good=GOOD,
    bad="",
)
def wrong_port_or_address(entry: Entry) -> int:
    """A connection is a pair of sockets. A segment with another port or address belongs to none.

    RFC 9293 section 3.3.1: a connection is named by the local and the remote IP address and port. In a reply all four
    are swapped: the source of one side is the destination of the other.
    """
    return entry.fault == "port"


@rule(
    "HS09",
    Severity.ERROR,
    "RFC 9293 3.5",
    "the handshake has no SYN ACK: the client goes on without the server's SYN",
    scope=Scope.LEDGER,
    no_fault=ONLY_COMPLETE,
    profiles=PROFILES,
    should_be="SYN, then SYN ACK from the server, then ACK",
    receiver="A server that has sent no SYN has no connection, and answers with RST.",
    mend="Add the server's SYN ACK before this packet.",
    good=GOOD,
    bad="""
    > S  0:0(0)
    > .  1:1(0) ack 1       # HS09
    > P. 1:19(18) ack 1
    < .  1:1(0) ack 19
    """,
)
def syn_ack_is_missing(entry: Entry) -> int:
    """A connection opens with SYN, SYN ACK and ACK. Without the SYN ACK nobody knows where the server's numbers begin."""
    return entry.fault == "syn-ack" and entry.peer is None


@rule(
    "HS09",
    Severity.ERROR,
    "RFC 9293 3.5",
    "the client acknowledges the SYN ACK before the server sends it in packet {peer_packet}",
    scope=Scope.LEDGER,
    no_fault=ONLY_COMPLETE,
    profiles=PROFILES,
    should_be="SYN, then SYN ACK from the server, then ACK",
    receiver="A server that has sent no SYN has no connection, and answers with RST.",
    mend="Move this packet behind packet {peer_packet}.",
    good=GOOD,
    bad="""
    > S  0:0(0)
    > .  1:1(0) ack 1       # HS09
    < S. 0:0(0) ack 1
    > P. 1:19(18) ack 1
    < .  1:1(0) ack 19
    """,
)
def syn_ack_comes_too_late(entry: Entry) -> int:
    """The client learns the server's initial sequence number from the SYN ACK, and can acknowledge it only then."""
    return entry.fault == "syn-ack"


@rule(
    "HS13",
    Severity.ERROR,
    "RFC 9293 3.5",
    "the conversation begins without a SYN",
    scope=Scope.LEDGER,
    no_fault=ONLY_COMPLETE,
    profiles=PROFILES,
    should_be="SYN from the client, SYN ACK, ACK, and then this packet or what follows it",
    receiver="A host without a connection answers with RST.",
    mend="Add the missing segments of the handshake before this packet.",
    good=GOOD,
    bad="""
    < S. 0:0(0) ack 1       # HS13
    > .  1:1(0) ack 1
    > P. 1:19(18) ack 1
    < .  1:1(0) ack 19
    """,
)
def syn_is_missing(entry: Entry) -> int:
    """A connection opens with a SYN. Nothing comes before it, and nothing is understood without it."""
    return entry.fault == "syn"


@rule(
    "HS12",
    Severity.WARNING,
    "RFC 9293 3.10.7.3",
    "ack {actual} does not acknowledge the SYN that it answers, and the client refuses it with RST",
    scope=Scope.LEDGER,
    no_fault=ONLY_COMPLETE,
    profiles=PROFILES,
    should_be="SYN ACK with ack {expected}; a host that still has an older connection answers like this (figure 9)",
    receiver="In SYN-SENT it answers an ack of something that it has not sent with RST.",
    mend="Send SYN ACK, and set ack to {expected}.",
    good=GOOD,
    bad="""
    > S  0:0(0)
    < .  300:300(0) ack 100 # HS12
    > R  100:100(0)
    """,
)
def ack_is_refused_in_syn_sent(entry: Entry) -> int:
    """In SYN-SENT only an ack of the SYN is acceptable: ISN + 1, or more with data on the SYN.

    A host that has forgotten to close an older connection with the same ports sends such an ACK, and the RST ends that
    connection (RFC 9293 section 3.5.1, half-open connections).
    """
    return entry.fault == "refused"


@rule(
    "HS10",
    Severity.ERROR,
    "RFC 9293 3.5",
    "the handshake has no third segment: the server goes on before the client has acknowledged its SYN",
    scope=Scope.LEDGER,
    no_fault=ONLY_COMPLETE,
    profiles=PROFILES,
    should_be="an ACK of the client, which may carry its first data",
    receiver="The server is in SYN-RECEIVED and may not send data before the ACK.",
    mend="Add the client's ACK before this packet.",
    good=GOOD,
    bad="""
    > S  0:0(0)
    < S. 0:0(0) ack 1
    < P. 1:25(24) ack 1     # HS10
    > .  1:1(0) ack 25
    """,
)
def third_segment_is_missing(entry: Entry) -> int:
    """The server is ESTABLISHED when the client acknowledges its SYN. Before that it sends no data.

    The third segment may carry the client's first data: then no separate ACK is needed. A Fast Open server may answer
    the data on a SYN at once (RFC 7413).
    """
    return entry.fault == "third-ack"


@rule(
    "HS11",
    Severity.ERROR,
    "RFC 9293 3.5",
    "the answer to the SYN lacks the SYN bit: the server never says where its numbers begin",
    scope=Scope.LEDGER,
    no_fault=ONLY_COMPLETE,
    profiles=PROFILES,
    should_be="SYN ACK: the client's next segment acknowledges one number more",
    receiver="In SYN-SENT the client drops an acceptable ACK without SYN.",
    mend="Set the flags to SYN and ACK.",
    good=GOOD,
    bad="""
    > S  0:0(0)
    < .  0:0(0) ack 1       # HS11
    > .  1:1(0) ack 1
    > P. 1:19(18) ack 1
    """,
)
def syn_bit_is_missing(entry: Entry) -> int:
    """The second segment of the handshake is SYN ACK: it acknowledges the client's SYN and carries the server's ISN."""
    return entry.fault == "syn-bit"


@rule(
    "HS11",
    Severity.ERROR,
    "RFC 9293 3.5",
    "the answer to the SYN lacks the ACK bit, so its ack number does not count",
    scope=Scope.LEDGER,
    no_fault=ONLY_COMPLETE,
    profiles=PROFILES,
    should_be="SYN ACK; if both sides opened at the same moment, the client would answer with SYN ACK too, and does not",
    receiver="The client takes it for a simultaneous open and answers with SYN ACK.",
    mend="Set the flags to SYN and ACK, and ack to {peer_end}.",
    good=GOOD,
    bad="""
    > S  0:0(0)
    < S  0:0(0)             # HS11
    > .  1:1(0) ack 1
    > P. 1:19(18) ack 1
    """,
)
def ack_bit_is_missing_in_the_answer(entry: Entry) -> int:
    """The second segment of the handshake is SYN ACK. A SYN alone opens a connection of its own."""
    return entry.fault == "ack-bit"


@rule(
    "HS11",
    Severity.ERROR,
    "RFC 9293 3.5",
    "the conversation opens with SYN ACK, which answers nothing; the peer's SYN ACK acknowledges it as a SYN",
    scope=Scope.LEDGER,
    no_fault=ONLY_COMPLETE,
    profiles=PROFILES,
    should_be="SYN alone: there is nothing to acknowledge yet",
    receiver="In LISTEN a segment with ACK is answered with RST.",
    mend="Clear ACK.",
    good=GOOD,
    bad="""
    > S. 0:0(0) ack 0       # HS11
    < S. 0:0(0) ack 1
    > .  1:1(0) ack 1
    > P. 1:19(18) ack 1
    """,
)
def opens_with_syn_ack(entry: Entry) -> int:
    """The first segment of a connection is SYN alone (RFC 9293 section 3.10.7.2: in LISTEN, an ACK is answered with RST)."""
    return entry.fault == "opens"


@rule(
    "HS07",
    Severity.ERROR,
    "RFC 9293 3.10.7.4",
    "SYN is set in a segment with the sender's next number, although the connection is open",
    scope=Scope.LEDGER,
    unless=("HS07", "FL01"),
    profiles=PROFILES,
    should_be="SYN clear",
    receiver="It answers with a challenge ACK and ignores the rest (RFC 5961 section 4).",
    mend="Clear SYN.",
    good=GOOD,
    bad=f"""{OPENING}
    > SP. 1:19(18) ack 1    # HS07
    < .  1:1(0) ack 19
    """,
)
def syn_inside_the_connection(entry: Entry) -> int:
    """SYN takes the first number of a side. No later segment of the connection has it."""
    return entry.fault == "syn-inside"


@rule(
    "RST04",
    Severity.ERROR,
    "RFC 9293 3.5.2",
    "the client goes on after its own RST, which its kernel has probably sent: the kernel knows nothing of a crafted SYN",
    scope=Scope.LEDGER,
    no_fault=ONLY_COMPLETE,
    profiles=PROFILES,
    should_be="no RST in packet {own_packet}, and no segment after one",
    receiver="The server has dropped the connection and answers every later segment with RST.",
    mend="Keep the kernel quiet: send from an address that it does not own, or drop its outgoing RST with a firewall rule.",
    good=GOOD,
    bad="""
    > S  0:0(0)
    < S. 0:0(0) ack 1
    > R  1:1(0)
    > .  1:1(0) ack 1       # RST04
    > P. 1:19(18) ack 1
    """,
)
def continues_after_the_kernels_reset(entry: Entry) -> int:
    """A kernel answers a SYN ACK for a connection that it does not know with RST.

    It happens when a script sends a SYN from the address of its own computer. The script goes on as though nothing had
    happened, and the server has long forgotten the connection.
    """
    return entry.fault == "kernel"


@rule(
    "RST03",
    Severity.ERROR,
    "RFC 9293 3.5.2",
    "the sender goes on after its own RST, which aborted the connection",
    scope=Scope.LEDGER,
    unless=("RST03",),
    profiles=PROFILES,
    should_be="no further segment of this connection",
    receiver="It no longer knows the connection and answers with RST.",
    mend="Remove the segment, or the RST before it.",
    good=GOOD,
    bad=f"""{OPENING}
    > P. 1:19(18) ack 1
    > R  19:19(0)
    > P. 19:29(10) ack 1    # RST03
    """,
)
def goes_on_after_its_reset(entry: Entry) -> int:
    """A reset ends the connection at once: its sender has nothing to send after it."""
    return entry.fault == "resets"


@rule(
    "FIN03",
    Severity.ERROR,
    "RFC 9293 3.6",
    "the segment carries data, {length} in length, after its sender's FIN",
    scope=Scope.LEDGER,
    profiles=PROFILES,
    should_be="no data: FIN says that nothing more follows",
    receiver="It ignores data after a FIN.",
    mend="Send the data before the FIN, or remove it.",
    good=GOOD,
    bad=f"""{OPENING}
    > F. 1:1(0) ack 1
    < .  1:1(0) ack 2
    > P. 2:6(4) ack 1       # FIN03
    < F. 1:1(0) ack 2
    > .  2:2(0) ack 2
    """,
)
def data_after_the_fin(entry: Entry) -> int:
    """FIN is the last number that a side takes; no byte has a number after it."""
    return entry.fault == "after-fin"


@rule(
    "FIN03",
    Severity.ERROR,
    "RFC 9293 3.6",
    "FIN is set, but both sides go on as though it were not: nobody counts it",
    scope=Scope.LEDGER,
    unless=("FL01",),
    profiles=PROFILES,
    should_be="no FIN: it says that nothing more follows",
    receiver="It acknowledges the FIN, and ignores the data after it.",
    mend="Clear FIN.",
    good=GOOD,
    bad=f"""{OPENING}
    > FP. 1:5(4) ack 1      # FIN03
    < .  1:1(0) ack 5
    > P. 5:9(4) ack 1
    < .  1:1(0) ack 9
    """,
)
def fin_that_ends_nothing(entry: Entry) -> int:
    """FIN takes a sequence number, and is the last thing that a side sends."""
    return entry.fault == "stray-fin"


@rule(
    "FIN03",
    Severity.ERROR,
    "RFC 9293 3.6",
    "a second FIN with seq {actual}; its sender has sent its FIN in packet {peer_packet}, and nothing comes after that",
    scope=Scope.LEDGER,
    profiles=PROFILES,
    should_be="one FIN; if it is sent again, it has seq {expected} as before",
    receiver="It has seen the end already, drops the segment and acknowledges again.",
    mend="Clear FIN or remove the segment; a FIN that is sent again has seq {expected}.",
    good=GOOD,
    bad=f"""{OPENING}
    > F. 1:1(0) ack 1
    < .  1:1(0) ack 2
    > F. 2:2(0) ack 1       # FIN03
    < F. 1:1(0) ack 3       # CON01
    > .  3:3(0) ack 2       # CON01
    """,
)
def second_fin_with_another_number(entry: Entry) -> int:
    """FIN is the last number that a side takes. A second one with a number of its own ends what has ended."""
    return entry.fault == "second-end"


@rule(
    "RST03",
    Severity.ERROR,
    "RFC 9293 3.5.2",
    "RST is set in a segment with data, but both sides go on as though it were not",
    scope=Scope.LEDGER,
    unless=("FL01",),
    profiles=PROFILES,
    should_be="no RST: it aborts the connection",
    receiver="It drops the data and the connection, and answers every later segment with RST.",
    mend="Clear RST.",
    good=GOOD,
    bad=f"""{OPENING}
    > RP. 1:5(4) ack 1      # RST03
    < .  1:1(0) ack 5
    > P. 5:9(4) ack 1
    < .  1:1(0) ack 9
    """,
)
def reset_that_ends_nothing(entry: Entry) -> int:
    """A reset ends the connection at once, and takes no data with it that counts."""
    return entry.fault == "stray-rst"


@rule(
    "HS14",
    Severity.NOTE,
    "RFC 9293 3.4.1",
    "both sides begin with the same initial sequence number, {plain}",
    scope=Scope.LEDGER,
    no_fault="describes what is not a fault",
    profiles=PROFILES,
    should_be="any number: each side counts in a space of its own; teaching texts show two different ones",
    good="""
    > S  1000:1000(0)
    < S. 5000:5000(0) ack 1001
    > .  1001:1001(0) ack 5001
    """,
    bad="""
    > S  1000:1000(0)
    < S. 1000:1000(0) ack 1001   # HS14
    > .  1001:1001(0) ack 1001
    """,
)
def isns_are_equal(entry: Entry) -> int:
    """Each side chooses its own initial sequence number, and nobody can guess the other's (RFC 6528).

    That both are equal is legal and harmless. Real hosts hardly ever do it.
    """
    return entry.fault == "same-isn"


@rule(
    "HS15",
    Severity.NOTE,
    "RFC 9293 3.5",
    "the third segment of the handshake carries data, {length} in length",
    scope=Scope.LEDGER,
    no_fault="describes what is not a fault",
    profiles=PROFILES,
    should_be="an ACK with or without data; teaching texts show one without",
    good=GOOD,
    bad="""
    > S  0:0(0)
    < S. 0:0(0) ack 1
    > P. 1:19(18) ack 1     # HS15
    < .  1:1(0) ack 19
    """,
)
def third_segment_carries_data(entry: Entry) -> int:
    """The segment that acknowledges the server's SYN may carry the client's first data."""
    return entry.fault == "third-data"


@rule(
    "NUM01",
    Severity.ERROR,
    "RFC 9293 3.1",
    "seq and ack are swapped: seq is {actual}, which is the peer's next number",
    scope=Scope.LEDGER,
    no_fault=ONLY_COMPLETE,
    profiles=PROFILES,
    should_be="seq {expected}: a sender's seq counts its own bytes, its ack those of the peer",
    receiver="It drops the segment, for its seq lies outside the window, and answers with an ACK.",
    mend="Exchange seq and ack.",
    good=GOOD,
    bad=f"""{OPENING}
    > P. 1:19(18) ack 1
    < .  19:19(0) ack 1     # NUM01
    < P. 1:25(24) ack 19
    > .  19:19(0) ack 25
    """,
)
def seq_and_ack_swapped(entry: Entry) -> int:
    """Each side counts in a space of its own: seq is a number of the sender's space, ack one of the peer's."""
    return entry.swapped


@rule(
    "NUM02",
    Severity.ERROR,
    "RFC 9293 3.4",
    "{field} {plain} looks like a relative number, as Wireshark shows it; the other numbers are raw",
    scope=Scope.LEDGER,
    no_fault=ONLY_COMPLETE,
    profiles=PROFILES,
    should_be="{field} {wanted}: {plain} + {isn}, the initial sequence number",
    receiver="It drops the segment, for the number lies outside the window, and answers with an ACK.",
    mend="Add the initial sequence number {isn} to {field}.",
    good=GOOD,
    bad="""
    > S  1000:1000(0)
    < S. 5000:5000(0) ack 1001
    > .  1001:1001(0) ack 5001
    > P. 1:19(18) ack 1     # NUM02
    < .  1:1(0) ack 19      # CON01
    """,
)
def number_is_relative(entry: Entry) -> int:
    """Wireshark shows sequence numbers counted from the ISN. In a packet stand the raw ones.

    Wireshark's preference "Relative sequence numbers" of TCP, switched off, shows what is in the packet.
    """
    return entry.relative


@rule(
    "RST01",
    Severity.ERROR,
    "RFC 9293 3.10.5",
    "the reset has seq {actual}, which is not the sender's next number",
    scope=Scope.LEDGER,
    unless=("RST01",),
    profiles=PROFILES,
    should_be="seq {expected}, the sender's next number",
    receiver="It ignores a reset outside the window and answers one inside it with a challenge ACK.",
    mend="Set seq to {expected}.",
    good=GOOD,
    bad=f"""{OPENING}
    > P. 1:19(18) ack 1
    < .  1:1(0) ack 19
    > R  0:0(0)             # RST01
    """,
)
def reset_has_another_number(entry: Entry) -> int:
    """A reset counts only with the number that its receiver expects (RFC 9293 section 3.10.7.4, RFC 5961 section 3.2)."""
    return entry.field == "seq" and entry.shown.ctl & RST != 0
