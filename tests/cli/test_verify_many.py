"""`labkit verify`: folders, several processes, Ctrl-C, selected rules and conversations, progress."""

import csv
import gzip
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import click
import pytest
from limited import limited

from labkit.analysis.report_config import ReportConfig
from labkit.capture import create
from labkit.cli import run
from labkit.cli._progress import ProgressLine, fitting
from labkit.cli.verify import command
from labkit.jobs.dispatch import Dispatcher
from labkit.jobs.inputs import Input, expand
from labkit.jobs.interrupts import Interrupts
from labkit.jobs.judging import Request, judge
from labkit.report.formats import names
from labkit.tcp.notation import parse
from labkit.teach.examples import frames

ROOT = Path(__file__).parents[2]

OPEN = "> S 0:0(0)\n< S. 0:0(0) ack 1\n> . 1:1(0) ack 1\n"
CLOSE = "> F. 1:1(0) ack 1\n< F. 1:1(0) ack 2\n> . 2:2(0) ack 2\n"
WRONG = OPEN + "< . 1:1(0) ack 7\n> . 1:1(0) ack 1\n"


def written(path: Path, *texts: str) -> Path:
    """Write a capture with one conversation for each text, one after the other."""
    with create(path, link=1, format="pcap") as writer:
        for number, text in enumerate(texts):
            for frame in frames(list(parse(text)), version=4 if number == 0 else 6):
                writer.write(frame.time + number * 10**9, frame.data)
    return path


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def configured(name: str, text: str) -> Path:
    """Write a configuration file and trust it: it lies beside the captures."""
    path = Path(name)
    path.write_text(text)
    assert run(["trust", name]) == 0
    return path


def result(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[dict], str]:
    capsys.readouterr()
    code = run(["verify", "--format", "json", *arguments])
    captured = capsys.readouterr()
    return code, json.loads(captured.out)["captures"], captured.err


# Folders.


def folder() -> Path:
    top = Path("f")
    (top / "b" / "c").mkdir(parents=True)
    written(top / "z.pcap", OPEN + CLOSE)
    written(top / "a", WRONG)
    (top / "b" / "x.gz").write_bytes(gzip.compress(written(Path("x"), OPEN + CLOSE).read_bytes()))
    written(top / "b" / "c" / "y.bin", OPEN + CLOSE)
    (top / "notes.txt").write_text("not a capture")
    (top / "b" / "empty").touch()
    return top


def test_a_folder_is_walked(capsys: pytest.CaptureFixture[str]) -> None:
    folder()
    code, captures, err = result("f", capsys=capsys)
    assert [each["path"] for each in captures] == ["f/a", "f/b/c/y.bin", "f/b/x.gz", "f/z.pcap"]
    assert (code, [each["verdict"] for each in captures]) == (1, ["fail", "pass", "pass", "pass"])
    assert err == "labkit: skipped 2 files that are not captures: f/b/empty, f/notes.txt\n"


@pytest.mark.parametrize("name", ["b.pcap", "B.PCAPNG", "b.cap", "b.pcap.gz"])
def test_a_file_with_the_suffix_of_a_capture_is_not_skipped(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    (folder() / name).write_text("not a capture")
    code, captures, err = result("f", capsys=capsys)
    assert (code, [each["verdict"] for each in captures].count("unreadable")) == (3, 1)
    assert f"f/{name}: not a capture" in err


def test_the_metadata_of_macos_is_not_a_capture(capsys: pytest.CaptureFixture[str]) -> None:
    top = folder()
    (top / "._z.pcap").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")
    written(top / "._real.pcap", OPEN + CLOSE)
    code, captures, err = result("f", capsys=capsys)
    assert (code, captures[0]["path"], len(captures)) == (1, "f/._real.pcap", 5)
    assert err == "labkit: skipped 3 files that are not captures: f/._z.pcap, f/b/empty, f/notes.txt\n"


def test_a_table_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    folder()
    assert run(["verify", "f", "missing"]) == 3
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    start = lines.index("5 captures: 3 PASS, 1 FAIL, 1 UNREADABLE")
    assert [line.split()[:2] for line in lines[start + 1 :]] == [
        ["FAIL", "f/a"],
        ["PASS", "f/b/c/y.bin"],
        ["PASS", "f/b/x.gz"],
        ["PASS", "f/z.pcap"],
        ["UNREADABLE", "missing"],
    ]
    assert "missing: cannot be read: No such file" in captured.err


def test_quiet_prints_the_table_only(capsys: pytest.CaptureFixture[str]) -> None:
    folder()
    assert run(["verify", "f", "-q"]) == 1
    assert capsys.readouterr().out.splitlines()[0] == "4 captures: 3 PASS, 1 FAIL"
    assert run(["verify", "f", "-q", "-v"]) == 2
    assert "--quiet and --verbose exclude each other" in capsys.readouterr().err


def test_pipes_and_links_to_folders_are_not_opened(capsys: pytest.CaptureFixture[str]) -> None:
    top = folder()
    os.mkfifo(top / "pipe")  # reading it would block
    (top / "b" / "loop").symlink_to(top.absolute())
    (top / "b" / "other.pcap").symlink_to((top / "z.pcap").absolute())
    (top / "b" / "gone.pcap").symlink_to("nowhere")
    code, captures, err = result("f", capsys=capsys)
    assert [each["path"] for each in captures if each["path"].startswith("f/b/")] == [
        "f/b/c/y.bin",
        "f/b/gone.pcap",
        "f/b/other.pcap",
        "f/b/x.gz",
    ]
    assert code == 3
    assert "f/b/gone.pcap: cannot be read: No such file" in err


def test_a_file_without_permission_is_reported() -> None:
    top = folder()
    (top / "z.pcap").chmod(0)
    (top / "b").chmod(0)
    try:
        done = limited("verify", "--format", "json", "f", folder=Path.cwd())
    finally:
        (top / "b").chmod(0o755)
    code, captures = done.returncode, json.loads(done.stdout)["captures"]
    assert code == 3
    assert [(each["path"], each["verdict"]) for each in captures] == [
        ("f/a", "fail"),
        ("f/b", "unreadable"),
        ("f/z.pcap", "unreadable"),
    ]
    assert done.stderr.count("Permission denied") == 2


def test_a_link_to_another_folder_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    top = folder()
    Path("elsewhere").mkdir()
    (top / "b" / "link").symlink_to(Path("elsewhere").absolute())
    code, captures, err = result("f", capsys=capsys)
    assert code == 3
    assert [each["path"] for each in captures if each["verdict"] == "unreadable"] == ["f/b/link"]
    assert "f/b/link: is not read: it is a symbolic link out of the folder" in err


@pytest.mark.parametrize(
    ("pattern", "closed"),
    [("f/*/*", "f/b"), ("f/**/*.pcap", "f/b"), ("f/b/*", "f/b"), ("f/[b]/a.pcap", "f/b/a.pcap"), ("f/*/c/*", "f/b/c")],
)
def test_what_a_pattern_does_not_reach_is_reported(pattern: str, closed: str) -> None:
    top = folder()
    (top / "b").chmod(0)
    try:
        done = limited("verify", "--format", "json", pattern, folder=Path.cwd())
    finally:
        (top / "b").chmod(0o755)
    assert done.returncode == 3
    unread = [each["path"] for each in json.loads(done.stdout)["captures"] if each["verdict"] == "unreadable"]
    assert unread == [closed]
    assert f"labkit: {closed}: cannot be read: Permission denied\n" in done.stderr


def test_a_folder_without_captures(capsys: pytest.CaptureFixture[str]) -> None:
    Path("f").mkdir()
    written(Path("a.pcap"), OPEN + CLOSE)
    code, captures, err = result("f", "a.pcap", capsys=capsys)
    assert (code, [each["verdict"] for each in captures]) == (3, ["unreadable", "pass"])
    assert "f: this folder has no capture in it" in err


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        ("f/*", ["f/a", "f/b/c/y.bin", "f/b/x.gz", "f/z.pcap"]),
        ("f/**/*.[gp]*", ["f/b/x.gz", "f/z.pcap"]),
        ("f/?", ["f/a", "f/b/c/y.bin", "f/b/x.gz"]),
        ("f/*.pcap*", ["f/z.pcap"]),
        ("[1]*.pcap", ["[1]*.pcap"]),
        ("g*/*", ["g*/*"]),
    ],
)
def test_a_pattern_is_expanded(pattern: str, paths: list[str]) -> None:
    (folder() / "notes.txt").unlink()
    for name in ("[1]*.pcap", "1.pcap"):
        written(Path(name), OPEN + CLOSE)
    assert [each.path for each in expand([pattern]).captures] == paths


def test_names_are_not_changed() -> None:
    assert expand(["-", "nowhere", "a\0b"]).captures == [Input("-"), Input("nowhere"), Input("a\0b")]


@pytest.mark.parametrize("format_", names())
def test_every_format_takes_a_folder(format_: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder()
    assert run(["verify", "f", "missing", "--format", format_]) == 3
    out = capsys.readouterr().out
    match format_:
        case "json" | "sarif":
            assert json.loads(out)
        case "jsonl":
            assert all(json.loads(line) for line in out.splitlines())
        case "csv" | "excel":
            rows = csv.DictReader(StringIO(out.removeprefix("\ufeff")))
            assert {row["path"] for row in rows} >= {"f/a", "missing"}
        case "junit":
            assert len(ElementTree.fromstring(out)) == 5  # noqa: S314 - labkit's own
        case "text" | "markdown" | "html":
            assert "5 captures: " in out
        case _:
            assert out.endswith("\n")


# Several processes.


@pytest.mark.parametrize("format_", ["text", "json"])
def test_processes_change_no_output(format_: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder()
    arguments = ["verify", "f", "missing", "f/z.pcap", "--format", format_, "--ignore", "OPT", "--port", "80"]
    seen = []
    for jobs in ("1", "3"):
        code = run([*arguments, "--jobs", jobs])
        captured = capsys.readouterr()
        seen.append((code, captured.out, captured.err))
    assert seen[0] == seen[1]
    assert seen[0][0] == 3


def test_a_dead_process_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    captures = [Input(str(folder() / "z.pcap"))] * 6
    dead = Request(ReportConfig(profile="document"), _Deadly())  # type: ignore[arg-type]
    with Interrupts() as interrupts:
        found = list(Dispatcher(captures, dead, interrupts, ProgressLine()).verdicts(jobs=2))
    assert len(found) == 6
    assert all("has died" in (verdict.error or "") for verdict in found)
    assert {verdict.profile for verdict in found} == {"document"}


class _Deadly:
    """Ends the process that unpickles it."""

    def __reduce__(self) -> tuple:
        return os._exit, (9,)


# Ctrl-C.


@pytest.fixture
def piped() -> Iterator[subprocess.Popen[bytes]]:
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "LANGUAGE": "en"}
    written(Path("wrong.pcap"), WRONG)
    written(Path("next.pcap"), WRONG)
    octets = Path("wrong.pcap").read_bytes()
    command = [sys.executable, "-m", "labkit", "verify", "--format", "json", "wrong.pcap", "-", "next.pcap"]
    with subprocess.Popen(command, env=environment, stdin=-1, stdout=-1, stderr=-1) as process:
        assert process.stdin is not None
        # More than a pipe holds, so that the reader is at work; then it waits, for the pipe stays open.
        process.stdin.write(octets[:24] + octets[24:] * 4000)
        process.stdin.flush()
        yield process
        process.kill()


def test_ctrl_c_prints_the_verdicts_so_far(piped: subprocess.Popen[bytes]) -> None:
    piped.send_signal(signal.SIGINT)
    assert piped.stdout is not None
    assert piped.stderr is not None
    captures = json.loads(piped.stdout.read())["captures"]
    notes = piped.stderr.read().decode()
    assert piped.wait(60) == 130
    assert [each["path"] for each in captures] == ["wrong.pcap", "-"]
    assert captures[0]["verdict"] == "fail"
    assert captures[1]["packets"] > 0
    message = f"interrupted after packet {captures[1]['packets']}"
    assert captures[1]["damage"] == {"message": message, "at": None, "cut": True}
    assert notes.endswith(f"labkit: -: {message}; judged up to there\nlabkit: interrupted\n")


def test_ctrl_c_between_two_packets(here: Path) -> None:
    written(here / "a.pcap", *[WRONG] * 2)
    with Interrupts() as interrupts:
        seen = []
        for frame in interrupts.frames(frames(list(parse(WRONG)))):
            seen.append(frame.number)
            if len(seen) == 2:
                signal.raise_signal(signal.SIGINT)
        assert (seen, interrupts.seen) == ([1, 2], True)
        verdict = judge(Request(ReportConfig()), "a.pcap", interrupts)
        assert verdict.packets == 0
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_capture_without_a_packet_read_has_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    written(Path("a.pcap"), OPEN + CLOSE)
    monkeypatch.setattr(
        "labkit.analysis.native.engine._library", lambda *_, **_each: signal.raise_signal(signal.SIGINT)
    )
    with Interrupts() as interrupts:
        found = list(
            Dispatcher([Input("a.pcap")], Request(ReportConfig()), interrupts, ProgressLine()).verdicts(jobs=1)
        )
    assert (found, interrupts.seen) == ([], True)


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            signal.raise_signal(signal.SIGINT)
        assert not interrupts.seen
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_verify_runs_in_any_thread(capsys: pytest.CaptureFixture[str]) -> None:
    written(Path("a.pcap"), OPEN + CLOSE)
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(run(["verify", "a.pcap"])))
    thread.start()
    thread.join()
    assert codes == [0]


def test_ctrl_c_ends_other_processes() -> None:
    captures = [Input(str(folder() / "z.pcap"))] * 40
    with Interrupts() as interrupts:
        seen = 0
        for _verdict in Dispatcher(captures, Request(ReportConfig()), interrupts, ProgressLine()).verdicts(jobs=2):
            seen += 1
            signal.raise_signal(signal.SIGINT)
    assert seen == 1


# Selected rules and conversations.


def test_select_and_ignore(capsys: pytest.CaptureFixture[str]) -> None:
    written(Path("a.pcap"), WRONG)
    code, (capture,), _err = result("a.pcap", "--select", "ACK,opt", "--ignore", "ack-of-unsent-data", capsys=capsys)
    assert (code, capture["verdict"]) == (0, "pass")
    assert {found["code"][:3] for found in capture["findings"]} == {"OPT"}
    assert capture["left_out"] > 0
    code, (capture,), _err = result("a.pcap", "--select", "ACK01", capsys=capsys)
    assert (code, [found["code"] for found in capture["findings"]]) == (1, ["ACK01"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--select", "ACK1"], "did you mean 'ACK01'?"),
        (["--ignore", "SEQ,nonsense"], "'nonsense'"),
        (["--select", ","], "--select names no rule"),
        (["--select", "ACK03"], "leave no rule of the profile rfc9293"),
        (["--config", "nowhere.toml"], "nowhere.toml: cannot be read"),
        (["--config", "x", "--no-config"], "exclude each other"),
        (["--host", "example"], "is not an IPv4 or IPv6 address"),
        (["--port", "70000"], "70000"),
        (["--flow", "-1"], "-1"),
        (["--jobs", "0"], "0"),
        (["--annotate", "out.pcap"], "is a pcapng"),
        (["--annotate", "out.pcapng", "b.pcap"], "--annotate takes one capture, not 2"),
    ],
)
@pytest.mark.parametrize("format_", ["text", "junit"])
def test_wrong_usage(arguments: list[str], words: str, format_: str, capsys: pytest.CaptureFixture[str]) -> None:
    written(Path("a.pcap"), WRONG)
    assert run(["verify", "--format", format_, "a.pcap", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert words in line


def test_the_command_line_overrides_the_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    written(Path("a.pcap"), WRONG)
    configured("labkit.toml", 'ignore = ["ACK01"]\nfail-on = "note"\n')
    code, (capture,), err = result("a.pcap", capsys=capsys)
    assert (code, "ACK01" in str(capture["findings"])) == (1, False)
    assert err == f"labkit: using the configuration in {Path.cwd() / 'labkit.toml'}\n"
    # Each option overrides its key.
    assert result("a.pcap", "--fail-on", "error", capsys=capsys)[0] == 0
    code, (capture,), _err = result("a.pcap", "--fail-on", "error", "--ignore", "OPT", capsys=capsys)
    assert (code, "OPT06" in str(capture["findings"])) == (1, False)
    # --select also replaces the file's ignore.
    assert result("a.pcap", "--select", "ACK", capsys=capsys)[0] == 1
    assert result("a.pcap", "--no-config", capsys=capsys)[2] == ""
    Path("other.toml").write_text('severity = {ACK01 = "note"}\n')
    assert result("a.pcap", "--config", "other.toml", capsys=capsys)[0] == 0


def test_the_profile_of_the_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    written(Path("a.pcap"), OPEN + CLOSE)
    configured("pyproject.toml", '[tool.labkit]\nprofile = "document"\nliteral = true\n')
    assert run(["verify", "a.pcap"]) in (0, 1)
    assert "profile document" in capsys.readouterr().out
    assert run(["verify", "a.pcap", "--profile", "rfc9293"]) == 0
    assert "profile rfc9293" in capsys.readouterr().out


def test_an_invalid_configuration_stops_everything(capsys: pytest.CaptureFixture[str]) -> None:
    written(Path("a.pcap"), WRONG)
    configured("labkit.toml", "most = 3\n")
    assert run(["verify", "a.pcap"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[-1] == f"labkit: {Path.cwd() / 'labkit.toml'}: there is no key 'most'"


@pytest.mark.parametrize(
    ("arguments", "flows"),
    [
        (["--flow", "0"], {0}),
        (["--flow", "1"], {1}),
        (["--flow", "0", "--flow", "1"], {0, 1}),
        (["--host", "192.0.2.10"], {0}),
        (["--host", "192.0.2.0/24"], {0}),
        (["--host", "2001:db8::20"], {1}),
        (["--host", "2001:db8::/64", "--host", "192.0.2.20"], {0, 1}),
        (["--port", "80"], {0, 1}),
        (["--port", "40000", "--flow", "1"], {1}),
    ],
)
def test_selected_conversations(arguments: list[str], flows: set[int], capsys: pytest.CaptureFixture[str]) -> None:
    written(Path("a.pcap"), WRONG, WRONG)
    code, (capture,), _err = result("a.pcap", *arguments, capsys=capsys)
    assert code == 1
    assert {found["flow"] for found in capture["findings"]} == flows
    assert [each["flow"] for each in capture["conversations"]] == sorted(flows)
    # The filter does not change what is judged.
    assert (capture["flows"], capture["segments"]) == (2, 10)


@pytest.mark.parametrize(
    ("typed", "offered"), [("ACK0", "ACK01"), ("SEQ,ACK0", "SEQ,ACK01"), ("ack0", "ACK01"), ("SEQ,", "SEQ,ACK01")]
)
def test_the_shell_completes_rules(typed: str, offered: str) -> None:
    option = next(each for each in command.params if each.name == "select")
    found = option.shell_complete(click.Context(command), typed)
    assert offered in {item.value for item in found}


@pytest.mark.parametrize("arguments", [["--flow", "2"], ["--host", "10.0.0.1"], ["--port", "81"]])
def test_no_conversation_matches(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    written(Path("a.pcap"), OPEN + CLOSE)
    assert run(["verify", "a.pcap", *arguments]) == 1
    assert capsys.readouterr().out.startswith("a.pcap: NOT JUDGED  nothing found ")
    assert run(["verify", "a.pcap", "--allow-empty", *arguments]) == 0


def test_annotate(capsys: pytest.CaptureFixture[str]) -> None:
    written(Path("a.pcap"), WRONG)
    assert run(["verify", "a.pcap", "--annotate", "out.pcapng", "--select", "ACK01"]) == 1
    assert capsys.readouterr().err == "labkit: out.pcapng: 1 packet with comments\n"
    assert b"labkit error ACK01 ack=" in Path("out.pcapng").read_bytes()
    # A folder with one capture is one capture.
    Path("f").mkdir()
    Path("a.pcap").rename("f/a.pcap")
    assert run(["verify", "f", "--annotate", "two.pcapng", "--select", "ACK01"]) == 1
    assert Path("two.pcapng").is_file()


def test_a_failed_annotation_keeps_the_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    written(Path("a.pcap"), WRONG)
    assert run(["verify", "a.pcap", "--annotate", "nowhere/out.pcapng"]) == 3
    captured = capsys.readouterr()
    assert captured.out.startswith("a.pcap: FAIL  ")
    assert captured.err.startswith("labkit: nowhere/out.pcapng: cannot be written: ")
    assert run(["verify", "missing.pcap", "--annotate", "out.pcapng"]) == 3
    assert not Path("out.pcapng").exists()


def test_only_a_terminal_gets_progress(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    folder()
    run(["verify", "f", "--jobs", "2"])
    assert "\r" not in capsys.readouterr().err
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    run(["verify", "f", "--jobs", "2"])
    err = capsys.readouterr().err
    assert "[1/4] .................... f/a" in err
    assert "[4/4] ###############..... f/z.pcap" in err


@pytest.mark.parametrize(
    ("text", "columns", "shown"),
    [
        ("", 0, ""),
        ("[1/4] a.pcap", 12, "[1/4] a.pcap"),
        ("[1/4] a.pcap", 11, "[1/4] a...."),
        ("[1/4] 中文.pcap", 15, "[1/4] 中文.pcap"),
        ("[1/4] 中文.pcap", 14, "[1/4] 中文...."),
        ("[1/4] 中文.pcap", 12, "[1/4] 中..."),
        ("a.pcap", 1, "..."),
    ],
)
def test_progress_fits_one_line(text: str, columns: int, shown: str) -> None:
    assert fitting(text, columns) == shown


def test_a_notice_starts_a_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = threading.Event()
    shown: list[str] = []
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setattr("labkit.cli._progress.TICK", 0.001)
    monkeypatch.setattr(ProgressLine, "show", lambda _self, more="": seen.set() or shown.append(more))
    said: list[str] = []
    monkeypatch.setattr("labkit.cli._progress.note", said.append)
    with ProgressLine("a.pcap") as progress:
        progress.on_notice("compiling")
        assert seen.wait(60)
        progress.on_progress(7)
        threads = threading.active_count()
        progress.on_notice("again")
        progress.on_notice("again")  # once for each text
    assert (shown[0], said) == (": 0 s", ["compiling", "again"])
    assert ": 7 packets" in shown
    assert threading.active_count() == threads


def test_counts_are_shown_at_intervals_with_their_share(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    clock = iter([0.0, 0.05, 0.2, 0.25, 0.4])
    monkeypatch.setattr("labkit.cli._progress.monotonic", lambda: next(clock))
    with ProgressLine("a.pcap") as progress:
        for count, share in ((1000, 0.104), (2000, 0.2), (3000, 0.5), (4000, 0.6), (5000, None)):
            progress.on_progress(count, share)
    assert capsys.readouterr().err.replace("\x1b[K", "").split("\r") == [
        "",
        "a.pcap: 1,000 packets, 10%",
        "a.pcap: 3,000 packets, 50%",
        "a.pcap: 5,000 packets",
        "",
    ]
