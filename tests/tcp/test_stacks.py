"""Tests of the stacks' data files, and of the page that is generated from them."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

from labkit.build.scenario.model import Side
from labkit.errors import UsageError
from labkit.tcp import stacks
from labkit.tcp.endpoint import Config
from labkit.tcp.endpoint.config import Config as Fields
from labkit.tcp.stacks import Header

TOP = Path(__file__).parents[2]


@pytest.mark.parametrize("name", stacks.names())
def test_every_stack_is_complete(name: str) -> None:
    found = stacks.load(name)
    assert found.title
    assert found.family
    assert set(found.settings) <= set(Side.model_fields)
    # What a scenario can set is not a habit.
    assert set(found.habits) <= set(Fields.__dataclass_fields__) - set(Side.model_fields)
    keys = {*found.settings, *found.habits, *(each for each in found.sources if each in Header.__dataclass_fields__)}
    assert keys == set(found.sources)
    assert Side(stack=name).config(1, ipv6=False, stamp=0)
    assert Side(stack=name).config(1, ipv6=True, stamp=0)


def test_the_default_changes_nothing() -> None:
    assert stacks.names()[0] == "rfc"
    found = stacks.load("rfc")
    assert (found.settings, found.habits, found.header) == ({}, {}, Header())
    assert Side().config(1, ipv6=False, stamp=0) == Side(stack="rfc").config(1, ipv6=False, stamp=0)


def test_an_unknown_stack_is_an_error_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match=r"'linux-6\.1' is not a stack; expected one of rfc, .*did you mean"):
        stacks.load("linux-6.1")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"ident": "odd"}, "ident 'odd' is not known"),
        ({"flow_label": "x"}, "flow_label 'x' is not known"),
        ({"isn_tick": 0}, "at least 1"),
        ({"port_step": 0}, "at least 1"),
        ({"ports": (0, 5)}, "outside"),
        ({"ports": (9, 5)}, "outside"),
    ],
)
def test_a_header_holds_only_what_it_knows(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Header(**values)  # type: ignore[arg-type]


def test_a_layout_holds_only_known_options() -> None:
    with pytest.raises(ValueError, match="unknown options in 'mss foo': foo"):
        Config(syn_layouts=("mss foo",))


def test_the_page_is_current(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TOP / "scripts" / "lib"))
    sys.modules.pop("stacks_page", None)
    lines = import_module("stacks_page").lines()
    text = (TOP / "docs" / "stacks.md").read_text("utf-8")
    assert text == "\n".join(lines) + "\n", "docs/stacks.md is not current: run scripts/docs"
