"""No command writes over what it reads, nor one output over another."""

import json
from pathlib import Path

import pytest

from labkit.build.scenario import Scenario
from labkit.cli import run

TEXT = "name: own\nsummary: One\nsteps: [{client: connect}, {client: {send: 9}}, {client: close}, {server: close}]\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("own.yaml").write_text(TEXT)
    Path("key").write_bytes(bytes(range(32)))
    Path("roster.csv").write_text("student\nann\n")
    Scenario.load("document").play().write("a.pcapng")
    Scenario.load("document").play().write("hand-in.pcapng")
    Path("hard.pcapng").hardlink_to("a.pcapng")
    Path("soft.pcapng").symlink_to("a.pcapng")
    assert run(["assign", "build", "handshake", "--roster", "roster.csv", "--answers", "key.json"]) == 0
    assert run(["verify", "a.pcapng", "--write-baseline", "known.json"]) == 0
    return tmp_path


def octets() -> dict[Path, bytes]:
    return {each: each.read_bytes() for each in Path().rglob("*") if each.is_file()}


@pytest.mark.parametrize(
    "line",
    [
        "build own.yaml --format pcap -o own.yaml",
        "build own.yaml --as-scapy -o ./own.yaml",
        "wrap key --format pcap -o key",
        "wrap server:key --format pcap -o key",
        "verify a.pcapng -o a.pcapng",
        "verify a.pcapng hand-in.pcapng --format json -o hand-in.pcapng",
        "verify a.pcapng -o soft.pcapng",
        "verify hard.pcapng --annotate a.pcapng",
        "verify a.pcapng --write-baseline a.pcapng",
        "verify a.pcapng --baseline known.json -o known.json",
        "repair a.pcapng -o soft.pcapng",
        "diff a.pcapng hand-in.pcapng --annotate hand-in.pcapng",
        "draw a.pcapng --format svg -o a.pcapng",
        "draw own.yaml --format svg -o own.yaml",
        "quiz a.pcapng --format md -o a.pcapng",
        "quiz a.pcapng --capture a.pcapng",
        "grade handshake hand-in.pcapng --answers key.json -o key.json",
        "grade handshake hand-in.pcapng --answers key.json --roster roster.csv -o roster.csv",
        "check-live -o roster.csv handshake python3 roster.csv",
    ],
)
def test_an_input_is_not_overwritten(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    before, words = octets(), line.split()
    capsys.readouterr()
    assert run(words) == 2
    assert capsys.readouterr() == ("", f"labkit: {words[-1]}: this would overwrite what the command reads\n")
    assert octets() == before


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("verify a.pcapng --format json -o x.pcapng --annotate ./x.pcapng", "--output and --annotate"),
        ("verify a.pcapng --format json -o x.json --write-baseline x.json", "--output and --write-baseline"),
        ("quiz document -o x.md --capture x.md", "--output and --capture"),
        ("build document --fault ack-goes-back -o x.pcapng --manifest ./x.pcapng", "--output and --manifest"),
    ],
)
def test_two_outputs_have_two_places(line: str, options: str, capsys: pytest.CaptureFixture[str]) -> None:
    before, words = octets(), line.split()
    capsys.readouterr()
    assert run(words) == 2
    out, error = capsys.readouterr()
    assert (out, error.count("\n")) == ("", 1)
    assert f"{options} cannot both go to " in error
    assert octets() == before


def test_what_may_share_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "a.pcapng", "--baseline", "known.json", "--write-baseline", "known.json"]) == 0
    assert "captures" in json.loads(Path("known.json").read_text())
    assert run(["verify", "a.pcapng", "-o", "/dev/null", "--write-baseline", "/dev/null"]) == 0
    assert run(["quiz", "document", "-o", "-", "--capture", "q.pcapng"]) == 0
    for _again in range(2):  # the name of a shipped scenario is not a path
        assert run(["build", "document", "--format", "pcap", "-o", "document"]) == 0
        assert run(["draw", "document", "--format", "svg", "-o", "document"]) == 0
    assert "would overwrite" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "name", "source"),
    [
        ("build own.yaml --variants {} --key key -o v", "v.answers.csv", "roster.csv"),
        ("build own.yaml --variants {} --key key -o ./v/", "v.answers.json", "roster.csv"),
        ("build own.yaml --variants {} --key key -o v", "v/ann.pcapng", "roster.csv"),
        ("build own.yaml --variants roster.csv --key {} -o v", "v.answers.json", "key"),
        ("build own.yaml --fault ack-goes-back -o names.pcapng", "names.manifest.json", "own.yaml"),
        ("build own.yaml --flows 2", "own.pcapng", "own.yaml"),
        ("build own.yaml", "own.pcapng", "own.yaml"),
        ("build own.yaml --as-scapy", "own.py", "own.yaml"),
        ("wrap ./{}", "payloads.pcapng", "key"),
        ("verify handed --format json -o {}", "handed/one.pcapng", "a.pcapng"),
        ("verify handed/*.pcapng --write-baseline {}", "handed/one.pcapng", "a.pcapng"),
        ("verify handed --format html -o pages", "pages/index.html", "handed/ann.pcapng"),
        ("verify handed/ann.pcapng --format json -o {}", "labkit.toml", "empty"),
        ("assign build handshake --roster roster.csv --answers {}", "answers", "roster.csv"),
        ("grade find-the-mistake handed --feedback handed", "handed/ann.txt", "own.yaml"),
        ("grade find-the-mistake handed --format gradescope -o handed/", "handed/ann.json", "own.yaml"),
        ("quiz own.yaml --format prairielearn -o q.zip --capture {}", "cap.pcapng", "own.yaml"),
    ],
)
def test_a_name_that_a_command_derives_leads_to_no_input(
    line: str, name: str, source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty").write_bytes(b"")
    Path("handed").mkdir()
    for each in ("ann", "bob"):
        Scenario.load("document").play().write(f"handed/{each}.pcapng")
    place = Path(name)
    place.parent.mkdir(exist_ok=True)
    if name.startswith(("own", "names", "pages", "cap", "answers")):
        place.symlink_to(Path(source).absolute())
    else:
        place.write_bytes(Path(source).read_bytes())
    before = octets()
    capsys.readouterr()
    assert run(line.format(name).split()) == 2
    error = capsys.readouterr().err
    last = error.splitlines()[-1].replace(f"{Path.cwd()}/", "")
    assert last == f"labkit: {name}: this would overwrite what the command reads"
    assert {path: octets().get(path) for path in before} == before


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("verify a.pcapng hand-in.pcapng --format html -o pages --write-baseline {}", "pages/index.html"),
        ("grade find-the-mistake handed --feedback feedback -o {}", "feedback/ann.html"),
    ],
)
def test_a_name_that_a_command_derives_is_not_that_of_another_output(
    line: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("handed").mkdir()
    Scenario.load("document").play().write("handed/ann.pcapng")
    assert run(line.format(name).split()) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"labkit: {name}: the command would write this file twice"


def test_outputs_may_be_written_again(capsys: pytest.CaptureFixture[str]) -> None:
    Path("handed").mkdir()
    Scenario.load("document").play().write("handed/ann.pcapng")
    for _again in range(2):
        assert run(["build", "own.yaml", "--variants", "roster.csv", "--key", "key", "-o", "v"]) == 0
        assert run(["build", "own.yaml", "--fault", "ack-goes-back", "-o", "b.pcapng"]) == 0
        assert run(["verify", "handed", "a.pcapng", "--format", "html", "-o", "pages"]) == 0
        assert (
            run(["grade", "find-the-mistake", "handed", "--feedback", "feedback", "-o", "g.csv", "-o", "g.html"]) == 0
        )
        assert run(["assign", "build", "handshake", "--roster", "roster.csv", "--answers", "key.json"]) == 0
    assert "would" not in capsys.readouterr().err
