"""`labkit completion`: print the script that lets a shell complete commands, options, scenarios and rules."""

import click
from click.shell_completion import get_completion_class

from labkit.cli._common import COMPLETE, Command, echo


@click.command(
    "completion",
    cls=Command,
    section="teach",
    examples=(
        "labkit completion bash >> ~/.bashrc",
        "labkit completion fish > ~/.config/fish/completions/labkit.fish",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print a shell completion script.

    With it the shell completes commands, options, scenarios and rules.
    """
    complete = get_completion_class(shell)
    assert complete is not None  # noqa: S101 - click has a class for each choice above
    echo(complete(ctx.find_root().command, {}, "labkit", COMPLETE).source())
