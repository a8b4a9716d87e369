"""Students' programs in a lab: a right TCP gets all points, a wrong one those that it deserves, a broken one a clear row."""

import json
import os
from pathlib import Path
from shutil import copy, which

import json_schema
import pytest
from class_of_sixty import zipped
from minimal_tcp import FAULTS
from support import labkit, needs_ip, needs_root

from labkit.capture import open_capture
from labkit.errors import LinkError, ScenarioError, UsageError
from labkit.live.sandbox import _copy
from labkit.live.trial import MAX_PACKETS, Setting, run_trial
from labkit.teach.assign import Assignment
from labkit.teach.assign.material import models
from labkit.teach.assign.schema import schema
from labkit.teach.grade.program import grade_program
from labkit.teach.grade.task import EMPTY, NO_TCP, Result

pytestmark = [needs_root, needs_ip]
needs_tun = pytest.mark.skipif(
    not (Path("/dev/net/tun").exists() and all(map(which, ("unshare", "setpriv", "prlimit")))),
    reason="tun devices or the programs of util-linux are missing",
)

PROGRAM = Path(__file__).with_name("minimal_tcp.py")

ASSIGNMENT = """
name: own-tcp
title: A TCP of your own
text: Write it.
hand-in: live-program
program: {side: SIDE, link: LINK, runs: 1, time: TIME}
scenario:
  client: {isn: random, rto_min: 200ms}
  server: {isn: random, window: 3000, rto_min: 200ms}
  path: {rtt: 10ms, to_server: {lose: [LOST]}}
  steps:
    - client: connect
    - client: {send: 9000}
    - server: {send: 1000}
    - server: {send: {octets: 500, after: 1s}}
    - client: close
    - server: close
parts:
  - {part: Handshake, points: 2, expect: {opened: handshake}, rules: [HS, SEQ]}
  - {part: Checksums, points: 1, expect: {opened: handshake}, rules: [CK]}
  - {part: Retransmission, points: 3, expect: {client-delivers: 9000}}
  - {part: Window, points: 2, expect: {client-sends: 3000..}, rules: [WIN]}
  - {part: Acknowledgements, points: 3, expect: {server-delivers: 1500, client-answers-resent: true}, rules: [ACK]}
  - {part: Close, points: 2, expect: {closed: fin}, rules: [FIN, RST]}
"""
# The path loses the client's third data segment, and its first acknowledgement of data.
LOST = "5, 13"

DESERVED = {
    # What never arrives is never answered, so later parts are missing too.
    "syn-not-counted": ({"Handshake", "Retransmission", "Acknowledgements", "Close"}, "HS03"),
    "no-retransmission": ({"Retransmission", "Acknowledgements", "Close"}, ""),
    "ignores-window": ({"Window"}, "WIN01"),
    "wrong-checksum": ({"Checksums", "Retransmission", "Acknowledgements", "Close"}, "CK02"),
    "fin-not-acknowledged": ({"Acknowledgements", "Close"}, ""),
    "acknowledges-unsent-data": ({"Acknowledgements", "Close"}, "ACK01"),
    "no-answer-to-retransmission": ({"Acknowledgements", "Close"}, ""),
    "reset-instead-of-close": ({"Close"}, ""),
}
"""The parts that lose their points by each fault, and the rule that says why, if one does."""


def assignment(
    side: str = "client", link: str = "tun", seconds: str = "6s", lost: str = LOST, *, six: bool = False
) -> Assignment:
    text = ASSIGNMENT
    if six:
        for end, address in (("client", "2001:DB8::a"), ("server", "2001:db8::b")):
            text = text.replace(f"{end}: {{isn", f"{end}: {{address: '{address}', isn")
    for name, value in (("SIDE", side), ("LINK", link), ("TIME", seconds), ("LOST", lost)):
        text = text.replace(name, value)
    return Assignment.parse(text)


def graded(
    of: Assignment, fault: str = "", seeds: tuple[int, ...] = (1,), program: Path = PROGRAM, peer: str = "labkit"
) -> Result:
    assert of.model.program is not None
    command = ["python3", program.name, *filter(None, [fault])]
    given = of.model.program
    setting = Setting(of.scenario, given.side, command, [program], given.link, given.time / 1e9, peer=peer)
    return grade_program(of.task(), setting, seeds)


def lost_parts(result: Result) -> set[str]:
    return {part.name for part in result.parts if not part.passed}


@needs_tun
class TestGrades:
    @pytest.mark.parametrize("link", ["tun", "raw"])
    @pytest.mark.parametrize("side", ["client", "server"])
    def test_a_right_program_gets_all_points(self, side: str, link: str) -> None:
        result = graded(assignment(side, link))
        assert (result.points, result.of, result.mistakes) == (13, 13, ())
        assert result.runs[0].ended == ""

    @pytest.mark.parametrize(("side", "link", "peer"), [("client", "tun", "kernel"), ("server", "raw", "labkit")])
    def test_over_ipv6(self, side: str, link: str, peer: str) -> None:
        result = graded(assignment(side, link, six=True), peer=peer)
        assert (result.points, result.of, result.mistakes) == (13, 13, ())
        assert result.runs[0].ended == ""
        assert "2001:db8::" in result.conversation

    def test_over_ipv6_a_fault_costs_what_it_deserves(self) -> None:
        result = graded(assignment(six=True), "acknowledges-unsent-data")
        assert lost_parts(result) == DESERVED["acknowledges-unsent-data"][0]
        assert "ACK01" in {each.code for each in result.mistakes}

    def test_over_ipv6_silence_is_no_packet(self) -> None:
        assert graded(assignment(seconds="1s", six=True), "silent").status == EMPTY

    @pytest.mark.parametrize("fault", FAULTS)
    def test_each_fault_costs_what_it_deserves(self, fault: str) -> None:
        result = graded(assignment(), fault)
        parts, code = DESERVED[fault]
        assert lost_parts(result) == parts
        assert all(part.points == 0 for part in result.parts if part.name in parts)
        assert not code or code in {each.code for each in result.mistakes}

    def test_points_are_the_mean_of_the_runs_and_name_the_seed(self) -> None:
        result = graded(assignment(), "reset-instead-of-close", seeds=(4, 9))
        assert [run.seed for run in result.runs] == [4, 9]
        assert result.points == 11
        close = result.parts[-1]
        assert close.reason.startswith("seed 4: ")
        alone = graded(assignment(), "reset-instead-of-close", seeds=(9,))
        assert alone.runs[0].points == result.runs[1].points


OWN = Assignment.load("own-tcp")


@needs_tun
@pytest.mark.parametrize(
    ("name", "peer"),
    [("right", "labkit"), ("right", "kernel"), *((each.name, "labkit") for each in OWN.model.hand_ins)],
)
def test_the_shipped_assignment_and_its_model_hand_ins(name: str, peer: str, tmp_path: Path) -> None:
    (model,) = [each for _own, each in models(OWN) if each.name == name]
    (tmp_path / model.file).write_bytes(model.octets)
    setting = Setting(OWN.scenario, "client", ["python3", model.file], [tmp_path / model.file], "tun", 4.0, peer=peer)
    assert grade_program(OWN.task(), setting, (2,)).points == model.points


@needs_tun
class TestAgainstTheKernel:
    """The kernel plays the other side, and the path lies between: what labkit's TCP says of a program, the kernel says too."""

    @pytest.mark.parametrize(("side", "link"), [("client", "tun"), ("server", "raw")])
    def test_a_right_program_gets_all_points(self, side: str, link: str) -> None:
        result = graded(assignment(side, link), peer="kernel")
        assert (result.points, result.of, result.mistakes) == (13, 13, ())
        assert result.runs[0].ended == ""

    @pytest.mark.parametrize(
        ("fault", "ended"),
        [
            ("no-retransmission", "step 2 (client send) is not complete"),
            ("fin-not-acknowledged", "ended before the conversation did"),
            ("reset-instead-of-close", "the server cannot close"),
        ],
    )
    def test_a_fault_costs_what_it_deserves(self, fault: str, ended: str) -> None:
        result = graded(assignment(seconds="4s"), fault, peer="kernel")
        assert lost_parts(result) == DESERVED[fault][0]
        assert ended in result.runs[0].ended

    @pytest.mark.parametrize(("side", "ended"), [("client", "no client has connected"), ("server", "has not answered")])
    def test_a_silent_program(self, side: str, ended: str) -> None:
        result = graded(assignment(side, seconds="1s"), "silent", peer="kernel")
        assert result.points == 0
        assert ended in result.runs[0].ended


@needs_tun
class TestBrokenPrograms:
    """Whatever a program does, there is a row that says so, and nothing of it stays."""

    @pytest.mark.parametrize(
        ("trouble", "status", "ended"),
        [
            ("crash", EMPTY, "exit code 1: no such thing as a TCP"),
            ("abort", EMPTY, "ended by signal 6"),
            ("silent", EMPTY, "no client has connected"),
            ("noisy", EMPTY, "no client has connected"),
            ("children", EMPTY, "exit code 3"),
            ("garbage", NO_TCP, "ended before the conversation did"),
            ("flood", None, f"more than {MAX_PACKETS:,} packets"),
        ],
    )
    def test_row(self, trouble: str, status: str | None, ended: str, tmp_path: Path) -> None:
        program = Path(copy(PROGRAM, tmp_path / f"{trouble}-{os.getpid()}.py"))
        result = graded(assignment(seconds="3s"), trouble, program=program)
        assert result.points == 0
        assert status in (None, result.status)
        assert ended in result.runs[0].ended
        assert len(result.runs[0].output) < 20_000
        assert not processes_of(program.name)

    def test_a_server_that_never_answers(self) -> None:
        result = graded(assignment("server", seconds="2s"), "silent")
        assert result.points == 0
        assert "has not answered" in result.runs[0].ended

    @pytest.mark.parametrize("word", ["no-such-program", "/etc/passwd", "/etc"])
    def test_what_is_no_program(self, word: str) -> None:
        of = assignment(seconds="2s")
        result = grade_program(of.task(), Setting(of.scenario, "client", [word], seconds=2.0), [1])
        assert result.points == 0
        assert "could not be started" in result.runs[0].ended

    def test_the_program_has_few_rights(self) -> None:
        script = "id -u; pwd; cat /proc/self/status; cat /proc/net/dev; kill -0 1 && echo killable; ls; touch made"
        of = assignment(seconds="3s")
        setting = Setting(of.scenario, "client", ["sh", "-c", script], [PROGRAM], seconds=3.0)
        output = run_trial(setting, 1).output
        assert output.startswith("65534\n")
        assert "CapEff:\t0000000000002000\n" in output  # CAP_NET_RAW alone
        assert "CapBnd:\t0000000000002000\n" in output
        assert "NoNewPrivs:\t1\n" in output
        assert {line.split(":")[0].strip() for line in output.splitlines() if line.count(" 0 ") > 4} <= {
            "lo",
            "labkit-client",
            "labkit-tun",
        }
        assert "killable" not in output
        assert PROGRAM.name in output


def processes_of(name: str) -> list[str]:
    """The command lines of running processes that name a program."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = each.read_bytes().split(b"\0")
        except OSError:
            continue
        if name.encode() in words:
            found.append(b" ".join(words).decode("utf-8", "replace"))
    return found


@needs_tun
class TestCommand:
    def test_a_class(self, tmp_path: Path) -> None:
        (tmp_path / "tcp.yaml").write_text(assignment().source.text)
        for student, fault in (("ada", ""), ("ben", "reset-instead-of-close"), ("eve", None)):
            folder = tmp_path / "hand-ins" / student
            folder.mkdir(parents=True)
            if fault is not None:
                (folder / "tcp.py").write_text(PROGRAM.read_text())
            (folder / "fault").write_text(fault or "")
        command = ["sh", "-c", "exec python3 {hand-in}/tcp.py $(cat {hand-in}/fault)"]
        done = labkit(
            *("check-live", "--hand-ins", "hand-ins", "--captures", "captures", "--format", "json", "tcp.yaml"),
            *command,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        rows = found["students"]
        assert [(row["student"], row["points"]) for row in rows] == [("ada", 13), ("ben", 11), ("eve", 0)]
        assert "can't open file" in rows[2]["runs"][0]["ended"]
        assert [(each["kind"], each["students"]) for each in found["remarks"]] == [("near-identical", ["ada", "ben"])]
        with open_capture(tmp_path / "captures" / "ben-seed-1.pcapng") as capture:
            frames = list(capture)
        assert len(frames) == rows[1]["packets"]
        assert any("RFC 9293" in " ".join(frame.comments) for frame in frames)

    def test_a_class_as_moodle_has_it(self, tmp_path: Path) -> None:
        """An archive for each student, of a folder or not; a task of their own; somebody who is not on the roster."""
        text = (
            assignment().source.text.replace("send: 9000", "send: $send").replace("delivers: 9000", "delivers: $send")
        )
        text += "draw: {send: 3100..4200}\n"
        (tmp_path / "tcp.yaml").write_text(text)
        (tmp_path / "class.csv").write_text("student,name\ns1,Ada Love\ns2,Ben Kahn\ns3,Eve Moss\n")
        built = labkit("assign", "build", "tcp.yaml", "--roster", "class.csv", "--answers", "key.json", cwd=tmp_path)
        assert built.returncode == 0, built.stderr
        work = {"tcp.py": PROGRAM.read_bytes()}
        files = {
            "Ada Love_11_assignsubmission_file_/work.zip": zipped(
                {f"mytcp/{name}": each for name, each in work.items()}
            ),
            "Ben Kahn_12_assignsubmission_file_tcp.py": work["tcp.py"],
            "Zoe Zett_13_assignsubmission_file_/work.zip": b"PK\x03\x04 damaged",
        }
        (tmp_path / "all.zip").write_bytes(zipped(files))
        done = labkit(
            *("check-live", "--hand-ins", "all.zip", "--answers", "key.json", "--format", "json"),
            *("--feedback", "feedback", "tcp.yaml", "python3", "{hand-in}/tcp.py"),
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        rows = [(row["student"], row["points"], row["status"], row["on_roster"]) for row in found["students"]]
        assert rows == [
            ("s1", 13, "graded", True),
            ("s2", 13, "graded", True),
            ("s3", 0, "nothing", True),
            ("Zoe Zett (13)", 0, "refused", False),
        ]
        given = [each["values"]["send"] for each in json.loads((tmp_path / "key.json").read_text())["students"][:2]]
        reasons = [row["parts"][2]["reason"] for row in found["students"][:2]]
        assert reasons == [f"the server acknowledges {send} bytes of the client" for send in given]
        assert [(each["kind"], each["students"]) for each in found["remarks"]] == [("identical", ["s1", "s2"])]
        assert len(list((tmp_path / "feedback").iterdir())) == 8

    def test_platforms_and_mistakes_in_the_capture(self, tmp_path: Path) -> None:
        (tmp_path / "tcp.yaml").write_text(assignment().source.text)
        (tmp_path / "tcp.py").write_text(PROGRAM.read_text())
        tmp_path.chmod(0o700)  # as home folders are
        done = labkit(
            *(
                "check-live",
                "--format",
                "gradescope",
                "--captures",
                "c",
                "tcp.yaml",
                "python3",
                "tcp.py",
                "ignores-window",
            ),
            cwd=tmp_path,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout)["score"] == 11
        with open_capture(tmp_path / "c" / "seed-1.pcapng") as capture:
            assert any("WIN01" in " ".join(frame.comments) for frame in capture)

    def test_a_platform_gets_a_result_whatever_happens(self) -> None:
        done = labkit("check-live", "--format", "gradescope", "no-such-assignment", "true")
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout)["score"] == 0

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["handshake", "true"], "what is handed in is not a program; 'labkit grade' grades it"),
            (["--hand-ins", ".", "tcp.yaml", "true"], "COMMAND has no {hand-in}"),
            (["tcp.yaml", "--runs", "1", "true"], "options stand before ASSIGNMENT; expected a program, not '--runs'"),
            (["--roster", "class.csv", "tcp.yaml", "true"], "--roster needs --hand-ins"),
            (["--user", "nobody-of-this-name", "tcp.yaml", "true"], "there is no user 'nobody-of-this-name'"),
            (["-o", "x.pdf", "tcp.yaml", "true"], "the suffix names no form"),
            (["tcp.yaml"], "Missing argument"),
        ],
    )
    def test_wrong_usage(self, words: list[str], message: str, tmp_path: Path) -> None:
        (tmp_path / "tcp.yaml").write_text(assignment().source.text)
        done = labkit("check-live", *words, cwd=tmp_path)
        assert done.returncode == 2
        assert message.lower() in done.stderr.lower()

    def test_grade_says_who_grades_programs(self, tmp_path: Path) -> None:
        (tmp_path / "tcp.yaml").write_text(assignment().source.text)
        done = labkit("grade", "tcp.yaml", ".", cwd=tmp_path)
        assert done.returncode == 2
        assert "check-live" in done.stderr


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("program: {side: SIDE", "program: {side: both", "program.side: 'both' is not known"),
        ("hand-in: live-program", "hand-in: capture", "live-program needs 'program:'"),
        ("text: Write it.", "text: x\ngive: ladder", "a program has no 'give:'"),
        ("text: Write it.", "text: x\nhand-ins: [{name: a, points: 1, given: true}]", "need 'change:'"),
        ("text: Write it.", "text: x\nhand-ins: [{name: a, points: 1, change: {b: c}}]", "has 'b' 0 times"),
    ],
)
def test_wrong_assignments(old: str, new: str, message: str) -> None:
    text = ASSIGNMENT.replace(old, new).replace("LINK", "tun").replace("TIME", "1s").replace("LOST", "1")
    with pytest.raises(ScenarioError, match=message):
        Assignment.parse(text.replace("SIDE", "client"))


def test_the_schema_accepts_it() -> None:
    assert json_schema.fits(assignment().source.data, schema(), schema())


@pytest.mark.parametrize("name", ["program", "program/pipe"])
def test_files_that_cannot_be_copied_are_named(name: str, tmp_path: Path) -> None:
    (tmp_path / "program").mkdir()
    os.mkfifo(tmp_path / "program" / "pipe")
    (tmp_path / "copies").mkdir()
    with pytest.raises(LinkError, match=r"^cannot copy the program's files: .*program/pipe. is a named pipe$"):
        _copy([tmp_path / name], tmp_path / "copies")


@pytest.mark.parametrize("key", ["address: 2001:db8::1", "address: 192.0.2.1"])
def test_scenarios_that_do_not_fit(key: str) -> None:
    other = "server: {address: 2001:db8::8, " if "db8" in key else "server: {"
    text = (
        assignment().source.text.replace("client: {isn", f"client: {{{key}, isn").replace("server: {isn", f"{other}isn")
    )
    of = Assignment.parse(text)
    with pytest.raises(UsageError):
        run_trial(Setting(of.scenario, "client", ["true"]), 1)
