"""`labkit verify`: exit codes, outputs, and the modules that it loads."""

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from labkit.build.scenario import Scenario
from labkit.capture import create
from labkit.cli import run
from labkit.tcp.notation import parse
from labkit.teach.examples import frames

ROOT = Path(__file__).parents[2]

WRONG_ACK = """
    > S  0:0(0)
    < S. 0:0(0) ack 1
    > .  1:1(0) ack 1
    > P. 1:100(99) ack 1
    < P. 1:120(119) ack 100
    > .  100:100(0) ack 121
"""

STRAY = "> P. 1:9(8) ack 1\n< . 1:1(0) ack 9\n"

Write = Callable[[Path], None]


def notation(text: str) -> Write:
    def write(path: Path) -> None:
        with create(path, link=1, format="pcap") as writer:
            for frame in frames(list(parse(text))):
                writer.write(frame.time, frame.data)

    return write


def good(path: Path) -> None:
    Scenario.load("document").play().write(path, format="pcap")


def octets(data: bytes) -> Write:
    return lambda path: path.write_bytes(data) and None


def cut(octets_left: int) -> Write:
    """A valid capture that ends too early."""

    def write(path: Path) -> None:
        good(path)
        path.write_bytes(path.read_bytes()[:octets_left])

    return write


def garbage(start: Write) -> Write:
    """A capture with an invalid record between valid ones."""

    def write(path: Path) -> None:
        start(path)
        good(rest := path.with_suffix(".rest"))
        path.write_bytes(path.read_bytes() + b"\xff" * 16 + rest.read_bytes()[24:])
        rest.unlink()

    return write


def compressed(path: Path) -> None:
    good(path)
    path.write_bytes(gzip.compress(path.read_bytes(), mtime=0))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test runs in its own folder, without colours."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NO_COLOR", raising=False)
    return tmp_path


def result(path: Path | str, *options: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict]:
    capsys.readouterr()
    code = run(["verify", "--format", "json", *options, str(path)])
    return code, json.loads(capsys.readouterr().out)["captures"][0]


# Exit codes.

WHOLE = [
    # (what the file is, exit code, verdict)
    ("good", good, 0, "pass"),
    ("gzip", compressed, 0, "pass"),
    ("fault", notation(WRONG_ACK), 1, "fail"),
    ("no packets", cut(24), 1, "not-judged"),
    ("cut in the first packet", cut(24 + 70 + 5), 1, "not-judged"),
    ("cut in a packet", cut(700), 0, "unreadable"),
    ("cut in a record's header", cut(24 + 78 + 5), 0, "unreadable"),
]

UNREADABLE = [
    # (what the file is, the words of the line)
    ("empty", octets(b""), "not a capture: the file is empty"),
    ("text", octets(b"hello, this is not a capture\n"), 'it begins with "hello, this is '),
    ("random", octets(Random(1).randbytes(5000)), "not a capture: it begins with the bytes "),
    ("short magic", octets(b"\xd4\xc3\xb2"), "not a capture"),
    ("gzip of text", octets(gzip.compress(b"hello", mtime=0)), 'uncompressed it begins with "hello"'),
    ("broken gzip", octets(b"\x1f\x8b\x08" + bytes(40)), "not a capture"),
    ("zip", octets(b"PK\x03\x04" + bytes(40)), "zip data: uncompress it first"),
    ("empty folder", Path.mkdir, "this folder has no capture in it"),
    ("missing", lambda _path: None, "No such file or directory"),
]


@pytest.mark.parametrize(("write", "code", "verdict"), [each[1:] for each in WHOLE], ids=[each[0] for each in WHOLE])
def test_exit_codes_of_readable_captures(
    write: Write, code: int, verdict: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(Path("a.pcap"))
    assert run(["verify", "a.pcap"]) == code
    assert capsys.readouterr().out.startswith(f"a.pcap: {verdict.upper().replace('-', ' ')}  ")
    assert result("a.pcap", capsys=capsys)[0] == code


@pytest.mark.parametrize(("write", "words"), [each[1:] for each in UNREADABLE], ids=[each[0] for each in UNREADABLE])
def test_an_unreadable_capture_is_one_line(write: Write, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    write(Path("a.pcap"))
    assert run(["verify", "a.pcap"]) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("labkit: a.pcap: ")
    assert words in line
    code, capture = result("a.pcap", capsys=capsys)
    assert (code, capture["verdict"], capture["findings"]) == (3, "unreadable", [])
    assert f"labkit: {capture['error']}" == line


@pytest.mark.parametrize("seed", range(8))
def test_random_octets_after_a_valid_header(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    good(Path("a.pcap"))
    octets = bytearray(Path("a.pcap").read_bytes())
    random = Random(seed)
    for _ in range(40):
        octets[random.randrange(24, len(octets))] = random.randrange(256)
    Path("a.pcap").write_bytes(octets)
    assert run(["verify", "a.pcap"]) in (0, 1, 3)
    captured = capsys.readouterr()
    assert captured.out.startswith("a.pcap: ")
    assert "internal error" not in captured.err


# Captures that break off.


@pytest.mark.parametrize(("start", "code"), [(good, 0), (notation(WRONG_ACK), 1)])
def test_a_cut_capture_is_judged_up_to_the_cut(start: Write, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    start(path := Path("a.pcap"))
    path.write_bytes(path.read_bytes() + b"\x01\x02\x03")
    assert run(["verify", "a.pcap"]) == code
    captured = capsys.readouterr()
    assert "judged up to there" in captured.out.splitlines()[1]
    assert "the capture ends in the middle of " in captured.out.splitlines()[1]
    assert captured.err == ""
    assert run(["verify", "--format", "csv", "a.pcap"]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("labkit: a.pcap: the capture ends in the middle of ")
    assert line.endswith("; judged up to there")
    got, capture = result("a.pcap", capsys=capsys)
    assert got == code
    assert capture["damage"]["cut"] is True
    assert capture["damage"]["at"] == path.stat().st_size - 3


@pytest.mark.parametrize(("start", "verdict"), [(good, "unreadable"), (notation(WRONG_ACK), "fail")])
def test_garbage_in_the_middle_is_unreadable(start: Write, verdict: str, capsys: pytest.CaptureFixture[str]) -> None:
    garbage(start)(Path("a.pcap"))
    assert run(["verify", "a.pcap"]) == 3
    captured = capsys.readouterr()
    assert captured.out.startswith(f"a.pcap: {verdict.upper()}")
    assert "judged up to there" in captured.out.splitlines()[1]
    assert len(captured.err.splitlines()) == 1
    code, capture = result("a.pcap", capsys=capsys)
    assert (code, capture["damage"]["cut"], capture["verdict"]) == (3, False, verdict)
    assert capture["packets"] == (10 if start is good else 6)


# Several captures.


@pytest.mark.parametrize(
    ("paths", "code"),
    [
        (["good", "good"], 0),
        (["good", "bad"], 1),
        (["bad", "good"], 1),
        (["bad", "missing"], 3),
        (["missing", "bad", "good"], 3),
    ],
)
def test_the_worst_capture_decides(paths: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    good(Path("good"))
    notation(WRONG_ACK)(Path("bad"))
    assert run(["verify", *paths]) == code
    captured = capsys.readouterr()
    # Each is judged all the same.
    judged = [line.partition(":")[0] for line in captured.out.splitlines() if "profile rfc9293" in line]
    assert judged == [path for path in paths if path != "missing"]
    assert run(["verify", "--format", "json", *paths]) == code
    assert [each["path"] for each in json.loads(capsys.readouterr().out)["captures"]] == paths


# What is printed.


def test_text_shows_the_expected_value(capsys: pytest.CaptureFixture[str]) -> None:
    notation(WRONG_ACK)(Path("a.pcap"))
    assert run(["verify", "a.pcap"]) == 1
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert captured.err == ""
    mark = lines.index("                              ^^^^^^^ expected 120")
    assert lines[mark - 1].endswith("ack=121")
    assert "error[ACK01] ack-of-unsent-data: packet 6, 192.0.2.10:40000 → 192.0.2.20:80" in lines


def test_jsonl_has_one_finding_on_each_line(capsys: pytest.CaptureFixture[str]) -> None:
    notation(WRONG_ACK)(Path("a.pcap"))
    assert run(["verify", "--format", "jsonl", "a.pcap", "missing.pcap"]) == 3
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["code"] for line in lines if line.get("severity") == "error"] == ["ACK01"]
    assert lines[-1]["path"] == "missing.pcap"
    assert "No such file" in lines[-1]["error"]


@pytest.mark.parametrize(
    ("environment", "options", "coloured"),
    [
        ({}, [], False),  # not a terminal
        ({}, ["--color", "always"], True),
        ({"NO_COLOR": "1"}, [], False),
        ({"NO_COLOR": "1"}, ["--color", "always"], True),
        ({}, ["--color", "never"], False),
    ],
)
def test_colours(
    environment: dict[str, str],
    options: list[str],
    coloured: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    notation(WRONG_ACK)(Path("a.pcap"))
    assert run([*options, "verify", "a.pcap"]) == 1
    assert ("\x1b[" in capsys.readouterr().out) is coloured


def on_a_terminal(**environment: str) -> bytes:
    """The output of `labkit verify` on a terminal."""
    pty = pytest.importorskip("pty", reason="needs a pseudo-terminal")
    master, slave = pty.openpty()
    settings = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", **environment}
    with subprocess.Popen([sys.executable, "-m", "labkit", "verify", "a.pcap"], env=settings, stdout=slave) as process:
        process.wait(60)
    os.close(slave)
    try:
        return os.read(master, 65536)
    finally:
        os.close(master)


def test_no_color_on_a_terminal() -> None:
    good(Path("a.pcap"))
    assert b"\x1b[" in on_a_terminal()
    assert b"\x1b[" not in on_a_terminal(NO_COLOR="1")


# What is asked.


@pytest.mark.parametrize(("fail_on", "code"), [("error", 0), ("warning", 0), ("note", 1)])
def test_fail_on(fail_on: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    notation(STRAY)(Path("a.pcap"))
    assert run(["verify", "--fail-on", fail_on, "a.pcap"]) == code
    got, capture = result("a.pcap", "--fail-on", fail_on, capsys=capsys)
    assert (got, capture["verdict"]) == (code, "fail" if code else "pass")


def test_fail_on_warning(capsys: pytest.CaptureFixture[str]) -> None:
    # The last ACK is missing.
    close = "> F. 100:100(0) ack 120\n< F. 120:120(0) ack 101\n"
    notation(WRONG_ACK.replace("ack 121", "ack 120") + close)(Path("a.pcap"))
    _, capture = result("a.pcap", capsys=capsys)
    severities = {finding["severity"] for finding in capture["findings"]}
    assert "warning" in severities
    assert "error" not in severities
    assert run(["verify", "a.pcap"]) == 0
    assert run(["verify", "--fail-on", "warning", "a.pcap"]) == 1


def test_verbose_and_most(capsys: pytest.CaptureFixture[str]) -> None:
    notation(STRAY)(Path("a.pcap"))
    assert run(["verify", "a.pcap"]) == 0
    assert "read on" not in capsys.readouterr().out
    assert run(["verify", "-v", "--most", "0", "a.pcap"]) == 0
    assert "  read on   " in capsys.readouterr().out


def test_the_literal_rules(capsys: pytest.CaptureFixture[str]) -> None:
    Scenario.load("server-speaks-first").play().write("a.pcap")
    assert run(["verify", "a.pcap"]) == 0
    assert run(["verify", "--profile", "document", "a.pcap"]) == 0
    assert run(["verify", "--profile", "document", "--literal", "a.pcap"]) == 1
    capsys.readouterr()
    for format_ in ("text", "json", "jsonl"):
        assert run(["verify", "--literal", "--format", format_, "a.pcap"]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err == "labkit: --literal needs --profile document\n"


@pytest.mark.parametrize(
    "arguments", [[], ["--profile", "tcp", "a.pcap"], ["--format", "word", "a.pcap"], ["--most", "-1", "a.pcap"]]
)
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1


# The program itself.


def labkit(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-m", "labkit", *arguments]
    return subprocess.run(command, env=environment, input=stdin, capture_output=True, check=False)


@pytest.mark.parametrize(("write", "code"), [(good, 0), (notation(WRONG_ACK), 1), (octets(b""), 3)])
def test_standard_input(write: Write, code: int) -> None:
    write(path := Path("a.pcap"))
    done = labkit("verify", "-", stdin=path.read_bytes())
    assert done.returncode == code
    if code == 3:
        assert (done.stdout, done.stderr) == (b"", b"labkit: standard input: not a capture: the file is empty\n")
    else:
        assert done.stdout.startswith(b"-: PASS" if code == 0 else b"-: FAIL")


def test_a_small_capture_loads_no_heavy_library() -> None:
    notation(WRONG_ACK)(Path("a.pcap"))
    program = (
        "import sys; from labkit.cli import run; code = run(['verify', 'a.pcap']); "
        "heavy = {'scapy', 'numpy', 'llvmlite', 'pydantic', 'ruamel', 'labkit.build.scenario', 'labkit.packet.scapy_build'}; "
        "print(code, sorted(heavy & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": str(ROOT)}, capture_output=True, check=True
    )
    assert done.stdout.splitlines()[-1] == b"1 []"


LATE = """
    array concurrent.futures ctypes ipaddress json logging pathlib pkgutil tomllib unicodedata
    labkit.analysis.flow_filter labkit.analysis.native.library labkit.build labkit.capture.pcapng labkit.capture.sink
    labkit.report.annotate labkit.report.verdict labkit.tcp.options labkit.tcp.segment
"""
"""What a verdict on a small pcap without findings has no use for: each takes a part of a millisecond to be imported."""


def test_a_verdict_without_findings_loads_little() -> None:
    good(Path("a.pcap"))
    program = (
        "import sys; before = set(sys.modules); from labkit.cli import run; "
        "code = run(['verify', 'a.pcap', '--no-config']); loaded = sys.modules.keys() - before; "
        f"print(code, sorted({set(LATE.split())!r} & loaded))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        env={"PYTHONPATH": str(ROOT), "LC_ALL": "C"},
        capture_output=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == b"0 []"


def test_the_reader_goes_away() -> None:
    good(Path("a.pcap"))
    command = f"{sys.executable} -m labkit verify --format json {'a.pcap ' * 300} | head -n 1"
    done = subprocess.run(
        ["sh", "-c", command],
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        capture_output=True,
        check=True,
    )
    assert done.stdout.startswith(b'{"labkit": ')
    assert done.stderr == b""
