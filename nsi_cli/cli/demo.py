"""``nsi demo``: the main job from end to end, offline and on a CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nsi_cli.cli.flags import default_shown
from nsi_cli.cli.state import State, state_of
from nsi_cli.support.errors import DataError

TASK = "clevrtex"
PRESET = "demo"
SCENES_FILE = Path(__file__).with_name("demo-data.yaml")


def _scenes() -> int:
    """How many scenes the demo renders unless told otherwise."""
    from nsi_cli.training.presets import read_config_file

    return int(read_config_file(SCENES_FILE)["synthetic"])


def demo(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option(help="Where everything goes.")] = Path("demo"),
    scenes: Annotated[
        int | None,
        typer.Option(
            min=40, max=1_000_000, help="How many scenes to render." + default_shown(_scenes())
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Seed of the scenes and the training.")
    ] = 0,
) -> None:
    """Synthetic scenes → store → training → evaluation → report, in minutes, on a CPU.

    Each stage is a command of its own; the demo prints them as it goes. It trains with the
    preset 'demo', an ordinary one: nsi train --preset demo --print-config shows it.
    """
    if out.exists() and any(out.iterdir() if out.is_dir() else [out]):
        raise DataError(f"{out} is there already", "remove it, or choose another place with --out")
    run_demo(state_of(ctx), out, scenes, seed)


def run_demo(state: State, out: Path, scenes: int | None, seed: int) -> None:
    """Run the five stages."""
    from nsi_cli.cli.build_steps import BuildRequest, cores_if_none, run_build
    from nsi_cli.cli.build_summary import print_build
    from nsi_cli.cli.evaluate import print_result, run_evaluation
    from nsi_cli.cli.interpret import run_interpretation
    from nsi_cli.cli.train import start_training
    from nsi_cli.data.build.options import BuildOptions
    from nsi_cli.training.presets import read_config_file, resolve

    data, run = out / "data", out / "run"
    chosen = read_config_file(SCENES_FILE)
    enough, size = chosen.pop("synthetic"), chosen.pop("image_size")
    count = scenes or enough
    if count < enough / 2:
        state.progress.note(
            f"note: {count:,} scenes, not {enough:,}: too few steps for the figures in the README"
        )
    flags = [word for name, value in chosen.items() for word in (f"--{name}", value)]
    _show(state, "build-data", TASK, "--synthetic", count, *flags, "--image-size", size,
          "--seed", seed, "--out", data)  # fmt: skip
    request = BuildRequest(
        state.registry.task(TASK), data, BuildOptions(size, cores_if_none(None)),
        synthetic=count, seed=seed, options=chosen,
    )  # fmt: skip
    build = run_build(state, request)
    print_build(data, build)
    _show(state, "train", "--preset", PRESET, "--task", TASK, "--data", data, "--seed", seed,
          "--out", run)  # fmt: skip
    config = resolve(PRESET, None, {"task": TASK, "data": str(data), "seed": seed})
    start_training(state, config, run)
    _show(state, "eval", run)
    print_result(run_evaluation(state, run, split="test"))
    _show(state, "interpret", run)
    page = run_interpretation(state, run, split="test")
    typer.echo(f"report: {page}")
    typer.echo("next:")
    typer.echo(f"    open {page} in a browser")
    again = state.command("train", "--task", TASK, "--data", data, "--preset", PRESET)
    typer.echo(f"    {again} --epochs 100")
    typer.echo("    nsi new-task mytask        # bring your own dataset")


def _show(state: State, *words: object) -> None:
    """Tell the command that the next stage stands for."""
    state.progress.note(f"$ {state.command(*words)}")
