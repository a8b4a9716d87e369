"""Captures as traces: written again they are the same, and an edit changes what it names and nothing else."""

from io import BytesIO, StringIO
from pathlib import Path

import pytest
from frames import ip4, tcp
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.dns import DNS
from scapy.layers.inet import IP, TCP

from labkit.analysis.verifier import verify
from labkit.build.faults import inject
from labkit.build.scenario import Scenario
from labkit.build.trace import Trace
from labkit.capture import create, open_capture
from labkit.errors import CaptureError, UsageError
from labkit.packet.linktype import ETHERNET, RAW
from labkit.tcp.options import Mss
from labkit.tcp.segment import ACK, RST, SYN

PCAPS = sorted((Path(__file__).parents[2] / "pcaps").glob("*.pcap*"))


def frames(source):
    with open_capture(source) as capture:
        return [each._replace(wirelen=max(each.wirelen, len(each.data))) for each in capture]


def again(trace):
    """The trace, written and read again as frames."""
    target = BytesIO()
    count = trace.write(target)
    target.seek(0)
    found = frames(target)
    assert count == len(found)
    return found


def captured(trace):
    """The trace as if another program had captured it."""
    target = BytesIO()
    trace.write(target)
    target.seek(0)
    return Trace.from_capture(target)


@pytest.fixture(scope="module")
def document():
    return captured(Scenario.load("document").play())


@pytest.mark.parametrize("path", PCAPS, ids=lambda path: path.name)
def test_a_capture_written_again_has_the_same_packets(path):
    trace = Trace.from_capture(path)
    assert again(trace) == frames(path)
    assert trace.name == path.stem


@pytest.mark.parametrize(
    "name", ["document", "http-vlan", "document-ipv6", "lossy-both-sides", "port-reuse", "fragmented"]
)
def test_a_capture_has_the_records_of_its_scenario(name):
    built = Scenario.load(name).play()
    trace = captured(built)
    assert [(each.time, each.segment) for each in trace] == [(each.time, each.segment) for each in built]
    if name != "lossy-both-sides":  # each capture point has connections of its own
        assert [(each.sender, each.connection) for each in trace] == [(each.sender, each.connection) for each in built]
        assert trace.connections == built.connections
        assert [trace.relative(each) for each in trace] == [built.relative(each) for each in built]
    assert trace.numbers() == built.numbers()


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        ({"ack": +1}, "ack", 101),
        ({"ack": -1}, "ack", 99),
        ({"ack": lambda ack: ack - 100}, "ack", 0),
        ({"seq": -2}, "seq", 0xFFFF_FFFF),
        ({"seq": -(1 << 31)}, "seq", (1 << 31) + 1),
        ({"flags": "RST ACK"}, "flags", RST | ACK),
        ({"flags": SYN}, "flags", SYN),
        ({"window": 0}, "window", 0),
        ({"urgent": 7}, "urgptr", 7),
        ({"payload": b"odd"}, "payload", b"odd"),
        ({"payload": b""}, "payload", b""),
        ({"payload": bytes(65_000)}, "payload", bytes(65_000)),
        ({"options": [Mss(1460)]}, "options", [("MSS", 1460)]),
    ],
)
def test_an_edit_changes_one_packet_and_its_checksums(document, changes, field, value):
    packet = 5
    before, now = again(document), again(document.edit(packet, **changes))
    assert [each for each in now if each.number != packet] == [each for each in before if each.number != packet]
    made = IP(now[packet - 1].data[14:])
    found = getattr(made[TCP], field)
    assert (found if field == "options" else bytes(found) if field == "payload" else int(found)) == value
    assert sound(made)
    assert now[packet - 1].comments == before[packet - 1].comments


def sound(packet):
    """Whether Scapy gives the lengths and checksums that the packet has."""
    fresh = packet.copy()
    for layer, names in ((IP, ("len", "chksum")), (TCP, ("chksum", "dataofs"))):
        for name in names:
            delattr(fresh[layer], name)
    return bytes(fresh) == bytes(packet)


def test_an_edit_of_nothing_is_an_error(document):
    with pytest.raises(
        UsageError, match=r"packet 6: edit\(ack=0\) changes nothing; seq, ack and time take a difference"
    ):
        document.edit(6, ack=0)


@pytest.mark.parametrize(
    ("packet", "changes", "message"),
    [
        (0, {"ack": 1}, "there is no packet 0; the trace has 10"),
        (11, {"ack": 1}, "there is no packet 11; the trace has 10"),
        (3, {"acks": 1}, "packet 3: unknown field 'acks'; expected one of seq, ack,"),
        (3, {"window": 65536}, "packet 3: window 65536 is outside 0..65535"),
        (3, {"flags": "SYNACK"}, "packet 3: 'SYNACK' is not a control bit; expected some of FIN SYN"),
        (3, {"sender": "me"}, "packet 3: 'me' is not a side; expected client or server"),
        ("3", {"ack": 1}, "'3' is not the number of a packet"),
        (3, {"ack": "1"}, "packet 3: ack: got '1'; expected a whole number"),
        (3, {"time": 0.5}, "packet 3: time: got 0.5; expected a whole number"),
        (3, {"seq": lambda _old: 1.5}, "packet 3: seq: got 1.5; expected a whole number"),
        (3, {"payload": "text"}, "packet 3: payload: got 'text'; expected bytes or a Scapy layer"),
        (3, {"options": "mss"}, "packet 3: options: got ('m', 's', 's'); expected options"),
        (3, {"segment": 5}, "packet 3: segment: got 5; expected Segment"),
        (
            3,
            {"edits": {"sums": "+1"}},
            "packet 3: edits: got {'sums': '+1'}; expected a mapping of texts with some of doff",
        ),
        (3, {"edits": {"sum": 1}}, "packet 3: edits: got {'sum': 1}; expected a mapping of texts with some of doff"),
    ],
)
def test_a_wrong_edit_is_one_line(document, packet, changes, message):
    with pytest.raises(UsageError) as error:
        document.edit(packet, **changes)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_a_payload_may_be_a_scapy_layer(document):
    query = DNS(id=7)
    assert document.edit(4, payload=query)[3].segment.payload == bytes(query)


def test_a_capture_is_read_from_octets(document):
    stream = BytesIO()
    document.write(stream)
    assert [each.segment for each in Trace.from_capture(stream.getvalue())] == [each.segment for each in document]


def frames_of_a_file(trace):
    stream = BytesIO()
    trace.write(stream)
    with open_capture(BytesIO(stream.getvalue())) as capture:
        return list(capture)


@pytest.mark.parametrize("taken", [Trace.packets, lambda trace: iter(trace.packets()), frames_of_a_file])
@pytest.mark.parametrize("name", ["document", "http-vlan"])
def test_a_capture_is_read_from_packets_in_memory(name, taken):
    trace = Scenario.load(name).play()
    found = Trace.from_capture(taken(trace))
    assert [(each.segment, each.sender) for each in found] == [(each.segment, each.sender) for each in trace]
    assert [(each.time, each.octets) for each in found.file()] == [(each.time, each.octets) for each in trace.file()]
    edited = found.edit(4, payload=b"other").file_frames()
    assert [place for place, each in enumerate(edited, 1) if each.data != trace.file_frames()[place - 1].data] == [4]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (5, "from a value of type int; expected a path, a file, bytes, Scapy packets or frames"),
        (["a"], "item 1 has the type str; expected a Scapy packet or a Frame"),
        (StringIO("a"), "the file is open as text; expected a binary file"),
    ],
)
def test_what_is_no_capture_is_one_line(source, message):
    with pytest.raises(UsageError, match=message):
        Trace.from_capture(source)


def test_positions_and_slices(document):
    assert document[5] == document.records[5] == list(document)[5]
    assert document[-1].number == 10
    part = document[3:6]
    assert [each.segment for each in part] == [each.segment for each in document.records[3:6]]
    assert [each.data for each in again(part)] == [each.data for each in again(document)[3:6]]
    assert len(document[::2]) == 5
    assert again(document[4:4]) == []
    with pytest.raises(IndexError):
        document[10]


def test_packets_are_inserted_and_removed(document):
    copied = document.insert(6, document[4].edit(payload=b"again", time=+1_000))
    assert len(copied) == 11
    assert [each.data for each in again(copied.remove(6))] == [each.data for each in again(document)]
    assert copied[5].segment.payload == b"again"
    assert copied[4].time <= copied[5].time <= copied[6].time
    appended = document.insert(11, document[0])
    assert appended[10].segment == document[0].segment
    assert again(appended)[10].data == again(document)[0].data
    with pytest.raises(UsageError, match="there is no packet 12"):
        document.insert(12, document[0])


def test_faults_work_on_captures(document):
    faulty = inject(document, ["ack-of-unsent-data@6"])
    assert [(each.fault, each.packet) for each in faulty.injected] == [("ack-of-unsent-data", 6)]
    target = BytesIO()
    faulty.write(target)
    target.seek(0)
    assert [(each.code, each.packet) for each in verify(target).findings] == [("ACK01", 6)]
    repeated = inject(document, ["octets-after-fin"])
    assert len(repeated) == len(document) + 1
    assert sound(IP(again(repeated)[repeated.injected[0].packet - 1].data[14:]))


def test_frames_without_a_segment_stay_in_their_places():
    ethernet = bytes(12)
    others = ethernet + b"\x08\x06" + bytes(28), ethernet + b"\x08\x00" + ip4(bytes(8), protocol=1)
    segments = [ethernet + b"\x08\x00" + ip4(tcp(seq=seq, payload=b"x"), ident=seq) for seq in (1, 2)]
    source = BytesIO()
    with create(source, link=ETHERNET) as out:
        for time, octets in enumerate((others[0], segments[0], others[1], segments[1], others[0])):
            out.write(time, octets)
    source.seek(0)
    trace = Trace.from_capture(source)
    assert [each.data for each in again(trace)] == [others[0], segments[0], others[1], segments[1], others[0]]
    assert trace.numbers() == [2, 4]
    with pytest.raises(UsageError, match="packet 3 holds no readable TCP segment"):
        trace.edit(3, ack=+1)
    assert [each.data for each in again(trace.edit(4, ack=+1))][:3] == [others[0], segments[0], others[1]]
    assert [each.data for each in again(trace[:1])] == [segments[0]]
    assert [bytes(each) for each in trace.packets()] == [others[0], segments[0], others[1], segments[1], others[0]]


@pytest.mark.parametrize("name", ["fragmented", "fragmented-ipv6"])
def test_a_fragmented_datagram_is_edited(name):
    built = Scenario.load(name).play()
    trace = captured(built)
    place = max(range(len(trace)), key=lambda each: len(trace[each].segment.payload))
    packet = trace.numbers()[place]
    edited = captured(trace.edit(packet, payload=b"x" * 3000))
    assert [each.segment for each in edited][place].payload == b"x" * 3000
    assert edited.numbers()[place] > edited.numbers()[place - 1] + 1
    others = [each.segment for i, each in enumerate(edited) if i != place]
    assert others == [each.segment for i, each in enumerate(trace) if i != place]
    assert len(again(trace.remove(packet))) == len(again(trace)) - (packet - trace.numbers()[place - 1])


def test_a_cut_packet_keeps_its_cut():
    built = Scenario.load("document").play()
    source = BytesIO()
    with create(source, link=ETHERNET) as out:
        for _record, octets, wirelen, _comment in built.captured():
            out.write(0, octets[:60], wirelen=wirelen)
    source.seek(0)
    trace = Trace.from_capture(source)
    before, now = again(trace), again(trace.edit(5, ack=+1))
    assert len(trace[4].segment.payload) == 119
    assert len(now[4].data) == 60
    assert now[4].wirelen == before[4].wirelen
    # RFC 1624: the checksum of what is there now, and of what is not there, is right.
    whole = IP(built.edit(5, ack=+1).packets()[4][IP].build())
    assert now[4].data[50:52] == whole[TCP].chksum.to_bytes(2)
    with pytest.raises(UsageError, match="packet 5: the capture cut the packet short"):
        again(trace.edit(5, edits={"sum": "+1"}))


def test_a_datagram_in_a_tunnel_keeps_its_length():
    source = BytesIO()
    with create(source, link=RAW) as out:
        out.write(0, ip4(ip4(tcp(payload=b"four")), protocol=4))
        out.write(1, ip4(ip4(tcp(payload=b"four", seq=1004)), protocol=4))
    source.seek(0)
    trace = Trace.from_capture(source)
    assert again(trace.edit(1, payload=b"FIVE"))[0].data[-4:] == b"FIVE"
    with pytest.raises(UsageError, match="packet 1: the datagram is in a tunnel"):
        again(trace.edit(1, payload=b"longer"))


def test_wrong_checksums_stay_wrong():
    source = BytesIO()
    with create(source, link=RAW) as out:
        out.write(0, ip4(tcp(payload=b"four", sum_=0x1234)))
    source.seek(0)
    trace = Trace.from_capture(source)
    assert again(trace)[0].data[36:38] == b"\x12\x34"
    now = IP(again(trace.edit(1, ack=+1))[0].data)
    assert now[TCP].chksum == 0x1233
    assert not sound(now)


def test_what_is_no_capture(tmp_path):
    (tmp_path / "a.pcap").write_bytes(b"hello")
    with pytest.raises(CaptureError, match="not a capture"):
        Trace.from_capture(tmp_path / "a.pcap")
    with pytest.raises(CaptureError):
        Trace.from_capture(tmp_path / "b.pcap")


def test_a_capture_without_tcp():
    source = BytesIO()
    with create(source, link=ETHERNET) as out:
        out.write(0, bytes(60))
    source.seek(0)
    trace = Trace.from_capture(source)
    assert len(trace) == 0
    assert again(trace)[0].data == bytes(60)
    with pytest.raises(UsageError, match="does not apply to any packet"):
        inject(trace, ["ack-goes-back"])


def test_the_packets_before_the_damage_are_read():
    source = BytesIO()
    Scenario.load("document").play().write(source, format="pcap")
    trace = Trace.from_capture(BytesIO(source.getvalue()[:-10]))
    assert len(trace) == 9
    assert trace.origin is not None
    assert trace.origin.damage is not None


SCENARIOS = [Scenario.load(name).play() for name in ("document", "fragmented", "http-vlan")]


@given(st.data())
def test_hostile_captures_are_read_and_written(data):
    """Octets of any frame may change: what is read is written again."""
    built = data.draw(st.sampled_from(SCENARIOS))
    source = BytesIO()
    with create(source, link=built.link) as out:
        for _record, octets, _wirelen, _comment in built.captured():
            changed = bytearray(octets)
            for at, value in data.draw(st.lists(st.tuples(st.integers(0, 70), st.integers(0, 255)), max_size=2)):
                changed[at % len(changed)] = value
            out.write(0, bytes(changed[: data.draw(st.sampled_from([None, 30, 40, 50]))]), wirelen=len(changed))
    source.seek(0)
    before = frames(source)
    source.seek(0)
    trace = Trace.from_capture(source)
    assert again(trace) == before
    for number in trace.numbers()[:3]:
        again(trace.edit(number, seq=+1))


def test_a_capture_becomes_a_scenario_again():
    trace = captured(Scenario.load("http-vlan").play())
    made = trace.to_scenario()
    assert made.model.vlan is not None
    assert made.play().framing == trace.framing == Scenario.load("http-vlan").play().framing
    # Its text is JSON, and so YAML: saved, it is a file for `labkit build`.
    assert list(Scenario.parse(made.source.text).play().frames()) == list(made.play().frames())
    built = Scenario.load("document").play()
    again = captured(built).to_scenario().play()
    assert [(each.time, each.segment) for each in again] == [(each.time, each.segment) for each in built]
