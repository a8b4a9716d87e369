"""The scenario language, and the errors: file, line, key, and the expected value."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.build.scenario import Scenario, shipped
from labkit.build.scenario.model import Burst, Conversations, PathModel, ScenarioModel, Side, VlanModel, Way
from labkit.build.scenario.payloads import DnsExchange, Http, HttpExchange, SmtpExchange
from labkit.build.scenario.steps import Action, Exchange, Send, Step
from labkit.build.scenario.units import Range, chance, duration, ranged, rate, size
from labkit.errors import LabkitError, ScenarioError

HEAD = "name: a\n"
STEPS = "steps:\n  - client: connect\n"


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (duration, "20ms", 20_000_000),
        (duration, "1.5s", 1_500_000_000),
        (duration, "250us", 250_000),
        (duration, "0.000001ms", 1),
        (duration, "2 min", 120_000_000_000),
        (duration, "0", 0),
        (size, 99, 99),
        (size, "10kB", 10_000),
        (size, "1MiB", 1 << 20),
        (chance, "2%", 0.02),
        (chance, 0.25, 0.25),
        (rate, "10Mbit/s", 10_000_000),
        (ranged(size), "50..400", Range(50, 400)),
        (ranged(duration), "1ms..1s", Range(1_000_000, 1_000_000_000)),
    ],
)
def test_units(read, text, value):
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (duration, 3, "has no unit; expected a number with ns, us"),
        (duration, "3 hours", "is not a duration"),
        (duration, "-1s", "is not a duration"),
        (duration, "2000min", "longer than a day"),
        (size, "10 apples", "is not a size"),
        (size, True, "is not a size"),
        (size, "1000MiB", "more than 64 MiB"),
        (chance, "150%", "is not a chance"),
        (rate, "10", "is not a rate"),
        (ranged(size), "9..1", "expected LOW..HIGH with LOW at most HIGH"),
        (ranged(size), "1..", "is not a size"),
    ],
)
def test_bad_units_are_refused(read, text, message):
    with pytest.raises(ValueError, match=message):
        read(text)


def test_the_key_of_a_range_determines_its_value():
    assert Range(5, 5).draw(1, "a") == 5
    drawn = {Range(0, 10**9).draw(seed, key) for seed in (1, 2) for key in ("a", "b")}
    assert len(drawn) == 4
    assert Range(0, 10**9).draw(1, "a") in drawn


ERRORS = [
    ("", "f.yaml: is empty; expected a scenario"),
    ("- a\n", "f.yaml:1: is not a mapping; expected keys such as 'steps:'"),
    ("just words\n", "f.yaml:1: is not a mapping"),
    ("name: [a\n", "is not YAML"),
    ("name: a\n\tsteps: 1\n", "f.yaml:2: is not YAML"),
    ("a: &x 1\nb: *x\n", "f.yaml:1: anchors and aliases"),
    ("a: !!python/object:os.system 1\n", "tags (tag:yaml.org,2002:python/object:os.system) are not allowed"),
    ("a: 1\n---\nb: 2\n", "f.yaml:2: a second document begins"),
    ("[" * 30 + "]" * 30, "f.yaml:1: lists and mappings are nested more than 12 deep"),
    ("name: a\nname: b\n" + STEPS, "f.yaml:2: name: occurs twice"),
    ("{a: 1}: 2\n", "a key must be a word"),
    (STEPS, "f.yaml:1: name: is missing"),
    (HEAD, "f.yaml:1: steps: is missing"),
    # A misspelt key comes before what is missing for it, at the top and further in.
    (HEAD + "setps: []\n", "setps: is not known here; expected one of"),
    (HEAD + "client: {adress: 192.0.2.10}\n" + STEPS, "did you mean 'address'?"),
    (HEAD + "steps: []\n", "f.yaml:2: steps: is empty; expected at least one"),
    (HEAD + STEPS + "  - client: {send: {hex: 12}}\n", "12 is not text; expected text, in quotes"),
    (HEAD + "steps: {}\n", "f.yaml:2: steps:"),
    (HEAD + "st[ep]s: 1\n" + STEPS, "f.yaml:2: st[ep]s: is not known here; expected one of capture, client"),
    (HEAD + "stepps: 1\n" + STEPS, "f.yaml:2: stepps: is not known here; expected one of capture, client"),
    (HEAD + "stepps: 1\n" + STEPS, "did you mean 'steps'?"),
    ("name: ../etc\n" + STEPS, "f.yaml:1: name: '../etc' does not fit; expected letters, digits, dots"),
    (HEAD + "client: {prot: 80}\n" + STEPS, "f.yaml:2: client.prot: is not known here"),
    (HEAD + "client: {prot: 80}\n" + STEPS, "did you mean 'port'?"),
    (HEAD + "client:\n  mss: 9\n  port: 70000\n" + STEPS, "f.yaml:3: client.mss:"),
    (
        HEAD + "client: {port: 70000}\n" + STEPS,
        "f.yaml:2: client.port: 70000 is not a port; expected 1 to 65535",
    ),
    (HEAD + "client: {port: http}\n" + STEPS, "client.port: 'http' is not a number; expected a whole number such as"),
    (HEAD + "client: {isn: 4294967296}\n" + STEPS, "client.isn: 4294967296 is not a sequence number"),
    (HEAD + "client: {address: 192.0.2.300}\n" + STEPS, "client.address: '192.0.2.300' is not an address"),
    (HEAD + "client: {address: 10.1}\n" + STEPS, "client.address: '10.1' is not an address"),
    (
        HEAD + "client: {address: 192.0.2.1}\nserver: {address: '2001:db8::1'}\n" + STEPS,
        "f.yaml:3: server.address: is not of the client's address family",
    ),
    (HEAD + "client: {mac: 02-00}\n" + STEPS, "client.mac: '02-00' is not a MAC"),
    (HEAD + "client: {sack: maybe}\n" + STEPS, "client.sack: 'maybe' does not fit; expected true or false"),
    (HEAD + "client: {window: 100000}\n" + STEPS, "f.yaml:2: client: window 100000 is outside 1..65535"),
    (
        HEAD + "client: {congestion: rено}\n" + STEPS,
        "client.congestion: 'rено' is not known; expected off, or one of",
    ),
    (HEAD + "client: 5\n" + STEPS, "f.yaml:2: client: 5 is not a mapping; expected keys and values"),
    (HEAD + "capture: servr\n" + STEPS, "capture: 'servr' is not known; expected one of client, server"),
    (HEAD + "start: yesterday\n" + STEPS, "start: 'yesterday' is not a time"),
    (HEAD + "path: {rtt: 20}\n" + STEPS, "f.yaml:2: path.rtt: '20' has no unit; expected a number with ns"),
    (HEAD + "path: {rtt: 9ms..1ms}\n" + STEPS, "path.rtt: '9ms..1ms' is not a range"),
    (HEAD + "path: {to_server: {loss: 7}}\n" + STEPS, "path.to_server.loss: '7' is not a chance"),
    (HEAD + "path: {to_server: {lose: x}}\n" + STEPS, "path.to_server.lose: 'x' is not a number"),
    (HEAD + "path: {to_server: {lose: [0]}}\n" + STEPS, "path.to_server.lose: 0 is not a packet number; expected 1"),
    (HEAD + "steps:\n  - client: conect\n", "f.yaml:3: steps[1].client: 'conect' is not known here"),
    (HEAD + "steps:\n  - client: conect\n", "did you mean 'connect'?"),
    (
        HEAD + "steps:\n  - cleint: connect\n",
        "f.yaml:3: steps[1].cleint: is not known here; expected one of client, exchange, server",
    ),
    (HEAD + "steps:\n  - client: connect\n    server: close\n", "f.yaml:3: steps[1]: is not a step of one side"),
    (
        HEAD + "steps:\n  - client: {connect: , close: }\n",
        "steps[1].client: has 2 verbs; expected exactly one",
    ),
    (HEAD + "steps:\n  - client: 7\n", "steps[1].client: is not a step; expected a verb such as connect"),
    (HEAD + "steps:\n  - client\n", "f.yaml:3: steps[1]: 'client' is not a mapping"),
    (
        HEAD + STEPS + "  - client: {send: lots}\n",
        "f.yaml:4: steps[2].client.send: 'lots' is not a size",
    ),
    (HEAD + STEPS + "  - client: {send: {text: a, hex: 00ff}}\n", "steps[2].client.send: has 2 payloads"),
    (HEAD + STEPS + "  - client: {send: {hex: 0g}}\n", "hex '0g' is not pairs of hexadecimal digits"),
    (HEAD + STEPS + "  - client: {send: }\n", "steps[2].client.send: has no payload;"),
    (
        HEAD + STEPS + "  - client: {send: {octets: 5, aftr: 1s}}\n",
        "steps[2].client.send.aftr: is not known here",
    ),
    (HEAD + STEPS + "  - client: {close: 5}\n", "steps[2].client.close: 5 is not a mapping"),
    (HEAD + STEPS + "  - client: {wait: 1}\n", "steps[2].client.wait: '1' has no unit"),
]


@pytest.mark.parametrize(("text", "message"), ERRORS)
def test_an_error_is_one_line(text, message):
    with pytest.raises(ScenarioError) as caught:
        Scenario.parse(text, "f.yaml")
    found = str(caught.value)
    assert message in found
    assert found.startswith("f.yaml")
    assert "\n" not in found


PLAYS = [
    ("  - client: {send: 5}\n", "f.yaml:3: steps[1].client: cannot send: connection does not exist"),
    (
        "  - client: connect\n  - client: close\n  - client: {send: 5}\n",
        "f.yaml:5: steps[3].client: cannot send: connection closing",
    ),
    (
        "  - client: connect\n  - client: connect\n",
        "f.yaml:4: steps[2].client: cannot connect: connection already exists",
    ),
    (
        "  - client: connect\n  - server: {receive: 5}\n",
        "f.yaml:4: steps[2]: server receive never completes: 0 octets arrived",
    ),
    (
        "  - client: connect\n  - server: {receive: 5}\n  - server: close\n",
        "f.yaml:5: steps[3]: server close never begins: it waits for the server's receive (line 4)",
    ),
]


@pytest.mark.parametrize(("steps", "message"), PLAYS)
def test_impossible_steps_are_refused(steps, message):
    with pytest.raises(ScenarioError) as caught:
        Scenario.parse(f"{HEAD}steps:\n{steps}", "f.yaml").play()
    assert str(caught.value).startswith(message)


def test_no_data_can_be_sent_after_a_refused_connect():
    with pytest.raises(
        ScenarioError, match=r":5: .*cannot send: connection does not exist \(the client is in CLOSED\)"
    ):
        Scenario.parse(f"{HEAD}server: {{listen: false}}\n{STEPS}  - client: {{send: 5}}\n").play()


def test_a_client_can_try_again_after_a_refused_connect():
    trace = Scenario.parse(f"{HEAD}server: {{listen: false}}\n{STEPS}  - client: {{connect: {{after: 1s}}}}\n").play()
    assert [record.why for record in trace] == ["syn", "rst", "syn", "rst"]
    assert trace.records[2].time - trace.records[1].time >= 1_000_000_000


def test_a_window_that_never_opens_ends_the_run():
    steps = (
        "  - client: pause\n  - server: {send: 9000}\n"
        "  - server: {wait: 1s}\n  - client: {send: {octets: 5, after: 1s}}\n"
    )
    text = f"{HEAD}client: {{window: 2000}}\n{STEPS}{steps}"
    Scenario.parse(text).play()
    with pytest.raises(ScenarioError, match="never begins"):
        Scenario.parse(text.replace("  - server: {wait: 1s}\n", "")).play()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("documnet", "'documnet' is not a shipped scenario; did you mean 'document'?"),
        ("xyzzy", "'labkit scenarios' lists them"),
        ("missing.yaml", "missing.yaml: cannot be read: No such file or directory"),
        ("/", "/: is a directory; expected a scenario file"),
        ("a\0b.yaml", "is not a file name"),
    ],
)
def test_unknown_scenarios_are_refused(name, message):
    with pytest.raises(ScenarioError) as caught:
        Scenario.load(name)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("octets", "message"),
    [(b"name: \xff\n", ":1: is not UTF-8 text (octet 6)"), (b"#" * (2**20 + 1), "is larger than 1 MiB")],
)
def test_files_without_a_scenario_are_refused(tmp_path, octets, message):
    target = tmp_path / "a.yaml"
    target.write_bytes(octets)
    with pytest.raises(ScenarioError) as caught:
        Scenario.load(target)
    assert message in str(caught.value)


def test_a_file_is_a_scenario(tmp_path):
    target = tmp_path / "mine.yml"
    target.write_text("\ufeff" + HEAD + STEPS, "utf-8")
    assert Scenario.load(str(target)).name == "a"


WORDS = st.sampled_from(
    [
        "name",
        "steps",
        "client",
        "server",
        "send",
        "connect",
        "close",
        "- ",
        ": ",
        "\n",
        "  ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "5",
        "..",
        "20ms",
        "off",
        "path",
        "rtt",
        "'",
        '"',
        "&a",
        "*a",
        "!!int",
        "|",
        ">",
        "?",
        "#",
        "~",
        "1e999",
        ".nan",
        "\t",
        "0x1",
        "wait",
    ]
)


@given(st.lists(WORDS, max_size=40).map("".join) | st.text(max_size=60))
def test_any_text_gives_a_message_of_one_line(text):
    try:
        Scenario.parse(text).play()
    except LabkitError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("key", ["window_scale", "delayed_ack", "congestion", "fast_open", "keep_alive"])
def test_values_that_can_be_off(key):
    scenario = Scenario.parse(f"{HEAD}client: {{{key}: off}}\n{STEPS}")
    assert getattr(scenario.model.client, key) is None
    assert scenario.play().records


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("window_scale: 15", "window_scale: 15 is too large; expected at most 14"),
        ("delayed_ack: 1s", "delayed_ack: '1s' is too long for an acknowledgement to wait; expected at most 500ms"),
    ],
)
def test_bounds(setting, message):
    with pytest.raises(ScenarioError, match=rf"^f:2: client\.{message}$"):
        Scenario.parse(f"{HEAD}client: {{{setting}}}\n{STEPS}", "f")


def test_every_shipped_scenario_has_a_summary_and_notes():
    for name in shipped():
        scenario = Scenario.load(name)
        assert scenario.name == name
        assert scenario.summary
        assert scenario.look


MISTAKES = [
    # What somebody writes who has seen an example, and forgets some of it.
    (
        "- client: {send: 50, after: 5ms}",
        "steps[2].client.after: is not known here; it belongs to the verb: {send: {octets: …, after: …}}",
    ),
    (
        "- client: {close: , after: 5ms}",
        "steps[2].client.after: is not known here; it belongs to the verb: {close: {after: …}}",
    ),
    (
        "- client: {connect: , octets: 5}",
        "steps[2].client.octets: is not known here; it belongs to the verb: {connect: {octets: …}}",
    ),
    ("- client: {send: 5, close: }", "steps[2].client: has 2 verbs; expected exactly one for each step"),
    (
        "- client: close\n    server: close",
        "steps[2]: is not a step of one side; expected client:, server: or exchange:",
    ),
    ("- client:", "steps[2]: client: has no value; expected a verb"),
    ("- exchange:", "steps[2]: exchange: has no value; expected http"),
    ("- client close", "steps[2]: 'client close' is not a mapping; expected a step such as 'client: connect'"),
    (
        "- client: {send: GET /}",
        "steps[2].client.send: 'GET /' is not a size; expected octets, such as 99, 10kB or 1MiB, or a payload such as {text: …}",
    ),
    ("- client: {send: -5}", "steps[2].client.send: '-5' is not a size"),
    (
        "- client: {send: {text: 5}}",
        "steps[2].client.send.text: 5 is not text; expected text, in quotes if it looks like a number or contains a colon",
    ),
    ("- client: {send: }", "steps[2].client.send: has no payload; expected one of octets, text, hex, file, http, dns"),
    (
        "- clinet: close",
        "steps[2].clinet: is not known here; expected one of client, exchange, server; did you mean 'client'?",
    ),
    ("- client: closed", "steps[2].client: 'closed' is not known here; expected one of abort, close, connect"),
    ("- client: [close]", "steps[2].client: is not a step; expected a verb such as connect, or {send: 99}"),
    ("- server: {wait: 5}", "steps[2].server.wait: '5' has no unit"),
    ("- server: {wait: 5 s, after: now}", "steps[2].server.after: is not known here; it belongs to the verb"),
    ("- server: receive", "steps[2].server.receive.octets: is missing"),
    ("- client: fin", "steps[2].client: 'fin' is not known here"),
    (
        "- exchange: ftp",
        "steps[2].exchange: 'ftp' is not known here; expected one of after, at_once, dns, http, smtp, think",
    ),
    ("- client: connect", "steps[2].client: cannot connect: connection already exists (the client is in ESTABLISHED)"),
    ("- server: connect", "steps[2].server: cannot connect: connection already exists (the server is in ESTABLISHED)"),
    (
        "- client: close\n  - client: {send: 5}",
        "steps[3].client: cannot send: connection closing (the client is in FIN-WAIT-1)",
    ),
    ("- server: {receive: 5}", "steps[2]: server receive never completes: 0 octets arrived in all"),
]


@pytest.mark.parametrize(("step", "message"), MISTAKES)
def test_mistakes_of_instructors(step, message):
    with pytest.raises(ScenarioError) as caught:
        Scenario.parse(f"{HEAD}steps:\n  - client: connect\n  {step}\n", "f.yaml").play()
    assert str(caught.value).removeprefix("f.yaml:").partition(": ")[2].startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\nclient:\n\tport: 5\n", "f.yaml:3: is not YAML: a tab is not allowed here; expected spaces"),
        (
            "name: a\npath: {loss: 5%}\nsteps:\n  - client: connect\n",
            "f.yaml:2: path.loss: is not known here; it belongs to a direction: {to_server: {loss: …}}, or to_client",
        ),
        (
            "name: my lab\nsteps:\n  - client: connect\n",
            "f.yaml:1: name: 'my lab' does not fit; expected letters, digits",
        ),
        ("name: a\nsteps:\n  client: connect\n", "f.yaml:2: steps: a mapping is not a list; expected one such as"),
        ("name: a\nsteps:\n  - client: {send: 10\n", "f.yaml:4: is not YAML: expected ',' or '}'"),
        ("name: a\nlook: [What: to see]\nsteps:\n  - client: connect\n", "f.yaml:2: look[1]: a mapping is not text"),
    ],
)
def test_common_mistakes(text, message):
    with pytest.raises(ScenarioError) as caught:
        Scenario.parse(text, "f.yaml")
    assert str(caught.value).startswith(message)


PLACES = {
    ScenarioModel: "%s",
    Side: "client: {%s}",
    PathModel: "path: {%s}",
    Way: "path: {to_server: {%s}}",
    Burst: "path: {to_server: {burst: {chance: 0, %s}}}",
    Conversations: "conversations: {count: 2, %s}",
    VlanModel: "vlan: {id: 1, %s}",
    Step: "steps: [{client: connect}, {%s}]",
    Action: "steps: [{client: connect}, {client: {%s}}]",
    Send: "steps: [{client: connect}, {client: {send: {%s}}}]",
    Exchange: "steps: [{client: connect}, {exchange: {%s}}]",
    HttpExchange: "steps: [{client: connect}, {exchange: {http: {%s}}}]",
    SmtpExchange: "steps: [{client: connect}, {exchange: {smtp: {%s}}}]",
    DnsExchange: "steps: [{client: connect}, {exchange: {dns: {%s}}}]",
    Http: "steps: [{client: connect}, {client: {send: {http: {%s}}}}]",
}
ODD = ["x", "-1", "1.5", "[1]", "{a: 1}", "null", "true", "99999999999", "''", "'5'", "1..2", "2..1", "[a]", "[[1]]"]


@pytest.mark.parametrize("kind", PLACES, ids=lambda kind: kind.__name__)
def test_any_value_is_accepted_or_refused_in_one_line(kind):
    for key in kind.model_fields:
        for odd in ODD:
            text = PLACES[kind] % f"{key}: {odd}"
            text += "" if key == "name" and kind is ScenarioModel else "\nname: a"
            text += "" if "steps" in text else "\nsteps:\n  - client: connect"
            try:
                Scenario.parse(text, "f.yaml").play()
            except ScenarioError as error:
                assert re.match(r"f\.yaml:\d+: [\w.\[\]]+: \S", str(error)), (text, str(error))
                # Words of Python and of pydantic are none of the user's.
                found = re.findall(r"None|tuple|valid|dict|Input|<class|instance|NoneType", str(error))
                assert found == [], (text, str(error))


def test_packet_numbers_are_single_or_ranges():
    for text, packets in (("3", (3,)), ("[3, 5]", (3, 5)), ("3..5", (3, 4, 5)), ("[1, 3..4]", (1, 3, 4))):
        scenario = Scenario.parse(f"{HEAD}path: {{to_server: {{lose: {text}}}}}\n{STEPS}")
        assert scenario.model.path.to_server.lose == packets
