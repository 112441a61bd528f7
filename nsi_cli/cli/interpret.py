"""``nsi interpret RUN``: one page that shows what the slots hold."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nsi_cli.cli.flags import default_shown
from nsi_cli.cli.state import State, state_of


def interpret(
    ctx: typer.Context,
    run: Annotated[Path, typer.Argument(help="The run's folder.", metavar="RUN")],
    split: Annotated[str, typer.Option(help="Split whose scenes are shown and searched.")] = "test",
    image: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="An image of your own to show; can be repeated."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the page." + default_shown("RUN/report"))
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Another store of the same schema.")] = None,
    checkpoint: Annotated[
        str, typer.Option(metavar="NAME", help="Checkpoint: best, last, or a step-… that is kept.")
    ] = "best",
    scenes: Annotated[int, typer.Option(min=1, max=1000, help="How many scenes are shown.")] = 12,
    top: Annotated[
        int, typer.Option(min=1, max=1000, help="How many retrieved scenes are shown.")
    ] = 5,
    batch_size: Annotated[
        int, typer.Option(min=1, max=65_536, help="Scenes that are read at once.")
    ] = 64,
) -> None:
    """Show scenes with their slots, aligned primitives and retrieved images, as one HTML page."""
    page = run_interpretation(
        state_of(ctx), run, split=split, images=image or [], out=out, data=data,
        checkpoint=checkpoint, scenes=scenes, top=top, batch_size=batch_size,
    )  # fmt: skip
    typer.echo(str(page))


def run_interpretation(
    state: State, path: Path, *, split: str, images: list[Path] | None = None,
    out: Path | None = None, data: Path | None = None, checkpoint: str = "best",
    scenes: int = 12, top: int = 5, batch_size: int = 64,
) -> Path:  # fmt: skip
    """Write the report of a run on a split, and return the page's path."""
    from nsi_cli.cli.evaluate import apart, result_path
    from nsi_cli.cli.loaded import load_run
    from nsi_cli.interpretation.collect import collect, spread
    from nsi_cli.interpretation.report import Heading, write_report
    from nsi_cli.interpretation.uploads import read_image

    loaded = load_run(state, path, data, checkpoint)
    store, config = loaded.store, loaded.run.config
    pixels = [
        (file.name, read_image(file, config.image_size, loaded.preparation(state, file.name)))
        for file in images or []
    ]
    shown = spread(store.count(split), scenes)
    run_told = str(path) + ("" if checkpoint == "best" else f" at {checkpoint}")
    run_told += "" if data is None else f" on {data}"
    collected = collect(loaded.findings(state, split, batch_size, "interpret"), shown)
    return write_report(
        out or path / f"report{apart(loaded.run, checkpoint, data)}",
        collected,
        heading=Heading(config.task, run_told, split),
        schema=loaded.run.schema,
        ids=store.ids(split),
        images=lambda places: store.images(split, places),
        result=_result(result_path(loaded.run, split, checkpoint, data)),
        uploads=[(name, loaded.find_image(image)) for name, image in pixels],
        top=top,
    )


def _result(path: Path) -> dict[str, Any] | None:
    """The evaluation of the split, where there has been one."""
    from nsi_cli.support.files import read_json

    if not path.is_file():
        return None
    result: dict[str, Any] = read_json(path, "evaluation", "run nsi eval again")
    return result
