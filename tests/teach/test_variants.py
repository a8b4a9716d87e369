"""Variants: stable captures that hide the seed, complete answers, and rosters."""

import csv
import hmac
import json
import struct
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.analysis.severity import Severity
from labkit.analysis.verifier import verify
from labkit.build.scenario import Scenario
from labkit.build.scenario.units import Seed
from labkit.capture import open_capture
from labkit.cli import run
from labkit.errors import InputError, ScenarioError
from labkit.teach.roster import Roster, read_roster
from labkit.teach.variants import COLUMNS, Order, answer_files, build, read_key, seed

KEY = bytes(range(32))

DRAWN = """\
name: drawn
client: {port: 40000..60000}
path: {rtt: 10ms..50ms}
steps:
  - client: connect
  - client: {send: 50..400}
  - server: {send: 100..200}
  - client: close
  - server: {close: {after: 5ms}}
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test runs in its own folder, with a scenario and a key."""
    monkeypatch.chdir(tmp_path)
    Path("drawn.yaml").write_text(DRAWN)
    Path("key").write_bytes(KEY)
    return tmp_path


def roster(text: str | bytes, name: str = "roster.csv") -> Roster:
    Path(name).write_bytes(text.encode() if isinstance(text, str) else text)
    return read_roster(name)


def made(text: str, folder: str = "out", *options: str, scenario: str = "drawn.yaml", key: str = "key") -> list[dict]:
    """The answers after a run of the command."""
    roster(text)
    arguments = ["build", scenario, "--variants", "roster.csv", "--key", key, "-o", folder, *options]
    assert run(arguments) == 0
    return json.loads(Path(f"{folder}.answers.json").read_text("utf-8"))["students"]


def contents(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


# The same again.


def test_a_student_gets_the_same_capture_again() -> None:
    answers = made("student\nann\nben\ncat\n", "one")
    first = contents("one")
    assert sorted(first) == ["ann.pcapng", "ben.pcapng", "cat.pcapng"]
    assert len(set(first.values())) == 3
    assert made("student\nann\nben\ncat\n", "two") == answers
    assert contents("two") == first
    # Who else is on the roster, and in which order, makes no difference.
    made("name,student\n3,cat\n4,dan\n1,ann\n", "three")
    third = contents("three")
    assert {name: third[name] for name in ("cat.pcapng", "ann.pcapng")} == {
        name: first[name] for name in ("cat.pcapng", "ann.pcapng")
    }


def test_another_key_or_scenario_gives_other_captures() -> None:
    made("student\nann\n", "one")
    Path("other").write_bytes(KEY[::-1])
    made("student\nann\n", "two", key="other")
    Path("changed.yaml").write_text(DRAWN + "# a comment\n")
    made("student\nann\n", "three", scenario="changed.yaml")
    assert len({contents(folder)["ann.pcapng"] for folder in ("one", "two", "three")}) == 3


def test_a_file_named_by_the_scenario_is_part_of_it() -> None:
    Path("page.txt").write_text("one")
    text = DRAWN.replace("{send: 100..200}", "{send: {file: page.txt}}")
    before = Scenario.parse(text, folder=Path()).digest
    Path("page.txt").write_text("two")
    assert Scenario.parse(text, folder=Path()).digest != before


def test_the_seed_is_derived_as_documented() -> None:
    scenario = Scenario.load("drawn.yaml")
    message = scenario.digest + b"ann"
    assert scenario.digest == sha256(DRAWN.encode()).digest()
    assert seed(KEY, scenario, "ann") == int.from_bytes(hmac.new(KEY, message, "sha256").digest()[:8])
    (answer,) = made("student\nann\n")
    assert answer["seed"] == f"0x{seed(KEY, scenario, 'ann'):016x}"
    # What the answers give builds the student's packets again.
    assert run(["build", "drawn.yaml", "--seed", answer["seed"], "--edition", "student", "-o", "again.pcapng"]) == 0
    assert Path("again.pcapng").read_bytes() == contents("out")["ann.pcapng"]


def test_a_name_has_one_seed_in_every_unicode_form() -> None:
    scenario = Scenario.load("drawn.yaml")
    assert seed(KEY, scenario, "Zoe\u0308") == seed(KEY, scenario, "Zo\u00eb")


# Nothing tells.


def blocks(octets: bytes) -> list[tuple[int, bytes]]:
    """The blocks of a little-endian pcapng file: type and body."""
    found, at = [], 0
    while at < len(octets):
        kind, length = struct.unpack_from("<II", octets, at)
        found.append((kind, octets[at + 8 : at + length - 4]))
        at += length
    return found


ENHANCED_PACKET = 6


def test_a_student_s_file_has_packets_only() -> None:
    made("student\nann\nben\n")
    files = list(contents("out").values())
    heads = [[block for block in blocks(octets) if block[0] != ENHANCED_PACKET] for octets in files]
    # A section and an interface, the same in every file.
    assert heads[0] == heads[1]
    assert len(heads[0]) == 2
    for octets in files:
        for kind, body in blocks(octets):
            captured = struct.unpack_from("<I", body, 12)[0] if kind == ENHANCED_PACKET else 0
            # After the packet nothing stands but its padding: no comment, and no other option.
            assert kind != ENHANCED_PACKET or len(body) == 20 + captured + -captured % 4
    for path in Path("out").iterdir():
        with open_capture(path) as capture:
            assert [frame.comments for frame in capture] == [()] * sum(
                kind == ENHANCED_PACKET for kind, _ in blocks(path.read_bytes())
            )
        assert (capture.comments, capture.names, capture.interfaces) == ([], {}, capture.interfaces)


@pytest.mark.parametrize(
    "options", [[], ["--edition", "annotated"], ["--format", "pcap"], ["--fault", "ack-goes-back"]]
)
def test_no_capture_reveals_the_seed_or_the_fault(options: list[str]) -> None:
    answers = made("student\nann\nben\n", "out", *options)
    for answer in answers:
        octets = contents("out")[answer["file"]]
        number = int(answer["seed"], 16)
        for telling in (str(number), answer["seed"], f"{number:x}", "ack-goes-back", "ACK02", "ann", "roster"):
            assert telling.encode() not in octets
        assert number.to_bytes(8) not in octets
        assert number.to_bytes(8, "little") not in octets


def test_every_capture_passes_or_has_its_fault() -> None:
    for answer in made("student\nann\nben\n", "sound"):
        assert verify(f"sound/{answer['file']}").ok
        assert answer["faults"] == []
    for answer in made("student\nann\nben\n", "faulty", "--fault", "sequence-number-skips"):
        errors = [each for each in verify(f"faulty/{answer['file']}").findings if each.severity == Severity.ERROR]
        (fault,) = answer["faults"]
        assert (errors[0].code, errors[0].packet) == (fault["code"], fault["packet"])


# The answers.


def test_the_answers_are_complete(here: Path) -> None:
    answers = made("student\nann\nben\n")
    assert sorted(path.name for path in here.iterdir()) == [
        "drawn.yaml",
        "key",
        "out",
        "out.answers.csv",
        "out.answers.json",
        "roster.csv",
    ]
    for answer in answers:
        octets = contents("out")[answer["file"]]
        assert answer["sha256"] == sha256(octets).hexdigest()
        trace = Scenario.load("drawn.yaml").play(Seed(int(answer["seed"], 16)))
        assert answer["packets"] == len(trace)
        (connection,) = answer["connections"]
        assert connection["client"] == str(trace.client)
        assert connection["client_isn"] == trace.client_isn
        assert set(answer["drawn"]) == {"client.port", "path.rtt", "steps[2].octets", "steps[3].octets"}
        assert f"192.0.2.10:{answer['drawn']['client.port']}" == connection["client"]
        assert len(trace.records[3].segment.payload) == answer["drawn"]["steps[2].octets"]


def test_the_answers_as_a_table() -> None:
    answers = made("student\nann\n=1+1\n", "out", "--fault", "ack-goes-back")
    with Path("out.answers.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert [row["student"] for row in table] == ["ann", "'=1+1"]
    for row, answer in zip(table, answers, strict=True):
        assert [row[name] for name in COLUMNS[1:]] == [str(answer[name]) for name in COLUMNS[1:]]
        assert row["client_isn"] == str(answer["connections"][0]["client_isn"])
        assert f"client.port {answer['drawn']['client.port']}" in row["drawn"]
        assert row["faults"] == f"ACK02 ack-goes-back@{answer['faults'][0]['packet']}"


def test_no_answers_without_all_captures(here: Path) -> None:
    made("student\nann\n")
    before = Path("out.answers.json").read_bytes(), Path("out.answers.csv").read_bytes()
    order = Order(Scenario.load("drawn.yaml"), KEY, here / "out")
    building = build(order, roster("student\nann\nben\n").students)
    next(building)
    # Whoever stops in the middle has what was there.
    building.close()
    assert (Path("out.answers.json").read_bytes(), Path("out.answers.csv").read_bytes()) == before
    assert not [path for path in here.rglob("*") if path.name.startswith(".") or "tmp" in path.name]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_both_files_of_answers_or_none(capsys: pytest.CaptureFixture[str]) -> None:
    Path("out.answers.csv").symlink_to("/dev/full")
    roster("student\nann\n")
    assert run(["build", "drawn.yaml", "--variants", "roster.csv", "--key", "key", "-o", "out"]) == 3
    assert "out.answers.csv: cannot be written: No space left on device" in capsys.readouterr().err
    assert not Path("out.answers.json").exists()


def test_a_fault_that_does_not_apply_leaves_no_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    roster("student\nann\nben\n")
    before = sorted(path.name for path in here.iterdir())
    arguments = ["build", "drawn.yaml", "--variants", "roster.csv", "--key", "key", "-o", "out"]
    assert run([*arguments, "--fault", "reset-outside-the-window"]) == 2
    text = "labkit: student 'ann': reset-outside-the-window does not apply to any packet of this scenario\n"
    assert capsys.readouterr().err == text
    assert sorted(path.name for path in here.iterdir()) == before


def test_an_error_names_the_student(here: Path) -> None:
    Path("stuck.yaml").write_text("name: stuck\nsteps:\n  - client: connect\n  - server: {receive: 1..2}\n")
    order = Order(Scenario.load("stuck.yaml"), KEY, here / "out")
    with pytest.raises(
        ScenarioError, match=r"^student 'ann': stuck.yaml:4: steps\[2\]: server receive never completes"
    ):
        list(build(order, roster("student\nann\n").students))


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("out", "out.answers.json"),
        ("out/", "out.answers.json"),
        ("a/b/..", "a.answers.json"),
        ("./x.y", "x.y.answers.json"),
    ],
)
def test_answers_stand_beside_the_folder(folder: str, name: str, here: Path) -> None:
    assert answer_files(Path(folder))[0] == here / name


# Keys.


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "secret: cannot be read: No such file or directory"),
        (b"", "secret: a key of 0 bytes can be guessed; expected at least 16"),
        (b"fifteen octets!", "secret: a key of 15 bytes can be guessed; expected at least 16"),
        (bytes((16 << 20) + 1), "secret: larger than 16 MiB"),
    ],
)
def test_invalid_keys(content: bytes | None, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    if content is not None:
        Path("secret").write_bytes(content)
    roster("student\nann\n")
    assert run(["build", "drawn.yaml", "--variants", "roster.csv", "--key", "secret", "-o", "out"]) == 3
    assert capsys.readouterr().err == f"labkit: {message}\n"
    assert not Path("out").exists()


def test_a_key_may_be_any_octets() -> None:
    Path("secret").write_bytes(b"sixteen octets!\n")
    assert read_key("secret") == b"sixteen octets!\n"


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--variants", "roster.csv"], 2, ["--variants needs --key FILE", "head -c 32 /dev/urandom > key"]),
        (["--key", "key"], 2, ["--key needs --variants"]),
        (["--variants", "roster.csv", "--key", "key", "--seed", "1"], 2, ["--variants excludes --seed"]),
        (
            ["--variants", "roster.csv", "--key", "key", "--manifest", "m"],
            2,
            ["--variants excludes --manifest"],
        ),
        (["--variants", "roster.csv", "--key", "key", "-o", "-"], 2, ["cannot write to standard output"]),
        (
            ["--variants", "roster.csv", "--key", "key", "-o", "/dev/null"],
            3,
            ["/dev/null: cannot be created: File exists"],
        ),
        (
            ["--variants", "roster.csv", "--key", "key", "-o", "key"],
            2,
            ["key: this would overwrite what the command reads"],
        ),
        (["--variants", "nobody.csv", "--key", "key"], 3, ["nobody.csv: cannot be read"]),
        (["--variants", "roster.csv", "--key", "key", "--format", "word"], 2, ["word", "pcapng"]),
    ],
)
def test_options_that_exclude_each_other(
    options: list[str], code: int, words: list[str], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    roster("student\nann\n")
    assert run(["build", "drawn.yaml", *options]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert [word for word in words if word not in line] == []
    assert sorted(path.name for path in here.iterdir()) == ["drawn.yaml", "key", "roster.csv"]


# Rosters.


@pytest.mark.parametrize(
    ("text", "students", "column"),
    [
        ("student\nann\nben\n", ["ann", "ben"], "student"),
        ("student\r\nann\r\n\r\n  \r\nben", ["ann", "ben"], "student"),
        ("\ufeffstudent\nann\n", ["ann"], "student"),
        ("\n\nStudent , mail\n ann ,a@example\n", ["ann"], "Student"),
        ("mail,STUDENT\na@example,ann\n", ["ann"], "STUDENT"),
        ("mail;student\na@example;ann\n", ["ann"], "student"),
        ("mail\tstudent\na@example\tann, the first\n", ["ann, the first"], "student"),
        ("login,name\nann,Ann A.\n", ["ann"], "login"),
        ('student\n"Doe, Jane"\n', ["Doe, Jane"], "student"),
        ("student,\n0042,\n", ["0042"], "student"),
        ("student\n张三\nЖаннa\n", ["张三", "Жаннa"], "student"),
    ],
)
def test_rosters(text: str, students: list[str], column: str) -> None:
    found = roster(text)
    assert [each.id for each in found.students] == students
    assert found.column == column


def test_line_numbers_are_those_of_the_file() -> None:
    assert [each.line for each in roster("student\n\nann\n\n\nben\n").students] == [3, 6]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "roster.csv: has no students; expected a line for each below the header"),
        ("student\n\n\n", "roster.csv: has no students"),
        ("student\nann\nben\nann\n", "roster.csv:4: 'ann' repeats line 2; expected each student once"),
        ("student\nann\n ann \n", "roster.csv:3: 'ann' repeats line 2"),
        ("student\nZo\u00eb\nZoe\u0308\n", "roster.csv:3: 'Zoe\u0308' repeats line 2"),
        ("mail,student\na,ann\nb,\n", "roster.csv:3: the student's cell is empty; expected a name or number"),
        ("mail,student\na,ann\nb\n", "roster.csv:3: the student's cell is empty"),
        ('student\n"a\nb"\n', "roster.csv:3: 'a\\nb' has a control character or a line break"),
        ("student\na\x00b\n", "roster.csv:2: "),
        ("student\na\x1bb\n", "roster.csv:2: 'a\\x1bb' has a control character"),
        ("student\n" + "a" * 201 + "\n", "roster.csv:2: the student's name has 201 characters; expected at most 200"),
        ('student\n"ann\n', "roster.csv:2: "),
        (b"student\nann\n\x81\x8d\n", "roster.csv:3: neither UTF-8 nor Windows-1252 text"),
        ("s\n" + "a" * 200_000, "roster.csv:2: "),
    ],
)
def test_invalid_rosters(text: str | bytes, message: str) -> None:
    with pytest.raises(InputError) as error:
        roster(text)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("student", "file"),
    [
        ("ann", "ann"),
        ("ann@example.org", "ann@example.org"),
        ("张三", "张三"),
        ("../../x", "_.._x-*"),
        ("/etc/passwd", "_etc_passwd-*"),
        ("..", "student-*"),
        (".hidden", "hidden-*"),
        ("-rf", "rf-*"),
        ("CON", "CON-*"),
        ("nul.txt", "nul.txt-*"),
        ("a b", "a_b-*"),
        ("=cmd|x", "_cmd_x-*"),
        ("x" * 150, "x" * 120 + "-*"),
        ("张" * 60, "张" * 40 + "-*"),
        ("a.", "a-*"),
    ],
)
def test_names_of_files(student: str, file: str) -> None:
    (known,) = roster(f"student\n{student}\n").students
    assert known.id == student
    head, star, _ = file.partition("*")
    assert known.file == head + (sha256(student.encode()).hexdigest()[:8] if star else "")


def test_names_that_differ_in_case_only_get_different_files() -> None:
    files = [each.file for each in roster("student\nann\nAnn\nben\n").students]
    assert len({file.casefold() for file in files}) == 3
    assert files[2] == "ben"


def test_a_roster_of_ten_thousand() -> None:
    found = roster("student\n" + "".join(f"s{number:05d}\n" for number in range(10_000)))
    assert len({each.file for each in found.students}) == 10_000
    assert [*found.students][-1].line == 10_001


def test_a_roster_of_too_many() -> None:
    roster("student\na\nb\nc\n")
    Path("roster.csv").write_text("student\na\nb\nc\nd\n")
    with pytest.raises(InputError, match=r"roster\.csv:5: more than 3 students"):
        read_roster("roster.csv", most=3)


def test_a_missing_column_gets_a_note(capsys: pytest.CaptureFixture[str]) -> None:
    made("login,mail\nann,a@example\n")
    said = capsys.readouterr().err
    assert "roster.csv: has no column 'student'; taking the students from its first column, 'login'" in said


def test_a_scenario_without_random_numbers_gets_a_note(capsys: pytest.CaptureFixture[str]) -> None:
    made("student\nann\nben\n", scenario="document")
    assert "all captures are the same: the scenario uses no random numbers" in capsys.readouterr().err


@given(
    st.one_of(
        st.binary(max_size=60), st.text(max_size=60).map(lambda text: f"student\n{text}".encode("utf-8", "replace"))
    )
)
def test_any_file_is_a_roster_or_one_line_of_error(tmp_path_factory: pytest.TempPathFactory, octets: bytes) -> None:
    path = tmp_path_factory.mktemp("roster") / "r.csv"
    path.write_bytes(octets)
    try:
        found = read_roster(path)
    except InputError as error:
        assert "\n" not in str(error)
        return
    folder = path.parent / "out"
    for each in found.students:
        assert (folder / f"{each.file}.pcapng").resolve().parent == folder
        assert not each.file.startswith((".", "-"))
        assert "\0" not in each.file
