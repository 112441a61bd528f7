"""``nsi build-data TASK --check DIR``: read a store again, and tell what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nsi_cli.cli.output import print_json
from nsi_cli.cli.state import state_of
from nsi_cli.support.errors import ConfigError, DataError

if TYPE_CHECKING:
    from nsi_cli.cli.state import State
    from nsi_cli.data.store.faults import Verdict
    from nsi_cli.data.store.reader import Store

SHEET_SCENES = 12

_STYLES = {"ok": "green", "warnings": "yellow", "faults": "red", "left out": "dim"}


WITH_CHECK = frozenset({"check", "out", "seed", "as_json"})
"""The flags of ``nsi build-data TASK`` that say something beside ``--check``."""


def check_and_print(
    ctx: Any, task: str, path: Path, *, sheet: Path | None, seed: int, as_json: bool
) -> None:
    """Check a store and print the verdicts; draw a contact sheet where the store can be read.

    ``sheet`` is its place, ``seed`` draws its scenes. Raises `ConfigError` beside flags that
    build, and `DataError` where there are faults.
    """
    from nsi_cli.data.check.check import check_store
    from nsi_cli.data.store.reader import BUILD, is_store
    from nsi_cli.support.files import read_json

    state = state_of(ctx)
    _refuse_other_flags(ctx)
    hint = "name the folder that nsi build-data made"
    if not is_store(path):
        raise DataError(f"no store at {path}", hint)
    told = read_json(path / BUILD, "store", hint)
    other = told.get("task") if isinstance(told, dict) else None
    if isinstance(other, str) and other != task:
        raise ConfigError(
            f"store {path} is of task '{other}', not '{task}'",
            f"check it with {state.command('build-data', other, '--check', path)}",
        )
    verdicts = check_store(path, state.progress)
    faults = sum(verdict.faults for verdict in verdicts)
    drawn = _draw(path, sheet or path.with_name(f"{path.name}-check.png"), seed, state)
    if as_json:
        checks = [verdict.to_json() for verdict in verdicts]
        told_sheet = None if drawn is None else str(drawn)
        print_json({"store": str(path), "ok": not faults, "checks": checks, "sheet": told_sheet})
    else:
        print_verdicts(path, verdicts)
    if drawn is not None:
        state.progress.note(f"contact sheet: {drawn}")
    if faults:
        count = f"{faults:,} fault{'s' if faults > 1 else ''}"
        raise DataError(f"store {path} has {count}", "build it again with --force")


def _refuse_other_flags(ctx: Any) -> None:
    """A flag that would say nothing is a mistake."""
    others = [
        "--" + name.replace("_", "-")
        for name in ctx.params
        if name not in WITH_CHECK and ctx.get_parameter_source(name).name == "COMMANDLINE"
    ]
    if others:
        raise ConfigError(
            f"--check builds nothing: {' and '.join(others)} would be ignored",
            "leave it out; --out, --seed and --json go with --check",
        )


def print_verdicts(path: Path, verdicts: Sequence[Verdict]) -> None:
    """Print a line a check, and below each what it found."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Text(str(path), "bold"), soft_wrap=True)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("check", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("", overflow="fold")
    for verdict in verdicts:
        table.add_row(
            verdict.name, Text(_said(verdict), _STYLES[verdict.status]), _details(verdict)
        )
    console.print(table)


def _said(verdict: Verdict) -> str:
    if verdict.faults:
        return f"{verdict.faults:,} fault{'s' if verdict.faults > 1 else ''}"
    return verdict.status


def _details(verdict: Verdict) -> Any:
    """What was looked at, or what is wrong and what deserves a look, a line each."""
    from rich.text import Text

    if not verdict.begun:
        return Text("what it needs is missing or damaged", "dim")
    lines = [Text(verdict.looked_at, "dim")] if verdict.looked_at else []
    for style, examples, count in (
        ("red", verdict.examples, verdict.faults),
        ("yellow", verdict.warned, verdict.warnings),
    ):
        lines += [Text(example, style) for example in examples]
        if count > len(examples):
            lines.append(Text(f"… and {count - len(examples):,} more", style))
    return Text("\n").join(lines)


def _draw(path: Path, place: Path, seed: int, state: State) -> Path | None:
    """Draw the contact sheet; None where the store cannot be opened, as the verdicts tell."""
    from nsi_cli.data.store.reader import open_store
    from nsi_cli.interpretation.contact_sheet import draw_sheet
    from nsi_cli.support.files import replacing

    try:
        store = open_store(path)
        scenes = _random_scenes(store, seed)
    except DataError:
        return None
    heading = f"{path.name}: {store.task}, {len(scenes)} scenes drawn at random (seed {seed})"
    picture = draw_sheet(scenes, store.schema, heading)
    with replacing(place) as beside:
        picture.save(beside, "PNG")
    return place


def _random_scenes(store: Store, seed: int) -> list[Any]:
    import numpy as np

    from nsi_cli.interpretation.contact_sheet import SheetScene

    everywhere = [(split, row) for split in store.splits for row in range(store.count(split))]
    generator = np.random.default_rng(seed)
    chosen = generator.choice(len(everywhere), min(SHEET_SCENES, len(everywhere)), replace=False)
    labels = {split: store.primitives(split) for split in store.splits}
    ids = {split: store.ids(split) for split in store.splits}
    scenes = []
    for split, row in (everywhere[place] for place in sorted(chosen.tolist())):
        rows, lengths = labels[split]
        masks = store.masks(split, [row])
        scenes.append(
            SheetScene(
                f"{split}  {ids[split][row]}",
                store.images(split, [row])[0],
                rows[row][: lengths[row]],
                None if masks is None else masks[0],
            )
        )
    return scenes
