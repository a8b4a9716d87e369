"""`labkit scenarios`: list the shipped scenarios, or print one to copy and change."""

import click

from labkit.cli._common import Command, complete_scenarios, echo, emit_json, format_option, note
from labkit.errors import UsageError
from labkit.i18n import _


@click.command(
    "scenarios", cls=Command, section="build", examples=("labkit scenarios", "labkit scenarios document > mine.yaml")
)
@click.argument("name", metavar="[SCENARIO]", required=False, shell_complete=complete_scenarios)
@format_option("text", "json")
def command(name: str | None, format_: str) -> None:
    """List the shipped scenarios, or print one.

    With SCENARIO, labkit prints its YAML: save it, change it, and give the file to 'labkit build'.
    """
    from labkit.build.scenario import Scenario, shipped

    if name is not None:
        text = _source(name)
        if format_ == "json":
            emit_json({"name": name, "summary": Scenario.load(name).summary, "source": text})
        else:
            echo(text, nl=False)
        return
    rows = {each: Scenario.load(each).summary for each in shipped()}
    if format_ == "json":
        emit_json({"scenarios": [{"name": each, "summary": summary} for each, summary in rows.items()]})
        return
    width = max(map(len, rows), default=0)
    for each, summary in rows.items():
        echo(f"{click.style(each.ljust(width), bold=True)}  {summary}")
    note(_("'labkit build NAME' builds one, 'labkit scenarios NAME' prints it"))


def _source(name: str) -> str:
    """The YAML of a shipped scenario. ScenarioError for an unknown name."""
    from importlib.resources import files

    from labkit.build.scenario import Scenario, shipped

    if name not in shipped():
        # Raises for an unknown name, with the nearest one.
        Scenario.load(name)
        raise UsageError(_("{name} is a file, not a shipped scenario").format(name=name))
    return files("labkit.build").joinpath("scenarios", f"{name}.yaml").read_text("utf-8")
