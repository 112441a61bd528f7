"""``nsi new-task NAME``: a plugin that installs and runs, ready to be edited."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nsi_cli.cli.context import context_of


def new_task(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the task, in lower case.")],
    directory: Annotated[
        Path, typer.Option("--dir", help="Where the plugin's folder is made.", metavar="DIR")
    ] = Path(),
    from_csv: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A table with a row per object (CSV, JSON Lines, Parquet) that the plugin reads; "
            "its schema is inferred.",
        ),
    ] = None,
    from_coco: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="COCO annotations that the plugin reads instead."),
    ] = None,
    raw: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="The folder of the images, if they are not beside that file."
        ),
    ] = None,
) -> None:
    """Make a plugin for a dataset of your own: a working example, ready to be edited."""
    import shlex

    from nsi_cli import api

    context = context_of(ctx)
    files = api.new_task(
        name,
        directory,
        from_csv=from_csv,
        from_coco=from_coco,
        raw=raw,
        progress=context.progress,
    )
    root = directory / name
    typer.echo(f"{root}/")
    for file in sorted(files):
        typer.echo(f"    {file.relative_to(root)}")
    typer.echo("\nTry it as it is, then make it yours:")
    plugin = shlex.quote(str(root))
    data = from_csv or from_coco
    folder = shlex.quote(str(raw or data.parent)) if data else ""
    source = f"--raw {folder}" if data else "--synthetic 200"
    typer.echo(f"    nsi --plugin-dir {plugin} build-data {name} {source} --image-size 128")
    lines = (root / "README.md").read_text(encoding="utf-8").splitlines()
    train = next(line for line in lines if " train --task " in line)  # with the flags it needs
    typer.echo("    " + train.replace(f"--plugin-dir {name} ", f"--plugin-dir {plugin} "))
    typer.echo(f"    pip install -e {shlex.quote(f'{root}[dev]')} && pytest {plugin}")
