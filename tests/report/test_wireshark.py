"""labkit in Wireshark: tshark finds each fault by its field, and foreign files in Wireshark's folder are left alone."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from labkit.analysis.severity import Severity
from labkit.analysis.verifier import verify
from labkit.build.faults import faults, inject
from labkit.build.scenario import Scenario, shipped
from labkit.build.trace import Trace
from labkit.capture import create
from labkit.cli import run
from labkit.errors import UsageError
from labkit.report import wireshark
from labkit.report.annotate import annotate
from labkit.report.formats import ReportOptions
from labkit.report.reveal import LEVELS, reveal
from labkit.tcp.notation import parse
from labkit.teach.examples import frames

needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")


@pytest.fixture(name="place", autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Wireshark's folder, which does not exist yet."""
    place = tmp_path / "config" / "wireshark"
    monkeypatch.setenv("WIRESHARK_CONFIG_DIR", str(place))
    monkeypatch.setenv("LANGUAGE", "en")
    return place


def tshark(*arguments: str) -> list[list[str]]:
    """The fields of the packets that tshark prints; what it complains about fails the test."""
    done = subprocess.run(["tshark", *arguments], capture_output=True, text=True, check=True)
    assert [line for line in done.stderr.splitlines() if not line.startswith("Running as user")] == []
    return [line.split("\t") for line in done.stdout.splitlines()]


def annotated(trace: Trace, folder: Path, level: str = "full") -> tuple[Path, list[tuple[str, str, str]]]:
    """A capture with comments; packet, rule and severity of each finding, in the order of the comments."""
    trace.write(str(folder / "a.pcapng"))
    verdict = reveal(verify(folder / "a.pcapng"), level)
    annotate(verdict, str(folder / "out.pcapng"), ReportOptions(Severity.ERROR))
    first = {each.flow: each.first_packet for each in verdict.conversations}
    found = [
        (str(each.packet or first[each.flow]), each.code, str(each.severity))
        for each in sorted(verdict.findings, key=lambda each: -each.severity)
    ]
    return folder / "out.pcapng", sorted(found, key=lambda each: int(each[0]))


def faulty(name: str) -> Trace:
    """A shipped scenario with a fault: the first to which it applies."""
    for scenario in ("document", *shipped()):
        try:
            return inject(Scenario.load(scenario).play(), [name])
        except UsageError:
            continue
    raise AssertionError(f"{name} applies to no scenario")


def wrong() -> Trace:
    """A conversation whose fourth packet has ack 1001 instead of 1; its raw numbers are large."""
    return inject(Scenario.load("delayed-ack").play(seed=7), ["ack-of-unsent-data@4"])


@needs_tshark
def test_tshark_finds_every_fault_by_its_field(tmp_path: Path, place: Path) -> None:
    wireshark.install(place)
    fields = ("frame.number", "labkit.rule", "labkit.severity")
    output = [word for each in fields for word in ("-e", each)]
    for fault in faults():
        path, expected = annotated(faulty(fault.name), tmp_path)
        rows = tshark("-r", str(path), "-Y", "labkit.rule", "-T", "fields", "-E", "aggregator=;", *output)
        found = [
            (number, *each)
            for number, rules, levels in rows
            for each in zip(rules.split(";"), levels.split(";"), strict=True)
        ]
        assert found == expected, fault.name


@needs_tshark
@pytest.mark.parametrize("two_passes", [False, True])
@pytest.mark.parametrize(
    ("filter_", "found"),
    [
        ('labkit.rule == "ACK01"', True),
        ('labkit.rule == "ACK02"', False),
        ('labkit.severity == "error"', True),
        ('labkit.severity == "note"', False),
        ('labkit.field == "ack"', True),
        ("labkit.expected == 1 && labkit.actual == 1001", True),
        ("labkit.actual > 2000", False),
        ("labkit.expected_raw == 1", False),
        ("labkit.expected_raw == tcp.ack_raw", False),
        ("labkit.actual_raw == tcp.ack_raw && labkit.actual == tcp.ack", True),
        ('labkit.text contains "ack-of-unsent-data; what: "', True),
        ("labkit.expert.error", True),
        ("labkit.expert.warning", False),
        ('_ws.expert.message == "ACK01 ack=1001 expected=1"', True),
    ],
)
def test_fields_and_expert_items(tmp_path: Path, place: Path, filter_: str, found: bool, two_passes: bool) -> None:
    wireshark.install(place)
    path, _expected = annotated(wrong(), tmp_path)
    how = ("-2", "-R") if two_passes else ("-Y",)
    rows = tshark("-r", str(path), *how, filter_, "-T", "fields", "-e", "labkit.rule")
    assert rows == ([["ACK01"]] if found else [])


@needs_tshark
@pytest.mark.parametrize("level", LEVELS)
def test_hidden_numbers_are_not_there(tmp_path: Path, place: Path, level: str) -> None:
    wireshark.install(place)
    path, _expected = annotated(wrong(), tmp_path, level)
    names = ("labkit.rule", "labkit.actual", "labkit.expected", "labkit.text")
    output = [word for each in names for word in ("-e", each)]
    (row,) = tshark("-r", str(path), "-Y", "labkit", "-T", "fields", *output)
    expected = {"none": ["", ""], "actual": ["1001", ""], "full": ["1001", "1"]}
    assert row[:-1] == ["ACK01", *expected[level]]
    assert ("should be: " in row[-1]) == (level == "full")


@needs_tshark
def test_other_comments_are_no_findings(tmp_path: Path, place: Path) -> None:
    wireshark.install(place)
    first, second = frames(list(parse("> S 0:0(0)\n< S. 0:0(0) ack 1\n")))
    texts = [
        "",
        "labkit",
        "labkit error",
        "labkit error ",
        "labkit fatal ACK01 ack=1",
        "labkit error ACK01 ack=1",
        "about labkit error ACK01 ack=1",
        "first\nlabkit error ACK01 ack=1",
        "labkit 1.0: FAIL",
    ]
    with create(tmp_path / "a.pcapng", link=1) as writer:
        writer.write(first.time, first.data, comments=texts)
        writer.write(second.time, second.data, comments=["labkit note X ack=99999999999999999999 expected=x=1\nname"])
    rows = tshark("-r", str(tmp_path / "a.pcapng"), "-Y", "labkit", "-T", "fields", "-e", "frame.number")
    assert rows == [["2"]]


@needs_tshark
@pytest.mark.parametrize(
    ("profile", "values"),
    [
        ("labkit", ["{seq}", "{seq_raw}", "{ack}", "50", "1", "ACK01"]),
        ("labkit raw", ["{seq_raw}", "{ack_raw}", "50", "{expected_raw}", "ACK01"]),
    ],
)
def test_the_profiles_show_their_columns(tmp_path: Path, place: Path, profile: str, values: list[str]) -> None:
    wireshark.install(place)
    path, _expected = annotated(wrong(), tmp_path)
    names = ("seq", "ack", "seq_raw", "ack_raw")
    output = [word for each in names for word in ("-e", f"tcp.{each}")] + ["-e", "labkit.expected_raw"]
    (row,) = tshark("-r", str(path), "-Y", "labkit.rule", "-T", "fields", *output)
    known = dict(zip((*names, "expected_raw"), row, strict=True))
    shown = tshark("-C", profile, "-r", str(path), "-Y", "labkit.rule", "-T", "tabs")[0]
    assert shown[-1 - len(values) : -1] == [each.format(**known) for each in values]


@needs_tshark
@pytest.mark.parametrize("profile", ["labkit", "labkit raw"])
def test_the_filters_of_the_profiles_compile(tmp_path: Path, place: Path, profile: str) -> None:
    wireshark.install(place)
    path, _expected = annotated(wrong(), tmp_path)
    lines = (place / "profiles" / profile / "colorfilters").read_text("utf-8").splitlines()
    rules = [line.split("@")[1:3] for line in lines if not line.startswith("#")]
    assert {name for name, _filter in rules} >= {"labkit error", "labkit warning", "labkit note"}
    for name, filter_ in rules:
        found = tshark("-C", profile, "-r", str(path), "-Y", filter_, "-T", "fields", "-e", "frame.number")
        assert (["4"] in found) == (name == "labkit error")
    # tshark gives each packet the first colour rule that fits.
    coloured = tshark("-C", profile, "--color", "-r", str(path), "-T", "fields", "-e", "frame.coloring_rule.name")
    assert sum("labkit error" in line[0] for line in coloured) == 1


def test_the_view_is_short() -> None:
    assert wireshark.content("plugins/labkit.lua").count(b"\n") <= 60


def tree(place: Path) -> dict[str, bytes | None]:
    """All that is below a folder: the content of files, None for anything else."""
    found: dict[str, bytes | None] = {}
    for each in sorted(place.rglob("*")):
        plain = each.is_file() and not each.is_symlink()
        found[str(each.relative_to(place))] = each.read_bytes() if plain else None
    return found


@pytest.mark.parametrize("is_root", [True, False])
def test_install_status_uninstall(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, is_root: bool
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0 if is_root else 1000)
    assert run(["wireshark", "status"]) == 0
    assert capsys.readouterr().out.count("  missing  ") == 5
    assert not place.exists()
    assert run(["wireshark", "install"]) == 0
    first, *others = capsys.readouterr().err.splitlines()
    assert first == f"labkit: {place}: 5 files installed"
    assert [each.partition(" makes no fields when root ")[0] for each in others] == ["labkit: Wireshark 4.6"] * is_root
    assert {name: octets for name, octets in tree(place).items() if octets} == {
        name: wireshark.content(name) for name in wireshark.FILES
    }
    assert run(["wireshark", "install"]) == 0
    assert capsys.readouterr().err.splitlines()[0] == f"labkit: {place}: 0 files installed"
    assert run(["wireshark", "status"]) == 0
    assert capsys.readouterr().out.count("  installed  ") == 5
    assert run(["wireshark", "uninstall"]) == 0
    assert capsys.readouterr().err == f"labkit: {place}: 5 files removed\n"
    assert tree(place) == {"plugins": None, "profiles": None}
    assert run(["wireshark", "uninstall"]) == 0


def test_an_older_file_is_replaced_and_removed(place: Path) -> None:
    import hashlib

    wireshark.install(place)
    name = "profiles/labkit raw/preferences"
    old = b"gui.column.format: \n"
    stamp = f"# labkit wireshark, sha256 {hashlib.sha256(old).hexdigest()}\n".encode()
    (place / name).write_bytes(stamp + old)
    assert wireshark.status(place)[name] == wireshark.OLDER
    assert wireshark.install(place) == [name]
    assert set(wireshark.status(place).values()) == {wireshark.INSTALLED}
    (place / name).write_bytes(stamp + old)
    assert wireshark.uninstall(place) == (list(wireshark.FILES), [])


def _text(path: Path) -> None:
    path.write_bytes(b"mine\n")


def _changed(path: Path) -> None:
    name = next(each for each in wireshark.FILES if str(path).endswith(each))
    path.write_bytes(wireshark.content(name) + b"more\n")


def _huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def _link(path: Path) -> None:
    other = path.parent / "other"
    other.write_bytes(wireshark.content("plugins/labkit.lua"))
    path.symlink_to(other)


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "another's": (_text, wireshark.FOREIGN),
    "empty": (Path.touch, wireshark.FOREIGN),
    "changed": (_changed, wireshark.CHANGED),
    "huge": (_huge, wireshark.FOREIGN),
    "folder": (Path.mkdir, wireshark.FOREIGN),
    "pipe": (os.mkfifo, wireshark.FOREIGN),
    "link": (_link, wireshark.FOREIGN),
    "broken link": (lambda path: path.symlink_to("nowhere"), wireshark.FOREIGN),
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("name", ["plugins/labkit.lua", "profiles/labkit raw/preferences"])
def test_foreign_files_stay(place: Path, kind: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    make, state = HOSTILE[kind]
    (place / name).parent.mkdir(parents=True)
    make(place / name)
    before = [(each.name, each.lstat()[:7], each.lstat().st_mtime_ns) for each in sorted(place.rglob("*"))]
    assert run(["wireshark", "install"]) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{place / name}: {state}; nothing was installed" in line
    assert run(["wireshark", "status"]) == 0
    assert f"  {state:12}  {name}\n" in capsys.readouterr().out.replace("  changed  ", "  changed       ")
    assert run(["wireshark", "uninstall"]) == 0
    assert f"{place / name} stays" in capsys.readouterr().err
    assert [(each.name, each.lstat()[:7], each.lstat().st_mtime_ns) for each in sorted(place.rglob("*"))] == before


def test_what_was_changed_later_stays(place: Path) -> None:
    wireshark.install(place)
    mine = place / "profiles" / "labkit" / "preferences"
    mine.write_bytes(mine.read_bytes() + b"gui.window_title: mine\n")
    (place / "profiles" / "labkit raw" / "recent").write_bytes(b"Wireshark's\n")
    removed, kept = wireshark.uninstall(place)
    assert (len(removed), kept) == (4, ["profiles/labkit/preferences"])
    assert [name for name, octets in tree(place).items() if octets] == [
        "profiles/labkit/preferences",
        "profiles/labkit raw/recent",
    ]


@pytest.mark.parametrize("part", ["profiles", "profiles/labkit", "plugins", "."])
def test_a_file_where_a_folder_should_be(place: Path, part: str, capsys: pytest.CaptureFixture[str]) -> None:
    (place / part).parent.mkdir(parents=True, exist_ok=True)
    (place / part).write_bytes(b"mine")
    assert run(["wireshark", "install"]) == 3
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert run(["wireshark", "uninstall"]) == 0
    assert (place / part).read_bytes() == b"mine"
    assert [each for each in place.parent.rglob("*") if each.is_file()] == [place / part]


@pytest.mark.parametrize("older", [False, True])
def test_a_failed_installation_leaves_what_was_there(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], older: bool
) -> None:
    if older:
        wireshark.install(place)
        for name in wireshark.FILES:  # a later version of labkit has other files
            monkeypatch.setitem(wireshark.FILES, name, "colorfilters" if name.endswith("s") else "preferences")
        wireshark.content.cache_clear()
    before = tree(place)
    write, count = wireshark._write, 0

    def failing(target: Path, octets: bytes) -> None:
        nonlocal count
        count += 1
        if count == 2:
            raise OSError(28, "No space left on device", str(target))
        write(target, octets)

    monkeypatch.setattr(wireshark, "_write", failing)
    assert run(["wireshark", "install"]) == 3
    assert "No space left on device" in capsys.readouterr().err
    assert tree(place) == before
    assert place.exists() == older
    wireshark.content.cache_clear()


@pytest.mark.parametrize(
    ("environment", "existing", "expected"),
    [
        ({"WIRESHARK_CONFIG_DIR": "w"}, [], "w"),
        ({}, [], ".config/wireshark"),
        ({}, [".wireshark"], ".wireshark"),
        ({}, [".wireshark", ".config/wireshark"], ".config/wireshark"),
        ({"XDG_CONFIG_HOME": "x"}, [], "x/wireshark"),
        ({"XDG_CONFIG_HOME": "x"}, [".wireshark"], ".wireshark"),
    ],
)
def test_the_folder_is_wiresharks(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    existing: list[str],
    expected: str,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("WIRESHARK_CONFIG_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    for each in existing:
        (tmp_path / each).mkdir(parents=True)
    assert wireshark.folder() == tmp_path / expected
    if shutil.which("tshark"):
        done = subprocess.run(["tshark", "-G", "folders"], capture_output=True, text=True, check=True)
        (line,) = [each for each in done.stdout.splitlines() if each.startswith("Personal configuration:")]
        assert line.split(maxsplit=2)[2] == str(tmp_path / expected)
