"""The state diagram has exactly the transitions of the table."""

import re
import shutil
import subprocess
from html import unescape

import click
import pytest

from labkit.errors import UsageError
from labkit.tcp.state import TRANSITIONS, Event, State
from labkit.teach.diagram.states import FORMS, RESETS, arrows, dot, mermaid
from labkit.teach.lessons import lesson
from labkit.teach.lessons.states import MEANINGS

TABLE = {(state, event.value, target) for state, events in TRANSITIONS.items() for event, target in events.items()}


@pytest.mark.parametrize("resets", [True, False])
def test_every_transition_is_an_arrow(resets: bool) -> None:
    drawn = {(source, label, target) for source, target, labels in arrows(resets=resets) for label in labels}
    ending = {event.value for event in RESETS}
    assert drawn == {each for each in TABLE if resets or each[1] not in ending}


def test_mermaid_has_the_table() -> None:
    text = mermaid(resets=True)
    assert text.startswith("stateDiagram-v2\n")
    names = dict(re.findall(r'^    state "(\S+)" as (\S+)$', text, re.MULTILINE))
    states = {state.name: state for state in State}
    assert {name: states[name].value for name in names.values()} == {name: word for word, name in names.items()}
    found = set()
    for source, target, labels in re.findall(r"^    (\w+) --> (\w+): (.*)$", text, re.MULTILINE):
        found |= {(states[source], label, states[target]) for label in labels.split("<br>")}
    assert found == TABLE


def test_dot_has_the_table() -> None:
    found = set()
    for source, target, labels in re.findall(
        r'^    "(\S+)" -> "(\S+)" \[label="(.*)"\];$', dot(resets=True), re.MULTILINE
    ):
        found |= {(State(source), label, State(target)) for label in labels.split(r"\n")}
    assert found == TABLE


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_graphviz_draws_it() -> None:
    done = subprocess.run(["dot", "-Tsvg"], input=dot(), capture_output=True, text=True, check=True)
    assert all(state.value in unescape(done.stdout) for state in State)


def lines(*arguments: str) -> list[str]:
    return [click.unstyle(line) for line in lesson("states")(arguments)]


def test_the_lesson_has_every_state_and_transition() -> None:
    found = lines()
    assert set(MEANINGS) == set(State)
    heads = [line.split(":")[0].split(" ")[0] for line in found if line and not line.startswith(" ") and ": " in line]
    assert heads[: len(State)] == [state.value for state in State]
    rows = [re.fullmatch(r"    (.*?) +→ (\S+)", line) for line in found if line.startswith("    ")]
    words = {(label, row[2]) for row in rows if row for label in row[1].split(" / ")}
    assert words == {(event, target.value) for _, event, target in TABLE}
    assert Event.RCV_RST.value in "\n".join(found)


@pytest.mark.parametrize("form", FORMS)
def test_the_lesson_prints_the_diagrams(form: str) -> None:
    assert lines(form) == FORMS[form]().splitlines()
    assert lines(form, "resets") == lines("resets", form) == FORMS[form](resets=True).splitlines()


@pytest.mark.parametrize("arguments", [("svg",), ("resets",), ("dot", "mermaid")])
def test_wrong_arguments(arguments: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="expected: labkit explain states"):
        lines(*arguments)
