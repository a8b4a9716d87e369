"""`labkit scenarios`: what can be built, and a shipped scenario's text, to be copied and changed."""

import click

from labkit.cli._common import Command, complete_scenarios, emit_json, format_option, note
from labkit.errors import UsageError
from labkit.i18n import _


@click.command("scenarios", cls=Command)
@click.argument("name", metavar="[SCENARIO]", required=False, shell_complete=complete_scenarios)
@format_option("text", "json")
def command(name: str | None, format_: str) -> None:
    """List the shipped scenarios, or print one of them.

    With a SCENARIO its YAML is printed as it is, to be saved, changed and built:
    'labkit scenarios document > mine.yaml', then 'labkit build mine.yaml'.
    """
    from labkit.build.scenario import Scenario, shipped

    if name is not None:
        text = _source(name)
        if format_ == "json":
            emit_json({"name": name, "summary": Scenario.load(name).summary, "source": text})
        else:
            click.echo(text, nl=False)
        return
    rows = {each: Scenario.load(each).summary for each in shipped()}
    if format_ == "json":
        emit_json({"scenarios": [{"name": each, "summary": summary} for each, summary in rows.items()]})
        return
    width = max(map(len, rows), default=0)
    for each, summary in rows.items():
        click.echo(f"{click.style(each.ljust(width), bold=True)}  {summary}")
    note(_("'labkit build NAME' builds one, 'labkit scenarios NAME' prints it"))


def _source(name: str) -> str:
    """The YAML of a shipped scenario; ScenarioError where there is none of that name."""
    from importlib.resources import files

    from labkit.build.scenario import Scenario, shipped

    if name not in shipped():
        # Says what is nearest, for a name; a file that is no shipped scenario needs no printing.
        Scenario.load(name)
        raise UsageError(_("{name} is a file of yours, not a shipped scenario").format(name=name))
    return files("labkit.build").joinpath("scenarios", f"{name}.yaml").read_text("utf-8")
