"""``nsi new-task NAME``: a plugin that installs and runs, ready to be edited."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nsi_cli.cli.context import context_of


def new_task(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the task, in lower case.", metavar="NAME")],
    directory: Annotated[
        Path,
        typer.Option(
            "--dir", help="Folder in which the plugin's folder is created.", metavar="DIR"
        ),
    ] = Path(),
    from_csv: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Make a plugin that reads this table, which has a row for each object (CSV, JSON "
            "Lines, Parquet). Its schema is inferred.",
        ),
    ] = None,
    from_coco: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Make a plugin that reads these COCO annotations."),
    ] = None,
    raw: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the images, if they are not beside that file."),
    ] = None,
) -> None:
    """Create a plugin for your own dataset: a working example to edit."""
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
    typer.echo("\nTry it as it is, then edit it:")
    plugin = shlex.quote(str(root))
    data = from_csv or from_coco
    folder = shlex.quote(str(raw or data.parent)) if data else ""
    source = f"--raw {folder}" if data else "--synthetic 200"
    typer.echo(f"    nsi --plugin-dir {plugin} build-data {name} {source} --image-size 128")
    lines = (root / "README.md").read_text(encoding="utf-8").splitlines()
    train = next(line for line in lines if " train --task " in line)  # with the flags it needs
    typer.echo("    " + train.replace(f"--plugin-dir {name} ", f"--plugin-dir {plugin} "))
    typer.echo(f"    pip install -e {shlex.quote(f'{root}[dev]')} && pytest {plugin}")
