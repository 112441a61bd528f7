"""``nsi demo``: the main job from end to end, offline and on a CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nsi_cli import api
from nsi_cli.cli.build_summary import print_build
from nsi_cli.cli.context import AppContext, context_of
from nsi_cli.cli.evaluate import print_result
from nsi_cli.cli.flags import default_shown
from nsi_cli.cli.train import train_and_print
from nsi_cli.support.errors import DataError

TASK = "clevrtex"
PRESET = "demo"
SCENES_FILE = Path(__file__).with_name("demo-data.yaml")


def _scenes() -> int:
    """The default number of scenes."""
    return int(api.read_options(SCENES_FILE)["synthetic"])


def demo(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for all results.")] = Path(
        "demo"
    ),
    scenes: Annotated[
        int | None,
        typer.Option(
            min=40,
            max=1_000_000,
            metavar="N",
            help="Number of scenes to render." + default_shown(_scenes()),
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            min=0, max=2**32 - 1, metavar="N", help="Seed of the scenes and the training."
        ),
    ] = 0,
) -> None:
    """Build, train, evaluate and report on synthetic scenes, in minutes, on a CPU.

    The demo prints the command of each stage before it runs it. It trains with
    the preset demo, which nsi train --preset demo --print-config prints.
    """
    if out.exists() and any(out.iterdir() if out.is_dir() else [out]):
        raise DataError(f"{out} exists already", "remove it, or choose another path with --out")
    run_demo(context_of(ctx), out, scenes, seed)


def run_demo(context: AppContext, out: Path, scenes: int | None, seed: int) -> None:
    """Run the five stages."""
    data, run = out / "data", out / "run"
    chosen = api.read_options(SCENES_FILE)
    default, size = chosen.pop("synthetic"), chosen.pop("image_size")
    count = scenes or default
    if count < default / 2:
        context.progress.note(
            f"note: {count:,} scenes, not {default:,}: too few steps for the figures in the README"
        )
    flags = [word for name, value in chosen.items() for word in (f"--{name}", value)]
    _show(context, "build-data", TASK, "--synthetic", count, *flags, "--image-size", size,
          "--seed", seed, "--out", data)  # fmt: skip
    store = api.build_store(
        TASK, data, synthetic=count, seed=seed, image_size=size, options=chosen,
        tasks=context.tasks, progress=context.progress,
    )  # fmt: skip
    print_build(data, store.build)
    _show(context, "train", "--preset", PRESET, "--task", TASK, "--data", data, "--seed", seed,
          "--out", run)  # fmt: skip
    train_and_print(context, api.train_config(PRESET, task=TASK, data=str(data), seed=seed), run)
    _show(context, "eval", run)
    print_result(api.evaluate(run, tasks=context.tasks, progress=context.progress).result)
    _show(context, "interpret", run)
    page = api.interpret(run, tasks=context.tasks, progress=context.progress)
    typer.echo(f"report: {page}")
    typer.echo("next:")
    typer.echo(f"    open {page} in a browser")
    again = context.command("train", "--task", TASK, "--data", data, "--preset", PRESET)
    typer.echo(f"    {again} --epochs 100")
    typer.echo("    nsi new-task mytask        # bring your own dataset")


def _show(context: AppContext, *words: object) -> None:
    """Show the command that the next stage runs."""
    context.progress.note(f"$ {context.command(*words)}")
