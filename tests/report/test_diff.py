"""`diff`: what happens to packets between two captures, compared with what the path did."""

import json
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.build.fates import fates
from labkit.build.scenario import Scenario
from labkit.build.script import parse
from labkit.build.trace import Trace
from labkit.capture import create, open_capture
from labkit.cli import Exit, run
from labkit.errors import UsageError
from labkit.packet.linktype import ETHERNET
from labkit.report.diff import diff, points
from labkit.report.diff.text import annotate
from labkit.tcp.options import Mss, SackPermitted


def captured(trace):
    target = BytesIO()
    trace.write(target)
    target.seek(0)
    return Trace.from_capture(target)


def both(trace):
    """The difference of the two capture points of a trace."""
    return diff(*points(captured(trace)))


def what_the_path_did(trace):
    """The events of one conversation, as the manifest has them: (kind, packet at the client, packet at the server)."""
    return sorted(
        ((each.kind, *((each.sent, each.arrived)[:: 1 if each.sender == "client" else -1])) for each in fates(trace)),
        key=str,
    )


def events(difference):
    (conversation,) = difference.conversations
    return sorted(((each.kind, each.packet_a, each.packet_b) for each in conversation.events), key=str)


def test_lossy_both_sides_shows_what_its_path_does():
    trace = Scenario.load("lossy-both-sides").play()
    difference = both(trace)
    assert events(difference) == what_the_path_did(trace)
    # `to_server: {lose: [8]}`, `to_client: {lose: [9], late: {12: 3ms}}`, `hops: 5`, `rtt: 40ms`
    (conversation,) = difference.conversations
    assert [(each.kind, each.side, each.late) for each in conversation.events] == [
        ("lost", "client", 0),
        ("lost", "server", 0),
        ("delayed", "server", 3_000_000),
    ]
    assert conversation.near == "a"
    assert [(each.hops, each.delay, each.alterations) for each in conversation.directions] == [(5, 20_000_000, ())] * 2
    lost = conversation.events[0]
    assert (lost.seq, lost.length, lost.ranges) == (7301, 1460, ())
    assert trace[lost.arrived - 1].segment.payload == trace[lost.packet_a - 1].segment.payload


def test_a_manifest_lists_what_diff_finds(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["build", "lossy-both-sides", "--manifest", "truth.json"]) == Exit.OK
    assert run(["diff", "lossy-both-sides.pcapng", "--format", "json"]) == Exit.FINDINGS
    (conversation,) = json.loads(capsys.readouterr().out)["conversations"]
    assert [
        {"kind": each["kind"], "sender": each["side"], "sent": numbers[0], "arrived": numbers[1], "late": each["late"]}
        for each in conversation["events"]
        for numbers in [(each["packet_a"], each["packet_b"])[:: 1 if each["side"] == "client" else -1]]
    ] == json.loads(Path("truth.json").read_text("utf-8"))["path"]


PATH = st.fixed_dictionaries(
    {
        "lose": st.lists(st.integers(2, 14), max_size=3, unique=True),
        "duplicate": st.lists(st.integers(2, 14), max_size=3, unique=True),
        "late": st.dictionaries(st.integers(2, 14), st.sampled_from(["3ms", "9ms", "40ms"]), max_size=3),
    }
)


@settings(deadline=None)
@given(PATH, PATH, st.sampled_from([0, 2**32 - 3000, 2**31 - 3000]), st.sampled_from([4, 6]))
def test_any_path_is_seen(to_server, to_client, isn, version):
    address = "2001:db8::1" if version == 6 else "192.0.2.1"
    values = {
        "name": "a",
        "capture": "both",
        "client": {"address": address, "isn": isn, "timestamps": True},
        "server": {"isn": isn, "timestamps": True},
        "path": {"rtt": "30ms", "to_server": to_server, "to_client": to_client},
        "steps": [{"client": "connect"}, {"client": {"send": 9000}}, {"server": {"send": 9000}}, {"client": "close"}],
    }
    trace = Scenario.from_dict(values).play()
    found = both(trace)
    if version == 4:
        assert events(found) == what_the_path_did(trace)
    else:  # without an identification, equal packets cannot be told apart, but counted
        want = [each[0] for each in what_the_path_did(trace) if each[0] in ("lost", "repeated")]
        lost = [each[0] for each in events(found) if each[0] in ("lost", "repeated")]
        assert len(lost) <= len(want)
        if not to_server["duplicate"] and not to_client["duplicate"]:
            assert lost.count("lost") == want.count("lost")


@pytest.fixture(scope="module")
def http():
    return captured(Scenario.load("http").play())


def changed(trace, changes):
    """Another capture of the same packets, after a middlebox."""
    return replace(trace, records=tuple(changes(record) for record in trace))


def test_the_same_capture_has_no_difference(http):
    assert not diff(http, http).differs
    assert diff(http, http).conversations[0].near is None


def only_on(side, flags, changes):
    def change(record):
        applies = record.sender == side and record.segment.ctl & 2 == flags
        return record.edit(**changes(record)) if applies else record

    return change


@pytest.mark.parametrize(
    ("change", "field", "values", "count"),
    [
        (only_on("client", 2, lambda _: {"options": [Mss(1400), SackPermitted()]}), "mss", ("mss 1460", "mss 1400"), 1),
        (only_on("client", 2, lambda _: {"options": [Mss(1460)]}), "sack permitted", ("sackOK", "-"), 1),
        (only_on("server", 0, lambda _: {"window": 100}), "window", ("65535", "100"), 6),
        (only_on("server", 0, lambda _: {"ecn": 3}), "ecn", ("0", "3"), 6),
        (only_on("client", 0, lambda each: {"urgent": 7, "flags": each.segment.ctl | 32}), "urgent", ("0", "7"), 8),
        (only_on("client", 0, lambda each: {"ident": (each.ident + 77) % 65536}), "ident", ("2", "79"), 8),
    ],
)
def test_an_altered_field_is_named(http, change, field, values, count):
    difference = diff(http, captured(changed(http, change)))
    (conversation,) = difference.conversations
    assert conversation.events == ()
    found = [each for direction in conversation.directions for each in direction.alterations if each.field == field]
    assert [(each.a, each.b, each.count) for each in found] == [(*values, count)]


def test_changed_octets_are_named(http):
    place = next(i for i, each in enumerate(http) if len(each.segment.payload) > 100)
    octets = bytearray(http[place].segment.payload)
    octets[3:5] = b"\0\0"
    octets[50] ^= 255
    number = http.numbers()[place]
    (event,) = diff(http, captured(http.edit(number, payload=bytes(octets)))).conversations[0].events
    start = http.relative(http[place])[0]
    assert (event.kind, event.packet_a, event.packet_b) == ("payload", number, number)
    assert event.ranges == ((start + 3, start + 5), (start + 50, start + 51))


def test_translated_addresses_and_numbers_are_matched():
    """A NAT, and a firewall that hides initial sequence numbers."""
    one = Scenario.load("document").play()
    connection = one.connections[0]
    hidden = replace(connection, client=replace(connection.client, address="203.0.113.9", port=1234), client_isn=1000)

    def move(record):
        return record.edit(seq=1000) if record.sender == "client" else record.edit(ack=1000)

    other = changed(
        one, lambda record: move(record) if record.segment.ctl & 16 or record.sender == "client" else record
    )
    other = replace(other, connections=(hidden,))
    difference = diff(captured(one), captured(other))
    (conversation,) = difference.conversations
    assert conversation.events == ()
    fields = {(each.field, each.a, each.b) for each in conversation.directions[0].alterations if each.always}
    assert fields == {("source", "192.0.2.10:40000", "203.0.113.9:1234"), ("isn", "0", "1000")}
    assert (difference.only_a, difference.only_b) == ((), ())


def test_other_segments_with_the_same_octets_are_no_loss():
    """As offload or a proxy makes them."""
    ends = "> S 0:0(0)\n< S. 0:0(0) ack 1\n> . 1:1(0) ack 1\n"
    one = parse(ends + "> P. 1:2001(2000) ack 1\n< . 1:1(0) ack 2001\n")
    other = parse(ends + "> . 1:1001(1000) ack 1\n> P. 1001:2001(1000) ack 1\n< . 1:1(0) ack 2001\n")
    (conversation,) = diff(captured(one), captured(other)).conversations
    assert {(each.kind, each.packet_a, each.packet_b) for each in conversation.events} == {
        ("resegmented", 4, None),
        ("resegmented", None, 4),
        ("resegmented", None, 5),
    }


def test_a_conversation_that_happened_twice():
    """With other numbers, at another time: what was sent is compared, not when."""
    one = captured(Scenario.load("http").play())
    other = replace(Scenario.load("http").play(seed=9), start=10**18)
    difference = diff(one, captured(other))
    assert not difference.differs
    longer = captured(replace(other.edit(4, payload=b"POST" + one[3].segment.payload[4:]), start=10**18))
    (event,) = diff(one, longer).conversations[0].events
    assert (event.kind, event.ranges) == ("payload", ((1, 5),))


def test_conversations_of_only_one_capture():
    one, other = (captured(Scenario.load(name).play()) for name in ("port-scan", "document"))
    difference = diff(one, other)
    assert len(difference.conversations) + len(difference.only_a) == len(one.connections)
    assert difference.differs
    empty = replace(other, records=(), connections=())
    assert diff(other, empty).only_a == (("192.0.2.10:40000", "192.0.2.20:80", 10),)
    assert not diff(empty, empty).differs


def test_two_interfaces_are_needed(http):
    with pytest.raises(UsageError, match="has segments at 1 interface; expected two interfaces, or a second capture"):
        points(http)


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Scenario.load("lossy-both-sides").play().write("both.pcapng")
    for name, trace in zip(("client", "server"), points(Trace.from_capture("both.pcapng")), strict=True):
        with create(f"{name}.pcap", link=ETHERNET) as out:
            for record in trace:
                out.write(trace.start + record.time, record.frames[0].data)
    return tmp_path


def test_the_command_in_text(files, capsys):
    assert run(["diff", "client.pcap", "server.pcap"]) == Exit.FINDINGS
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "192.0.2.10:40000 ↔ 192.0.2.20:80",
        "  client.pcap is at the client's end of the path, server.pcap at the server's",
        "  client → server: 20 and 19 packets, 19 in both, 20.000 ms at least by the clocks, 5 hops",
        "  server → client: 15 and 16 packets, 15 in both, 20.000 ms at least by the clocks, 5 hops",
        "        9 ↔ -  client → server seq=7301 len=1460: lost; its bytes arrive with packet 15",
        "       - ↔ 20  server → client seq=2921 len=1460: lost; its bytes arrive with packet 28",
        "      26 ↔ 23  server → client seq=7301 len=1460: arrived 3.000 ms later than the fastest packet",
    ]
    assert run(["diff", "server.pcap", "client.pcap"]) == Exit.FINDINGS
    turned = capsys.readouterr().out.splitlines()
    assert turned[1] == "  client.pcap is at the client's end of the path, server.pcap at the server's"
    assert len(turned) == len(lines)
    assert run(["diff", "client.pcap", "client.pcap"]) == Exit.OK


def test_the_command_in_json(files, capsys):
    assert run(["diff", "both.pcapng", "--format", "json", "--late-by", "5ms"]) == Exit.FINDINGS
    found = json.loads(capsys.readouterr().out)
    assert found["names"] == ["client", "server"]
    assert [each["kind"] for each in found["conversations"][0]["events"]] == ["lost", "lost"]
    assert found["differs"] is True


def test_an_annotated_capture_has_both(files, capsys):
    assert run(["diff", "client.pcap", "server.pcap", "--annotate", "out.pcapng"]) == Exit.FINDINGS
    assert "out.pcapng: 4 packets with a comment" in capsys.readouterr().err
    with open_capture("out.pcapng") as capture:
        frames = list(capture)
    assert [each.name for each in capture.interfaces] == ["client.pcap", "server.pcap"]
    assert len(frames) == 70
    assert [each.time for each in frames] == sorted(each.time for each in frames)
    comments = [(each.interface, each.comments[-1].splitlines()) for each in frames if each.comments]
    assert comments[0] == (
        0,
        ["lost: client → server seq=7301 len=1460: lost; its bytes arrive with packet 15", "packet 9 of client.pcap"],
    )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["client.pcap"], Exit.USAGE, "client.pcap: has segments at 1 interface"),
        (["client.pcap", "none.pcap"], Exit.UNREADABLE, "none.pcap: cannot be read"),
        (["client.pcap", "server.pcap", "--late-by", "soon"], Exit.USAGE, "'soon'"),
        (["client.pcap", "server.pcap", "--annotate", "a.pcap"], Exit.USAGE, "needs the suffix .pcapng"),
        (["both.pcapng", "--annotate", "both.pcapng"], Exit.USAGE, "this would overwrite what the command reads"),
    ],
)
def test_wrong_usage_is_one_line(files, capsys, arguments, code, message):
    before = sorted(files.iterdir())
    assert run(["diff", *arguments]) == code
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert sorted(files.iterdir()) == before


def test_damaged_captures_are_compared_up_to_the_damage(files, capsys):
    octets = Path("client.pcap").read_bytes()
    Path("cut.pcap").write_bytes(octets[:-700])
    assert run(["diff", "cut.pcap", "server.pcap"]) == Exit.FINDINGS
    assert "compared up to there" in capsys.readouterr().err


def test_captures_without_tcp(tmp_path, capsys):
    with create(tmp_path / "a.pcap", link=ETHERNET) as out:
        out.write(0, bytes(60))
    assert run(["diff", str(tmp_path / "a.pcap"), str(tmp_path / "a.pcap")]) == Exit.OK
    assert "no TCP conversation in" in capsys.readouterr().out


@given(st.data())
def test_hostile_captures_are_compared(data):
    """Octets of any frame may change."""
    traces = []
    for name in ("document", "fast-retransmit"):
        built = Scenario.load(name).play()
        source = BytesIO()
        with create(source, link=built.link) as out:
            for record, octets, _wirelen, _comment in built.captured():
                changed_ = bytearray(octets)
                for at, value in data.draw(st.lists(st.tuples(st.integers(14, 70), st.integers(0, 255)), max_size=1)):
                    changed_[at % len(changed_)] = value
                out.write(built.start + record.time, bytes(changed_))
        source.seek(0)
        traces.append(Trace.from_capture(source))
    target = BytesIO()
    for one, other in (traces, traces[::-1], traces[:1] * 2):
        annotate(diff(one, other), (one, other), target)
