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
from nsi_cli.testing.expect import expect, expected_to_work
from nsi_cli.testing.scenes import (
    check_prepare,
    check_scene_label,
    check_scenes,
    check_schema,
    check_splits,
    check_worker,
)

__all__ = ["check_task"]


def check_task(task: Task, raw: Path | None = None, **options: Any) -> None:
    """Check that a task meets the contract: its description, its three parts, and its data.

    ``raw`` is a folder of a few raw scenes; without it the schema builder must be a
    `Synthesizer`, and a few scenes are synthesised. ``options`` are the builder's options.
    Raises `AssertionError`, with what to fix, at the first fault. A script that calls this needs
    an ``if __name__ == "__main__":`` guard, since a process is spawned.
    """
    from nsi_cli.testing.dataloader import check_dataloader
    from nsi_cli.testing.schema_encoder import check_schema_encoder

    _check_description(task)
    with TemporaryDirectory() as scratch:
        builder = make_builder(task, raw, Path(scratch), options)
        schema = check_schema(builder)
        splits = check_splits(builder)
        scenes = check_scenes(builder, schema, splits)
        check_scene_label(builder, scenes)
        check_prepare(builder)
        check_worker(builder, splits, scenes)
        check_schema_encoder(task, schema, scenes)
        check_dataloader(task, builder, Path(scratch) / "store")


def _check_description(task: Task) -> None:
    expect(isinstance(task, Task), f"expected a Task, not a {type(task).__name__}")
    line = isinstance(task.summary, str) and task.summary.strip() and "\n" not in task.summary
    expect(bool(line), f"the summary must be one line of text, not {task.summary!r}")
    for part in ("schema_builder", "schema_encoder", "dataloader"):
        with expected_to_work(f"loading the {part}"):
            loaded = getattr(task, f"load_{part}")()
        expect(callable(loaded), f"the {part} must be a class or a function, not {loaded!r}")
