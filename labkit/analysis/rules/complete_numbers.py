"""Wrong numbers in complete captures: seq and ack that no missing packet explains.

These rules come after those of `complete`: the first rule that fits an entry names the mistake.
"""

from labkit.analysis.entry import Entry
from labkit.analysis.rule import BOTH, LITERAL, Scope, Severity, rule
from labkit.tcp.flags import FIN, SYN
from labkit.tcp.seq import diff

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
    "HS03",
    Severity.ERROR,
    "RFC 9293 3.5",
    "the third segment of the handshake has seq {actual}, the number that the SYN took",
    scope=Scope.LEDGER,
    unless=("HS03",),
    profiles=PROFILES,
    should_be="seq {expected}: the SYN takes one sequence number",
    receiver="It answers with an ACK and stays in SYN-RECEIVED.",
    mend="Set seq to {expected}.",
    good=GOOD,
    bad="""
    > S  0:0(0)
    < S. 0:0(0) ack 1
    > .  0:0(0) ack 1       # HS03
    > P. 1:19(18) ack 1
    """,
)
def third_segment_repeats_the_isn(entry: Entry) -> int:
    """SYN takes one sequence number. What follows it starts at ISN + 1."""
    return entry.field == "seq" and entry.at_syn and entry.own is not None and entry.own.ctl & SYN != 0


@rule(
    "SEQ02",
    Severity.ERROR,
    "RFC 9293 3.4",
    "seq {actual} is the number that the sender's own {taker} took",
    scope=Scope.LEDGER,
    unless=("SEQ02",),
    profiles=PROFILES,
    should_be="seq {expected}: SYN and FIN take one sequence number each",
    receiver="It takes the segment for an old one and acknowledges again.",
    mend="Set seq to {expected}.",
    good=GOOD,
    bad=f"""{OPENING}
    > F. 1:1(0) ack 1
    < F. 1:1(0) ack 2
    > .  1:1(0) ack 2       # SEQ02
    """,
)
def syn_or_fin_takes_a_number(entry: Entry) -> int:
    """SYN and FIN take one number each, so that they can be acknowledged. What follows starts one higher."""
    return entry.field == "seq" and (entry.at_syn or entry.at_fin)


@rule(
    "SEQ02",
    Severity.ERROR,
    "RFC 9293 3.4",
    "seq {actual} is one too high: the sender has counted its pure ACK",
    scope=Scope.LEDGER,
    unless=("SEQ02",),
    profiles=PROFILES,
    should_be="seq {expected}: a pure ACK takes no sequence number",
    receiver="It waits for a byte that never comes.",
    mend="Set seq to {expected}, and take 1 from every later seq of this side.",
    good=GOOD,
    bad=f"""{OPENING}
    > P. 2:20(18) ack 1     # SEQ02
    < .  1:1(0) ack 20
    """,
)
def counts_its_pure_ack(entry: Entry) -> int:
    """Data takes one number for each byte, SYN and FIN one each, a pure ACK none (RFC 9293 section 3.4)."""
    return entry.field == "seq" and entry.off == 1 and entry.own is not None and entry.own.is_pure_ack


@rule(
    "SEQ02",
    Severity.ERROR,
    "RFC 9293 3.4",
    "seq {actual} is that of the sender's segment before, although that carried {own_length} bytes",
    scope=Scope.LEDGER,
    profiles=PROFILES,
    should_be="seq {expected}: every byte of data takes one sequence number",
    receiver="It takes the segment for an old one and acknowledges again.",
    mend="Set seq to {expected}, and add {own_length} to every later seq of this side.",
    good=GOOD,
    bad=f"""{OPENING}
    > P. 1:19(18) ack 1
    < P. 1:25(24) ack 19
    > .  1:1(0) ack 25      # SEQ02
    """,
)
def does_not_count_its_data(entry: Entry) -> int:
    """A sender's next segment starts behind the last byte that it has sent."""
    own = entry.own
    return entry.field == "seq" and own is not None and own.length > 0 and entry.off == -own.length


@rule(
    "SEQ04",
    Severity.ERROR,
    "RFC 9293 3.4",
    "seq {actual} adds the {peer_length} bytes of the peer's segment to the sender's own numbers",
    scope=Scope.LEDGER,
    no_fault=ONLY_COMPLETE,
    profiles=PROFILES,
    should_be="seq {expected}: seq counts the sender's own {own_length} bytes, ack those of the peer",
    receiver="It takes what is new in its window, or answers an old number with an ACK.",
    mend="Set seq to {expected}.",
    good=GOOD,
    bad=f"""{OPENING}
    > P. 1:19(18) ack 1
    < P. 1:25(24) ack 19
    > .  25:25(0) ack 25    # SEQ04
    """,
)
def counts_the_peers_data(entry: Entry) -> int:
    """seq and ack count in two spaces: a side's seq grows by what it sends itself."""
    own, peer = entry.own, entry.peer
    if entry.field != "seq" or own is None or peer is None or not peer.length or not own.length:
        return False
    return entry.off == peer.length - own.length


@rule(
    "SEQ04",
    Severity.ERROR,
    "RFC 9293 3.4",
    "seq {actual} counts {headers} bytes of headers as data",
    scope=Scope.LEDGER,
    no_fault=ONLY_COMPLETE,
    profiles=PROFILES,
    should_be="seq {expected}: only the payload takes sequence numbers",
    receiver="It waits for bytes that never come.",
    mend="Set seq to {expected}: add the length of the payload, not of the packet.",
    good=GOOD,
    bad=f"""{OPENING}
    > P. 1:19(18) ack 1
    < .  1:1(0) ack 19
    > P. 59:69(10) ack 1    # SEQ04
    < .  1:1(0) ack 69
    """,
)
def counts_its_headers(entry: Entry) -> int:
    """Sequence numbers count payload bytes. IP and TCP headers take none."""
    own = entry.own
    return entry.field == "seq" and own is not None and own.length > 0 and entry.off in (own.headers, own.headers + 14)


@rule(
    "FIN01",
    Severity.ERROR,
    "RFC 9293 3.6",
    "FIN has seq {actual}, which is not behind the last byte that its sender has sent",
    scope=Scope.LEDGER,
    unless=("FIN01",),
    profiles=PROFILES,
    should_be="seq {expected}: the FIN follows the last byte",
    receiver="It waits for what is missing before the FIN, or takes the FIN for an old one.",
    mend="Set seq to {expected}.",
    good=GOOD,
    bad=f"""{OPENING}
    > P. 1:19(18) ack 1
    < .  1:1(0) ack 19
    > F. 23:23(0) ack 1     # FIN01
    < .  1:1(0) ack 24
    """,
)
def fin_has_another_number(entry: Entry) -> int:
    """FIN takes the number after the last byte. A higher number says that bytes are missing."""
    return entry.field == "seq" and entry.shown.ctl & FIN != 0


@rule(
    "SEQ01",
    Severity.ERROR,
    "RFC 9293 3.4",
    "seq {actual} is {distance} too high: nothing is ever sent under the numbers in between",
    scope=Scope.LEDGER,
    unless=("SEQ01",),
    profiles=PROFILES,
    should_be="seq {expected}, where the sender's last segment ended",
    receiver="It keeps the segment, if it lies in the window, and asks for the missing bytes again and again.",
    mend="Set seq to {expected}.",
    wireshark="tcp.analysis.lost_segment",
    good=GOOD,
    bad=f"""{OPENING}
    > P. 78:96(18) ack 1    # SEQ01
    < .  1:1(0) ack 96
    """,
)
def skips_numbers(entry: Entry) -> int:
    """Nothing fills the gap, nobody asks for it, and the capture shows that no packet is missing: the number is wrong."""
    return entry.field == "seq" and entry.off > 0


@rule(
    "SEQ01",
    Severity.ERROR,
    "RFC 9293 3.4",
    "seq {actual} is {distance} too low, and the segment sends nothing again",
    scope=Scope.LEDGER,
    unless=("SEQ01",),
    profiles=PROFILES,
    should_be="seq {expected}, where the sender's last segment ended",
    receiver="It takes the segment for an old one, drops what it has already, and acknowledges again.",
    mend="Set seq to {expected}.",
    good=GOOD,
    bad=f"""{OPENING}
    > P. 1:19(18) ack 1
    < .  1:1(0) ack 19
    > .  7:7(0) ack 1       # SEQ01
    """,
)
def falls_behind(entry: Entry) -> int:
    """A retransmission brings the same bytes again under their numbers. This segment does not."""
    return entry.field == "seq"


@rule(
    "HS02",
    Severity.ERROR,
    "RFC 9293 3.10.7.3",
    "the SYN ACK has ack {actual}, which does not acknowledge the client's SYN",
    scope=Scope.LEDGER,
    unless=("HS02",),
    profiles=PROFILES,
    should_be="ack {expected}: the client's ISN + 1, for the SYN takes one number",
    receiver="In SYN-SENT the client answers a wrong ack with RST.",
    mend="Set ack to {expected}.",
    good=GOOD,
    bad="""
    > S  0:0(0)
    < S. 0:0(0) ack 2       # HS02
    > .  1:1(0) ack 1
    > P. 1:19(18) ack 1
    """,
)
def syn_ack_has_another_ack(entry: Entry) -> int:
    """The SYN ACK acknowledges what the SYN took: ISN + 1, or more with data on the SYN (RFC 7413)."""
    return entry.field == "ack" and entry.shown.ctl & SYN != 0


@rule(
    "HS03",
    Severity.ERROR,
    "RFC 9293 3.5",
    "ack {actual} is the number that the peer's SYN took",
    scope=Scope.LEDGER,
    unless=("HS03",),
    profiles=PROFILES,
    should_be="ack {expected}: the peer's ISN + 1, for the SYN takes one number",
    receiver="It stays in SYN-RECEIVED: its SYN is not acknowledged.",
    mend="Set ack to {expected}.",
    good=GOOD,
    bad="""
    > S  0:0(0)
    < S. 0:0(0) ack 1
    > .  1:1(0) ack 0       # HS03
    > P. 1:19(18) ack 1
    """,
)
def ack_does_not_cover_the_syn(entry: Entry) -> int:
    """An acknowledgment names the next number that is expected: behind the SYN that is ISN + 1."""
    return entry.field == "ack" and entry.at_syn and diff(entry.expected or 0, entry.isn) == 1


@rule(
    "FIN04",
    Severity.ERROR,
    "RFC 9293 3.6",
    "ack {actual} acknowledges a FIN that the peer has not sent",
    scope=Scope.LEDGER,
    unless=("FIN04",),
    profiles=PROFILES,
    should_be="ack {expected}, or a FIN of the peer before this packet, for instance in packet {peer_last}",
    receiver="It answers with an ACK of its own numbers and drops the segment.",
    mend="Set FIN in packet {peer_last}, or add the peer's FIN before this packet; without one, set ack to {expected}.",
    good=GOOD,
    bad=f"""{OPENING}
    > F. 1:1(0) ack 1
    < .  1:1(0) ack 2
    > .  2:2(0) ack 2       # FIN04
    """,
)
def acknowledges_a_fin_that_is_missing(entry: Entry) -> int:
    """A close takes a FIN of each side. An ack one higher than the last byte acknowledges a FIN, which is not there."""
    return entry.fin_due


@rule(
    "ACK01",
    Severity.ERROR,
    "RFC 9293 3.10.7.4",
    "ack {actual} acknowledges bytes that the peer sends only later",
    scope=Scope.LEDGER,
    profiles=PROFILES,
    should_be="ack {expected}, the peer's next number at this moment",
    receiver="It answers with an ACK of its own numbers and drops the segment.",
    mend="Move this packet behind the data that it acknowledges, or set ack to {expected}.",
    good=GOOD,
    bad=f"""{OPENING}
    < .  1:1(0) ack 19      # ACK01
    > P. 1:19(18) ack 1
    """,
)
def acknowledges_too_soon(entry: Entry) -> int:
    """An acknowledgment covers only what was sent before it."""
    return entry.later


@rule(
    "ACK01",
    Severity.ERROR,
    "RFC 9293 3.4",
    "ack {actual} counts {headers} bytes of headers as data",
    scope=Scope.LEDGER,
    profiles=PROFILES,
    should_be="ack {expected}: only the peer's {peer_length} bytes of payload are acknowledged",
    receiver="It answers with an ACK of its own numbers and drops the segment.",
    mend="Set ack to {expected}: add the length of the payload, not of the packet.",
    good=GOOD,
    bad=f"""{OPENING}
    > P. 1:19(18) ack 1
    < .  1:1(0) ack 59      # ACK01
    < P. 1:25(24) ack 19
    """,
)
def acknowledges_headers(entry: Entry) -> int:
    """Sequence numbers count payload bytes. IP and TCP headers take none."""
    peer = entry.peer
    return entry.field == "ack" and peer is not None and entry.off in (peer.headers, peer.headers + 14)


@rule(
    "ACK06",
    Severity.ERROR,
    "RFC 9293 3.4",
    "ack {actual} counts the {characters} characters of the peer's payload, not its {inside_length} bytes",
    scope=Scope.LEDGER,
    profiles=PROFILES,
    should_be="ack {expected}: sequence numbers count bytes, and some characters take more than one",
    receiver="It takes the last bytes as not delivered and sends them again.",
    mend="Set ack to {expected}: use the length of the encoded text. In Python: len(text.encode()).",
    good=GOOD,
    bad=rf"""{OPENING}
    > P. 1:8(7) ack 1 "Gr\xc3\xbc\xc3\x9fe"
    < .  1:1(0) ack 6       # ACK06
    """,
)
def counts_characters(entry: Entry) -> int:
    """A character outside ASCII takes two to four bytes in UTF-8, and each byte has its own sequence number."""
    return entry.taken_of_inside == len(entry.text) > 0


@rule(
    "ACK06",
    Severity.ERROR,
    "RFC 9293 3.4",
    "ack {actual} counts each end of a line in the peer's payload as one byte, and not as the two bytes CR and LF",
    scope=Scope.LEDGER,
    profiles=PROFILES,
    should_be="ack {expected}: the payload has {inside_length} bytes",
    receiver="It takes the last bytes as not delivered and sends them again.",
    mend="Set ack to {expected}: use the length of the bytes that are sent, CR and LF included.",
    good=GOOD,
    bad=rf"""{OPENING}
    > P. 1:9(8) ack 1 "QUIT\r\n\r\n"
    < .  1:1(0) ack 7       # ACK06
    """,
)
def counts_line_ends_as_one(entry: Entry) -> int:
    """Application protocols end their lines with CR LF. Many languages read and write them as one character."""
    return entry.taken_of_inside == len(entry.text.replace("\r\n", "\n")) > 0


@rule(
    "ACK06",
    Severity.ERROR,
    "RFC 9293 3.10.7.4",
    "ack {actual} is {distance} too low: it falls inside the peer's segment, and the rest is never sent again",
    scope=Scope.LEDGER,
    unless=("ACK06",),
    profiles=PROFILES,
    should_be="ack {expected}, the end of packet {inside_packet}: a segment inside the window is taken as a whole",
    receiver="It takes these bytes as not delivered and sends them again.",
    mend="Set ack to {expected}.",
    good=GOOD,
    bad=f"""{OPENING}
    > P. 1:19(18) ack 1
    < .  1:1(0) ack 14      # ACK06
    < P. 1:25(24) ack 19
    """,
)
def leaves_out_the_end_of_a_segment(entry: Entry) -> int:
    """Acknowledgments end where segments end, as long as the whole segment fits the window."""
    return entry.field == "ack" and entry.inside is not None and not entry.fault


@rule(
    "FIN02",
    Severity.ERROR,
    "RFC 9293 3.6",
    "ack {actual} does not acknowledge the peer's FIN in packet {peer_packet}",
    scope=Scope.LEDGER,
    unless=("FIN02",),
    profiles=PROFILES,
    should_be="ack {expected}: the FIN takes one number, which is acknowledged as a byte would be",
    receiver="It sends the FIN again until it is acknowledged.",
    mend="Set ack to {expected}.",
    good=GOOD,
    bad=f"""{OPENING}
    > F. 1:1(0) ack 1
    < .  1:1(0) ack 1       # FIN02
    < F. 1:1(0) ack 1       # CON01
    > .  2:2(0) ack 2
    """,
)
def fin_is_not_counted(entry: Entry) -> int:
    """FIN takes one sequence number. Only an ack behind it says that the peer has seen the close."""
    peer = entry.peer
    if entry.fault not in ("never", "silent") or peer is None or not peer.ctl & FIN:
        return False
    return not peer.length or diff(entry.actual or 0, peer.end) == -1


@rule(
    "ACK08",
    Severity.ERROR,
    "RFC 9293 3.10.7.4",
    "ack {actual} does not acknowledge the data in packet {peer_packet}, and no later segment does",
    scope=Scope.LEDGER,
    no_fault=ONLY_COMPLETE,
    profiles=PROFILES,
    should_be="ack {expected}, behind the peer's {peer_length} bytes",
    receiver="It sends the data again until it is acknowledged.",
    mend="Set ack to {expected}.",
    good=GOOD,
    bad=f"""{OPENING}
    > P. 1:19(18) ack 1
    < .  1:1(0) ack 19
    < P. 1:25(24) ack 19
    > F. 19:19(0) ack 1     # ACK08
    < .  25:25(0) ack 20
    """,
)
def data_is_never_acknowledged(entry: Entry) -> int:
    """Whoever has taken the bytes acknowledges them with the next segment that it sends."""
    return entry.fault == "never"


@rule(
    "ACK07",
    Severity.WARNING,
    "RFC 9293 3.10.7.4",
    "ack {actual} repeats the last one, although the peer's {peer_length} bytes have come and nothing else is to be said",
    scope=Scope.LEDGER,
    no_fault=ONLY_COMPLETE,
    profiles=PROFILES,
    should_be="ack {expected}, behind the peer's data",
    receiver="It counts a duplicate ACK: the sign that a segment is missing.",
    mend="Set ack to {expected}.",
    good=GOOD,
    bad=f"""{OPENING}
    > P. 1:19(18) ack 1
    < .  1:1(0) ack 1       # ACK07
    < P. 1:25(24) ack 19
    """,
)
def acknowledges_nothing(entry: Entry) -> int:
    """A pure ACK says what has come. One that repeats the last number asks for a missing segment, and none is missing."""
    return entry.fault == "silent"


@rule(
    "ACK07",
    Severity.WARNING,
    "RFC 9293 3.10.7.4",
    "ack {actual} leaves out the peer's {peer_length} bytes in packet {peer_packet}, which have come before",
    scope=Scope.LEDGER,
    no_fault=ONLY_COMPLETE,
    profiles=PROFILES,
    should_be="ack {expected}, the end of packet {peer_packet}; {actual} is right only if the two packets crossed on their way",
    receiver="It takes the data for not delivered yet, and waits for the next ACK.",
    mend="Set ack to {expected}.",
    good=GOOD,
    bad=f"""{OPENING}
    > P. 1:19(18) ack 1
    < P. 1:25(24) ack 1     # ACK07
    > P. 19:29(10) ack 25
    < .  25:25(0) ack 29
    """,
)
def acknowledges_too_late(entry: Entry) -> int:
    """Every segment acknowledges what its sender has received so far: data and FIN too, not pure ACKs alone.

    Two segments may cross on their way. Then the data is acknowledged by a segment of its own, not only together with what
    the peer sends next.
    """
    return entry.fault == "late"


@rule(
    "ACK02",
    Severity.ERROR,
    "RFC 9293 3.10.7.4",
    "ack {actual} takes back what this side has acknowledged before",
    scope=Scope.LEDGER,
    unless=("ACK02",),
    profiles=PROFILES,
    should_be="ack {expected}: acknowledgments never fall",
    receiver="It ignores the number as old.",
    mend="Set ack to {expected}.",
    good=GOOD,
    bad=f"""{OPENING}
    > P. 1:19(18) ack 1
    < P. 1:25(24) ack 19
    > .  19:19(0) ack 25
    < P. 25:35(10) ack 1    # ACK02
    """,
)
def takes_back_an_ack(entry: Entry) -> int:
    """Acknowledgments are cumulative: each covers all bytes before it, so that the number never falls."""
    return entry.field == "ack" and entry.off < 0


@rule(
    "ACK01",
    Severity.ERROR,
    "RFC 9293 3.10.7.4",
    "ack {actual} is {distance} higher than anything that the peer has sent",
    scope=Scope.LEDGER,
    unless=("ACK01",),
    profiles=PROFILES,
    should_be="ack {expected}, the end of the peer's packet {peer_packet}; or a payload that is {distance} longer there",
    receiver="It answers with an ACK of its own numbers and drops the segment.",
    mend="Set ack to {expected}, or lengthen the payload of packet {peer_packet}.",
    wireshark="tcp.analysis.ack_lost_segment",
    good=GOOD,
    bad=f"""{OPENING}
    > P. 1:19(18) ack 1
    < .  1:1(0) ack 20      # ACK01
    > F. 20:20(0) ack 1     # CON01
    < F. 1:1(0) ack 21      # CON01
    > .  21:21(0) ack 2     # CON01
    """,
)
def acknowledges_what_nobody_sent(entry: Entry) -> int:
    """An acknowledgment covers only bytes that the peer has sent.

    The capture shows that no packet is missing. So either the ack is too high, or the peer's payload is shorter than
    the numbers say.
    """
    return entry.field == "ack"


@rule(
    "FIN06",
    Severity.WARNING,
    "RFC 9293 3.6",
    "the close is incomplete: no segment acknowledges this FIN",
    scope=Scope.LEDGER,
    profiles=PROFILES,
    should_be="a last ACK of the FIN, as the last segment of the conversation",
    receiver="Its sender stays in LAST-ACK and sends the FIN again.",
    mend="Add the ACK of this FIN.",
    good=GOOD,
    bad=f"""{OPENING}
    > F. 1:1(0) ack 1
    < F. 1:1(0) ack 2       # FIN06
    """,
)
def last_ack_is_missing(entry: Entry) -> int:
    """A side's close is done when the other side has acknowledged its FIN."""
    return entry.fault == "last-ack"


@rule(
    "FIN06",
    Severity.WARNING,
    "RFC 9293 3.6",
    "the close is incomplete: the peer's FIN in packet {peer_packet} is acknowledged, but this side sends none",
    scope=Scope.LEDGER,
    profiles=PROFILES,
    should_be="a FIN of this side, and its ACK",
    receiver="It stays in FIN-WAIT-2 and waits for the FIN.",
    mend="Add a FIN of this side, and the ACK of it.",
    good=GOOD,
    bad=f"""{OPENING}
    > F. 1:1(0) ack 1
    < .  1:1(0) ack 2       # FIN06
    """,
)
def second_fin_is_missing(entry: Entry) -> int:
    """Each side closes its own direction. After the first FIN the other side may go on sending, but it closes in the end."""
    return entry.fault == "second-fin"
