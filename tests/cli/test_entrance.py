"""The program itself: exit codes, one line for each error, help with examples, and what it loads."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from limited import limited

from labkit import __version__, cli
from labkit.analysis.severity import BOTH
from labkit.build.scenario import Scenario
from labkit.cli import _common
from labkit.errors import CaptureError, LabkitError, LinkError, ScenarioError, UsageError

LABKIT = (sys.executable, "-m", "labkit")
HEAVY = {"distributed", "llvmlite", "numpy", "pydantic", "ruamel", "scapy"}
NAMES = sorted(
    path.stem.replace("_", "-") for path in Path(cli.__file__).parent.glob("*.py") if not path.stem.startswith("_")
)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Make every command fail with an error."""

    def arrange(error: BaseException) -> None:
        @click.command()
        def command() -> None:
            raise error

        monkeypatch.setattr(cli.Commands, "get_command", lambda *_: command)

    return arrange


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines on standard error; standard output must be empty."""
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UsageError("no such rule: ACK99"), 2, "labkit: no such rule: ACK99"),
        (ScenarioError("a.yaml:3: sned: unknown"), 2, "labkit: a.yaml:3: sned: unknown"),
        (CaptureError("a.pcap: not a capture"), 3, "labkit: a.pcap: not a capture"),
        (LinkError("needs CAP_NET_RAW"), 4, "labkit: needs CAP_NET_RAW"),
        (LabkitError("of a kind to come"), 2, "labkit: of a kind to come"),
        (FileNotFoundError(2, "No such file or directory", "x"), 3, "labkit: x: No such file or directory"),
        (OSError(28, "No space left on device"), 3, "labkit: No space left on device"),
        (click.ClickException("some file"), 3, "labkit: some file"),
        (KeyboardInterrupt(), 130, "labkit: interrupted"),
        (click.Abort(), 130, "labkit: interrupted"),
        (
            ZeroDivisionError("0 / 0"),
            70,
            "labkit: internal error: ZeroDivisionError: 0 / 0 (LABKIT_DEBUG=1 shows where; please report it)",
        ),
        (CaptureError("a\nb\x1b[31m\udcff"), 3, "labkit: a\\nb\\x1b[31m\\udcff"),
    ],
)
def test_each_error_is_one_line_and_a_code(
    error: BaseException,
    code: int,
    line: str,
    failing: Callable[[BaseException], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    failing(error)
    assert cli.run(["command"]) == code
    assert lines(capsys) == [line]


def test_a_closed_pipe_is_silent(failing: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]) -> None:
    failing(BrokenPipeError(32, "Broken pipe"))
    assert cli.run(["command"]) == 141
    assert lines(capsys) == []


def test_labkit_debug_shows_the_traceback(
    failing: Callable[[BaseException], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LABKIT_DEBUG", "1")
    failing(ZeroDivisionError("here"))
    assert cli.run(["command"]) == 70
    said = lines(capsys)
    assert said[0] == "Traceback (most recent call last):"
    assert said[-1].startswith("labkit: internal error")


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (
            ["scenario"],
            "labkit: there is no command 'scenario'; did you mean 'scenarios'? (see 'labkit --help')",
        ),
        (["xyzzy"], "labkit: there is no command 'xyzzy' (see 'labkit --help')"),
        (["_common"], "labkit: there is no command '_common' (see 'labkit --help')"),
        (["build"], "labkit: missing SCENARIO; 'labkit scenarios' lists them"),
        (
            ["build", "document", "--seed", "-1"],
            "labkit: invalid value for '--seed': -1 is not in the range x>=0 (see 'labkit build --help')",
        ),
        (
            ["build", "document", "--flows", "1e6"],
            "labkit: invalid value for '--flows': '1e6' is not a valid integer (see 'labkit build --help')",
        ),
        (
            ["play", "document", "--both", "--speed", "fast"],
            "labkit: invalid value for '--speed': 'fast' is not a valid number (see 'labkit play --help')",
        ),
        (["--color"], "labkit: option '--color' requires an argument (see 'labkit --help')"),
    ],
)
def test_wrong_usage_is_one_line(args: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(args) == 2
    assert lines(capsys) == [line]


def test_without_a_command_help_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([]) == 2
    assert lines(capsys)[0].startswith("Usage: labkit [OPTIONS] COMMAND")


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_names_every_command(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([flag]) == 0
    sections = [text.splitlines() for text in capsys.readouterr().out.split("\n\n")[3:-1]]
    assert [section[0] for section in sections] == [f"{title}:" for title in _common.SECTIONS.values()]
    listed = [line for section in sections for line in section[1:]]
    assert sorted(line.split()[0] for line in listed) == NAMES
    assert len({re.match(r" +\S+ +", line).end() for line in listed}) == 1  # type: ignore[union-attr]
    assert not any(line.endswith("...") for line in listed), "a summary is cut"


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([name, "-h"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"Usage: labkit {name}")
    command = cli.cli.get_command(click.Context(cli.cli), name)
    assert command is not None
    assert command.help
    silent = [param.name for param in command.params if isinstance(param, click.Option) and not param.help]
    assert silent == [], "options without help"


def each_command() -> list[tuple[str, click.Command]]:
    """All commands with their full names, subcommands of `lab` too."""
    found = []
    for name in NAMES:
        command = cli.cli.get_command(click.Context(cli.cli), name)
        assert command is not None
        found.append((f"labkit {name}", command))
        if isinstance(command, click.Group):
            found += [(f"labkit {name} {sub}", each) for sub, each in command.commands.items()]
    return found


COMMANDS = each_command()
EXAMPLES = [(name, example) for name, command in COMMANDS for example in getattr(command, "examples", ())]
RUN = {"build", "completion", "draw", "explain", "rules", "scenarios", "schema", "show", "verify"}
"""The commands whose examples need neither root nor a network."""


def words(example: str) -> list[str]:
    """The arguments of an example, without `sudo labkit`, and up to a redirection or a pipe."""
    found = shlex.split(example)
    end = min((found.index(each) for each in (">", ">>", "|") if each in found), default=len(found))
    return found[found.index("labkit") + 1 : end]


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_every_command_ends_with_two_examples(
    name: str, command: click.Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run([*name.split()[1:], "--help"]) == 0
    shown = capsys.readouterr().out.rpartition("\n\n")[2].splitlines()
    assert shown == ["Examples:", *(f"  {each}" for each in command.examples)]  # type: ignore[attr-defined]
    assert len(set(shown)) == 3
    assert all(f"{name} " in f"{each} " for each in shown[1:])


@pytest.mark.parametrize(("name", "example"), EXAMPLES, ids=[example for _, example in EXAMPLES])
def test_every_example_parses(name: str, example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "handins").mkdir()
    command: click.Command = cli.cli
    rest = words(example)
    context = click.Context(command)
    while isinstance(command, click.Group):
        _, found, rest = command.resolve_command(context, rest)
        assert found is not None
        command = found
    with command.make_context(name, rest):
        pass


@pytest.mark.parametrize("example", [example for name, example in EXAMPLES if name.split()[1] in RUN])
def test_every_example_runs(
    example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Scenario.load("document").play().write("document.pcapng")
    (tmp_path / "hand-ins").mkdir()
    Scenario.load("refused").play().write("hand-ins/refused.pcapng")
    assert cli.run(["scenarios", "document"]) == 0
    (tmp_path / "mine.yaml").write_text(capsys.readouterr().out)
    assert cli.run(words(example)) == 0
    captured = capsys.readouterr()
    assert captured.out or captured.err


@pytest.mark.parametrize("arguments", [["--help"], ["verify", "--help"]])
def test_help_loads_no_heavy_library(arguments: list[str]) -> None:
    code = f"import sys; from labkit.cli import run; run({arguments!r}); print(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="newer dataclasses use `inspect` for each class")
def test_a_verdict_loads_nothing_of_what_pages_of_help_need(tmp_path: Path) -> None:
    Scenario.load("document").play().write(str(tmp_path / "a.pcap"))
    command = [sys.executable, "-X", "importtime", "-P", "-m", "labkit", "verify", str(tmp_path / "a.pcap")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert {"labkit.analysis.verifier", "click"} <= imported
    assert not {"inspect", "dis", "tokenize", "uuid", "_uuid", "platform"} & imported  # from 3.14 on, click needs `ast`


def test_click_has_its_type_for_identifiers() -> None:
    code = (
        "import sys; from labkit import __main__; sys.modules['uuid'] = __main__.Later('uuid'); __main__.import_click(); "
        "import click; before = '_uuid' in sys.modules; "
        "print(before, repr(click.UUID.convert(f'{7:032}', None, None)), sys.modules['uuid'].UUID is object)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "UUID('00000000-0000-0000-0000-000000000007')", "False"]


def test_a_module_that_is_loaded_when_it_is_used() -> None:
    code = (
        "import sys; from types import ModuleType; from labkit.__main__ import Later; "
        "first = sys.modules['inspect'] = Later('inspect'); import inspect; from dataclasses import dataclass; "
        "before = 'dis' in sys.modules; from inspect import cleandoc; "
        "print(before, 'dis' in sys.modules, inspect is first, type(first) is ModuleType, first.__spec__.name, "
        "cleandoc('a\\n  b') == 'a\\nb', hasattr(inspect, 'nothing'))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "True", "True", "inspect", "True", "False"]


def test_a_command_loads_no_other() -> None:
    code = (
        "import sys; from labkit.cli import run; run(['build', '--help']); "
        "print(sorted(name for name in sys.modules if name.startswith('labkit.cli.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    shared = "'labkit.cli._build', 'labkit.cli._common', 'labkit.cli._help', 'labkit.cli._paths'"
    assert done.stdout.splitlines()[-1] == f"[{shared}, 'labkit.cli.build']"


@pytest.mark.parametrize(
    "arguments",
    [("verify", "a.pcap"), ("verify", "."), ("show", "a.pcap"), ("draw", "a.pcap"), ("diff", "a.pcap", "b.pcap")],
)
def test_a_file_that_may_not_be_read(arguments: tuple[str, ...], tmp_path: Path) -> None:
    for name in ("a.pcap", "b.pcap"):
        Scenario.load("document").play().write(str(tmp_path / name))
    (tmp_path / "a.pcap").chmod(0)
    done = limited(*arguments, folder=tmp_path)
    assert done.returncode == 3
    assert "a.pcap: cannot be read: Permission denied" in done.stderr


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out == f"labkit {__version__}\n"


@pytest.mark.parametrize(
    ("args", "environment", "coloured"),
    [
        ([], {}, None),
        ([], {"NO_COLOR": "1"}, False),
        ([], {"NO_COLOR": ""}, None),
        (["--color", "always"], {"NO_COLOR": "1"}, True),
        (["--color", "never"], {}, False),
    ],
)
def test_colour(
    args: list[str], environment: dict[str, str], coloured: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    @click.command()
    @click.pass_context
    def command(ctx: click.Context) -> None:
        seen.append(ctx.color)

    monkeypatch.setattr(cli.Commands, "get_command", lambda *_: command)
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert cli.run([*args, "command"]) == 0
    assert seen == [coloured]


def test_json_is_utf8_even_for_names_that_are_not(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    value = {"path": "a\udcff.pcap", "message": "规则 → \x1b"}
    _common.emit_json(value)
    out = capsysbinary.readouterr().out
    assert "规则 →".encode() in out
    assert b"\x1b" not in out
    assert json.loads(out) == value


class TestProcess:
    """Behaviour that only a separate process shows."""

    def test_the_reader_goes_away(self) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "wb") as output:
            done = subprocess.run([*LABKIT, "--help"], stdout=output, stderr=subprocess.PIPE, check=False)
        assert (done.returncode, done.stderr) == (141, b"")

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
    def test_a_full_disk(self) -> None:
        with Path("/dev/full").open("wb") as output:
            done = subprocess.run([*LABKIT, "--help"], stdout=output, stderr=subprocess.PIPE, check=False)
        assert (done.returncode, done.stderr) == (3, b"labkit: No space left on device\n")

    def test_an_encoding_without_the_character(self) -> None:
        code = (
            "import click; from labkit import cli; "
            "cli.Commands.get_command = lambda *_: click.Command('x', callback=lambda: click.echo('a → b')); "
            "import sys; sys.argv = ['labkit', 'x']; cli.main()"
        )
        environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
        assert done.stdout == b"a \\u2192 b\n"

    @pytest.mark.parametrize("started", ["", "thread.start(); "])
    def test_what_was_registered_for_the_end_is_done(self, started: str) -> None:
        code = (
            "import atexit, click, sys, threading, time; from labkit import cli; "
            "thread = threading.Thread(target=lambda: (time.sleep(0.2), print('thread', flush=True))); "
            f"end = lambda: ({started.removesuffix('; ') or 'None'}, atexit.register(print, 'end'), print('run'), 1)[-1]; "
            "cli.Commands.get_command = lambda *_: click.Command('x', callback=end); "
            "sys.argv = ['labkit', 'x']; cli.main()"
        )
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
        )
        words = ["run", "thread", "end"] if started else ["run", "end"]
        assert (done.returncode, done.stdout.split(), done.stderr) == (1, words, "")

    def test_whoever_measures_the_program_gets_the_figures(self) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "cProfile", "-m", "labkit", "--version"], capture_output=True, check=True
        )
        assert b"function calls" in done.stdout

    def test_interrupted(self) -> None:
        code = (
            "import click, time; from labkit import cli; "
            "wait = lambda: (click.echo('ready'), time.sleep(60)); "
            "cli.Commands.get_command = lambda *_: click.Command('x', callback=wait); "
            "import sys; sys.argv = ['labkit', 'x']; cli.main()"
        )
        process = subprocess.Popen([sys.executable, "-u", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
        assert (process.returncode, said) == (130, b"labkit: interrupted\n")


def test_the_profiles_exist() -> None:
    assert set(_common.PROFILES) <= BOTH


@pytest.mark.parametrize(
    "words",
    ["verify -", "show -", "draw -", "quiz -", "repair - -o a.pcapng", "wrap - -o a.pcapng", "grade handshake -"],
)
def test_standard_input_is_closed(words: str, tmp_path: Path) -> None:
    command = f'exec "$0" -P -m labkit {words} <&-'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.splitlines()[-1]) == (3, "labkit: standard input: is closed")


@pytest.mark.parametrize("words", ["--help", "show a.pcapng", "draw a.pcapng", "verify a.pcapng"])
def test_standard_output_is_closed(words: str, tmp_path: Path) -> None:
    # As under `labkit --help >&-`: Python then has no sys.stdout at all.
    Scenario.load("document").play().write(str(tmp_path / "a.pcapng"))
    command = f'exec "$0" -P -m labkit {words} >&-'
    done = subprocess.run(["sh", "-c", command, sys.executable], cwd=tmp_path, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
