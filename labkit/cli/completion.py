"""`labkit completion`: the script by which a shell completes commands, options, scenarios and rules."""

import click
from click.shell_completion import get_completion_class

from labkit.cli._common import COMPLETE, Command


@click.command("completion", cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script that makes a shell complete labkit's words.

    \b
    bash:  labkit completion bash >> ~/.bashrc
    zsh:   labkit completion zsh >> ~/.zshrc
    fish:  labkit completion fish > ~/.config/fish/completions/labkit.fish
    """
    complete = get_completion_class(shell)
    assert complete is not None  # noqa: S101 - the choices above are those that click has
    click.echo(complete(ctx.find_root().command, {}, "labkit", COMPLETE).source())
