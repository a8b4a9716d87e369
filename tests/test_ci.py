"""The files for CI servers: what they would run is run here, as far as that goes without the servers."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from labkit import Scenario, inject

TOP = Path(__file__).resolve().parents[1]


def read(name: str) -> Any:
    return YAML(typ="safe", pure=True).load((TOP / name).read_text("utf-8"))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with captures, and a labkit on the path."""
    (tmp_path / "temp/labkit/bin").mkdir(parents=True)
    shim = tmp_path / "temp/labkit/bin/labkit"
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m labkit "$@"\n')
    shim.chmod(0o755)
    project = tmp_path / "project"
    (project / "with space").mkdir(parents=True)
    trace = Scenario.load("document").play(seed=1)
    trace.write(project / "with space/good.pcap")
    inject(trace, "ack-of-unsent-data", at=6).write(project / "bad.pcapng")
    monkeypatch.chdir(project)
    for name, value in {
        "PATH": f"{shim.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(TOP),
        "LANGUAGE": "en",
        "RUNNER_TEMP": str(tmp_path / "temp"),
        "GITHUB_ACTION_PATH": str(TOP),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        "GITHUB_OUTPUT": str(tmp_path / "output"),
    }.items():
        monkeypatch.setenv(name, value)
    return project


def bash(script: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run a script as GitHub and GitLab do: it ends at the first command that fails."""
    shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    return subprocess.run(shell, env=os.environ | variables, capture_output=True, text=True, check=False)


# pre-commit.


def test_the_hook_takes_captures_only() -> None:
    (hook,) = read(".pre-commit-hooks.yaml")
    pattern = re.compile(hook["files"])
    assert all(pattern.search(name) for name in ("a.pcap", "x/b.pcapng", "c.cap", "d.pcap.gz", "e.pcapng.gz"))
    assert not any(pattern.search(name) for name in ("a.pcap.labkit.toml", "pcap", "a.py", "captures/README"))
    assert {"id", "name", "entry", "language"} <= hook.keys()
    assert hook["language"] == "python"


@pytest.mark.usefixtures("project")
def test_the_hook_runs_with_the_names_of_files() -> None:
    (hook,) = read(".pre-commit-hooks.yaml")
    good, bad = "'with space/good.pcap'", "bad.pcapng"
    assert bash(f"{hook['entry']} {good}").returncode == 0
    done = bash(f"{hook['entry']} {good} {bad}")
    assert (done.returncode, "error[ACK01]" in done.stdout) == (1, True)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pre-commit") is None, reason="pre-commit is not installed")
def test_pre_commit_accepts_the_hook() -> None:
    subprocess.run(["pre-commit", "validate-manifest", TOP / ".pre-commit-hooks.yaml"], check=True)


# GitHub.


def act(inputs: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run the step of the action that verifies, with its inputs."""
    action = read("action.yml")
    assert set(inputs) <= set(action["inputs"])
    values = {name: str(each["default"]) for name, each in action["inputs"].items()} | inputs
    (step,) = [each for each in action["runs"]["steps"] if each.get("id") == "verify"]
    variables = {
        name: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda match: values[match[1]], text)
        for name, text in step["env"].items()
    }
    return bash(step["run"], **variables)


def test_the_action_is_composed_of_steps_that_run_no_input() -> None:
    action = read("action.yml")
    assert action["runs"]["using"] == "composite"
    for step in action["runs"]["steps"]:
        assert step["shell"] == "bash"
        assert "${{" not in step["run"]
        assert all(re.fullmatch(r"\$\{\{ inputs\.[\w-]+ \}\}", each) for each in step["env"].values())
        subprocess.run(["bash", "-n", "-c", step["run"]], check=True)
    assert all(each["description"] for each in action["inputs"].values())


def test_the_action_fails_with_a_summary(project: Path) -> None:
    done = act({"sarif": "labkit.sarif"})
    assert done.returncode == 1
    assert "error[ACK01] ack-of-unsent-data" in done.stdout
    assert "**2 captures: 1 PASS, 1 FAIL**" in (project.parent / "summary.md").read_text("utf-8")
    assert (project.parent / "output").read_text() == "exit-code=1\n"
    run = json.loads((project / "labkit.sarif").read_text("utf-8"))["runs"][0]
    assert "ACK01" in {each["ruleId"] for each in run["results"]}


def test_the_action_passes(project: Path) -> None:
    assert act({"captures": "with space/good.pcap\n\n"}).returncode == 0
    assert act({"options": "--ignore ACK,SEQ  --fail-on warning"}).returncode == 0
    bash("labkit verify . --write-baseline known.json")
    assert act({"baseline": "known.json"}).returncode == 0
    assert (project.parent / "output").read_text() == "exit-code=0\n" * 3
    assert not (project / "labkit.sarif").exists()


@pytest.mark.parametrize("text", ["$(touch made)", "`touch made`", "; touch made", "'; touch made; '", "--rules=made"])
def test_no_input_of_the_action_is_run(text: str, project: Path) -> None:
    for name in ("captures", "options", "baseline"):
        assert act({name: text}).returncode not in {0, 1}
    assert not (project / "made").exists()


# GitLab.


def test_the_job_of_gitlab(project: Path) -> None:
    job = read(".ci/labkit.gitlab-ci.yml")[".labkit"]
    script = "\n".join(job["script"])
    variables = dict(job["variables"])
    done = bash(script, **variables)
    assert done.returncode == 1
    assert "error[ACK01]" in done.stdout
    report = project / job["artifacts"]["reports"]["junit"]
    assert 'failures="1"' in report.read_text("utf-8")
    assert bash(script, **(variables | {"LABKIT_OPTIONS": "--ignore ACK,SEQ"})).returncode == 0
    assert bash(script, **(variables | {"LABKIT_PATHS": "missing.pcap"})).returncode == 3


# Docker.

DOCKERFILE = [
    line.split(None, 1)
    for line in (TOP / "Dockerfile").read_text("utf-8").splitlines()
    if line and not line.startswith("#")
]


def test_the_image_runs_without_rights() -> None:
    words = [word for word, _rest in DOCKERFILE]
    assert words[-4:] == ["WORKDIR", "ENV", "ENTRYPOINT", "CMD"]
    assert dict(DOCKERFILE)["USER"] == "65534:65534"
    assert words.index("USER") > max(place for place, word in enumerate(words) if word == "RUN")
    assert json.loads(dict(DOCKERFILE)["ENTRYPOINT"]) == ["labkit"]
    assert not {"ADD", "EXPOSE", "VOLUME"} & set(words)


def test_what_the_image_copies_is_there() -> None:
    for word, rest in DOCKERFILE:
        if word == "COPY":
            assert all((TOP / name).exists() for name in rest.split()[:-1])


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("docker") is None
    or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode != 0,
    reason="no Docker daemon runs",
)
def test_the_image_verifies(project: Path) -> None:
    subprocess.run(["docker", "build", "--quiet", "--tag", "labkit-test", TOP], check=True, timeout=600)
    command = [
        "docker",
        "run",
        "--rm",
        "--network",
        "none",
        "--read-only",
        "-v",
        f"{project}:/captures:ro",
        "labkit-test",
    ]
    for name, code in (("with space/good.pcap", 0), ("bad.pcapng", 1)):
        assert subprocess.run([*command, "verify", name], check=False).returncode == code
