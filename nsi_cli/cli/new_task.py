"""``nsi new-task NAME``: a plugin that installs and runs, ready to be edited."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def new_task(
    name: Annotated[str, typer.Argument(help="Name of the task, in lower case.")],
    directory: Annotated[
        Path, typer.Option("--dir", help="Where the plugin's folder is made.", metavar="DIR")
    ] = Path(),
) -> None:
    """Make a plugin for a dataset of your own: a working example, ready to be edited."""
    import shlex

    from nsi_cli import api

    files = api.new_task(name, directory)
    root = files[0].parent
    for file in files[1:]:
        while not file.is_relative_to(root):
            root = root.parent
    typer.echo(f"{root}/")
    for file in sorted(files):
        typer.echo(f"    {file.relative_to(root)}")
    typer.echo("\nTry it as it is, then make it yours:")
    plugin = shlex.quote(str(root))
    typer.echo(f"    nsi --plugin-dir {plugin} build-data {name} --synthetic 200 --image-size 128")
    typer.echo(f"    nsi --plugin-dir {plugin} train --task {name} --preset demo")
    typer.echo(f"    pip install -e {shlex.quote(f'{root}[dev]')} && pytest {plugin}")
