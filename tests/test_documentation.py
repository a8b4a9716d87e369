"""The documentation: what it shows is run, what it lists is compared with the code, what it links to is there.

Fences are run in the order of their document, in a folder of its own. By the words after the three backticks:

- `python`: executed, all of a document in one namespace; a `text output` behind it is what it has printed.
- `sh`: each line is run; its exit code is 0 unless `# exit code N` stands behind it.
- `console`: `$ COMMAND` lines with their output, in which a line `…` stands for any lines; `$ echo $?` shows an exit code
  other than 0.
- `yaml`: a scenario, which is saved under its name and played. With further words it is a part of one, or `invalid`; an
  `assignment` is saved and read.
- `notation`: lines of the notation; with a file's name behind it, they are saved there and built.
- `csv`, `toml`, `ini`: saved under the name behind it. So is a `yaml` with a file's name, and a `python`.
- `mermaid`: the state diagram.
- `{labkit} SCENARIO`: what the site shows of a scenario; it is built, and asked about. `{toctree}`: pages of the site.

`sh live` and `console live` are run too where a lab can be made, each command in a process of its own; one that ends in
` &` goes on while the next ones are run. `sh tshark` and `console tshark` are run where tshark is, in a shell.
`sh cluster` is run by `tests/jobs/test_cluster.py`.

Any other fence is an error.
"""

import io
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ruamel.yaml import YAML
from test_layers import WINGS

from labkit.analysis.catalogue import collect
from labkit.analysis.finding import Finding
from labkit.analysis.rule import Rule
from labkit.build.scenario import Scenario
from labkit.build.script import load
from labkit.cli import Exit, run
from labkit.errors import ScenarioError
from labkit.i18n import catalogue
from labkit.live.system import capable
from labkit.tcp.notation import parse
from labkit.teach.assign import Assignment
from labkit.teach.assign.model import AssignmentModel, LateModel, PartModel, QuestionModel
from labkit.teach.assign.questions import KINDS as QUESTIONS
from labkit.teach.diagram.states import mermaid
from labkit.teach.grade.checks import KINDS as CHECKS
from labkit.teach.grade.classroom import Grades, Row
from labkit.teach.grade.honesty import Remark
from labkit.teach.grade.judging import without
from labkit.teach.grade.table import record
from labkit.teach.grade.task import STATUSES, Mistake, Part, Run, Task
from labkit.teach.platforms import names as platforms
from labkit.teach.quiz.formats import names as quiz_formats
from labkit.teach.quiz.kinds import kinds as quiz_kinds

TOP = Path(__file__).parents[1]
CAN_LIVE = capable() and all(map(shutil.which, ("ip", "nsenter", "unshare")))
CHINESE = [TOP / "README.zh-CN.md", *sorted((TOP / "docs/zh").glob("*.md"))]
SITE = sorted((TOP / "docs/site").rglob("*.md"))
PAGES = [TOP / "README.md", TOP / "CONTRIBUTING.md", *sorted((TOP / "docs").glob("*.md")), *CHINESE]
ANY = "…"

SCRIPT = re.compile(r"(\./)?(scripts/\w+)( .*)?")
"""Commands that the test does not run, because they run this test or install something; it only looks for the script."""

NOT_LABKIT = ("head -c 32 /dev/urandom > course.key",)
"""What else is run."""


class Fence(NamedTuple):
    """A fenced block: the words after its backticks, its lines, and its own line in the page."""

    words: str
    lines: list[str]
    at: int


def fences(text: str) -> Iterator[Fence]:
    """The fenced blocks of a page."""
    inside: Fence | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if inside is None and line.startswith("```"):
            inside = Fence(line[3:].strip(), [], number)
        elif inside is not None and line == "```":
            yield inside
            inside = None
        elif inside is not None:
            inside.lines.append(line)
    assert inside is None, f"line {inside.at}: the fence has no end"


def apart() -> "subprocess.Popen[str]":
    """A process with a /run of its own, where nobody else's lab is, until its standard input is closed."""
    script = "mount -t tmpfs none /run && echo there && read word"
    made = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert made.stdout is not None
    assert made.stdout.readline() == "there\n"
    return made


class Reader:
    """Somebody who does what a page says, in the present folder."""

    def __init__(self) -> None:
        self.namespace: dict[str, Any] = {"__name__": "documentation"}
        self.printed = ""
        self.code = 0
        self.live = False
        self.tshark = False
        self.apart: subprocess.Popen[str] | None = None
        """Holds what live commands have of the system to themselves."""
        self.begun: list[subprocess.Popen[bytes]] = []
        bin_ = Path(".bin")
        bin_.mkdir()
        for name in ("labkit", "pytest"):
            shim = bin_ / name
            shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {name} "$@"\n')
            shim.chmod(0o755)
        self.path = str(bin_.absolute())

    def end(self) -> None:
        """Wait for the end of what was begun: with its lab, or without."""
        for each in self.begun:
            each.wait(10)
        if self.apart is not None:
            self.apart.communicate()

    def follow(self, fence: Fence) -> None:
        """Do what a fence says, and compare with what it shows."""
        kind, _, rest = fence.words.partition(" ")
        handlers: dict[str, Callable[[Fence, str], None]] = {
            "python": self._python,
            "text": self._output,
            "sh": self._sh,
            "console": self._console,
            "yaml": self._yaml,
            "notation": self._notation,
            "csv": self._saved,
            "toml": self._saved,
            "ini": self._saved,
            "mermaid": self._mermaid,
            "{labkit}": self._directive,
            "{toctree}": lambda _fence, _rest: None,
        }
        assert kind in handlers, f"line {fence.at}: nothing runs a fence of {kind!r}"
        handlers[kind](fence, rest)

    def _lives(self, rest: str) -> bool:
        """Whether a fence is to be run: `live` ones only where a lab can be made, `tshark` ones where tshark is."""
        assert rest in {"", "live", "tshark"}
        self.live, self.tshark = rest == "live", rest == "tshark"
        return CAN_LIVE if self.live else not self.tshark or shutil.which("tshark") is not None

    def _python(self, fence: Fence, rest: str) -> None:
        if rest:
            assert rest.endswith(".py")
            Path(rest).parent.mkdir(parents=True, exist_ok=True)
            Path(rest).write_text("\n".join(fence.lines) + "\n", "utf-8")
            return
        source = "\n" * fence.at + "\n".join(fence.lines)
        stream = io.StringIO()
        with redirect_stdout(stream):
            exec(compile(source, "<page>", "exec"), self.namespace)  # noqa: S102 - that is the test
        self.printed = stream.getvalue()

    def _output(self, fence: Fence, rest: str) -> None:
        assert rest == "output", f"line {fence.at}: text that nothing is compared with"
        compare(fence, fence.lines, self.printed.splitlines())

    def _sh(self, fence: Fence, rest: str) -> None:
        if rest == "cluster" or not self._lives(rest):
            return
        for line in fence.lines:
            command, _, comment = line.partition(" #")
            if script := SCRIPT.fullmatch(command.strip()):
                assert (TOP / script[2]).is_file()
                continue
            stated = re.search(r"exit code (\d+)", comment)
            self._run(fence, command.strip())
            assert self.code == int(stated[1] if stated else 0), f"line {fence.at}: {command}: {self.code}"

    def _console(self, fence: Fence, rest: str) -> None:
        if not self._lives(rest):
            return
        assert fence.lines[0].startswith("$ "), f"line {fence.at}: no command"
        sessions: list[tuple[str, list[str]]] = []
        for line in fence.lines:
            if line.startswith("$ "):
                sessions.append((line[2:], []))
            else:
                sessions[-1][1].append(line)
        unsaid = 0
        for command, shown in sessions:
            if command == "echo $?":
                assert shown == [str(self.code)], f"line {fence.at}: exit code {self.code}"
                unsaid = 0
                continue
            assert unsaid == 0, f"line {fence.at}: exit code {unsaid} is not shown"
            compare(fence, shown, self._run(fence, command).splitlines())
            unsaid = self.code
        assert unsaid == 0, f"line {fence.at}: exit code {unsaid} is not shown"

    def _run(self, fence: Fence, command: str) -> str:
        """Run one command line, in this process where it is labkit's alone; what it has printed, and `self.code`."""
        words = command.split()
        known = words[0] in {"labkit", "pytest"} or command in NOT_LABKIT or (self.tshark and words[0] == "tshark")
        assert known, f"line {fence.at}: nothing runs {words[0]!r}"
        environment = {"PATH": f"{self.path}:/usr/sbin:/usr/bin:/bin", "HOME": str(Path.cwd())}
        environment["LABKIT_LANG"] = os.environ["LABKIT_LANG"]
        environment["PYTHONPATH"] = str(TOP)
        shell = ["sh", "-c"]
        if self.live:
            self.apart = self.apart or apart()
            shell = ["nsenter", f"--target={self.apart.pid}", "--mount", f"--wd={Path.cwd()}", *shell]
        if command.endswith(" &"):
            nothing = subprocess.DEVNULL
            # What ends it is the end of the lab in which it runs.
            begun = subprocess.Popen(
                [*shell, f"exec {command.removesuffix(' &')}"], env=environment, stdout=nothing, stderr=nothing
            )
            self.begun.append(begun)
            self.code = 0
            time.sleep(1)
            return ""
        if self.live or self.tshark or words[0] != "labkit" or set(command) & set("|<>\"'*"):
            done = subprocess.run([*shell, command], capture_output=True, text=True, env=environment, check=False)
            self.code = done.returncode
            return done.stdout + done.stderr
        octets = io.BytesIO()
        stream = io.TextIOWrapper(octets, "utf-8", write_through=True)
        with redirect_stdout(stream), redirect_stderr(stream):
            self.code = run(words[1:])
        stream.flush()
        return octets.getvalue().decode()

    def _yaml(self, fence: Fence, rest: str) -> None:
        if rest.endswith((".yaml", ".yml")):
            self._saved(fence, rest)
            return
        text = "\n".join(fence.lines) + "\n"
        name = re.search(r"^name: (\S+)$", text, re.MULTILINE)
        if name:
            Path(f"{name[1]}.yaml").write_text(text, "utf-8")
        if rest == "assignment":
            assert Assignment.parse(text).name == name[1] if name else False
            return
        if rest == "invalid":
            with pytest.raises(ScenarioError):
                Scenario.parse(text).play()
            return
        assert bool(name) != bool(rest), f"line {fence.at}: a whole scenario has a name, a part of one has a word"
        if rest == "steps":
            text = f"steps:\n{text}"
        elif rest and "steps:" not in text:
            text += "steps:\n- client: connect\n"
        assert len(Scenario.parse(text if name else f"name: part\n{text}").play(seed=1))

    def _notation(self, fence: Fence, rest: str) -> None:
        text = "\n".join(fence.lines) + "\n"
        if rest:
            Path(rest).write_text(text, "utf-8")
            assert len(load(rest))
        assert list(parse(text))

    def _mermaid(self, fence: Fence, rest: str) -> None:
        assert not rest
        assert "\n".join(fence.lines) + "\n" == mermaid(), f"line {fence.at}: the table of states draws another diagram"

    def _directive(self, fence: Fence, rest: str) -> None:
        options = dict(re.findall(r"^:(\w+): ?(.*)$", "\n".join(fence.lines), re.MULTILINE))
        faults = "".join(f" --fault {each}" for each in options.get("fault", "").split())
        commands = [f"labkit build {rest}{faults} -o {rest}.pcapng"] if rest else []
        if "explain" in options:
            lesson, *words = options["explain"].split()
            commands.append(" ".join(("labkit explain", lesson, *([f"{rest}.pcapng"] if rest else []), *words)))
        if "questions" in options:
            kinds = options["questions"].replace(" ", "")
            commands.append(f"labkit quiz {rest}{faults} --kinds {kinds} --format json -o quiz.json")
        for command in commands:
            said = self._run(fence, command)
            assert self.code == 0, f"line {fence.at}: {command}: {said}"
            assert "not asked" not in said, f"line {fence.at}: {said}"

    def _saved(self, fence: Fence, rest: str) -> None:
        text = "\n".join(fence.lines) + "\n"
        kind = fence.words.partition(" ")[0]
        assert rest.endswith((f".{kind}", ".yml") if kind == "yaml" else f".{kind}"), f"line {fence.at}: no name"
        if kind == "toml":
            tomllib.loads(text)
        elif kind == "yaml":
            assert YAML(typ="safe", pure=True).load(text)
        Path(rest).parent.mkdir(parents=True, exist_ok=True)
        Path(rest).write_text(text, "utf-8")


def compare(fence: Fence, shown: list[str], printed: list[str]) -> None:
    """Whether a page shows what was printed; a line `…` stands for any lines."""
    pattern = "".join("(?:.*\n)*?" if line.strip() == ANY else re.escape(line) + "\n" for line in shown)
    text = "".join(f"{line}\n" for line in printed)
    assert re.fullmatch(pattern, text), f"line {fence.at} shows something else than:\n{text}"


@pytest.fixture
def english(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Messages as the documentation has them, whatever language the machine speaks."""
    monkeypatch.setenv("LABKIT_LANG", "en")
    catalogue.cache_clear()
    yield
    catalogue.cache_clear()


def page(name: str) -> str:
    return (TOP / name).read_text("utf-8")


def rows(text: str, head: str) -> list[list[str]]:
    """The cells of the table whose first column has a head."""
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith(f"| {head} |"):
            break
    else:
        raise AssertionError(f"there is no table {head!r}")
    next(lines)
    found = []
    for line in lines:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return found


def coded(text: str) -> set[str]:
    """All that stands in backticks."""
    return set(re.findall(r"`([^`\n]+)`", text))


def marks(path: Path) -> list[pytest.MarkDecorator]:
    """The markers of a page's test: what its fences need."""
    text = path.read_text("utf-8")
    needs = {"live": re.search(r"^```\w+ live$", text, re.MULTILINE), "compiled": "--engine compiled" in text}
    return [getattr(pytest.mark, name) for name, needed in needs.items() if needed]


@pytest.mark.slow
@pytest.mark.parametrize("path", [pytest.param(path, marks=marks(path), id=path.name) for path in PAGES + SITE])
def test_what_it_shows_is_so(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LABKIT_LANG", "zh" if path in CHINESE else "en")
    catalogue.cache_clear()
    reader = Reader()
    try:
        for fence in fences(path.read_text("utf-8")):
            reader.follow(fence)
    finally:
        reader.end()
        catalogue.cache_clear()


def headings(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8")):
        name, _, anchor = target.partition("#")
        to = (path.parent / name).resolve() if name else path
        assert to.exists(), target
        assert to.is_relative_to(TOP), target
        assert not anchor or anchor in headings(to.read_text("utf-8")), target


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_files_that_it_names_are_there(path: Path) -> None:
    named = {
        each
        for each in coded(path.read_text("utf-8"))
        if re.fullmatch(r"(labkit|scripts|tests|docs|pcaps)/[\w./-]*", each)
    }
    assert [each for each in named if not (TOP / each).exists()] == []


@pytest.mark.usefixtures("english")
def test_the_catalogue_is_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rules", "--format", "markdown"]) == 0
    assert capsys.readouterr().out == page("docs/rules.md"), "docs/rules.md is not what the rules say: run scripts/docs"


def test_every_rule_is_in_the_catalogue() -> None:
    text = page("docs/rules.md")
    sections = re.findall(r"^### (\w+) ([\w-]+)$", text, re.MULTILINE)
    assert sorted(sections) == sorted((rule.code, rule.name) for rule in collect())
    # Angle brackets would be taken for HTML, and vanish.
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    assert re.search(r"(?<!\\)<", prose) is None


def test_readme_is_brief() -> None:
    assert page("README.md").count("\n") <= 160


def test_readme_has_every_exit_code() -> None:
    assert [int(cells[0]) for cells in rows(page("README.md"), "exit code")] == sorted(Exit)


def test_readme_has_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    from labkit.cli import cli

    named = {name for cells in rows(page("README.md"), "command") for name in coded(cells[0])}
    assert named == set(cli.list_commands(None)), "run scripts/docs"  # type: ignore[arg-type]


def test_every_key_of_the_json_is_explained() -> None:
    from labkit.analysis.severity import Severity
    from labkit.analysis.verdict import Verdict
    from labkit.report.formats import ReportOptions
    from labkit.report.formats._records import header, verdict_record

    keys = [key for cells in rows(page("docs/verifying.md"), "key of a finding") for key in coded(cells[0])]
    assert sorted(keys) == sorted([*(each.name for each in fields(Finding)), "time_exact"])
    record = header("rfc9293", ReportOptions(Severity.ERROR)) | verdict_record(Verdict("x", "rfc9293"), Severity.ERROR)
    assert {*record, "message", "at", "cut"} <= coded(page("docs/verifying.md"))


def test_scenario_keys_are_all_explained() -> None:
    from labkit.build.scenario.complaints import models
    from labkit.build.scenario.model import ScenarioModel

    known = {key for kind in models(ScenarioModel) for key in kind.model_fields}
    words = {word for each in coded(page("docs/scenarios.md")) for word in re.findall(r"\w+", each)}
    assert known - words == set()


def test_kinds_and_formats_of_quizzes_are_explained() -> None:
    text = page("docs/quiz.md")
    kinds = [(f"`{each.name}`", each.summary, each.needs) for each in quiz_kinds().values()]
    assert sorted(tuple(row) for row in rows(text, "kind")) == sorted(kinds), "run scripts/docs"
    assert sorted(row[0].strip("`") for row in rows(text, "format")) == sorted(quiz_formats()), "run scripts/docs"


def test_architecture_has_the_wings() -> None:
    assert [cells[0].strip("`") for cells in rows(page("docs/architecture.md"), "wing")] == list(WINGS)


def test_architecture_fits_three_screens() -> None:
    lines = page("docs/architecture.md").splitlines()
    assert len(lines) <= 150
    assert max(map(len, lines)) <= 130


def test_contributing_fits_a_page() -> None:
    assert page("CONTRIBUTING.md").count("\n") <= 100


def test_the_bounds_are_those_of_the_code() -> None:
    sys.path.insert(0, str(TOP / "scripts/lib"))
    try:
        from bounds_page import bounds, lines
    finally:
        sys.path.pop(0)
    assert page("docs/bounds.md").splitlines() == "\n".join(lines()).splitlines(), "run scripts/docs"
    found = list(bounds())
    assert len(found) > 100
    assert [each.name for each in found if not each.text] == []


def test_the_example_of_a_new_rule_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rule that the page shows as an example works, and both of its examples are right."""
    from labkit.analysis.verifier import Verifier
    from labkit.teach.examples import frames

    monkeypatch.chdir(tmp_path)
    reader = Reader()
    for fence in fences(page("CONTRIBUTING.md")):
        if fence.words == "python":
            reader.follow(fence)
    declared = [each.rule for each in reader.namespace.values() if isinstance(getattr(each, "rule", None), Rule)]
    assert len(declared) == 1
    assert declared[0].name not in {each.name for each in collect()}
    monkeypatch.setattr("labkit.analysis.verifier.collect", lambda: tuple(declared))
    for text, expected in ((declared[0].good, []), (declared[0].bad, [declared[0].code])):
        found = Verifier().run(frames(list(parse(text)))).findings
        assert [finding.code for finding in found] == expected
        assert all(asdict(finding)["message"] for finding in found)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_commands_in_its_sentences_exist(path: Path) -> None:
    from labkit.cli import cli

    prose = re.sub(r"```.*?```", "", path.read_text("utf-8"), flags=re.DOTALL)
    named = {match[1] for each in coded(prose) if (match := re.match(r"labkit ([\w-]+)", each))}
    assert named <= set(cli.list_commands(None))  # type: ignore[arg-type]


CONTENTS = {
    "3.1", "3.2", "3.2.1", "3.2.2", "3.3", "3.3.1", "3.3.2", "3.4", "3.4.1", "3.4.2", "3.4.3",
    "3.5", "3.5.1", "3.5.2", "3.5.3", "3.6", "3.6.1",
    "3.7", "3.7.1", "3.7.2", "3.7.3", "3.7.4", "3.7.5",
    "3.8", "3.8.1", "3.8.2", "3.8.3", "3.8.4", "3.8.5", "3.8.6",
    "3.8.6.1", "3.8.6.2", "3.8.6.2.1", "3.8.6.2.2", "3.8.6.3",
    "3.9", "3.9.1", "3.9.1.1", "3.9.1.2", "3.9.1.3", "3.9.1.4", "3.9.1.5", "3.9.1.6", "3.9.1.7", "3.9.1.8",
    "3.9.2", "3.9.2.1", "3.9.2.2", "3.9.2.3",
    "3.10", "3.10.1", "3.10.2", "3.10.3", "3.10.4", "3.10.5", "3.10.6", "3.10.7",
    "3.10.7.1", "3.10.7.2", "3.10.7.3", "3.10.7.4", "3.10.8", "3.11",
}  # fmt: skip
"""The sections of chapter 3 of RFC 9293."""


@pytest.mark.parametrize(
    "path",
    [*PAGES, *sorted((TOP / "labkit").rglob("*.py")), *sorted((TOP / "labkit").rglob("*.yaml"))],
    ids=lambda path: str(path.relative_to(TOP)),
)
def test_sections_of_the_rfc_exist(path: Path) -> None:
    cited = re.findall(r"RFC 9293,?\s+(?:sections?\s+)?(\d+(?:\.\d+)+)", path.read_text("utf-8"))
    assert set(cited) <= CONTENTS


class TestTheTestItself:
    """A reader who skips what he does not know would be content with anything."""

    @pytest.mark.parametrize(
        "text",
        [
            "```\nx\n```",
            "```ruby\nx\n```",
            "```text\nx\n```",
            "```sh\nrm -r x\n```",
            "```sh\nlabkit nonsense\n```",
            "```sh\nlabkit rules   # exit code 1\n```",
            "```console\nlabkit rules\n```",
            "```console\n$ labkit --version\nlabkit 9\n```",
            "```console\n$ labkit nonsense\n…\n```",
            "```yaml\nsteps:\n- client: connect\n```",
            "```yaml\nname: x\n```",
            "```yaml invalid\nname: x\nsteps:\n- client: connect\n```",
            "```python\nprint(1)\n```\n```text output\n2\n```",
            "```python\n1 / 0\n```",
            "```notation\n> nonsense\n```",
            "```notation",
        ],
    )
    def test_wrong_pages_are_found(self, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        reader = Reader()
        with pytest.raises((AssertionError, ArithmeticError, ScenarioError, pytest.fail.Exception)):
            for fence in fences(text):
                reader.follow(fence)


def test_the_page_for_teachers_lists_what_there_is() -> None:
    text = page("docs/teaching.md")
    keys = {field.alias or name for name, field in AssignmentModel.model_fields.items()}
    assert {row[0].strip("`") for row in rows(text, "key")} == keys
    for model, head in (
        (PartModel, "key of a part"),
        (QuestionModel, "key of a question"),
        (LateModel, "key of `late`"),
    ):
        wanted = {field.alias or name for name, field in model.model_fields.items()}
        assert {row[0].strip("`") for row in rows(text, head)} == wanted
    assert {row[0].strip("`") for row in rows(text, "expectation")} == set(CHECKS)
    assert {row[0].strip("`") for row in rows(text, "kind of `find`")} == set(QUESTIONS)
    assert {row[0].strip("`") for row in rows(text, "status")} == set(STATUSES)
    assert {row[0].strip("`") for row in rows(text, "`--format`")} == set(platforms()), "run scripts/docs"


def test_the_page_for_teachers_has_every_key_of_the_json() -> None:
    task = Task("x", parts=(Part("p", 1, rules=("others",)),))
    result = replace(without(task, "nothing", "x"), mistakes=(Mistake("p", "x"),), runs=(Run(1, 0, 0, "", None, ""),))
    grades = Grades(task, (Row("s", "", "s", result),), (Remark("identical", ("s", "t"), "x"),))

    def keys(value: object) -> set[str]:
        if isinstance(value, dict):
            return set(value) | {key for each in value.values() for key in keys(each)}
        return {key for each in value for key in keys(each)} if isinstance(value, list) else set()

    listed = {each for row in rows(page("docs/teaching.md"), "key in JSON") for each in coded("|".join(row))}
    assert listed == keys(record(grades))
