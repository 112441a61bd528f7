"""The contract test of a task, which every plugin runs in its own tests.

from nsi_cli.testing import check_task
from my_package import nsi_tasks

def test_the_task_meets_the_contract():
    check_task(nsi_tasks())
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nsi_cli.plugins.contract import Task
from nsi_cli.testing.builder import make_builder
from nsi_cli.testing.expect import ContractError, expect, expected_to_work, located
from nsi_cli.testing.extras import check_notes, check_prepare, check_scene_label
from nsi_cli.testing.scenes import check_scenes, check_schema, check_splits, check_worker

__all__ = ["ContractError", "check_task"]


def check_task(task: Task, raw: Path | None = None, **options: Any) -> None:
    """Check that a task meets the contract: its description, its three parts, and its data.

    ``raw`` is a folder of a few raw scenes; without it the schema builder must be a
    `Synthesizer`, and a few scenes are synthesised. ``options`` are the builder's options.
    Raises `ContractError`, an `AssertionError`, at the first fault: it says what to fix, and
    where. ``nsi tasks --check NAME`` runs the same checks.
    """
    from nsi_cli.testing.dataloader import build_small_store, check_dataloader
    from nsi_cli.testing.schema_encoder import check_schema_encoder

    _check_description(task)
    kind = task.load_schema_builder()
    with TemporaryDirectory() as scratch:
        builder = make_builder(kind, raw, Path(scratch), options)
        with located(kind.schema):
            schema = check_schema(builder)
        with located(kind.splits):
            splits = check_splits(builder)
        with located(kind.load):
            scenes = check_scenes(builder, schema, splits)
        check_scene_label(builder, scenes)
        check_prepare(builder)
        check_notes(builder)
        check_worker(builder, schema, splits, scenes)
        with located(task.load_schema_encoder()):
            check_schema_encoder(task, schema, scenes)
        with located(kind.load):
            store = build_small_store(task, builder, Path(scratch) / "store")
        with located(task.load_dataloader()):
            check_dataloader(task, store)


def _check_description(task: Task) -> None:
    expect(
        isinstance(task, Task),
        f"expected a Task, not a {type(task).__name__}: pass one task of those that nsi_tasks() "
        "returns",
    )
    line = isinstance(task.summary, str) and task.summary.strip() and "\n" not in task.summary
    expect(
        bool(line),
        f"the summary must be one line of text, not {task.summary!r}: say in Task(summary=…) what "
        "the images show",
    )
    for part in ("schema_builder", "schema_encoder", "dataloader"):
        with expected_to_work(f"loading the {part}"):
            loaded = getattr(task, f"load_{part}")()
        expect(
            callable(loaded),
            f"the {part} must be a class or a function, not {loaded!r}: correct the reference "
            f"{getattr(task, part)!r} in Task(…)",
        )
