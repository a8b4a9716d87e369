"""Payloads: text, files, patterns; HTTP, DNS and SMTP messages and exchanges."""

from pathlib import Path

import pytest
from scapy.layers.dns import DNS

from labkit.build.scenario import Scenario
from labkit.build.trace import Trace
from labkit.errors import ScenarioError

HEAD = "name: test\nsteps:\n  - client: connect\n"


def parse(*steps: str, folder: Path | None = None) -> Scenario:
    return Scenario.parse(HEAD + "".join(f"  - {step}\n" for step in steps), "f.yaml", folder)


def said(trace: Trace) -> list[tuple[str, bytes]]:
    """The payloads of both sides, in turn."""
    turns: list[tuple[str, bytes]] = []
    for record in trace:
        if record.segment.payload and turns and turns[-1][0] == record.sender:
            turns[-1] = (record.sender, turns[-1][1] + record.segment.payload)
        elif record.segment.payload:
            turns.append((record.sender, record.segment.payload))
    return turns


def test_a_pattern_is_repeated():
    assert said(parse("client: {send: {octets: 8, pattern: abc}}").play()) == [("client", b"abcabcab")]


def test_a_file_is_sent(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "page.txt").write_bytes(bytes(range(256)))
    (tmp_path / "mine.yaml").write_text(HEAD + "  - client: {send: {file: inner/page.txt}}\n", "utf-8")
    assert said(Scenario.load(tmp_path / "mine.yaml").play()) == [("client", bytes(range(256)))]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing", "'missing' is not a file in the scenario's folder"),
        (".", "'.' is not a file in the scenario's folder"),
        ("../secret", "'../secret' is outside the scenario's folder"),
        ("/etc/passwd", "'/etc/passwd' is outside the scenario's folder"),
        ("link", "'link' is outside the scenario's folder"),
        ('"a\\0b"', "cannot be read"),
    ],
)
def test_a_scenario_names_only_files_in_its_folder(name, message, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"x")
    (folder / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(ScenarioError, match=r"f\.yaml:4: steps\[2\]\.client\.send\.file: ") as caught:
        parse(f"client: {{send: {{file: {name}}}}}", folder=folder)
    assert message in str(caught.value)


def test_a_scenario_without_a_folder_names_no_file():
    with pytest.raises(ScenarioError, match="a scenario without a folder"):
        parse("client: {send: {file: a}}")


def test_a_file_that_is_too_large(tmp_path):
    with (tmp_path / "large").open("wb") as file:
        file.truncate((64 << 20) + 1)
    with pytest.raises(ScenarioError, match="'large' is larger than 64 MiB"):
        parse("client: {send: {file: large}}", folder=tmp_path)


def test_http_messages():
    steps = [
        "client: {send: {http: {method: POST, path: /a?b=c, host: h.example, headers: {X-A: 1}, body: 10}}}",
        "server: {send: {http: {status: 503}}}",
        "client: {send: {http: }}",
        "server: {send: {http: {status: 204, body: 5}}}",
    ]
    assert said(parse(*steps).play()) == [
        (
            "client",
            (
                b"POST /a?b=c HTTP/1.1\r\nHost: h.example\r\nUser-Agent: labkit\r\nAccept: */*\r\nX-A: 1\r\n"
                b"Content-Type: text/plain\r\nContent-Length: 10\r\n\r\n000000 a\r\n"
            ),
        ),
        (
            "server",
            b"HTTP/1.1 503 Service Unavailable\r\nServer: labkit\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n",
        ),
        ("client", b"GET / HTTP/1.1\r\nHost: www.example\r\nUser-Agent: labkit\r\nAccept: */*\r\n\r\n"),
        ("server", b"HTTP/1.1 204 No Content\r\nServer: labkit\r\n\r\n"),
    ]


def test_dns_messages():
    steps = [
        "client: {send: {dns: {name: a.example, type: mx}}}",
        "server: {send: {dns: {name: a.example, type: MX, answers: [b.example, c.example], ttl: 60}}}",
        "client: {send: {dns: {type: TXT, id: 7}}}",
        "server: {send: {dns: {type: TXT, id: 7, answers: [hello]}}}",
    ]
    messages = [payload for _, payload in said(parse(*steps).play())]
    assert [int.from_bytes(each[:2]) for each in messages] == [len(each) - 2 for each in messages]
    query, response, _, text = (DNS(each[2:]) for each in messages)
    assert (query.qr, query.rd, query.qd[0].qname, query.qd[0].qtype) == (0, 1, b"a.example.", 15)
    assert (response.qr, response.id, response.ancount) == (1, query.id, 2)
    assert [(each.preference, each.exchange, each.ttl) for each in response.an] == [
        (10, b"b.example.", 60),
        (10, b"c.example.", 60),
    ]
    assert (text.id, text.an[0].rdata) == (7, [b"hello"])


@pytest.mark.parametrize(
    ("step", "turns"),
    [
        ("exchange: http", ["client", "server"]),
        ("exchange: dns", ["client", "server"]),
        ("exchange: smtp", ["server", "client"] * 6 + ["server"]),
        ("exchange: {dns: {type: AAAA}, think: 1ms}", ["client", "server"]),
        ("exchange: {http: {method: HEAD}, after: 1s..2s}", ["client", "server"]),
    ],
)
def test_the_sides_of_an_exchange_take_turns(step, turns):
    trace = parse(step, "client: close", "server: close").play()
    assert [side for side, _ in said(trace)] == turns
    # Each message carries the acknowledgement of the one before; none is alone but the handshake's and the last.
    steps = {record.step for record in trace if record.segment.payload}
    assert len(steps) == len(set(turns)) if len(turns) == 2 else len(steps) > 8
    assert all(text.startswith("step 2: ") for text in steps)


def test_think_times_and_bodies_are_drawn():
    step = "exchange: {http: {body: 100..1000}, think: 10ms..90ms}"
    traces = [parse(step).play(seed) for seed in (1, 1, 2, 3)]
    found = [(len(said(trace)[1][1]), trace.records[-1].time) for trace in traces]
    assert found[0] == found[1]
    assert len({*found}) == 3


def test_a_head_response_has_no_body():
    ((_, asked), (_, answer)) = said(parse("exchange: {http: {method: HEAD, body: 50}}").play())
    assert asked.startswith(b"HEAD / ")
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("exchange: htpp", "steps[2].exchange: 'htpp' is not known here; expected one of after, at_once, dns, http"),
        ("exchange: {think: 1s}", "steps[2].exchange: has no protocols; expected one of http, smtp, dns"),
        ("exchange: {http: , dns: }", "steps[2].exchange: has 2 protocols"),
        ("exchange: {http: {pth: /}}", "steps[2].exchange.http.pth: is not known here"),
        ("exchange: {http: {path: a b}}", "steps[2].exchange.http.path: "),
        ('exchange: {http: {host: "a\\r\\nb"}}', "is not a line of text; expected printable ASCII"),
        ("exchange: {http: {status: 99}}", "steps[2].exchange.http.status: 99 is too small; expected at least 200"),
        ("exchange: {dns: {name: a..b}}", "'a..b' is not a domain name; expected labels of 1 to 63 characters"),
        ("exchange: {dns: {type: SOA}}", "type: 'SOA' is not known; expected one of A, AAAA, CNAME"),
        ("exchange: {dns: {answers: [x]}}", "answer 'x' does not fit type A"),
        ("exchange: {smtp: {to: bob}}", "steps[2].exchange.smtp.to: "),
        ("client: {send: {http: , text: a}}", "has 2 payloads; expected one of octets, text, hex, file, http, dns"),
        ("client: {send: {text: a, pattern: b}}", "pattern needs octets"),
        ("client: {send: {octets: 5, pattern: ''}}", "pattern needs octets and at least one character"),
        (
            "client: {connect: }\n    exchange: http",
            "is not a step of one side; expected client:, server: or exchange:",
        ),
    ],
)
def test_impossible_payloads_are_refused(step, message):
    with pytest.raises(ScenarioError) as caught:
        parse(step)
    assert message in str(caught.value)
    assert str(caught.value).startswith("f.yaml:4: ")
