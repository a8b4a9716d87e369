"""Which configuration files count: whose they are, where they lie, and which of them the user trusts."""

import io
import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from labkit.analysis import config_trust
from labkit.build.scenario import Scenario
from labkit.capture import open_capture
from labkit.cli import run

IGNORE = 'ignore = ["ACK01"]\n'
"""Makes WRONG captures pass."""
NOBODY = 65534

HERE = "it lies beside or below the captures, and may be part of a hand-in"


@pytest.fixture(name="course", autouse=True)
def _course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course's folder with a hand-in that is wrong; the current folder."""
    course = tmp_path / "course"
    (course / "hand-ins" / "alice").mkdir(parents=True)
    wrong(course / "hand-ins" / "alice" / "a.pcap")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(course)
    return course


def wrong(path: Path) -> Path:
    from labkit.build.faults import inject

    inject(Scenario.load("document").play(), ["ack-of-unsent-data@6"]).write(str(path))
    return path


def config(path: Path, text: str = IGNORE) -> Path:
    path.write_text(text)
    return path


def verify(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[str | None, str]:
    """The configuration file that was used, and what standard error says. It counts if and only if the verdict is a pass."""
    capsys.readouterr()
    code = run(["verify", "--format", "json", *arguments])
    captured = capsys.readouterr()
    value = json.loads(captured.out)
    file = value["config"]["file"]
    assert code == (0 if file else 1)
    assert value["config"]["ignore"] == (["ACK01"] if file else [])
    return file, "".join(line for line in captured.err.splitlines(keepends=True) if ": skipped " not in line)


def test_a_file_above_the_captures_counts(course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = config(course / "labkit.toml")
    for captures in ("hand-ins", "hand-ins/alice", "hand-ins/alice/a.pcap", "hand-ins/*/a.pcap"):
        assert verify(captures, capsys=capsys) == (str(path), f"labkit: using the configuration in {path}\n")


def test_a_link_that_leads_nowhere_is_named(course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (course / "labkit.toml").symlink_to("nowhere.toml")
    file, err = verify("hand-ins", capsys=capsys)
    assert file is None
    assert err.startswith(
        f"labkit: not using the configuration in {course / 'labkit.toml'}: No such file or directory; "
    )


@pytest.mark.parametrize("name", ["labkit.toml", "pyproject.toml"])
@pytest.mark.parametrize(
    ("folder", "captures"),
    [
        ("hand-ins/alice", "a.pcap"),
        ("hand-ins/alice", "."),
        ("hand-ins/alice", "../alice/a.pcap"),
        ("hand-ins/alice", ".."),  # below
        ("hand-ins", "."),  # the folder itself is judged
        ("hand-ins/alice/more", "../a.pcap"),
        ("hand-ins/alice", "*.pcap"),
    ],
)
def test_a_file_beside_or_below_the_captures_does_not(
    folder: str,
    captures: str,
    name: str,
    course: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (course / folder).mkdir(exist_ok=True)
    path = config(course / folder / name, IGNORE if name == "labkit.toml" else f"[tool.labkit]\n{IGNORE}")
    monkeypatch.chdir(course / folder)
    file, err = verify(captures, capsys=capsys)
    assert file is None
    assert err == (
        f"labkit: not using the configuration in {path}: {HERE}; --config FILE or 'labkit trust FILE' makes it count\n"
    )
    # The course's own file counts nevertheless.
    own = config(course / "labkit.toml")
    file, err = verify(captures, capsys=capsys)
    assert file == str(own)
    assert [line.split(":")[1].split()[0] for line in err.splitlines()] == ["not", "using"]
    # The user may name the file.
    assert verify(captures, "--config", str(path), capsys=capsys)[0] == str(path)
    assert verify(captures, "--no-config", capsys=capsys) == (None, "")


def test_one_capture_beside_the_file_is_enough(course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config(course / "labkit.toml")
    wrong(course / "b.pcap")
    assert verify("hand-ins", "b.pcap", capsys=capsys)[0] is None
    assert verify("hand-ins", "b.pcap", "--jobs", "2", capsys=capsys)[0] is None


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_several_processes_use_the_same_file(jobs: str, course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = config(course / "labkit.toml")
    wrong(course / "hand-ins" / "b.pcap")
    assert verify("hand-ins", "--jobs", jobs, capsys=capsys)[0] == str(path)


def test_a_link_to_a_capture_lies_in_both_folders(
    course: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config(course / "hand-ins" / "alice" / "labkit.toml")
    (tmp_path / "link.pcap").symlink_to(course / "hand-ins" / "alice" / "a.pcap")
    (tmp_path / "folder").symlink_to(course / "hand-ins" / "alice")
    monkeypatch.chdir(course / "hand-ins" / "alice")
    assert verify(str(tmp_path / "link.pcap"), capsys=capsys)[0] is None
    assert verify(str(tmp_path / "folder"), capsys=capsys)[0] is None
    # A folder of links: the captures themselves lie elsewhere, and are not read.
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "a.pcap").symlink_to(course / "hand-ins" / "alice" / "a.pcap")
    assert run(["verify", str(tmp_path / "links")]) == 3
    assert "is not read: it is a symbolic link out of the folder" in capsys.readouterr().err


def test_a_link_to_a_file_lies_in_both_folders(
    course: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    alice = course / "hand-ins" / "alice"
    config(alice / "other.toml")
    (course / "labkit.toml").symlink_to(alice / "other.toml")
    assert verify("hand-ins", capsys=capsys)[0] is None
    (course / "labkit.toml").unlink()
    config(course / "real.toml")
    (alice / "labkit.toml").symlink_to(course / "real.toml")
    monkeypatch.chdir(alice)
    assert verify("a.pcap", capsys=capsys)[0] is None
    (course / "labkit.toml").symlink_to(course / "real.toml")
    assert verify("a.pcap", capsys=capsys)[0] == str(course / "labkit.toml")


def test_standard_input_may_come_from_the_current_folder(
    course: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content = (course / "hand-ins" / "alice" / "a.pcap").read_bytes()
    config(course / "labkit.toml")

    def piped() -> SimpleNamespace:
        return SimpleNamespace(buffer=io.BytesIO(content), fileno=lambda: -1, isatty=lambda: False)

    monkeypatch.setattr(sys, "stdin", piped())
    assert verify("-", capsys=capsys)[0] is None
    (course / "elsewhere").mkdir()
    monkeypatch.chdir(course / "elsewhere")
    monkeypatch.setattr(sys, "stdin", piped())
    assert verify("-", capsys=capsys)[0] == str(course / "labkit.toml")


def test_a_named_pipe_is_like_standard_input(course: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    content = config(course / "labkit.toml").read_bytes()
    assert config_trust.refusal(course / "labkit.toml", content, [str(tmp_path / "pipe")]) == HERE


def test_a_redirected_file_lies_where_it_lies(course: Path) -> None:
    alice = course / "hand-ins" / "alice"
    path = config(alice / "labkit.toml")
    saved = os.dup(0)
    descriptor = os.open(alice / "a.pcap", os.O_RDONLY)
    try:
        os.dup2(descriptor, 0)
        assert config_trust.refusal(path, path.read_bytes(), ["-"]) == HERE
    finally:
        os.dup2(saved, 0)
        os.close(saved)
        os.close(descriptor)


# Who could have written it.


def owned_by_another(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a file away; a user without the privilege becomes another one instead."""
    if os.geteuid() == 0:
        os.chown(path, NOBODY, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: NOBODY)


Change = Callable[[Path, Path], object]

CHANGES: list[tuple[str, Change, str]] = [
    ("file", lambda _folder, path: path.chmod(0o666), "other users can write {path}"),
    ("group", lambda _folder, path: (os.chown(path, -1, 1), path.chmod(0o664)), "other users can write {path}"),
    ("folder", lambda folder, _path: folder.chmod(0o777), "other users can write {folder}"),
    ("parent", lambda folder, _path: folder.parent.chmod(0o777), "other users can write {parent}"),
]


@pytest.mark.parametrize(("change", "reason"), [each[1:] for each in CHANGES], ids=[each[0] for each in CHANGES])
def test_what_others_can_write_does_not_count(
    change: Change, reason: str, course: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = config(course / "labkit.toml")
    assert verify("hand-ins", capsys=capsys)[0] == str(path)
    try:
        change(course, path)
    except PermissionError:
        pytest.skip("only root may choose a group")
    file, err = verify("hand-ins", capsys=capsys)
    assert file is None
    assert reason.format(path=path, folder=course, parent=course.parent) in err


def test_another_users_file_does_not_count(
    course: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = config(course / "labkit.toml")
    owned_by_another(path, monkeypatch)
    file, err = verify("hand-ins", capsys=capsys)
    assert file is None
    assert "belongs to another user" in err


def test_a_sticky_folder_keeps_the_users_own_files(
    course: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = config(course / "labkit.toml")
    course.chmod(0o1777)
    assert verify("hand-ins", capsys=capsys)[0] == str(path)
    # Another user may have linked one of the user's files there.
    os.link(path, course / "another-name")
    file, err = verify("hand-ins", capsys=capsys)
    assert (file, "it has several names" in err) == (None, True)
    (course / "another-name").unlink()
    owned_by_another(path, monkeypatch)
    assert verify("hand-ins", capsys=capsys)[0] is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives links away")
def test_another_users_link_does_not_count(course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config(course / "real.toml")
    (course / "labkit.toml").symlink_to("real.toml")
    assert verify("hand-ins", capsys=capsys)[0] == str(course / "labkit.toml")
    os.lchown(course / "labkit.toml", NOBODY, -1)
    assert verify("hand-ins", capsys=capsys)[0] is None


def test_a_link_leads_through_folders_that_count_too(course: Path, tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    config(tmp_path / "open" / "real.toml")
    (tmp_path / "open").chmod(0o777)
    (course / "labkit.toml").symlink_to("../open/real.toml")
    assert config_trust.foreign(course / "labkit.toml") == f"other users can write {course / '..' / 'open'}".replace(
        f"{course}/../", f"{tmp_path}/"
    )


def test_a_loop_of_links_is_refused(course: Path) -> None:
    (course / "labkit.toml").symlink_to("other")
    (course / "other").symlink_to("labkit.toml")
    assert "symbolic links" in (config_trust.foreign(course / "labkit.toml") or "")


# labkit trust.


def test_trust_counts_until_the_content_changes(
    course: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(course / "hand-ins" / "alice")
    path = config(Path.cwd() / "labkit.toml")
    assert run(["trust", "labkit.toml"]) == 0
    assert capsys.readouterr().err == f"labkit: trusting {path} until its content changes\n"
    for captures in ("a.pcap", ".", ".."):
        assert verify(captures, capsys=capsys) == (str(path), f"labkit: using the configuration in {path}\n")
    path.chmod(0o666)  # the digest says what counts
    assert verify("a.pcap", capsys=capsys)[0] == str(path)
    config(path, IGNORE + "# more\n")
    file, err = verify("a.pcap", capsys=capsys)
    assert (file, "its content has changed since you trusted it" in err) == (None, True)
    assert run(["trust", "--list"]) == 0
    assert capsys.readouterr().out.endswith(f"  {path}  (changed)\n")
    config(path)
    assert verify("a.pcap", capsys=capsys)[0] == str(path)
    assert run(["trust", "--list"]) == 0
    assert capsys.readouterr().out.endswith(f"  {path}\n")
    path.unlink()
    assert run(["trust", "--list"]) == 0
    assert capsys.readouterr().out.endswith(f"  {path}  (cannot be read)\n")
    assert run(["trust", "--revoke", "labkit.toml"]) == 0
    assert run(["trust", "--list"]) == 0
    assert capsys.readouterr().out == ""
    config(path)
    assert verify("a.pcap", capsys=capsys)[0] is None


def test_trust_is_of_the_path_too(
    course: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    alice = course / "hand-ins" / "alice"
    config(course / "labkit.toml")
    assert run(["trust", "labkit.toml"]) == 0
    (alice / "labkit.toml").symlink_to(course / "labkit.toml")  # the same content, at another path
    monkeypatch.chdir(alice)
    assert "not using" in verify("a.pcap", capsys=capsys)[1]
    # By whatever way the folder is reached.
    (course / "way").symlink_to(alice)
    assert run(["trust", str(course / "way" / "labkit.toml")]) == 0
    assert verify("a.pcap", capsys=capsys)[0] == str(alice / "labkit.toml")


def test_the_records_are_the_users_own(course: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = config(course / "hand-ins" / "alice" / "labkit.toml")
    os.umask(old := os.umask(0))
    os.umask(0)
    try:
        assert run(["trust", str(path)]) == 0
    finally:
        os.umask(old)
    folder = tmp_path / "state" / "labkit" / "trusted"
    (record,) = folder.iterdir()
    assert (stat.S_IMODE(folder.stat().st_mode), stat.S_IMODE(record.stat().st_mode)) == (0o700, 0o600)
    os.chdir(path.parent)
    assert verify("a.pcap", capsys=capsys)[0] == str(path)
    record.chmod(0o666)
    assert verify("a.pcap", capsys=capsys)[0] is None
    record.chmod(0o600)
    folder.chmod(0o777)
    assert verify("a.pcap", capsys=capsys)[0] is None
    assert run(["trust", "--list"]) == 2
    assert run(["trust", str(path)]) == 2
    assert "other users can write it" in capsys.readouterr().err
    folder.chmod(0o700)
    record.write_text("{")
    assert verify("a.pcap", capsys=capsys)[0] is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name one FILE, or --list"),
        (["--list", "labkit.toml"], "name one FILE, or --list"),
        (["--list", "--revoke"], "name one FILE, or --list"),
        (["--revoke", "labkit.toml"], "labkit.toml is not trusted"),
        (["missing.toml"], "missing.toml: cannot be read: No such file or directory"),
        (["wrong.toml"], "wrong.toml: not a TOML file"),
    ],
)
def test_wrong_usage(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    config(Path("wrong.toml"), "= 1")
    assert run(["trust", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert words in line


# What the formats say.

SETTINGS = 'fail-on = "warning"\nignore = ["ACK01"]\nseverity = {FIN06 = "error"}\ncomplete = true\n'


def printed(format_: str, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    capsys.readouterr()
    assert run(["verify", "--format", format_, "hand-ins", *more]) in (0, 1)
    return capsys.readouterr().out


def test_every_format_names_the_file_and_what_it_takes_out(course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = config(course / "labkit.toml", SETTINGS)
    line = f'{path}: fail-on = "warning", ignore = ["ACK01"], severity = {{FIN06 = "error"}}, complete = true'
    settings = {
        "file": str(path),
        "profile": "rfc9293",
        "literal": False,
        "fail-on": "warning",
        "select": [],
        "ignore": ["ACK01"],
        "severity": {"FIN06": "error"},
        "complete": True,
    }
    assert f"  configuration: {line}" in printed("text", capsys).splitlines()
    assert printed("text", capsys, "-q").splitlines()[1] == f"  configuration: {line}"
    assert settings.items() <= json.loads(printed("json", capsys))["config"].items()
    assert settings.items() <= json.loads(printed("jsonl", capsys).splitlines()[0])["config"].items()
    header, row = printed("csv", capsys).splitlines()[:2]
    assert header.startswith("path,code,name,severity,")
    assert row.startswith(f"{path},,,configuration,")
    assert line.replace('"', '""') in row
    (suite,) = ElementTree.fromstring(printed("junit", capsys)).iter("testsuite")  # noqa: S314 - labkit wrote it
    assert {each.get("name"): each.get("value") for each in suite.iter("property")}["configuration"] == line
    (log,) = json.loads(printed("sarif", capsys))["runs"]
    assert settings.items() <= log["properties"]["config"].items()
    assert run(["verify", "hand-ins", "--annotate", "out.pcapng"]) in (0, 1)
    with open_capture("out.pcapng") as capture:
        list(capture)
    assert f"configuration: {line}" in "\n".join(capture.comments)


def test_without_a_file_the_formats_name_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert "configuration" not in printed("text", capsys) + printed("csv", capsys) + printed("junit", capsys)
    assert "config" not in json.loads(printed("jsonl", capsys).splitlines()[0])
    assert json.loads(printed("json", capsys, "--ignore", "OPT"))["config"]["file"] is None
    assert json.loads(printed("json", capsys, "--ignore", "OPT"))["config"]["ignore"] == ["OPT"]
